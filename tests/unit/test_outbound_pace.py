"""Pacing: requests are spaced, a pause asked for holds all, and back-off stays within its bounds."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import CircuitOpen
from federation.outbound_pace import LocalTurnstile, Pacer, backoff_s, http_date, retry_after_s
from federation.settings import load_settings


async def test_requests_of_several_tasks_keep_their_distance() -> None:
    pacer, moments = Pacer(50), []

    async def ask() -> None:
        await pacer.turn()
        moments.append(time.monotonic())

    await asyncio.gather(*(ask() for _ in range(8)))
    assert len(moments) == 8
    assert all(later - earlier > 0.018 for earlier, later in pairwise(sorted(moments)))


async def test_zero_requests_per_second_means_no_limit() -> None:
    pacer, started = Pacer(0), time.monotonic()
    for _ in range(1_000):
        await pacer.turn()
    assert time.monotonic() - started < 1


async def test_a_pause_holds_also_the_requests_that_already_wait() -> None:
    pacer = Pacer(20)
    await pacer.turn()
    waiting = asyncio.ensure_future(pacer.turn())
    await asyncio.sleep(0.01)
    started = time.monotonic()
    pacer.hold(0.2)
    await waiting
    assert time.monotonic() - started >= 0.19


@given(st.integers(1, 10_000), st.floats(0.01, 5), st.floats(5, 100))
def test_backoff_is_between_half_of_the_first_and_the_last(attempt: int, first_s: float, last_s: float) -> None:
    assert first_s / 2 <= backoff_s(attempt, first_s, last_s) <= last_s


def test_backoff_grows() -> None:
    assert backoff_s(5, 0.5, 60) > backoff_s(2, 0.5, 60)


@given(st.text(max_size=60))
def test_headers_of_any_text_are_read_or_left(text: str) -> None:
    http_date(text)
    seconds = retry_after_s(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("text", ["", " ", "1e3", "-1", "٣", "soon", "Fri, 99 Nov 2026 99:38:56 GMT"])
def test_an_unreadable_retry_after_is_none(text: str) -> None:
    assert retry_after_s(text) is None


def test_a_retry_after_in_the_past_is_no_wait() -> None:
    assert retry_after_s("Fri, 20 Nov 2026 17:38:56 GMT", "Fri, 20 Nov 2026 17:40:00 GMT") == 0


def turnstile(**limits: float) -> LocalTurnstile:
    settings = {"instance_concurrency": 2, "instance_requests_per_s": 0, "instance_rest_share": 0, **limits}
    return LocalTurnstile(load_settings(**settings))


async def pass_through(stile: LocalTurnstile, *, lasts_s: float = 0.0) -> float:
    slot = await stile.enter()
    entered = time.monotonic()
    await asyncio.sleep(lasts_s)
    await stile.leave(slot, elapsed_s=lasts_s, fault=False)
    return entered


async def test_no_more_than_the_slots_are_inside() -> None:
    stile = turnstile()
    moments = sorted(await asyncio.gather(*(pass_through(stile, lasts_s=0.1) for _ in range(6))))
    assert all(third - first >= 0.09 for first, third in zip(moments, moments[2:], strict=False))


async def test_a_slot_rests_for_a_share_of_the_answers_time() -> None:
    stile = turnstile(instance_concurrency=1, instance_rest_share=1.0)
    first, second = [await pass_through(stile, lasts_s=0.1) for _ in range(2)]
    assert second - first >= 0.19


async def test_a_long_hold_is_not_waited_for() -> None:
    stile = turnstile(outbound_retry_after_max_s=5)
    await stile.hold(10**9)
    with pytest.raises(CircuitOpen, match="not asked for another 86400 s: it asked for a pause"):
        await stile.enter()


async def test_a_rate_that_was_lowered_holds_and_is_never_raised() -> None:
    stile = turnstile()
    stile.at_most(20)
    stile.at_most(1_000)
    moments = [await pass_through(stile) for _ in range(4)]
    assert moments[3] - moments[0] >= 0.14


async def test_who_is_cancelled_at_the_turnstile_takes_no_slot_with_it() -> None:
    stile = turnstile(instance_concurrency=1, outbound_retry_after_max_s=5)
    await stile.hold(0.3)
    waiting = asyncio.create_task(stile.enter())
    await asyncio.sleep(0.05)
    waiting.cancel()
    async with asyncio.timeout(2):
        await pass_through(stile)


def test_a_retry_after_is_a_day_at_most() -> None:
    assert retry_after_s("999999999999999999") == 86_400
    assert retry_after_s("Fri, 20 Nov 2099 17:38:56 GMT", "Fri, 20 Nov 2026 17:40:00 GMT") == 86_400

"""Pacing: requests are spaced, a pause asked for holds all, and back-off stays within its bounds."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.outbound_pace import Pacer, backoff_s, http_date, retry_after_s


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

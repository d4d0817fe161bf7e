"""Every way an instance can misbehave ends in bounded time and memory, with an error that says which way it was."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from federation.errors import (
    AddressRefused,
    OriginError,
    OriginMalformed,
    OriginRefused,
    OriginUnreachable,
    Unreachable,
)
from federation.outbound import OriginSession
from federation.settings import Settings
from tests.hostile import (
    Behaviour,
    HostileServer,
    after,
    answer,
    cut,
    drip,
    drip_headers,
    endless,
    endless_interim,
    gzip_bomb,
    hang_up_after,
    impatient,
    in_turn,
    local_settings,
    raw,
    redirect,
    reset,
    silence,
)


async def failure(origin: OriginSession, path: str = "/x", **options: int) -> OriginError:
    with pytest.raises(OriginError) as caught:
        async with origin:
            await origin.get(path, **options)  # type: ignore[arg-type]
    return caught.value


async def test_an_answer_has_its_body_headers_clock_and_size(server: HostileServer, origin: OriginSession) -> None:
    body = b'{"a": "' + b"z" * 5_000 + b'"}'
    headers = {"Content-Encoding": "gzip", "Date": "Fri, 20 Nov 2026 17:38:56 GMT", "X-Two": "1"}
    server.on("/x", answer(gzip.compress(body), headers=headers))
    async with origin:
        got = await origin.get("x?limit=1")
        assert (got.url, got.status, got.body) == (f"{server.url}/x?limit=1", 200, body)
        assert got.date() == datetime(2026, 11, 20, 17, 38, 56, tzinfo=UTC)
        assert got.headers["x-two"] == "1"
        assert got.received_bytes == len(gzip.compress(body)) == origin.received_bytes
        assert got.elapsed_s > 0
    assert origin.requests == 1


async def test_a_request_says_who_asks_and_carries_no_credentials(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.on("/x", answer({}))
    async with OriginSession(local_settings(user_agent="panofed/test (contact)"), server.url) as origin:
        await origin.get("/x", accept="application/geo+json")
    (request,) = server.requests
    assert request.headers["user-agent"] == "panofed/test (contact)"
    assert request.headers["accept"] == "application/geo+json"
    assert request.headers["accept-encoding"] == "zstd, gzip"
    assert not {"cookie", "authorization", "proxy-authorization", "referer"} & set(request.headers)


async def test_cookies_are_not_kept(server: HostileServer, origin: OriginSession) -> None:
    server.on("/x", answer({}, headers={"Set-Cookie": "session=1; Path=/"}))
    async with origin:
        await origin.get("/x")
        await origin.get("/x")
    assert all("cookie" not in request.headers for request in server.requests)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        pytest.param(silence(), "no first byte within 0.3 s", id="silence"),
        pytest.param(drip(b"x" * 100, every_s=30, sent=5), "idle for 0.3 s", id="idle"),
        pytest.param(drip(b"x" * 100, every_s=0.05), "whole answer took over 1 s", id="slow drip"),
        pytest.param(drip_headers(every_s=0.05), "whole answer took over 1 s", id="slow headers"),
        pytest.param(endless_interim(), "whole answer took over 1 s", id="endless 1xx"),
        pytest.param(cut(b"x" * 10, announced=100, reset=True), "connection reset in the middle", id="reset in body"),
        pytest.param(reset(), "connection closed before an answer", id="reset"),
        pytest.param(raw(b"", then="close"), "connection closed before an answer", id="close"),
    ],
)
async def test_no_usable_connection_is_unreachable(server: HostileServer, behaviour: Behaviour, text: str) -> None:
    server.on("/x", behaviour)
    origin = OriginSession(impatient(), server.url, instance="hostile", requests_per_s=0)
    started = time.monotonic()
    error = await failure(origin, attempts=2)
    assert isinstance(error, OriginUnreachable)
    assert text in str(error)
    assert (error.instance, error.url) == ("hostile", f"{server.url}/x")
    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        pytest.param(endless(), "more than 1,000,000 bytes", id="endless"),
        pytest.param(gzip_bomb(500), "more than 1,000,000 bytes after decompression", id="gzip bomb"),
        pytest.param(cut(b"x" * 10, announced=10**12), "1,000,000,000,000 are announced", id="announced"),
        pytest.param(cut(b"x" * 10, announced=100), "ended before its announced length", id="short body"),
        pytest.param(answer(b"no gzip", headers={"Content-Encoding": "gzip"}), "broken gzip", id="not gzip"),
        pytest.param(
            answer(gzip.compress(b"x" * 99)[:-4], headers={"Content-Encoding": "gzip"}), "broken gzip", id="cut gzip"
        ),
        pytest.param(answer(b"x", headers={"Content-Encoding": "br"}), "was not asked for", id="br"),
        pytest.param(redirect("/x"), "more than 5 redirects", id="redirect loop"),
        pytest.param(answer(status=304), "status 304", id="unasked 304"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not an HTTP answer", id="not HTTP"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "not an HTTP answer", id="negative length"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), "not an HTTP answer", id="two"
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "not an HTTP answer", id="huge header"
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"), "not an HTTP answer", id="many headers"
        ),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "", id="broken chunk"),
    ],
)
async def test_an_answer_that_is_none_is_malformed(
    server: HostileServer, origin: OriginSession, behaviour: Behaviour, text: str
) -> None:
    server.on("/x", behaviour)
    error = await failure(origin, attempts=2)
    assert isinstance(error, OriginMalformed)
    assert text in str(error)
    assert (error.instance, error.url) == ("hostile", f"{server.url}/x")


@pytest.mark.parametrize("behaviour", [endless(), gzip_bomb(800)], ids=["endless", "gzip bomb"])
async def test_a_body_without_end_takes_little_memory(
    server: HostileServer, origin: OriginSession, behaviour: Behaviour
) -> None:
    server.on("/x", behaviour)
    tracemalloc.start()
    try:
        await failure(origin)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://panoramax.example.org/",
        "http://127.0.0.1:1/",
        "http://127.0.0.2/",
        "//10.0.0.1/",
        "http://user:password@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
async def test_a_redirect_off_the_origin_is_refused_before_a_socket_is_made(
    server: HostileServer, origin: OriginSession, location: str
) -> None:
    server.on("/x", redirect(location))
    error = await failure(origin)
    assert isinstance(error, AddressRefused)
    assert "password" not in str(error) + error.url
    assert (origin.requests, origin.refusals, server.connections) == (1, [], 1)


async def test_a_redirect_on_the_origin_is_followed(server: HostileServer, origin: OriginSession) -> None:
    server.on("/x", redirect("/y?a=1", status=308))
    server.on("/y", answer({"here": True}))
    async with origin:
        got = await origin.get("/x")
    assert (got.url, got.body) == (f"{server.url}/y?a=1", b'{"here": true}')
    assert origin.requests == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
async def test_a_status_that_says_no_is_asked_once(server: HostileServer, origin: OriginSession, status: int) -> None:
    server.on("/x", answer({"message": "non"}, status=status))
    error = await failure(origin)
    assert isinstance(error, OriginRefused)
    assert (error.status, error.retry_after_s, len(server.requests)) == (status, None, 1)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_transient_status_is_asked_again(server: HostileServer, origin: OriginSession, status: int) -> None:
    no = answer({}, status=status)
    server.on("/x", in_turn(no, no, no, answer({"now": 1})))
    async with origin:
        assert (await origin.get("/x")).body == b'{"now": 1}'
    assert len(server.requests) == 4 == origin.requests


async def test_a_status_that_stays_is_reported_after_the_last_attempt(
    server: HostileServer, origin: OriginSession
) -> None:
    server.on("/x", answer({}, status=503))
    error = await failure(origin)
    assert isinstance(error, OriginRefused) and error.status == 503
    assert len(server.requests) == 4


async def test_retry_after_is_waited_for(server: HostileServer, origin: OriginSession) -> None:
    server.on("/x", in_turn(answer({}, status=429, headers={"Retry-After": "1"}), answer({})))
    async with origin:
        await origin.get("/x")
    first, second = server.requests
    assert 1.0 <= second.at - first.at < 1.5


async def test_retry_after_may_be_a_date_on_the_servers_clock(server: HostileServer, origin: OriginSession) -> None:
    headers = {"Retry-After": "Fri, 20 Nov 2020 17:00:01 GMT", "Date": "Fri, 20 Nov 2020 17:00:00 GMT"}
    server.on("/x", in_turn(answer({}, status=503, headers=headers), answer({})))
    async with origin:
        await origin.get("/x")
    first, second = server.requests
    assert 1.0 <= second.at - first.at < 1.5


async def test_a_longer_pause_than_a_visit_waits_ends_it(server: HostileServer, origin: OriginSession) -> None:
    server.on("/x", answer({}, status=429, headers={"Retry-After": "3600"}))
    error = await failure(origin)
    assert isinstance(error, OriginRefused)
    assert (error.status, error.retry_after_s, len(server.requests)) == (429, 3600, 1)


async def test_a_connection_that_went_stale_is_replaced_at_once(server: HostileServer, settings: Settings) -> None:
    server.on("/x", hang_up_after(answer({})))
    server.on("/y", in_turn(reset(), answer({})))
    slow = local_settings(outbound_backoff_first_s=5, outbound_backoff_last_s=5)
    started = time.monotonic()
    async with OriginSession(slow, server.url) as origin:
        for _ in range(3):
            await origin.get("/x")
        await origin.get("/y")
    assert time.monotonic() - started < 1


async def test_a_cut_answer_is_asked_again(server: HostileServer, origin: OriginSession) -> None:
    for number, broken in enumerate([cut(b"{", announced=9), cut(b"{", announced=9, reset=True), reset()]):
        server.on(f"/{number}", in_turn(broken, answer({})))
    async with origin:
        for number in range(3):
            assert (await origin.get(f"/{number}")).body == b"{}"


async def test_bytes_after_the_announced_length_do_not_reach_the_next_answer(
    server: HostileServer, origin: OriginSession
) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    server.on("/x", raw(poison))
    server.on("/y", answer(b"clean"))
    async with origin:
        assert (await origin.get("/x")).body == b"{}"
        assert (await origin.get("/y")).body == b"clean"


async def test_requests_keep_their_number_at_once_and_their_rate(server: HostileServer, settings: Settings) -> None:
    server.on("/x", after(0.02, answer({})))
    async with OriginSession(settings, server.url, concurrency=2, requests_per_s=40) as origin:
        await asyncio.gather(*(origin.get("/x") for _ in range(12)))
    moments = [request.at for request in server.requests]
    assert server.most_at_once <= 2 >= server.connections
    assert moments[-1] - moments[0] >= 11 / 40 - 0.01


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(silence(), id="silence"),
        pytest.param(drip(b"x" * 100, every_s=30, sent=5), id="idle"),
        pytest.param(cut(b"x" * 10, announced=100), id="short body"),
        pytest.param(answer(b"x" * 2_000_000), id="too large"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), id="not HTTP"),
    ],
)
async def test_after_a_fault_a_fresh_connection_is_used_and_then_kept(server: HostileServer, fault: Behaviour) -> None:
    """The rest of a broken answer is never read as the beginning of the next one."""
    server.on("/bad", fault)
    server.on("/x", answer(b"good"))
    async with OriginSession(impatient(), server.url, requests_per_s=0) as origin:
        assert (await origin.get("/x")).body == b"good"
        with pytest.raises(OriginError):
            await origin.get("/bad", attempts=1)
        for _ in range(3):
            assert (await origin.get("/x")).body == b"good"
    first, *_, second, third, fourth = server.requests
    assert first.connection < second.connection == third.connection == fourth.connection


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (silence(), Unreachable.FIRST_BYTE),
        (drip(b"x" * 100, every_s=30, sent=5), Unreachable.IDLE),
        (drip(b"x" * 100, every_s=0.05), Unreachable.TOTAL),
        (reset(), Unreachable.LOST),
        (cut(b"x" * 10, announced=100, reset=True), Unreachable.LOST),
    ],
)
async def test_an_error_says_in_which_step_there_was_no_answer(
    server: HostileServer, behaviour: Behaviour, kind: Unreachable
) -> None:
    server.on("/x", behaviour)
    error = await failure(OriginSession(impatient(), server.url, requests_per_s=0), attempts=1)
    assert isinstance(error, OriginUnreachable) and error.kind is kind


async def test_the_first_byte_may_take_longer_than_the_silence_between_two_reads(server: HostileServer) -> None:
    server.on("/x", after(0.5, answer(b"late")))
    server.on("/y", drip(b"x" * 100, every_s=30, sent=5))
    settings = impatient(outbound_first_byte_timeout_s=2, outbound_read_timeout_s=0.2, outbound_total_timeout_s=5)
    async with OriginSession(settings, server.url, requests_per_s=0) as origin:
        assert (await origin.get("/x")).body == b"late"
        started = time.monotonic()
        with pytest.raises(OriginUnreachable, match=r"idle for 0\.2 s"):
            await origin.get("/y")
        assert time.monotonic() - started < 1.5

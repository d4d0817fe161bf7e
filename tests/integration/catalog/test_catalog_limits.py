"""Hard edges: sizes, times and numbers of requests, whose word counts about them, and streams to slow readers."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any

import asyncpg
import brotli
import httpx2
import pytest
import zstandard

from tests.catalog_factory import Factory, Serving, line


async def raw(client: httpx2.AsyncClient, sent: bytes, within_s: float = 10) -> bytes:
    """What the server answers to these bytes, until it closes."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(within_s):
            return await reader.read()
    finally:
        writer.close()


def is_error(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    body: dict[str, Any] = answer.json()
    assert body["status"] == body["status_code"] == status
    return body


# sizes and times of a request


@pytest.mark.parametrize("length", [2_000, 70_000, 300_000])
async def test_address_over_the_limit_is_414(serving: Serving, length: int) -> None:
    async with serving(url_max_bytes=1_000) as client:
        head = b"GET /api/search?token=" + b"a" * length + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        answer = await raw(client, head)
        assert answer.startswith(b"HTTP/1.1 414 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 414
        assert (await client.get("/api/live")).status_code == 200


async def test_headers_over_the_limit_are_431(serving: Serving) -> None:
    async with serving(header_max_bytes=4_000) as client:
        assert (await client.get("/api/live", headers={"x-much": "a" * 2_000})).status_code == 200
        is_error(await client.get("/api/live", headers={"x-much": "a" * 4_000}), 431)
        is_error(await client.get("/api/live", headers={f"x-{number}": "a" for number in range(140)}), 431)
        endless = await raw(client, b"GET /api/live HTTP/1.1\r\nx-much: " + b"a" * 200_000)
        assert endless.startswith(b"HTTP/1.1 431 ")


async def test_what_is_no_http_is_400_in_json(client: httpx2.AsyncClient) -> None:
    answer = await raw(client, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400


@pytest.mark.parametrize(
    "slow",
    [
        b"GET /api/live HTTP/1.1\r\nhost: a",
        b"POST /api/search HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{",
        b"GET /api/live HTTP/1.1\r\nhost: a\r\n\r\nGET /api/live HT",
        b"",
    ],
)
async def test_request_that_does_not_arrive_is_ended(serving: Serving, slow: bytes) -> None:
    async with serving(request_read_timeout_s=0.3) as client:
        began = time.monotonic()
        await raw(client, slow)
        assert 0.2 < time.monotonic() - began < 5
        assert (await client.get("/api/live")).status_code == 200


async def test_dripping_head_is_not_kept_alive_by_its_drops(serving: Serving) -> None:
    async with serving(request_read_timeout_s=0.4) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"GET /api/live HTTP/1.1\r\n")
        async with asyncio.timeout(5):
            drops = asyncio.create_task(_drip(writer))
            answer = await reader.read()
        drops.cancel()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")


async def _drip(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"x-a: b\r\n")
        await asyncio.sleep(0.05)


async def test_long_answers_are_no_slow_requests(serving: Serving, factory: Factory) -> None:
    """The time limit is for the request: a handler that takes longer is not cut off."""
    async with serving(request_read_timeout_s=0.2) as client:
        async with client.stream("GET", "/api/changes", params={"wait_s": "1"}) as answer:
            await answer.aread()
        assert answer.status_code in (200, 400)


# how many at once


async def test_connections_over_the_limit_are_503(serving: Serving) -> None:
    async with serving(connections_max=3) as client:
        held = [await asyncio.open_connection(client.base_url.host, client.base_url.port) for _ in range(3)]
        try:
            await asyncio.sleep(0.1)
            assert (await raw(client, b"")).startswith(b"HTTP/1.1 503 ")
        finally:
            for _, writer in held:
                writer.close()


async def test_requests_over_the_ceiling_are_503_and_health_still_answers(serving: Serving, factory: Factory) -> None:
    async with serving(requests_at_once=1, pool_size=2) as client:
        await factory.connection.execute("BEGIN")
        await factory.connection.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        try:
            held = [asyncio.create_task(client.get("/api/users")) for _ in range(3)]
            async with asyncio.timeout(5):
                while sum(task.done() for task in held) < 2:  # noqa: ASYNC110 (answers of a server)
                    await asyncio.sleep(0.02)
            assert (await client.get("/api/live")).status_code == 200
            assert (await client.get("/api/ready")).status_code == 200
        finally:
            await factory.connection.execute("ROLLBACK")
        answers = [await task for task in held]
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
        busy = next(answer for answer in answers if answer.status_code == 503)
        assert int(busy.headers["retry-after"]) > 0


async def test_statement_that_takes_too_long_is_503_and_says_what_to_do(serving: Serving, factory: Factory) -> None:
    async with serving(statement_timeout_s=0.2) as client:
        await factory.connection.execute("BEGIN")
        await factory.connection.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        try:
            body = is_error(await client.get("/api/users"), 503)
        finally:
            await factory.connection.execute("ROLLBACK")
        assert "ask for" in body["message"]


async def test_clients_over_their_rate_get_429_and_are_told_when_to_come_again(serving: Serving) -> None:
    async with serving(rate_limit_per_s=0.5, rate_limit_burst=3) as client:
        answers = [await client.get("/api/conformance") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["ratelimit-policy"] == '"client";q=3;w=6'
        assert answers[0].headers["ratelimit"] == '"client";r=2;t=2'
        is_error(answers[3], 429)
        assert answers[3].headers["ratelimit"] == '"client";r=0;t=2'
        assert answers[3].headers["retry-after"] == "2"
        assert (await client.get("/api/live")).status_code == 200


async def test_rate_limit_is_off_by_default(client: httpx2.AsyncClient) -> None:
    answers = [await client.get("/api/conformance") for _ in range(120)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


async def test_rate_is_of_the_client_a_trusted_proxy_names(serving: Serving) -> None:
    async with serving(rate_limit_per_s=0.01, rate_limit_burst=1, trusted_proxies="127.0.0.0/8") as client:
        for address in ("1.2.3.4", "1.2.3.5", "2001:db8::1"):
            assert (await client.get("/api/conformance", headers={"x-forwarded-for": address})).status_code == 200
        for said in ("1.2.3.4", "9.9.9.9, 1.2.3.4", "1.2.3.4, 127.0.0.1", "2001:db8::2"):
            assert (await client.get("/api/conformance", headers={"x-forwarded-for": said})).status_code == 429, said
    async with serving(rate_limit_per_s=0.01, rate_limit_burst=1, trusted_proxies="10.0.0.0/8") as client:
        statuses = [
            (await client.get("/api/conformance", headers={"x-forwarded-for": f"1.2.3.{number}"})).status_code
            for number in range(2)
        ]
        assert statuses == [200, 429]


# whose word counts


async def root_of(client: httpx2.AsyncClient, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    landing = (await client.get("/api", headers=named)).json()
    return str(next(link["href"] for link in landing["links"] if link["rel"] == "root"))


async def test_forwarding_headers_of_strangers_are_not_believed(serving: Serving) -> None:
    async with serving(port=8080, allowed_hosts="a.example") as client:
        for name in ("x_forwarded_host", "x_forwarded_prefix", "x_forwarded_proto", "forwarded", "x_host"):
            root = await root_of(client, host="evil.example", **{name: "host=evil.example"})
            assert root == "http://127.0.0.1:8080/api/", name


async def test_trusted_proxy_names_the_address_if_that_is_allowed(serving: Serving) -> None:
    async with serving(port=8080, trusted_proxies="127.0.0.1", allowed_hosts="a.example, b.example:444") as client:
        own = "http://127.0.0.1:8080/api/"
        said = {"x_forwarded_host": "a.example", "x_forwarded_proto": "https", "x_forwarded_prefix": "/street"}
        assert await root_of(client, host="x", **said) == "https://a.example/street/api/"
        assert await root_of(client, host="x", **said | {"x_forwarded_host": "b.example:444"}) == (
            "https://b.example:444/street/api/"
        )
        assert await root_of(client, host="x", **said | {"x_forwarded_host": "evil.example"}) == own
        assert await root_of(client, host="x", **said | {"x_forwarded_proto": "javascript"}) == own
        assert await root_of(client, host="x", **said | {"x_forwarded_prefix": '/a"b'}) == own
        assert await root_of(client, host="x", forwarded="host=a.example;proto=https") == own
        assert await root_of(client, host="http://evil.example") == own
    async with serving(trusted_proxies="127.0.0.1", allowed_hosts="a.example", forwarded_header="forwarded") as client:
        said = {"forwarded": 'for=1.2.3.4;proto=https;host="a.example"', "x_forwarded_host": "evil.example"}
        assert await root_of(client, host="x", **said) == "https://a.example/api/"


async def test_public_url_rules_over_every_header(serving: Serving) -> None:
    async with serving(
        public_url="https://catalog.example", trusted_proxies="127.0.0.1", allowed_hosts="a.example"
    ) as client:
        assert await root_of(client, x_forwarded_host="a.example") == "https://catalog.example/api/"


async def test_allowed_host_may_be_asked_for_directly(serving: Serving) -> None:
    async with serving(allowed_hosts="a.example") as client:
        assert await root_of(client, host="A.example") == "http://a.example/api/"


# streams


def unpacked(raw: bytes, coding: str) -> bytes:
    if coding == "br":
        return bytes(brotli.decompress(raw))
    return gzip.decompress(raw) if coding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
async def test_streams_are_compressed_and_can_be_revalidated(
    client: httpx2.AsyncClient, factory: Factory, coding: str
) -> None:
    await factory.sequence(line(2.0, 48.0, 1_200, step_deg=0.0001))
    params = {"bbox": "1,47,4,49", "limit": "2000"}
    plain = await client.get("/api/search", params=params, headers={"accept-encoding": "identity"})
    assert plain.json()["numberReturned"] == 1_200
    async with client.stream("GET", "/api/search", params=params, headers={"accept-encoding": coding}) as answer:
        sent = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["vary"].lower() == "accept-encoding"
    assert len(sent) < len(plain.content) / 4
    assert unpacked(sent, coding) == plain.content
    known = {"if-none-match": answer.headers["etag"]}
    for method in ("GET", "HEAD"):
        again = await client.request(method, "/api/search", params=params, headers=known)
        assert (again.status_code, again.content) == (304, b"")
    await factory.connection.execute(
        "INSERT INTO changes (instance, sequence, kind) SELECT instance, id, 'upsert' FROM sequences"
    )
    assert (await client.get("/api/search", params=params, headers=known)).status_code == 200


async def test_streams_are_new_after_a_change_that_was_begun_before_the_last_one(
    client: httpx2.AsyncClient, factory: Factory, database: str
) -> None:
    """A transaction that commits late has a smaller number than what is known already."""
    await factory.sequence(line(2.0, 48.0, 1_200, step_deg=0.0001))
    await factory.sequence(line(2.5, 48.5, 3))
    params = {"bbox": "1,47,4,49", "limit": "2000"}
    # two sequences: of one, the second writer would wait for the first
    note = "INSERT INTO changes (instance, sequence, kind) SELECT instance, id, 'upsert' FROM sequences WHERE pictures"
    late = await asyncpg.connect(database)
    await late.execute(f"BEGIN; {note} > 3")
    await factory.connection.execute(f"{note} = 3")
    known = {"if-none-match": (await client.get("/api/search", params=params)).headers["etag"]}
    assert (await client.get("/api/search", params=params, headers=known)).status_code == 304
    await late.execute("COMMIT")
    await late.close()
    assert (await client.get("/api/search", params=params, headers=known)).status_code == 200


async def test_reader_that_stops_loses_its_connection_and_its_place(serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 3_000, step_deg=0.0001))
    params = {"bbox": "1,47,4,49", "limit": "10000"}
    async with serving(large_answers_at_once=1, slow_reader_timeout_s=0.5) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=1_000)
        writer.write(b"GET /api/search?bbox=1,47,4,49&limit=10000 HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readline()
        assert (await client.get("/api/search", params=params)).status_code == 503
        async with asyncio.timeout(10):
            while (await client.get("/api/search", params=params)).status_code != 200:  # noqa: ASYNC110 (a server)
                await asyncio.sleep(0.1)
        writer.transport.abort()


async def test_client_that_leaves_frees_its_place_at_once(serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 3_000, step_deg=0.0001))
    async with serving(large_answers_at_once=1) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=1_000)
        writer.write(b"GET /api/search?bbox=1,47,4,49&limit=10000 HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readline()
        writer.transport.abort()
        async with asyncio.timeout(5):
            params = {"bbox": "1,47,4,49", "limit": "10000"}
            while (await client.get("/api/search", params=params)).status_code != 200:  # noqa: ASYNC110 (a server)
                await asyncio.sleep(0.05)


# what answers carry


async def test_head_is_revalidated_like_get(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 2))
    for path in ("/api/search", "/api/collections", "/api/conformance", "/api"):
        first = await client.get(path)
        assert first.headers["etag"] and first.headers["cache-control"].startswith("public, max-age=")
        again = await client.head(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["vary"] == "Accept-Encoding"


async def test_answers_carry_the_request_id(client: httpx2.AsyncClient) -> None:
    own = [(await client.get(path)).headers["x-request-id"] for path in ("/api", "/api", "/nothing")]
    assert len(set(own)) == 3
    assert (await client.get("/api", headers={"x-request-id": "trace-1"})).headers["x-request-id"] == "trace-1"
    for hostile in ("a b", "<script>", "a" * 200, ""):
        assert (await client.get("/api", headers={"x-request-id": hostile})).headers["x-request-id"] != hostile


@pytest.mark.parametrize("depth", [1_000, 100_000])
async def test_deep_json_is_400(client: httpx2.AsyncClient, depth: int) -> None:
    is_error(await client.post("/api/search", content="[" * depth + "]" * depth), 400)
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = '{"intersects":' + opening * depth + "1" + closing * depth + "}"
        is_error(await client.post("/api/search", content=nested), 400)

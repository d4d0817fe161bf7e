"""What every route does alike: errors, methods, origins, ETags, compression; and what happens without a database."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import brotli
import httpx2
import pytest
import zstandard

from tests.catalog_factory import Factory, Serving, Shot, line

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def is_error(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    body: dict[str, Any] = answer.json()
    assert body["status"] == body["status_code"] == status
    assert body["message"]
    return body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("filter", "field_of_view = "),
        ("sortby", "-nothing"),
        ("place_position", "2"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", "9" * 400),
        ("bbox", "1,2,3"),
        ("bbox", "1,2,x,4"),
        ("bbox", "1,2,nan,4"),
        ("bbox", "0,50,1,40"),
        ("bbox", "0,0,1,91"),
        ("bbox", "0\x00,0,1,1"),
        ("datetime", "yesterday"),
        ("datetime", "2024-13-01"),
        ("datetime", "2024-02-01/2024-01-01"),
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "2024\x00"),
        ("ids", "1234"),
        ("ids", "\x00"),
        ("collections", "a,b"),
        ("token", "???"),
        ("token", "bm9wZQ"),
        ("token", "é" * 1000),
        ("intersects", "{"),
        ("intersects", '{"type":"Circle"}'),
        ("intersects", '{"type":"Point","coordinates":[200,0]}'),
        ("intersects", '{"type":"Point","coordinates":[1e400,0]}'),
        ("intersects", '{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,1],[1,0],[0,0]]]}'),
        ("intersects", "[" * 3000),
    ],
)
async def test_bad_parameters_are_400_and_named(client: httpx2.AsyncClient, name: str, value: str) -> None:
    body = is_error(await client.get("/api/search", params={name: value}), 400)
    assert body["details"]["parameter"] == name
    assert name in body["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"limit":true}', b'{"bbox":[1,2,3]}', b'{"bbox":[[],2,3,4]}',
     b'{"ids":5}', b'{"ids":[5]}', b'{"intersects":[]}', b'{"intersects":{"type":"Polygon","coordinates":5}}',
     b'{"datetime":5}', b'{"token":5}', b'{"limit":1e99}', b'{"bbox":[1e999,0,0,0]}',
     b'{"intersects":{"type":"GeometryCollection","geometries":[null]}}'],
)  # fmt: skip
async def test_bad_bodies_are_400(client: httpx2.AsyncClient, body: bytes) -> None:
    is_error(await client.post("/api/search", content=body), 400)


async def test_body_over_the_limit_is_413(serving: Serving) -> None:
    async with serving(body_max_bytes=1_000) as client:
        is_error(await client.post("/api/search", content=b" " * 2_000), 413)


async def test_content_type_with_charset_is_read(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 1))
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await client.post("/api/search", content=b'{"bbox":[2,48,3,49]}', headers=headers)
    assert len(answer.json()["features"]) == 1


async def test_too_many_vertices_are_refused(serving: Serving) -> None:
    ring = [[n / 1000, (n / 1000) ** 2] for n in range(50)]
    async with serving(geometry_vertices_max=20) as client:
        body = {"intersects": {"type": "LineString", "coordinates": ring}}
        assert "vertices" in is_error(await client.post("/api/search", json=body), 400)["message"]


async def test_token_of_another_search_is_400(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 3))
    first = (await client.get("/api/search", params={"bbox": "2,48,3,49", "limit": 1})).json()
    href = next(link["href"] for link in first["links"] if link["rel"] == "next")
    body = is_error(await client.get(href.replace("bbox=2", "bbox=1")), 400)
    assert body["details"]["parameter"] == "token"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/nothing",
        "/api/map/16/0/0.mvt",
        "/api/pictures/1234",
        f"/api/pictures/{UNKNOWN}",
        f"/api/pictures/{UNKNOWN}/hd.jpg",
        f"/api/pictures/{UNKNOWN}/tiny.jpg",
        "/api/collections/%00",
        f"/api/collections/{UNKNOWN}",
        f"/api/collections/{UNKNOWN}/items",
        f"/api/collections/{UNKNOWN}/thumb.jpg",
        f"/api/collections/{UNKNOWN}/items/{UNKNOWN}",
        "/api/instances/nobody",
        "/api/instances/%00",
    ],
)
async def test_unknown_is_404(client: httpx2.AsyncClient, path: str) -> None:
    is_error(await client.get(path), 404)


async def test_wrong_method_is_405_and_says_what_is_allowed(client: httpx2.AsyncClient) -> None:
    answer = await client.delete("/api/search")
    is_error(answer, 405)
    assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    is_error(await client.post("/api/collections"), 405)


async def test_preflight(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/api/search", headers={"origin": "https://a.example"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"]


async def test_every_path_answers_with_and_without_slash_and_to_head(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 2))
    item = f"/api/collections/{stored.id}/items/{next(iter(stored.items))}"
    paths = ["/", "/api", "/api/conformance", "/api/live", "/api/configuration", "/api/collections", "/api/search",
             "/api/instances", "/api/instances/north", f"/api/collections/{stored.id}", item,
             f"/api/collections/{stored.id}/items"]  # fmt: skip
    for path in paths:
        for form in (path, path.rstrip("/") + "/"):
            answer = await client.get(form)
            assert answer.status_code == 200, form
            assert answer.headers["access-control-allow-origin"] == "*"
            head = await client.head(form)
            assert (head.status_code, head.content) == (200, b"")
    assert (await client.post("/api/search/", json={})).status_code == 200


async def test_etag_answers_304(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 2))
    path = f"/api/pictures/{next(iter(stored.items))}"
    first = await client.get(path)
    again = await client.get(path, headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["access-control-allow-origin"] == "*"
    assert again.headers["etag"] == first.headers["etag"]
    other = await client.get(path, headers={"if-none-match": 'W/"0"'})
    assert other.status_code == 200


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
async def test_answers_are_compressed_as_asked(client: httpx2.AsyncClient, factory: Factory, coding: str) -> None:
    await factory.sequence(line(2.35, 48.85, 5))
    plain = await client.get("/api/search", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with client.stream("GET", "/api/search", headers={"accept-encoding": coding}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["etag"] == plain.headers["etag"]
        assert "accept-encoding" in answer.headers["vary"].lower()
    assert unpacked(raw, coding) == plain.content


def unpacked(raw: bytes, coding: str) -> bytes:
    if coding == "br":
        return bytes(brotli.decompress(raw))
    return gzip.decompress(raw) if coding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)


async def test_small_answers_are_not_compressed(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/live", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers


async def test_host_header_is_believed_for_loopback_only(serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 1))
    async with serving(port=8080) as client:
        cases = {"evil.example": "http://127.0.0.1:8080/api/", "localhost:99": "http://localhost:99/api/"}
        for host, root in cases.items():
            landing = (await client.get("/api", headers={"host": host})).json()
            assert landing["links"][0]["href"] == root
    async with serving(public_url="https://catalog.example/") as client:
        landing = (await client.get("/api", headers={"host": "localhost:99"})).json()
        assert landing["links"][0]["href"] == "https://catalog.example/api/"


async def test_instances_have_both_spellings(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 3))
    answer = (await client.get("/api/instances")).json()["instances"]
    assert [each["name"] for each in answer] == ["north"]
    assert {"last_succesful_harvest", "last_successful_harvest", "extent", "configuration", "url"} <= set(answer[0])
    assert answer[0]["nb_pictures"] == 3
    assert (await client.get("/api/instances/north")).json() == answer[0]


async def test_landing_says_what_is_here(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 3))
    landing = (await client.get("/api")).json()
    assert landing["stac_version"].startswith("1.")
    assert landing["nb_pictures"] == 3
    for link in landing["links"]:
        if "{" not in link["href"] and link.get("method") != "POST":
            # without a name there is nobody to search for
            expected = 400 if link["rel"] == "user-search" else 200
            assert (await client.get(link["href"])).status_code == expected, link
    home = await client.get("/about")
    assert home.headers["content-type"].startswith("text/html")
    assert "<dt>pictures</dt><dd>3</dd>" in home.text
    assert home.text.count("/thumb.jpg") == 3


async def test_without_a_database_it_is_503_and_recovers(database: str, serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 1))
    async with serving() as client:
        assert (await client.get("/api/search")).status_code == 200
        name = await factory.connection.fetchval("SELECT current_database()")
        await factory.connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await factory.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.1)
        await factory.connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        statuses = [(await client.get("/api/search")).status_code for _ in range(6)]
        assert statuses[-1] == 200
    async with serving(database_url="postgresql://nobody@127.0.0.1:1/nothing") as client:
        answer = await client.get("/api/live")
        is_error(answer, 503)
        assert int(answer.headers["retry-after"]) > 0


async def test_large_answers_have_a_limit_of_their_own(serving: Serving, factory: Factory) -> None:
    shots = [Shot(longitude=2.0 + n / 10_000, latitude=48.0) for n in range(1_500)]
    await factory.sequence(shots)
    async with serving(large_answers_at_once=1, pool_size=4) as client:
        params: dict[str, str | int] = {"bbox": "1,47,4,49", "limit": 5_000}
        async with client.stream("GET", "/api/search", params=params) as slow:
            pieces = slow.aiter_raw()
            await anext(pieces)
            answers = await asyncio.gather(*(client.get("/api/search", params=params) for _ in range(3)))
            assert {answer.status_code for answer in answers} <= {200, 503}
            small = await client.get("/api/search", params={"bbox": "1,47,4,49"})
            assert small.status_code == 200
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy, "three at once beside one that is read slowly"
        assert int(busy[0].headers["retry-after"]) > 0
        assert (await client.get("/api/search", params=params)).status_code == 200


async def test_hostile_names_stay_text_on_a_page(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 1))
    await factory.connection.execute(
        "UPDATE instances SET name = '<script>alert(1)</script>', url = 'https://x/\"><b>'"
    )
    home = (await client.get("/about")).text
    assert "<script>alert" not in home
    assert '"><b>' not in home

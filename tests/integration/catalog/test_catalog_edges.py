"""Requests that mean harm: each is a 400 that names the field and its value, and the workers are the same ones."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from panofed.cluster import Cluster
from tests.integration.catalog.test_catalog_serve import is_live, running, workers

UNKNOWN = "00000000-0000-4000-8000-000000000000"
#: What a client might put where a text is wanted.
TEXTS = {
    "NUL": "\x00", "NUL within": "a\x00b", "controls": "\x01\x1f\x7f", "right to left": "\u202e\u200b",
    "no character": "\ufffe", "beyond 16 bits": "\U0001f600", "quotes": "'\"\\;--", "line ends": "a\r\nX-Header: b",
    "long": "x" * 20_000,
}  # fmt: skip
#: Parameters of a search for which none of these can be right.
STRICT = (
    "limit", "bbox", "datetime", "ids", "collections", "intersects", "filter", "filter-lang", "sortby", "count",
    "token", "format", "place_position", "place_distance", "place_fov_tolerance",
)  # fmt: skip


@pytest.fixture(scope="module")
async def server(
    cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx2.AsyncClient]:
    """A catalog of two workers; afterwards they must be the same two."""
    name = f"test_{secrets.token_hex(6)}"
    administrator = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        with running(cluster.dsn(name), tmp_path_factory.mktemp("served")) as (process, base):
            async with httpx2.AsyncClient(base_url=base, timeout=30) as client:
                assert await is_live(client, 15)
                first = {each.pid for each in workers(process)}
                assert len(first) == 2
                yield client
                assert await is_live(client, 5)
                assert {each.pid for each in workers(process)} == first
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


def names(answer: httpx2.Response, parameter: str) -> None:
    """It is a 400 for this parameter that says what its value was."""
    assert answer.status_code == 400, answer.text[:300]
    details = answer.json()["details"]
    assert details["parameter"] == parameter, details
    assert details["value"] is not None and details["problem"]
    # an error is no way to send somebody a page of one's own
    assert len(answer.content) < 4_000
    assert "x-header" not in answer.headers


def circle(vertices: int) -> dict[str, Any]:
    ring = [[2 + math.cos(turn), 48 + math.sin(turn)] for turn in (math.tau * n / vertices for n in range(vertices))]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def nested(depth: int, within: str = "1") -> str:
    return "[" * depth + within + "]" * depth


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_no_text_is_taken_where_it_cannot_be_meant(server: httpx2.AsyncClient, text: str) -> None:
    for name in STRICT:
        names(await server.get("/api/search", params={name: text}), name)
        names(await server.post("/api/search", json={name: text}), name)
    for path, parameters in {
        "/api/collections": ("limit", "bbox", "datetime", "filter", "filter-lang", "sortby", "count", "format"),
        f"/api/collections/{UNKNOWN}/items": ("limit", "bbox", "datetime", "startAfterRank", "withPicture"),
        "/api/changes": ("since", "limit", "wait", "format"),
        "/api/users": ("limit", "token"),
    }.items():
        for name in parameters:
            names(await server.get(path, params={name: text}), name)


@pytest.mark.parametrize("raw", ["%00", "%ff%fe", "%c3%28", "%ed%a0%80", "%", "%zz", "a%0d%0aX-Header:%20b"])
async def test_no_bytes_are_taken_for_a_text(server: httpx2.AsyncClient, raw: str) -> None:
    for name in ("filter", "ids", "token", "bbox", "sortby", "datetime"):
        names(await server.get(f"/api/search?{name}={raw}"), name)
    for path in (f"/api/collections/{raw}", f"/api/pictures/{raw}", f"/api/users/{raw}", f"/api/instances/{raw}/logo"):
        assert (await server.get(path)).status_code in (400, 404)


@pytest.mark.parametrize("depth", [80, 500, 1_000])
async def test_deep_json_names_its_member(server: httpx2.AsyncClient, depth: int) -> None:
    """Also a member nobody knows: it would be repeated in the link to the next page."""
    for name in ("unknown", "intersects", "fields", "sortby", "bbox", "ids", "filter", "place_position", "format"):
        names(await server.post("/api/search", content=f'{{"{name}":{nested(depth)}}}'), name)
    collections = '{"type":"GeometryCollection","geometries":['
    geometry = collections * depth + '{"type":"Point","coordinates":[1,1]}' + "]}" * depth
    answer = await server.post("/api/search", content=f'{{"intersects":{geometry}}}')
    # beyond 1,024 the body itself cannot be read
    names(answer, "intersects" if depth < 500 else answer.json()["details"]["parameter"])
    names(await server.get("/api/search", params={"intersects": geometry[:20_000]}), "intersects")


async def test_deeper_json_is_no_body(server: httpx2.AsyncClient) -> None:
    for body in (nested(100_000), f'{{"filter":{nested(100_000)}}}', '{"a":' * 100_000):
        names(await server.post("/api/search", content=body), "body")


@pytest.mark.parametrize(
    "geometry",
    [
        circle(2_001), circle(20_000),
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [2, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Point", "coordinates": ["1", "2"]},
        {"type": "Point", "coordinates": [True, False]},
        {"type": "Point", "coordinates": [1]},
        {"type": "Point", "coordinates": [1, 2, 3, 4, 5]},
        {"type": "Point", "coordinates": [0, 91]},
        {"type": "Point", "coordinates": [400, 0]},
        {"type": "Point", "coordinates": "1,1"},
        {"type": "Point", "coordinates": [[1, 1]]},
        {"type": "LineString", "coordinates": [[1, 1], 2]},
        {"type": 5, "coordinates": [1, 1]},
        {"type": ["Point"], "coordinates": [1, 1]},
        {"type": "Point"},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        {"type": "GeometryCollection", "geometries": [None]},
        {"type": "GeometryCollection", "geometries": "all"},
        {"type": "GeometryCollection", "geometries": []},
        {},
    ],
    ids=lambda geometry: str(geometry)[:60],
)  # fmt: skip
async def test_what_is_no_geometry_is_not_made_one(server: httpx2.AsyncClient, geometry: dict[str, Any]) -> None:
    names(await server.post("/api/search", json={"intersects": geometry}), "intersects")
    condition = {"op": "s_intersects", "args": [{"property": "geometry"}, geometry]}
    names(await server.post("/api/search", json={"filter": condition}), "filter")


@pytest.mark.parametrize(
    "condition",
    [
        "NOT " * 100_000 + "type = 'flat'",
        "(" * 2_000 + "type = 'flat'" + ")" * 2_000,
        "(" * 32 + "type = " + ")" * 32,
        "-" * 50_000 + "1 = type",
        "license = pg_sleep(5)",
        "pg_read_file('/etc/passwd') = 'a'",
        "license = 'a'; DROP TABLE pictures",
        "license = 'a' -- ",
        "license = '\x00'",
        " OR ".join(f"license = '{number}'" for number in range(300)),
        {"op": "pg_sleep", "args": [5]},
        {"op": "=", "args": [{"property": "type"}, "\x00"]},
        {"op": "=", "args": [{"property": "semantics.\x00"}, "a"]},
        {"op": "=", "args": [{"property": "type; DROP TABLE pictures"}, "a"]},
        {"op": "=", "args": [{"property": "field_of_view"}, "1) OR (1=1"]},
        {"op": "like", "args": [{"property": "license"}, "\x00%"]},
        {"op": "in", "args": [{"property": "license"}, ["a"] * 1_001]},
        {"op": "in", "args": [{"property": "license"}, [{"op": "pg_sleep", "args": [5]}]]},
        {"op": "and", "args": [{"op": "not", "args": [True, False]}] * 2},
        {"op": ["="], "args": []},
        {"op": "=", "args": {"0": 1}},
    ],
    ids=lambda condition: str(condition)[:40].replace("\x00", "NUL"),
)
async def test_no_filter_reaches_what_it_should_not(server: httpx2.AsyncClient, condition: object) -> None:
    answer = await server.post("/api/search", json={"filter": condition})
    names(answer, "filter")
    assert answer.elapsed.total_seconds() < 5
    if isinstance(condition, str) and len(condition) < 20_000:
        names(await server.get("/api/search", params={"filter": condition}), "filter")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ids", [f"00000000-0000-4000-8000-{number:012x}" for number in range(1_001)]),
        ("collections", [f"00000000-0000-4000-8000-{number:012x}" for number in range(1_001)]),
        ("ids", [UNKNOWN, 5]), ("ids", {"0": UNKNOWN}), ("limit", 1e3), ("limit", True), ("limit", [1]),
        ("q", "a " * 50_000), ("q", ["a"] * 11), ("q", "\x00"), ("fields", {"include": ["a"] * 1_000}), ("fields", 5),
        ("fields.include", {"include": 5}), ("sortby", [{"field": "id", "direction": "asc"}] * 9),
        ("sortby", [{"field": "id; DROP TABLE pictures", "direction": "asc"}]), ("sortby", {"id": "asc"}),
        ("sortby", [{"field": "id", "direction": 5}]), ("format", {"csv": 1}), ("count", ["exact"]),
        ("token", "A" * 200_000), ("token", ["a"]), ("datetime", "2024-01-01T00:00:00Z/" * 1_000), ("datetime", [1]),
        ("place_position", {"lon": 1}), ("place_position", [1, 1, 1]), ("place_distance", "1e9-1e10"),
        ("place_fov_tolerance", 1e99), ("filter-lang", "sql"), ("filter-lang", ["cql2-text"]),
    ],
    ids=lambda value: str(value)[:30].replace("\x00", "NUL"),
)  # fmt: skip
async def test_members_of_another_kind_or_size_are_named(server: httpx2.AsyncClient, name: str, value: object) -> None:
    names(await server.post("/api/search", json={name.partition(".")[0]: value}), name)


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe{}", '{"limit":1}'.encode("utf-16"), b'{"q":"\\ud800"}', b"[]", b'"a"', b"5", b"<a/>", b"limit=1",
     b"\x1f\x8b\x08", b'{"bbox":[NaN,1,2,3]}', b'{"limit":Infinity}'],
)  # fmt: skip
async def test_what_is_no_json_object_is_no_body(server: httpx2.AsyncClient, body: bytes) -> None:
    names(await server.post("/api/search", content=body), "body")


async def test_headers_that_make_no_sense_change_nothing(server: httpx2.AsyncClient) -> None:
    for name, value in {
        "range": "bytes=9-1", "if-none-match": '\\"\'""' * 100, "accept": "x" * 5_000,
        "accept-encoding": "gzip;q=nan, br;q=inf, zstd;q=-1, ;;;,,,",
        "x-forwarded-host": "evil.example", "forwarded": 'host="evil.example',
    }.items():  # fmt: skip
        answer = await server.get("/api/search", headers={name: value})
        assert answer.status_code == 200 and "evil.example" not in answer.text

"""Search: exact nearness, complete paging, dates, ids, sequences, the edges of the plane."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.catalog_factory import START, Factory, Serving, Shot, line


async def everything(client: httpx2.AsyncClient, params: dict[str, Any]) -> list[str]:
    """The ids of all pages of a search."""
    found, answer = [], (await client.get("/api/search", params=params)).json()
    while True:
        found += [item["id"] for item in answer["features"]]
        following = [link for link in answer["links"] if link["rel"] == "next"]
        if not following:
            return found
        answer = (await client.get(following[0]["href"])).json()


async def brute(factory: Factory, where: str, longitude: float, latitude: float, *values: object) -> list[str]:
    """All served pictures that meet a condition, nearest first."""
    rows = await factory.connection.fetch(
        f"SELECT id FROM pictures WHERE served AND {where}"
        f" ORDER BY ST_DistanceSpheroid(geom, ST_SetSRID(ST_MakePoint({longitude}, {latitude}), 4326)), id",
        *values,
    )
    return [str(row["id"]) for row in rows]


def scattered(seed: int, count: int, longitude: float, latitude: float, spread_deg: float) -> list[Shot]:
    """Pictures in clumps, as in real streets, across the antimeridian and up to the poles where they get there."""
    rnd = random.Random(seed)
    shots = []
    for _ in range(count):
        x = longitude + rnd.gauss(0, spread_deg) * rnd.choice([1, 0.1, 0.01])
        y = max(-90.0, min(90.0, latitude + rnd.gauss(0, spread_deg) * rnd.choice([1, 0.1, 0.01])))
        shots.append(Shot(longitude=(x + 180) % 360 - 180, latitude=y))
    return shots


@pytest.mark.parametrize("resolution", [0, 2, 4])
@pytest.mark.parametrize(
    ("longitude", "latitude", "spread"),
    [
        (2.35, 48.85, 0.5),
        (0.0, 0.0, 10.0),
        (25.0, 70.0, 3.0),
        (30.0, 89.9, 0.2),
        (-60.0, -89.99, 0.05),
        (179.9, -17.0, 0.5),
    ],
    ids=["city", "wide", "north", "pole", "south pole", "antimeridian"],
)
async def test_nearness_is_exact(
    client: httpx2.AsyncClient, factory: Factory, longitude: float, latitude: float, spread: float, resolution: int
) -> None:
    factory.leaf_resolution = resolution
    await factory.sequence(scattered(1, 300, longitude, latitude, spread))
    rnd = random.Random(2)
    for _ in range(8):
        width, height = rnd.choice([0.01, 0.3, 2.0]) * spread, rnd.choice([0.05, 1.0]) * spread
        x, y = longitude + rnd.gauss(0, spread) / 3, latitude + rnd.gauss(0, spread) / 3
        west, east = x - width, x + width
        if east > 180 or width > 179:
            west, east = max(-180.0, longitude - 2 * width), 180.0
        south, north = max(-90.0, y - height), min(90.0, y + height)
        if south > north:
            continue
        box = (west, south, east, north)
        where = "ST_X(geom) BETWEEN $1 AND $3 AND ST_Y(geom) BETWEEN $2 AND $4"
        expected = await brute(factory, where, (west + east) / 2, (south + north) / 2, *box)
        for limit in (1, 7, 100, 270):
            params = {"bbox": ",".join(map(repr, box)), "limit": limit}
            answer = (await client.get("/api/search", params=params)).json()
            assert [item["id"] for item in answer["features"]] == expected[:limit]


async def test_half_a_world_is_answered_newest_first(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(scattered(4, 60, 10.0, 10.0, 20.0))
    found, url = [], "/api/search?bbox=-60,-50,80,60&limit=7"
    while url:
        page = (await client.get(url)).json()
        found += page["features"]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    inside = await factory.connection.fetch(
        "SELECT id FROM pictures WHERE geom && ST_MakeEnvelope(-60, -50, 80, 60, 4326) ORDER BY datetime DESC, id"
    )
    assert [item["id"] for item in found] == [str(row["id"]) for row in inside]


async def test_nearness_is_exact_across_the_antimeridian(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(scattered(3, 400, 180.0, -17.0, 0.5))
    for west, east in ((179.5, -179.5), (179.9, -179.0), (178.0, -179.99), (160.0, -160.0)):
        width = east - west + 360
        centre = west + width / 2
        where = "(ST_X(geom) >= $1 OR ST_X(geom) <= $2) AND ST_Y(geom) BETWEEN -17.3 AND -16.8"
        expected = await brute(factory, where, centre if centre <= 180 else centre - 360, -17.05, west, east)
        assert expected
        answer = (await client.get("/api/search", params={"bbox": f"{west},-17.3,{east},-16.8", "limit": 50})).json()
        assert [item["id"] for item in answer["features"]] == expected[:50]
        paged = await everything(client, {"bbox": f"{west},-17.3,{east},-16.8", "limit": 90})
        assert paged == expected


@pytest.mark.parametrize("limit", [7, 33, 50, 1000])
async def test_paging_is_complete_without_repeats_across_the_switch(
    serving: Serving, factory: Factory, limit: int
) -> None:
    for seed in range(4):
        await factory.sequence(scattered(seed, 60, 2.35, 48.85, 0.1))
    expected = await brute(factory, "true", 2.35, 48.85)
    async with serving(nearness_results=50) as client:
        found = await everything(client, {"bbox": "1.35,47.85,3.35,49.85", "limit": limit})
    assert found[:50] == expected[:50]
    assert len(found) == len(set(found))
    assert sorted(found) == sorted(expected)


async def test_pictures_at_one_place_come_by_id(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence([Shot(longitude=2.35, latitude=48.85) for _ in range(60)])
    expected = await brute(factory, "true", 2.35, 48.85)
    for limit in (3, 20, 60):
        assert await everything(client, {"bbox": "2.25,48.75,2.45,48.95", "limit": limit}) == expected


async def test_paging_by_post(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 9))
    body: dict[str, Any] = {"bbox": [2, 48, 3, 49], "limit": 4}
    found: list[str] = []
    while True:
        answer = (await client.post("/api/search", json=body)).json()
        found += [item["id"] for item in answer["features"]]
        following = [link for link in answer["links"] if link["rel"] == "next"]
        if not following:
            break
        assert following[0]["method"] == "POST" and following[0]["merge"] is False
        body = following[0]["body"]
    assert len(found) == len(set(found)) == 9


async def test_filters_hold_within_nearness(client: httpx2.AsyncClient, factory: Factory) -> None:
    one = await factory.sequence(line(2.35, 48.85, 30))
    await factory.sequence(line(2.35, 48.85, 30, start=START + timedelta(days=30)))
    bbox = "2.35,48.8,2.36,48.9"
    found = await everything(client, {"bbox": bbox, "collections": one.id, "limit": 7})
    assert sorted(found) == sorted(one.items)
    day = {"bbox": bbox, "datetime": "2024-05-02T00:00:00Z/2024-05-03T00:00:00Z", "limit": 7}
    assert sorted(await everything(client, day)) == sorted(one.items)
    assert await everything(client, {"bbox": bbox, "datetime": "2030-01-01T00:00:00Z/.."}) == []


async def test_intersects_any_geometry(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 11, step_deg=0.1))
    triangle = {"type": "Polygon", "coordinates": [[[2.25, 47.9], [2.85, 47.9], [2.55, 48.2], [2.25, 47.9]]]}
    where = "ST_Intersects(geom, ST_SetSRID(ST_GeomFromGeoJSON($1), 4326))"
    text = '{"type":"Polygon","coordinates":[[[2.25,47.9],[2.85,47.9],[2.55,48.2],[2.25,47.9]]]}'
    expected = await brute(factory, where, 2.55, 48.0, text)
    assert len(expected) == 4
    answer = (await client.post("/api/search", json={"intersects": triangle})).json()
    assert sorted(item["id"] for item in answer["features"]) == sorted(expected)
    answer = (await client.get("/api/search", params={"intersects": text})).json()
    assert sorted(item["id"] for item in answer["features"]) == sorted(expected)
    point = {"type": "Point", "coordinates": [2.0, 48.0]}
    answer = (await client.post("/api/search", json={"intersects": point})).json()
    assert [item["id"] for item in answer["features"]] == [next(iter(stored.items))]


async def test_geometry_cut_at_the_antimeridian_is_seen_from_its_own_middle(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    stored = await factory.sequence([Shot(longitude=x, latitude=-17.0) for x in (179.7, -179.99, -179.8)])
    rings = (
        [[[179.5, -18], [180, -18], [180, -16], [179.5, -16], [179.5, -18]]],
        [[[-180, -18], [-179.5, -18], [-179.5, -16], [-180, -16], [-180, -18]]],
    )
    answer = (
        await client.post("/api/search", json={"intersects": {"type": "MultiPolygon", "coordinates": rings}})
    ).json()
    ids = list(stored.items)
    assert [item["id"] for item in answer["features"]] == [ids[1], ids[2], ids[0]]


async def test_ids_come_in_the_order_asked_for(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 5))
    ids = list(stored.items)[::-1]
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = (await client.get("/api/search", params={"ids": ",".join([*ids[:2], unknown, ids[4]])})).json()
    assert [item["id"] for item in answer["features"]] == [ids[0], ids[1], ids[4]]
    assert await everything(client, {"ids": ",".join(ids), "limit": 2}) == ids
    assert (await client.get("/api/search", params={"ids": unknown})).json()["features"] == []
    by_post = (await client.post("/api/search", json={"ids": ids})).json()
    assert [item["id"] for item in by_post["features"]] == ids
    inside = (await client.get("/api/search", params={"ids": ",".join(ids), "bbox": "2.35005,48,3,49"})).json()
    assert [item["id"] for item in inside["features"]] == ids[:4]


async def test_collections_come_in_their_order_by_rank(client: httpx2.AsyncClient, factory: Factory) -> None:
    factory.leaf_resolution = 2
    one = await factory.sequence(line(2.35, 48.85, 8, step_deg=0.9))
    two = await factory.sequence(line(2.35, 48.85, 3))
    assert await everything(client, {"collections": f"{two.id},{one.id}", "limit": 2}) == [*two.items, *one.items]


async def test_newest_first_without_a_place(client: httpx2.AsyncClient, factory: Factory) -> None:
    rnd = random.Random(5)
    for number in range(14):
        start = START + timedelta(hours=rnd.randrange(40))
        await factory.sequence(line(rnd.uniform(-170, 170), rnd.uniform(-60, 60), 6, start=start), title=f"{number}")
    rows = await factory.connection.fetch("SELECT id FROM pictures WHERE served ORDER BY datetime DESC, id")
    expected = [str(row["id"]) for row in rows]
    assert await everything(client, {"limit": 9}) == expected
    rows = await factory.connection.fetch(
        "SELECT id FROM pictures WHERE datetime BETWEEN $1 AND $2 ORDER BY datetime DESC, id",
        START + timedelta(hours=5),
        START + timedelta(hours=20),
    )
    window = f"{(START + timedelta(hours=5)).isoformat()}/{(START + timedelta(hours=20)).isoformat()}"
    assert await everything(client, {"datetime": window, "limit": 9}) == [str(row["id"]) for row in rows]


async def test_large_answers_are_streamed_whole(serving: Serving, factory: Factory) -> None:
    shots = scattered(9, 2_300, 2.35, 48.85, 0.2)
    stored = await factory.sequence(shots)
    async with serving() as client:
        by_place = (await client.get("/api/search", params={"bbox": "0,47,5,51", "limit": 10_000})).json()
        assert by_place["numberReturned"] == len(by_place["features"]) == 2_300
        assert sorted(item["id"] for item in by_place["features"]) == sorted(stored.items)
        assert [link["rel"] for link in by_place["links"]] == ["root", "self"]
        by_rank = (await client.get(f"/api/collections/{stored.id}/items", params={"limit": 2_000})).json()
        assert [item["id"] for item in by_rank["features"]] == list(stored.items)[:2_000]
        following = next(link for link in by_rank["links"] if link["rel"] == "next")
        rest = (await client.get(following["href"])).json()
        assert [item["id"] for item in rest["features"]] == list(stored.items)[2_000:]


async def test_deep_pages_stay_exact(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(scattered(11, 600, 25.0, 68.0, 0.5))
    expected = await brute(factory, "ST_Y(geom) BETWEEN 67 AND 69", 25.0, 68.0)
    assert await everything(client, {"bbox": "20,67,30,69", "limit": 100}) == expected

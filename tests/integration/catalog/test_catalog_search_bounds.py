"""Searches of which few pictures pass: what they read is bounded, and they still answer everything, in order."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.catalog_factory import START, Factory, Serving, Shot


async def pages(client: httpx2.AsyncClient, **asked: Any) -> tuple[list[list[dict[str, Any]]], int]:
    """The items of every page, and the status of the last answer."""
    found: list[list[dict[str, Any]]] = []
    answer = await client.get("/api/search", params=asked)
    while answer.status_code == 200:
        page = answer.json()
        found.append(page["features"])
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            return found, 200
        answer = await client.get(following[0])
    return found, answer.status_code


async def distances(factory: Factory, centre: tuple[float, float], points: list[tuple[float, float]]) -> list[float]:
    """Metres from a place, as the database has them."""
    rows = await factory.connection.fetch(
        "SELECT ST_DistanceSpheroid(ST_SetSRID(ST_MakePoint($1, $2), 4326), ST_SetSRID(ST_MakePoint(x, y), 4326)) AS m"
        " FROM unnest($3::float8[], $4::float8[]) WITH ORDINALITY AS p (x, y, n) ORDER BY n",
        *centre,
        [point[0] for point in points],
        [point[1] for point in points],
    )
    return [row["m"] for row in rows]


async def scatter(factory: Factory, centre: tuple[float, float], *, sequences: int = 30, each: int = 12) -> list[Shot]:
    """Sequences of some days around a place, at random; field of view says which are rare."""
    chance, made = random.Random(7), []
    for number in range(sequences):
        shots = [
            Shot(
                id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                longitude=(centre[0] + chance.gauss(0, 0.2) + 180) % 360 - 180,
                latitude=centre[1] + chance.gauss(0, 0.1),
                captured=START + timedelta(days=number, seconds=chance.randrange(9_000)),
                field_of_view=chance.choice([60] * 9 + [90]),
                rank=rank,
                properties={"original_file:size": chance.randrange(100)},
            )
            for rank in range(1, each + 1)
        ]
        await factory.sequence(shots)
        made += shots
    return made


CONDITIONS: list[tuple[dict[str, str], Callable[[Shot], bool]]] = [
    ({"filter": "field_of_view = 90"}, lambda shot: shot.field_of_view == 90),
    ({"filter": '"original_file:size" < 3'}, lambda shot: shot.properties["original_file:size"] < 3),
    ({"filter": '"original_file:size" < 60'}, lambda shot: shot.properties["original_file:size"] < 60),
    (
        {"datetime": f"{(START + timedelta(days=8)).isoformat()}/{(START + timedelta(days=11)).isoformat()}"},
        lambda shot: START + timedelta(days=8) <= shot.captured <= START + timedelta(days=11),
    ),
]


@pytest.mark.parametrize("most", [100, 400, 200_000])
@pytest.mark.parametrize("centre", [(2.35, 48.85), (179.95, -16.5)], ids=["paris", "fiji"])
async def test_everything_comes_once_and_the_nearest_first(
    serving: Serving, factory: Factory, most: int, centre: tuple[float, float]
) -> None:
    """However little may be read: a page may be short then, and a search of which nothing was found is refused."""
    shots = await scatter(factory, centre)
    west, east = (centre[0] - 1 + 180) % 360 - 180, (centre[0] + 1 + 180) % 360 - 180
    box = f"{west},{centre[1] - 1},{east},{centre[1] + 1}"
    async with serving(search_pictures_max=most, nearness_results=25) as client:
        for asked, passes in CONDITIONS:
            expected = [shot for shot in shots if passes(shot)]
            assert expected
            found, status = await pages(client, bbox=box, limit="7", **asked)
            items = [item for page in found for item in page]
            assert len({item["id"] for item in items}) == len(items)
            assert {item["id"] for item in items} <= {shot.id for shot in expected}
            if status == 200:
                assert {item["id"] for item in items} == {shot.id for shot in expected}, asked
            else:
                assert status == 400 and most < 1_000, asked
            near = items[: min(25, len(found[0]) if found else 0)]
            away = await distances(factory, centre, [tuple(item["geometry"]["coordinates"]) for item in near])
            assert away == sorted(away)
            nearest = sorted(await distances(factory, centre, [(shot.longitude, shot.latitude) for shot in expected]))
            assert away == pytest.approx(nearest[: len(away)], abs=1e-3)


async def test_what_nothing_passes_is_refused_and_what_its_sequences_rule_out_is_empty(
    serving: Serving, factory: Factory
) -> None:
    await scatter(factory, (2.35, 48.85))
    box = {"bbox": "1,48,4,50"}
    async with serving(search_pictures_max=100) as client:
        refused = await client.get("/api/search", params=box | {"filter": "field_of_view = 17"})
        assert refused.status_code == 400 and refused.json()["details"]["parameter"] == "filter"
        long_ago = await client.get("/api/search", params=box | {"datetime": "../1999-01-01T00:00:00Z"})
        assert long_ago.json()["features"] == [] and long_ago.json()["numberMatched"] == 0
        nobody = await client.get("/api/search", params=box | {"filter": "instance = 'nobody'"})
        assert nobody.json()["features"] == []
    async with serving(search_pictures_max=1_000) as client:
        empty = await client.get("/api/search", params=box | {"filter": "field_of_view = 17"})
        assert empty.json()["features"] == []


@pytest.mark.parametrize("sortby", ["id", "-id"])
async def test_ids_are_an_order_at_any_size(serving: Serving, factory: Factory, sortby: str) -> None:
    shots = await scatter(factory, (2.35, 48.85))
    ids = sorted((shot.id for shot in shots), reverse=sortby == "-id")
    rare = {shot.id for shot in shots if shot.field_of_view == 90}
    async with serving(search_pictures_max=100) as client:
        found, status = await pages(client, sortby=sortby, limit="50")
        assert (status, [item["id"] for page in found for item in page]) == (200, ids)
        assert {len(page) for page in found[:-1]} == {50}
        # each id that is looked up counts for many pictures: pages are short, but all of them come
        found, status = await pages(client, sortby=sortby, limit="60", filter="field_of_view = 90")
        assert (status, [item["id"] for page in found for item in page]) == (200, [id for id in ids if id in rare])
        nothing = await client.get("/api/search", params={"sortby": sortby, "filter": "field_of_view = 17"})
        assert nothing.status_code == 400 and nothing.json()["details"]["parameter"] == "filter"
        other = await client.get("/api/search", params={"sortby": "view:azimuth"})
        assert other.status_code == 400 and other.json()["details"]["parameter"] == "sortby"

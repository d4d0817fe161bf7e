"""Instances that nobody has reached for long: never deleted, and left out of searches only where that is set."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.harvest_world import World
from tests.tile_world import Serving
from tests.traces import BOX, PLACE


async def two(world: World) -> None:
    """North was reached 40 days ago for the last time; south is well."""
    for n, name in enumerate(("north", "south")):
        origin = await world.origin(name)
        origin.add_sequence(4, at=(PLACE[0], PLACE[1] + n * 0.0002))
        await world.good_visit(name)
    await world.admin.execute(
        "UPDATE instances SET failures = 9, last_success_at = now() - interval '40 days' WHERE name = 'north'"
    )


async def instances_in(client: httpx2.AsyncClient, **params: Any) -> set[str]:
    """Which instances the answers of a search name, page by page."""
    found = set[str]()
    url = f"/api/search?{urlencode({'limit': '3'} | params)}"
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found |= {link["instance_name"] for item in page["features"] for link in item["links"] if link["rel"] == "via"}
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    return found


async def test_by_default_it_is_found_and_marked(world: World, serving: Serving) -> None:
    await two(world)
    async with serving() as client:
        assert await instances_in(client, bbox=BOX) == {"north", "south"}
        assert await instances_in(client) == {"north", "south"}
        shown = {each["name"]: each for each in (await client.get("/api/instances")).json()["instances"]}
        assert shown["north"]["unreached_since"] is not None
        assert shown["south"]["unreached_since"] is None
        assert shown["north"]["nb_pictures"] == 4


async def test_where_it_is_set_searches_leave_it_out_unless_they_name_it(world: World, serving: Serving) -> None:
    await two(world)
    sequence = await world.admin.fetchval("SELECT s.id::text FROM sequences s JOIN instances i ON i.n = s.instance"
                                          " WHERE i.name = 'north'")  # fmt: skip
    picture = await world.admin.fetchval("SELECT p.id::text FROM pictures p JOIN instances i ON i.n = p.instance"
                                         " WHERE i.name = 'north' LIMIT 1")  # fmt: skip
    async with serving(hide_unreachable=True) as client:
        for asked in ({"bbox": BOX}, {}, {"sortby": "-datetime"}, {"sortby": "id"}, {"filter": "view:azimuth=90"},
                      {"bbox": BOX, "filter": "view:azimuth=90"}, {"bbox": BOX, "sortby": "datetime"}):  # fmt: skip
            assert await instances_in(client, **asked) == {"south"}, asked
        counted = (await client.get("/api/search", params={"bbox": BOX, "count": "exact"})).json()
        assert counted["numberMatched"] == 4
        named = ({"collections": sequence}, {"ids": picture}, {"filter": "instance='north'"})
        for asked in named:
            assert await instances_in(client, **asked) == {"north"}, asked
        assert (await client.get(f"/api/pictures/{picture}")).status_code == 200
        assert (await client.get(f"/api/collections/{sequence}/items")).json()["features"]
    async with serving(hide_unreachable=True, unreachable_days=60) as client:
        assert await instances_in(client, bbox=BOX) == {"north", "south"}


async def test_one_that_is_reached_again_is_back_in_the_middle_of_a_walk(world: World, serving: Serving) -> None:
    await two(world)
    async with serving(hide_unreachable=True) as client:
        page = (await client.get("/api/search", params={"bbox": BOX, "limit": "2"})).json()
        await world.good_visit("north")
        following = next(link["href"] for link in page["links"] if link["rel"] == "next")
        assert (await client.get(following)).status_code == 200
    async with serving(hide_unreachable=True) as client:
        assert await instances_in(client, bbox=BOX) == {"north", "south"}

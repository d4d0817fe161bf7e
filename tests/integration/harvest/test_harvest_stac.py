"""Other STAC APIs: text ids, relative addresses, items without anything of Panoramax, deletions nobody tells."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web

from federation.assets import asset_href
from tests.harvest_world import World
from tests.origin import Origin, answer

FEATURES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"


class Plain:
    """A server as stac-fastapi is one: text ids, `next` by token (POST if wanted), nothing dated."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.collections: dict[str, dict[str, dict[str, Any]]] = {}
        self.by_post = False
        origin.hook = self.answer

    def add(self, collection: str, count: int) -> None:
        self.collections[collection] = {
            f"{collection}/{n} é": self.item(f"{collection}/{n} é", n) for n in range(count)
        }

    def item(self, id: str, n: int) -> dict[str, Any]:
        point = [2.35 + n / 1_000, 48.85]
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": id,
            "geometry": {"type": "Point", "coordinates": point},
            "bbox": [*point, *point],
            "properties": {"datetime": f"2024-05-0{n % 9 + 1}T00:00:00Z"},
            "assets": {"visual": {"href": f"../files/{n}.jpg", "roles": ["visual"], "type": "image/jpeg"}},
            "links": [
                {"rel": "license", "href": "/licence.txt"},
                {"rel": "self", "href": "https://elsewhere.example/x"},
            ],
        }

    async def answer(self, request: web.Request) -> web.Response | None:
        parts = [part for part in request.path.removeprefix("/api").split("/") if part]
        if parts == ["collections"]:
            return self.page("collections", [self.collection(id) for id in sorted(self.collections)], request)
        if parts[:1] == ["collections"] and parts[1] not in self.collections:
            return answer({"code": "NotFoundError"}, 404)
        if len(parts) == 2:
            return answer(self.collection(parts[1]))
        if parts[2:] == ["items"]:
            return self.page("features", list(self.collections[parts[1]].values()), request)
        return None

    def collection(self, id: str) -> dict[str, Any]:
        return {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": id,
            "description": "",
            "license": "MIT",
            "links": [],
        }

    def page(self, name: str, entries: list[dict[str, Any]], request: web.Request) -> web.Response:
        start, limit = int(request.query.get("token", "0")), 2
        links: list[dict[str, Any]] = []
        if start + limit < len(entries):
            links.append({"rel": "next", "href": f"?limit={limit}&token={start + limit}"})
            if self.by_post:
                links[-1] = {"rel": "next", "href": request.path, "method": "POST", "body": {"token": start + limit}}
        return answer({name: entries[start : start + limit], "links": links})


async def plain(world: World) -> Plain:
    server = Plain(await world.origin(version="plain"))
    server.add("street", 5)
    server.add("lane", 3)
    await world.good_visit()
    return server


async def test_a_server_with_text_ids_is_harvested_whole(world: World) -> None:
    await plain(world)
    served = await world.served()
    assert len(served) == 8
    for id, (sequence, item) in served.items():
        assert (UUID(id).version, UUID(sequence).version) == (5, 5)
        assert (item["id"], item["collection"]) == (id, sequence)
        assert item["properties"]["panofed:origin_id"].startswith(item["properties"]["panofed:origin_collection"])
    assert {item["properties"]["panofed:origin_collection"] for _, item in served.values()} == {"street", "lane"}
    assert await world.admin.fetch("SELECT 1 FROM sequences WHERE origin_id IN ('street', 'lane')")
    before = sorted(served)
    await world.good_visit(thorough=True)
    assert sorted(await world.served()) == before, "the same id is given each time"


async def test_relative_addresses_become_absolute_and_a_size_is_chosen_by_role(world: World) -> None:
    server = await plain(world)
    base = server.origin.url.removesuffix("/api")
    item = next(iter((await world.served()).values()))[1]
    assert item["assets"]["visual"]["href"].startswith(f"{base}/api/collections/files/")
    assert [link["href"] for link in item["links"]] == [f"{base}/licence.txt"]
    assert {asset_href(item["assets"], size) for size in ("hd", "sd", "thumb")} == {item["assets"]["visual"]["href"]}


async def test_pages_that_ask_for_a_post_are_followed(world: World) -> None:
    server = Plain(await world.origin(version="plain"))
    server.by_post = True
    for n in range(5):
        server.add(f"street-{n}", 5)
    await world.good_visit()
    assert len(await world.served()) == 25


async def test_what_it_can_signal_is_known_and_the_rest_is_found_by_listing_and_reading_again(world: World) -> None:
    server = await plain(world)
    kept = await world.admin.fetchval("SELECT capabilities FROM instances")
    assert '"listing": "links"' in kept
    assert '"kind": "stac"' in kept
    assert '"dated": false' in kept
    del server.collections["lane"]
    del server.collections["street"]["street/1 é"]
    server.collections["street"]["street/2 é"]["properties"]["title"] = "edited"
    # deletions of collections are found by the listing, which is read at every visit
    progress = await world.good_visit()
    assert (progress.sequences_removed, progress.pictures_seen) == (1, 0)
    assert len(await world.served()) == 5
    # what happened to items, by reading again within a day
    await world.age("sequences", "checked_at", "13 hours")
    await world.age("instances", "last_success_at", "13 hours")
    await world.good_visit()
    titles = [item["properties"].get("title") for _, item in (await world.served()).values()]
    assert sorted(titles, key=str) == [None, None, None, "edited"]


async def test_a_server_of_other_things_than_points_fills_neither_index_nor_quarantine(world: World) -> None:
    server = Plain(await world.origin(version="plain"))
    server.add("scenes", 12)
    for item in server.collections["scenes"].values():
        item["geometry"] = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    progress = await world.visit()
    assert (progress.outcome, progress.pictures_quarantined) == ("partial", 12)
    assert await world.served() == {}
    assert await world.admin.fetchval("SELECT DISTINCT field FROM quarantine") == "geometry.type"

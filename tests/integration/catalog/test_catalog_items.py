"""Items and collections: what the origin said, our links, and redirects to its files."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from federation.cells import cell_of, parent
from tests.catalog_factory import START, Factory, Serving, Shot, host_of, line


def links(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


async def test_item_is_the_origins_with_links_of_this_catalog(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3))
    ids = list(stored.items)
    answer = await client.get(f"/api/collections/{stored.id}/items/{ids[1]}")
    item = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/geo+json"
    expected = copy.deepcopy(stored.items[ids[1]])
    expected.pop("links")
    assert {key: value for key, value in item.items() if key != "links"} == expected
    base = f"{client.base_url}".rstrip("/") + "/api"
    here = f"{base}/collections/{stored.id}"
    assert links(item, "self")[0]["href"] == f"{here}/items/{ids[1]}"
    assert links(item, "collection")[0]["href"] == links(item, "parent")[0]["href"] == here
    assert links(item, "root")[0]["href"] == f"{base}/"
    assert links(item, "license")[0]["href"] == "https://example.org/license"
    for rel, identifier in (("prev", ids[0]), ("next", ids[2])):
        link = links(item, rel)[0]
        assert (link["id"], link["type"]) == (identifier, "application/geo+json")
        assert link["href"] == f"{here}/items/{identifier}"
        assert link["geometry"] == stored.items[identifier]["geometry"]
    assert links(item, "via") == [
        {
            "rel": "via",
            "type": "application/json",
            "href": host_of("north"),
            "instance_name": "north",
            "title": "Instance north",
        }
    ]


async def test_item_is_answered_under_every_form_of_its_address(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored, other = await factory.sequence(line(2.35, 48.85, 1)), await factory.sequence(line(3.35, 48.85, 1))
    identifier = next(iter(stored.items))
    paths = [
        f"/api/collections/{stored.id}/items/{identifier}/",
        f"/api/collections/{other.id}/items/{identifier}",
        f"/api/pictures/{identifier}",
        f"/api/pictures/{identifier.upper()}/",
    ]
    for path in paths:
        item = (await client.get(path)).json()
        assert (item["id"], item["collection"]) == (identifier, stored.id)


async def test_azimuth_of_360_picture_is_derived_from_its_neighbour(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3, azimuth=None, field_of_view=360))
    for identifier in stored.items:
        properties = (await client.get(f"/api/pictures/{identifier}")).json()["properties"]
        assert properties["view:azimuth"] == 90
        assert properties["panofed:derived"] == ["view:azimuth"]


async def test_azimuth_is_not_derived_for_flat_or_lonely_pictures(client: httpx2.AsyncClient, factory: Factory) -> None:
    flat = await factory.sequence(line(2.35, 48.85, 2, azimuth=None))
    lonely = await factory.sequence(line(3.35, 48.85, 1, azimuth=None, field_of_view=360))
    for identifier in [*flat.items, *lonely.items]:
        assert "view:azimuth" not in (await client.get(f"/api/pictures/{identifier}")).json()["properties"]


async def test_related_are_the_nearest_of_other_sequences_looking_the_same_way(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    here = await factory.sequence([Shot(longitude=2.35, latitude=48.85, azimuth=90)])
    near = await factory.sequence(
        [Shot(longitude=2.35005, latitude=48.85), Shot(longitude=2.35001, latitude=48.85, azimuth=170)]
    )
    await factory.sequence([Shot(longitude=2.35, latitude=48.85001, azimuth=270)])
    await factory.sequence([Shot(longitude=2.3505, latitude=48.85)])
    around = await factory.sequence([Shot(longitude=2.35, latitude=48.8501, azimuth=270, field_of_view=360)])
    unknown = await factory.sequence([Shot(longitude=2.35, latitude=48.84995, azimuth=None)])
    await factory.sequence([Shot(longitude=2.35, latitude=48.85, served=False)])
    item = (await client.get(f"/api/pictures/{next(iter(here.items))}")).json()
    found = links(item, "related")
    expected = {list(near.items)[1], next(iter(around.items)), next(iter(unknown.items))}
    assert {link["id"] for link in found} == expected
    assert all({"href", "geometry", "datetime", "type"} <= set(link) for link in found)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [((179.99995, 10.0), (-179.99998, 10.0)), ((10.0, 89.99999), (-170.0, 89.99999))],
    ids=["antimeridian", "pole"],
)
async def test_related_are_found_across_the_edges_of_the_plane(
    client: httpx2.AsyncClient, factory: Factory, mine: tuple[float, float], theirs: tuple[float, float]
) -> None:
    here = await factory.sequence([Shot(longitude=mine[0], latitude=mine[1])])
    there = await factory.sequence([Shot(longitude=theirs[0], latitude=theirs[1])])
    item = (await client.get(f"/api/pictures/{next(iter(here.items))}")).json()
    assert [link["id"] for link in links(item, "related")] == list(there.items)


async def test_related_are_found_in_the_next_leaf(client: httpx2.AsyncClient, factory: Factory) -> None:
    factory.leaf_resolution = 2
    # the border of two cells of resolution 2, found by walking
    longitude = 2.35
    while parent(cell_of(longitude, 48.85), 2) == parent(cell_of(longitude + 0.00005, 48.85), 2):
        longitude += 0.00005
    here = await factory.sequence([Shot(longitude=longitude, latitude=48.85)])
    there = await factory.sequence([Shot(longitude=longitude + 0.00005, latitude=48.85)])
    item = (await client.get(f"/api/pictures/{next(iter(here.items))}")).json()
    assert [link["id"] for link in links(item, "related")] == list(there.items)


async def test_other_copies_are_alternates_and_not_shown(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence([Shot(longitude=2.35, latitude=48.85)])
    identifier = next(iter(stored.items))
    copied = await factory.sequence([Shot(longitude=7.0, latitude=45.0, id=identifier, served=False)], instance="south")
    item = (await client.get(f"/api/pictures/{identifier}")).json()
    assert item["geometry"]["coordinates"] == [2.35, 48.85]
    assert links(item, "alternate") == [
        {
            "rel": "alternate",
            "type": "application/geo+json",
            "href": f"{host_of('south')}/api/collections/{copied.id}/items/{identifier}",
            "instance_name": "south",
        }
    ]
    assert (await client.get("/api/search", params={"bbox": "6,44,8,46"})).json()["features"] == []


async def test_a_copy_on_another_stac_api_is_linked_where_that_is(client: httpx2.AsyncClient, factory: Factory) -> None:
    identifier = next(iter((await factory.sequence([Shot(longitude=2.35, latitude=48.85)])).items))
    copied = await factory.sequence([Shot(longitude=7.0, latitude=45.0, id=identifier, served=False)], instance="south")
    await factory.connection.execute("UPDATE instances SET url = 'https://stac.example/v1/' WHERE name = 'south'")
    (link,) = links((await client.get(f"/api/pictures/{identifier}")).json(), "alternate")
    assert link["href"] == f"https://stac.example/v1/collections/{copied.id}/items/{identifier}"


async def test_collection_is_the_origins_with_extent_and_count_of_this_catalog(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3, step_deg=0.5), title='Rue "d\'Été"')
    collection = (await client.get(f"/api/collections/{stored.id}")).json()
    assert collection["extent"]["spatial"]["bbox"] == [[2.35, 48.85, 3.35, 48.85]]
    first, last = collection["extent"]["temporal"]["interval"][0]
    assert (first, last) == ("2024-05-02T09:00:00+00:00", "2024-05-02T09:00:02+00:00")
    assert collection["stats:items"] == {"count": 3}
    assert collection["panofed:indexed"].startswith("2025")
    ours = {"extent", "stats:items", "links", "panofed:indexed"}
    for key in stored.collection.keys() - ours:
        assert collection[key] == stored.collection[key]
    assert [link["rel"] for link in collection["links"]] == ["root", "parent", "self", "items", "via", "license"]


async def test_extent_crosses_the_antimeridian(client: httpx2.AsyncClient, factory: Factory) -> None:
    shots = [Shot(longitude=179.9, latitude=-17.0), Shot(longitude=-179.9, latitude=-17.1)]
    stored = await factory.sequence(shots)
    collection = (await client.get(f"/api/collections/{stored.id}")).json()
    assert collection["extent"]["spatial"]["bbox"] == [[179.9, -17.1, -179.9, -17.0]]


@pytest.mark.parametrize("size", ["hd", "sd", "thumb"])
async def test_files_redirect_to_the_origin_for_a_minute(
    client: httpx2.AsyncClient, factory: Factory, size: str
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 2))
    identifier = next(iter(stored.items))
    answer = await client.get(f"/api/pictures/{identifier}/{size}.jpg")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"{host_of('north')}/api/pictures/{identifier}/{size}.jpg"
    assert "max-age=60" in answer.headers["cache-control"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_thumbnail_of_a_collection_is_that_of_its_first_picture(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3))
    answer = await client.get(f"/api/collections/{stored.id}/thumb.jpg")
    assert answer.headers["location"].endswith(f"/{next(iter(stored.items))}/thumb.jpg")


async def test_redirects_only_go_to_hosts_known_for_the_instance(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 1))
    identifier = next(iter(stored.items))
    await factory.connection.execute("UPDATE instances SET url = 'https://elsewhere.example'")
    answer = await client.get(f"/api/pictures/{identifier}/hd.jpg")
    assert answer.status_code == 404
    assert "is on north.example, a host that is not confirmed for instance north" in answer.json()["message"]
    assert "location" not in answer.headers


async def test_confirmed_asset_host_is_redirected_to(serving: Serving, factory: Factory) -> None:
    await factory.instance("north", hosts=["north.example"])
    stored = await factory.sequence(line(2.35, 48.85, 1))
    await factory.connection.execute("UPDATE instances SET url = 'https://elsewhere.example'")
    async with serving() as client:
        answer = await client.get(f"/api/pictures/{next(iter(stored.items))}/hd.jpg")
    assert answer.status_code == 302


async def test_a_host_nobody_confirmed_is_named_whole_and_nothing_else_of_the_address(
    serving: Serving, factory: Factory
) -> None:
    await factory.instance("north", hosts=["north.example:8443"])
    stored = await factory.sequence(line(2.35, 48.85, 1))
    await factory.connection.execute("UPDATE instances SET url = 'https://elsewhere.example'")
    async with serving() as client:
        answer = await client.get(f"/api/pictures/{next(iter(stored.items))}/sd.jpg")
    assert answer.status_code == 404, "another port is another host"
    assert "is on north.example, a host" in answer.json()["message"] and "/api/pictures" not in answer.json()["message"]


async def test_pages_of_a_collection_by_rank(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 7))
    ids, path = list(stored.items), f"/api/collections/{stored.id}/items"
    whole = (await client.get(path)).json()
    assert [item["id"] for item in whole["features"]] == ids
    assert not links(whole, "next")
    first = (await client.get(path, params={"limit": 3})).json()
    second = (await client.get(links(first, "next")[0]["href"])).json()
    third = (await client.get(links(second, "next")[0]["href"])).json()
    assert [item["id"] for page in (first, second, third) for item in page["features"]] == ids
    assert not links(third, "next")
    back = (await client.get(links(third, "prev")[0]["href"])).json()
    assert [item["id"] for item in back["features"]] == ids[3:6]
    after = (await client.get(path, params={"startAfterRank": 5})).json()
    assert [item["id"] for item in after["features"]] == ids[5:]
    around = (await client.get(path, params={"withPicture": ids[4], "limit": 2})).json()
    assert [item["id"] for item in around["features"]] == ids[4:6]


async def test_items_of_a_collection_by_place_and_date(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 5, step_deg=0.1))
    ids, path = list(stored.items), f"/api/collections/{stored.id}/items"
    inside = (await client.get(path, params={"bbox": "2.4,48,2.6,49"})).json()
    assert [item["id"] for item in inside["features"]] == ids[1:3]
    until = (START + timedelta(seconds=1)).isoformat()
    early = (await client.get(path, params={"datetime": f"../{until}"})).json()
    assert [item["id"] for item in early["features"]] == ids[:2]


async def test_collections_by_the_time_we_learnt_of_them(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = [(await factory.sequence(line(2.0 + n, 48.85, 2))).id for n in range(5)]
    await factory.sequence(line(2.0, 40.0, 1), served=False)
    first = (await client.get("/api/collections", params={"limit": 2})).json()
    assert [each["id"] for each in first["collections"]] == stored[:2]
    assert not links(first, "prev")
    second = (await client.get(links(first, "next")[0]["href"])).json()
    third = (await client.get(links(second, "next")[0]["href"])).json()
    assert [each["id"] for page in (second, third) for each in page["collections"]] == stored[2:]
    assert not links(third, "next")
    back = (await client.get(links(second, "prev")[0]["href"])).json()
    assert [each["id"] for each in back["collections"]] == stored[:2]
    assert links(second, "first")[0]["href"].endswith("/api/collections?limit=2")
    latest = (await client.get("/api/collections", params={"sortby": "-panofed:indexed", "limit": 3})).json()
    assert [each["id"] for each in latest["collections"]] == stored[:1:-1]
    rest = (await client.get(links(latest, "next")[0]["href"])).json()
    assert [each["id"] for each in rest["collections"]] == stored[1::-1]


async def test_collections_by_place_and_date(client: httpx2.AsyncClient, factory: Factory) -> None:
    near = await factory.sequence(line(2.35, 48.85, 2))
    pacific = await factory.sequence([Shot(longitude=179.9, latitude=-17.0), Shot(longitude=-179.9, latitude=-17.0)])
    old = await factory.sequence(line(2.35, 48.85, 2, start=START - timedelta(days=800)))
    cases = {"2,48,3,49": {near.id, old.id}, "179,-18,-179,-16": {pacific.id}, "-180,-18,-179,-16": {pacific.id}}
    for bbox, expected in cases.items():
        found = (await client.get("/api/collections", params={"bbox": bbox})).json()["collections"]
        assert {each["id"] for each in found} == expected
    found = (await client.get("/api/collections", params={"datetime": "../2023-01-01T00:00:00Z"})).json()["collections"]
    assert [each["id"] for each in found] == [old.id]

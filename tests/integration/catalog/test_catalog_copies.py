"""Sequences that several instances have: what is served of them hangs together, through the harvester's own merges."""

from __future__ import annotations

import httpx2

from tests.index_world import Index, Writer


async def collections(client: httpx2.AsyncClient, **params: str) -> list[tuple[str, str | None]]:
    answer = (await client.get("/api/collections", params=params)).json()
    return [(each["id"], each.get("geovisio:status")) for each in answer["collections"]]


async def copy_of(index: Index, writer: Writer, id: str) -> int:
    number: int = await index.admin.fetchval(
        "INSERT INTO sequences (id, instance) VALUES ($1, $2) RETURNING n", id, writer.instance
    )
    return number


async def test_the_collection_of_every_served_picture_is_there(index: Index, client: httpx2.AsyncClient) -> None:
    """A picture that only the second instance's copy of a sequence has is served, and so is a copy of its sequence."""
    north, south = await index.writer("north"), await index.writer("south", seed=2)
    first, id = await north.new_sequence()
    shared = north.pictures(3)
    await north.write((first, id, shared))
    second = await copy_of(index, south, id)
    theirs = south.pictures(5, [each.id for each in shared])
    await south.write((second, id, theirs))

    async def hangs_together(expected: int) -> None:
        rows = await index.admin.fetch("SELECT id FROM pictures WHERE served")
        assert len(rows) == expected
        for row in rows:
            item = (await client.get(f"/api/pictures/{row['id']}")).json()
            assert (await client.get(f"/api/collections/{item['collection']}")).status_code == 200
        assert [each for each, _ in await collections(client)] == [id]

    await hangs_together(5)
    await north.remove(first)
    await hangs_together(5)
    assert await collections(client, show_deleted="true") == [(id, None)]
    await south.remove(second)
    assert await collections(client) == []
    assert await collections(client, show_deleted="true") == [(id, "deleted")]


async def test_what_was_never_served_leaves_no_tombstone(index: Index, client: httpx2.AsyncClient) -> None:
    """One that is listed as deleted before it was ever read, and one that comes back."""
    north = await index.writer("north")
    hidden, _ = await north.new_sequence()
    await north.remove(hidden)
    assert await collections(client, show_deleted="true") == []
    number, id = await north.new_sequence()
    await north.write((number, id, north.pictures(2)))
    await north.remove(number)
    assert await collections(client, show_deleted="true") == [(id, "deleted")]
    assert await collections(client, show_deleted="true", filter="updated > '2000-01-01'") == [(id, "deleted")]
    await north.write((number, id, north.pictures(2)))
    assert await collections(client, show_deleted="true") == [(id, None)]


async def two_copies(index: Index) -> tuple[str, list[str]]:
    """A sequence of three pictures, of which another instance has five: its id and theirs by rank."""
    north, south = await index.writer("north"), await index.writer("south", seed=2)
    first, id = await north.new_sequence()
    shared = north.pictures(3)
    await north.write((first, id, shared))
    second = await copy_of(index, south, id)
    theirs = south.pictures(5, [each.id for each in shared])
    await south.write((second, id, theirs))
    return id, [str(each.id) for each in shared] + [str(each.id) for each in theirs[3:]]


async def test_pictures_that_only_another_copy_has_are_of_the_collection(
    index: Index, client: httpx2.AsyncClient
) -> None:
    """Whatever names a sequence means all that is served of it, whichever instance's copy holds it."""
    id, expected = await two_copies(index)
    path = f"/api/collections/{id}/items"
    whole = (await client.get(path)).json()
    assert [each["id"] for each in whole["features"]] == expected
    assert {each["collection"] for each in whole["features"]} == {id}
    assert whole["numberMatched"] == 5
    paged, page = [], (await client.get(path, params={"limit": 2})).json()
    while True:
        paged += [each["id"] for each in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        page = (await client.get(following[0])).json()
    assert paged == expected
    previous = next(link["href"] for link in page["links"] if link["rel"] == "prev")
    assert [each["id"] for each in (await client.get(previous)).json()["features"]] == expected[2:4]
    around = (await client.get(path, params={"withPicture": expected[4], "limit": 3})).json()
    assert [each["id"] for each in around["features"]] == expected[3:]


async def test_a_collection_counts_what_only_another_copy_has(index: Index, client: httpx2.AsyncClient) -> None:
    """A search of it finds them, and its number, box and dates say so."""
    id, expected = await two_copies(index)
    found = (await client.get("/api/search", params={"collections": id, "count": "exact"})).json()
    assert ([each["id"] for each in found["features"]], found["numberMatched"]) == (expected, 5)
    in_order = (await client.get("/api/search", params={"collections": id, "sortby": "id"})).json()
    assert [each["id"] for each in in_order["features"]] == sorted(expected)

    listed = (await client.get("/api/collections")).json()["collections"]
    alone = (await client.get(f"/api/collections/{id}")).json()
    assert listed[0] == alone and alone["stats:items"] == {"count": 5}
    west, south_edge, east, north_edge = alone["extent"]["spatial"]["bbox"][0]
    for item in found["features"]:
        longitude, latitude = item["geometry"]["coordinates"]
        assert west <= longitude <= east and south_edge <= latitude <= north_edge
    dates = sorted(item["properties"]["datetime"] for item in found["features"])
    begin, end = alone["extent"]["temporal"]["interval"][0]
    assert begin[:19] <= dates[0][:19] and dates[-1][:19] <= end[:19]

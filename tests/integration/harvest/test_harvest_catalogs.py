"""A source that is itself a catalog: its records keep their origin, and what we have from the origin is left out."""

from __future__ import annotations

import pytest

from tests.harvest_world import World
from tests.origin import Origin, OriginSequence


def via(url: str, name: str = "somebody") -> dict[str, str]:
    return {"rel": "via", "type": "application/json", "href": url, "instance_name": name}


async def catalog(world: World, name: str = "catalog") -> Origin:
    return await world.origin(name, version="plain")


def add(catalog: Origin, *origins: str, pictures: int = 3) -> OriginSequence:
    """A sequence of the catalog that it has from these places, the nearest first."""
    links = [via(origin) for origin in origins]
    sequence = catalog.add_sequence(
        pictures, at=(2.3 + len(catalog.sequences) / 50, 48.85), collection={"links": links}
    )
    for picture in sequence.pictures:
        picture.item = {"links": links}
    return sequence


async def test_a_record_of_a_catalog_keeps_where_it_comes_from(world: World) -> None:
    source = await catalog(world)
    add(source, "https://far.example", "https://farther.example")
    await world.good_visit("catalog")
    await world.check_same("catalog")
    assert await world.admin.fetchval("SELECT capabilities ->> 'kind' FROM instances") == "catalog"
    for _, item in (await world.served()).values():
        assert [link["href"] for link in item["links"]] == ["https://far.example", "https://farther.example"]


@pytest.mark.parametrize("chain", [False, True])
async def test_what_is_harvested_directly_is_left_out_and_counted(world: World, chain: bool) -> None:
    north = await world.origin("north")
    ours = north.add_sequence(3)
    await world.good_visit("north")
    source = await catalog(world)
    web_address = north.url.removesuffix("/api")
    add(source, *(["https://between.example", web_address] if chain else [web_address]))
    kept = add(source, "https://far.example")
    progress = await world.good_visit("catalog")
    assert progress.pictures_skipped == 3
    served = await world.served()
    assert served.keys() == {picture.id for picture in (*ours.pictures, *kept.pictures)}
    assert await world.admin.fetchval("SELECT count(*) FROM sequences") == 2, "nothing of it is kept"


@pytest.mark.parametrize("ours", ["https://ours.example", "http://127.0.0.1:8080", "https://OURS.example:443/api/"])
async def test_what_comes_from_us_is_left_out(world: World, ours: str) -> None:
    source = await catalog(world)
    add(source, "https://far.example", ours)
    add(source, "https://far.example")
    progress = await world.good_visit("catalog", public_url="https://ours.example")
    assert progress.pictures_skipped == 3
    assert len(await world.served()) == 3


async def test_items_are_judged_one_by_one(world: World) -> None:
    source = await catalog(world)
    sequence = add(source, "https://far.example", pictures=5)
    for picture in sequence.pictures[:2]:
        picture.item = {"links": [via("https://ours.example")]}
    progress = await world.good_visit("catalog", public_url="https://ours.example")
    assert progress.pictures_skipped == 2
    assert len(await world.served()) == 3


async def test_an_instance_that_is_registered_later_replaces_what_a_catalog_told_of_it(world: World) -> None:
    north = await world.origin("north")
    ours = north.add_sequence(3)
    await world.admin.execute("UPDATE instances SET state = 'disabled'")
    source = await catalog(world)
    mirrored = add(source, north.url.removesuffix("/api"))
    mirrored.id, mirrored.pictures = (
        ours.id,
        [source.new_picture(p.longitude, p.latitude, id=p.id) for p in ours.pictures],
    )
    source.sequences = {mirrored.id: mirrored}
    await world.good_visit("catalog")
    assert len(await world.served()) == 3
    await world.admin.execute("UPDATE instances SET state = 'enabled'")
    await world.good_visit("north")
    await world.age("instances", "listed_at", "25 hours")
    await world.good_visit("catalog", brake_pictures=1, brake_share=0.01)
    await world.check_same("north")
    owners = await world.admin.fetch("SELECT DISTINCT i.name FROM pictures p JOIN instances i ON i.n = p.instance")
    assert [row["name"] for row in owners] == ["north"]


async def test_a_catalog_is_followed_by_complete_listings_and_not_by_its_dates(world: World) -> None:
    source = await catalog(world)
    kept, gone = add(source, "https://far.example"), add(source, "https://far.example")
    await world.good_visit("catalog")
    source.hide_sequence(gone)
    source.edit(kept.pictures[0], title="edited", **{})
    await world.good_visit("catalog")
    assert source.requests == []
    await world.age("instances", "listed_at", "25 hours")
    await world.good_visit("catalog")
    await world.check_same("catalog")


async def test_two_catalogs_that_harvest_each_other_and_one_instance_never_loop(world: World) -> None:
    """What the other catalog shows of ours names us, of the instance names the instance: nothing of it comes back."""
    north = await world.origin("north")
    north.add_sequence(4)
    await world.good_visit("north")
    other = await catalog(world, "other")
    place = north.url.removesuffix("/api")
    for sequence in north.sequences.values():
        # the same ids, as a catalog serves them: once from the instance, once from us
        for chain in ((place,), ("https://ours.example", place)):
            copy = add(other, *chain)
            copy.pictures = [other.new_picture(p.longitude, p.latitude, id=p.id) for p in sequence.pictures]
    for _ in range(3):
        progress = await world.good_visit("other", public_url="https://ours.example", relist_period_h=1e-9)
        assert progress.pictures_skipped > 0
        assert (progress.pictures_seen, progress.sequences_changed) == (0, 0)
    await world.check_same("north")

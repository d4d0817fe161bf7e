"""Items that cannot be accepted: each is refused with its field and reason, its neighbours come in, nothing leaks."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from harvester.progress import Progress
from tests.harvest_world import World
from tests.origin import Origin, answer

NAN = float("nan")
POINT = {"type": "Point"}

BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "id that is a number": ({"id": 7}, {}, "id"),
    "id that is missing": ({"id": None}, {}, "id"),
    "longitude out of range": ({"geometry": POINT | {"coordinates": [200.0, 1.0]}}, {}, "geometry.coordinates"),
    "latitude out of range": ({"geometry": POINT | {"coordinates": [2.0, -91.0]}}, {}, "geometry.coordinates"),
    "NaN": ({"geometry": POINT | {"coordinates": [NAN, 1.0]}}, {}, "geometry.coordinates[0]"),
    "infinite": ({"geometry": POINT | {"coordinates": [2.0, -float("inf")]}}, {}, "geometry.coordinates[1]"),
    "no geometry": ({"geometry": None}, {}, "geometry"),
    "a line": ({"geometry": {"type": "LineString", "coordinates": [2.0, 3.0]}}, {}, "geometry.type"),
    "no datetime": ({}, {"datetime": None}, "properties.datetime"),
    "absurd datetime": ({}, {"datetime": "9999999-01-01"}, "properties.datetime"),
    "datetime of the wrong type": ({}, {"datetime": 1714637400}, "properties.datetime"),
    "created that is no date": ({}, {"created": "last week"}, "properties.created"),
    "properties that are a list": ({"properties": []}, {}, "properties"),
    "links that are a text": ({"links": "none"}, {}, "links"),
    "providers that are a number": ({"providers": 5}, {}, "providers"),
    "rank that is a text": ({}, {"geovisio:rank_in_collection": "first"}, "properties.geovisio:rank_in_collection"),
    "10 MB of EXIF": ({}, {"exif": {"maker": "x" * 10_000_000}}, "record"),
}

GOOD: dict[str, dict[str, Any]] = {
    "1904": {"datetime": "1904-01-02T03:04:05+00:00"},
    "year 26": {"datetime": "0026-01-02T03:04:05+00:00"},
    "1970": {"datetime": "1970-01-01T00:00:00Z"},
    "huge numbers": {"original_file:size": 10**18, "quality:horizontal_accuracy": 1e300, "view:azimuth": 1e308},
    "numbers as texts": {"view:azimuth": "12.7", "quality:horizontal_accuracy": "wide", "field_of_view": "360"},
    "NUL": {"license": "a\x00b", "semantics": [{"key": "a\x00", "value": "\x00"}], "title": "\x00\u2028é"},
    "long licence": {"license": "x" * 5_000, "pers:interior_orientation": {"camera_model": "y" * 9_000}},
    "control characters": {"title": "\x01\x02\x03\x04\x1e", "comment": "48 50 51 52 53 54 55 56 57"},
}


async def quarantine(world: World) -> list[dict[str, Any]]:
    rows = await world.admin.fetch("SELECT id, field, problem, length(body) AS body FROM quarantine ORDER BY id")
    return [dict(row) for row in rows]


async def visited_with(world: World, item: dict[str, Any], properties: dict[str, Any]) -> Progress:
    origin = await world.origin()
    sequence = origin.add_sequence(7)
    sequence.pictures[3].item = item
    sequence.pictures[3].properties |= properties
    return await world.visit()


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_item_is_quarantined_by_field_and_its_neighbours_come_in(world: World, name: str) -> None:
    item, properties, field = BAD[name]
    progress = await visited_with(world, item, properties)
    assert (progress.outcome, progress.pictures_quarantined, progress.sequences_failed) == ("partial", 1, 0)
    (row,) = await quarantine(world)
    assert row["field"] == field
    assert row["problem"]
    assert row["body"] <= 4096
    assert await world.check() == 6


@pytest.mark.parametrize("name", GOOD)
async def test_an_odd_item_is_accepted_unchanged(world: World, name: str) -> None:
    progress = await visited_with(world, {}, GOOD[name])
    assert (progress.outcome, await quarantine(world)) == ("done", [])
    assert await world.check() == 7
    await world.check_same()


async def test_many_bad_items_with_one_id_are_one_row(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(12)
    for picture in sequence.pictures[2:10]:
        picture.item = {"id": "same", "geometry": None}
    sequence.pictures[11].item = {"id": None}
    await world.visit()
    assert len(await quarantine(world)) == 2
    assert await world.check() == 3
    for picture in sequence.pictures:
        picture.item = {}
    origin.touch(sequence)
    await world.good_visit()
    assert await quarantine(world) == []
    await world.check_same()


async def test_nothing_of_what_is_not_public_is_stored_anywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(12)
    secret: list[dict[str, Any]] = [
        {"geovisio:visibility": "owner-only"},
        {"geovisio:visibility": "logged-only", "created": 5},
        {"geovisio:visibility": "owner-only", "exif": {"maker": "x" * 3_000_000}},
        {"geovisio:visibility": 7},
        {"geovisio:status": "hidden"},
        {"geovisio:status": "waiting-for-process", "datetime": None},
    ]
    for picture, properties in zip(sequence.pictures, secret, strict=False):
        picture.properties |= properties
    sequence.pictures[4].item = {"geometry": None}
    hidden = [picture.id for picture in sequence.pictures[: len(secret)]]
    private = origin.add_sequence(3, collection={"geovisio:visibility": "owner-only"})
    unready = origin.add_sequence(3, collection={"geovisio:status": "preparing", "title": 7})
    progress = await world.visit()
    assert (progress.outcome, progress.pictures_not_public) == ("done", len(secret))
    assert await world.check() == 6
    stored = await world.everything_stored() + caplog.text
    for id in (*hidden, private.id, unready.id, *(p.id for p in private.pictures + unready.pictures)):
        assert id not in stored
    assert sequence.pictures[-1].id in stored


async def test_a_public_picture_that_is_withdrawn_leaves_nothing_but_the_change(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(3)
    await world.good_visit()
    sequence.pictures[1].properties["geovisio:visibility"] = "owner-only"
    origin.touch(sequence)
    await world.good_visit()
    assert sequence.pictures[1].id not in await world.everything_stored()
    sequence.collection["geovisio:visibility"] = "logged-only"
    origin.touch(sequence)
    await world.good_visit()
    assert await world.served() == {}


async def secrets_at_every_seam(world: World) -> tuple[Origin, list[str]]:
    """An instance, and sequences that never were public: the last of each page of the listing, as tombstones."""
    origin = await world.origin()
    for n in range(16):
        origin.add_sequence(2, at=(2.3 + n / 50, 48.85))
    secret = [origin.sequences[id] for id in sorted(origin.sequences)[3::4]]
    for sequence in secret:
        sequence.gone = True
    return origin, [sequence.id for sequence in secret]


@pytest.mark.parametrize("ranges", [1, 4])
async def test_first_crawl_broken_off_at_a_sequence_that_never_was_public_does_not_note_it(
    ranges: int, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    origin, secret = await secrets_at_every_seam(world)
    asked = 0

    async def fail(request: web.Request) -> web.Response | None:
        nonlocal asked
        asked += "id > " in request.query.get("filter", "") and "updated" not in request.query["filter"]
        return answer({}, 503) if asked > 2 else None

    origin.hook = fail
    assert (await world.visit(crawl_ranges=ranges)).outcome == "failed"
    stored = await world.everything_stored()
    assert "id%20%3E%20'...'" in stored
    assert not [id for id in secret if id in stored + caplog.text]
    origin.hook = None
    await world.good_visit(crawl_ranges=ranges)
    await world.check_same()


async def test_listing_that_fails_after_a_sequence_that_never_was_public_does_not_name_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    origin, secret = await secrets_at_every_seam(world)
    await world.good_visit()
    origin.touch(*origin.sequences.values())

    async def fail(request: web.Request) -> web.Response | None:
        return answer({}, 503) if secret[0] in request.path_qs else None

    origin.hook = fail
    progress = await world.visit()
    assert progress.outcome == "failed"
    assert "id%20%3E%20'...'" in progress.last_error_url
    assert not [id for id in secret if id in await world.everything_stored() + caplog.text]

"""An instance that is unwell, changes while it is read, or is no instance: what is recorded, who is harmed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from aiohttp import web

from harvester.progress import Progress
from tests.harvest_world import World
from tests.origin import Origin, answer, html, refusal


async def retries(world: World) -> dict[str, tuple[int, str]]:
    rows = await world.admin.fetch("SELECT sequence, attempts, error FROM retries")
    return {str(row["sequence"]): (row["attempts"], row["error"]) for row in rows}


async def make_retries_due(world: World) -> None:
    await world.admin.execute("UPDATE retries SET next_at = now() - interval '1 second'")


def listing_of(origin: Origin) -> list[str]:
    return [request for request in origin.requests if request.startswith("/collections?")]


async def test_resorting_while_pages_are_read_is_noticed_and_read_again(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(23)
    turned = 0

    async def resort(request: web.Request) -> None:
        nonlocal turned
        if "startAfterRank=10" in request.path_qs and turned < 1:
            turned += 1
            sequence.pictures.reverse()
            origin.touch(sequence)

    origin.hook = resort
    await world.good_visit()
    assert turned == 1
    await world.check_same()


async def test_a_sequence_that_changes_all_the_time_is_read_in_one_answer(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(23)

    async def resort(request: web.Request) -> None:
        if "startAfterRank=" in request.path_qs:
            origin.random.shuffle(sequence.pictures)
            origin.touch(sequence)

    origin.hook = resort
    await world.good_visit()
    assert origin.requests[-2].endswith("/items")
    await world.check_same()


async def test_a_sequence_edited_after_it_was_listed_is_read_on_the_second_try(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(23)
    edits = 0

    async def edit(request: web.Request) -> None:
        nonlocal edits
        if request.path.endswith("/items") and not edits:
            edits += 1
            origin.edit(sequence.pictures[-1], title="late")

    origin.hook = edit
    await world.good_visit()
    assert not any(request.endswith("/items") for request in origin.requests), "it was not read in one answer"
    await world.check_same()


async def test_an_id_given_twice_in_one_sequence_is_never_merged(world: World) -> None:
    origin = await world.origin()
    bad, good = origin.add_sequence(8), origin.add_sequence(3)
    bad.pictures[7].id = bad.pictures[1].id
    progress = await world.visit()
    assert progress.outcome == "partial"
    assert list(await retries(world)) == [bad.id]
    assert "twice" in (await retries(world))[bad.id][1]
    assert set(await world.served()) == {picture.id for picture in good.pictures}


async def test_a_killed_first_crawl_goes_on_after_the_last_whole_page(world: World) -> None:
    origin = await world.origin()
    for n in range(12):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    reached = asyncio.Event()

    async def hang_on_third_page(request: web.Request) -> None:
        if len(listing_of(origin)) == 4:  # one to find out how to ask, two pages
            reached.set()
            await asyncio.sleep(60)

    origin.hook = hang_on_third_page
    visit = asyncio.create_task(world.visit(crawl_ranges=1))
    await reached.wait()
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)
    row = await world.admin.fetchrow("SELECT crawl_after, cursor, last_success_at FROM instances")
    assert row is not None
    assert str(row["crawl_after"]) == sorted(origin.sequences)[7]
    assert (row["cursor"], row["last_success_at"]) == (None, None)
    assert await world.admin.fetchval("SELECT outcome FROM runs") == "interrupted"
    assert await world.check() == 24
    origin.hook = None
    # edited meanwhile, on a page that was read: the cursor is the clock of the first crawl's start
    origin.edit(origin.sequences[sorted(origin.sequences)[0]].pictures[0], title="meanwhile")
    await world.good_visit(crawl_ranges=1)
    assert not any(sorted(origin.sequences)[0] in request for request in origin.requests)
    await world.good_visit()
    await world.check_same()


async def test_a_first_crawl_killed_after_its_last_page_ends(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    await world.good_visit()
    await world.admin.execute(
        "UPDATE instances SET cursor = NULL, crawl_started = $1, crawl_after = $2",
        datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
        max(origin.sequences),
    )
    await world.good_visit()
    row = await world.admin.fetchrow("SELECT cursor, crawl_after FROM instances")
    assert row is not None
    assert row["cursor"] == datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    assert row["crawl_after"] is None


async def test_an_instance_without_a_clock_is_followed_by_full_listings(world: World) -> None:
    origin = await world.origin()
    origin.without_date = True
    origin.add_sequence(3)
    await world.good_visit()
    origin.add_sequence(3)
    origin.edit(next(iter(origin.sequences.values())).pictures[0], title="changed")
    await world.good_visit()
    await world.check_same()


async def test_a_sequence_that_always_fails_stands_in_retries_and_holds_nobody(world: World) -> None:
    origin = await world.origin()
    for n in range(6):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    bad = next(iter(origin.sequences))
    origin.faults[f"/collections/{bad}/items"] = html(500)
    progress = await world.visit()
    assert (progress.outcome, progress.sequences_failed) == ("partial", 1)
    assert (await retries(world))[bad][0] == 1
    assert await world.check() == 15
    cursor = await world.admin.fetchval("SELECT cursor FROM instances")
    assert cursor is not None
    # while it waits it is not asked for, and the visit does not say that all is done
    assert (await world.visit()).outcome == "partial"
    await world.check()
    assert not any(bad in request for request in origin.requests)
    await make_retries_due(world)
    await world.visit()
    assert (await retries(world))[bad][0] == 2
    origin.faults.clear()
    await make_retries_due(world)
    await world.good_visit()
    assert await retries(world) == {}
    await world.check_same()


async def test_a_sequence_in_retries_that_changes_is_read_at_once(world: World) -> None:
    origin = await world.origin()
    bad = origin.add_sequence(3)
    origin.faults[f"/collections/{bad.id}/items"] = html(500)
    await world.visit()
    origin.faults.clear()
    assert (await world.visit()).outcome == "partial"
    assert bad.id in await retries(world)
    origin.touch(bad)
    await world.good_visit()
    assert await retries(world) == {}
    await world.check_same()


@pytest.mark.parametrize("fault", [refusal(503), html(200), refusal(500)])
async def test_a_retry_that_cannot_be_asked_for_stays(world: World, fault: object) -> None:
    origin = await world.origin()
    bad = origin.add_sequence(3).id
    origin.faults[f"/collections/{bad}/items"] = refusal(500)
    await world.visit()
    origin.faults[f"/collections/{bad}"] = fault  # type: ignore[assignment]
    await make_retries_due(world)
    other = origin.add_sequence(2)
    progress = await world.visit()
    assert progress.outcome == "partial", progress.last_error
    assert (await retries(world))[bad][0] == 2
    assert set(await world.served()) == {picture.id for picture in other.pictures}


async def test_a_retry_of_a_sequence_that_is_gone_is_dropped(world: World) -> None:
    origin = await world.origin()
    bad = origin.add_sequence(3)
    origin.faults[f"/collections/{bad.id}/items"] = refusal(500)
    await world.visit()
    origin.hide_sequence(bad)
    await make_retries_due(world)
    await world.good_visit()
    assert await retries(world) == {}


async def test_an_instance_that_fails_for_every_sequence_is_left_alone_after_a_few(world: World) -> None:
    origin = await world.origin()
    for _ in range(20):
        origin.add_sequence(1)
    for id in origin.sequences:
        origin.faults[f"/collections/{id}/items"] = refusal(503)
    progress = await world.visit(page_sequences=50, instance_concurrency=1)
    assert progress.outcome == "failed"
    assert "503" in progress.last_error
    assert len(await retries(world)) == 5
    # the next visit does not stumble over the same five
    origin.faults = {f"/collections/{id}/items": refusal(503) for id in await retries(world)}
    assert (await world.visit(page_sequences=50)).outcome == "partial"
    assert len(await world.served()) == 15
    assert await world.check() == 15


async def failed(world: World, name: str) -> Progress:
    progress = await world.visit(name)
    assert progress.outcome == "failed"
    row = await world.admin.fetchrow(
        "SELECT i.last_error, i.failures, i.last_success_at, i.cursor, r.outcome, r.last_error AS said"
        " FROM instances i JOIN runs r ON r.n = i.run WHERE i.name = $1",
        name,
    )
    assert row is not None
    assert row["outcome"] == "failed"
    assert row["last_error"] == row["said"] == progress.last_error
    assert (row["failures"], row["last_success_at"], row["cursor"]) == (1, None, None)
    return progress


async def test_an_unreachable_instance_is_recorded_and_harms_no_other(world: World) -> None:
    north = await world.origin()
    north.add_sequence(3)
    async with Origin() as down:
        await world.register("down", down.url)
    await failed(world, "down")
    await world.good_visit()
    await world.check_same("north")


async def test_an_address_that_is_no_stac_api_is_named(world: World) -> None:
    origin = await world.origin()
    origin.faults["/"] = lambda: answer({"hello": "world"})
    assert "is not a STAC API" in (await failed(world, "north")).last_error


async def test_html_instead_of_json_is_named(world: World) -> None:
    origin = await world.origin()
    origin.faults["/collections"] = html()
    assert "text/html" in (await failed(world, "north")).last_error


async def test_a_fault_of_our_own_is_recorded_as_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = await world.origin()
    origin.add_sequence(1)

    def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("harvester.reading.accept", broken)
    assert "ours" in (await failed(world, "north")).last_error


async def test_a_listing_with_entries_that_cannot_be_read_goes_on(world: World) -> None:
    origin = await world.origin()
    sequences = sorted((origin.add_sequence(2, at=(2.3 + n / 50, 48.85)) for n in range(8)), key=lambda s: s.id)
    sequences[3].collection = {"updated": "yesterday"}
    sequences[5].collection = {"geovisio:status": "ready", "title": 7}
    progress = await world.visit()
    assert progress.outcome == "partial", progress.last_error
    errors = {id: error for id, (_, error) in (await retries(world)).items()}
    assert errors.keys() == {sequences[3].id, sequences[5].id}
    assert "'yesterday' is not a date" in errors[sequences[3].id]
    assert "title" in errors[sequences[5].id]
    assert await world.check() == 12


async def test_old_instances_are_asked_in_the_way_they_understand(world: World) -> None:
    for version, way in (("2.10", "id-status"), ("refuses", "id-status"), ("2.15", "id"), ("plain", "links")):
        origin = await world.origin(version, version=version)
        kept, gone = origin.add_sequence(3), origin.add_sequence(3, at=(2.4, 48.8))
        await world.good_visit(version)
        learnt = await world.admin.fetchval("SELECT capabilities ->> 'listing' FROM instances WHERE name = $1", version)
        assert learnt == way
        origin.hide_sequence(gone)
        origin.add_picture(kept, 2.31, 48.81)
        await world.good_visit(version)
    await world.check_same()


async def test_a_plain_listing_that_cannot_be_read_wholly_removes_nothing(world: World) -> None:
    origin = await world.origin(version="plain")
    one, two = origin.add_sequence(3), origin.add_sequence(3, at=(2.4, 48.8))
    await world.good_visit()
    two.collection = {"id": 5}
    progress = await world.visit()
    assert progress.outcome == "partial"
    assert await world.check() == 6
    assert one.id in {sequence for sequence, _ in (await world.served()).values()}


async def test_the_retry_waits_longer_each_time(world: World) -> None:
    origin = await world.origin()
    bad = origin.add_sequence(3).id
    origin.faults[f"/collections/{bad}/items"] = refusal(404)
    waits = []
    for _ in range(4):
        await world.visit(retry_first_s=60, retry_last_s=200)
        waits.append(await world.admin.fetchval("SELECT next_at - now() FROM retries"))
        await make_retries_due(world)
    assert [round(wait / timedelta(seconds=10)) for wait in waits] == [6, 12, 20, 20]

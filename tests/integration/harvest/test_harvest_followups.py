"""Pictures that become visible after their sequence was read, which nothing announces: they are asked for again."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from tests.harvest_world import World
from tests.origin import Origin, OriginSequence, refusal


async def with_late_picture(world: World, version: str = "2.15") -> tuple[Origin, OriginSequence]:
    origin = await world.origin(version=version)
    sequence = origin.add_sequence(4)
    sequence.pictures[2].preparing = True
    await world.good_visit()
    await world.check_same()
    return origin, sequence


async def waiting(world: World) -> list[tuple[int, timedelta]]:
    rows = await world.admin.fetch("SELECT attempts, next_at - now() AS left FROM followups")
    return [(row["attempts"], row["left"]) for row in rows]


async def test_a_picture_that_becomes_visible_without_a_signal_is_found_by_the_follow_up(world: World) -> None:
    origin, sequence = await with_late_picture(world)
    ((attempts, left),) = await waiting(world)
    assert (attempts, round(left / timedelta(seconds=60))) == (1, 10)
    sequence.pictures[2].preparing = False
    # nothing moved, so that nothing tells of it before its time
    await world.good_visit()
    assert len(await world.served()) == 3
    await world.age("followups", "next_at", "11 minutes")
    await world.good_visit()
    await world.check_same()
    assert await waiting(world) == []
    assert any("geovisio_status" in request for request in origin.requests) is False


async def test_the_follow_up_waits_longer_each_time_while_something_is_being_prepared(world: World) -> None:
    await with_late_picture(world)
    waits = []
    for _ in range(6):
        ((_, left),) = await waiting(world)
        waits.append(round(left.total_seconds()))
        await world.age("followups", "next_at", "8 days")
        await world.good_visit()
    assert [round(wait, -1) for wait in waits] == [600, 3_600, 21_600, 86_400, 604_800, 604_800]


async def test_a_sequence_read_before_its_time_keeps_its_place(world: World) -> None:
    origin, sequence = await with_late_picture(world)
    await world.age("followups", "next_at", "5 minutes")
    origin.edit(sequence.pictures[0], title="edited")
    await world.good_visit()
    ((attempts, left),) = await waiting(world)
    assert (attempts, round(left / timedelta(seconds=60))) == (1, 5)


async def test_hidden_pictures_are_counted_by_the_instance_and_not_waited_for(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(5)
    origin.hide_picture(sequence.pictures[1])
    await world.good_visit()
    assert await waiting(world) == []
    assert sum("geovisio_status" in request for request in origin.requests) == 1
    assert len(await world.served()) == 4


async def test_a_picture_that_becomes_ready_between_its_page_and_the_question_is_not_missed(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(4)
    sequence.pictures[3].preparing = True

    async def finish(request: web.Request) -> None:
        if request.path.endswith("geovisio_status"):
            sequence.pictures[3].preparing = False

    origin.hook = finish
    await world.good_visit()
    await world.check_same()
    assert await waiting(world) == []


async def test_a_server_that_has_no_such_word_is_asked_once(world: World) -> None:
    origin = await world.origin(version="plain")
    for n in range(3):
        origin.hide_picture(origin.add_sequence(3, at=(2.3 + n / 50, 48.85)).pictures[0])
    await world.good_visit(instance_concurrency=1)
    assert sum("geovisio_status" in request for request in origin.requests) == 1
    assert await world.admin.fetchval("SELECT capabilities ->> 'status' FROM instances") == "false"


async def test_a_status_that_cannot_be_read_now_is_asked_again_and_holds_no_picture(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(4)
    sequence.pictures[2].preparing = True
    origin.faults[f"/collections/{sequence.id}/geovisio_status"] = refusal(500)
    await world.good_visit()
    await world.check_same()
    assert len(await waiting(world)) == 1


async def test_the_follow_up_of_a_sequence_that_went_away_ends(world: World) -> None:
    origin, sequence = await with_late_picture(world)
    await world.age("followups", "next_at", "11 minutes")
    origin.hide_sequence(sequence)
    await world.good_visit()
    assert await waiting(world) == []
    assert await world.served() == {}

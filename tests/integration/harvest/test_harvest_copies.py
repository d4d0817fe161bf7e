"""The same id on two instances: the first copy keeps it, and the next takes its place when the first goes away."""

from __future__ import annotations

import asyncio
import copy

from harvester.progress import Progress
from harvester.withdraw import withdraw_instance
from tests.harvest_world import World
from tests.origin import Origin, OriginSequence


async def transferred(
    world: World, *, same_sequence: bool = True
) -> tuple[Origin, Origin, OriginSequence, OriginSequence]:
    """North has a sequence that south has too (with another azimuth), as a transfer leaves them."""
    north, south = await world.origin("north"), await world.origin("south")
    first = north.add_sequence(8)
    north.add_sequence(5, at=(2.5, 48.9))
    second = copy.deepcopy(first)
    if not same_sequence:
        second.id = south.new_id()
    south.sequences[second.id] = second
    south.add_sequence(4, at=(2.6, 48.9))
    await world.good_visit("north")
    for picture in second.pictures:
        picture.properties["view:azimuth"] = 11
    await world.good_visit("south")
    return north, south, first, second


async def counted(world: World) -> dict[str, int]:
    rows = await world.admin.fetch(
        "SELECT i.name, count(*) FILTER (WHERE p.served) AS n"
        " FROM pictures p JOIN instances i ON i.n = p.instance GROUP BY 1"
    )
    return {row["name"]: row["n"] for row in rows}


async def test_the_first_copy_keeps_the_id(world: World) -> None:
    north, south, _, _ = await transferred(world)
    assert await counted(world) == {"north": 13, "south": 4}
    served = await world.served()
    assert {id: served[id] for id in north.visible()}.keys() == north.visible().keys()
    south.touch(*south.sequences.values())
    await world.good_visit("south")
    assert await counted(world) == {"north": 13, "south": 4}


async def test_the_next_copy_is_promoted_when_the_first_sequence_is_deleted(world: World) -> None:
    north, _, first, _ = await transferred(world)
    north.hide_sequence(first)
    await world.good_visit("north")
    await world.check_same("north", "south")
    assert await counted(world) == {"north": 5, "south": 12}
    # the origin shows it again: whoever has the id now keeps it
    north.hide_sequence(first, hidden=False)
    await world.good_visit("north")
    assert await counted(world) == {"north": 5, "south": 12}


async def test_copies_in_sequences_of_other_ids_are_promoted_one_by_one(world: World) -> None:
    north, _, first, second = await transferred(world, same_sequence=False)
    for picture in (first.pictures[2], first.pictures[3], first.pictures[6]):
        north.delete_picture(picture)
    await world.good_visit("north")
    assert await counted(world) == {"north": 10, "south": 7}
    served = await world.served()
    promoted = {id for id, (sequence, _) in served.items() if sequence == second.id}
    assert promoted == {first.pictures[n].id for n in (2, 3, 6)}
    await world.good_visit("north")
    north.hide_sequence(first)
    await world.good_visit("north")
    await world.check_same("north", "south")


async def test_the_tombstone_of_a_copy_does_not_touch_the_served_one(world: World) -> None:
    _, south, first, second = await transferred(world)
    south.hide_sequence(second)
    await world.good_visit("south")
    await world.check_same("north", "south")
    served = await world.served()
    assert all(served[picture.id][1]["properties"]["view:azimuth"] == 90 for picture in first.pictures)


async def test_a_copy_that_is_edited_stays_a_copy(world: World) -> None:
    north, south, first, second = await transferred(world)
    south.edit(second.pictures[0], title="edited")
    south.move(second.pictures[1], next(s for s in south.sequences.values() if s is not second))
    await world.good_visit("south")
    assert await counted(world) == {"north": 13, "south": 4}
    north.hide_sequence(first)
    await world.good_visit("north")
    await world.check_same("north", "south")


async def test_two_instances_that_bring_the_same_ids_at_once_serve_each_once(world: World) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    for n in range(12):
        sequence = north.add_sequence(9, at=(2.3 + n / 50, 48.85))
        south.sequences[sequence.id] = copy.deepcopy(sequence)
    await asyncio.gather(world.visit("north"), world.visit("south"))
    assert await world.check() == 108
    for sequence in list(north.sequences.values())[:6]:
        north.hide_sequence(sequence)
    for sequence in list(south.sequences.values())[6:]:
        south.hide_sequence(sequence)
    ends = await asyncio.gather(world.visit("north"), world.visit("south"))
    assert [end.outcome for end in ends] == ["done", "done"]
    assert await world.check() == 108
    await world.check_same("north", "south")


async def test_two_removals_that_promote_into_one_sequence_at_once_leave_it_right(world: World) -> None:
    """Pictures 0-9 are north's, 10-19 west's, and south has a copy of all in one sequence."""
    north, west, south = await world.origin("north"), await world.origin("west"), await world.origin("south")
    whole = south.add_sequence(40)
    for origin, half in ((north, whole.pictures[::2]), (west, whole.pictures[1::2])):
        sequence = origin.add_sequence(0)
        sequence.pictures = copy.deepcopy(half)
        await world.good_visit("north" if origin is north else "west")
    await world.good_visit("south")
    for origin in (north, west):
        origin.hide_sequence(next(iter(origin.sequences.values())))
    ends = await asyncio.gather(world.visit("north"), world.visit("west"))
    assert [end.outcome for end in ends] == ["done", "done"]
    await world.check()
    await world.check_same("south")


async def test_withdrawing_an_instance_leaves_nothing_of_it(world: World) -> None:
    north, _, _, _ = await transferred(world)
    number = await world.admin.fetchval("UPDATE instances SET run = run + 1 WHERE name = 'north' RETURNING n")
    steps: list[int] = []
    assert await withdraw_instance(world.dsn, world.pool, number, world.settings, steps.append) == 13
    assert steps[-1] == 13
    await world.check()
    await world.check_same("south")
    left = await world.admin.fetchrow(
        "SELECT (SELECT count(*) FROM pictures WHERE instance = $1) AS pictures,"
        " (SELECT count(*) FROM locator WHERE instance = $1) AS located,"
        " (SELECT count(*) FROM cell_counts WHERE instance = $1) AS counts,"
        " (SELECT coalesce(sum(abs(pictures)), 0) FROM month_counts WHERE instance = $1) AS months,"
        " (SELECT count(*) FROM sequences WHERE instance = $1 AND state <> 'removed') AS sequences",
        number,
    )
    assert left is not None
    assert set(left.values()) == {0}, left
    north.requests.clear()


async def overtaken(world: World, coming: str, going: str) -> None:
    """Two visits whose merges meet: `going` begins while `coming` has done all but commit."""

    async def meet(waiting: int, *unless: asyncio.Task[Progress]) -> None:
        for _ in range(3_000):
            await world.admin.execute("SELECT pg_stat_clear_snapshot()")
            found = await world.admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found >= waiting or any(each.done() for each in unless):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{waiting} merges never waited")

    async with world.admin.transaction():
        # the last thing that a merge of sequences touches, and that a removal does not
        await world.admin.execute("LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE")
        first = asyncio.create_task(world.visit(coming))
        await meet(1)
        second = asyncio.create_task(world.visit(going))
        await meet(2, second)
    assert [(await each).outcome for each in (first, second)] == ["done", "done"]
    await world.check()


async def test_a_copy_that_arrives_while_the_first_is_deleted_is_served(world: World) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    first = north.add_sequence(8)
    await world.good_visit("north")
    south.sequences[first.id] = copy.deepcopy(first)
    north.hide_sequence(first)
    await overtaken(world, "south", "north")
    await world.check_same("north", "south")
    assert await counted(world) == {"south": 8}


async def test_a_sequence_of_other_pictures_that_arrives_while_the_first_is_deleted_is_served(world: World) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    first = north.add_sequence(8)
    await world.good_visit("north")
    namesake = south.add_sequence(3, id=first.id)
    assert not {each.id for each in namesake.pictures} & {each.id for each in first.pictures}
    north.hide_sequence(first)
    await overtaken(world, "south", "north")
    assert await counted(world) == {"south": 3}

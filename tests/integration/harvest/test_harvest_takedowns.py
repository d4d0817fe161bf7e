"""What is taken down is not shown, whichever instance has it, until an administrator ends it."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import asdict
from uuid import UUID

import asyncpg
import orjson
import pytest

from federation.cells import cell_box, children
from federation.database import Role, connect
from federation.errors import TakedownRefused
from federation.queries import query
from federation.takedowns import REASON_MAX, TakenDown, end_takedown, list_takedowns, take_down
from harvester.split import _Key, _move_batch, split_leaf
from tests.harvest_world import World
from tests.origin import Origin, OriginSequence


async def operator(world: World) -> asyncpg.Connection:
    """A connection as the catalog has it for an administrator's requests."""
    connection = await connect(world.dsn, Role.OPERATOR, world.settings)
    world.stack.push_async_callback(connection.close)
    return connection


async def down(world: World, kind: str, id: str) -> TakenDown:
    connection = await operator(world)
    assert kind in ("picture", "sequence")
    done = await take_down(connection, "picture" if kind == "picture" else "sequence", UUID(id), "asked for", "token 1")
    assert await connection.fetchval("SELECT current_user") == "panofed_operator"
    await world.check()
    return done


async def up(world: World, n: int) -> None:
    await end_takedown(await operator(world), n, "token 1")


async def two_copies(world: World) -> tuple[Origin, Origin, OriginSequence]:
    """North and south have the same sequence; north's copy is served."""
    north, south = await world.origin("north"), await world.origin("south")
    first = north.add_sequence(8)
    north.add_sequence(5, at=(2.5, 48.9))
    south.sequences[first.id] = copy.deepcopy(first)
    await world.good_visit("north")
    await world.good_visit("south")
    return north, south, first


async def test_a_picture_is_gone_at_once_in_every_copy_with_its_links_and_counts(world: World) -> None:
    _, _, first = await two_copies(world)
    victim = first.pictures[3].id
    done = await down(world, "picture", victim)
    assert done == TakenDown(n=1, is_new=True, pictures=2)
    served = await world.served()
    assert victim not in served and len(served) == 12
    neighbours = await world.admin.fetch(
        "SELECT id::text, prev_id::text, next_id::text FROM pictures WHERE served AND id = ANY($1)",
        [UUID(first.pictures[n].id) for n in (2, 4)],
    )
    found = {row["id"]: row for row in neighbours}
    assert found[first.pictures[2].id]["next_id"] == first.pictures[4].id
    assert found[first.pictures[4].id]["prev_id"] == first.pictures[2].id


async def test_no_visit_brings_a_picture_back_that_is_taken_down(world: World) -> None:
    north, south, first = await two_copies(world)
    victim = first.pictures[3].id
    await down(world, "picture", victim)
    for origin, name in ((north, "north"), (south, "south")):
        origin.touch(*origin.sequences.values())
        await world.good_visit(name)
        assert victim not in await world.served()
    # the origin takes it away, shows it anew, moves it to another sequence: a revival is no way around
    north.hide_picture(first.pictures[3])
    await world.good_visit("north")
    north.hide_picture(first.pictures[3], hidden=False)
    north.move(first.pictures[3], next(each for each in north.sequences.values() if each is not first))
    await world.good_visit("north", thorough=True)
    assert victim not in await world.served()
    # an instance that never had it takes the account over
    west = await world.origin("west")
    west.sequences[first.id] = copy.deepcopy(south.sequences[first.id])
    await world.good_visit("west")
    assert victim not in await world.served()
    (takedown,) = await list_takedowns(world.admin)
    assert takedown.copies == ("north", "south", "west")


async def test_a_sequence_is_gone_at_once_and_followers_are_told(world: World) -> None:
    _, _, first = await two_copies(world)
    last = await world.admin.fetchval("SELECT max(n) FROM changes")
    done = await down(world, "sequence", first.id)
    assert done.pictures == 16
    assert len(await world.served()) == 5
    told = await world.admin.fetch("SELECT kind FROM changes WHERE n > $1 AND sequence = $2", last, UUID(first.id))
    assert {row["kind"] for row in told} == {"remove"}
    assert await world.admin.fetchval("SELECT count(*) FROM tombstones WHERE id = $1", UUID(first.id)) == 1


async def test_no_visit_brings_a_sequence_back_that_is_taken_down(world: World) -> None:
    north, south, first = await two_copies(world)
    await down(world, "sequence", first.id)
    for origin, name in ((north, "north"), (south, "south")):
        origin.touch(*origin.sequences.values())
        await world.good_visit(name)
    # it is listed, known to be withheld, and not even read
    assert not [asked for asked in south.requests if f"/collections/{first.id}/items" in asked]
    north.hide_sequence(first)
    await world.good_visit("north")
    north.hide_sequence(first, hidden=False)
    await world.good_visit("north", thorough=True)
    west = await world.origin("west")
    west.sequences[first.id] = copy.deepcopy(first)
    await world.good_visit("west")
    assert len(await world.served()) == 5


async def test_what_another_sequence_has_too_is_shown_there_when_its_own_is_taken_down(world: World) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    first = north.add_sequence(6)
    second = copy.deepcopy(first)
    second.id = south.new_id()
    south.sequences[second.id] = second
    await world.good_visit("north")
    await world.good_visit("south")
    await down(world, "sequence", first.id)
    assert {sequence for sequence, _ in (await world.served()).values()} == {second.id}
    assert len(await world.served()) == 6


async def test_what_nobody_has_yet_can_be_taken_down(world: World) -> None:
    north = await world.origin("north")
    sequence = north.add_sequence(4)
    other = north.add_sequence(3, at=(2.5, 48.9))
    assert (await down(world, "picture", sequence.pictures[0].id)).pictures == 0
    await down(world, "sequence", other.id)
    await world.good_visit("north")
    assert sorted(await world.served()) == sorted(each.id for each in sequence.pictures[1:])


async def test_when_it_ends_the_next_visit_brings_everything_back(world: World) -> None:
    north, _, first = await two_copies(world)
    picture = await down(world, "picture", first.pictures[3].id)
    sequence = await down(world, "sequence", next(id for id in north.sequences if id != first.id))
    await world.good_visit("north")
    for each in (picture, sequence):
        await up(world, each.n)
    await world.good_visit("north")
    # where both have an id, north's is served
    await world.check_same("south", "north")
    await world.good_visit("south")
    await world.check_same("south", "north")
    assert await world.admin.fetchval("SELECT count(*) FROM pictures WHERE NOT served") == 8
    with pytest.raises(TakedownRefused, match="no takedown 1 stands"):
        await up(world, picture.n)


async def test_it_is_written_down_who_did_it_and_why(world: World) -> None:
    north = await world.origin("north")
    sequence = north.add_sequence(3)
    await world.good_visit("north")
    id = sequence.pictures[0].id
    first = await down(world, "picture", id)
    assert (await down(world, "picture", id)).n == first.n
    await up(world, first.n)
    rows = await world.admin.fetch("SELECT kind, subject, actor, public FROM events ORDER BY n")
    assert [tuple(row) for row in rows] == [
        ("taken-down", id, "token 1", False),
        ("takedown-ended", id, "token 1", False),
    ]
    (listed,) = await list_takedowns(world.admin)
    assert (listed.reason, listed.actor, listed.ended_by) == ("asked for", "token 1", "token 1")
    assert listed.ended_at is not None


@pytest.mark.parametrize("reason", ["", "  ", "x" * (REASON_MAX + 1), "a\x00b"], ids=["none", "blank", "long", "nul"])
async def test_a_reason_is_needed(world: World, reason: str) -> None:
    with pytest.raises(TakedownRefused, match="reason"):
        await take_down(world.admin, "picture", UUID(int=1), reason, "token 1")


async def test_a_merge_that_is_under_way_cannot_slip_it_in(world: World) -> None:
    """Taken down again and again while visits run: whatever the order of commits, it is never there afterwards."""
    north = await world.origin("north")
    sequences = [north.add_sequence(6, at=(2.3 + n / 50, 48.85)) for n in range(10)]
    victims = [sequence.pictures[2].id for sequence in sequences] + [sequences[0].id]
    connection = await operator(world)

    async def take_all() -> None:
        for victim in victims:
            kind = "sequence" if victim == sequences[0].id else "picture"
            await take_down(connection, "sequence" if kind == "sequence" else "picture", UUID(victim), "r", "token 1")
            await asyncio.sleep(0.01)

    visit, _ = await asyncio.gather(world.visit("north", batch_pictures=6), take_all())
    assert visit.outcome == "done", visit.last_error
    await world.check()
    assert len(await world.served()) == 9 * 5


async def test_what_is_being_moved_by_a_split_is_gone_too(world: World) -> None:
    """Half of each sequence is with the leaf's children already, half is not; then the split goes on."""
    north = await world.origin("north")
    sequences = [north.add_sequence(8, at=(2.3 + n / 50, 48.85)) for n in range(3)]
    await world.good_visit("north")
    cell = await world.admin.fetchval("SELECT cell FROM leaves")
    boxes = [{"cell": child} | asdict(cell_box(child)) for child in children(cell)]
    await world.admin.execute(query("begin_split"), cell, orjson.dumps(boxes).decode())
    assert await _move_batch(world.admin, cell, _Key(), 12) is not None
    assert await world.admin.fetchval("SELECT count(*) FROM pictures WHERE cell = $1", cell) == 12
    await down(world, "sequence", sequences[1].id)
    await down(world, "picture", sequences[0].pictures[1].id)
    await down(world, "picture", sequences[2].pictures[6].id)
    assert len(await world.served()) == 14
    last = UUID(sequences[2].pictures[7].id)
    await asyncio.gather(
        split_leaf(world.admin, cell, world.settings),
        take_down(await operator(world), "picture", last, "asked for", "token 1"),
    )
    assert await world.check() == 13
    for n in (1, 2, 3, 4):
        await up(world, n)
    await world.good_visit("north")
    await world.check_same("north")

"""How long a change took to be served is measured for what an incremental pass saw, and for nothing else."""

from __future__ import annotations

from datetime import timedelta

from tests.harvest_world import World
from tests.origin import Origin


async def measured(world: World) -> dict[int, int]:
    rows = await world.admin.fetch("SELECT le_s, sum(changes)::integer AS changes FROM freshness GROUP BY 1")
    return {row["le_s"]: row["changes"] for row in rows}


async def filled(world: World) -> Origin:
    origin = await world.origin()
    for n in range(4):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    await world.good_visit()
    return origin


async def test_a_first_crawl_and_reconciliation_measure_nothing(world: World) -> None:
    await filled(world)
    await world.good_visit(thorough=True)
    assert await measured(world) == {}


async def test_each_signalled_change_is_counted_in_its_bucket(world: World) -> None:
    origin = await filled(world)
    one, two, three, _ = origin.sequences.values()
    for sequence, age_s in ((one, 40), (two, 100), (three, 1_000)):
        origin.edit(sequence.pictures[0], title="edited")
        assert sequence.updated is not None
        sequence.updated -= timedelta(seconds=age_s)
    await world.good_visit()
    assert await measured(world) == {45: 1, 120: 1, 3_600: 1}
    await world.good_visit()
    assert sum((await measured(world)).values()) == 3, "what is listed again within the overlap changed nothing"


async def test_a_clock_ahead_of_ours_counts_as_no_time(world: World) -> None:
    origin = await filled(world)
    sequence = next(iter(origin.sequences.values()))
    origin.edit(sequence.pictures[0], title="edited")
    assert sequence.updated is not None
    sequence.updated += timedelta(seconds=50)
    await world.good_visit()
    assert await measured(world) == {1: 1}


async def test_an_instance_that_changed_is_visited_again_within_a_minute(world: World) -> None:
    origin = await filled(world)
    origin.edit(next(iter(origin.sequences.values())).pictures[0], title="edited")
    await world.good_visit()
    pause_s = await world.admin.fetchval(
        "SELECT extract(epoch FROM next_visit_at - last_success_at)::float8 FROM instances"
    )
    # by the default cadence: what the visit itself takes comes on top
    assert 0 < pause_s <= 45

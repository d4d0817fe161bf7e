"""The database goes away, another worker takes over, a dictionary is trained, a leaf comes while a batch is staged."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from itertools import islice

import orjson
import pytest

from federation.cells import base_cells, cell_of, middle, parent
from federation.errors import RunFenced
from federation.leaves import LeafSet, load_leaves
from federation.payload import Packer
from federation.queries import query
from federation.record import Picture
from federation.record import Sequence as SequenceRecord
from harvester.dictionaries import repack
from harvester.lane import Lane
from harvester.merge import Batch, merge_batch
from harvester.split import split_leaf
from tests.harvest_world import World
from tests.origin import Origin, OriginSequence


async def test_a_database_that_is_cut_off_during_a_visit_ends_it_clearly_and_the_next_goes_on(world: World) -> None:
    origin = await world.origin()
    for n in range(12):
        origin.add_sequence(5, at=(2.3 + n / 50, 48.85))
    cut = 0

    async def cut_off(request: object) -> None:
        nonlocal cut
        if len(origin.requests) == 14:
            cut = await world.admin.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    origin.hook = cut_off
    progress = await world.visit(run_lease_s=2)
    assert cut >= 3
    assert progress.outcome == "failed"
    assert "connection" in progress.last_error or "database" in progress.last_error, progress.last_error
    await world.check()
    origin.hook = None
    # the range that was read when the database went is free once its lease ends
    await world.good_visit(run_lease_s=2)
    await world.check_same()


async def test_a_run_that_was_replaced_writes_nothing(world: World) -> None:
    origin = await world.origin()
    for n in range(8):
        origin.add_sequence(5, at=(2.3 + n / 50, 48.85))

    async def replace(request: object) -> None:
        if len(origin.requests) == 12:
            await world.admin.execute("UPDATE instances SET run = run + 1000")

    origin.hook = replace
    progress = await world.visit()
    assert (progress.outcome, "replaced" in progress.last_error) == ("failed", True)
    before = await world.check()
    row = await world.admin.fetchrow("SELECT crawl_after, cursor, last_error, failures FROM instances")
    assert row is not None
    assert (row["cursor"], row["last_error"], row["failures"]) == (None, "", 0)
    assert before < 40


async def test_two_visits_of_one_instance_never_overlap(world: World) -> None:
    origin = await world.origin()
    for _ in range(4):
        origin.add_sequence(5)
    ends = await asyncio.gather(world.visit(), world.visit())
    assert sorted(end.outcome for end in ends) == ["done", "skipped"]


async def test_a_dictionary_is_trained_and_what_was_packed_before_reads_the_same(world: World) -> None:
    origin = await world.origin()
    for n in range(6):
        origin.add_sequence(40, at=(2.3 + n / 50, 48.85))
    await world.good_visit()
    plain = await world.admin.fetchval("SELECT sum(length(payload)) FROM pictures")
    assert await world.admin.fetchval("SELECT count(*) FROM dictionaries") == 0
    for sequence in list(origin.sequences.values())[:4]:
        for picture in sequence.pictures:
            picture.properties["title"] = "again"
        origin.touch(sequence)
    await world.good_visit(dictionary_items=100, dictionary_bytes=8_192)
    used = {row[0]: row[1] for row in await world.admin.fetch("SELECT dictionary, count(*) FROM pictures GROUP BY 1")}
    assert used.keys() == {0, 1}
    assert used[0] == 80, "what was packed plain during the visit is packed again"
    await world.check_same()
    row = await world.admin.fetchrow("SELECT n, content FROM dictionaries")
    assert row is not None
    numbers = [row["n"] for row in await world.admin.fetch("SELECT n FROM sequences")]
    assert await repack(world.pool, numbers, Packer.make(3, row["n"], row["content"])) == 80
    assert await world.admin.fetchval("SELECT sum(length(payload)) FROM pictures") < plain * 0.8
    await world.check_same()
    # and with the dictionary from the start of a visit
    origin.edit(next(iter(origin.sequences.values())).pictures[0], title="once more")
    await world.good_visit()
    await world.check_same()


async def test_a_new_instance_has_its_dictionary_before_its_first_picture(world: World) -> None:
    origin = await world.origin()
    for n in range(6):
        origin.add_sequence(40, at=(2.3 + n / 50, 48.85))
    await world.good_visit(dictionary_items=100, dictionary_bytes=8_192, page_sequences=100)
    assert [row[0] for row in await world.admin.fetch("SELECT DISTINCT dictionary FROM pictures")] == [1]
    await world.check_same()


async def staged(
    world: World, lane: Lane, origin: Origin, sequence: OriginSequence
) -> tuple[int, SequenceRecord, None]:
    """One sequence staged by hand."""
    number = await world.admin.fetchval(
        "INSERT INTO sequences (id, instance) SELECT $1, n FROM instances WHERE name = 'north'"
        " ON CONFLICT (id, instance) DO UPDATE SET id = excluded.id RETURNING n",
        sequence.id,
    )
    record = SequenceRecord.from_stac(orjson.dumps(origin.collection(sequence)), instance="north")
    pictures = [
        Picture.from_stac(orjson.dumps(origin.item(each, sequence, rank)), instance="north", collection=sequence.id)
        for rank, each in enumerate(sequence.pictures, 1)
    ]
    licenses = {"etalab-2.0": None}
    cameras = {picture.camera: 1 for picture in pictures if picture.camera}
    accounts = {picture.account.id: 1 for picture in pictures if picture.account}
    await lane.add(
        pictures,
        sequence=number,
        packer=Packer.make(3),
        accounts=accounts,
        cameras=cameras,
        licenses=licenses,
        first_rank=1,
    )
    return number, record, None


async def test_leaves_that_come_and_split_while_a_batch_is_staged_are_seen(world: World) -> None:
    """A picture staged for a leaf that splits must not be written to it, even after the lane made another leaf."""
    origin = await world.origin()
    first, other = origin.add_sequence(6), origin.add_sequence(3, at=(-70.0, -33.0))
    last = origin.add_sequence(2, at=(150.0, -33.0))
    await world.good_visit()
    lane = await Lane.open(world.dsn, world.settings)
    run = await world.admin.fetchval("SELECT run FROM instances")
    try:
        moved = copy.deepcopy(first)
        for n, picture in enumerate(moved.pictures):
            picture.latitude += 0.01 * n
        merged = [await staged(world, lane, origin, moved)]
        leaf = parent(cell_of(2.35, 48.85), 0)
        async with world.pool.acquire() as connection:
            await split_leaf(connection, leaf, world.settings)
        for sequence, (longitude, latitude) in ((other, (30.0, -3.0)), (last, (100.0, 60.0))):
            away = copy.deepcopy(sequence)
            for picture in away.pictures:
                picture.longitude, picture.latitude = longitude, latitude
            merged.append(await staged(world, lane, origin, away))
        await merge_batch(lane, Batch(instance=1, run=run, merged=tuple(merged)), Packer.make(3))
    finally:
        await lane.close()
    assert await world.check() == 11
    assert await world.admin.fetchval("SELECT count(*) FROM pictures WHERE cell = $1", leaf) == 0


async def test_the_set_that_changes_between_staging_and_merging_is_noticed(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(6)
    await world.good_visit()
    lane = await Lane.open(world.dsn, world.settings)
    try:
        origin.edit(sequence.pictures[0], title="new")
        merged = await staged(world, lane, origin, sequence)
        async with world.pool.acquire() as connection:
            await split_leaf(connection, parent(cell_of(2.35, 48.85), 0), world.settings)
        run = await world.admin.fetchval("SELECT run FROM instances")
        await merge_batch(lane, Batch(instance=1, run=run, merged=(merged,)), Packer.make(3))
        with pytest.raises(RunFenced):
            await merge_batch(lane, Batch(instance=1, run=run - 1, removed=(merged[0],)), Packer.make(3))
    finally:
        await lane.close()
    await world.check()
    await world.check_same()


async def test_a_merge_outlasts_the_leaves_that_others_make(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a whole federation is crawled for the first time: each attempt finds that one more leaf has come."""
    origin = await world.origin()
    origin.add_sequence(3)
    places = iter([middle(cell) for cell in base_cells()[::6]])
    placed = Lane.replace_leaves

    async def placed_too_early(lane: Lane) -> None:
        await placed(lane)
        for latitude, longitude in islice(places, 1):
            other = await Lane.open(world.dsn, world.settings)
            try:
                await other.make_leaf(cell_of(longitude, latitude))
            finally:
                await other.close()

    async def first(request: object) -> None:
        """The set changes while the first batch is staged: its last request looks at the sequence once more."""
        if any("/items" in path for path in origin.requests):
            await world.admin.execute("UPDATE leaf_set SET version = version + 1")

    origin.hook = first
    monkeypatch.setattr(Lane, "replace_leaves", placed_too_early)
    await world.good_visit()
    assert next(places, None) is None
    await world.check_same()


async def test_a_sequence_that_the_database_refuses_is_found_and_put_off_alone(world: World) -> None:
    origin = await world.origin()
    for n in range(5):
        origin.add_sequence(2, at=(2.3 + n / 50, 48.85), title=f"walk {n}")
    await world.admin.execute("ALTER TABLE sequences ADD CONSTRAINT never CHECK (title <> 'walk 3')")
    progress = await world.visit(batch_pictures=50, instance_concurrency=1)
    assert (progress.outcome, progress.sequences_failed) == ("partial", 1)
    assert "never" in await world.admin.fetchval("SELECT error FROM retries")
    assert await world.check() == 8


async def test_licences_and_cameras_do_not_use_their_numbers_up(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(2)
    await world.good_visit()
    for n in range(3):
        origin.edit(sequence.pictures[0], title=str(n))
        await world.good_visit()
    for table in ("licenses", "cameras", "accounts"):
        assert await world.admin.fetchval(f"SELECT last_value FROM {table}_n_seq") == 1, table
    await world.admin.execute("INSERT INTO licenses (id) SELECT 'odd ' || n FROM generate_series(1, 10000) n")
    origin.edit(sequence.pictures[1], license="one too many")
    await world.good_visit()
    await world.check_same()


async def test_a_full_disk_is_named_and_harms_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    await world.good_visit()
    # a file size limit cannot be set on one backend: the server's own error is raised where a merge inserts
    await world.admin.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON count_deltas EXECUTE FUNCTION full_disk()"
    )
    origin.edit(next(iter(origin.sequences.values())).pictures[0], title="new")
    progress = await world.visit()
    assert progress.outcome == "failed"
    assert "disk is full" in progress.last_error
    assert await world.check() == 3
    await world.admin.execute("DROP TRIGGER full_disk ON count_deltas")
    await world.good_visit()
    await world.check_same()


def touched_leaves(plan: str, leaves: LeafSet) -> set[int]:
    return {cell for cell in leaves.cells if f"pictures_{cell:x}" in plan}


STATEMENTS: dict[str, Sequence[object]] = {
    "hold_copies": ("cells", [1]),
    "find_kept": ("cells", 1),
    "remove_pictures": ("cells", 1, [1]),
    "serve_promoted": ("cells", [], [], [], []),
    "relink_kept": ("cells",),
    "relink_others": ("cells", [1]),
    "record_changes": ([1], "cells", 75.0),
    "plain_payloads": ("cells", [1]),
    "repack_payloads": ("cells", 1, [], [], [], [], []),
    "refresh_latest": (1, 1, "cells", 0.0, 0.0, 1.0, 1.0),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_of_the_harvester_touches_only_the_leaves_it_names(world: World, name: str) -> None:
    origin = await world.origin()
    for at in ((2.35, 48.85), (-70.0, -33.0), (150.0, -33.0), (30.0, -3.0)):
        origin.add_sequence(2, at=at)
    await world.good_visit()
    lane = await Lane.open(world.dsn, world.settings)
    try:
        leaves = await load_leaves(lane.connection)
        named = [leaves.cells[1]]
        values = [named if value == "cells" else value for value in STATEMENTS[name]]
        rows = await lane.connection.fetch("EXPLAIN " + query(name), *values)
    finally:
        await lane.close()
    plan = "\n".join(row[0] for row in rows)
    assert "pictures_" in plan
    assert touched_leaves(plan, leaves) == set(named), plan

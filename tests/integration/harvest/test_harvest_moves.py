"""Pictures that move between sequences are there at every commit, not only in the end."""

from __future__ import annotations

import pytest

from tests.harvest_world import World
from tests.origin import Origin, OriginSequence, answer

#: Notes every id that no copy has when a transaction ends.
WATCH = """
    CREATE TABLE absent_at_a_commit (id uuid);
    CREATE FUNCTION note_absent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM locator WHERE id = OLD.id) THEN
            INSERT INTO absent_at_a_commit VALUES (OLD.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER watch AFTER DELETE ON locator DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION note_absent();
"""


async def watched(world: World, sequences: int = 5, pictures: int = 14) -> tuple[Origin, list[OriginSequence]]:
    """Sequences larger than a batch, in the order in which they are read."""
    origin = await world.origin()
    for n in range(sequences):
        origin.add_sequence(pictures, at=(2.35 + n / 100, 48.85))
    await world.good_visit()
    await world.admin.execute(WATCH)
    return origin, sorted(origin.sequences.values(), key=lambda each: each.id)


async def absent(world: World) -> set[str]:
    return {str(row["id"]) for row in await world.admin.fetch("SELECT id FROM absent_at_a_commit")}


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("back", [False, True])
async def test_moved_pictures_are_there_at_every_commit(world: World, back: bool, lanes: int) -> None:
    origin, ordered = await watched(world)
    first, *_, second = ordered[:: -1 if back else 1]
    for picture in list(first.pictures)[:9]:
        origin.move(picture, second)
    # others between them, so that several batches are merged
    origin.touch(*ordered)
    await world.good_visit(instance_concurrency=lanes, visit_lane_sequences=1, page_sequences=100)
    await world.check_same()
    assert await absent(world) == set()


async def test_pictures_of_a_sequence_that_was_merged_away_are_there_at_every_commit(world: World) -> None:
    origin, (first, *_, last) = await watched(world)
    for picture in list(first.pictures):
        origin.move(picture, last)
    origin.hide_sequence(first)
    await world.good_visit(page_sequences=100)
    await world.check_same()
    assert await absent(world) == set()


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_pictures_exchanged_by_sequences_are_there_at_every_commit(world: World, lanes: int) -> None:
    origin, (first, *_, last) = await watched(world)
    ours, theirs = first.pictures[:3], last.pictures[:3]
    for picture in ours:
        origin.move(picture, last)
    for picture in theirs:
        origin.move(picture, first)
    origin.touch(*origin.sequences.values())
    # the two are larger than a batch each, so that no lane reads both into one
    await world.good_visit(instance_concurrency=lanes, visit_lanes=lanes, visit_lane_sequences=1, page_sequences=100)
    await world.check_same()
    assert await absent(world) == set()


async def test_a_deleted_picture_of_one_among_many_is_gone_after_the_visit(world: World) -> None:
    origin, ordered = await watched(world)
    gone = {sequence.pictures[2].id for sequence in ordered}
    for sequence in ordered:
        origin.delete_picture(sequence.pictures[2])
    await world.good_visit(page_sequences=100)
    await world.check_same()
    assert await absent(world) == gone


async def test_tombstones_are_applied_though_reading_the_others_fails(world: World) -> None:
    origin, ordered = await watched(world, sequences=8, pictures=2)
    hidden = ordered[-1]
    origin.hide_sequence(hidden)
    for sequence in ordered[:-1]:
        origin.touch(sequence)

    async def down(request: object) -> object:
        return answer({"message": "busy"}, 503) if origin.requests[-1].endswith("limit=5") else None

    origin.hook = down  # type: ignore[assignment]
    assert (await world.visit(page_sequences=100)).outcome == "failed"
    assert hidden.pictures[0].id not in await world.served()

"""The brake: absence that is only inferred is held when it is large; what an instance says goes at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harvest_world import World
from tests.origin import Origin, OriginSequence, answer, html, refusal

LIMITS: dict[str, Any] = {"brake_pictures": 5, "brake_share": 0.2}


async def filled(world: World, version: str = "2.15", sequences: int = 10) -> Origin:
    origin = await world.origin(version=version)
    for n in range(sequences):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    await world.good_visit(**LIMITS)
    return origin


def drop(origin: Origin, count: int) -> list[OriginSequence]:
    """They vanish from every listing without a tombstone."""
    return [origin.sequences.pop(id) for id in list(origin.sequences)[:count]]


async def list_again(world: World) -> None:
    await world.age("instances", "listed_at", "25 hours")


async def state(world: World) -> tuple[str, str, str]:
    row = await world.admin.fetchrow("SELECT state, state_reason, absence_decided FROM instances")
    assert row is not None
    return row["state"], row["state_reason"], row["absence_decided"]


async def decide(world: World, decision: str) -> None:
    await world.admin.execute(
        "UPDATE instances SET state = 'enabled', state_reason = '', absence_decided = $1, listed_at = NULL", decision
    )


@pytest.mark.parametrize("version", ["2.15", "2.10", "plain"])
async def test_a_listing_that_lost_too_much_changes_nothing_and_asks(world: World, version: str) -> None:
    origin = await filled(world, version)
    drop(origin, 4)
    await list_again(world)
    progress = await world.visit(**LIMITS)
    assert progress.outcome == "failed"
    name, reason, _ = await state(world)
    assert name == "braked"
    assert reason.startswith("12 of its 30 pictures are missing")
    assert "panofed instances resume north --confirm" in reason
    assert await world.check() == 30
    assert await world.admin.fetchval("SELECT count(*) FROM absences") == 0


async def test_the_brake_counts_what_went_within_a_day(world: World) -> None:
    origin = await filled(world)
    for dropped in (1, 1):
        drop(origin, dropped)
        await list_again(world)
        await world.good_visit(**LIMITS)
    await world.check_same()
    drop(origin, 1)
    await list_again(world)
    assert (await world.visit(**LIMITS)).outcome == "failed"
    assert (await state(world))[1].startswith("9 of its 30 pictures are missing within 24 h")
    await world.admin.execute("UPDATE instances SET state = 'enabled'")
    await world.age("absences", "at", "25 hours")
    await world.good_visit(**LIMITS)
    await world.check_same()


async def test_few_pictures_or_a_small_share_go_without_asking(world: World) -> None:
    origin = await filled(world)
    drop(origin, 9)
    await list_again(world)
    await world.good_visit(brake_pictures=1_000)
    await world.check_same()


@pytest.mark.parametrize(
    "fault", [html(200), html(500), refusal(404), refusal(403), lambda: answer({"collections": []})]
)
async def test_an_answer_that_is_broken_or_empty_removes_nothing(world: World, fault: object) -> None:
    origin = await filled(world)
    await list_again(world)
    origin.faults["/collections"] = fault  # type: ignore[assignment]
    assert (await world.visit(**LIMITS)).outcome == "failed"
    assert await world.check() == 30


async def test_a_404_for_everything_is_absence_and_braked(world: World) -> None:
    origin = await filled(world, "plain")
    for id in origin.sequences:
        origin.faults[f"/collections/{id}"] = refusal(404)
    await world.visit(thorough=True, **LIMITS)
    assert (await state(world))[0] == "braked"
    assert await world.check() == 30


async def test_the_items_of_a_listed_sequence_that_answer_404_are_kept(world: World) -> None:
    origin = await filled(world)
    sequence = next(iter(origin.sequences.values()))
    origin.touch(sequence)
    origin.faults[f"/collections/{sequence.id}/items"] = refusal(404)
    assert (await world.visit()).outcome == "partial"
    assert await world.check() == 30


@pytest.mark.parametrize("status", [401, 403, 410])
async def test_what_is_refused_to_an_anonymous_visitor_is_withheld_at_once_without_the_brake(
    world: World, status: int
) -> None:
    origin = await filled(world)
    for id, sequence in list(origin.sequences.items())[:6]:
        origin.faults[f"/collections/{id}/items"] = refusal(status)
        origin.touch(sequence)
    progress = await world.good_visit(**LIMITS)
    assert progress.sequences_removed == 6
    assert await world.check() == 12
    assert (await state(world))[0] == "enabled"
    # it is shown again
    origin.faults.clear()
    await list_again(world)
    await world.good_visit()
    await world.check_same()


async def test_tombstones_are_never_braked(world: World) -> None:
    origin = await filled(world)
    for sequence in origin.sequences.values():
        origin.hide_sequence(sequence)
    await world.good_visit(**LIMITS)
    assert await world.served() == {}


async def test_a_confirmed_absence_is_applied_at_the_next_complete_listing_and_only_then(world: World) -> None:
    origin = await filled(world)
    drop(origin, 6)
    await list_again(world)
    await world.visit(**LIMITS)
    await decide(world, "confirmed")
    await world.good_visit(**LIMITS)
    await world.check_same()
    assert await state(world) == ("enabled", "", "")
    await world.age("absences", "at", "25 hours")
    drop(origin, 3)
    await list_again(world)
    assert (await world.visit(**LIMITS)).outcome == "failed", "the confirmation held for one listing"


async def test_a_refused_absence_is_kept_while_the_rest_is_followed(world: World) -> None:
    origin = await filled(world)
    dropped = drop(origin, 6)
    await list_again(world)
    await world.visit(**LIMITS)
    await decide(world, "refused")
    for _ in range(2):
        origin.add_picture(next(iter(origin.sequences.values())), 2.31, 48.81)
        await list_again(world)
        await world.good_visit(**LIMITS)
    assert await world.check() == 32
    assert (await state(world))[2] == "refused"
    # they are listed again but for one: nobody needs to decide that
    for sequence in dropped[1:]:
        origin.sequences[sequence.id] = sequence
    await list_again(world)
    await world.good_visit(**LIMITS)
    await world.check_same()
    assert await state(world) == ("enabled", "", "")

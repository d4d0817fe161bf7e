"""What no signal announces is found: by reading every sequence again in turn, and by listing everything."""

from __future__ import annotations

import logging

import pytest

from tests.harvest_world import World
from tests.origin import Origin, answer


async def filled(world: World, sequences: int = 6, **more: str) -> Origin:
    origin = await world.origin(**more)
    for n in range(sequences):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    await world.good_visit()
    return origin


def silently(origin: Origin) -> None:
    """Changes that move no `updated`."""
    one, two, three, *_ = origin.sequences.values()
    one.pictures[1].properties["title"] = "silent"
    two.pictures[1].hidden = True
    three.pictures.append(origin.new_picture(2.5, 48.9))


@pytest.mark.parametrize("version", ["2.15", "2.10", "plain"])
async def test_every_sequence_is_read_again_within_the_period(world: World, version: str) -> None:
    origin = await filled(world, version=version)
    silently(origin)
    await world.good_visit()
    assert await world.admin.fetchval("SELECT max(sequences_reconciled) FROM runs") == 0
    await world.age("sequences", "checked_at", "4 days")
    await world.age("instances", "last_success_at", "4 days")
    progress = await world.good_visit()
    assert progress.sequences_reconciled == len(origin.sequences)
    assert progress.sequences_changed == 3, "the others are only marked as looked at"
    await world.check_same()
    assert await world.admin.fetchval("SELECT count(*) FROM sequences WHERE checked_at < now() - interval '1 day'") == 0


async def test_a_visit_reads_its_share_and_the_longest_unread_first(world: World) -> None:
    origin = await filled(world)
    silently(origin)
    await world.admin.execute("UPDATE sequences SET checked_at = now() - interval '5 days' - n * interval '1 hour'")
    await world.age("instances", "last_success_at", "1 day")
    oldest = await world.admin.fetch("SELECT id FROM sequences ORDER BY checked_at LIMIT 2")
    progress = await world.good_visit()
    # six sequences in three and a half days, and one day passed
    assert progress.sequences_reconciled == 2
    read = {
        row["id"]
        for row in await world.admin.fetch("SELECT id FROM sequences WHERE checked_at > now() - interval '1 day'")
    }
    assert read == {row["id"] for row in oldest}
    # a budget holds one visit back
    await world.age("instances", "last_success_at", "30 days")
    assert (await world.good_visit(reconcile_sequences=1)).sequences_reconciled == 1
    await world.age("instances", "last_success_at", "30 days")
    assert (await world.good_visit(reconcile_pictures=1)).sequences_reconciled == 1


@pytest.mark.parametrize("version", ["2.15", "plain"])
async def test_a_full_reconciliation_reads_everything_in_one_visit(world: World, version: str) -> None:
    origin = await filled(world, version=version)
    silently(origin)
    progress = await world.good_visit(thorough=True, reconcile_sequences=2)
    assert progress.sequences_reconciled == len(origin.sequences)
    await world.check_same()
    assert (await world.good_visit()).sequences_reconciled == 0


async def test_reconciliation_asks_for_many_sequences_in_one_request(world: World) -> None:
    origin = await filled(world)
    await world.good_visit(thorough=True)
    assert sum("id%20IN" in request or "id+IN" in request or "id IN" in request for request in origin.requests) == 1
    assert not any(request == f"/collections/{id}" for id in origin.sequences for request in origin.requests)


async def test_an_instance_that_refuses_lists_of_ids_is_asked_one_by_one(world: World) -> None:
    origin = await filled(world)
    silently(origin)

    async def refuse(request: object) -> object:
        return (
            answer({"message": "no"}, 400)
            if "IN" in origin.requests[-1] and "filter=id" in origin.requests[-1]
            else None
        )

    origin.hook = refuse  # type: ignore[assignment]
    await world.good_visit(thorough=True)
    await world.check_same()
    assert await world.admin.fetchval("SELECT capabilities ->> 'ids' FROM instances") == "false"


async def test_a_tombstone_met_by_reconciliation_is_the_instances_word(world: World) -> None:
    origin = await filled(world)
    gone = next(iter(origin.sequences.values()))
    gone.gone = True
    await world.admin.execute("UPDATE instances SET listed_at = now()")
    await world.age("sequences", "checked_at", "4 days")
    await world.age("instances", "last_success_at", "4 days")
    await world.good_visit(brake_pictures=1, brake_share=0.01)
    await world.check_same()


async def test_a_daily_listing_finds_what_was_dropped_without_a_word(world: World) -> None:
    origin = await filled(world)
    dropped = list(origin.sequences.values())[::3]
    for sequence in dropped:
        del origin.sequences[sequence.id]
    await world.good_visit()
    assert len(await world.served()) == 18
    await world.age("instances", "listed_at", "25 hours")
    await world.good_visit()
    await world.check_same()
    assert await world.admin.fetchval("SELECT listed_at > now() - interval '1 minute' FROM instances")
    rows = await world.admin.fetch("SELECT sequences, pictures FROM absences")
    assert [(row["sequences"], row["pictures"]) for row in rows] == [(2, 6)]


async def test_a_daily_listing_finds_sequences_that_were_never_updated(world: World) -> None:
    origin = await filled(world)
    origin.add_sequence(2, at=(2.6, 48.8)).updated = None
    await world.good_visit()
    assert len(await world.served()) == 18
    await world.age("instances", "listed_at", "25 hours")
    await world.good_visit()
    await world.check_same()
    # and is not read every time
    await world.age("instances", "listed_at", "25 hours")
    assert (await world.good_visit()).pictures_seen == 0


async def test_a_listing_that_cannot_be_read_wholly_removes_nothing(world: World) -> None:
    origin = await filled(world)
    del origin.sequences[max(origin.sequences)]
    next(iter(origin.sequences.values())).collection = {"id": 5}
    await world.age("instances", "listed_at", "25 hours")
    progress = await world.visit()
    assert progress.outcome == "partial"
    assert await world.check() == 18
    assert await world.admin.fetchval("SELECT listed_at < now() - interval '1 day' FROM instances")


async def test_a_renamed_account_makes_all_its_sequences_due(world: World, caplog: pytest.LogCaptureFixture) -> None:
    origin = await filled(world)
    *renamed, other = origin.sequences.values()
    new = {"providers": [{"name": "alicia", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}]}
    for sequence in renamed:
        sequence.collection = dict(new)
        for picture in sequence.pictures:
            picture.item = dict(new)
    other.collection = {
        "providers": [{"name": "bob", "roles": ["producer"], "id": "641c79f4-6e49-4834-a1b2-60044320abfd"}]
    }
    for picture in other.pictures:
        picture.item = dict(other.collection)
    origin.touch(other)
    await world.good_visit()
    # one of them is edited, and gives the new name away
    origin.touch(renamed[0])
    with caplog.at_level(logging.INFO, logger="harvester.names"):
        progress = await world.good_visit()
    assert progress.sequences_reconciled == len(renamed) - 1
    assert await world.admin.fetchval("SELECT accounts_renamed FROM runs ORDER BY n DESC LIMIT 1") == 1
    assert "accounts renamed" in caplog.text
    await world.check_same()


async def test_an_account_with_two_names_is_not_read_again_at_every_visit(world: World) -> None:
    origin = await filled(world)
    for n, sequence in enumerate(origin.sequences.values()):
        name = {"name": f"name {n % 2}", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}
        sequence.collection = {"providers": [name]}
        for picture in sequence.pictures:
            picture.item = {"providers": [name]}
        origin.touch(sequence)
    await world.good_visit()
    await world.good_visit()
    assert (await world.good_visit()).pictures_seen == 0
    await world.check_same()
    # a day later a new name is heard again
    await world.age("accounts", "renamed_at", "25 hours")
    origin.touch(*origin.sequences.values())
    assert (await world.good_visit()).accounts_renamed == 1


async def test_a_new_licence_of_the_instance_makes_everything_due(world: World) -> None:
    origin = await filled(world)
    for sequence in origin.sequences.values():
        for picture in sequence.pictures:
            picture.properties["license"] = "CC-BY-SA-4.0"
    configuration = {"name": {"en": "here"}, "license": {"id": "CC-BY-SA-4.0"}}
    origin.faults["/configuration"] = lambda: answer(configuration)
    await world.good_visit()
    before = await world.good_visit()
    assert (before.sequences_reconciled, before.terms_changed) == (0, 0)
    await world.age("instances", "configuration_at", "25 hours")
    after = await world.good_visit()
    assert (after.sequences_reconciled, after.terms_changed) == (len(origin.sequences), 1)
    await world.check_same()
    # nothing else of it makes anything due
    configuration["version"] = {"n": "2"}
    await world.age("instances", "configuration_at", "25 hours")
    assert (await world.good_visit()).sequences_reconciled == 0


async def test_a_configuration_that_cannot_be_refreshed_keeps_the_former_copy(world: World) -> None:
    origin = await filled(world)
    before = await world.admin.fetchval("SELECT configuration FROM instances")
    origin.faults["/configuration"] = lambda: answer({"message": "no"}, 500)
    await world.age("instances", "configuration_at", "25 hours")
    await world.good_visit()
    assert await world.admin.fetchval("SELECT configuration FROM instances") == before


async def test_what_failed_in_reconciliation_stands_in_retries_and_holds_nobody(world: World) -> None:
    origin = await filled(world)
    silently(origin)
    bad = list(origin.sequences)[3]
    origin.faults[f"/collections/{bad}/items"] = lambda: answer({"message": "no"}, 500)
    progress = await world.visit(thorough=True)
    assert (progress.outcome, progress.sequences_failed) == ("partial", 1)
    assert str(await world.admin.fetchval("SELECT sequence FROM retries")) == bad
    await world.check_same()

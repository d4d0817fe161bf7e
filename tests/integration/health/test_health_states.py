"""The state of an instance follows its visits, and each change of it is an event: once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web

from federation.events import Kind, note
from harvester.days import count_held, expected_at, note_visit
from harvester.health import watch_health
from harvester.progress import Progress
from tests.harvest_world import World

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def look(world: World, since: datetime = LONG_AGO) -> list[tuple[str, dict[str, Any]]]:
    """What a look at the instances notes: kinds of events and their details."""
    before = await world.admin.fetchval("SELECT coalesce(max(n), 0) FROM events")
    await watch_health(world.pool, world.settings, since)
    rows = await world.admin.fetch("SELECT kind, details FROM events WHERE n > $1 ORDER BY n", before)
    return [(row["kind"], orjson.loads(row["details"])) for row in rows]


async def kinds(world: World) -> list[str]:
    return [kind for kind, _ in await look(world)]


async def state(world: World) -> str:
    return str(await world.admin.fetchval("SELECT state FROM health"))


async def fail(world: World, times: int) -> None:
    origin = world.origins["north"]
    origin.faults = {"/collections": lambda: web.Response(status=500)}
    for _ in range(times):
        assert (await world.visit()).outcome == "failed"
    origin.faults.clear()


async def test_an_instance_joins_goes_late_goes_down_and_comes_back_each_told_once(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    assert await kinds(world) == [] and await state(world) == "new"
    await world.good_visit()
    assert await kinds(world) == ["joined"] and await state(world) == "fresh"
    assert await kinds(world) == []

    await world.admin.execute("UPDATE health SET expected_at = now() - interval '3 minutes'")
    told = await look(world)
    assert [kind for kind, _ in told] == ["late"]
    assert told[0][1]["name"] == "north" and "last_success" in told[0][1]
    assert await kinds(world) == []

    await fail(world, world.settings.health_failures)
    told = await look(world)
    assert [kind for kind, _ in told] == ["down"] and await state(world) == "failing"
    assert told[0][1]["failures"] == 3 and "500" in told[0][1]["reason"]
    assert await kinds(world) == []

    await world.age("health", "since", "2 hours")
    await world.good_visit()
    told = await look(world)
    assert [kind for kind, _ in told] == ["back"]
    assert told[0][1]["was"] == "failing" and told[0][1]["seconds"] >= 7_200
    assert await kinds(world) == []


async def test_one_failure_or_two_are_no_news(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await look(world)
    await fail(world, world.settings.health_failures - 1)
    assert await kinds(world) == []


async def test_several_who_look_at_once_tell_it_once(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await fail(world, 3)
    await asyncio.gather(*(watch_health(world.pool, world.settings, LONG_AGO) for _ in range(4)))
    told = await world.admin.fetch("SELECT kind FROM events ORDER BY n")
    assert [row["kind"] for row in told] == ["down"]


@pytest.mark.parametrize(("stopped", "kind"), [("paused", "paused"), ("braked", "braked")])
async def test_a_stop_and_its_end_are_told(world: World, stopped: str, kind: str) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await look(world)
    await world.admin.execute("UPDATE instances SET state = $1, state_reason = 'moving house'", stopped)
    assert [(each, details.get("reason")) for each, details in await look(world)] == [(kind, "moving house")]
    await world.admin.execute("UPDATE health SET expected_at = now() - interval '1 day'")
    await world.admin.execute("UPDATE instances SET state = 'enabled', state_reason = ''")
    # and it is not late for the time in which nobody visited it
    assert await kinds(world) == ["resumed"] and await kinds(world) == []


async def test_what_somebody_did_and_noted_is_not_noted_again(world: World) -> None:
    """With its actor: the audit log names who paused it."""
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await look(world)
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE instances SET state = 'paused'")
        await note(connection, Kind.PAUSED, actor="token 7", instance=1)
    assert await kinds(world) == [] and await state(world) == "paused"
    rows = await world.admin.fetch("SELECT actor FROM events WHERE kind = 'paused'")
    assert [row["actor"] for row in rows] == ["token 7"]


async def test_nobody_is_late_because_the_harvester_was_off(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await look(world)
    await world.admin.execute("UPDATE health SET expected_at = now() - interval '1 day'")
    assert await look(world, since=datetime.now(UTC)) == []
    started = datetime.now(UTC) - timedelta(seconds=world.settings.health_late_s + 1)
    assert [kind for kind, _ in await look(world, since=started)] == ["late"]


async def test_a_visit_that_takes_long_is_not_late(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await look(world)
    await world.admin.execute("UPDATE health SET expected_at = now() - interval '1 day'")
    await world.admin.execute("UPDATE runs SET outcome = 'running', alive_at = now()")
    assert await kinds(world) == []
    await world.admin.execute("UPDATE runs SET alive_at = now() - interval '1 hour'")
    assert await kinds(world) == ["late"]


async def days(world: World) -> list[Any]:
    return list(await world.admin.fetch("SELECT * FROM days ORDER BY day"))


async def test_every_visit_is_written_down_with_its_day(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    await world.good_visit()
    await fail(world, 2)
    (day,) = await days(world)
    assert (day["visits"], day["failures"], day["pictures_changed"]) == (1, 2, 3)
    assert day["requests"] > 3 and 0 < day["slowest_s"] <= day["answering_s"]
    assert "500" in day["last_error"]


async def test_time_counts_as_the_visit_before_found_it_and_is_cut_at_midnight(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    looked, believed = midnight - timedelta(hours=30), midnight + timedelta(seconds=1)
    await world.admin.execute("DELETE FROM days")
    await world.admin.execute("UPDATE health SET looked_at = $1, believed_until = $2", looked, believed)
    await fail(world, 1)
    found = await days(world)
    assert [round(day["up_s"]) for day in found] == [6 * 3_600, 86_400, 1]
    assert [day["down_s"] for day in found] == [0, 0, 0]
    assert [day["failures"] for day in found] == [0, 0, 1]
    # and what follows a failure is time in which it was away
    await world.age("health", "looked_at", "0.5 seconds")
    await world.good_visit()
    assert (await days(world))[-1]["down_s"] >= 0.5


async def test_time_in_which_nobody_looked_counts_as_nothing(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    now = datetime.now(UTC)
    await world.admin.execute("DELETE FROM days")
    looked, believed = now - timedelta(days=3), now - timedelta(days=3) + timedelta(seconds=200)
    await world.admin.execute("UPDATE health SET looked_at = $1, believed_until = $2", looked, believed)
    await world.good_visit()
    known = sum(day["up_s"] + day["down_s"] for day in await days(world))
    assert known == pytest.approx(200, abs=1)


async def test_a_full_disk_of_ours_is_not_the_instances_failure(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    await world.admin.execute("REVOKE INSERT ON sequences FROM panofed_writer")
    world.origins["north"].add_sequence(2)
    progress = await world.visit()
    await world.admin.execute("GRANT INSERT ON sequences TO panofed_writer")
    assert progress.outcome == "failed"
    (day,) = await days(world)
    assert (day["visits"], day["failures"]) == (1, 0)


async def test_what_is_held_is_counted_when_it_changed(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(4)
    assert not await count_held(world.pool)
    await world.good_visit()
    assert await count_held(world.pool)
    (day,) = await days(world)
    held = await world.admin.fetchrow("SELECT sum(pictures) p, sum(pictures_360) f, sum(length_m) l FROM sequences")
    assert held is not None
    assert (day["pictures"], day["pictures_360"], day["sequences"]) == (held["p"], held["f"], 1) == (4, 2, 1)
    assert day["length_m"] == pytest.approx(held["l"]) and day["length_m"] > 50
    assert day["contributors"] == 1 and day["quarantined"] == 0
    assert not await count_held(world.pool), "nothing changed"
    origin.add_sequence(2)
    await world.good_visit()
    assert await count_held(world.pool)
    assert (await days(world))[0]["pictures"] == 6


async def test_a_visit_that_was_replaced_writes_no_day(world: World) -> None:
    (await world.origin()).add_sequence(1)
    await world.good_visit()
    before = [dict(row) for row in await days(world)], await world.admin.fetch("SELECT *, xmin::text FROM health")
    run = await world.admin.fetchval("SELECT run FROM instances")
    async with world.pool.acquire() as connection:
        progress = Progress("north", requests=7)
        await note_visit(connection, 1, run - 1, progress, answered=False, settings=world.settings)
    after = [dict(row) for row in await days(world)], await world.admin.fetch("SELECT *, xmin::text FROM health")
    assert after == before


async def test_quiet_hours_are_not_waited_for(world: World) -> None:
    now = datetime.now(UTC)
    hours = f"{now - timedelta(minutes=5):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    planned = expected_at(timedelta(seconds=60), hours)
    assert timedelta(hours=2, minutes=58) < planned - now <= timedelta(hours=3)
    assert expected_at(timedelta(seconds=60), "") - now < timedelta(seconds=65)

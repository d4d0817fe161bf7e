"""What operators ask for is what the harvest does: read everything again, pause, another pace, another address."""

from __future__ import annotations

import asyncpg
import pytest

from federation.acts import Hand, change, decide_brake, harvest_now, move, pause, reconcile, resume
from federation.database import Role, connect
from federation.errors import ActRefused
from harvester.visit import Harvester
from tests.harvest_world import World

OPERATOR = Hand(actor="link 1", admin=False)
ADMIN = Hand(actor="link 2", admin=True)


@pytest.fixture
async def operators(world: World) -> asyncpg.Connection:
    """What requests of operators may do in the database, and no more."""
    connection = await connect(world.dsn, Role.OPERATOR, world.settings)
    world.stack.push_async_callback(connection.close)
    return connection


async def names_due(world: World) -> list[str]:
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
    return [row["name"] for row in await harvester.due(every=False)]


async def test_reading_everything_again_finds_what_nothing_announced(
    world: World, operators: asyncpg.Connection
) -> None:
    origin = await world.origin()
    for n in range(4):
        origin.add_sequence(2, at=(2.3 + n / 50, 48.85))
    await world.good_visit()
    one, two, *_ = origin.sequences.values()
    one.pictures[1].properties["title"] = "silent"
    two.pictures[1].hidden = True
    assert (await world.good_visit()).sequences_reconciled == 0
    async with operators.transaction():
        await reconcile(operators, 1, OPERATOR, world.settings)
    assert await names_due(world) == ["north"]
    assert (await world.good_visit()).sequences_reconciled == 4
    await world.check_same()
    with pytest.raises(ActRefused, match="is being read again since"):
        await reconcile(operators, 1, OPERATOR, world.settings)


async def test_a_paused_instance_is_not_visited(world: World, operators: asyncpg.Connection) -> None:
    origin = await world.origin()
    origin.add_sequence(2)
    await world.good_visit()
    async with operators.transaction():
        await pause(operators, 1, OPERATOR, "moving house")
    await world.admin.execute("UPDATE instances SET next_visit_at = now() - interval '1 day'")
    await world.admin.execute("UPDATE paces SET faults = 9, open_until = now() + interval '1 day'")
    assert await names_due(world) == []
    with pytest.raises(ActRefused, match="moving house"):
        await harvest_now(operators, 1, OPERATOR, world.settings)
    async with operators.transaction():
        await resume(operators, 1, OPERATOR)
    assert await names_due(world) == ["north"]
    assert await world.admin.fetchval("SELECT faults FROM paces") == 0, "who resumes it knows that it is well"
    await world.good_visit()
    await world.check_same()


async def test_another_address_is_read_from_its_beginning(world: World, operators: asyncpg.Connection) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    await world.good_visit()
    await world.admin.execute("UPDATE instances SET source = 'registered'")
    moved = origin.url.replace("127.0.0.1", "localhost")
    async with operators.transaction():
        assert await move(operators, 1, ADMIN, moved) == moved
        with pytest.raises(ActRefused, match="only an administrator"):
            await move(operators, 1, OPERATOR, moved)
    assert await operators.fetchval("SELECT current_user") == "panofed_operator"
    assert (await world.good_visit()).sequences_changed == 1
    assert await world.admin.fetchval("SELECT url FROM instances") == moved


async def test_hours_without_visits_are_kept_but_not_against_who_asks(
    world: World, operators: asyncpg.Connection
) -> None:
    origin = await world.origin()
    origin.add_sequence(1)
    await world.good_visit()
    await world.admin.execute("UPDATE instances SET source = 'registered'")
    hour = await world.admin.fetchval("SELECT extract(hour FROM now() AT TIME ZONE 'UTC')::integer")
    chosen = {"quiet_hours": f"{hour:02}:00-{(hour + 2) % 24:02}:00", "cadence_s": 30}
    async with operators.transaction():
        await change(operators, 1, OPERATOR, chosen, world.settings)
    await world.admin.execute("UPDATE instances SET next_visit_at = now() - interval '1 s'")
    assert await names_due(world) == []
    await harvest_now(operators, 1, OPERATOR, world.settings)
    assert await names_due(world) == ["north"]


async def test_after_the_brake_the_decision_holds_for_the_next_visit(
    world: World, operators: asyncpg.Connection
) -> None:
    origin = await world.origin()
    for n in range(5):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    await world.good_visit(brake_pictures=5)
    for sequence in list(origin.sequences)[:4]:
        del origin.sequences[sequence]
    await world.age("instances", "listed_at", "2 days")
    await world.visit(brake_pictures=5)
    assert await world.admin.fetchval("SELECT state FROM instances") == "braked"
    with pytest.raises(ActRefused, match="an administrator has to decide"):
        await resume(operators, 1, OPERATOR)
    async with operators.transaction():
        await decide_brake(operators, 1, ADMIN, gone=True)
    await world.good_visit(brake_pictures=5)
    await world.check_same()

"""A worker that deletes an instance is killed in the middle of it: another one goes on, and nothing is left."""

from __future__ import annotations

import asyncio
import signal

import asyncpg

from federation.database import Role, open_pool
from federation.leaving import leave
from harvester.queue import POOL_SIZE, Queue
from tests.integration.workers.conftest import Fleet


async def test_a_killed_deletion_is_taken_over(fleet: Fleet) -> None:
    fleet.origin.fill(12)
    fleet.origin.delay_s = 0.01
    await fleet.world.good_visit("north")
    (number,) = await fleet.admin.fetchrow("SELECT n FROM instances") or (0,)
    async with open_pool(fleet.world.dsn, Role.WRITER, fleet.settings(), size=POOL_SIZE) as pool:
        assert await leave(fleet.admin, number, "token 1")
        assert await Queue(pool).put_withdrawals([number]) == 1
        # it comes so far, and waits for a row that somebody else holds
        holder = await asyncpg.connect(fleet.world.dsn)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM locator ORDER BY id DESC LIMIT 1 FOR UPDATE")
        (first,) = await fleet.start(1)
        await fleet.until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        first.signal(signal.SIGKILL)
        await first.gone()
        await fleet.world.check()
        await fleet.start(1)
        await transaction.rollback()
        await holder.close()
        await asyncio.wait_for(fleet.until("SELECT state = 'left' FROM instances WHERE n = $1", number), 60)
    assert await fleet.world.check() == 0
    rows = await fleet.admin.fetch("SELECT kind FROM events WHERE kind IN ('leaving', 'left') ORDER BY n")
    assert [row["kind"] for row in rows] == ["leaving", "left"]

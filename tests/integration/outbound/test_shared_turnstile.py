"""All workers together keep an instance's limits, whoever of them is killed or frozen, and stop asking a dead one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise

import asyncpg
import pytest

from federation.database import Pool, Role, open_pool
from federation.errors import CircuitOpen, OriginRefused, OriginUnreachable
from federation.outbound import OriginSession
from federation.settings import Settings
from harvester.turnstile import SharedTurnstile, shared_turnstile
from tests.hostile import HostileServer, after, answer, local_settings


@dataclass(slots=True, kw_only=True)
class Workers:
    """Several workers of one index, each with its own pool, towards one instance."""

    dsn: str
    instance: int
    admin: asyncpg.Connection
    stack: AsyncExitStack

    async def pool(self, settings: Settings) -> Pool:
        return await self.stack.enter_async_context(open_pool(self.dsn, Role.WRITER, settings, size=2))

    async def turnstile(self, settings: Settings, *, concurrency: int = 2, per_s: float = 0) -> SharedTurnstile:
        return await self.stack.enter_async_context(
            shared_turnstile(
                await self.pool(settings), self.instance, settings, concurrency=concurrency, requests_per_s=per_s
            )
        )

    async def session(
        self, server: HostileServer, settings: Settings, *, concurrency: int = 2, per_s: float = 0
    ) -> OriginSession:
        turnstile = await self.turnstile(settings, concurrency=concurrency, per_s=per_s)
        return await self.stack.enter_async_context(
            OriginSession(settings, server.url, instance="north", turnstile=turnstile)
        )

    async def pace(self) -> asyncpg.Record:
        row = await self.admin.fetchrow(
            "SELECT faults, extract(epoch FROM greatest(open_until, now()) - now())::float8 AS open_s"
            " FROM paces WHERE instance = $1",
            self.instance,
        )
        assert row is not None
        return row

    async def taken(self) -> int:
        held: int = await self.admin.fetchval("SELECT count(*) FROM slots WHERE until > now()")
        return held


@pytest.fixture
async def workers(database: str) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        number = await admin.fetchval(
            "INSERT INTO instances (id, name, url, state) VALUES ('n', 'n', 'https://n.example.org', 'enabled')"
            " RETURNING n"
        )
        yield Workers(dsn=database, instance=number, admin=admin, stack=stack)


async def ask(origin: OriginSession, times: int) -> None:
    for _ in range(times):
        await origin.get("/x")


async def test_workers_together_open_no_more_connections_than_one_may(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", after(0.02, answer({})))
    sessions = [await workers.session(server, settings) for _ in range(4)]
    await asyncio.gather(*(ask(session, 10) for session in sessions for _ in range(2)))
    assert server.most_at_once == 2
    assert len(server.requests) == 80
    await asyncio.sleep(0.1)
    assert await workers.taken() == 0


async def test_workers_together_keep_the_distance_between_requests(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}))
    sessions = [await workers.session(server, settings, per_s=40) for _ in range(3)]
    started = time.monotonic()
    await asyncio.gather(*(ask(session, 8) for session in sessions for _ in range(2)))
    moments = [request.at for request in server.requests]
    assert len(moments) == 48
    assert time.monotonic() - started >= 47 / 40
    # any second has 40 requests, and one more for a late one at each of its ends
    assert max(sum(first <= other < first + 1 for other in moments) for first in moments) <= 42


async def test_every_worker_gets_its_share(workers: Workers, server: HostileServer, settings: Settings) -> None:
    server.on("/x", after(0.002, answer({})))
    sessions = [await workers.session(server, settings, concurrency=1) for _ in range(3)]

    async def busy(origin: OriginSession) -> None:
        while True:
            await origin.get("/x")

    tasks = [asyncio.create_task(busy(session)) for session in sessions]
    await asyncio.sleep(2.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert server.most_at_once == 1
    assert min(session.requests for session in sessions) * 10 > max(session.requests for session in sessions)


async def test_a_slow_answer_is_followed_by_a_rest(workers: Workers, server: HostileServer) -> None:
    server.on("/x", after(0.2, answer({})))
    session = await workers.session(server, local_settings(instance_rest_share=1.0), concurrency=1)
    await ask(session, 3)
    assert all(later.at - earlier.at >= 0.39 for earlier, later in pairwise(server.requests))


async def test_a_pause_that_the_instance_asks_for_holds_all_workers(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}, status=429, headers={"Retry-After": "1"}))
    server.on("/y", answer({}))
    one, other = [await workers.session(server, settings) for _ in range(2)]
    with pytest.raises(OriginRefused):
        await one.get("/x", attempts=1)
    asked = time.monotonic()
    await other.get("/y")
    assert time.monotonic() - asked >= 0.8


async def test_a_long_pause_ends_the_visits_of_all_workers(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}, status=503, headers={"Retry-After": "99999999999999"}))
    one, other = [await workers.session(server, settings) for _ in range(2)]
    with pytest.raises(OriginRefused) as refused:
        await one.get("/x")
    assert refused.value.retry_after_s == 86_400
    for session in (one, other):
        with pytest.raises(CircuitOpen, match="it asked for a pause") as caught:
            await session.get("/y")
        assert 86_390 < caught.value.retry_after_s <= 86_400
        assert caught.value.url == f"{server.url}/y"
    assert len(server.requests) == 1


BREAKER = {"breaker_faults": 3, "breaker_first_s": 0.4, "breaker_last_s": 1.0}


async def test_nobody_asks_an_instance_that_gives_no_answers(workers: Workers) -> None:
    settings = local_settings(**BREAKER)
    async with HostileServer() as server:
        sessions = [await workers.session(server, settings) for _ in range(2)]
    for _ in range(3):
        with pytest.raises(OriginUnreachable, match="connection refused"):
            await sessions[0].get("/x")
    for session in sessions:
        sent = session.requests
        with pytest.raises(CircuitOpen, match="3 requests in a row got no answer"):
            await session.get("/x")
        assert session.requests == sent
    pace = await workers.pace()
    assert pace["faults"] == 3 and 0 < pace["open_s"] <= 0.4


async def test_after_the_pause_one_request_tries_and_its_answer_lets_the_others_through(workers: Workers) -> None:
    settings = local_settings(**BREAKER)
    async with HostileServer() as server:
        sessions = [await workers.session(server, settings) for _ in range(3)]
    for _ in range(3):
        with pytest.raises(OriginUnreachable):
            await sessions[0].get("/x")
    await asyncio.sleep(0.45)
    async with HostileServer(port=server.port) as back:
        back.on("/x", after(0.2, answer({})))
        found = await asyncio.gather(*(session.get("/x") for session in sessions), return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["Answer", "CircuitOpen", "CircuitOpen"]
        assert len(back.requests) == 1
        await asyncio.gather(*(session.get("/x") for session in sessions))
        assert (await workers.pace())["faults"] == 0


async def test_the_pause_grows_while_there_is_no_answer(workers: Workers) -> None:
    settings = local_settings(**BREAKER)
    async with HostileServer() as server:
        session = await workers.session(server, settings)
    pauses = []
    for _ in range(6):
        with pytest.raises(OriginUnreachable):
            await session.get("/x")
        pauses.append(round((await workers.pace())["open_s"], 1))
        await workers.admin.execute("UPDATE paces SET open_until = '-infinity'")
    assert pauses == [0, 0, 0.4, 0.8, 1.0, 1.0]


async def test_who_is_pinged_is_asked_again_at_once(workers: Workers) -> None:
    settings = local_settings(**{**BREAKER, "breaker_first_s": 60, "breaker_last_s": 60})
    async with HostileServer() as server:
        session = await workers.session(server, settings)
    for _ in range(3):
        with pytest.raises(OriginUnreachable):
            await session.get("/x")
    async with HostileServer(port=server.port) as back:
        back.on("/x", answer({}))
        with pytest.raises(CircuitOpen):
            await (await workers.session(back, settings)).get("/x")
        await workers.admin.execute("UPDATE instances SET pinged_at = now()")
        await (await workers.session(back, settings)).get("/x")


async def test_who_is_cancelled_while_it_waits_leaves_no_slot_taken(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", after(0.2, answer({})))
    async with AsyncExitStack() as visit:
        turnstile = await visit.enter_async_context(
            shared_turnstile(await workers.pool(settings), workers.instance, settings, requests_per_s=0)
        )
        origin = await visit.enter_async_context(OriginSession(settings, server.url, turnstile=turnstile))
        tasks = [asyncio.create_task(origin.get("/x")) for _ in range(6)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await workers.taken() == 0


async def test_a_status_that_says_no_is_an_answer(workers: Workers, server: HostileServer) -> None:
    session = await workers.session(server, local_settings(**BREAKER))
    for _ in range(5):
        with pytest.raises(OriginRefused):
            await session.get("/nothing")
    assert (await workers.pace())["faults"] == 0


WORKER = """
import asyncio, sys
from federation.database import Role, open_pool
from federation.outbound import OriginSession
from harvester.turnstile import shared_turnstile
from tests.hostile import local_settings

async def main(dsn, url):
    settings = local_settings(instance_slot_lease_s=float(sys.argv[3]))
    async with (
        open_pool(dsn, Role.WRITER, settings, size=2) as pool,
        shared_turnstile(pool, 1, settings, concurrency=1, requests_per_s=0) as turnstile,
        OriginSession(settings, url, turnstile=turnstile) as origin,
    ):
        while True:
            await origin.get("/worker")

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_slot_of_a_killed_or_frozen_worker_is_free_after_its_lease(
    workers: Workers, server: HostileServer, how: signal.Signals
) -> None:
    lease_s = 1.5
    settings = local_settings(instance_slot_lease_s=lease_s)
    server.on("/worker", after(5.0, answer({})))
    server.on("/x", answer({}))
    mine = await workers.session(server, settings, concurrency=1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, workers.dsn, server.url, str(lease_s), env={**os.environ}
    )
    try:
        async with asyncio.timeout(20):
            while not server.asked("/worker"):  # noqa: ASYNC110 (the other side is a process)
                await asyncio.sleep(0.02)
        waiting = asyncio.create_task(mine.get("/x"))
        await asyncio.sleep(lease_s + 0.5)
        assert not waiting.done(), "the lease of a living worker was not renewed"
        process.send_signal(how)
        started = time.monotonic()
        async with asyncio.timeout(10):
            await waiting
        assert time.monotonic() - started <= lease_s + 1
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_database_that_is_away_for_a_moment_is_waited_for(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}))
    session = await workers.session(server, settings, per_s=50)
    await ask(session, 2)

    async def cut() -> None:
        for _ in range(10):
            await workers.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)

    await asyncio.gather(cut(), ask(session, 40))
    assert len(server.requests) == 42


async def test_limits_may_be_lowered_while_others_still_hold_more(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", after(0.02, answer({})))
    many, few = await workers.session(server, settings, concurrency=4), await workers.session(server, settings)
    await asyncio.gather(*(ask(many, 3) for _ in range(4)))
    server.most_at_once = 0
    await asyncio.gather(*(ask(few, 3) for _ in range(4)))
    assert server.most_at_once == 2


async def test_a_rate_may_be_lowered_during_the_visit(
    workers: Workers, server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}))
    session = await workers.session(server, settings)
    session.turnstile.at_most(10)
    await ask(session, 4)
    assert server.requests[3].at - server.requests[0].at >= 0.28


async def test_a_worker_that_slept_over_its_lease_frees_nothing_of_its_successor(
    workers: Workers, settings: Settings
) -> None:
    sleeper, successor, third = [await workers.turnstile(settings, concurrency=1) for _ in range(3)]
    slot = await sleeper.enter()
    await workers.admin.execute("UPDATE slots SET until = now()")
    assert await successor.enter() == slot
    await sleeper.leave(slot, elapsed_s=1.0, fault=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await third.enter()
    await successor.leave(slot, elapsed_s=1.0, fault=False)
    assert await third.enter() == slot

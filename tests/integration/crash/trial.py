"""One story harvested twice: by a process that nobody disturbs, and by one that is killed again and again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg

from panofed.cluster import Cluster
from tests.integration.crash.held import Contents, compared, contents, held, partly_replaced
from tests.integration.crash.story import Story
from tests.invariants import check_invariants
from tests.origin import Origin

ROOT = Path(__file__).parents[3]
#: An attempt takes about a second; one that takes so long hangs.
_HANGS_S = 60.0
SETTINGS: dict[str, object] = {
    "leaf_max_pictures": 60,
    "split_batch_pictures": 20,
    "batch_pictures": 10,
    "page_pictures": 9,
    "page_sequences": 6,
    # both connections of an instance at work
    "visit_lane_sequences": 3,
    # what one that was killed held is free again soon
    "instance_slot_lease_s": 0.4,
    "run_lease_s": 0.4,
    "breaker_faults": 0,
}


@dataclass(slots=True)
class Victim:
    """The process that forks attempts."""

    process: asyncio.subprocess.Process

    async def attempt(self, dsn: str, names: Sequence[str], kill_after_s: float | None = None) -> tuple[int, float]:
        """One attempt, killed after so long: how it ended (0 well, -9 killed) and how long it took, seconds."""
        assert self.process.stdin is not None
        began = time.monotonic()
        order = {"dsn": dsn, "names": list(names), "settings": SETTINGS}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = await self._number()
        ended = asyncio.create_task(self._number())
        if kill_after_s is not None:
            await asyncio.wait([ended], timeout=kill_after_s)
        if kill_after_s is not None and not ended.done():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        code = await asyncio.wait_for(ended, _HANGS_S)
        return code, time.monotonic() - began

    async def killed_when(self, dsn: str, names: Sequence[str], moment: asyncio.Event) -> int:
        """One attempt, killed when `moment` comes."""
        assert self.process.stdin is not None
        order = {"dsn": dsn, "names": list(names), "settings": SETTINGS | {"instance_concurrency": 2}}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = await self._number()
        ended = asyncio.create_task(self._number())
        waiting = asyncio.create_task(moment.wait())
        await asyncio.wait([ended, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=_HANGS_S)
        if not ended.done():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        waiting.cancel()
        return await asyncio.wait_for(ended, _HANGS_S)

    async def _number(self) -> int:
        assert self.process.stdout is not None
        return int(await asyncio.wait_for(self.process.stdout.readline(), _HANGS_S))


@asynccontextmanager
async def victim() -> AsyncIterator[Victim]:
    """A process to fork from; it ends with its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.crash.victim", cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Victim(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


#: A copy of the database at this address, at another one; without one, a fresh database.
Copy: TypeAlias = Callable[[str | None], Awaitable[str]]


@dataclass(slots=True, kw_only=True)
class Trial:
    """One story; `copy` makes databases. Kills that came too late are not counted."""

    victim: Victim
    copy: Copy
    origins: dict[str, Origin]
    dice: random.Random
    kills: int = 0
    ends: int = 0

    async def tell(self, story: Story, kills_a_chapter: int) -> None:
        """Every chapter, harvested undisturbed and by many who are killed. AssertionError names chapter and kill."""
        calm, hit = await self._new(), await self._new()
        before: Contents = {}
        for chapter in story.chapters:
            chapter()
            code, took_s = await self.victim.attempt(calm, list(self.origins))
            assert code == 0, f"{chapter.__name__}: the undisturbed harvest failed"
            async with connected(calm) as connection:
                after, wanted = await contents(connection), await held(connection)
            enough = self.kills + kills_a_chapter
            begin = hit
            while self.kills < enough:
                # once it has come to its end there is nothing left to disturb: again from where the chapter began
                hit = await self.copy(begin)
                await self._disturb(chapter.__name__, hit, took_s, before, after, enough)
                async with connected(hit) as connection:
                    wrong = compared(await held(connection), wanted)
                assert not wrong, f"{chapter.__name__}, at its end:\n" + "\n".join(wrong)
            before = after

    async def _new(self) -> str:
        """An index that knows both instances and has visited neither."""
        dsn = await self.copy(None)
        async with connected(dsn) as admin:
            for name, origin in self.origins.items():
                await admin.execute(
                    "INSERT INTO instances (id, name, url, state) VALUES ($1, $1, $2, 'enabled')", name, origin.url
                )
        return dsn

    async def _disturb(
        self, chapter: str, hit: str, took_s: float, before: Contents, after: Contents, enough: int
    ) -> None:
        """Kill every attempt at a random moment, until there were enough kills or one comes to its end before."""
        async with connected(hit) as connection:
            while True:
                moment_s = self.dice.uniform(0.05, took_s * 1.1)
                spared = self.kills >= enough
                code, _ = await self.victim.attempt(hit, list(self.origins), None if spared else moment_s)
                assert code in (0, -signal.SIGKILL), f"{chapter}, after {self.kills} kills: ended with {code}"
                self.kills += code != 0
                where = f"{chapter}, kill {self.kills} at {moment_s:.3f} s of {took_s:.3f} s"
                wrong = partly_replaced(await contents(connection), before, after)
                assert not wrong, f"{where}: partly replaced: {wrong[:5]}"
                try:
                    await check_invariants(connection)
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from error
                if code == 0:
                    self.ends += 1
                    return


@asynccontextmanager
async def databases(cluster: Cluster, template: str) -> AsyncIterator[Copy]:
    """Makes databases, and drops them all at the end."""
    admin = await asyncpg.connect(cluster.dsn("postgres"))
    made: list[str] = []

    async def make(of: str | None) -> str:
        source = template if of is None else next(name for name in made if cluster.dsn(name) == of)
        name = f"crash_{secrets.token_hex(6)}"
        # what a killed process was connected to may still be asked for its last statement
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", source if of else name
        )
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        made.append(name)
        return cluster.dsn(name)

    try:
        yield make
    finally:
        for name in made:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()

"""A worker that is killed in the middle of a check: another one does it from its beginning, and nobody waits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from federation.checks import State, ask_check
from tests.integration.registration.conftest import Desk


async def start_worker(desk: Desk, folder: Path) -> asyncio.subprocess.Process:
    """A real one, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PANOFED_")}
    environment |= {
        "PANOFED_DATABASE_URL": desk.dsn, "PANOFED_DATA_DIR": str(folder), "PANOFED_OUTBOUND_ALLOW_LOOPBACK": "true",
        "PANOFED_OUTBOUND_ALLOW_HTTP": "true", "PANOFED_RUN_LEASE_S": "2",
    }  # fmt: skip
    with (folder / "log").open("a") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "panofed", "worker", env=environment, stdout=log, stderr=log
        )


async def test_a_killed_worker_is_replaced(desk: Desk, tmp_path: Path) -> None:
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    desk.instance.slow_s = 1.0
    first = await start_worker(desk, tmp_path)
    async with asyncio.timeout(60):
        while len((await desk.check(check)).steps) < 4:  # noqa: ASYNC110 (the rows are all there is to look at)
            await asyncio.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    half = await desk.check(check)
    assert half.ended_at is None and half.steps[-1].state is State.RUNNING
    desk.instance.slow_s = 0.0
    second = await start_worker(desk, tmp_path)
    try:
        async with asyncio.timeout(60):
            while (await desk.check(check)).ended_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        second.terminate()
        await second.wait()
    whole = await desk.check(check)
    assert whole.outcome == "warned"
    assert [step.number for step in whole.steps] == list(range(len(whole.steps)))
    assert {step.state for step in whole.steps} == {State.OK, State.WARNING}
    assert await desk.admin.fetchval("SELECT attempt FROM checks") == 2

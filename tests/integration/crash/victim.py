"""A process whose children harvest and are killed: imported once, forked for each attempt, as starting takes a second.

It reads one JSON line for each attempt, {"dsn", "names", "settings"}, forks, prints the child's pid, waits for its end
and prints how that was: 0 is well, -9 killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from typing import Any

from federation.database import Role, open_pool
from federation.settings import Settings
from harvester.fold import fold
from harvester.split import split_leaves
from harvester.visit import Harvester
from tests.harvest_world import harvest_settings


async def attempt(dsn: str, names: list[str], settings: Settings) -> None:
    """One visit to each of these instances, one after the other, then what is done between visits."""
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings)
        for name in names:
            outcome = "skipped"
            while outcome == "skipped":
                # the connection of one that was killed may hold the lock for a moment
                row = next(row for row in await harvester.due(every=True) if row["name"] == name)
                progress = await harvester.visit(row, lambda _: None)
                outcome = progress.outcome
            if outcome != "done":
                raise RuntimeError(f"{name}: {outcome} {progress.last_error}")
            await fold(pool, settings)
            await split_leaves(pool, settings)
        await fold(pool, settings)


def main() -> None:
    """Serve attempts until the input ends."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
        print(pid, flush=True)  # noqa: T201
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _live(order: dict[str, Any]) -> None:
    code = 1
    try:
        settings = harvest_settings().model_copy(update=order["settings"])
        asyncio.run(attempt(order["dsn"], order["names"], settings))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

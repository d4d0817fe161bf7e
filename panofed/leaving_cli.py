"""`panofed instances leave`: an instance is not shown any more, and deleted by the workers."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from federation.database import explained
from federation.errors import ConfigurationError
from federation.events import COMMAND_LINE
from federation.leaving import leave
from federation.queries import query
from panofed.messages import told
from panofed.tokens_cli import number_of, open_index

console = Console(highlight=False, soft_wrap=True)

_ASKED = (
    "Nothing of {name} is shown any more from now on, and everything held of it is deleted. Downloads already made "
    "cannot be recalled. Let it leave?"
)


def leave_command(
    name: Annotated[str, typer.Argument(help="The instance's name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let an instance leave: nothing of it is shown from now on; workers delete it. Its row and history stay."""
    with told():
        if not yes and not typer.confirm(_ASKED.format(name=name)):
            raise typer.Exit(1)
        asyncio.run(_leave(name))
        console.print(f"{name} is leaving: nothing of it is shown any more. A worker (panofed run) deletes it.")
        console.print("It has left when `panofed instances list` says so. For the export: panofed export geoparquet")


async def _leave(name: str) -> None:
    async with open_index() as pool, pool.acquire() as connection, explained("leaving"):
        instance = number_of(await connection.fetch(query("list_instances")), name)
        if not await leave(connection, instance, COMMAND_LINE):
            raise ConfigurationError(f"{name} is leaving or has left already")

"""`panofed instances hosts`: the hosts besides its own that an instance's pictures may lie on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from federation import acts
from federation.database import explained
from federation.errors import ConfigurationError
from federation.queries import query
from panofed.messages import told
from panofed.tokens_cli import number_of, open_index

console = Console(highlight=False, soft_wrap=True)


def hosts_command(
    name: Annotated[str, typer.Argument(help="The instance's name.")],
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="All of them, as host or host:port.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="There are no others any more.")] = False,
) -> None:
    """Show where else an instance's pictures may lie, or say it. Of an entry of instances.yaml: its asset_hosts."""
    with told():
        if hosts and none:
            raise ConfigurationError("hosts and --none are opposites: give one of them")
        kept = asyncio.run(_hosts(name, [] if none else hosts))
        for host in kept:
            console.print(host, markup=False)
        if not kept:
            console.print(f"{name} has its pictures on its own host only.")


async def _hosts(name: str, hosts: Sequence[str] | None) -> Sequence[str]:
    async with open_index() as pool, pool.acquire() as connection, explained("confirming hosts of pictures"):
        rows = await connection.fetch(query("instance_names"))
        instance = number_of(rows, name)
        if hosts is None:
            return next(row["asset_hosts"] for row in rows if row["n"] == instance)
        async with connection.transaction():
            return await acts.confirm_hosts(connection, instance, acts.SHELL, hosts)

"""`panofed instances move`: a registered instance at another address, without its operator's proof."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from federation import acts
from federation.database import explained
from federation.queries import query
from panofed.messages import told
from panofed.tokens_cli import number_of, open_index

console = Console(highlight=False, soft_wrap=True)


def move_command(
    name: Annotated[str, typer.Argument(help="The instance's name.")],
    url: Annotated[str, typer.Argument(help="The landing page of its API at the new address.")],
) -> None:
    """Give a registered instance another address: everything is read again there. Others: edit instances.yaml."""
    with told():
        address = asyncio.run(_move(name, url))
        console.print(f"{name} is at {address} now: what its API can do is asked again, and everything is read again.")


async def _move(name: str, url: str) -> str:
    async with open_index() as pool, pool.acquire() as connection, explained("moving an instance"):
        instance = number_of(await connection.fetch(query("instance_names")), name)
        async with connection.transaction():
            return await acts.move(connection, instance, acts.SHELL, url)

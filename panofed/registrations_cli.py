"""`panofed registrations`: instances that want to join - list, approve, refuse."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.database import explained
from federation.events import COMMAND_LINE
from federation.registrations import Registration, approve, list_registrations, refuse
from panofed.messages import told
from panofed.tokens_cli import open_index

registrations_app = typer.Typer(name="registrations", help="Instances that want to join.", no_args_is_help=True)
console = Console(highlight=False, soft_wrap=True)

Number = Annotated[int, typer.Argument(help="Its number in the list.")]


@registrations_app.command("list")
def list_command(
    every: Annotated[bool, typer.Option("--all", help="Also those that are approved, refused or expired.")] = False,
) -> None:
    """Show who wants to join, the latest first."""
    with told():
        found = asyncio.run(_list(every))
        if not found:
            console.print("Nobody wants to join." if not every else "Nobody has registered an instance yet.")
            return
        console.print(_table(found))


@registrations_app.command("approve")
def approve_command(number: Number) -> None:
    """Let one in: it is visited at once. Only what is proved and checked can be approved."""
    with told():
        asyncio.run(_approve(number))
        console.print(f"Registration {number} is approved: its instance is visited by the next free worker.")


@registrations_app.command("refuse")
def refuse_command(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why, for whoever asked.", prompt="Reason, for whoever asked")],
) -> None:
    """Do not let one in, and say why."""
    with told():
        asyncio.run(_refuse(number, reason))
        console.print(f"Registration {number} is refused.")


async def _list(every: bool) -> list[Registration]:
    async with open_index() as pool, pool.acquire() as connection, explained("listing registrations"):
        return await list_registrations(connection, only_open=not every)


async def _approve(number: int) -> None:
    async with open_index() as pool, pool.acquire() as connection, explained("approving a registration"):
        await approve(connection, number, COMMAND_LINE)


async def _refuse(number: int, reason: str) -> None:
    async with open_index() as pool, pool.acquire() as connection, explained("refusing a registration"):
        await refuse(connection, number, reason, COMMAND_LINE)


def _table(found: list[Registration]) -> Table:
    table = Table(
        "registration", "name", "address", "state", "check", "proved", "blurring", "contact", box=None, pad_edge=False
    )
    for each in found:
        proved = f"{each.proved_at:%Y-%m-%d} ({each.proved_by})" if each.proved_at else "no"
        state = f"{each.state.value}: {each.state_reason}" if each.state_reason else each.state.value
        shown = (each.name, each.url, state, each.check_outcome or "...", proved, each.blurring, each.contact)
        table.add_row(str(each.n), *map(escape, shown))
    return table

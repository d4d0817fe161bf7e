"""`panofed takedowns`: pictures and sequences that nobody is shown, whoever has them - add, list, end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.errors import TakedownRefused
from federation.events import COMMAND_LINE
from federation.takedowns import Kind, Takedown, TakenDown, end_takedown, list_takedowns, take_down
from panofed.messages import told
from panofed.tokens_cli import open_index

takedowns_app = typer.Typer(
    name="takedowns", help="Pictures and sequences that nobody is shown, whoever has them.", no_args_is_help=True
)
console = Console(highlight=False, soft_wrap=True)


@takedowns_app.command()
def add(
    id: Annotated[str, typer.Argument(help="The id (a UUID) of a picture, or of a sequence with --sequence.")],
    reason: Annotated[str, typer.Option(help="Why: kept for the administrators.")],
    sequence: Annotated[bool, typer.Option("--sequence", help="A whole sequence.")] = False,
) -> None:
    """Take every copy out now, and keep it out until `panofed takedowns end`. Nobody needs to have it yet."""
    with told():
        done = asyncio.run(_add("sequence" if sequence else "picture", _uuid(id), reason))
        again = "" if done.is_new else " It had been taken down before."
        console.print(f"Takedown {done.n}: {done.pictures:,} copies of pictures are gone.{again}")


@takedowns_app.command("list")
def list_command(
    ended: Annotated[bool, typer.Option("--ended", help="Those that were ended too.")] = False,
) -> None:
    """Show what is taken down, by whom and why."""
    with told():
        console.print(takedowns_table([each for each in asyncio.run(_list()) if ended or each.ended_at is None]))


@takedowns_app.command()
def end(number: Annotated[int, typer.Argument(help="The takedown's number in the list.")]) -> None:
    """End a takedown: the next visits bring back what instances still show."""
    with told():
        asyncio.run(_end(number))
        console.print(f"Takedown {number} has ended: the next visits bring back what instances still show.")


async def _add(kind: Kind, id: UUID, reason: str) -> TakenDown:
    async with open_index() as pool, pool.acquire() as connection:
        return await take_down(connection, kind, id, reason, COMMAND_LINE)


async def _list() -> list[Takedown]:
    async with open_index() as pool, pool.acquire() as connection:
        return await list_takedowns(connection)


async def _end(number: int) -> None:
    async with open_index() as pool, pool.acquire() as connection:
        await end_takedown(connection, number, COMMAND_LINE)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise TakedownRefused(f"the id {text[:60]!r} is no UUID") from error


def takedowns_table(takedowns: Sequence[Takedown]) -> Table:
    """Takedowns, for people."""
    table = Table("takedown", "what", "id", "since", "ended", "by", "had by", "reason", box=None, pad_edge=False)
    for each in takedowns:
        ended = f"{each.ended_at:%Y-%m-%d}" if each.ended_at else ""
        copies = escape(", ".join(each.copies)) or "nobody yet"
        texts = (f"{each.at:%Y-%m-%d %H:%M}", ended, escape(each.actor), copies, escape(each.reason))
        table.add_row(str(each.n), each.kind, str(each.id), *texts)
    return table

"""`panofed instances token`: what lets an instance's operator in - create, list, revoke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.database import Pool, Role, Row, check_schema, explained, open_pool
from federation.errors import ConfigurationError, PanofedError
from federation.events import COMMAND_LINE
from federation.instances import load_instances, sync_instances
from federation.instances_fields import near
from federation.queries import query
from federation.settings import load_settings
from federation.tokens import Scope, Token, list_tokens, make_token, take_token_back
from panofed.ready import ready_database

tokens_app = typer.Typer(
    name="token", help="Tokens that let an instance's operator in, for example to ping.", no_args_is_help=True
)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True)

Name = Annotated[str, typer.Argument(help="The instance's name.")]


@tokens_app.command()
def create(
    name: Name,
    scope: Annotated[Scope, typer.Option(help="What it is for. An admin's is for every instance.")] = Scope.PING,
    expires_days: Annotated[float, typer.Option(help="How long it holds, in days; 0: until it is revoked.", min=0)] = 0,
    label: Annotated[str, typer.Option(help="Whose it is, for the list.")] = "",
) -> None:
    """Make a token and show it, once: only its hash is kept."""
    with _explained():
        lasts = timedelta(days=expires_days) if expires_days else None
        secret = asyncio.run(_create(name, scope, label, lasts))
        console.print(secret, markup=False)
        errors.print(f"[dim]It is not shown again. To say that {escape(name)} changed:[/dim]")
        errors.print(f"[dim]curl -X POST -H 'Authorization: Bearer ...' .../api/instances/{escape(name)}/ping[/dim]")


@tokens_app.command("list")
def list_command(name: Annotated[str, typer.Argument(help="Only of this instance.")] = "") -> None:
    """Show the tokens there are; never a token itself."""
    with _explained():
        tokens, instances = asyncio.run(tokens_of(name))
        console.print(tokens_table(tokens, instances))


@tokens_app.command()
def revoke(number: Annotated[int, typer.Argument(help="The token's number in the list.")]) -> None:
    """Take a token back: it lets nobody in any more."""
    with _explained():
        if not asyncio.run(_revoke(number)):
            raise ConfigurationError(f"there is no token {number} that could be revoked")
        console.print(f"Token {number} is revoked.")


async def _create(name: str, scope: Scope, label: str, lasts: timedelta | None) -> str:
    async with open_index() as pool, pool.acquire() as connection, explained("making a token"):
        instance = None if scope is Scope.ADMIN else number_of(await connection.fetch(query("list_instances")), name)
        return await make_token(connection, scope, instance, COMMAND_LINE, label=label, lasts=lasts)


async def tokens_of(name: str) -> tuple[list[Token], dict[int, str]]:
    """The tokens of an instance ("": all), and the instances' names by number."""
    async with open_index() as pool, pool.acquire() as connection, explained("listing tokens"):
        rows = await connection.fetch(query("list_instances"))
        tokens = await list_tokens(connection, number_of(rows, name) if name else None)
        return tokens, {row["n"]: row["name"] for row in rows}


async def _revoke(number: int) -> bool:
    async with open_index() as pool, pool.acquire() as connection, explained("revoking a token"):
        return await take_token_back(connection, number, COMMAND_LINE)


@asynccontextmanager
async def open_index() -> AsyncIterator[Pool]:
    """The index, with the file read into it: an instance that was just added can have a token."""
    settings = load_settings()
    entries = load_instances(settings.instances_file)
    url = await asyncio.to_thread(ready_database, settings)
    async with open_pool(url, Role.WRITER, settings, size=1) as pool:
        async with pool.acquire() as connection:
            await check_schema(connection)
            await sync_instances(connection, entries, settings.instances_file)
        yield pool


def number_of(rows: list[Row], name: str) -> int:
    """The number of the instance of that name; ConfigurationError lists near names."""
    for row in rows:
        if row["name"] == name:
            return int(row["n"])
    known = [row["name"] for row in rows]
    hint = near(name, known) or (f": there are {', '.join(sorted(known))}" if known else ": there are none")
    raise ConfigurationError(f"no instance is named {name!r}{hint}")


def tokens_table(tokens: list[Token], instances: dict[int, str]) -> Table:
    """Tokens, for people."""
    table = Table("token", "for", "instance", "label", "made", "holds until", "last used", box=None, pad_edge=False)
    now = datetime.now(UTC)
    for token in tokens:
        where = "all" if token.instance is None else instances.get(token.instance, "?")
        made, used = f"{token.created_at:%Y-%m-%d}", f"{token.used_at:%Y-%m-%d %H:%M}" if token.used_at else "never"
        label = escape(token.label)
        table.add_row(str(token.n), token.scope.value, escape(where), label, made, holds_until(token, now), used)
    return table


def holds_until(token: Token, now: datetime) -> str:
    """Until when a token lets somebody in, for people."""
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d}"
    if token.expires_at is None:
        return "it is revoked"
    return f"{token.expires_at:%Y-%m-%d}" + (" (expired)" if token.expires_at <= now else "")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except PanofedError as error:
        errors.print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error

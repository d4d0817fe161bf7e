"""`panofed admin`: who is let in - the first administrator's token, links for operators, the end of all sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from catalog_api.slots import own_address
from federation.database import Row, explained
from federation.errors import ConfigurationError
from federation.events import COMMAND_LINE
from federation.links import Link, MadeLink, list_links, make_link, revoke_link
from federation.queries import query
from federation.sessions import end_sessions
from federation.settings import Settings, load_settings
from federation.tokens import Scope, make_token, take_token_back
from panofed.messages import told
from panofed.tokens_cli import number_of, open_index, tokens_of, tokens_table

admin_app = typer.Typer(
    name="admin", help="Who is let in: tokens of administrators, links for operators.", no_args_is_help=True
)
token_app = typer.Typer(name="token", help="Tokens of administrators.", no_args_is_help=True)
link_app = typer.Typer(
    name="link", help="Links that let somebody in once, to the pages /operator or /admin.", no_args_is_help=True
)
admin_app.add_typer(token_app, name="token")
admin_app.add_typer(link_app, name="link")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True)

Label = Annotated[str, typer.Option(help="Whose it is, for the list.")]
Number = Annotated[int, typer.Argument(help="Its number in the list.")]


# --- tokens -------------------------------------------------------------------------------------------------------


@token_app.command("create")
def token_create(
    expires_days: Annotated[float, typer.Option(help="How long it holds, in days; 0: until it is revoked.", min=0)] = 0,
    label: Label = "",
) -> None:
    """Make an administrator's token and show it, once: only its hash is kept."""
    with told():
        lasts = timedelta(days=expires_days) if expires_days else None
        console.print(asyncio.run(_make_token(label, lasts)), markup=False)
        errors.print("[dim]It is not shown again. It signs in at /sign-in, and is for the API:[/dim]")
        errors.print("[dim]curl -H 'Authorization: Bearer ...' .../api/admin/instances[/dim]")


@token_app.command("list")
def token_list() -> None:
    """Show the administrators' tokens there are; never a token itself."""
    with told():
        tokens, instances = asyncio.run(tokens_of(""))
        console.print(tokens_table([each for each in tokens if each.scope is Scope.ADMIN], instances))


@token_app.command("revoke")
def token_revoke(number: Number) -> None:
    """Take a token back: it lets nobody in any more, and who it let in is signed out."""
    with told():
        if not asyncio.run(_take_token_back(number)):
            raise ConfigurationError(f"there is no token {number} that could be revoked")
        console.print(f"Token {number} is revoked.")


async def _make_token(label: str, lasts: timedelta | None) -> str:
    async with open_index() as pool, pool.acquire() as connection, explained("making a token"):
        return await make_token(connection, Scope.ADMIN, None, COMMAND_LINE, label=label, lasts=lasts)


async def _take_token_back(number: int) -> bool:
    async with open_index() as pool, pool.acquire() as connection, explained("revoking a token"):
        return await take_token_back(connection, number, COMMAND_LINE)


# --- links --------------------------------------------------------------------------------------------------------


@link_app.command("create")
def link_create(
    name: Annotated[
        str, typer.Argument(help="The instance whose operator it is for; without it, an administrator's.")
    ] = "",
    hours: Annotated[float, typer.Option(help="How long it waits to be used; 0: as the settings say.", min=0)] = 0,
    label: Label = "",
) -> None:
    """Make a link that lets its holder in once, and show it, once."""
    with told():
        settings = load_settings()
        lasts = timedelta(hours=hours or settings.link_hours)
        made = asyncio.run(_make_link(name, lasts, label))
        console.print(made.address(base_of(settings)), markup=False)
        whom = f"the operator of {escape(name)}" if name else "an administrator"
        errors.print(f"[dim]For {whom}, once, until {made.expires_at:%Y-%m-%d %H:%M} UTC. It is not shown again.[/dim]")


@link_app.command("list")
def link_list(name: Annotated[str, typer.Argument(help="Only of this instance.")] = "") -> None:
    """Show the latest links; never a link itself."""
    with told():
        links, instances = asyncio.run(_list_links(name))
        console.print(_links_table(links, instances))


@link_app.command("revoke")
def link_revoke(number: Number) -> None:
    """Take a link back, used or not: who it let in is signed out."""
    with told():
        if not asyncio.run(_revoke_link(number)):
            raise ConfigurationError(f"there is no link {number} that could be revoked")
        console.print(f"Link {number} is revoked.")


@admin_app.command()
def logout() -> None:
    """Sign everybody out, operators and administrators. Their tokens and unused links still hold."""
    with told():
        ended = asyncio.run(_end_sessions())
        console.print(f"{ended:,} {'session is' if ended == 1 else 'sessions are'} ended.")


async def _make_link(name: str, lasts: timedelta, label: str) -> MadeLink:
    async with open_index() as pool, pool.acquire() as connection, explained("making a link"):
        number = number_of(await connection.fetch(query("instance_names")), name) if name else None
        async with connection.transaction():
            return await make_link(connection, number, COMMAND_LINE, lasts=lasts, label=label)


async def _list_links(name: str) -> tuple[list[Link], dict[int, str]]:
    async with open_index() as pool, pool.acquire() as connection, explained("listing links"):
        rows: list[Row] = await connection.fetch(query("instance_names"))
        links = await list_links(connection, number_of(rows, name) if name else None)
        return links, {row["n"]: row["name"] for row in rows}


async def _revoke_link(number: int) -> bool:
    async with open_index() as pool, pool.acquire() as connection, explained("revoking a link"):
        async with connection.transaction():
            return await revoke_link(connection, number, COMMAND_LINE)


async def _end_sessions() -> int:
    async with open_index() as pool, pool.acquire() as connection, explained("ending sessions"):
        return await end_sessions(connection)


def base_of(settings: Settings) -> str:
    """Where this catalog is.

    >>> base_of(load_settings(public_url="https://catalog.example/")), base_of(load_settings(port=8081))
    ('https://catalog.example', 'http://127.0.0.1:8081')
    """
    return settings.public_url or own_address(settings)


def _links_table(links: list[Link], instances: dict[int, str]) -> Table:
    table = Table("link", "for", "instance", "label", "made", "made by", "state", box=None, pad_edge=False)
    for link in links:
        where = "all" if link.instance is None else instances.get(link.instance, "?")
        made = f"{link.created_at:%Y-%m-%d %H:%M}"
        told_state = state_of(link, datetime.now(UTC))
        table.add_row(
            str(link.n), link.scope.value, escape(where), escape(link.label), made, escape(link.made_by), told_state
        )
    return table


def state_of(link: Link, now: datetime) -> str:
    """What became of a link, for people."""
    if link.revoked_at is not None:
        return f"revoked {link.revoked_at:%Y-%m-%d}"
    if link.used_at is not None:
        return f"used {link.used_at:%Y-%m-%d %H:%M}"
    return f"waits until {link.expires_at:%Y-%m-%d %H:%M}" if link.expires_at > now else "expired unused"

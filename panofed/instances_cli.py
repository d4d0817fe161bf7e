"""`panofed instances`: who is harvested - list, enable, disable, pause, resume, remove, add."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlsplit
from uuid import uuid4

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from federation import acts
from federation.database import Pool, Role, Row, check_schema, explained, open_pool
from federation.errors import ConfigurationError, DatabaseError, PanofedError
from federation.events import COMMAND_LINE, Kind, note
from federation.instances import InstanceEntry, SyncReport, load_instances, state_of, sync_instances
from federation.instances_fields import clean_url, is_slug, near
from federation.leaving import leave
from federation.queries import query
from federation.settings import Settings, load_settings
from panofed.cluster import Cluster, cluster_config
from panofed.instances_edit import append_entry, edit_file, remove_entry, set_enabled
from panofed.instances_table import capability_lines, instances_table, trouble_lines
from panofed.ready import ready_database, working_url

#: On disk with everything included; what docs/benchmarks.md measures at a million pictures.
BYTES_PER_PICTURE = 900
BY_HAND = "paused by hand"
#: What a person may say after the brake.
DECISIONS = {
    "--confirm": "they are gone. The next visit lists everything, and what is missing then is removed here.",
    "--refuse": "they are not. Go on without removing them, until so little is missing that nobody need decide.",
}

Withdraw = Callable[[Pool, int, Callable[[int], None]], Awaitable[int]]

instances_app = typer.Typer(
    name="instances",
    help="Who is harvested: the entries of instances.yaml and what is held of them.",
    no_args_is_help=True,
)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True)

Name = Annotated[str, typer.Argument(help="The instance's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Registry:
    """The file as it is read at the start of a command."""

    settings: Settings
    entries: tuple[InstanceEntry, ...]

    def entry(self, name: str) -> InstanceEntry:
        """The entry of that name; ConfigurationError lists near names."""
        found = self.find(name)
        if found is None:
            raise _unknown(name, [entry.name for entry in self.entries])
        return found

    def find(self, name: str) -> InstanceEntry | None:
        """The entry of that name, if there is one."""
        return next((entry for entry in self.entries if entry.name == name), None)


# --- the file -----------------------------------------------------------------------------------------------------


@instances_app.command("list")
def list_command() -> None:
    """Show every instance: its state, what is held of it and how fresh that is. Starts and contacts nothing."""
    with _explained():
        registry = _registry()
        rows, note = asyncio.run(_rows_if_any(registry.settings))
        console.print(instances_table(registry.entries, rows))
        for line in (*capability_lines(rows), *trouble_lines(rows)):
            console.print(line, soft_wrap=True)
        if note:
            console.print(f"[dim]Only what {escape(str(registry.settings.instances_file))} says: {escape(note)}[/dim]")


@instances_app.command()
def enable(name: Name, yes: Yes = False) -> None:
    """Let an instance be harvested: shows how large it is, asks, and sets `enabled: true` in the file."""
    with _explained():
        registry = _registry()
        entry = registry.entry(name)
        if entry.enabled:
            console.print(f"{name} is enabled already.")
            return
        console.print(_size(entry))
        if not yes and not typer.confirm(f"Harvest {name}?"):
            raise typer.Exit(1)
        _set_enabled(registry, entry, True)
        console.print(f"{name} is enabled. The next `panofed harvest --once` or `panofed run` visits it.")


@instances_app.command()
def disable(name: Name) -> None:
    """Harvest an instance no more; what is held of it stays and is still served."""
    with _explained():
        registry = _registry()
        entry = registry.entry(name)
        if entry.enabled:
            _set_enabled(registry, entry, False)
        console.print(f"{name} is disabled. Its pictures stay; `panofed instances remove {name}` deletes them.")


@instances_app.command()
def add(
    url: Annotated[str, typer.Argument(help="The landing page of its API, for example https://panoramax.example/api")],
    name: Annotated[str, typer.Option(help="Its name here: lower-case letters, digits and '-'.")] = "",
) -> None:
    """Add an instance to the file, disabled. Nothing is contacted."""
    with _explained():
        registry = _registry()
        address = _new_url(url, registry.entries)
        chosen = name or typer.prompt("A short name for it", default=_suggested_name(address))
        if not is_slug(chosen):
            raise ConfigurationError(f"the name {chosen!r} must be lower-case letters, digits and '-', 64 at most")
        if registry.find(chosen) is not None:
            raise ConfigurationError(f"the name {chosen!r} is taken by {registry.entry(chosen).url}")
        entry = InstanceEntry(id=str(uuid4()), name=chosen, url=address)
        edit_file(registry.settings.instances_file, append_entry(entry), [*registry.entries, entry])
        console.print(f"{chosen} is added, disabled. To harvest it: panofed instances enable {chosen}")


# --- the table ----------------------------------------------------------------------------------------------------


@instances_app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at the list.")] = BY_HAND,
) -> None:
    """Stop visiting an instance for a while, without touching the file; what is held is still served."""
    with _explained():
        asyncio.run(_pause(_registry(), name, reason))


@instances_app.command()
def resume(
    name: Name,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="After a brake: what is missing is gone, remove it.")
    ] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="After a brake: keep what is missing, go on.")] = False,
) -> None:
    """Visit a paused instance again. One that the brake stopped needs a decision: --confirm or --refuse."""
    with _explained():
        if confirm and refuse:
            raise ConfigurationError("--confirm and --refuse are opposites: give one of them")
        decision = "confirmed" if confirm else "refused" if refuse else ""
        asyncio.run(_resume(_registry(), name, decision))


@instances_app.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Delete an instance: every picture held of it, its row, and its entry in the file."""
    with _explained():
        asyncio.run(_remove(_registry(), name, yes, _withdraw))


async def _withdraw(pool: Pool, instance: int, on_progress: Callable[[int], None]) -> int:
    # a third of a second to import: only `remove` waits for it
    from harvester.withdraw import withdraw_instance

    settings = load_settings()
    return await withdraw_instance(working_url(settings), pool, instance, settings, on_progress)


async def _pause(registry: Registry, name: str, reason: str) -> None:
    async with _synced(registry) as pool:
        row = await _row(pool, name)
        if row["state"] in ("leaving", "left"):
            raise ConfigurationError(f"{name} {'is leaving' if row['state'] == 'leaving' else 'has left'} already")
        if row["state"] == "braked":
            console.print(f"{name} is stopped already, by the brake: {escape(row['state_reason'])}")
            return
        async with explained("pausing an instance"), pool.acquire() as connection, connection.transaction():
            await acts.pause(connection, row["n"], acts.SHELL, reason)
        console.print(f"{name} is paused. To go on: panofed instances resume {name}")


async def _resume(registry: Registry, name: str, decision: str) -> None:
    async with _synced(registry) as pool:
        row = await _row(pool, name)
        if row["state"] in ("enabled", "disabled"):
            hint = f"; to harvest it: panofed instances enable {name}" if row["state"] == "disabled" else ""
            console.print(f"{name} is not paused: it is {row['state']}{hint}.")
            return
        if row["state"] == "leaving":
            raise ConfigurationError(f"{name} is leaving: what is held of it is being deleted. Wait until it has left")
        entry = registry.find(name)
        if entry is None and row["state"] == "left":
            raise ConfigurationError(f"{name} has left: its operator registers it again")
        if entry is None and row["source"] == "file":
            raise ConfigurationError(f"{name} has no entry in {registry.settings.instances_file}: add it back first")
        state = "enabled" if entry is None else state_of(entry)
        if row["state"] == "braked":
            await _decide(pool, row, decision, state)
        elif row["state"] == "paused":
            async with explained("resuming an instance"), pool.acquire() as connection, connection.transaction():
                await acts.resume(connection, row["n"], acts.SHELL, state)
        else:
            await _set_state(pool, row, state, "")
        console.print(f"{name} is {state} again.")


async def _decide(pool: Pool, row: Row, decision: str, state: str) -> None:
    """What becomes of the pictures that are missing without a word; without a decision it explains, and ends."""
    name = row["name"]
    if not decision:
        console.print(f"The brake stopped {name}: {escape(row['state_reason'])}", soft_wrap=True)
        held = f"{row['pictures']:,} of its pictures are held and served. Look at {escape(row['url'])} and decide:"
        console.print(held, soft_wrap=True)
        for option, meaning in DECISIONS.items():
            console.print(f"  panofed instances resume {name} {option}: {meaning}", soft_wrap=True)
        raise typer.Exit(1)
    async with explained("keeping a decision"), pool.acquire() as connection, connection.transaction():
        await acts.decide_brake(connection, row["n"], acts.SHELL, gone=decision == "confirmed", state=state)
    done = "removed after the next complete listing" if decision == "confirmed" else "kept"
    console.print(f"What {name} does not list any more is {done}.")


async def _remove(registry: Registry, name: str, yes: bool, withdraw: Withdraw) -> None:
    async with _synced(registry) as pool:
        row = await _row(pool, name)
        held = f"{row['pictures']:,} pictures in {row['sequences']:,} sequences"
        console.print(f"{name} ({escape(row['url'])}): {held} will be deleted here. Nothing happens to the instance.")
        if not yes and not _asked_twice(name):
            raise typer.Exit(1)
        async with explained("removing an instance"), pool.acquire() as connection:
            await leave(connection, row["n"], COMMAND_LINE)
        with _progress() as progress:
            task = progress.add_task(f"Deleting {name}", total=row["pictures"])
            deleted = await withdraw(pool, row["n"], lambda done: progress.update(task, completed=done))
        # the entry first: were the row deleted before a crash, the entry would bring the instance back
        if registry.find(name) is not None:
            left = [entry for entry in registry.entries if entry.name != name]
            edit_file(registry.settings.instances_file, remove_entry(name), left)
        async with explained("removing an instance"), pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute(query("delete_instance"), row["n"])
                await connection.execute(query("hide_leaving"))
                details = {"name": name, "pictures": deleted}
                await note(connection, Kind.LEFT, actor=COMMAND_LINE, subject=row["url"], details=details)
        console.print(f"{name} is removed: {deleted:,} pictures deleted.")


def _asked_twice(name: str) -> bool:
    if not typer.confirm(f"Delete everything held of {name}?"):
        return False
    return str(typer.prompt(f"This cannot be undone. Type {name} to go on", default="", show_default=False)) == name


# --- helpers ------------------------------------------------------------------------------------------------------


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except PanofedError as error:
        errors.print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _registry() -> Registry:
    settings = load_settings()
    return Registry(settings, load_instances(settings.instances_file))


@asynccontextmanager
async def _synced(registry: Registry) -> AsyncIterator[Pool]:
    """The index, with the file read into it."""
    settings = registry.settings
    url = await asyncio.to_thread(ready_database, settings)
    async with open_pool(url, Role.WRITER, settings) as pool:
        async with pool.acquire() as connection:
            await check_schema(connection)
            _tell(await sync_instances(connection, registry.entries, registry.settings.instances_file))
        yield pool


def _tell(report: SyncReport) -> None:
    for change in report.changed:
        if change.field in ("name", "url", "asset_hosts"):
            before, after = (escape(value or "nothing") for value in (change.before, change.after))
            console.print(f"[dim]{change.name}: {change.field} was {before}, now {after}[/dim]")
    for name in report.paused:
        console.print(f"[dim]{name} is paused: its entry is no longer in the file[/dim]")


async def _rows_if_any(settings: Settings) -> tuple[Sequence[Row], str]:
    """The table, or why there is none to show."""
    if not settings.database_url and Cluster(cluster_config(settings)).status().state != "running":
        return (), "the database is not running (panofed db start)"
    try:
        async with open_pool(working_url(settings), Role.READER, settings, size=1) as pool:
            async with explained("listing instances"), pool.acquire() as connection:
                await check_schema(connection)
                return await connection.fetch(query("list_instances")), ""
    except DatabaseError as error:
        return (), str(error)


async def _row(pool: Pool, name: str) -> Row:
    async with explained("listing instances"), pool.acquire() as connection:
        rows = await connection.fetch(query("list_instances"))
    for row in rows:
        if row["name"] == name:
            return row
    raise _unknown(name, [row["name"] for row in rows])


async def _set_state(pool: Pool, row: Row, state: str, reason: str) -> None:
    async with explained("changing an instance"), pool.acquire() as connection:
        await connection.execute(query("set_instance_state"), row["n"], state, reason)


def _set_enabled(registry: Registry, entry: InstanceEntry, enabled: bool) -> None:
    expected = [replace(one, enabled=enabled) if one is entry else one for one in registry.entries]
    edit_file(registry.settings.instances_file, set_enabled(entry.name, enabled), expected)


def _unknown(name: str, known: Sequence[str]) -> ConfigurationError:
    hint = near(name, known) or (f": there are {', '.join(sorted(known))}" if known else ": there are none")
    return ConfigurationError(f"no instance is named {name!r}{hint}")


def _new_url(url: str, entries: Sequence[InstanceEntry]) -> str:
    try:
        address = clean_url(url)
    except ValueError as error:
        raise ConfigurationError(f"the address {url!r} {error}") from error
    for entry in entries:
        if entry.url == address:
            raise ConfigurationError(f"{address} is there already, named {entry.name}")
    return address


def _suggested_name(url: str) -> str:
    host = urlsplit(url).hostname or ""
    kept = host.removeprefix("www.").removeprefix("panoramax.").rsplit(".", 1)[0]
    name = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in kept).split())
    return name[:64].strip("-") or "instance"


def _size(entry: InstanceEntry) -> str:
    who = f"{entry.name} ({escape(entry.url)})"
    if entry.pictures is None:
        return f"{who}: its size is not known."
    gigabytes = entry.pictures * BYTES_PER_PICTURE / 1e9
    disk = f"{gigabytes:,.0f} GB" if gigabytes >= 1 else f"{gigabytes * 1000:,.0f} MB"
    return f"{who}: {entry.pictures:,} pictures when its entry was written, about {disk} of disk."


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )

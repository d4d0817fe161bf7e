"""`panofed db`: the database from the command line - start, stop, status, psql, migrate, dump, restore, upgrade."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from federation.database import migrate as apply_migrations
from federation.errors import PanofedError
from federation.settings import Settings, load_settings
from panofed.cluster import DATABASE, Cluster, ClusterStatus, cluster_config, database_url
from panofed.cluster.archive import BytesTick, check_dump, dump, restore
from panofed.cluster.client import Client, client_of, full_environment, split_password

db_app = typer.Typer(
    name="db",
    help="The database: a private PostgreSQL in the data folder, unless PANOFED_DATABASE_URL names another.",
    no_args_is_help=True,
)
console = Console()
errors = Console(stderr=True)

File = Annotated[Path, typer.Argument(help="The dump file.", dir_okay=False)]


@db_app.command()
def start() -> None:
    """Start the private database server; makes it first if there is none. It keeps running until `db stop`."""
    with _explained(), _own_cluster("started") as cluster:
        was = cluster.status().state
        with console.status("Starting the database..."):
            cluster.ensure_running()
            cluster.ensure_database(DATABASE)
        console.print(f"The database {'was running already' if was == 'running' else 'runs'}.")
        _show(cluster.status(), cluster.dsn())


@db_app.command()
def stop(
    now: Annotated[bool, typer.Option("--now", help="Do not write a checkpoint; the next start takes longer.")] = False,
) -> None:
    """Stop the private database server. Nothing that was committed is lost."""
    with _explained(), _own_cluster("stopped") as cluster:
        if cluster.status().state != "running":
            console.print("The database is not running.")
            return
        with console.status("Stopping the database..."):
            cluster.stop("immediate" if now else "fast")
        console.print("The database is stopped.")


@db_app.command()
def status() -> None:
    """Show what the database is and whether it runs. Exit code 0: it runs, 3: it does not."""
    with _explained():
        settings = load_settings()
        if settings.database_url:
            client = client_of(settings.database_url, settings.pg_bindir)
            console.print(f"Somebody else's server (PANOFED_DATABASE_URL): {escape(split_password(client.url)[0])}")
            console.print(f"It answers: PostgreSQL {client.script('server_version')}")
            return
        cluster = Cluster(cluster_config(settings))
        found = cluster.status()
        _show(found, cluster.dsn())
    if found.state != "running":
        raise typer.Exit(3)


@db_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the database; further arguments go to psql, such as -c "SELECT 1"."""
    with _explained():
        client = _client(load_settings())
        command = [*client.command("psql"), *context.args]
        try:
            os.execvpe(command[0], command, full_environment(client))
        except OSError as error:
            raise PanofedError(f"{command[0]} cannot be run: {error.strerror}") from error


@db_app.command()
def migrate() -> None:
    """Bring the database's tables to what this version needs. Applying it twice changes nothing."""
    with _explained():
        url = database_url(load_settings(), report=_report)
        with console.status("Migrating..."):
            applied = asyncio.run(apply_migrations(url))
        for name in applied:
            console.print(f"applied {name}")
        console.print(f"{len(applied)} migrations applied." if applied else "Nothing to do: the tables are up to date.")


@db_app.command(name="dump")
def dump_command(file: File) -> None:
    """Write the whole database to FILE. The file appears only when it is complete."""
    with _explained():
        client = _client(load_settings())
        with _progress(f"Dumping {client.database}") as tick:
            size = dump(client, file, tick)
        console.print(f"{_megabytes(size)} written. To restore: panofed db restore {escape(str(file))}", soft_wrap=True)


@db_app.command(name="restore")
def restore_command(
    file: File,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Keep the replaced database under another name.")
    ] = False,
) -> None:
    """Replace the database by what FILE holds. The present one serves until the new one is complete."""
    with _explained():
        client = _client(load_settings())
        check_dump(client, file)
        if not yes:
            typer.confirm(f"Replace the database {client.database} by {file}?", abort=True)
        with _progress(f"Restoring {client.database}") as tick:
            kept = restore(client, file, tick, keep_old=keep_old)
        console.print("Restored. Followers of the change feed are told to begin anew.")
        if kept:
            console.print(f"The database before is kept as {kept}.")


@db_app.command()
def upgrade() -> None:
    """Move the data to the newest PostgreSQL installed here, by dump and restore. The old data is kept."""
    with _explained(), _own_cluster("upgraded") as cluster:
        kept = cluster.upgrade()
        if kept is None:
            console.print("Nothing to do: there is no newer PostgreSQL with PostGIS here than the data's own version.")
            return
        console.print(
            f"Upgraded to PostgreSQL {cluster.status().version}. When all is well, delete {escape(str(kept))}"
        )


@contextmanager
def _explained() -> Iterator[None]:
    """Our own errors are shown as a sentence, with exit code 1; anything else is a bug and keeps its traceback."""
    try:
        yield
    except PanofedError as error:
        errors.print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def _own_cluster(verb: str) -> Iterator[Cluster]:
    settings = load_settings()
    if settings.database_url:
        raise PanofedError(
            f"PANOFED_DATABASE_URL is set: that server is somebody else's, and is not {verb} from here. "
            "Unset it to use the private database"
        )
    yield Cluster(cluster_config(settings), report=_report)


def _client(settings: Settings) -> Client:
    """The programs on whichever database is in use; the private one is started if needed."""
    url = database_url(settings, report=_report)
    if settings.database_url:
        return client_of(url, settings.pg_bindir)
    return Cluster(cluster_config(settings)).client(DATABASE)


def _report(line: str) -> None:
    errors.print(escape(line), highlight=False, soft_wrap=True)


def _show(found: ClusterStatus, dsn: str) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("state", {"absent": "not made yet (panofed db start makes it)"}.get(found.state, found.state))
    if found.state != "absent":
        table.add_row("version", f"PostgreSQL {found.version}")
        table.add_row("folder", escape(str(found.directory)))
    if found.state == "running":
        table.add_row("process", str(found.pid))
        table.add_row("binaries", escape(str(found.bindir or "?")))
        table.add_row("address", escape(dsn))
    console.print(table, soft_wrap=True)


@contextmanager
def _progress(what: str) -> Iterator[BytesTick]:
    """A line that lives: how many bytes, how long. The total is not known beforehand."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda size: progress.update(task, completed=size)


def _megabytes(size: int) -> str:
    """Bytes for people.

    >>> _megabytes(12_345_678)
    '12.3 MB'
    """
    return f"{size / 1e6:.1f} MB"

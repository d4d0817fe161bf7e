"""`panofed run`, `serve`, `demo` and `doctor`: the whole service, its catalog alone, the demonstration, a check-up."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.markup import escape

from federation.database import Role, check_schema, check_versions, explained, open_pool
from federation.errors import PanofedError
from federation.instances import load_instances
from federation.queries import query
from federation.settings import Settings, load_settings
from panofed.cluster import Cluster, cluster_config
from panofed.demo.run import check_port, run_demo
from panofed.demo.signals import Stopping, StopRequest, end_children
from panofed.harvest_cli import WithParent
from panofed.messages import nothing_enabled, told
from panofed.parent import end_with_parent
from panofed.ready import ready_database, working_url
from panofed.services import running

console = Console(highlight=False)

_WATCH_S = 1.0


def serve(with_parent: WithParent = False) -> None:
    """Answer the STAC API on PANOFED_HOST:PANOFED_PORT, without harvesting."""
    # these take a quarter of a second to import, which no other command should wait for
    from catalog_api.serve import serve as serve_catalog
    from panofed.logs import configure_logs

    with told():
        if with_parent:
            end_with_parent()
        settings = load_settings()
        # a replica for reading is migrated by the server it follows
        dsn = settings.database_read_url or ready_database(settings)
        if settings.database_read_url:
            # what operators change goes to the primary server
            settings = settings.model_copy(update={"database_url": working_url(settings)})
        configure_logs(settings)
        serve_catalog(settings, dsn, configure_logs)


def run() -> None:
    """The whole service: harvest what instances.yaml enables, and serve it, until Ctrl-C."""
    with told():
        settings = load_settings()
        enabled = sum(entry.enabled for entry in load_instances(settings.instances_file))
        check_port(settings)
        stop = StopRequest(force=end_children)
        with stop.listening():
            try:
                ready_database(settings, report=console.print)
                _run_until_stopped(settings, stop, enabled)
            except Stopping:
                pass
            finally:
                _stop_database(settings)
        console.print("stopped")


def _run_until_stopped(settings: Settings, stop: StopRequest, enabled: int) -> None:
    with running(settings) as services:
        services.wait_ready(stop.check)
        console.print(f"The catalog answers on {services.url}; Ctrl-C stops it.")
        if enabled:
            some = "1 instance is" if enabled == 1 else f"{enabled} instances are"
            console.print(f"{some} harvested; to look: panofed instances list, panofed runs")
        else:
            console.print(nothing_enabled(settings))
        while True:
            stop.wait(_WATCH_S)
            services.revive()


def _stop_database(settings: Settings) -> None:
    if not settings.database_url:
        console.print("stopping the database")
        Cluster(cluster_config(settings)).stop()


def demo() -> None:
    """Two real Panoramax servers with generated pictures, harvested and served, until Ctrl-C."""
    with told():
        run_demo(load_settings(), console)


def doctor() -> None:
    """Check what this installation needs, and say what to do about what is missing."""
    failed = False
    for name, check in (
        ("settings", _settings),
        ("instances", _instances),
        ("database", _database),
        ("exports", _exports),
    ):
        try:
            console.print(f"[green]ok[/]  {name}: {escape(check())}", soft_wrap=True)
        except PanofedError as error:
            failed = True
            console.print(f"[red]bad[/] {name}: {escape(str(error))}", soft_wrap=True)
    if failed:
        raise SystemExit(1)


def _settings() -> str:
    settings = load_settings()
    changed = settings.model_dump(exclude_defaults=True)
    shown = {name: "(set)" if name.endswith("_token") else value for name, value in changed.items()}
    return ", ".join(f"PANOFED_{name.upper()}={value}" for name, value in shown.items()) or "all at their defaults"


def _instances() -> str:
    settings = load_settings()
    entries = load_instances(settings.instances_file)
    return f"{sum(entry.enabled for entry in entries)} of {len(entries)} enabled in {settings.instances_file}"


def _database() -> str:
    settings = load_settings()
    if not settings.database_url and Cluster(cluster_config(settings)).status().state != "running":
        raise PanofedError("it does not run; to start it: panofed db start, or panofed run")
    return asyncio.run(_examine(settings))


def _exports() -> str:
    """Archives of the map are not served by us: whoever wrote one is told that something in it was withdrawn."""
    from panofed.exports.recall import Recall, archives

    settings = load_settings()
    known = archives(settings)
    if not known:
        return "no archive of the map was written here"
    recall = Recall(settings, settings.database_read_url or working_url(settings))
    recall.is_new()
    stale = sorted(path for path, knows in known.items() if knows < recall.last)
    if stale:
        raise PanofedError(f"{stale[0]} holds what was withdrawn since: write it again, or delete it")
    which = "1 archive" if len(known) == 1 else f"{len(known)} archives"
    return f"{which} of the map, nothing withdrawn since"


async def _examine(settings: Settings) -> str:
    async with open_pool(working_url(settings), Role.READER, settings, size=1) as pool, explained("examining"):
        async with pool.acquire() as connection:
            versions = await check_versions(connection)
            await check_schema(connection)
            (row,) = await connection.fetch(query("census"))
    return (
        f"PostgreSQL {versions[0]}, PostGIS {versions[1]}; {row['pictures']:,} pictures in {row['leaves']} leaves, "
        f"{row['unfolded']:,} counts to fold, {row['retries']:,} sequences to retry"
    )

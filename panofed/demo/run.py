"""`panofed demo`: two real instances and the catalog that follows them, until Ctrl-C."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from federation.database import Role, open_pool
from federation.errors import ClusterError, ConfigurationError, DemoError
from federation.events import COMMAND_LINE
from federation.links import make_link
from federation.queries import query
from federation.settings import Settings
from panofed.admin_cli import base_of
from panofed.cluster import Cluster, cluster_config
from panofed.demo.display import StartDisplay, show_ready
from panofed.demo.environment import Report
from panofed.demo.geovisio import Instance
from panofed.demo.origins import DEMO_PLANS, OriginPlaces, Origins, default_environment
from panofed.demo.signals import Stopping, StopRequest
from panofed.ready import ready_database, working_url
from panofed.services import running

CADENCE_S = 3.0
WATCH_S = 2.0
FIRST_HARVEST_S = 120.0


def run_demo(settings: Settings, console: Console) -> None:
    """Start everything, say where it is, follow changes until Ctrl-C or SIGTERM, then stop everything.

    Raises ConfigurationError (the port is taken), DemoError or ClusterError.
    """
    started = time.monotonic()
    directory = settings.data_dir.absolute() / "demo"
    with _only_one(directory):
        check_port(settings)
        origins = _origins(settings, directory)
        stop = StopRequest(force=lambda: _force(origins, settings))
        with stop.listening(), suppress(Stopping):
            _live(settings, console, origins, stop, started)
            return
        console.print("stopped")


@contextmanager
def start_catalog(settings: Settings, report: Report) -> Iterator[str]:
    """The catalog, harvesting what `settings.instances_file` names and answering on `settings.port`.

    Entering it returns the address of its landing page once the first harvest is served; leaving it stops it, and the
    database it started. `report` shows its steps; nothing else may draw on the terminal meanwhile.
    """
    report("starting its database", 0, 3)
    cluster = Cluster(cluster_config(settings))
    try:
        ready_database(settings)
        report("starting", 1, 3)
        with running(settings, logs=settings.data_dir.absolute() / "logs") as services:
            services.wait_ready(lambda: report("starting", 1, 3))
            asyncio.run(first_harvest(settings, lambda: report("harvesting", 2, 3)))
            report("serving", 3, 3)
            yield services.url
    finally:
        if not settings.database_url:
            cluster.stop()


async def first_harvest(settings: Settings, check: Callable[[], None]) -> None:
    """Wait until every enabled instance was visited once; a failing one is left to the service after a while."""
    deadline = time.monotonic() + FIRST_HARVEST_S
    async with open_pool(working_url(settings), Role.READER, settings, size=1) as pool:
        while await pool.fetchval(query("instances_not_visited")) and time.monotonic() < deadline:
            check()
            await asyncio.sleep(0.2)


def _live(settings: Settings, console: Console, origins: Origins, stop: StopRequest, started: float) -> None:
    with ExitStack() as running:
        running.callback(_stop, origins, console)
        with StartDisplay(console) as show:

            def report(whose: str, text: str, done: int, total: int) -> None:
                stop.check()
                show(whose, text, done, total)

            instances = origins.start(report)
            wanted = with_desk(demo_settings(settings, instances))
            write_instances(wanted.instances_file, instances)
            catalog = running.enter_context(start_catalog(wanted, lambda *step: report("catalog", *step)))
        running.enter_context(_announced(settings.data_dir, catalog, instances))
        link = asyncio.run(_administrators_link(wanted))
        show_ready(console, catalog, link, instances, time.monotonic() - started)
        _watch(console, instances, stop)


def _stop(origins: Origins, console: Console) -> None:
    console.print("stopping the instances", highlight=False)
    origins.stop()


def demo_settings(settings: Settings, instances: Sequence[Instance]) -> Settings:
    """The catalog's settings: it may talk to these instances, which are on this machine and speak plain http."""
    ports = (urlsplit(instance.url).port or 80 for instance in instances)
    return settings.model_copy(
        update={
            # a catalog of its own: the real one must neither lose its instances nor keep these pictures
            "data_dir": settings.data_dir.absolute() / "demo/catalog",
            "instances_file": settings.data_dir.absolute() / "demo/instances.yaml",
            "outbound_allow_loopback": True,
            "outbound_allow_http": True,
            "outbound_ports": (*settings.outbound_ports, *ports),
            "cadence_s": min(settings.cadence_s, CADENCE_S),
        }
    )


def with_desk(settings: Settings) -> Settings:
    """The same with registration and sign-in open, so that all of the catalog can be tried on this machine."""
    wanted = settings.registration if settings.registration != "off" else "moderated"
    return settings.model_copy(update={"registration": wanted, "session_on_loopback_http": True})


async def _administrators_link(settings: Settings) -> str:
    """An address that lets an administrator in, once."""
    lasts = timedelta(hours=settings.link_hours)
    async with open_pool(working_url(settings), Role.WRITER, settings, size=1) as pool, pool.acquire() as connection:
        async with connection.transaction():
            made = await make_link(connection, None, COMMAND_LINE, lasts=lasts, label="demonstration")
    return made.address(base_of(settings))


def write_instances(path: Path, instances: Sequence[Instance]) -> None:
    """The registry of the demonstration: both instances, enabled; replaced whole."""
    entries = [
        {"id": instance.config.name, "name": instance.config.name, "url": instance.url, "enabled": True}
        for instance in instances
    ]
    _replace(path, yaml.safe_dump({"instances": entries}, sort_keys=False))


def check_port(settings: Settings) -> None:
    """Raises ConfigurationError if the catalog's port is taken; better now than after a minute's work."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"PANOFED_PORT={settings.port}: the catalog cannot listen on {settings.host} there ({error.strerror}). "
                "Set PANOFED_PORT to a free port"
            ) from error


@contextmanager
def _announced(data_dir: Path, catalog: str, instances: Sequence[Instance]) -> Iterator[None]:
    """demo.json tells scripts what runs, exactly as long as it does."""
    path = data_dir.absolute() / "demo.json"
    named = [{"name": instance.config.name, "url": instance.url} for instance in instances]
    _replace(path, json.dumps({"catalog": catalog, "instances": named, "pid": os.getpid()}, indent=1) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """One demonstration in a data folder; what a killed one announced is taken back."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"A demonstration already runs from {directory.parent}: {directory.parent / 'demo.json'} says where. "
                "Stop it, or set PANOFED_DATA_DIR and PANOFED_PORT for a second one"
            ) from error
        (directory.parent / "demo.json").unlink(missing_ok=True)
        yield


def _watch(console: Console, instances: Sequence[Instance], stop: StopRequest) -> None:
    """Wait for the end; say so once when an instance ends on its own, since the catalog goes on without it."""
    gone: set[str] = set()
    while True:
        stop.wait(WATCH_S)
        for instance in instances:
            name = instance.config.name
            if instance.is_running():
                gone.discard(name)
            elif name not in gone:
                gone.add(name)
                console.print(f"{name} ended; its log is {instance.log}", style="yellow", highlight=False)


def _origins(settings: Settings, directory: Path) -> Origins:
    places = OriginPlaces(
        directory=directory, environment=default_environment(directory), bindir=settings.pg_bindir,
        dist_directory=cluster_config(demo_settings(settings, ())).dist,
    )  # fmt: skip
    return Origins(DEMO_PLANS, places)


def _force(origins: Origins, settings: Settings) -> None:
    """The second Ctrl-C: no grace for anybody. The catalog's database survives a crash; the instances' may not."""
    (settings.data_dir.absolute() / "demo.json").unlink(missing_ok=True)
    origins.kill()
    for cluster in (origins.cluster, Cluster(cluster_config(demo_settings(settings, ())))):
        with suppress(ClusterError, OSError):
            cluster.stop("immediate")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)

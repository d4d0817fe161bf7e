"""Moves a cluster's data to another major version of PostgreSQL: dump with the old binaries, restore with the new."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from federation.errors import ClusterError
from panofed.cluster import control
from panofed.cluster.archive import RESTORE_JOBS, dump
from panofed.cluster.binaries import Binaries
from panofed.cluster.client import Client
from panofed.cluster.command import run
from panofed.cluster.config import ClusterConfig
from panofed.cluster.control import read_postmaster
from panofed.cluster.place import Place

STOP_TIMEOUT_S = 60.0

Report = Callable[[str], None]


def upgrade(config: ClusterConfig, place: Place, old: Binaries, new: Binaries, report: Report) -> Path:
    """Move `place` from `old` to `new`; returns the folder that keeps the old data. The server is stopped afterwards.

    The old data directory is never written to but by its own server; whatever fails, it is still the cluster's data.
    The dumps are made with the new version's pg_dump, as PostgreSQL recommends. The caller holds the cluster's lock.
    """
    work = place.home / "upgrade"
    fresh = replace(place, data_name="data.upgrading")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(fresh.data, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        databases = _dump_all(config, place, old, new, work, report)
        _restore_all(config, fresh, new, databases, work, report)
    except BaseException:
        with suppress(ClusterError):
            control.stop(fresh, "immediate", STOP_TIMEOUT_S)
        control.stop(place, "fast", STOP_TIMEOUT_S)
        shutil.rmtree(fresh.data, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kept = _free_name(place.home / f"data.postgresql-{old.major}")
    place.data.rename(kept)
    fresh.data.rename(place.data)
    return kept


def client_on(place: Place, binaries: Binaries, database: str) -> Client:
    """A client of the server that runs in `place`, with the programs of `binaries`."""
    running = read_postmaster(place.data)
    if running is None:
        raise ClusterError(f"The database server in {place.home} is not running")
    url = f"postgresql://postgres@/{database}?host={running.socket_dir}&port={running.port}"
    return Client(url=url, bindir=binaries.bindir, env=binaries.env)


def _dump_all(
    config: ClusterConfig, place: Place, old: Binaries, new: Binaries, work: Path, report: Report
) -> list[str]:
    if read_postmaster(place.data) is None:
        control.start(config, place, old)
    client = client_on(place, new, "postgres")
    databases = client.script("list_databases").splitlines()
    globals_file = work / "globals.sql"
    command = client.command("pg_dumpall", "--globals-only", f"--file={globals_file}")
    client.long_command(command, lambda: None)
    for number, database in enumerate(databases):
        report(f"Dumping {database} from PostgreSQL {old.version}")
        dump(client.on(database), work / f"{number}.dump")
    control.stop(place, "fast", STOP_TIMEOUT_S)
    return databases


def _restore_all(
    config: ClusterConfig, fresh: Place, new: Binaries, databases: list[str], work: Path, report: Report
) -> None:
    control.make_data(config, fresh, new)
    control.start(config, fresh, new)
    admin = client_on(fresh, new, "postgres")
    # no ON_ERROR_STOP: `CREATE ROLE postgres` fails, being there, and everything else must be applied all the same
    everything = (work / "globals.sql").read_text(encoding="utf-8")
    run(admin.command("psql", "-Xq"), env=admin.environment(), stdin=everything)
    for number, database in enumerate(databases):
        report(f"Restoring {database} into PostgreSQL {new.version}")
        # --create: the database's own settings and grants come along
        restore = admin.command("pg_restore", "--create", "--exit-on-error", f"--jobs={RESTORE_JOBS}")
        admin.long_command([*restore, str(work / f"{number}.dump")], lambda: None)
        admin.on(database).script("after_restore")
    control.stop(fresh, "fast", STOP_TIMEOUT_S)


def _free_name(wanted: Path) -> Path:
    number, free = 1, wanted
    while free.exists():
        number, free = number + 1, wanted.with_name(f"{wanted.name}-{number + 1}")
    return free

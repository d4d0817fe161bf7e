"""The private cluster: made when first needed, started when not running, restarted when its binaries changed."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from federation.errors import BinariesMissing, ClusterError, DatabaseTooOld
from panofed.cluster import control, packages
from panofed.cluster.binaries import USUAL_PLACES, Binaries, find_binaries
from panofed.cluster.client import Client
from panofed.cluster.config import ClusterConfig, ClusterStatus
from panofed.cluster.control import Postmaster, read_postmaster
from panofed.cluster.place import Place, find_place, make_place, socket_dir, write_file
from panofed.cluster.upgrade import upgrade

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 900.0  # the holder may be installing packages
STOP_TIMEOUT_S = 60.0
STARTED_NOTE = "started.json"


class Cluster:
    """One private cluster in `config.directory`. Cheap to make: nothing is read or started before a method is called.

    >>> cluster = Cluster(ClusterConfig(directory=Path("/nowhere/pg")))
    >>> cluster.status().state
    'absent'
    """

    def __init__(self, config: ClusterConfig, *, report: Callable[[str], None] | None = None) -> None:
        self.config = config
        self._report = report if report is not None else logger.info

    def ensure_running(self) -> None:
        """Make, start or restart the server as needed; quick (about 30 ms) when it runs already.

        Two processes may call this at once. Raises ClusterError, BinariesMissing or DatabaseTooOld.
        """
        if not self._is_fine(find_place(self.config.directory)):
            with self._locked() as place:
                self._bring_up(place)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs; `mode` is "smart", "fast" or "immediate"."""
        if self.status().state != "running":
            return
        with self._locked() as place:
            control.stop(place, mode, STOP_TIMEOUT_S)

    def status(self) -> ClusterStatus:
        """What is there now; starts nothing, and needs no binaries."""
        place = find_place(self.config.directory)
        running = read_postmaster(place.data)
        note = _started_note(place)
        made = _data_version(place)
        return ClusterStatus(
            state="absent" if made is None else "stopped" if running is None else "running",
            pid=running.pid if running is not None else 0,
            version=str(note.get("version") or made or ""),
            socket_dir=running.socket_dir if running is not None else socket_dir(place),
            port=running.port if running is not None else self.config.port or 5432,
            directory=place.home,
            bindir=Path(str(note["bindir"])) if "bindir" in note else None,
        )

    def dsn(self, database: str = "panofed", user: str = "postgres") -> str:
        """A URL over the unix socket, understood by asyncpg, psycopg and psql."""
        status = self.status()
        place = urlencode({"host": str(status.socket_dir), "port": status.port}, safe="/", quote_via=quote)
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{place}"

    def ensure_database(self, name: str) -> None:
        """Make the database `name` with PostGIS in it, unless it is there; the server must be running."""
        with self._locked() as place:
            self.client("postgres", place).script("ensure_database", name=name)

    def client(self, database: str, place: Place | None = None) -> Client:
        """PostgreSQL's client programs on one database; the server must be running."""
        place = place or find_place(self.config.directory)
        if read_postmaster(place.data) is None:
            raise ClusterError(f"The database server in {place.home} is not running: panofed db start")
        binaries = self.binaries(place)
        return Client(url=self.dsn(database), bindir=binaries.bindir, env=binaries.env)

    def upgrade(self, binaries: Binaries | None = None) -> Path | None:
        """Move the data to a newer major version of PostgreSQL and start it; None when there is nothing newer.

        Takes the newest installed one unless `binaries` says which; the old version must still be installed. Returns
        the folder that keeps the old data, which may be deleted when all is well.
        """
        with self._locked() as place:
            made = _data_version(place)
            if made is None:
                return None
            new = binaries if binaries is not None else self._find(None)
            if binaries is None and new.major <= made:
                return None
            kept = upgrade(self.config, place, self._old_binaries(made, place), new, self._report)
            control.start(self.config, place, new)
            self._note_start(place, new)
            return kept

    def psql_command(self, database: str) -> list[str]:
        """The command line of an interactive psql on `database`."""
        return [*self.program("psql"), self.dsn(database)]

    def program(self, name: str) -> list[str]:
        """The command line prefix of one of PostgreSQL's programs, with the environment it needs."""
        binaries = self.binaries()
        env = [f"{variable}={value}" for variable, value in binaries.env.items()]
        return [*(["env", *env] if env else []), binaries.program(name)]

    def binaries(self, place: Place | None = None) -> Binaries:
        """The binaries that fit the data directory, without installing anything."""
        place = place or find_place(self.config.directory)
        made = _data_version(place)
        if self.config.bindir:
            return self._fitting(find_binaries(self.config.bindir), made, place)
        try:
            return self._find(made)
        except (BinariesMissing, DatabaseTooOld):
            if made is None:
                raise
            return self._fitting(self._find(None), made, place)

    def remove(self) -> None:
        """Stop the server and delete everything it stored, the moved folder included."""
        if not self.config.directory.exists():
            return
        self.stop("immediate")
        place = find_place(self.config.directory)
        for folder in {socket_dir(place), place.home, place.directory}:
            shutil.rmtree(folder, ignore_errors=True)

    def _is_fine(self, place: Place) -> bool:
        """Whether the server runs, answers, and runs the binaries that are on the disk now."""
        running = read_postmaster(place.data)
        if running is None or not control.answers(running):
            return False
        try:
            return not self._is_outdated(place, running)
        except (BinariesMissing, DatabaseTooOld):
            return False  # removed under the running server: new sessions would miss their libraries

    def _is_outdated(self, place: Place, running: Postmaster) -> bool:
        """After a minor upgrade of the binaries new sessions of the old server fail until it is restarted."""
        binaries = self.binaries(place)
        note = _started_note(place)
        if note.get("pid") != running.pid:  # started by hand: ask the server itself
            return self._asked_version(place) != binaries.version
        return note.get("version") != binaries.version

    def _asked_version(self, place: Place) -> str:
        try:
            return self.client("postgres", place).script("server_version").split(" ")[0]
        except ClusterError as error:
            logger.warning("the server in %s does not answer: %s", place.home, error)
            return ""

    def _find(self, major: int | None) -> Binaries:
        """The machine's binaries (any version, or `major`), then the privately unpacked ones."""
        unpacked = packages.unpacked(self.config.dist)
        also = [unpacked] if unpacked is not None else []
        system = self.config.system_binaries
        return find_binaries(major=major, also=also, places=USUAL_PLACES if system else (), use_path=system)

    def _old_binaries(self, made: int, place: Place) -> Binaries:
        try:
            return self._find(made)
        except (BinariesMissing, DatabaseTooOld) as error:
            raise ClusterError(
                f"The data in {place.home} was made by PostgreSQL {made}, whose programs are needed once more to read "
                f"it: install PostgreSQL {made} with PostGIS beside the new one. {error}"
            ) from error

    def _bring_up(self, place: Place) -> None:
        binaries = self._binaries_or_install(place)
        if self._is_fine(place):  # another process was quicker
            return
        if read_postmaster(place.data) is not None:
            self._report("Restarting the database: its programs were upgraded, or it does not answer")
            control.stop(place, "fast", STOP_TIMEOUT_S)
        if _data_version(place) is None:
            moved = "" if place.home == place.directory else f" (user {place.user.name} cannot reach {place.directory})"
            self._report(f"Making the database cluster in {place.home}{moved}")
            control.make_data(self.config, place, binaries)
        control.start(self.config, place, binaries)
        self._note_start(place, binaries)

    def _binaries_or_install(self, place: Place) -> Binaries:
        """The binaries, fetched first when there are none: installed with root's rights, else unpacked privately."""
        try:
            return self.binaries(place)
        except (BinariesMissing, DatabaseTooOld):
            if self.config.bindir or not packages.apt_is_here():
                raise
        prefix = packages.root_prefix() if self.config.system_binaries else None
        if prefix is not None:
            packages.install(prefix, self._report)
        else:
            packages.unpack(self.config.dist, self._report)
        return self.binaries(place)

    @staticmethod
    def _fitting(binaries: Binaries, made: int | None, place: Place) -> Binaries:
        if made is None or binaries.major == made:
            return binaries
        raise ClusterError(
            f"The cluster in {place.home} was made by PostgreSQL {made}, and what is installed is PostgreSQL "
            f"{binaries.version} ({binaries.bindir}). Run `panofed db upgrade`, "
            f"or install PostgreSQL {made} with PostGIS"
        )

    def _note_start(self, place: Place, binaries: Binaries) -> None:
        running = read_postmaster(place.data)
        if running is None:
            raise ClusterError(f"The database server in {place.home} ended at once:\n{control.log_tail(place)}")
        note = {"pid": running.pid, "version": binaries.version, "bindir": str(binaries.bindir), "started": time.time()}
        write_file(place.home / STARTED_NOTE, json.dumps(note), place.user)

    @contextmanager
    def _locked(self) -> Iterator[Place]:
        """One process at a time makes, starts or stops this cluster; the lock ends with the process that holds it."""
        place = make_place(self.config.directory)
        path = place.directory / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if place.user.steps_down:
                os.fchown(descriptor, place.user.uid, place.user.gid)
            _wait_for_lock(descriptor, path)
            yield find_place(self.config.directory)
        finally:
            os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"Another process has held {path} for {LOCK_TIMEOUT_S:g} s") from error
            time.sleep(0.05)


def _data_version(place: Place) -> int | None:
    """The major version the data directory was made by; None when there is none."""
    try:
        return int((place.data / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


def _started_note(place: Place) -> dict[str, object]:
    try:
        note = json.loads((place.home / STARTED_NOTE).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}

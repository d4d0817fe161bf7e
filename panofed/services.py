"""The two long-running parts, catalog and harvester, as child processes: started together, restarted when one dies."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from federation.errors import PanofedError
from federation.settings import Settings
from panofed.cluster import Cluster, cluster_config

logger = logging.getLogger(__name__)

READY_S = 60.0
STOP_S = 20.0
#: A part that dies sooner than this after its start is not started again at once.
_QUICK_DEATH_S = 5.0


class ServiceFailed(PanofedError):
    """A part of this program did not start."""


def settings_environment(settings: Settings) -> dict[str, str]:
    """The environment in which `load_settings()` gives these settings.

    >>> settings_environment(Settings(port=9000))["PANOFED_PORT"]
    '9000'
    """
    values = settings.model_dump(mode="json", exclude_defaults=True)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANOFED_")}
    return kept | {f"PANOFED_{name.upper()}": value for name, value in texts.items()}


@dataclass(slots=True)
class Part:
    """One child process; `log` is a file, or None for this process's own stderr."""

    name: str
    environment: Mapping[str, str]
    log: Path | None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C in a terminal reaches only the parent.

        Its standard input is a pipe that ends with this process, even one that is killed.
        """
        self.started = time.monotonic()
        with ExitStack() as open_files:
            log = None if self.log is None else open_files.enter_context(self.log.open("ab"))
            self.process = subprocess.Popen(
                [sys.executable, "-m", "panofed", self.name, "--with-parent"], env=self.environment,
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def ended(self) -> bool:
        """Whether it is not running."""
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        if self.process is None or self.ended():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


@dataclass(slots=True)
class DatabaseKeeper:
    """Starts the private database again when its server died, in a child process: waiting for it must not block."""

    settings: Settings
    environment: Mapping[str, str]
    starter: subprocess.Popen[bytes] | None = None
    tried: float = 0.0

    def look(self) -> bool:
        """Whether it was found dead just now. Somebody else's server is theirs to start."""
        if self.settings.database_url or (self.starter is not None and self.starter.poll() is None):
            return False
        too_soon = time.monotonic() - self.tried < _QUICK_DEATH_S
        if too_soon or Cluster(cluster_config(self.settings)).status().state != "stopped":
            return False
        logger.error("the database's server ended: starting it again")
        self.tried = time.monotonic()
        self.starter = subprocess.Popen(
            [sys.executable, "-m", "panofed", "db", "start"], env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return True

    def stop(self) -> None:
        """A start under way is let end: the server it leaves can be stopped then."""
        if self.starter is not None:
            with suppress(subprocess.TimeoutExpired):
                self.starter.wait(STOP_S)


@dataclass(slots=True)
class Services:
    """All parts together."""

    settings: Settings
    parts: list[Part] = field(default_factory=list)
    database: DatabaseKeeper | None = None

    @property
    def url(self) -> str:
        """Address of the landing page."""
        host = "127.0.0.1" if self.settings.host in ("0.0.0.0", "::") else self.settings.host
        return (
            self.settings.public_url + "/api" if self.settings.public_url else f"http://{host}:{self.settings.port}/api"
        )

    def wait_ready(self, check: Callable[[], None]) -> None:
        """Until the catalog answers; `check` may raise to give up. Raises ServiceFailed with where the log is."""
        host = "127.0.0.1" if self.settings.host in ("0.0.0.0", "::") else self.settings.host
        address = f"http://{host}:{self.settings.port}/api/live"
        deadline = time.monotonic() + READY_S
        while not _answers(address):
            check()
            if self.database is not None:
                self.database.look()
            for part in self.parts:
                if part.ended():
                    raise ServiceFailed(f"{part.name} ended while it was starting; its log: {part.log or 'above'}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"the catalog does not answer on {address} after {READY_S:.0f} s")
            time.sleep(0.05)

    def revive(self) -> list[str]:
        """Start again what ended; returns the names of what was. One that dies at once is given a pause."""
        revived = ["database"] if self.database is not None and self.database.look() else []
        for part in self.parts:
            if part.ended() and time.monotonic() - part.started > _QUICK_DEATH_S:
                logger.error("%s ended with %s: starting it again", part.name, part.process and part.process.returncode)
                part.start()
                revived.append(part.name)
        return revived


def _answers(address: str) -> bool:
    # this asks our own catalog on this machine; the guard of federation.outbound is about other people's servers
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def running(settings: Settings, *, logs: Path | None = None) -> Iterator[Services]:
    """Both parts, from entering to leaving. `logs` is a folder for their output, else it goes to stderr."""
    environment = settings_environment(settings)
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
    services = Services(settings)
    try:
        for name in ("serve", "harvest", *(("export",) if settings.export_every_s else ())):
            part = Part(name, environment, None if logs is None else logs / f"{name}.log")
            part.start()
            services.parts.append(part)
        services.database = DatabaseKeeper(settings, environment)
        yield services
    finally:
        for part in services.parts:
            part.stop()
        if services.database is not None:
            services.database.stop()

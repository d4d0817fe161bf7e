"""The server: a supervisor that holds the port, and workers that answer on it. Killed workers come back."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

from catalog_api.slots import Slot, own_address
from federation.errors import ConfigurationError
from federation.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 1_024
#: Workers get this much longer than their requests to end.
_END_S = 1.0
#: Files a worker opens besides its clients' connections: to the database, logs, libraries.
_FILES_OF_ITS_OWN = 256
#: A worker that ends sooner than this after its start is not started again at once.
_TOO_SOON_S = 1.0
_LOOK_EVERY_S = 0.2


#: Sets up a worker's process, before anything else happens in it: it inherits none of its parent's logging.
Prepare = Callable[[Settings], None]


def serve(settings: Settings, dsn: str, prepare: Prepare | None = None) -> None:
    """Answer on `settings.host` and `settings.port` with `settings.workers` processes until SIGTERM or SIGINT.

    Raises ConfigurationError when the port cannot be had. `dsn` is where the index is read; `prepare` (a function of a
    module) is called in every worker.
    """
    listener = bind(settings)
    # port 0 asks for any: from here on it is the one that was given
    given = settings.model_copy(update={"port": listener.getsockname()[1]})
    with tempfile.TemporaryDirectory(prefix="panofed-") as folder:
        Supervisor(given, dsn, listener, Path(folder), prepare).run()


def bind(settings: Settings) -> socket.socket:
    """The listening socket, so that a taken port is an error here and not in every worker."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"PANOFED_PORT={settings.port}: {settings.host} port {settings.port}: {error}"
        ) from error
    listener.listen(_BACKLOG)
    return listener


@dataclass(slots=True)
class Supervisor:
    """Starts the workers, starts dead ones again, and stops them all. It answers no request itself."""

    settings: Settings
    dsn: str
    listener: socket.socket
    folder: Path
    prepare: Prepare | None = None
    _workers: list[tuple[SpawnProcess, float]] = field(default_factory=list)
    _stopping: bool = False

    def run(self) -> None:
        """Until a signal says stop; signals of the caller are put back afterwards."""
        before = {each: signal.signal(each, self._stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [(self._start(slot), time.monotonic()) for slot in range(self.settings.workers)]
            logger.info("serving on %s", own_address(self.settings), extra={"action": "serve"})
            while not self._stopping:
                time.sleep(_LOOK_EVERY_S)
                self._look()
            self._give_notice()
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, slot: int) -> SpawnProcess:
        where = Slot(number=slot, folder=self.folder)
        worker = multiprocessing.get_context("spawn").Process(
            target=work, args=(self.settings, self.dsn, self.listener, where, self.prepare), name="panofed catalog"
        )
        worker.start()
        return worker

    def _look(self) -> None:
        self._workers = [self._kept(slot, worker, since) for slot, (worker, since) in enumerate(self._workers)]

    def _give_notice(self) -> None:
        """Answer on for a while, and say at /api/ready that it will not last. A second signal ends the while."""
        if self.settings.shutdown_notice_s == 0:
            return
        logger.info("stopping in %g s", self.settings.shutdown_notice_s, extra={"action": "serve"})
        Slot(folder=self.folder).stop_soon()
        until = time.monotonic() + self.settings.shutdown_notice_s
        self._stopping = False
        while not self._stopping and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
            self._look()

    def _kept(self, slot: int, worker: SpawnProcess, since: float) -> tuple[SpawnProcess, float]:
        if worker.is_alive() or self._stopping or time.monotonic() - since < _TOO_SOON_S:
            return worker, since
        logger.warning(
            "worker %s ended with %s: starting another", worker.pid, worker.exitcode, extra={"action": "serve"}
        )
        return self._start(slot), time.monotonic()

    def _end(self) -> None:
        for worker, _ in self._workers:
            worker.terminate()
        # from here on clients are refused, rather than kept waiting for nobody
        self.listener.close()
        deadline = time.monotonic() + self.settings.shutdown_s + _END_S
        for worker, _ in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()


def work(settings: Settings, dsn: str, listener: socket.socket, slot: Slot, prepare: Prepare | None) -> None:
    """One worker: answers until it is told to stop, or until its supervisor is gone."""
    # most of a second, which the supervisor, who answers nothing, must not spend before its workers do
    import uvicorn

    from catalog_api.app import build_app
    from catalog_api.memory import keep_memory, keep_what_is_here

    keep_memory()
    if prepare is not None:
        prepare(settings)
    # one line for each client that speaks no HTTP would be theirs to write
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _allow_files(settings.connections_max + _FILES_OF_ITS_OWN)
    config = uvicorn.Config(build_app(settings, dsn, slot), loop="uvloop", **server_options(settings))
    keep_what_is_here()
    # Ctrl-C reaches the whole group: the supervisor alone decides what happens then
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvicorn.Server(config).run(sockets=[listener])


def server_options(settings: Settings) -> dict[str, Any]:
    """How a worker speaks HTTP."""
    from catalog_api.edge.wire import guarded

    return {
        "http": guarded(settings),
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # whom to believe is ours to decide: uvicorn believes whoever comes from this machine
        "proxy_headers": False,
        "timeout_keep_alive": settings.keep_alive_s,
        "timeout_graceful_shutdown": math.ceil(settings.shutdown_s),
    }


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

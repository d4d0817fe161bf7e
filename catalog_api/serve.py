"""The server: a supervisor that holds the port, and workers that answer on it. Killed workers come back."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from types import FrameType

import uvicorn

from catalog_api.app import build_app
from catalog_api.state import own_address
from federation.errors import ConfigurationError
from federation.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 1_024
#: Requests in flight get this long to end when the server is told to stop.
_DRAIN_S = 10
#: A worker that ends sooner than this after its start is not started again at once.
_TOO_SOON_S = 1.0
_LOOK_EVERY_S = 0.2


def serve(settings: Settings, dsn: str) -> None:
    """Answer on `settings.host` and `settings.port` with `settings.workers` processes until SIGTERM or SIGINT.

    Raises ConfigurationError when the port cannot be had. `dsn` is where the index is read.
    """
    listener = bind(settings)
    # port 0 asks for any: from here on it is the one that was given
    given = settings.model_copy(update={"port": listener.getsockname()[1]})
    Supervisor(given, dsn, listener).run()


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
    _workers: list[tuple[SpawnProcess, float]] = field(default_factory=list)
    _stopping: bool = False

    def run(self) -> None:
        """Until a signal says stop; signals of the caller are put back afterwards."""
        before = {each: signal.signal(each, self._stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [(self._start(), time.monotonic()) for _ in range(self.settings.workers)]
            logger.info("serving on %s", own_address(self.settings), extra={"action": "serve"})
            while not self._stopping:
                time.sleep(_LOOK_EVERY_S)
                self._workers = [self._kept(worker, since) for worker, since in self._workers]
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> SpawnProcess:
        worker = multiprocessing.get_context("spawn").Process(
            target=work, args=(self.settings, self.dsn, self.listener), name="panofed catalog"
        )
        worker.start()
        return worker

    def _kept(self, worker: SpawnProcess, since: float) -> tuple[SpawnProcess, float]:
        if worker.is_alive() or self._stopping or time.monotonic() - since < _TOO_SOON_S:
            return worker, since
        logger.warning(
            "worker %s ended with %s: starting another", worker.pid, worker.exitcode, extra={"action": "serve"}
        )
        return self._start(), time.monotonic()

    def _end(self) -> None:
        for worker, _ in self._workers:
            worker.terminate()
        deadline = time.monotonic() + _DRAIN_S + 1
        for worker, _ in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
        self.listener.close()


def work(settings: Settings, dsn: str, listener: socket.socket) -> None:
    """One worker: answers until it is told to stop, or until its supervisor is gone."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    config = uvicorn.Config(
        build_app(settings, dsn),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    # Ctrl-C reaches the whole group: the supervisor alone decides what happens then
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvicorn.Server(config).run(sockets=[listener])


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

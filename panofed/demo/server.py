"""One gunicorn server process that outlives or is found again by its pid file; stopped with all its workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from federation.errors import DemoError

STOP_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFiles:
    """Where a server leaves its traces; `directory` is also its working directory."""

    directory: Path

    @property
    def pid(self) -> Path:
        """Its pid file, which is also what its command line is recognised by."""
        return self.directory / "gunicorn.pid"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "gunicorn.log"


def gunicorn_command(python: Path, files: ServerFiles, port: int, application: str) -> list[str]:
    """One worker process with threads: the instance's picture workers live in it too."""
    return [
        str(python), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4",
        "--timeout", "120", "--graceful-timeout", "3", "--pid", str(files.pid),
        # its default is one socket in the home folder, shared by every gunicorn of the user
        "--no-control-socket", application,
    ]  # fmt: skip


def launch(command: Sequence[str], files: ServerFiles, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, so that Ctrl-C in the terminal reaches only ourselves."""
    files.directory.mkdir(parents=True, exist_ok=True)
    with files.log.open("ab") as log:
        return subprocess.Popen(
            command, cwd=files.directory, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def find_server(files: ServerFiles) -> psutil.Process | None:
    """The server the pid file tells of; None if it is gone or the number belongs to another program by now."""
    try:
        process = psutil.Process(int(files.pid.read_text().split()[0]))
        ours = str(files.pid) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if ours else None


def stop_server(process: psutil.Process, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ask it to end, and end its whole group if it has not within `timeout_s`."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(timeout_s)
        return
    kill_server(process)
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(timeout_s)


def kill_server(process: psutil.Process) -> None:
    """End it with all its workers, without asking."""
    # the group has the pid of its leader: it was started in a session of its own
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port(wanted: int = 0) -> int:
    """A port of 127.0.0.1 nobody listens on: `wanted` if it is free, else another."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # as a server binds: a port of connections that ended a moment ago counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DemoError("127.0.0.1 has no free port")


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log file, "" if there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""

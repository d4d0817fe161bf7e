"""Starts, stops and looks at one PostgreSQL server: initdb, pg_ctl, postmaster.pid, server.log."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from federation.errors import ClusterError
from panofed.cluster.binaries import Binaries
from panofed.cluster.command import Outcome, run
from panofed.cluster.config import ClusterConfig, render_settings, server_settings
from panofed.cluster.place import Place, make_socket_dir, socket_dir, write_file

logger = logging.getLogger(__name__)

#: after a kill -9 the dead server's last children hold its lock and shared memory: 1.7 s seen, 10 s promised
LOCK_RETRY_S = 15.0
LOCK_MESSAGES = (
    "Is another postmaster (PID",  # postmaster.pid or the socket's lock file still names the dying server
    "pre-existing shared memory block",
    "could not bind Unix address",
)
ANSWER_TIMEOUT_S = 5.0
#: the shortest question a server answers (one byte, before any login): length 8, code 80877103
SSL_REQUEST = struct.pack("!II", 8, 80_877_103)
LOG_TAIL_LINES = 12
LOG_KEPT_BYTES = 1_000_000
SETTINGS_FILE = "panofed.conf"
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
LOCALES = ("C.UTF-8", "C")


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A running server, as its postmaster.pid describes it."""

    pid: int
    port: int
    socket_dir: Path

    @property
    def socket(self) -> Path:
        """The socket clients connect to."""
        return self.socket_dir / f".s.PGSQL.{self.port}"


def read_postmaster(data: Path) -> Postmaster | None:
    """The server running on `data`; None when there is none, or only the file of a dead one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        found = Postmaster(pid=int(lines[0]), port=int(lines[3]), socket_dir=Path(lines[4]))
    except (OSError, ValueError, IndexError):  # absent, or being written at this moment
        return None
    return found if is_server_of(found.pid, data) else None


def answers(running: Postmaster) -> bool:
    """Whether somebody listens on the socket: a server killed a moment ago still looks alive in the process table.

    Silence counts as an answer: a server that is busy or frozen is not ours to restart.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_TIMEOUT_S)
            client.connect(str(running.socket))
            client.sendall(SSL_REQUEST)
            return client.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def is_server_of(pid: int, data: Path) -> bool:
    """Whether process `pid` is a PostgreSQL server on `data`, and not a zombie or a later process with its number.

    A server's working directory is its data directory, under whatever name that was given to it.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or "postgres" not in process.name():
            return False
        return Path(process.cwd()).samefile(data)
    except psutil.AccessDenied:
        return True  # somebody else's PostgreSQL: rather believe the file than start a second server
    except (psutil.Error, OSError):
        return False


def forget_dead_server(data: Path, sockets: Path) -> None:
    """Remove lock files whose process is surely no server: its number was given to another, or it is a zombie.

    PostgreSQL itself only asks whether *some* process of the same user has that number, and would refuse to start.
    Its second guard, the shared memory of surviving children, does not depend on these files.
    """
    for path in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")):
        try:
            pid = int(path.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            continue
        if psutil.pid_exists(pid) and not is_server_of(pid, data):
            logger.warning("removing %s: process %d is not this cluster's server", path, pid)
            path.unlink(missing_ok=True)


def make_data(config: ClusterConfig, place: Place, binaries: Binaries) -> None:
    """Make an empty data directory; it appears under its name only when it is complete."""
    half_made = place.home / "data.making"
    shutil.rmtree(half_made, ignore_errors=True)
    outcome = _initdb(config, place, binaries, half_made, LOCALES[0])
    if outcome.code and "locale" in outcome.err:
        shutil.rmtree(half_made, ignore_errors=True)
        outcome = _initdb(config, place, binaries, half_made, LOCALES[1])
    if outcome.code:
        shutil.rmtree(half_made, ignore_errors=True)
        raise ClusterError(f"The cluster in {place.home} cannot be made: {outcome.text}")
    own = half_made / "postgresql.conf"
    write_file(own, f"{own.read_text()}\ninclude '{SETTINGS_FILE}'  # written at every start\n", place.user)
    write_file(half_made / SETTINGS_FILE, "", place.user)
    half_made.rename(place.data)


def write_settings(config: ClusterConfig, place: Place, binaries: Binaries) -> None:
    """Write what the server is to run with; raises ClusterError naming a setting the server does not accept."""
    settings = server_settings(config, make_socket_dir(place, config.port)) | {"log_directory": str(place.log_dir)}
    write_file(place.data / "pg_hba.conf", _access_rules(config), place.user)
    write_file(place.data / SETTINGS_FILE, render_settings(settings), place.user)
    problem = _refused(place, binaries)
    if problem and "compression" in problem:  # built without lz4
        plain = {"wal_compression": "on", "default_toast_compression": "pglz"}
        write_file(place.data / SETTINGS_FILE, render_settings(settings | plain), place.user)
        problem = _refused(place, binaries)
    if problem:
        raise ClusterError(f"PostgreSQL does not accept its settings: {problem}")


def start(config: ClusterConfig, place: Place, binaries: Binaries) -> None:
    """Start the server and wait until it answers; raises ClusterError with the last lines of its log."""
    _rotate(place.log)
    write_settings(config, place, binaries)
    forget_dead_server(place.data, socket_dir(place))
    deadline = time.monotonic() + LOCK_RETRY_S
    pause_s = 0.1
    while True:
        mark = _log_size(place)
        outcome = _pg_ctl(place, binaries, "start", config.start_timeout_s, "-l", str(place.log))
        if outcome.code == 0 or (read_postmaster(place.data) is not None and "not start in time" not in outcome.text):
            return
        said = log_since(place, mark)
        if not any(message in said + outcome.text for message in LOCK_MESSAGES) or time.monotonic() > deadline:
            raise ClusterError(_start_failure(config, place, outcome, said))
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 1.0)
        forget_dead_server(place.data, socket_dir(place))


def stop(place: Place, mode: str, timeout_s: float) -> None:
    """Stop the server: "smart" waits for clients, "fast" disconnects them, "immediate" is like a power cut.

    By signal rather than pg_ctl: it works when the binaries are gone. Raises ClusterError when it goes on running.
    """
    running = read_postmaster(place.data)
    if running is None:
        return
    try:
        os.kill(running.pid, STOP_SIGNALS[mode])
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise ClusterError(f"The server in {place.home} (process {running.pid}) is not ours to stop") from error
    deadline = time.monotonic() + timeout_s
    while is_server_of(running.pid, place.data):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"The server in {place.home} did not stop within {timeout_s:g} s ({mode}):\n{log_tail(place)}"
            )
        time.sleep(0.02)


def log_tail(place: Place, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of the start-up log and of the newest log file."""
    newest = max(place.log_dir.glob("*.log"), key=lambda path: path.stat().st_mtime, default=None)
    texts = [_last_lines(path, lines) for path in (place.log, newest) if path is not None and path.exists()]
    return "\n".join(text for text in texts if text)


def log_since(place: Place, mark: Mapping[Path, int]) -> str:
    """What both logs gained since `mark` (from `_log_size`)."""
    parts = []
    for path in (place.log, *place.log_dir.glob("*.log")):
        if path.exists():
            with path.open("rb") as log:
                log.seek(mark.get(path, 0))
                parts.append(log.read(100_000).decode(errors="replace").strip())
    return "\n".join(part for part in parts if part)


def _initdb(config: ClusterConfig, place: Place, binaries: Binaries, data: Path, locale: str) -> Outcome:
    command = [binaries.program("initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", f"--locale={locale}"]
    command += ["--auth-local=trust", "--auth-host=reject", *([] if config.durable else ["--no-sync"])]
    return run(command, user=place.user, env=binaries.env, cwd=place.home)


def _pg_ctl(place: Place, binaries: Binaries, verb: str, timeout_s: float, *options: str) -> Outcome:
    wait = ["-w", "-t", str(max(1, round(timeout_s)))]
    command = [binaries.program("pg_ctl"), verb, "-D", str(place.data), *wait, *options]
    return run(command, user=place.user, env=binaries.env, cwd=place.home, timeout_s=timeout_s + 30)


def _access_rules(config: ClusterConfig) -> str:
    """Who may connect: whoever reaches the socket in its 0700 folder; over TCP nobody unless a port was asked for."""
    rules = ["local all all trust", "local replication all trust"]
    if config.port:
        rules.append(f"host all all 127.0.0.1/32 {'trust' if config.tcp_trust else 'scram-sha-256'}")
    return "\n".join([*rules, ""])


def _refused(place: Place, binaries: Binaries) -> str:
    """What the server says against its configuration; "" when it accepts it."""
    command = [binaries.program("postgres"), "-C", "server_version", "-D", str(place.data)]
    outcome = run(command, user=place.user, env=binaries.env, cwd=place.home)
    return outcome.err if outcome.code else ""


def _start_failure(config: ClusterConfig, place: Place, outcome: Outcome, said: str) -> str:
    if "not start in time" in outcome.text:
        reason = f"did not start within {config.start_timeout_s:g} s (PANOFED_PG_START_TIMEOUT_S)"
    elif "No space left on device" in said:
        reason = "did not start: the disk is full"
    else:
        reason = "did not start"
    lines = (said or outcome.text or log_tail(place)).splitlines()[-LOG_TAIL_LINES:]
    return "\n".join([f"The database server in {place.home} {reason}. The end of its log ({place.log}):", *lines])


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _log_size(place: Place) -> dict[Path, int]:
    logs = (place.log, *place.log_dir.glob("*.log"))
    return {path: path.stat().st_size for path in logs if path.exists()}


def _last_lines(path: Path, lines: int) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 20_000))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

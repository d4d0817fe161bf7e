"""The programs that harvest while the walk goes on: started, killed, frozen and replaced like on real machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from panofed import cli

ROOT = Path(__file__).parents[2]
ONCE_S = 180.0


def commands() -> list[tuple[str, ...]]:
    """What runs side by side: a harvester, and workers where there are such."""
    names = {(each.name or getattr(each.callback, "__name__", "")) for each in cli.app.registered_commands}
    return [("harvest",), ("worker",) if "worker" in names else ("harvest",)]


@dataclass(slots=True)
class Member:
    """One program of the fleet; `frozen` is a process that was stopped and may have been replaced since."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    frozen: list[subprocess.Popen[bytes]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Every program has its log in `logs`, and `environment` with the settings."""

    environment: Mapping[str, str]
    logs: Path
    members: list[Member] = field(default_factory=list)
    kills: int = 0
    freezes: int = 0
    #: how programs ended that nobody had told to
    ends: list[int] = field(default_factory=list)
    _leavers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """All of them."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.members = [Member(arguments) for arguments in commands()]
        for member in self.members:
            self._launch(member)

    def keep_running(self) -> None:
        """Start again what has ended."""
        for member in self.members:
            if member.process is not None and member.process.poll() is not None:
                self.ends.append(member.process.returncode)
                _close(member.process)
                self._launch(member)

    def kill(self, which: int) -> None:
        """End one without a word, and start another."""
        member = self.members[which % len(self.members)]
        if member.process is not None:
            member.process.kill()
            _close(member.process)
        self.kills += 1
        self._launch(member)

    @property
    def frozen(self) -> bool:
        """Whether any of them is."""
        return any(member.frozen for member in self.members)

    def freeze(self, which: int, *, replace: bool) -> None:
        """Stop one where it stands; `replace`: another takes over meanwhile."""
        member = self.members[which % len(self.members)]
        if member.process is None or member.frozen or member.process.poll() is not None:
            return
        os.kill(member.process.pid, signal.SIGSTOP)
        self.freezes += 1
        member.frozen.append(member.process)
        if replace:
            self._launch(member)

    def thaw(self) -> None:
        """The frozen ones wake up and go on, whoever has replaced them; those end soon after."""
        for member in self.members:
            for process in member.frozen:
                process.send_signal(signal.SIGCONT)
                if process is not member.process:
                    # it had a moment to write what it must not
                    self._leavers.append(process)
            member.frozen.clear()

    def stop(self) -> None:
        """Ask all to end, but for those that are frozen; who does not within half a minute is told so."""
        for member in self.members:
            if member.process is not None and member.process not in member.frozen:
                self._leavers.append(member.process)
            member.process = None
        for process in self._leavers:
            process.terminate()
        slow = [process.pid for process in self._leavers if not _ended(process, 30.0)]
        self._leavers = []
        assert not slow, f"{slow} did not end within 30 s of SIGTERM"

    def faults(self) -> list[str]:
        """Errors in the programs' logs that nobody expected: those with a traceback.

        A library's warnings have one too, when the database is away.
        """
        lines = [(log.name, line) for log in sorted(self.logs.glob("*.log")) for line in _lines(log)]
        return [f"{name}: {line[:3_000]}" for name, line in lines if "Traceback" in line and _is_error(line)]

    def destroy(self) -> None:
        """Nothing is left running, whatever happened."""
        everybody = [each for member in self.members for each in (member.process, *member.frozen)] + self._leavers
        for process in everybody:
            if process is not None:
                process.kill()
                _close(process)

    def once(self, *arguments: str) -> tuple[int, str]:
        """`panofed harvest --once`, or another command, to its end: exit code and what it said."""
        said = self.logs / "once.log"
        with said.open("ab") as log:
            begin = log.tell()
            # its standard input stays open: the program ends when we do
            with subprocess.Popen(
                [sys.executable, "-m", "tests.soak.command", *arguments], cwd=ROOT, env=dict(self.environment),
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            ) as process:  # fmt: skip
                if not _ended(process, ONCE_S):
                    return -1, f"did not end within {ONCE_S:.0f} s"
        return process.returncode, said.read_bytes()[begin:].decode(errors="replace")

    def _launch(self, member: Member) -> None:
        number = self.members.index(member) if member in self.members else 0
        with (self.logs / f"{member.arguments[0]}-{number}.log").open("ab") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.command", *member.arguments], cwd=ROOT, env=dict(self.environment),
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


def _is_error(line: str) -> bool:
    """Whether a log's line is an error; one that is no JSON is a program's last word."""
    try:
        return json.loads(line)["level"] in ("error", "critical")
    except (ValueError, KeyError, TypeError):
        return True


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Whether it ended in time; it is killed when not."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return False
    finally:
        _close(process)
    return True


def _close(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that was killed or has ended, and let go of it."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()

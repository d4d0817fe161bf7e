"""Runs PostgreSQL's programs as the right operating system user, with a clean environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from federation.errors import ClusterError

COMMAND_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The operating system user the server runs as; `steps_down` when we are root and it is not."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path
    steps_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended: exit code and both outputs, stripped."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs, for error messages."""
        return "\n".join(part for part in (self.out, self.err) if part)


def clean_environment(extra: Mapping[str, str], user: ServerUser | None = None) -> dict[str, str]:
    """Our environment without what would change PostgreSQL's behaviour (PG*, locale), plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    kept["LC_ALL"] = "C"  # messages are recognised by their English text
    if user is not None and user.steps_down:
        kept |= {"HOME": str(user.home), "USER": user.name, "LOGNAME": user.name}
    return {**kept, **extra}


def run(
    command: Sequence[str | Path],
    *,
    user: ServerUser | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
    stdin: str = "",
    timeout_s: float = COMMAND_TIMEOUT_S,
) -> Outcome:
    """Run a program to its end, as `user` when stepping down; raises ClusterError if it cannot be run or hangs.

    The new session keeps a Ctrl-C meant for us away from a server that is just starting.
    """
    step_down = user is not None and user.steps_down
    try:
        done = subprocess.run(
            [str(part) for part in command],
            user=user.uid if user is not None and step_down else None,
            group=user.gid if user is not None and step_down else None,
            extra_groups=user.groups if user is not None and step_down else None,
            env=clean_environment(env or {}, user),
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{command[0]} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise ClusterError(f"{command[0]} cannot be run: {error}") from error
    return Outcome(code=done.returncode, out=done.stdout.strip(), err=done.stderr.strip())

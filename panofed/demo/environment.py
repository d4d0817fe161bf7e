"""The virtual environment of the demonstration's instances: GeoVisio and what it needs, each file checked by hash."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from federation.errors import DemoError

GEOVISIO_VERSION = "2.15.1"
LOCK_FILE = Path(__file__).with_name("geovisio.lock")
MARK = "installed-from"
PIP_WORDS = ("Collecting ", "Installing collected packages")
#: what a step says while it runs: text, done, total (0 = unknown)
Report = Callable[[str, int, int], None]


def ensure_environment(directory: Path, report: Report) -> Path:
    """Make the environment in `directory` unless it is there; returns its Python.

    Takes a minute or less with empty caches; two processes may call it at once. Raises DemoError with what the
    installer said last.
    """
    directory = directory.absolute()
    python = directory / "bin/python"
    if _is_installed(directory):
        return python
    directory.parent.mkdir(parents=True, exist_ok=True)
    report(f"preparing GeoVisio {GEOVISIO_VERSION}", 0, 0)
    with _locked(directory.with_name(directory.name + ".lock")):
        if not _is_installed(directory):
            shutil.rmtree(directory, ignore_errors=True)
            _install(directory, report)
            (directory / MARK).write_text(_wanted())
    return python


def locked_packages() -> int:
    """How many packages the lock file names.

    >>> locked_packages() > 80
    True
    """
    return sum("==" in line and not line.startswith("#") for line in LOCK_FILE.read_text().splitlines())


def _wanted() -> str:
    """What an environment must have been made from: the lock file and this Python."""
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()
    return f"{digest} {sys.version_info.major}.{sys.version_info.minor}\n"


def _is_installed(directory: Path) -> bool:
    mark = directory / MARK
    return (directory / "bin/python").exists() and mark.exists() and mark.read_text() == _wanted()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(directory: Path, report: Report) -> None:
    """With uv when it is here (seconds), else with the standard library's venv and pip (half a minute)."""
    failures = []
    uv = _uv()
    if uv:
        report(f"installing GeoVisio {GEOVISIO_VERSION} with uv", 0, 0)
        failures.append(_run_all(_uv_commands(uv, directory)))
        if not failures[-1]:
            return
        # uv reads other settings than pip does: a mirror named in pip's only is why it may fail alone
        shutil.rmtree(directory, ignore_errors=True)
    failures.append(_install_with_pip(directory, report))
    if failures[-1]:
        raise DemoError(
            f"GeoVisio {GEOVISIO_VERSION} cannot be installed in {directory}:\n" + "\n".join(filter(None, failures))
        )


def _uv() -> list[str]:
    if find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else []


def _uv_commands(uv: Sequence[str], directory: Path) -> list[list[str]]:
    make = [*uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(directory)]
    fill = [*uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(directory / "bin/python")]
    return [make, [*fill, "--requirement", str(LOCK_FILE)]]


def _run_all(commands: Sequence[Sequence[str]]) -> str:
    """Run commands until one fails; returns its last words, "" if none failed."""
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=installer_environment())
        if done.returncode:
            return _last_words(command, done.stdout + done.stderr)
    return ""


def _install_with_pip(directory: Path, report: Report) -> str:
    failed = _run_all([[sys.executable, "-m", "venv", str(directory)]])
    if failed:
        return failed
    command = [str(directory / "bin/python"), "-m", "pip", "install", "--no-input", "--require-hashes"]
    command += ["--disable-pip-version-check", "--requirement", str(LOCK_FILE)]
    return _watch_pip(command, report)


def _watch_pip(command: Sequence[str], report: Report) -> str:
    total, done, said = locked_packages(), 0, []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=installer_environment()
    ) as pip:
        for line in pip.stdout or ():
            said.append(line)
            done += line.startswith(PIP_WORDS)
            report(f"installing GeoVisio {GEOVISIO_VERSION} with pip", min(done, total), total)
    return _last_words(command, "".join(said)) if pip.returncode else ""


def _last_words(command: Sequence[str], said: str) -> str:
    return f"{' '.join(command[:4])} ...: {said.strip()[-1_500:]}"


def installer_environment() -> dict[str, str]:
    """Our environment without what would point a Python or an installer at our own packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    return {name: value for name, value in os.environ.items() if name not in ours}

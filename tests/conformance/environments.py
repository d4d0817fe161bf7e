"""Environments of the validators: their dependencies are not ours, and would change the versions of ours."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from panofed.demo.environment import installer_environment

HERE = Path(__file__).parent
_MARK = "installed-from"


def environment(name: str) -> Path:
    """The folder of the programs of `name`.lock, each package checked by hash; made when it is not there yet."""
    cache = Path(os.environ.get("PANOFED_TEST_CACHE") or Path.home() / ".cache/panofed-tests").absolute()
    lock_file, directory = HERE / f"{name}.lock", cache / name
    wanted = f"{hashlib.sha256(lock_file.read_bytes()).hexdigest()} {sys.version_info.major}.{sys.version_info.minor}\n"
    mark = directory / _MARK
    cache.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            _install(lock_file, directory)
            mark.write_text(wanted)
    return directory / "bin"


def _install(lock_file: Path, directory: Path) -> None:
    uv = shutil.which("uv")
    if uv is not None:
        make = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(directory)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(directory / "bin/python")]
        if _run(make) and _run([*fill, "--require-hashes", "--requirement", str(lock_file)]):
            return
        shutil.rmtree(directory, ignore_errors=True)
    pip = [
        str(directory / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    commands = ([sys.executable, "-m", "venv", str(directory)], [*pip, "--require-hashes", "-r", str(lock_file)])
    assert all(map(_run, commands)), f"{lock_file.stem} cannot be installed: see above"


def _run(command: list[str]) -> bool:
    return subprocess.run(command, check=False, env=installer_environment()).returncode == 0

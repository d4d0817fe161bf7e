"""Runs the Python code on standard input as another user: `as_user.py NAME`; whoever is not root stays himself.

The interpreter may live where that user cannot read (under /root), so everything is imported before stepping down.
"""

from __future__ import annotations

import asyncio
import encodings.idna
import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import rich.progress

import panofed.cluster
import panofed.cluster.packages

MODULES = (asyncio, asyncpg, encodings.idna, json, panofed.cluster.packages, rich.progress, subprocess, time)


def step_down(name: str) -> None:
    """Become `name`, for good."""
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir, USER=name, LOGNAME=name)
    os.chdir("/")


def main() -> None:
    """Read the code, step down, run it."""
    code = sys.stdin.read()
    if os.geteuid() == 0:
        step_down(sys.argv[1])
    names = {module.__name__.split(".")[0]: sys.modules[module.__name__.split(".")[0]] for module in MODULES}
    exec(code, {"Path": Path, "print": print, **names})


if __name__ == "__main__":
    main()

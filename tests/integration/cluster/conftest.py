"""Clusters for tests: as root in folders the server's user can reach, as an ordinary user in its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from panofed.cluster import Cluster, ClusterConfig

AS_USER = Path(__file__).with_name("as_user.py")
ORDINARY_USER = "nobody"

MakeCluster = Callable[..., Cluster]
AsUser = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked by the fixture `as_root` need root's rights."""
    for item in items:
        if os.geteuid() != 0 and "as_root" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder everybody can enter: pytest's own are 0700, and root's server runs as somebody else."""
    made = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def make_cluster() -> Iterator[MakeCluster]:
    """Makes quick (not durable) clusters, and removes them with everything they stored."""
    made: list[Cluster] = []

    def make(directory: Path, **wishes: object) -> Cluster:
        config = ClusterConfig(**{"directory": directory, "durable": False, "shared_buffers": "16MB"} | wishes)  # type: ignore[arg-type]
        made.append(Cluster(config))
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture
def cluster(folder: Path, make_cluster: MakeCluster) -> Cluster:
    """A running cluster."""
    running = make_cluster(folder / "pg")
    running.ensure_running()
    return running


@pytest.fixture
def as_root() -> None:
    """Marks a test that needs root's rights."""


@pytest.fixture
def as_user(folder: Path) -> AsUser:
    """Runs code as an ordinary user who owns `folder` (ourselves, unless we are root); returns what it printed."""
    if os.geteuid() == 0:
        shutil.chown(folder, ORDINARY_USER)

    def run(code: str) -> str:
        command = [sys.executable, str(AS_USER), ORDINARY_USER]
        done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run

"""`panofed run` looks after its parts and after its database."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from panofed.cluster import Cluster, ClusterConfig
from tests.integration.operations.conftest import free_port
from tests.origin import eventually


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    """The whole service, without instances, on a cluster of its own."""
    (folder / "instances.yaml").write_text("instances: []\n")
    port = free_port()
    wishes = {
        "PANOFED_DATA_DIR": str(folder / "run"),
        "PANOFED_INSTANCES_FILE": str(folder / "instances.yaml"),
        "PANOFED_PORT": str(port),
        "PANOFED_WORKERS": "1",
        "PANOFED_PG_SHARED_BUFFERS": "16MB",
    }
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "panofed", "run"], env=os.environ | wishes, stdout=log, stderr=log
        )
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
        yield process, client
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    Cluster(ClusterConfig(directory=folder / "run/pg")).remove()


async def is_live(client: httpx2.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        answer = await asyncio.to_thread(client.get, "/api/live")
    except httpx2.TransportError:
        return False
    return answer.status_code == 200


async def test_a_killed_database_is_started_again(
    service: tuple[subprocess.Popen[bytes], httpx2.Client], folder: Path
) -> None:
    process, client = service
    await eventually(lambda: is_live(client, process), within_s=40)
    cluster = Cluster(ClusterConfig(directory=folder / "run/pg"))
    before = cluster.status().pid
    os.kill(before, signal.SIGKILL)

    async def is_another() -> bool:
        return cluster.status().pid not in (0, before) and await is_live(client, process)

    await eventually(is_another, within_s=30)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 30) == 0, (folder / "run.log").read_text()
    assert cluster.status().state == "stopped"

"""The server as a whole: it starts fast, replaces a killed worker, and ends cleanly when told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psutil
import pytest

from catalog_api.serve import bind
from federation.errors import ConfigurationError
from federation.settings import load_settings

_PROGRAM = """
import sys
from catalog_api.serve import serve
from federation.settings import load_settings
if __name__ == "__main__":
    serve(load_settings(port=int(sys.argv[1]), workers=2), sys.argv[2])
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(database: str, tmp_path: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    script = os.path.join(str(tmp_path), "program.py")
    with open(script, "w") as file:
        file.write(_PROGRAM)
    process = subprocess.Popen([sys.executable, script, str(port), database])
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


async def is_live(client: httpx2.AsyncClient, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if (await client.get("/api/live")).status_code == 200:
                return True
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
    return False


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children() if is_worker(child)]


def is_worker(child: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in child.cmdline())
    except psutil.Error:
        return False


async def test_it_replaces_a_killed_worker_and_ends_when_told(database: str, tmp_path: object) -> None:
    with running(database, tmp_path) as (process, base):
        async with httpx2.AsyncClient(base_url=base) as client:
            assert await is_live(client, 15)
        await asyncio.sleep(1.2)  # a worker that ends at once after its start is not replaced at once
        first = workers(process)
        assert len(first) == 2
        first[0].kill()
        last = first
        deadline = time.monotonic() + 10
        # one that was killed is there for another moment
        while (len(last) < 2 or first[0] in last) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            last = workers(process)
        assert len(last) == 2 and first[0] not in last
        async with httpx2.AsyncClient(base_url=base) as client:
            assert await is_live(client, 10)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
        assert not any(each.is_running() for each in last)


async def test_no_filter_ends_a_worker(database: str, tmp_path: object) -> None:
    """What makes the parser of filters crash or hang is refused before it; the workers are those that started."""
    with running(database, tmp_path) as (process, base):
        async with httpx2.AsyncClient(base_url=base, timeout=20) as client:
            assert await is_live(client, 15)
            first = {each.pid for each in workers(process)}
            for text in (
                "(" * 2_000 + "type = 'flat'" + ")" * 2_000,
                "NOT " * 100_000 + "type = 'flat'",
                "(" * 32 + "type = " + ")" * 32,
                "-" * 50_000 + "1 = type",
            ):
                answers = [await client.post("/api/search", json={"filter": text}) for _ in range(4)]
                assert {answer.status_code for answer in answers} == {400}
            assert await is_live(client, 5)
        assert {each.pid for each in workers(process)} == first


async def test_workers_end_with_a_killed_supervisor(database: str, tmp_path: object) -> None:
    with running(database, tmp_path) as (process, base):
        async with httpx2.AsyncClient(base_url=base) as client:
            assert await is_live(client, 15)
        left = workers(process)
        process.kill()
        await asyncio.to_thread(psutil.wait_procs, left, 10)
        assert not any(each.is_running() for each in left)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"PANOFED_PORT={port}"):
            bind(load_settings(port=port))

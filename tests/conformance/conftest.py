"""A catalog with some streets, served by a process of its own, for programs that judge it from outside."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx2
import pytest

from panofed.cluster import Cluster
from tests.catalog_factory import Factory, Stored, line
from tests.integration.catalog.test_catalog_serve import free_port
from tests.integration.conftest import cluster, template

# where the catalog under test keeps its index
__all__ = ["cluster", "template"]

_PROGRAM = """
import sys
from catalog_api.serve import serve
from federation.settings import load_settings
if __name__ == "__main__":
    # nobody waits for changes for a minute here
    serve(load_settings(port=int(sys.argv[1]), workers=1, changes_wait_max_s=0.2), sys.argv[2])
"""
#: Around the streets: what validators search in.
AREA = (2.2, 48.7, 2.6, 48.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The catalog: its landing page, and what it holds."""

    url: str
    sequences: list[Stored]


@pytest.fixture(scope="session")
async def judged(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Judged]:
    """Four sequences of 12 to 15 pictures of two instances, from two years."""
    name = f"conformance_{secrets.token_hex(6)}"
    administrator = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        sequences = await _filled(cluster.dsn(name))
        with _served(cluster.dsn(name), tmp_path_factory.mktemp("served")) as url:
            yield Judged(url=url, sequences=sequences)
    finally:
        await administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await administrator.close()


async def _filled(dsn: str) -> list[Stored]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary", schema="public")
        factory = Factory(connection=connection)
        early, late = datetime(2023, 3, 1, 8, tzinfo=UTC), datetime(2024, 9, 1, 8, tzinfo=UTC)
        return [
            await factory.sequence(line(2.34, 48.85, 15, start=early), title="Rue de Rivoli"),
            await factory.sequence(line(2.35, 48.86, 12, start=late, field_of_view=360), title="Boulevard, 360"),
            await factory.sequence(line(2.36, 48.84, 13, start=late, azimuth=None), title="Quai", instance="south"),
            await factory.sequence(
                [*line(179.9997, -17.0, 4, start=late), *line(-179.9999, -17.0, 4, start=late)],
                title="Taveuni",
                instance="south",
            ),
        ]
    finally:
        await connection.close()


@contextmanager
def _served(dsn: str, folder: Path) -> Iterator[str]:
    port, script = free_port(), folder / "program.py"
    script.write_text(_PROGRAM)
    process = subprocess.Popen([sys.executable, str(script), str(port), dsn])
    try:
        url = f"http://127.0.0.1:{port}/api"
        deadline = time.monotonic() + 30
        while not _is_ready(url):
            assert process.poll() is None and time.monotonic() < deadline, "the catalog does not start"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/ready").status_code == 200
    except httpx2.TransportError:
        return False

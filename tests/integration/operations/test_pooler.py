"""Reading through a pooler of transactions, which knows no prepared statements and no settings of a connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest

from catalog_api.app import build_app
from federation.database import Role, connect
from federation.errors import DatabaseUnavailable
from panofed.cluster import DATABASE, Cluster
from tests.integration.operations.conftest import desk_of, free_port, quick_settings
from tests.integration.operations.serving import answering
from tests.origin import Origin

#: What docs/operating.md says pgbouncer has to let pass.
_IGNORED = (
    "role, jit, statement_timeout, idle_in_transaction_session_timeout, plan_cache_mode, "
    "max_parallel_workers_per_gather"
)
#: What it says the login has to have by itself then.
_LOGIN = """
CREATE ROLE catalog LOGIN;
GRANT panofed TO catalog;
ALTER ROLE catalog SET role = 'panofed_reader';
ALTER ROLE catalog SET statement_timeout = '10s';
ALTER ROLE catalog SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE catalog SET plan_cache_mode = 'force_custom_plan';
ALTER ROLE catalog SET max_parallel_workers_per_gather = 0;
ALTER ROLE catalog SET jit = 'off';
"""
_PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="module")
async def pictures(own_cluster: Cluster) -> list[str]:
    """Ids of pictures in the index."""
    async with desk_of(own_cluster.dsn(DATABASE)) as desk, Origin() as origin:
        for n in range(6):
            origin.add_sequence(40, at=(2.35, 44.80 + n / 4))
        await desk.register(origin)
        assert (await desk.visit()).outcome == "done"
        connection = await asyncpg.connect(desk.dsn)
        await connection.execute(_LOGIN)
        await connection.close()
        return list(origin.visible())


async def statuses(dsn: str, pictures: list[str], *, statement_cache: int) -> Counter[tuple[int, str]]:
    """What 200 requests at once are answered: (status, message of an error)."""
    settings = quick_settings(pg_statement_cache=statement_cache, pool_size=8)
    async with (
        answering(build_app(settings, dsn)) as base,
        httpx2.AsyncClient(base_url=base, timeout=30) as client,
    ):

        async def ask(number: int) -> tuple[int, str]:
            search, picture = "/api/search?bbox=2,44,3,48&limit=5", f"/api/pictures/{pictures[number % len(pictures)]}"
            answer = await client.get(search if number % 2 else picture)
            return answer.status_code, "" if answer.status_code == 200 else answer.json()["message"]

        return Counter(await asyncio.gather(*(ask(number) for number in range(200))))


async def test_the_catalog_reads_without_a_statement_cache(own_cluster: Cluster, pictures: list[str]) -> None:
    dsn = own_cluster.dsn(DATABASE, user="catalog")
    assert await statuses(dsn, pictures, statement_cache=0) == {(200, ""): 200}


def start(settings: Path, user: int) -> subprocess.Popen[bytes]:
    assert _PGBOUNCER is not None
    return subprocess.Popen([_PGBOUNCER, "-q", str(settings)], user=user if os.geteuid() == 0 else None)


@asynccontextmanager
async def pgbouncer(cluster: Cluster, folder: Path, ignored: str) -> AsyncIterator[str]:
    """pgbouncer in transaction mode before the cluster; yields the address of the index through it."""
    status, port = cluster.status(), free_port()
    place = folder / "pooler"
    place.mkdir()
    lines = [
        "[databases]",
        f"{DATABASE} = host={status.socket_dir} port={status.port} dbname={DATABASE}",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nignore_startup_parameters = {ignored}",
    ]
    # with "any" the login is the one of the database's line
    lines[1] += " user=catalog"
    (place / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    # it refuses to run as root; the socket's folder is open to the server's user alone
    user = status.directory.stat().st_uid
    process = start(place / "pgbouncer.ini", user)
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        yield f"postgresql://catalog@127.0.0.1:{port}/{DATABASE}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(place)


@pytest.mark.skipif(_PGBOUNCER is None, reason="pgbouncer is not installed")
async def test_the_catalog_reads_through_pgbouncer_as_documented(
    own_cluster: Cluster, pictures: list[str], folder: Path
) -> None:
    settings = quick_settings(pg_statement_cache=0)
    async with pgbouncer(own_cluster, folder, "extra_float_digits") as dsn:
        with pytest.raises(DatabaseUnavailable, match="unsupported startup parameter"):
            await connect(dsn, Role.READER, settings)
    async with pgbouncer(own_cluster, folder, _IGNORED) as dsn:
        connection = await connect(dsn, Role.READER, settings)
        assert await connection.fetchval("SELECT current_user") == "panofed_reader"
        assert await connection.fetchval("SHOW statement_timeout") == "10s"
        await connection.close()
        assert await statuses(dsn, pictures, statement_cache=0) == {(200, ""): 200}
        found = await statuses(dsn, pictures, statement_cache=100)
        assert {status for status, _ in found} == {200, 503}
        assert all("PANOFED_PG_STATEMENT_CACHE=0" in message for status, message in found if status != 200), found

"""Migrations lead to the schema, can be repeated, run by two at once, and refuse what they do not know."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest

from federation.database import Connection, check_schema, check_versions, migrate
from federation.errors import DatabaseTooOld, SchemaMismatch
from federation.queries import query
from federation.sqlfiles import sql_files
from panofed.cluster import Cluster


@pytest.fixture
async def empty(cluster: Cluster) -> AsyncIterator[str]:
    """The name of a database with nothing in it."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield name
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


def schema_of(cluster: Cluster, dsn: str) -> str:
    """What pg_dump says of it, without what is random."""
    psql = Path(cluster.psql_command("postgres")[0])
    done = subprocess.run(
        [str(psql.with_name("pg_dump")), "--schema-only", "--dbname", dsn], capture_output=True, text=True, check=True
    )
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


async def test_the_schema_files_are_the_sum_of_the_migrations(cluster: Cluster, empty: str, database: str) -> None:
    connection = await asyncpg.connect(cluster.dsn(empty))
    await connection.execute(query("create_migrations_table"))
    for path in sql_files("schema"):
        await connection.execute(path.read_text(encoding="utf-8"))
    await connection.close()
    files = await asyncio.to_thread(schema_of, cluster, cluster.dsn(empty))
    migrations = await asyncio.to_thread(schema_of, cluster, database)
    assert files.splitlines() == migrations.splitlines()
    assert "CREATE TABLE public.pictures" in files


async def test_migrating_again_changes_nothing(cluster: Cluster, database: str) -> None:
    before = await asyncio.to_thread(schema_of, cluster, database)
    assert await migrate(database) == []
    assert await asyncio.to_thread(schema_of, cluster, database) == before


async def test_two_processes_that_migrate_at_once_apply_each_step_once(cluster: Cluster, empty: str) -> None:
    done = await asyncio.gather(*(migrate(cluster.dsn(empty)) for _ in range(3)))
    assert sorted(map(len, done)) == [0, 0, len(sql_files("migrations"))]
    connection = await asyncpg.connect(cluster.dsn(empty))
    await check_schema(connection)
    await connection.close()


async def test_a_step_that_fails_leaves_nothing_of_itself(cluster: Cluster, database: str, tmp_path: Path) -> None:
    bad = tmp_path / "9999_bad.sql"
    bad.write_text("CREATE TABLE half (n integer); SELECT 1 / 0;")
    before = await asyncio.to_thread(schema_of, cluster, database)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database, [*sql_files("migrations"), bad])
    assert await asyncio.to_thread(schema_of, cluster, database) == before
    bad.write_text("CREATE TABLE whole (n integer);")
    assert await migrate(database, [*sql_files("migrations"), bad]) == ["9999_bad"]


async def test_a_step_that_changed_after_it_was_applied_is_refused(database: str, tmp_path: Path) -> None:
    first = sql_files("migrations")[0]
    changed = tmp_path / first.name
    changed.write_text(first.read_text(encoding="utf-8") + "-- more\n")
    with pytest.raises(SchemaMismatch, match=f"{first.stem} was changed"):
        await migrate(database, [changed, *sql_files("migrations")[1:]])


async def test_a_database_of_a_newer_version_is_refused(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(query("record_migration"), "9999_from_the_future", "x")
    await connection.close()
    with pytest.raises(SchemaMismatch, match="9999_from_the_future"):
        await migrate(database)


async def test_a_database_without_its_migrations_is_told_how_to_get_them(cluster: Cluster, empty: str) -> None:
    connection = await asyncpg.connect(cluster.dsn(empty))
    with pytest.raises(SchemaMismatch, match="panofed db migrate"):
        await check_schema(connection)
    await connection.close()


class OldServer:
    """What `check_versions` asks, of a server that is older than this machine's."""

    def __init__(self, postgresql: int, postgis: str | None) -> None:
        self.major, self.postgis = postgresql, postgis

    def get_server_version(self) -> SimpleNamespace:
        return SimpleNamespace(major=self.major, minor=3, micro=3, releaselevel="final", serial=0)

    async def fetchval(self, _: str) -> str | None:
        return self.postgis


@pytest.mark.parametrize("postgresql,postgis,said", [(14, "3.4.0", "PostgreSQL 14"), (15, "3.2.9", "PostGIS 3.2.9")])
async def test_a_server_that_is_too_old_is_refused_by_name(postgresql: int, postgis: str, said: str) -> None:
    with pytest.raises(DatabaseTooOld, match=rf"{said}(\.3)? is too old"):
        await check_versions(cast(Connection, OldServer(postgresql, postgis)))
    assert (await check_versions(cast(Connection, OldServer(15, "3.3.2"))))[1] == "3.3.2"

"""Nobody may do more than its work: readers do not write, the harvester owns nothing, an operator changes instances."""

from __future__ import annotations

import asyncpg
import pytest

from federation.database import Role, connect
from federation.settings import Settings
from tests.hostile import local_settings


@pytest.fixture
def settings() -> Settings:
    return local_settings()


async def refused(database: str, role: Role, settings: Settings, *statements: str) -> None:
    connection = await connect(database, role, settings)
    try:
        for statement in statements:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidTransactionStateError)):
                await connection.execute(statement)
    finally:
        await connection.close()


WRITES = (
    "INSERT INTO licenses (id) VALUES ('x')",
    "UPDATE leaf_set SET version = 9",
    "DELETE FROM pictures",
    "DELETE FROM locator",
    "TRUNCATE sequences",
    "INSERT INTO runs (instance) VALUES (1)",
    "UPDATE instances SET state = 'paused'",
    "SELECT create_leaf(577199624117288959, 0, 0, 1, 1)",
    "SELECT restore_epoch()",
)
#: What those who answer the public have no business with.
SECRETS = tuple(f"SELECT * FROM {table}" for table in ("quarantine", "tokens", "links", "sessions", "events"))
OWNS = (
    "CREATE TABLE mine (n integer)",
    "DROP TABLE pictures",
    "ALTER TABLE pictures ADD COLUMN mine integer",
    "TRUNCATE pictures",
    "UPDATE leaf_set SET version = 9",
    "SELECT attach_leaf(577199624117288959)",
    "SELECT restore_epoch()",
    "DELETE FROM migrations",
    "INSERT INTO leaves SELECT * FROM leaves",
)


async def test_a_reader_only_reads(database: str, settings: Settings) -> None:
    await refused(database, Role.READER, settings, *WRITES, *OWNS, *SECRETS)


async def test_the_harvester_writes_rows_and_owns_nothing(database: str, settings: Settings) -> None:
    await refused(database, Role.WRITER, settings, *OWNS)
    connection = await connect(database, Role.WRITER, settings)
    await connection.execute("SELECT create_leaf(577199624117288959, 0, 0, 1, 1)")
    await connection.execute("CREATE TEMP TABLE stage (n integer)")
    assert await connection.fetchval("SELECT count(*) FROM pictures_8029fffffffffff") == 0
    await connection.close()


async def test_an_operator_changes_instances_and_nothing_else(database: str, settings: Settings) -> None:
    changes = (
        "DELETE FROM instances",
        "DELETE FROM pictures",
        "UPDATE sequences SET title = 'x'",
        "DELETE FROM quarantine",
        "DELETE FROM tokens",
        "DELETE FROM events",
        "UPDATE events SET actor = 'nobody'",
        "SELECT create_leaf(577199624117288959, 0, 0, 1, 1)",
    )
    await refused(database, Role.OPERATOR, settings, *changes, *OWNS)
    connection = await connect(database, Role.OPERATOR, settings)
    await connection.execute("INSERT INTO instances (id, name, url, state) VALUES ('a', 'a', 'http://a', 'enabled')")
    await connection.execute("UPDATE instances SET state = 'paused'")
    await connection.fetch("SELECT * FROM quarantine")
    await connection.close()


async def test_no_role_at_work_is_superuser(database: str, settings: Settings) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'panofed%'"
        " AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls)"
    )
    owners = await connection.fetch(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT IN ('spatial_ref_sys', 'migrations')"
    )
    await connection.close()
    assert rows == []
    assert [row["tableowner"] for row in owners] == ["panofed_owner"]

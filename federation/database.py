"""Connections: pools by role, codecs, what version the server is, and migrations."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncpg

from federation.errors import (
    DatabaseError,
    DatabaseFull,
    DatabaseTooOld,
    DatabaseUnavailable,
    QueryTooLong,
    SchemaMismatch,
)
from federation.queries import query
from federation.settings import Settings
from federation.sqlfiles import sql_files

POSTGRESQL_MIN = 15
POSTGIS_MIN = (3, 3)
#: Holds migrations of two processes apart.
MIGRATION_LOCK = 7_340_021

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Pool = asyncpg.Pool


class Role(StrEnum):
    """What a connection may do; see sql/schema/010_roles.sql."""

    READER = "panofed_reader"
    OPERATOR = "panofed_operator"
    WRITER = "panofed_writer"
    OWNER = "panofed_owner"


_POINT = struct.Struct("<BIIdd")


def point_ewkb(longitude: float, latitude: float) -> bytes:
    """A point in EWKB, SRID 4326: what COPY sends for a geometry column. `struct` is ten times faster than shapely.

    >>> point_ewkb(1.0, 2.0).hex()
    '0101000020e6100000000000000000f03f0000000000000040'
    """
    return _POINT.pack(1, 0x20000001, 4326, longitude, latitude)


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary", schema="public")


#: What the driver's faults mean to us, the special before the general.
_FAULTS: tuple[tuple[tuple[type[Exception], ...], type[DatabaseError], str], ...] = (
    ((asyncpg.DiskFullError,), DatabaseFull, "the database's disk is full"),
    # memory, locks, connections
    ((asyncpg.InsufficientResourcesError,), DatabaseUnavailable, "the database has not enough for this now"),
    ((asyncpg.QueryCanceledError,), QueryTooLong, "a statement ran out of its time"),
    (
        (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, TimeoutError),
        DatabaseUnavailable,
        "the database does not answer",
    ),
    # the second: the state of the driver when the server ended the session in the middle of an exchange
    ((asyncpg.InterfaceError, asyncpg.InternalClientError), DatabaseUnavailable, "the connection was lost"),
    ((asyncpg.IdleInTransactionSessionTimeoutError,), DatabaseUnavailable, "the connection was idle for too long"),
    ((asyncpg.AdminShutdownError, asyncpg.CrashShutdownError), DatabaseUnavailable, "the database is shutting down"),
    (
        (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError),
        DatabaseError,
        "the database refuses this login",
    ),
    (
        (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError),
        DatabaseError,
        "a pooler of transactions needs PANOFED_PG_STATEMENT_CACHE=0",
    ),
)
_EXPLAINED = tuple(kind for kinds, _, _ in _FAULTS for kind in kinds)


@asynccontextmanager
async def explained(what: str) -> AsyncIterator[None]:
    """Turn the driver's faults into ours, so that nobody above needs to know the driver."""
    try:
        yield
    except _EXPLAINED as error:
        raise in_our_words(what, error) from error


def in_our_words(what: str, error: Exception) -> Exception:
    """A fault of the driver as one of ours, for where it comes in a group of exceptions; any other one as it is.

    >>> in_our_words("reading", asyncpg.InterfaceError("connection is closed"))
    DatabaseUnavailable('reading: the connection was lost (connection is closed)')
    """
    for kinds, ours, words in _FAULTS:
        if isinstance(error, kinds):
            explained_error = ours(f"{what}: {words} ({' '.join(str(error).split()) or type(error).__name__})")
            explained_error.__cause__ = error
            return explained_error
    return error


async def connect(dsn: str, role: Role | None, settings: Settings) -> asyncpg.Connection:
    """One connection that works as `role` (None: as the login itself, for migrations)."""
    async with explained("connecting"):
        connection = await asyncpg.connect(
            dsn,
            timeout=settings.connect_timeout_s,
            statement_cache_size=settings.pg_statement_cache,
            server_settings=_server_settings(role, settings),
        )
        await _prepare(connection)
        return connection


@asynccontextmanager
async def open_pool(dsn: str, role: Role, settings: Settings, *, size: int | None = None) -> AsyncIterator[Pool]:
    """A pool of connections that work as `role`; statements of readers are bounded by `statement_timeout_s`."""
    async with explained("connecting"):
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=settings.pool_size if size is None else size,
            timeout=settings.connect_timeout_s,
            statement_cache_size=settings.pg_statement_cache,
            init=_prepare,
            server_settings=_server_settings(role, settings),
        )
    try:
        yield pool
    finally:
        await pool.close()


def _server_settings(role: Role | None, settings: Settings) -> dict[str, str]:
    common = {"application_name": f"panofed {role or 'migration'}", "timezone": "UTC", "jit": "off"}
    if role is None:
        return common
    if role is Role.OWNER:
        return common | {"role": role.value}
    timeout_s = settings.merge_timeout_s if role is Role.WRITER else settings.statement_timeout_s
    return common | {
        "role": role.value,
        "statement_timeout": str(int(timeout_s * 1000)),
        # a frozen process must not hold its locks: 10 s is the longest a write transaction lasts by design
        "idle_in_transaction_session_timeout": "10000",
        # starting a helper process takes longer than nearly every statement of ours
        "max_parallel_workers_per_gather": "0",
        # plans name the leaves of this call only; a generic plan would open them all
        "plan_cache_mode": "force_custom_plan",
    }


async def check_versions(connection: Connection) -> tuple[str, str]:
    """(PostgreSQL, PostGIS) versions; DatabaseTooOld names what is too old."""
    server = connection.get_server_version()
    if server.major < POSTGRESQL_MIN:
        raise DatabaseTooOld(f"PostgreSQL {server.major} is too old: {POSTGRESQL_MIN} or newer is needed")
    available = await connection.fetchval(query("postgis_version_available"))
    if available is None:
        raise DatabaseError(
            "this PostgreSQL server has no PostGIS: install its package, for example postgresql-15-postgis-3"
        )
    if tuple(int(part) for part in available.split(".")[:2]) < POSTGIS_MIN:
        raise DatabaseTooOld(f"PostGIS {available} is too old: {'.'.join(map(str, POSTGIS_MIN))} or newer is needed")
    # asyncpg reads 15.18 as 15, 0, 18
    return f"{server.major}.{server.micro}", available


def checksum(script: str) -> str:
    """What tells that an applied migration was edited afterwards."""
    return hashlib.sha256(script.encode()).hexdigest()


async def migrate(dsn: str, files: Sequence[Path] | None = None) -> list[str]:
    """Apply the migrations that are missing, each in its own transaction; returns their names.

    Two processes at once are safe (one waits, then finds nothing to do). A migration that changed after it was applied
    is refused: SchemaMismatch. A login that may not do it gets a DatabaseError that says what an administrator runs;
    when nothing is missing, any login will do.
    """
    async with explained("migrating"):
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "panofed migration"})
    try:
        async with explained("migrating"):
            await check_versions(connection)
            await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
            return await _apply_missing(connection, sql_files("migrations") if files is None else files)
    except asyncpg.InsufficientPrivilegeError as error:
        ((login, database),) = await connection.fetch(query("who_and_where"))
        raise DatabaseError(
            f"migrating: the login {login} may not do this ({error}). Run once as an administrator of that server, in "
            f"the database {database}: CREATE EXTENSION IF NOT EXISTS postgis; ALTER DATABASE {database} OWNER TO "
            f"{login}; ALTER ROLE {login} CREATEROLE; or migrate as the administrator (PANOFED_DATABASE_URL with that "
            f"login, `panofed db migrate`), and then run: GRANT panofed TO {login};"
        ) from error
    finally:
        await connection.close()


async def _apply_missing(connection: asyncpg.Connection, files: Sequence[Path]) -> list[str]:
    if not await connection.fetchval(query("migrations_table_is_there")):
        await connection.execute(query("create_migrations_table"))
    applied: dict[str, str] = {r["name"]: r["checksum"] for r in await connection.fetch(query("applied_migrations"))}
    unknown = sorted(set(applied) - {path.stem for path in files})
    if unknown:
        raise SchemaMismatch(f"the database was migrated by a newer version of panofed: it has {', '.join(unknown)}")
    done = []
    for path in files:
        script = path.read_text(encoding="utf-8")
        if path.stem in applied:
            if applied[path.stem] != checksum(script):
                raise SchemaMismatch(f"migration {path.stem} was changed after it was applied")
            continue
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(query("record_migration"), path.stem, checksum(script))
        done.append(path.stem)
    return done


async def check_schema(connection: Connection) -> None:
    """SchemaMismatch when migrations are missing, with what to do."""
    wanted = {path.stem for path in sql_files("migrations")}
    try:
        applied = {row["name"] for row in await connection.fetch(query("applied_migrations"))}
    except asyncpg.UndefinedTableError:
        applied = set()
    if wanted - applied:
        raise SchemaMismatch(f"the database lacks {', '.join(sorted(wanted - applied))}: run `panofed db migrate`")


def rows_of(status: str) -> int:
    """How many rows a command touched, from its status line.

    >>> rows_of("INSERT 0 42")
    42
    """
    return int(status.rsplit(" ", 1)[-1])


Row = asyncpg.Record
Json = dict[str, Any]

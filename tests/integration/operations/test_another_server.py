"""PANOFED_DATABASE_URL: a server reached by TCP and password, whose login is no superuser."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from catalog_api.app import build_app
from federation.database import Role, connect, migrate, open_pool
from federation.errors import DatabaseError
from harvester.compact import compact
from harvester.split import split_leaves
from panofed.cluster import Cluster
from panofed.cluster.client import with_database
from tests.integration.operations.conftest import desk_of, quick_settings
from tests.integration.operations.serving import answering
from tests.origin import Origin

PASSWORD = "p@ss/word"
_SCHEMA_ROLES = ("panofed_reader", "panofed_operator", "panofed_writer", "panofed_owner", "panofed")


class Server:
    """The server, as its administrator sees it: databases and logins are made at will."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def run(self, *statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.cluster.dsn(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def url(self, login: str, database: str, password: str = PASSWORD) -> str:
        port = self.cluster.config.port
        return f"postgresql://{login}:{password.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{port}/{database}"

    async def clear(self) -> None:
        """Without databases and roles of an earlier test."""
        connection = await asyncpg.connect(self.cluster.dsn("postgres"))
        try:
            for (name,) in await connection.fetch("SELECT datname FROM pg_database WHERE datname ~ '^index'"):
                await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            for role in (*_SCHEMA_ROLES, "somebody", "worker"):
                await connection.execute(f"DROP ROLE IF EXISTS {role}")
        finally:
            await connection.close()


@pytest.fixture
async def server(own_cluster: Cluster) -> AsyncIterator[Server]:
    server = Server(own_cluster)
    await server.clear()
    yield server
    await server.clear()


def panofed(url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PANOFED_DATABASE_URL": url, **more}
    command = [sys.executable, "-m", "panofed", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def works(url: str, admin_url: str) -> None:
    """Harvesting, splitting, rebuilding indexes and serving, all by this login."""
    async with desk_of(url, admin_dsn=admin_url, leaf_max_pictures=1000) as desk, Origin() as origin:
        for n in range(10):
            origin.add_sequence(150, at=(2.35, 44.80 + n / 2))
        await desk.register(origin)
        progress = await desk.visit()
        assert progress.outcome == "done", progress.last_error
        assert await split_leaves(desk.pool, desk.settings)
        assert await desk.check() == 1500
        assert await compact(url, desk.settings.model_copy(update={"compact_min_pictures": 1})) != []
        async with (
            answering(build_app(desk.settings, url)) as base,
            httpx2.AsyncClient(base_url=base, timeout=20) as client,
        ):
            for picture in list(origin.visible())[::300]:
                assert (await client.get(f"/api/pictures/{picture}")).status_code == 200
            assert (await client.get("/api/live")).status_code == 200


async def test_an_owner_who_may_create_roles_does_everything(server: Server) -> None:
    """What docs/operating.md asks for, and nothing more; the extension needs the administrator."""
    await server.run(
        f"CREATE ROLE somebody LOGIN CREATEROLE PASSWORD '{PASSWORD}'", "CREATE DATABASE index_own OWNER somebody"
    )
    await server.run("CREATE EXTENSION postgis", database="index_own")
    await works(server.url("somebody", "index_own"), server.cluster.dsn("index_own"))


async def test_a_login_that_may_do_nothing_works_in_what_an_administrator_migrated(server: Server) -> None:
    await server.run(f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE index_given")
    await migrate(server.cluster.dsn("index_given"))
    await server.run("GRANT panofed TO worker")
    await works(server.url("worker", "index_given"), server.cluster.dsn("index_given"))


async def test_roles_stay_apart_on_another_server(server: Server) -> None:
    """The login may do what its roles may; a connection as the reader may not write."""
    await server.run(f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE index_given")
    await migrate(server.cluster.dsn("index_given"))
    await server.run("GRANT panofed TO worker")
    reader = await connect(server.url("worker", "index_given"), Role.READER, quick_settings())
    try:
        assert await reader.fetchval("SELECT current_user") == "panofed_reader"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("DELETE FROM instances")
    finally:
        await reader.close()


@pytest.mark.parametrize("missing", ["roles", "extension"])
async def test_a_login_without_the_rights_is_told_what_an_administrator_runs(server: Server, missing: str) -> None:
    await server.run(f"CREATE ROLE somebody LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE index_own OWNER somebody")
    if missing == "extension":
        await server.run("ALTER ROLE somebody CREATEROLE")
    else:
        await server.run("CREATE EXTENSION postgis", database="index_own")
    url = server.url("somebody", "index_own")
    done = await asyncio.to_thread(panofed, url, "db", "migrate")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for words in ("the login somebody may not do this", "permission denied to create", "as an administrator"):
        assert words in done.stderr
    # what it says is enough
    said = done.stderr.partition("in the database index_own: ")[2].partition("; or migrate")[0]
    statements = said.replace("\n", " ").split(";")
    assert [" ".join(each.split()[:2]) for each in statements] == ["CREATE EXTENSION", "ALTER DATABASE", "ALTER ROLE"]
    await server.run(*statements, database="index_own")
    assert await migrate(url) != []


async def test_the_command_line_harvests_there(server: Server, tmp_path: Path) -> None:
    await server.run(
        f"CREATE ROLE somebody LOGIN CREATEROLE PASSWORD '{PASSWORD}'", "CREATE DATABASE index_own OWNER somebody"
    )
    await server.run("CREATE EXTENSION postgis", database="index_own")
    async with Origin() as origin:
        origin.add_sequence(5)
        entry = {"id": "north", "name": "north", "url": origin.url, "enabled": True}
        (tmp_path / "instances.yaml").write_text(json.dumps({"instances": [entry]}))
        done = await asyncio.to_thread(
            panofed,
            server.url("somebody", "index_own"),
            "harvest",
            "--once",
            PANOFED_INSTANCES_FILE=str(tmp_path / "instances.yaml"),
            PANOFED_DATA_DIR=str(tmp_path / "data"),
            PANOFED_OUTBOUND_ALLOW_LOOPBACK="true",
            PANOFED_OUTBOUND_ALLOW_HTTP="true",
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 new or changed" in done.stdout
    assert not (tmp_path / "data").exists(), "no private cluster beside it"


@pytest.mark.parametrize(
    ("password", "database", "words"),
    [
        ("wrong", "index_own", "refuses this login .*password authentication failed"),
        (PASSWORD, "index_of_nobody", 'refuses this login .*"index_of_nobody" does not exist'),
    ],
)
async def test_a_wrong_address_is_said(server: Server, password: str, database: str, words: str) -> None:
    await server.run(f"CREATE ROLE somebody LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE index_own OWNER somebody")
    url = server.url("somebody", database, password)
    with pytest.raises(DatabaseError, match=words):
        await migrate(url)
    with pytest.raises(DatabaseError, match=words):
        async with open_pool(url, Role.READER, quick_settings()):
            pass
    with pytest.raises(DatabaseError, match="does not answer"):
        await migrate(with_database("postgresql://somebody@127.0.0.1:1/x", database))

"""Dump, restore and upgrade: never half a result, and never the old data gone before the new is complete."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from federation.database import migrate
from federation.errors import ClusterError
from panofed.cluster import Cluster
from panofed.cluster.archive import dump, restore
from panofed.cluster.binaries import find_binaries
from panofed.cluster.client import Client
from tests.integration.cluster.conftest import MakeCluster
from tests.integration.cluster.test_cluster_lifecycle import ask

EPOCH = "SELECT epoch FROM epochs"
DATABASES = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate"


@pytest.fixture
async def client(cluster: Cluster) -> Client:
    """A migrated database, `one`, with a table of three rows beside the schema."""
    cluster.ensure_database("one")
    await migrate(cluster.dsn("one"))
    made = cluster.client("one")
    made.text("CREATE TABLE mine AS SELECT n, ST_Point(n, n, 4326) AS place FROM generate_series(1, 3) n")
    return made


async def test_what_was_dumped_is_restored(client: Client, folder: Path) -> None:
    file = folder / "one.dump"
    sizes: list[int] = []
    assert dump(client, file, sizes.append) == file.stat().st_size > 0
    client.text("DROP TABLE mine")
    assert restore(client, file) == ""
    assert client.text("SELECT sum(ST_X(place)) FROM mine") == "6"
    assert client.on("postgres").text(DATABASES) == "one postgres"


async def test_a_restored_database_needs_no_migration(cluster: Cluster, client: Client, folder: Path) -> None:
    dump(client, folder / "one.dump")
    restore(client, folder / "one.dump")
    assert await migrate(cluster.dsn("one")) == []


async def test_a_restore_begins_a_new_change_epoch(client: Client, folder: Path) -> None:
    dump(client, folder / "one.dump")
    before = client.text(EPOCH)
    restore(client, folder / "one.dump")
    assert client.text(EPOCH) != before


async def test_a_dump_is_restored_into_a_cluster_that_knows_no_roles(
    client: Client, folder: Path, make_cluster: MakeCluster
) -> None:
    dump(client, folder / "one.dump")
    other = make_cluster(folder / "other/pg")
    other.ensure_running()
    other.ensure_database("one")
    restore(other.client("one"), folder / "one.dump")
    assert ask(other, "SELECT count(*) FROM mine", "one") == "3"
    assert ask(other, "SET ROLE panofed_reader; SELECT count(*) FROM instances", "one") == "0"


async def test_the_old_database_can_be_kept(client: Client, folder: Path) -> None:
    dump(client, folder / "one.dump")
    client.text("INSERT INTO mine VALUES (4)")
    kept = restore(client, folder / "one.dump", keep_old=True)
    assert client.on(kept).text("SELECT count(*) FROM mine") == "4"
    assert client.text("SELECT count(*) FROM mine") == "3"


async def test_a_restore_that_fails_leaves_the_old_database(client: Client, folder: Path) -> None:
    file = folder / "one.dump"
    dump(client, file)
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(ClusterError, match="pg_restore failed"):
        restore(client, file)
    assert client.text("SELECT count(*) FROM mine") == "3"
    assert client.on("postgres").text(DATABASES) == "one postgres"


async def test_clients_that_come_back_do_not_stop_a_restore(cluster: Cluster, client: Client, folder: Path) -> None:
    dump(client, folder / "one.dump")
    stop = asyncio.Event()
    visits = 0

    async def visit() -> None:
        nonlocal visits
        while not stop.is_set():
            process = await asyncio.create_subprocess_exec(
                *cluster.psql_command("one"), "-Xqc", "SELECT pg_sleep(0.2)", stderr=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await process.wait()
            visits += 1

    visitors = [asyncio.create_task(visit()) for _ in range(3)]
    await asyncio.to_thread(restore, client, folder / "one.dump")
    stop.set()
    await asyncio.gather(*visitors)
    assert visits
    assert client.text("SELECT count(*) FROM mine") == "3"


def test_a_dump_that_fails_leaves_the_older_file(client: Client, folder: Path) -> None:
    file = folder / "one.dump"
    file.write_text("the older one")
    with pytest.raises(ClusterError, match=r'pg_dump failed: .*"nowhere" does not exist'):
        dump(client.on("nowhere"), file)
    assert file.read_text() == "the older one"
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


@pytest.mark.parametrize(("content", "words"), [(b"SELECT 1;", "is not a dump"), (None, "There is no file")])
async def test_what_is_no_dump_is_refused(client: Client, folder: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (folder / "file").write_bytes(content)
    with pytest.raises(ClusterError, match=words):
        restore(client, folder / "file")


async def test_a_folder_that_cannot_be_written_is_named(client: Client) -> None:
    with pytest.raises(ClusterError, match="/proc/self cannot be written to"):
        dump(client, Path("/proc/self/one.dump"))


async def test_an_upgrade_moves_everything_and_keeps_the_old_data(cluster: Cluster, client: Client) -> None:
    client.text("ALTER DATABASE one SET work_mem = '7MB'; CREATE ROLE somebody LOGIN")
    before = client.text(EPOCH)
    kept = cluster.upgrade(find_binaries())
    assert kept is not None
    assert (kept / "PG_VERSION").exists()
    assert cluster.status().state == "running"
    assert ask(cluster, "SELECT count(*) FROM mine", "one") == "3"
    assert ask(cluster, "SHOW work_mem", "one") == "7MB"
    assert ask(cluster, "SELECT count(*) FROM pg_roles WHERE rolname = 'somebody'") == "1"
    assert ask(cluster, EPOCH, "one") != before


async def test_an_upgrade_that_fails_leaves_the_old_data(cluster: Cluster, client: Client) -> None:
    client.text("CREATE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    client.text("CREATE TABLE odd (n int CHECK (n > broken())); INSERT INTO odd VALUES (2)")
    client.text("CREATE OR REPLACE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT 9'")
    with pytest.raises(ClusterError, match="pg_restore failed"):
        cluster.upgrade(find_binaries())
    assert {path.name for path in cluster.status().directory.glob("data*")} == {"data"}
    cluster.ensure_running()
    assert ask(cluster, "SELECT count(*) FROM mine", "one") == "3"


def test_there_is_nothing_to_upgrade_to(cluster: Cluster) -> None:
    assert cluster.upgrade() is None
    assert cluster.status().state == "running"

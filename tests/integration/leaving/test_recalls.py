"""Files of the export that hold something withdrawn are not served from that commit on, until they are written anew."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import httpx2
import pytest
from typer.testing import CliRunner

from federation.leaving import leave
from federation.settings import load_settings
from federation.takedowns import take_down
from harvester.withdraw import finish_leaving
from panofed.cli import app
from panofed.exports.manifest import Manifest
from panofed.exports.recall import Recall, archives, drop_archives, keep_archive
from panofed.exports.write import Export
from tests.harvest_world import World
from tests.tile_world import Serving

Writing = Callable[..., Any]
#: Each in a leaf of its own.
HERE, THERE = (2.35, 48.85), (-120.0, 38.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data/exports"


@pytest.fixture
def write(database: str, folder: Path) -> Writing:
    async def run(**options: Any) -> Manifest:
        settings = load_settings(public_url="http://catalog.example")
        return await asyncio.to_thread(Export(settings=settings, dsn=database, folder=folder, **options).write)

    return run


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving() as client:
        yield client


async def served(client: httpx2.AsyncClient) -> tuple[bool, dict[str, int]]:
    """Whether the manifest says that it is complete, and the status of each of its files."""
    manifest = (await client.get("/api/exports")).json()
    names = [file["file"] for file in manifest["files"]]
    return manifest["complete"], {name: (await client.get(f"/api/exports/{name}")).status_code for name in names}


def ids_in(folder: Path) -> set[str]:
    with duckdb.connect() as database:
        rows = database.execute(f"SELECT id FROM read_parquet('{folder}/*.parquet')").fetchall()
    return {row[0] for row in rows}


async def test_a_takedown_takes_the_files_that_have_it_out_until_they_are_written_anew(
    world: World, client: httpx2.AsyncClient, write: Writing, folder: Path
) -> None:
    north = await world.origin("north")
    here = north.add_sequence(4, at=HERE)
    north.add_sequence(3, at=THERE)
    await world.good_visit("north")
    before = await write()
    assert (await served(client))[0] and len(before.files) == 2
    with_it, without = sorted(before.files, key=lambda file: -file.pictures)
    await take_down(world.admin, "picture", UUID(here.pictures[1].id), "asked for", "token 1")
    complete, files = await served(client)
    assert (complete, files) == (False, {without.file: 200})
    whoever_knows_its_name = await client.get(f"/api/exports/{with_it.file}")
    assert whoever_knows_its_name.status_code == 404
    again = await client.get(f"/api/exports/{with_it.file}", headers={"if-none-match": "*"})
    assert again.status_code == 404
    await write()
    complete, files = await served(client)
    assert complete and sorted(files.values()) == [200, 200] and with_it.file not in files
    assert ids_in(folder) == {id for id in north.visible() if id != here.pictures[1].id}


async def test_what_an_instance_that_leaves_had_is_in_no_file_before_it_is_deleted(
    world: World, client: httpx2.AsyncClient, write: Writing, folder: Path
) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    north.add_sequence(4, at=HERE)
    south.add_sequence(3, at=(HERE[0], HERE[1] + 0.001))
    south.add_sequence(2, at=THERE)
    await world.good_visit("north")
    await world.good_visit("south")
    await write()
    number = await world.admin.fetchval("SELECT n FROM instances WHERE name = 'north'")
    assert await leave(world.admin, number, "token 1")
    complete, files = await served(client)
    assert (complete, len(files)) == (False, 1)
    # it is still there, and not written
    await write()
    assert ids_in(folder) == set(south.visible())
    assert (await served(client))[0]
    await finish_leaving(world.dsn, world.pool, number, world.settings)
    await write()
    assert ids_in(folder) == set(south.visible())


async def test_the_leaf_of_a_recall_may_be_split_by_then(
    world: World, client: httpx2.AsyncClient, write: Writing
) -> None:
    north = await world.origin("north")
    here = north.add_sequence(4, at=HERE)
    await world.good_visit("north")
    (file,) = (await write()).files
    await take_down(world.admin, "picture", UUID(here.pictures[0].id), "asked for", "token 1")
    await world.admin.execute("UPDATE recalls SET cells = ARRAY[h3_parent($1, 3)]", await finest(world))
    assert (await client.get(f"/api/exports/{file.file}")).status_code == 404
    await world.admin.execute("UPDATE recalls SET cells = ARRAY[$1::bigint]", 0x83280CFFFFFFFFF)
    assert (await client.get(f"/api/exports/{file.file}")).status_code == 200


async def finest(world: World) -> int:
    return int(await world.admin.fetchval("SELECT h3 FROM pictures LIMIT 1"))


async def test_who_writes_at_a_period_writes_at_once_after_a_recall(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("panofed.exports.recall._LOOK_S", 0.05)
    north = await world.origin("north")
    sequence = north.add_sequence(2, at=HERE)
    await world.good_visit("north")
    recall = Recall(load_settings(), world.dsn)
    assert not await asyncio.to_thread(recall.is_new)
    woken = threading.Event()

    def wait() -> None:
        recall.wait(600)
        woken.set()

    waiting = asyncio.create_task(asyncio.to_thread(wait))
    await asyncio.sleep(0.3)
    assert not woken.is_set()
    await take_down(world.admin, "picture", UUID(sequence.pictures[0].id), "asked for", "token 1")
    await asyncio.wait_for(waiting, 20)
    assert await asyncio.to_thread(recall.is_new)
    assert not await asyncio.to_thread(recall.is_new)


def test_archives_that_do_not_know_of_a_recall_are_deleted(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    old, new, gone = (tmp_path / name for name in ("old.pmtiles", "new.pmtiles", "gone.pmtiles"))
    for recall, file in enumerate((old, new, gone), 1):
        file.write_bytes(b"tiles")
        keep_archive(settings, file, recall)
    gone.unlink()
    assert drop_archives(settings, 2) == [old]
    assert (old.exists(), new.exists()) == (False, True)
    assert archives(settings) == {str(new): 2}
    assert drop_archives(settings, 2) == []


async def test_the_check_up_names_an_archive_that_holds_what_was_withdrawn(world: World, tmp_path: Path) -> None:
    north = await world.origin("north")
    sequence = north.add_sequence(2, at=HERE)
    await world.good_visit("north")
    file = tmp_path / "map.pmtiles"
    file.write_bytes(b"tiles")
    settings = {"data_dir": tmp_path / "data", "database_url": world.dsn}
    keep_archive(load_settings(**settings), file, 0)
    env = {f"PANOFED_{name.upper()}": str(value) for name, value in settings.items()}

    async def told() -> str:
        return (await asyncio.to_thread(CliRunner().invoke, app, ["doctor"], env=env | {"COLUMNS": "300"})).output

    assert "1 archive of the map, nothing withdrawn" in await told()
    await take_down(world.admin, "picture", UUID(sequence.pictures[0].id), "asked for", "token 1")
    assert f"{file} holds what was withdrawn since" in await told()

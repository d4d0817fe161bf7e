"""The catalog as STAC-GeoParquet: what other programs read from it is what the catalog serves, and only that."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import httpx2
import pytest

from federation.cells import cell_box, children
from federation.errors import ConfigurationError, ExportError
from federation.queries import query
from federation.settings import load_settings
from harvester.split import _Key, _move_batch
from panofed.exports.manifest import Manifest, read_manifest
from panofed.exports.write import Export, Report
from tests.catalog_factory import Factory, Serving, Shot, Stored, line
from tests.mirror import Mirror
from tests.origin import eventually

MOMENT = datetime(2024, 5, 2, 9, 0, 0, 123457, tzinfo=UTC)
CHANGED = "INSERT INTO changes (instance, sequence, kind, bbox_before, bbox_after) VALUES (1, $1, 'upsert', $2, $2)"


#: Writes the export into a folder, with options of `Export`.
Writing = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def write(database: str, folder: Path) -> Writing:
    async def run(**options: Any) -> Manifest:
        settings = load_settings(public_url="http://catalog.example", export_row_group=500)
        # a program of its own, with its own event loop
        return await asyncio.to_thread(Export(settings=settings, dsn=database, folder=folder, **options).write)

    return run


def rows_of(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    """What DuckDB reads from all files together."""
    with duckdb.connect() as database:
        return database.execute(f"SELECT {columns} FROM read_parquet('{folder}/*.parquet') ORDER BY id").fetchall()


def files_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.parquet"))


async def spread(factory: Factory) -> list[Stored]:
    """Sequences in two leaves; one has pictures in both."""
    here = await factory.sequence(line(2.0, 48.0, 30, start=MOMENT))
    there = await factory.sequence(line(-120.0, 38.0, 20), instance="south")
    across = await factory.sequence([*line(2.1, 48.0, 2), *line(-119.0, 38.0, 2)])
    return [here, there, across]


async def test_duckdb_reads_every_served_picture_with_its_place_time_and_provider(
    factory: Factory, write: Writing, folder: Path
) -> None:
    stored = await spread(factory)
    hidden = await factory.sequence([Shot(longitude=2.0, latitude=48.0, served=False)], instance="south")
    manifest = await write()
    items = {id: item for each in stored for id, item in each.items.items()}
    assert sum(file.pictures for file in manifest.files) == len(items)
    assert len(manifest.files) == 2
    columns = (
        'id, collection, geometry, datetime, providers, license, "panofed:instance", bbox, "view:azimuth",'
        " exif->>'$.\"Exif.Image.Make\"', assets.hd.href, links, semantics"
    )
    found = rows_of(folder, columns)
    assert [row[0] for row in found] == sorted(items)
    assert not set(hidden.items) & {row[0] for row in found}
    for id, collection, _, when, providers, license, instance, bbox, azimuth, make, href, links, semantics in found:
        item = items[id]
        assert collection == item["collection"]
        assert when == datetime.fromisoformat(item["properties"]["datetime"])
        assert [(each["name"], each["roles"]) for each in providers] == [("alice", ["producer"])]
        assert (license, instance) == ("etalab-2.0", "south" if collection == stored[1].id else "north")
        assert [bbox["xmin"], bbox["ymin"]] == item["geometry"]["coordinates"]
        assert (azimuth, make, href) == (90, "GoPro", item["assets"]["hd"]["href"])
        assert {link["rel"] for link in links} == {"self", "via", "license"}
        assert semantics == [{"key": "camera_support", "value": "car"}]


async def test_geopandas_reads_points_in_longitude_and_latitude_and_dates(
    factory: Factory, write: Writing, folder: Path
) -> None:
    stored = await spread(factory)
    await write()
    items = {id: item for each in stored for id, item in each.items.items()}
    seen = 0
    for path in files_in(folder):
        frame = geopandas.read_parquet(path)
        assert frame.crs.to_string() == "OGC:CRS84"
        assert str(frame["datetime"].dtype) == "datetime64[us, UTC]"
        for row in frame.itertuples():
            assert [row.geometry.x, row.geometry.y] == items[row.id]["geometry"]["coordinates"]
            assert row.datetime.to_pydatetime() == datetime.fromisoformat(items[row.id]["properties"]["datetime"])
            assert row.providers[0]["name"] == "alice"
            seen += 1
    assert seen == len(items)


async def test_every_file_has_the_same_columns_and_small_row_groups(
    factory: Factory, write: Writing, folder: Path
) -> None:
    await factory.sequence([Shot(longitude=2.0, latitude=48.0, azimuth=None, field_of_view=None)])
    await factory.sequence(line(-120.0, 38.0, 1_300))
    await write()
    shapes = set()
    groups = {}
    with duckdb.connect() as database:
        for path in files_in(folder):
            shape = database.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
            shapes.add(tuple((name, kind) for name, kind, *_ in shape))
            (count, groups[path]) = database.execute(
                f"SELECT num_rows, num_row_groups FROM parquet_file_metadata('{path}')"
            ).fetchone() or (0, 0)
            assert count in (1, 1_300)
    assert len(shapes) == 1
    assert sorted(groups.values()) == [1, 3]


async def test_what_has_no_column_is_kept_beside(factory: Factory, write: Writing, folder: Path) -> None:
    odd = {"future:thing": {"a": [1, {"b": None}]}, "view:azimuth": "north", "collection": {"semantics": []}}
    await factory.sequence([Shot(longitude=2.0, latitude=48.0, azimuth=None, properties=odd)])
    await write()
    ((azimuth, more),) = rows_of(folder, '"view:azimuth", "panofed:more"')
    assert azimuth is None
    assert json.loads(more)["properties"] == odd


async def test_the_manifest_names_every_file_with_its_checksum(factory: Factory, write: Writing, folder: Path) -> None:
    await spread(factory)
    manifest = await write()
    assert read_manifest(folder / "manifest.json") == manifest
    assert manifest.complete
    assert {path.name for path in files_in(folder)} == {file.file for file in manifest.files}
    for file in manifest.files:
        content = (folder / file.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)


async def readable(factory: Factory) -> None:
    """Wait until the feed may tell everything that is committed."""

    async def there() -> bool:
        held = "SELECT count(*) FROM changes WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())"
        return bool(await factory.connection.fetchval(held) == 0)

    await eventually(there, within_s=30)


async def change(factory: Factory, stored: Stored, box: list[float]) -> None:
    await factory.connection.execute(CHANGED, stored.id, box)
    await readable(factory)


async def test_only_leaves_that_changed_are_written_anew(factory: Factory, write: Writing, folder: Path) -> None:
    here, there, _ = await spread(factory)
    first = await write()
    assert (await write()).files == first.files
    await factory.connection.execute("DELETE FROM pictures WHERE sequence = $1", there.n)
    await change(factory, there, [-120.0, 38.0, -119.9, 38.0])
    written: list[str] = []
    second = await write(report=Report(on_leaf=written.append))
    kept = set(first.files) & set(second.files)
    assert (len(kept), len(written), len(second.files)) == (1, 1, 2)
    assert not set(there.items) & {row[0] for row in rows_of(folder, "id")}, "what was taken back is not there"
    assert {path.name for path in files_in(folder)} == {file.file for file in second.files}
    assert set(here.items) <= {row[0] for row in rows_of(folder, "id")}


async def test_a_leaf_that_lost_its_last_picture_has_no_file(factory: Factory, write: Writing, folder: Path) -> None:
    _, there, across = await spread(factory)
    await write()
    for each in (there, across):
        await factory.connection.execute("DELETE FROM pictures WHERE sequence = $1", each.n)
        await change(factory, each, [-120.0, 38.0, 2.2, 48.0])
    manifest = await write()
    assert len(manifest.files) == 1
    assert len(files_in(folder)) == 1


async def test_everything_is_written_anew_when_the_feed_does_not_reach_back(factory: Factory, write: Writing) -> None:
    await spread(factory)
    await write()
    await factory.connection.execute("SELECT restore_epoch()")
    written: list[str] = []
    await write(report=Report(on_leaf=written.append))
    assert len(written) == 2


async def test_an_instance_with_another_name_stands_under_it_everywhere(
    factory: Factory, write: Writing, folder: Path
) -> None:
    await spread(factory)
    await write()
    await factory.connection.execute("UPDATE instances SET name = 'renamed' WHERE name = 'north'")
    await write()
    assert {row[0] for row in rows_of(folder, '"panofed:instance"')} == {"renamed", "south"}


async def test_an_export_that_was_cut_off_goes_on_and_readers_see_the_one_before(
    factory: Factory, write: Writing, folder: Path
) -> None:
    await spread(factory)
    first = await write()
    await factory.connection.execute("UPDATE instances SET name = 'renamed' WHERE name = 'north'")

    done: list[str] = []

    def stop(leaf: str) -> None:
        done.append(leaf)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await write(report=Report(on_leaf=stop))
    assert read_manifest(folder / "manifest.json") == first
    assert all((folder / file.file).is_file() for file in first.files)
    rest: list[str] = []
    manifest = await write(report=Report(on_leaf=rest.append))
    assert (len(done), len(rest), set(done) & set(rest)) == (1, 1, set())
    assert manifest.complete and not (folder / "partial.json").exists()


async def test_a_failure_of_the_index_is_told_and_leaves_no_half_file(
    factory: Factory, write: Writing, folder: Path
) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 5))
    await factory.connection.execute("UPDATE pictures SET dictionary = 99 WHERE sequence = $1", stored.n)
    with pytest.raises(Exception, match="compressed anew"):
        await write()
    assert not files_in(folder) and not (folder / "manifest.json").exists()


async def test_files_of_leaves_that_changed_can_go_at_once(factory: Factory, write: Writing, folder: Path) -> None:
    _, there, _ = await spread(factory)
    await write()
    await change(factory, there, [-120.0, 38.0, -119.9, 38.0])
    present: list[int] = []
    await write(drop_stale=True, report=Report(on_start=lambda *_: present.append(len(files_in(folder)))))
    assert present == [1]
    assert len(files_in(folder)) == 2


async def test_one_leaf_alone_leaves_the_others_and_their_token(factory: Factory, write: Writing) -> None:
    here, there, _ = await spread(factory)
    first = await write()
    await change(factory, here, [2.0, 48.0, 2.1, 48.0])
    await change(factory, there, [-120.0, 38.0, -119.9, 38.0])
    written: list[str] = []
    one = first.files[0].leaf
    second = await write(only=frozenset({one}), report=Report(on_leaf=written.append))
    assert written == [one]
    assert (second.token, second.complete, len(second.files)) == (first.token, True, 2)
    with pytest.raises(ConfigurationError, match="no such leaf"):
        await write(only=frozenset({"abc"}))


async def test_two_exports_do_not_share_a_folder(factory: Factory, write: Writing) -> None:
    await spread(factory)
    refused: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def hold(*_: int) -> None:
        entered.set()
        leave.wait(20)

    first = asyncio.create_task(write(report=Report(on_start=hold)))
    await asyncio.to_thread(entered.wait, 20)
    try:
        await write()
    except ExportError as error:
        refused.append(str(error))
    leave.set()
    await first
    assert refused and "another export" in refused[0]


async def test_a_leaf_that_splits_while_it_is_written_is_written_once(
    factory: Factory, write: Writing, folder: Path
) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 40, step_deg=0.2))

    def split(*_: int) -> None:
        asyncio.run_coroutine_threadsafe(half_split(factory), loop).result(20)

    loop = asyncio.get_running_loop()
    await write(report=Report(on_start=split))
    assert [row[0] for row in rows_of(folder, "id")] == sorted(stored.items)


async def half_split(factory: Factory) -> None:
    """Some pictures are with the children already, some are not."""
    (cell,) = [row["cell"] for row in await factory.connection.fetch("SELECT cell FROM leaves")]
    boxes = [{"cell": child} | asdict(cell_box(child)) for child in children(cell)]
    await factory.connection.execute(query("begin_split"), cell, json.dumps(boxes))
    assert await _move_batch(factory.connection, cell, _Key(), 15) is not None


async def test_the_export_and_the_feed_from_its_token_are_the_catalog(
    factory: Factory, write: Writing, folder: Path, serving: Serving
) -> None:
    here, *_ = await spread(factory)
    manifest = await write()
    new = await factory.sequence(line(2.2, 48.0, 3))
    await change(factory, new, [2.2, 48.0, 2.3, 48.0])
    await factory.connection.execute("UPDATE sequences SET served = false WHERE n = $1", here.n)
    await change(factory, here, [2.0, 48.0, 2.1, 48.0])
    async with serving() as client:
        whole = Mirror(client)
        await whole.begin()
        mirror = Mirror(client, token=manifest.token)
        for id, collection in rows_of(folder, "id, collection"):
            mirror.sequences.setdefault(collection, {})[id] = {}
        await mirror.follow(100)
        assert {name: set(pictures) for name, pictures in mirror.sequences.items()} == {
            name: set(pictures) for name, pictures in whole.sequences.items()
        }


async def test_files_are_served_whole_and_in_ranges(
    factory: Factory, write: Writing, folder: Path, serving: Serving
) -> None:
    await spread(factory)
    async with serving(exports_dir=str(folder)) as client:
        assert (await client.get("/api/exports")).status_code == 404
        manifest = await write()
        assert (await client.get("/api/exports")).json() == json.loads((folder / "manifest.json").read_bytes())
        file = manifest.files[0]
        path, content = f"/api/exports/{file.file}", (folder / file.file).read_bytes()
        whole = await client.get(path)
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["content-type"] == "application/vnd.apache.parquet"
        for header, part in (("bytes=0-3", content[:4]), ("bytes=-8", content[-8:]), ("bytes=10-", content[10:])):
            answer = await client.get(path, headers={"range": header})
            assert (answer.status_code, answer.content) == (206, part)
            assert answer.headers["content-range"].endswith(f"/{len(content)}")
        assert (await client.get(path, headers={"range": f"bytes={len(content)}-"})).status_code == 416
        again = await client.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await client.head(path)
        assert (head.headers["content-length"], head.content) == (str(len(content)), b"")
        for wrong in ("nothing.parquet", "..%2Fmanifest.json", ".lock", "0-0000000000000000.parquet", "partial.json"):
            assert (await client.get(f"/api/exports/{wrong}")).status_code == 404


async def test_who_missed_changes_is_shown_the_export_that_leads_on(
    factory: Factory, write: Writing, folder: Path, serving: Serving
) -> None:
    stored = await spread(factory)
    async with serving(exports_dir=str(folder)) as client:
        old = (await client.get("/api/changes", params={"since": "now"})).json()["next"]
        await change(factory, stored[0], [2.0, 48.0, 2.1, 48.0])
        manifest = await write()
        await factory.connection.execute(
            "WITH gone AS (DELETE FROM changes RETURNING xid, n) UPDATE epochs SET (purged_xid, purged_n) ="
            " (SELECT xid, n FROM gone ORDER BY xid DESC, n DESC LIMIT 1)"
        )
        answer = await client.get("/api/changes", params={"since": old})
        assert answer.status_code == 410
        export = answer.json()["details"]["export"]
        assert export["token"] == manifest.token
        assert (await client.get(httpx2.URL(export["href"]).path)).status_code == 200
        assert (await client.get("/api/changes", params={"since": export["token"]})).status_code == 200


def run_panofed(database: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "panofed", *arguments], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PANOFED_DATABASE_URL": database, "COLUMNS": "200"} | environment,
    )  # fmt: skip


async def test_the_command_writes_into_the_folder_it_is_given(factory: Factory, folder: Path, database: str) -> None:
    await spread(factory)
    ended = await asyncio.to_thread(run_panofed, database, "export", "geoparquet", str(folder))
    assert ended.returncode == 0, ended.stderr
    assert "54 pictures in 2 files" in ended.stdout
    assert read_manifest(folder / "manifest.json") is not None


async def test_the_background_writer_needs_its_period(database: str) -> None:
    ended = await asyncio.to_thread(run_panofed, database, "export")
    assert ended.returncode == 1
    assert "PANOFED_EXPORT_EVERY_S" in ended.stderr


async def test_the_background_writer_writes_at_once(factory: Factory, folder: Path, database: str) -> None:
    await spread(factory)
    environment = {
        "PANOFED_DATABASE_URL": database,
        "PANOFED_EXPORTS_DIR": str(folder),
        "PANOFED_EXPORT_EVERY_S": "600",
    }
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "panofed", "export", "--with-parent", env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:

        async def written() -> bool:
            return read_manifest(folder / "manifest.json") is not None

        await eventually(written, within_s=60)
    finally:
        assert program.stdin is not None
        program.stdin.close()
        # it ends with the one that started it
        await asyncio.wait_for(program.wait(), 20)

"""A tile is never older than the index: not after a deletion, not from the cache, not when one was made meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import zstandard

from catalog_api.state import open_catalog
from catalog_api.tiles.address import Tile
from catalog_api.tiles.content import Map, Wanted, content_of
from federation.database import Connection
from federation.settings import load_settings
from harvester.fold import fold
from tests.index_world import Index
from tests.tile_world import ALICE, Cartographer, Serving, features, layers_of, street

#: Where the streets of these tests are, and other tiles far away.
HERE = {z: f"{z}/{x}/{y}" for z, x, y in ((0, 0, 0), (6, 32, 22), (9, 259, 176), (13, 4149, 2818), (15, 16598, 11272))}
FAR = "6/10/40"
PLACES = street(2.3514, 48.8600, 12)


async def etag_of(client: httpx2.AsyncClient, path: str) -> str:
    return str((await client.get(f"/api/{path}")).headers["etag"])


def everything(tile: str) -> list[str]:
    """The paths of a tile on every map."""
    return [f"map/{tile}.mvt", f"map/2/{tile}.mvt", f"users/{ALICE}/map/{tile}.mvt"]


async def test_a_hidden_sequence_leaves_every_tile_with_its_commit(
    client: httpx2.AsyncClient, map: Cartographer, index: Index
) -> None:
    number, hidden = await map.street(PLACES)
    _, stays = await map.street(street(2.3516, 48.8603, 5))
    before = {path: await etag_of(client, path) for tile in HERE.values() for path in everything(tile)}
    # folding changes no version but that of what shows the scale
    await fold(index.pool, index.settings)
    assert [path for path, etag in before.items() if await etag_of(client, path) != etag] == [
        f"map/{HERE[0]}.mvt",
        f"map/{HERE[6]}.mvt",
    ]
    await map.remove(number)
    for path, etag in before.items():
        answer = await client.get(f"/api/{path}", headers={"If-None-Match": etag})
        assert answer.status_code == 200, path
        assert hidden.encode() not in answer.content, path
    for tile in (HERE[9], HERE[15]):
        ids = [each["properties"]["id"] for each in features(await layers_of(client, f"map/{tile}.mvt"), "sequences")]
        assert ids == [stays]
    shown = features(await layers_of(client, f"map/2/{HERE[15]}.mvt"), "grid")
    assert sum(each["properties"]["nb_pictures"] for each in shown) == 5
    assert len(features(await layers_of(client, f"map/{HERE[15]}.mvt"), "pictures")) == 5


async def test_a_change_elsewhere_leaves_a_tile_as_it_is(client: httpx2.AsyncClient, map: Cartographer) -> None:
    number, id = await map.street(PLACES)
    paths = [f"map/{FAR}.mvt", "map/13/4000/2818.mvt", "map/15/16500/11272.mvt"]
    before = [await etag_of(client, path) for path in paths]
    here = await etag_of(client, f"map/{HERE[15]}.mvt")
    await map.rewrite(number, id, PLACES[:6])
    assert [await etag_of(client, path) for path in paths] == before
    assert await etag_of(client, f"map/{HERE[15]}.mvt") != here


async def test_an_unchanged_tile_is_told_by_304(client: httpx2.AsyncClient, map: Cartographer) -> None:
    await map.street(PLACES)
    first = await client.get(f"/api/map/{HERE[15]}.mvt")
    assert first.headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert first.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    assert first.headers["access-control-allow-origin"] == "*"
    again = await client.get(f"/api/map/{HERE[15]}.mvt", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    empty = await client.get(f"/api/map/{FAR}.mvt")
    assert (empty.status_code, empty.content) == (204, b"")


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip", "identity"])
async def test_every_coding_is_of_the_same_tile(client: httpx2.AsyncClient, map: Cartographer, coding: str) -> None:
    await map.street(street(2.3514, 48.8600, 60))
    path = f"/api/map/{HERE[15]}.mvt"
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    for _ in range(2):
        answer = await client.get(path, headers={"Accept-Encoding": coding})
        assert answer.headers.get("content-encoding", "identity") == coding
        # the client unpacks what it knows
        body = zstandard.decompress(answer.content) if coding == "zstd" else answer.content
        assert body == plain.content


async def test_a_slow_fill_that_a_deletion_overtakes_is_not_kept(
    map: Cartographer, index: Index, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, hidden = await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    async with open_catalog(load_settings(data_dir=tmp_path), database) as catalog:
        tiles = catalog.tiles
        read, resume = asyncio.Event(), asyncio.Event()

        async def slowly(*_: object) -> bytes:
            body = await content_of(tiles.index, tiles.outlines, wanted)
            read.set()
            await resume.wait()
            return body

        monkeypatch.setattr("catalog_api.tiles.tiles.content_of", slowly)
        before = await tiles.version(wanted)
        filling = asyncio.create_task(tiles.get(wanted, before))
        await read.wait()
        await map.remove(number)
        resume.set()
        old = await filling
        assert hidden.encode() in (await old.body(None))[0]
        monkeypatch.undo()
        # nothing of it was kept, under either version
        assert tiles.store.held(wanted.name(), before) is None
        assert await tiles.store.kept(wanted.name(), before) is None
        after = await tiles.version(wanted)
        assert after != before
        assert (await tiles.get(wanted, after)).is_empty


async def test_a_fill_that_is_kept_too_late_is_never_shown(
    map: Cartographer, index: Index, database: str, tmp_path: Path
) -> None:
    """The worst moment: the deletion commits after the fill was found current and before it is kept."""
    number, _ = await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    async with open_catalog(load_settings(data_dir=tmp_path), database) as catalog:
        tiles = catalog.tiles
        made = await tiles.get(wanted, await tiles.version(wanted))
        await map.remove(number)
        await tiles.store.keep(wanted.name(), made)
        assert (await tiles.get(wanted, await tiles.version(wanted))).is_empty


async def test_many_who_ask_for_a_cold_tile_get_it_from_one_making(
    map: Cartographer, database: str, tmp_path: Path
) -> None:
    await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    settings = load_settings(data_dir=tmp_path)
    async with open_catalog(settings, database) as one, open_catalog(settings, database) as other:
        version = await one.tiles.version(wanted)
        asking = [catalog.tiles.get(wanted, version) for catalog in (one, other) for _ in range(40)]
        bodies = {(await made.body(None))[0] for made in await asyncio.gather(*asking)}
        assert len(bodies) == 1
        assert one.tiles.made <= 1 and other.tiles.made <= 1


async def test_one_who_leaves_does_not_stop_the_making(map: Cartographer, database: str, tmp_path: Path) -> None:
    await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    async with open_catalog(load_settings(data_dir=tmp_path), database) as catalog:
        version = await catalog.tiles.version(wanted)
        first = asyncio.create_task(catalog.tiles.get(wanted, version))
        second = asyncio.create_task(catalog.tiles.get(wanted, version))
        await asyncio.sleep(0)
        first.cancel()
        assert not (await second).is_empty
        assert catalog.tiles.made == 1


async def test_kept_tiles_outlive_a_restart(map: Cartographer, database: str, tmp_path: Path) -> None:
    await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    bodies = []
    for made in (1, 0):
        async with open_catalog(load_settings(data_dir=tmp_path), database) as catalog:
            version = await catalog.tiles.version(wanted)
            bodies.append((await (await catalog.tiles.get(wanted, version)).body(None))[0])
            assert catalog.tiles.made == made
    assert bodies[0] == bodies[1]


async def test_after_a_restore_kept_tiles_are_not_believed(
    map: Cartographer, index: Index, database: str, tmp_path: Path
) -> None:
    await map.street(PLACES)
    wanted = Wanted(Map.V1, Tile(15, 16598, 11272))
    async with open_catalog(load_settings(data_dir=tmp_path), database) as catalog:
        before = await catalog.tiles.version(wanted)
        await index.admin.execute("SELECT restore_epoch()")
        assert await catalog.tiles.version(wanted) != before


async def test_a_slow_transaction_is_not_passed_over(
    map: Cartographer, index: Index, client: httpx2.AsyncClient
) -> None:
    """One that began earlier and commits later than another makes a new version too."""
    number, _ = await map.street(PLACES)
    path = f"map/{HERE[15]}.mvt"
    seen = []

    async def while_open(_: Connection) -> None:
        # other lanes write while this transaction is under way
        other = replace(map, writer=await index.writer("south", seed=3))
        await other.street(street(2.3516, 48.8603, 5))
        seen.append(await etag_of(client, path))

    await map.writer.remove(number, before_commit=while_open)
    assert await etag_of(client, path) != seen[0]
    assert len(features(await layers_of(client, path), "pictures")) == 5


async def test_the_cache_stays_in_its_bounds(serving: Serving, map: Cartographer, tmp_path: Path) -> None:
    for row in range(8):
        await map.street(street(2.3514, 48.8600 + row * 0.0001, 60))
    bound = 60_000
    async with serving(tile_cache_bytes=bound, tile_cache_memory_bytes=5_000) as client:
        for x in range(16594, 16602):
            for y in range(11268, 11276):
                await layers_of(client, f"map/2/15/{x}/{y}.mvt")
        assert len(features(await layers_of(client, f"map/{HERE[15]}.mvt"), "pictures")) > 300
    kept = tmp_path / "data" / "tiles" / "kept.sqlite"
    assert 0 < kept.stat().st_size < 2 * bound


async def test_a_broken_file_is_begun_anew(serving: Serving, map: Cartographer, tmp_path: Path) -> None:
    await map.street(PLACES)
    kept = tmp_path / "data" / "tiles" / "kept.sqlite"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"this is no database" * 1_000)
    async with serving() as client:
        for _ in range(2):
            assert len(features(await layers_of(client, f"map/{HERE[15]}.mvt"), "pictures")) == 12
    assert kept.read_bytes().startswith(b"SQLite format 3")

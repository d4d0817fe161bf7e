"""The archive holds every tile as it is live, and goes on where it was cut off."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import httpx2
import pytest
from pmtiles.reader import MmapSource, Reader, all_tiles

from catalog_api.tiles.content import Map
from federation.errors import ExportError
from federation.settings import load_settings
from panofed.exports.archive import Archive, Progress
from tests.index_world import Index
from tests.tile_world import Cartographer, Place, decode, features, street

STREETS: list[list[Place]] = [
    street(2.3514, 48.86, 12),
    street(179.9995, -16.5, 4),
    [(179.9999, -16.5), (-179.9999, -16.5)],
    [(10.0, 89.0), (11.0, 84.5)],
]


class _CutOff(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
async def drawn(map: Cartographer) -> Cartographer:
    for places in STREETS:
        await map.street(places)
    return map


def archive(database: str, file: Path, *, map: Map = Map.V1, progress: Progress | None = None) -> Archive:
    settings = load_settings(data_dir=file.parent, pool_size=4)
    return Archive(settings=settings, dsn=database, file=file, map=map, progress=progress or Progress())


@pytest.mark.parametrize("kind", [Map.V1, Map.V2])
async def test_every_tile_of_the_archive_is_the_live_one(
    client: httpx2.AsyncClient, drawn: Cartographer, database: str, tmp_path: Path, index: Index, kind: Map
) -> None:
    written = await archive(database, tmp_path / "map.pmtiles", map=kind)._write()
    pictures = await index.admin.fetchval("SELECT count(*) FROM pictures")
    path, seen = "map/2" if kind is Map.V2 else "map", 0
    with (tmp_path / "map.pmtiles").open("rb") as file:
        source = MmapSource(file)
        tiles = {place: gzip.decompress(body) for place, body in all_tiles(source)}
        layers = {each["id"] for each in Reader(source).metadata()["vector_layers"]}
    assert layers == {"grid", "sequences", "pictures"}
    for (z, x, y), body in tiles.items():
        live = await client.get(f"/api/{path}/{z}/{x}/{y}.mvt", headers={"Accept-Encoding": "gzip"})
        assert live.content == body, (z, x, y)
        seen += len(features(decode(body), "pictures"))
    assert seen == pictures
    assert written.tiles == len(tiles) and written.compared > 50
    assert [name for name in os.listdir(tmp_path) if name.startswith("map")] == ["map.pmtiles"]


async def test_an_archive_that_was_cut_off_goes_on_with_what_is_still_current(
    drawn: Cartographer, database: str, tmp_path: Path
) -> None:
    made = 0

    def cut() -> None:
        nonlocal made
        made += 1
        if made > 60:
            raise _CutOff

    file = tmp_path / "map.pmtiles"
    with pytest.raises(_CutOff):
        await archive(database, file, progress=Progress(on_tile=cut))._write()
    assert not file.exists()
    # these are not current any more
    number, id = await drawn.street(street(2.3514, 48.861, 3))
    whole = await archive(database, file)._write()
    assert 0 < whole.kept <= made
    with file.open("rb") as opened:
        assert id.encode() in b"".join(gzip.decompress(body) for _, body in all_tiles(MmapSource(opened)))
    await drawn.remove(number)


async def test_nothing_to_write_is_said(database: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing on the map"):
        await archive(database, tmp_path / "map.pmtiles")._write()
    assert not (tmp_path / "map.pmtiles").exists()

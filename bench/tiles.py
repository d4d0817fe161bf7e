"""What tiles cost: cold ones of every zoom, in turn; kept ones and 304 under load; the densest beside raw SQL."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.database import statement
from bench.load import Measure, measure
from bench.product import Product, prepare, serving, stop, wait_until_answers
from bench.tile_world import HEXAGONS, PICTURES, SEQUENCES, fill, set_pictures
from catalog_api.tiles.mercator import across, down
from panofed.cluster import DATABASE

Places = npt.NDArray[np.float64]

#: Tiles that are asked for at each zoom: as many, chosen from all that have something, and the fullest.
TILES = 60
#: Of each zoom at least so many answers are timed: where there are fewer tiles, they are asked for again.
_ANSWERS = 20
#: Grids are measured with so many pictures and with all.
FEW_PICTURES = 100_000
_GROWTH_ZOOMS = (0, 2, 4, 6)
_ROUNDS = 5
DENSE_FROM = 1_000
_LEARNING_S = 10
#: A world that was made with other numbers is made anew.
_NEAR = 0.05
DSN, RAW = "PANOFED_BENCH_TILES_DSN", "PANOFED_BENCH_TILES_RAW"
_COLD = {"tile_cache_bytes": "0", "tile_cache_memory_bytes": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """Times and sizes of tiles of one map and zoom that nobody has asked for before; sizes as gzip."""

    map: str
    zoom: int
    tiles: int
    p50_ms: float
    p95_ms: float
    worst_ms: float
    largest_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it. `raw` are milliseconds of the better of two raw statements, `ours` of the same tiles."""

    world: dict[str, int]
    cold: tuple[Cold, ...]
    #: milliseconds of grids by map and zoom: with few pictures, with all
    growth: dict[str, tuple[float, float]]
    kept: Measure
    unchanged: Measure
    dense: dict[str, float]


def measure_tiles(product: Product) -> Report:
    """Make the world where it is not there, then measure."""
    prepare(product, ["bench"])
    world = asyncio.run(_world(product))
    if world["sequences"] < SEQUENCES or abs(world["hexagons"] / HEXAGONS - 1) > _NEAR:
        asyncio.run(fill(product))
    places = asyncio.run(_places(product))
    cold_product = replace(product, settings={**product.settings, **_COLD})
    asyncio.run(set_pictures(product, FEW_PICTURES))
    with serving(cold_product) as root:
        few = _grids(root, places)
    asyncio.run(set_pictures(product, PICTURES))
    world = asyncio.run(_world(product))
    with serving(cold_product) as root:
        many = _grids(root, places)
        cold = tuple(_cold(root, places))
        dense = _dense(product, root)
    with serving(product) as root:
        paths = [f"/map/{path}.mvt" for path in _tiles(places, 10, TILES)]
        kept, unchanged = _warm(root, paths)
    growth = {name: (few[name], many[name]) for name in few}
    return Report(world=world, cold=cold, growth=growth, kept=kept, unchanged=unchanged, dense=dense)


async def _world(product: Product) -> dict[str, int]:
    connection = await asyncpg.connect(product.cluster.dsn(DATABASE))
    try:
        row = await connection.fetchrow(statement("tiles_sums"))
        assert row is not None
        return dict(row)
    finally:
        await connection.close()


async def _places(product: Product) -> Places:
    """Where sequences begin: (across, down), from 0 to 1."""
    connection = await asyncpg.connect(product.cluster.dsn(DATABASE))
    try:
        rows = await connection.fetch("SELECT bbox[1] AS x, bbox[2] AS y FROM sequences")
    finally:
        await connection.close()
    degrees = np.array([(row["x"], row["y"]) for row in rows])
    return np.stack([across(degrees[:, 0]), down(degrees[:, 1])], axis=1)


def _tiles(places: Places, zoom: int, most: int) -> list[str]:
    """Tiles with something in them: a random choice of all, and the one with the most."""
    side = 1 << zoom
    numbers, amounts = np.unique((places * side).astype(np.int64) @ np.array([side, 1]), return_counts=True)
    fullest = int(numbers[amounts.argmax()])
    chosen = random.Random(zoom).sample(numbers.tolist(), min(most, len(numbers)))
    return [f"{zoom}/{number // side}/{number % side}" for number in dict.fromkeys([*chosen, fullest])]


def _grids(root: str, places: Places) -> dict[str, float]:
    """The median of some tiles of each map with a grid; first, all outlines are learnt."""
    _ask(root, ["/map/2/0/0/0.mvt"])
    # the first who asks lets the worker compute all outlines
    time.sleep(_LEARNING_S)
    found = {}
    for map in ("map", "map/2"):
        for zoom in _GROWTH_ZOOMS:
            paths = [f"/{map}/{path}.mvt" for path in _tiles(places, zoom, _ANSWERS)]
            # the quickest of some rounds is the tile's own: whatever else runs here makes others slower
            rounds = np.array([_ask(root, paths)[0] for _ in range(_ROUNDS)])
            found[f"{map} z{zoom}"] = float(np.median(rounds.min(axis=0)))
    return found


def _cold(root: str, places: Places) -> Iterator[Cold]:
    for map, zooms in (("map", range(15)), ("map/2", range(15))):
        for zoom in zooms:
            paths = [f"/{map}/{path}.mvt" for path in _tiles(places, zoom, TILES)]
            _ask(root, paths[:3])
            times, sizes = _ask(root, paths * max(1, _ANSWERS // len(paths)))
            yield Cold(
                map=map, zoom=zoom, tiles=len(paths), p50_ms=_share(times, 0.5), p95_ms=_share(times, 0.95),
                worst_ms=max(times), largest_bytes=max(sizes),
            )  # fmt: skip


def _ask(root: str, paths: Sequence[str], coding: str = "gzip") -> tuple[list[float], list[int]]:
    """Milliseconds and bytes of each, over one connection."""
    base = urlsplit(root)
    connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=60)
    times, sizes = [], []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", base.path + path, headers={"Accept-Encoding": coding})
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - began) * 1_000)
        sizes.append(len(body))
        if answer.status not in (200, 204):
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        if coding == "gzip" and answer.getheader("content-encoding") == "gzip":
            gzip.decompress(body)
    connection.close()
    return times, sizes


def _share(numbers: Sequence[float], share: float) -> float:
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * share))]


def _warm(root: str, paths: list[str]) -> tuple[Measure, Measure]:
    _ask(root, paths)
    kept = measure(root, paths, concurrency=32, seconds=5)
    base = urlsplit(root)
    connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=60)
    connection.request("GET", base.path + paths[0])
    answer = connection.getresponse()
    answer.read()
    connection.close()
    etag = answer.getheader("etag") or ""
    return kept, measure(root, paths[:1], concurrency=32, seconds=5, etag=etag)


def _dense(product: Product, root: str) -> dict[str, float]:
    """The median over dense tiles of ours and of the better raw statement, asked in turns."""
    rows = asyncio.run(_fetch(product, statement("tiles_dense"), DENSE_FROM))[:40]
    paths = [f"/15/{row['x']}/{row['y']}" for row in rows]
    leaves = asyncio.run(_fetch(product, "SELECT cell FROM leaves ORDER BY pictures DESC"))
    best: dict[str, float] = {}
    for name in ("tiles_raw_projected", "tiles_raw_planar"):
        with _raw(product, name, "pictures") as raw:
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(5):
                for path in paths:
                    ours += _ask(root, [f"/map{path}.mvt"], "identity")[0]
                    theirs += _ask(raw, [path], "identity")[0]
            own, other = _share(ours, 0.5), _share(theirs, 0.5)
            if not best or other < best["raw_ms"]:
                best = {"tiles": len(paths), "ours_ms": own, "raw_ms": other, "ratio": own / other}
    best["leaves"] = len(leaves)
    best["pictures"] = sum(row["pictures"] for row in rows) / len(rows)
    return best


async def _fetch(product: Product, text: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(product.cluster.dsn(DATABASE))
    try:
        return list(await connection.fetch(text, *arguments))
    finally:
        await connection.close()


@contextmanager
def _raw(product: Product, name: str, leaf: str) -> Iterator[str]:
    """The raw statement behind a bare server, in a process of its own."""
    port = product.port + 7
    command = [sys.executable, "-m", "uvicorn", "bench.tiles:app", "--factory", "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    environment = {**os.environ, DSN: product.cluster.dsn(DATABASE), RAW: statement(name, leaf=leaf)}
    log = product.directory / "raw.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(server)


async def _answer(request: Request) -> Response:
    place = [int(request.path_params[name]) for name in ("z", "x", "y")]
    body = await request.state.pool.fetchval(os.environ[RAW], *place)
    return Response(body, media_type="application/vnd.mapbox-vector-tile")


async def _live(_: Request) -> Response:
    return Response(b"{}", media_type="application/json")


def app() -> Starlette:
    """The raw statement as an application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        async with asyncpg.create_pool(os.environ[DSN], min_size=2, max_size=2, server_settings={"jit": "off"}) as pool:
            yield {"pool": pool}

    return Starlette(routes=[Route("/{z:int}/{x:int}/{y:int}", _answer), Route("/", _live)], lifespan=lifespan)


def tiles_markdown(report: Report) -> str:
    """The tables."""
    named = ", ".join(f"{number:,} {name}" for name, number in report.world.items())
    lines = [f"World: {named}.", "", "| map | zoom | tiles | p50 ms | p95 ms | worst ms | largest KB (gzip) |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {_called(each.map)} | {each.zoom} | {each.tiles} | {each.p50_ms:.1f} |"
        f" {each.p95_ms:.1f} | {each.worst_ms:.1f} | {each.largest_bytes / 1e3:,.0f} |"
        for each in report.cold
    ]
    lines += [
        "",
        f"| ms of grids, best of {_ROUNDS}, median of tiles | {FEW_PICTURES:,} pictures | {PICTURES:,} pictures |",
        "|---|---|---|",
    ]
    lines += [f"| {_called(name)} | {few:.1f} | {many:.1f} |" for name, (few, many) in report.growth.items()]
    lines += ["", "| under load, 32 connections | req/s | p50 ms | p95 ms |", "|---|---|---|---|"]
    for name, each in (("kept tile", report.kept), ("304", report.unchanged)):
        lines.append(f"| {name} | {each.per_second:,.0f} | {each.p50_ms:.1f} | {each.p95_ms:.1f} |")
    dense = report.dense
    lines += ["", f"Zoom 15, {dense['tiles']:.0f} tiles of {dense['pictures']:,.0f} pictures: ours"
              f" {dense['ours_ms']:.1f} ms, best raw statement {dense['raw_ms']:.1f} ms, {dense['ratio']:.2f} times.",
              ""]  # fmt: skip
    return "\n".join(lines)


def _called(path: str) -> str:
    """What begins with the path of a map, by the map's name.

    >>> _called("map/2 z6"), _called("map")
    ('v2 z6', 'v1')
    """
    return path.replace("map/2", "v2").replace("map", "v1")

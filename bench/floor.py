"""The floor of the side by side measurement: a bare Starlette and asyncpg handler that passes stored JSON text through.

No federation, no links, no nearness, no tokens: what a request must cost on this stack at the least.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.database import run_sql, statement
from bench.items import render_items
from bench.pictures import pictures_of
from bench.plan import Dataset
from bench.product import Product, stop, wait_until_answers
from bench.sequences import collection_of, to_json
from federation.database import point_ewkb

CLASSES = (
    "item_by_id",
    "search_id1",
    "bbox_block_l10",
    "bbox_block_l100",
    "bbox_city_l100",
    "bbox_country_l100",
    "bbox_city_l1000",
    "polygon_l100",
    "datetime_l100",
    "city_datetime_l100",
    "city_sorted_l100",
    "city_filter_l100",
    "collections_l100",
)
POOL = 8
DSN = "PANOFED_BENCH_FLOOR_DSN"
_AZIMUTHS = re.compile(r">= (\d+) AND .* < (\d+)")


def database_of(dataset: Dataset) -> str:
    """Its database in the catalog's cluster, one per size."""
    return f"floor_{dataset.spec.items}"


def load(product: Product, dataset: Dataset) -> None:
    """Fill the floor's tables with the items as the instances say them, unless they are filled."""
    cluster, name = product.cluster, database_of(dataset)
    cluster.ensure_database(name)
    filled = run_sql(cluster, name, "SELECT to_regclass('floor_items') IS NOT NULL;").strip() == "t"
    if filled and int(run_sql(cluster, name, statement("floor_count"))) == dataset.pictures:
        return
    run_sql(cluster, name, "DROP TABLE IF EXISTS floor_items, floor_collections;" + statement("floor_tables"))
    asyncio.run(_fill(cluster.dsn(name), dataset))
    run_sql(cluster, name, statement("floor_indexes"))


async def _fill(dsn: str, dataset: Dataset) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary")
        for plan in dataset.sequences():
            await _copy_sequence(connection, dataset, plan.number)
    finally:
        await connection.close()


async def _copy_sequence(connection: asyncpg.Connection, dataset: Dataset, number: int) -> None:
    pictures = pictures_of(dataset.plan(number))
    base = f"https://{dataset.instances[pictures.plan.instance].name}.example"
    rows = []
    for k, rendered in enumerate(render_items(pictures, base)):
        properties = orjson.loads(rendered.body)["properties"]
        taken = datetime.fromtimestamp(int(pictures.taken_ms[k]) / 1000, UTC)
        place = point_ewkb(float(pictures.lon[k]), float(pictures.lat[k]))
        rows.append((pictures.ids[k], taken, properties.get("view:azimuth"), place, rendered.body.decode()))
    await connection.copy_records_to_table("floor_items", records=rows)
    collection = to_json(collection_of(pictures, base)).decode()
    await connection.copy_records_to_table("floor_collections", records=[(pictures.plan.id, collection)])


async def _search(request: Request) -> Response:
    asked = request.query_params
    pool, limit = request.state.pool, int(asked.get("limit", "10"))
    if "ids" in asked:
        rows = await pool.fetch(statement("floor_ids"), asked["ids"].split(","))
    elif "intersects" in asked:
        rows = await pool.fetch(statement("floor_polygon"), asked["intersects"], limit)
    elif "bbox" in asked:
        rows = await _in_box(pool, [float(number) for number in asked["bbox"].split(",")], limit, asked)
    else:
        rows = await pool.fetch(statement("floor_times"), *_times(asked["datetime"]), limit)
    body = '{"type":"FeatureCollection","features":[' + ",".join([row[0] for row in rows]) + "]}"
    return Response(body, media_type="application/geo+json")


async def _in_box(
    pool: asyncpg.Pool, box: list[float], limit: int, parameters: Mapping[str, str]
) -> list[asyncpg.Record]:
    if "datetime" in parameters:
        return list(await pool.fetch(statement("floor_box_times"), *box, limit, *_times(parameters["datetime"])))
    if "sortby" in parameters:
        return list(await pool.fetch(statement("floor_box_sorted"), *box, limit))
    if "filter" in parameters:
        found = _AZIMUTHS.search(parameters["filter"])
        assert found is not None
        return list(await pool.fetch(statement("floor_box_filter"), *box, limit, int(found[1]), int(found[2])))
    return list(await pool.fetch(statement("floor_box"), *box, limit))


def _times(interval: str) -> list[datetime]:
    return [datetime.fromisoformat(moment) for moment in interval.split("/")]


async def _item(request: Request) -> Response:
    item = await request.state.pool.fetchval(statement("floor_item"), request.path_params["item"])
    return Response(item, media_type="application/geo+json")


async def _collections(request: Request) -> Response:
    rows = await request.state.pool.fetch(statement("floor_list"), int(request.query_params["limit"]))
    return Response('{"collections":[' + ",".join([row[0] for row in rows]) + "]}", media_type="application/json")


async def _live(_: Request) -> Response:
    return Response(b"{}", media_type="application/json")


def app() -> Starlette:
    """The floor as an application, for the database that the environment names."""
    dsn = os.environ[DSN]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        async with asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL) as pool:
            yield {"pool": pool}

    routes = [
        Route("/collections/{collection}/items/{item}", _item),
        Route("/search", _search),
        Route("/collections", _collections),
        Route("/", _live),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


@contextmanager
def serving_floor(product: Product, dataset: Dataset, port: int, *, workers: int = 1) -> Iterator[str]:
    """Run the floor in a process of its own; gives its root."""
    log = product.directory / "floor.log"
    command = [sys.executable, "-m", "uvicorn", "bench.floor:app", "--factory", "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--workers", str(workers)]
    environment = {**os.environ, DSN: product.cluster.dsn(database_of(dataset))}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        root = f"http://127.0.0.1:{port}"
        wait_until_answers(f"{root}/", server, log)
        yield root
    finally:
        stop(server)

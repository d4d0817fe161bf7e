"""Leaves: only those that can matter are opened, and a change of their set is noticed in the middle of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg
import orjson
import pytest

from catalog_api.index.index import Index
from catalog_api.query.search_params import search_params
from catalog_api.search.search import search
from catalog_api.state import Catalog
from federation.cells import cell_box, cell_of, children
from federation.database import Row
from federation.leaves import LeafSet, load_leaves
from federation.queries import query
from federation.settings import load_settings
from tests.catalog_factory import START, Factory, line

SETTINGS = load_settings(nearness_results=5)


@dataclass(slots=True)
class Watching:
    """One connection whose statements' leaves are noted: every table a statement opens, it locks."""

    connection: asyncpg.Connection
    opened: set[str] = field(default_factory=set)

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        async with self.connection.transaction():
            rows = await self.connection.fetch(statement, *arguments)
            locks = await self.connection.fetch(
                "SELECT DISTINCT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE l.pid = pg_backend_pid() AND c.relname ~ '^pictures_[0-9a-f]+$'"
            )
        self.opened.update(row["relname"] for row in locks)
        return rows

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        yield self.connection


@pytest.mark.parametrize(
    "raw",
    [
        {"bbox": "2,48,3,49"},
        {"bbox": "2,48,3,49", "limit": "3"},
        {"bbox": "2,48,3,49", "datetime": "2020-01-01T00:00:00Z/.."},
        {"intersects": '{"type":"Point","coordinates":[2.35,48.85]}'},
        {"ids": "ID"},
        {"collections": "SEQUENCE"},
        {"bbox": "2,48,3,49", "collections": "SEQUENCE"},
        {"limit": "3"},
        {"datetime": "2024-05-01T00:00:00Z/2024-05-03T00:00:00Z"},
    ],
    ids=str,
)
async def test_only_needed_leaves_are_opened(catalog: Catalog, factory: Factory, raw: dict[str, str]) -> None:
    factory.leaf_resolution = 1
    stored = await factory.sequence(line(2.35, 48.85, 12))
    for number in range(24):
        older = START - timedelta(days=900 + number)
        await factory.sequence(line(-170 + number * 14, (number % 7) * 12 - 50, 2, start=older))
    await factory.connection.execute("SET plan_cache_mode = force_custom_plan")
    watching = Watching(factory.connection)
    filled = {k: v.replace("ID", next(iter(stored.items))).replace("SEQUENCE", stored.id) for k, v in raw.items()}
    index, token, found = Index(watching), None, []
    leaves = await load_leaves(factory.connection)
    assert len(leaves.cells) > 15
    for _ in range(2):
        params = search_params(filled | {"token": token}, SETTINGS)
        page = await search(index, SETTINGS, params)
        found += page.pictures
        token = page.token
        if token is None:
            break
    assert found
    needed = {"pictures_" + format(cell, "x") for cell in leaves.covering(cell_box(_leaf_of(leaves)))}
    # newest first reads groups of eight leaves by their dates; everything else names what the place meets
    most = 8 if set(raw) <= {"limit", "datetime"} else 3
    assert 1 <= len(watching.opened) <= most
    if most == 3:
        assert watching.opened <= needed


def _leaf_of(leaves: object) -> int:
    assert isinstance(leaves, LeafSet)
    leaf = leaves.leaf_of(cell_of(2.35, 48.85))
    assert leaf is not None
    return leaf


async def split(factory: Factory, leaf: int, *, finish: bool) -> None:
    """Split a leaf as the harvester does, all its pictures in one go; or leave half of them where they were."""
    below = [
        {"cell": cell, "west": b.west, "south": b.south, "east": b.east, "north": b.north}
        for cell in children(leaf)
        for b in [cell_box(cell)]
    ]
    await factory.connection.execute(query("begin_split"), leaf, orjson.dumps(below).decode())
    resolution = await factory.connection.fetchval("SELECT resolution + 1 FROM leaves WHERE cell = $1", leaf)
    columns = (
        "h3, datetime, created, updated, indexed, hash, sequence, rank, instance, dictionary, is_360, served, id, geom,"
        " payload"
    )
    await factory.connection.execute(
        f"WITH gone AS (DELETE FROM pictures WHERE cell = $1 AND ($3 OR rank % 2 = 0) RETURNING *),"
        f" moved AS (INSERT INTO pictures (cell, {columns}) SELECT h3_parent(h3, $2), {columns} FROM gone"
        f" RETURNING cell, id)"
        f" UPDATE locator l SET cell = moved.cell FROM moved WHERE l.id = moved.id",
        leaf,
        resolution,
        finish,
    )
    if finish:
        assert await factory.connection.fetchval(query("finish_split"), leaf)


@pytest.mark.parametrize("finish", [False, True], ids=["splitting", "split"])
@pytest.mark.parametrize(
    "raw",
    [
        {"bbox": "2,48,3,49"},
        {"bbox": "2,48,3,49", "datetime": "2020-01-01T00:00:00Z/.."},
        {"collections": "SEQUENCE"},
        {},
    ],
    ids=str,
)
async def test_a_worker_with_an_old_set_sees_every_picture_once(
    catalog: Catalog, factory: Factory, raw: dict[str, str], finish: bool
) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 20))
    filled = {key: value.replace("SEQUENCE", stored.id) for key, value in raw.items()} | {"limit": "100"}
    params = search_params(filled, load_settings())
    before = await search(catalog.index, load_settings(), params)
    assert len(before.pictures) == 20
    leaves = await load_leaves(factory.connection)
    await split(factory, leaves.cells[0], finish=finish)
    if finish:
        await factory.connection.execute(
            "UPDATE leaves SET state_at = now() - interval '1 hour' WHERE state = 'retired'"
        )
        assert await factory.connection.fetchval(query("drop_retired_leaves"), timedelta(0)) == 1
    after = await search(catalog.index, load_settings(), params)
    assert sorted(str(row["id"]) for row, _ in after.pictures) == sorted(stored.items)


async def test_a_first_leaf_is_noticed_by_a_worker_that_knew_none(catalog: Catalog, factory: Factory) -> None:
    params = search_params({"bbox": "2,48,3,49"}, load_settings())
    assert (await search(catalog.index, load_settings(), params)).pictures == []
    await factory.sequence(line(2.35, 48.85, 2))
    assert len((await search(catalog.index, load_settings(), params)).pictures) == 2


async def test_pages_go_on_across_a_split(catalog: Catalog, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 30))
    found, token = [], None
    for number in range(20):
        raw = {"bbox": "2,48,3,49", "limit": "4", "token": token}
        page = await search(catalog.index, SETTINGS, search_params(raw, SETTINGS))
        found += [str(row["id"]) for row, _ in page.pictures]
        token = page.token
        if token is None:
            break
        if number == 3:
            leaves = await load_leaves(factory.connection)
            await split(factory, leaves.cells[0], finish=True)
    assert len(found) == len(set(found)) == 30
    assert sorted(found) == sorted(stored.items)

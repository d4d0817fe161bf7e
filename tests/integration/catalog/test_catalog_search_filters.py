"""Filters and orders against plain Python: whatever is asked, each match comes once and in its place."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cql2
import pytest

from catalog_api.edge.responses import BadRequest
from catalog_api.query.search_params import search_params
from catalog_api.search.counting import count_matches
from catalog_api.search.search import search
from catalog_api.state import Catalog
from federation.leaves import load_leaves
from federation.queries import query
from federation.settings import load_settings
from tests.catalog_factory import Factory, line
from tests.filter_world import Seen, fill, holds, random_filter

SETTINGS = load_settings()


async def pages(catalog: Catalog, raw: dict[str, Any], limit: int) -> tuple[list[str], int | None]:
    """Ids of all pages of a search, and the number the first page gives."""
    params = search_params(raw | {"limit": limit}, catalog.settings)
    found: list[str] = []
    token, first = None, None
    for number in range(1_000):
        page = await search(catalog.index, catalog.settings, replace(params, token=token))
        first = page.matched if number == 0 else first
        found += [str(row["id"]) for row, _ in page.pictures]
        if page.matched is not None:
            assert page.matched == len(found)
        assert page.at_least <= len(found) + (page.token is not None)
        token = page.token
        if token is None:
            return found, first
        assert page.pictures
    raise AssertionError("the pages do not end")


async def by_distance(factory: Factory, world: Sequence[Seen], longitude: float, latitude: float) -> dict[str, float]:
    rows = await factory.connection.fetch(
        "SELECT id, ST_DistanceSpheroid(geom, ST_SetSRID(ST_MakePoint($1, $2), 4326)) AS m FROM pictures",
        longitude,
        latitude,
    )
    return {str(row["id"]): row["m"] for row in rows}


def in_order(world: Sequence[Seen], keys: Sequence[tuple[Callable[[Seen], Any], bool]]) -> list[str]:
    """Ids by keys, each with whether it descends; what lacks one last."""
    found = sorted(world, key=lambda seen: seen.values["id"])
    for key, descending in reversed(keys):
        there = sorted((each for each in found if key(each) is not None), key=key, reverse=descending)
        found = there + [each for each in found if key(each) is None]
    return [each.values["id"] for each in found]


def named(name: str) -> Callable[[Seen], Any]:
    return lambda seen: seen.values[name]


@pytest.mark.parametrize("seed", range(3))
async def test_filters_hold_whatever_way_is_taken(factory: Factory, catalog: Catalog, seed: int) -> None:
    world = await fill(factory, seed)
    rnd = random.Random(seed)
    metres = await by_distance(factory, world, 2.35, 48.85)
    collections = list(dict.fromkeys(seen.values["collection"] for seen in world))[:5]
    latest = [(named("datetime"), True)]
    nearest = [(lambda seen: metres[seen.values["id"]], False)]
    inside = [seen for seen in world if 2.3 <= seen.point[0] <= 2.4 and 48.8 <= seen.point[1] <= 48.9]
    listed = [
        (lambda seen: collections.index(seen.values["collection"]), False),
        (named("geovisio:rank_in_collection"), False),
    ]
    for number in range(40):
        tree = random_filter(rnd, world)
        matches = [seen for seen in world if holds(tree, seen)]
        limit = rnd.choice([7, 30, 1_000])
        asked: dict[str, Any] = {"filter": tree, "filter-lang": "cql2-json"}
        if number % 2:
            asked = {"filter": cql2.parse_json(_dumps(tree)).to_text()}
        found, matched = await pages(catalog, asked, limit)
        assert found == in_order(matches, latest), asked
        assert matched in (None, len(found))
        place = [seen for seen in matches if seen in inside]
        found, _ = await pages(catalog, asked | {"bbox": "2.3,48.8,2.4,48.9"}, limit)
        assert found == in_order(place, nearest), asked
        of = [seen for seen in matches if seen.values["collection"] in collections]
        found, _ = await pages(catalog, asked | {"collections": collections}, limit)
        assert found == in_order(of, listed), asked
        whole = search_params(asked | {"count": "exact"}, SETTINGS)
        assert await count_matches(catalog.index, SETTINGS, whole) == len(matches)
        there = search_params(asked | {"bbox": "2.3,48.8,2.4,48.9"}, SETTINGS)
        assert await count_matches(catalog.index, SETTINGS, there) == len(place)


def _dumps(tree: Any) -> str:
    import json

    return json.dumps(tree)


ORDERS = [
    "datetime",
    "-datetime",
    "+panofed:indexed",
    "-panofed:indexed,-geovisio:rank_in_collection",
    "created,-view:azimuth",
    "-created",
    "id",
    "-id",
    "-field_of_view,updated,-quality:horizontal_accuracy",
    "-original_file:size,datetime",
    "collection,-geovisio:rank_in_collection",
    "-datetime,-id",
]


@pytest.mark.parametrize("order", ORDERS)
async def test_orders_are_total_and_pages_complete(factory: Factory, catalog: Catalog, order: str) -> None:
    world = await fill(factory, 7)
    keys = [(named(part.lstrip("+-")), part.startswith("-")) for part in order.split(",")]
    for limit in (9, 64):
        found, _ = await pages(catalog, {"sortby": order}, limit)
        assert found == in_order(world, keys)
    flat = [seen for seen in world if seen.values["type"] == "flat"]
    found, _ = await pages(catalog, {"sortby": order, "filter": "type = 'flat'"}, 11)
    assert found == in_order(flat, keys)
    inside = [seen for seen in world if 2.3 <= seen.point[0] <= 2.4 and 48.8 <= seen.point[1] <= 48.9]
    found, _ = await pages(catalog, {"sortby": order, "bbox": "2.3,48.8,2.4,48.9"}, 11)
    assert found == in_order(inside, keys)
    some = [seen.values["id"] for seen in world[::3]]
    found, _ = await pages(catalog, {"sortby": order, "ids": some}, 11)
    assert found == in_order(world[::3], keys)


@pytest.mark.parametrize("order", ["-datetime", "datetime", "-panofed:indexed", "panofed:indexed,id"])
async def test_a_search_that_may_read_little_gives_short_pages_and_loses_nothing(
    factory: Factory, catalog: Catalog, order: str
) -> None:
    world = await fill(factory, 11, sequences=30, pictures=8)
    keys = [(named(part.lstrip("+-")), part.startswith("-")) for part in order.split(",")]
    settings = load_settings(search_pictures_max=400)
    short = 0
    for tree in (
        "original_file:size = 300",
        "semantics.surface = 'asphalt'",
        "view:azimuth = 359 AND field_of_view = 70",
    ):
        params = search_params({"filter": tree, "sortby": order, "limit": 50}, settings)
        parsed = cql2.parse_text(tree).to_json()
        expected = in_order([seen for seen in world if holds(parsed, seen)], keys)
        found: list[str] = []
        page = await search(catalog.index, settings, params)
        while True:
            assert page.pictures
            found += [str(row["id"]) for row, _ in page.pictures]
            if page.token is None:
                break
            short += len(page.pictures) < 50
            page = await search(catalog.index, settings, replace(params, token=page.token))
        assert found == expected
    assert short


async def test_a_search_that_reads_too_much_for_nothing_is_refused(factory: Factory, catalog: Catalog) -> None:
    await fill(factory, 11, sequences=30, pictures=8)
    settings = load_settings(search_pictures_max=100)
    with pytest.raises(BadRequest, match="none was found among the first 100 pictures"):
        await search(catalog.index, settings, search_params({"filter": "original_file:size = 301"}, settings))
    with pytest.raises(BadRequest, match="sorting by view:azimuth would read more than 100 pictures"):
        await search(catalog.index, settings, search_params({"sortby": "view:azimuth"}, settings))


async def test_frequent_tags_are_found_by_walking_a_place(factory: Factory, catalog: Catalog) -> None:
    world = await fill(factory, 5)
    metres = await by_distance(factory, world, 2.35, 48.85)
    settings = load_settings(search_pictures_max=300)
    params = search_params(
        {"filter": "semantics.surface = 'asphalt'", "bbox": "2.25,48.75,2.45,48.95", "limit": 7}, settings
    )
    tagged = [seen for seen in world if ("surface", "asphalt") in seen.tags and 2.25 <= seen.point[0] <= 2.45]
    expected = in_order(tagged, [(lambda seen: metres[seen.values["id"]], False)])
    found: list[str] = []
    page = await search(catalog.index, settings, params)
    while page.token is not None:
        found += [str(row["id"]) for row, _ in page.pictures]
        page = await search(catalog.index, settings, replace(params, token=page.token))
    assert found + [str(row["id"]) for row, _ in page.pictures] == expected
    assert len(expected) > 7


async def test_tags_are_found_by_their_index(factory: Factory) -> None:
    """Where few have them, no other picture is read."""
    factory.leaf_resolution = 0
    stored = await factory.sequence(line(2.35, 48.85, 2))
    connection = factory.connection
    columns = ", ".join(
        f"{name}"
        for name in await connection.fetchval(
            "SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = 'pictures'::regclass AND attnum > 0"
            " AND attname NOT IN ('id', 'rank', 'semantics')"
        )
    )
    await connection.execute(
        f"""INSERT INTO pictures ({columns}, id, rank, semantics)
            SELECT {columns}, gen_random_uuid(), 10 + g,
                   CASE WHEN g % 1000 = 0 THEN '[{{"key":"surface","value":"asphalt"}}]'::jsonb
                        ELSE '[{{"key":"surface","value":"mud"}}]' END
            FROM pictures, generate_series(1, 10000) g WHERE sequence = $1""",
        stored.n,
    )
    await connection.execute("ANALYZE pictures")
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    leaves = await load_leaves(connection)
    plan = await connection.fetch(
        f"EXPLAIN (ANALYZE, TIMING off) {query('catalog_tagged')}",
        list(leaves.cells[:1]), leaves.version, ['[{"key":"surface","value":"asphalt"}]'], 1_000, None,
    )  # fmt: skip
    text = "\n".join(row[0] for row in plan)
    assert re.search(r"Bitmap Index Scan on pictures_\w+_semantics_idx .*rows=20 ", text), text

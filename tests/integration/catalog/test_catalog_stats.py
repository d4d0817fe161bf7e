"""Statistics: every figure against what was merged, by the harvester's own merge."""

from __future__ import annotations

import uuid
from typing import Any

import asyncpg
import pytest

from catalog_api.index.index import Index as CatalogIndex
from catalog_api.index.stats_figures import COVERAGE_KM_PER_CELL, cells_of_resolution, read_stats
from catalog_api.state import Catalog
from federation.cells import parent
from tests.catalog_factory import Serving
from tests.index_world import Index, picture_of


async def stats(catalog: Catalog) -> dict[str, Any]:
    found: dict[str, Any] = await read_stats(CatalogIndex(catalog.connections))
    return found


async def contributor(admin: asyncpg.Connection, instance: int, *sequences: int, id: str = "") -> None:
    n = await admin.fetchval(
        "INSERT INTO accounts (id, instance, name) VALUES ($1, $2, 'a') RETURNING n", id or str(uuid.uuid4()), instance
    )
    await admin.execute("UPDATE sequences SET account = $1 WHERE n = ANY($2)", n, list(sequences))


async def test_figures_are_those_of_the_served_pictures(index: Index, catalog: Catalog) -> None:
    north, south = await index.writer("north"), await index.writer("south", seed=2)
    pictures = {}
    for writer, number in ((north, 1), (north, 2), (south, 1)):
        n, id = await writer.new_sequence()
        pictures[n] = writer.pictures(20 * number)
        await writer.write((n, id, pictures[n]))
    own = {"north": [1, 2], "south": [3]}
    await contributor(index.admin, north.instance, 1)
    shared = str(uuid.uuid4())
    await contributor(index.admin, north.instance, 2, id=shared)
    await contributor(index.admin, south.instance, 3, id=shared)
    await index.admin.execute("UPDATE sequences SET created = '2024-03-05' WHERE n = 1")
    await index.admin.execute("UPDATE sequences SET created = now() WHERE n > 1")
    found = await stats(catalog)
    lengths = {row["n"]: row["km"] for row in await index.admin.fetch("SELECT n, length_m / 1000 AS km FROM sequences")}
    cells = {n: {parent(each.h3, 10) for each in mine} for n, mine in pictures.items()}
    generic = found["generic_stats"]
    assert generic["nb_pictures"] == 80
    assert generic["pictures_original_size"] == sum(e.original_bytes or 0 for each in pictures.values() for e in each)
    assert generic["nb_contributors"] == 2
    assert generic["nb_active_contributors"] == 1
    assert generic["collections_length_km"] == pytest.approx(sum(lengths.values()), abs=0.1)
    everywhere = set().union(*cells.values())
    assert generic["approximated_coverage_km"] == pytest.approx(len(everywhere) * COVERAGE_KM_PER_CELL, abs=0.1)
    for name, numbers in own.items():
        each = found["stats_by_instance"][name]
        covered = set().union(*(cells[n] for n in numbers))
        assert each["nb_pictures"] == sum(len(pictures[n]) for n in numbers)
        assert each["nb_contributors"] == len(numbers)
        assert each["approximated_coverage_km"] == pytest.approx(len(covered) * COVERAGE_KM_PER_CELL, abs=0.1)
        assert each["collections_length_km"] == pytest.approx(sum(lengths[n] for n in numbers), abs=0.1)
    march = found["stats_by_upload_month"]["2024-03"]["north"]
    assert march["nb_active_contributors"] == 1
    assert march["nb_contributors"] == 1
    assert march["collections_length_km"] == pytest.approx(lengths[1], abs=0.1)
    months = [entry for month in found["stats_by_upload_month"].values() for entry in month.values()]
    assert sum(entry["nb_pictures"] for entry in months) == 80


async def test_coverage_counts_what_is_not_folded_and_forgets_what_went(index: Index, catalog: Catalog) -> None:
    """Counts that were folded, deltas that were not, hexagons that two instances share, and one that emptied."""
    first, last = cells_of_resolution(10)
    north, south = (await index.instance("north"))[0], (await index.instance("south"))[0]
    rows = [(first, north, 5), (first, south, 1), (first + 1, north, 2), (last, south, 3), (first + 2, north, 0)]
    await index.admin.executemany("INSERT INTO cell_counts VALUES ($1, $2, $3, 0)", rows)
    deltas = [
        (first, south, -1), (first + 1, north, -2), (first + 3, south, 1), (first + 3, north, 1), (last, south, 1),
        (last + 1, north, 9), (first - 1, north, 9), (first + 2, north, 1), (first + 2, north, -1),
    ]  # fmt: skip
    await index.admin.executemany("INSERT INTO count_deltas VALUES ($1, $2, $3, 0)", deltas)
    found = await stats(catalog)

    def hexagons(figures: dict[str, float]) -> float:
        return round(figures["approximated_coverage_km"] / COVERAGE_KM_PER_CELL)

    assert {name: hexagons(each) for name, each in found["stats_by_instance"].items()} == {"north": 2, "south": 2}
    assert hexagons(found["generic_stats"]) == 3


async def test_an_empty_catalog_has_figures_too(catalog: Catalog) -> None:
    found = await stats(catalog)
    assert set(found["generic_stats"].values()) == {0}
    assert found["stats_by_instance"] == found["stats_by_upload_month"] == {}


async def test_figures_are_kept_for_the_stated_time(serving: Serving, index: Index) -> None:
    writer = await index.writer()
    async with serving(stats_age_s=600) as kept, serving(stats_age_s=0) as fresh:
        before = (await kept.get("/api/stats")).json()
        n, id = await writer.new_sequence()
        await writer.write((n, id, [picture_of(writer.chance, 1, (2.0, 48.0))]))
        assert (await kept.get("/api/stats")).json() == before
        assert (await fresh.get("/api/stats")).json()["generic_stats"]["nb_pictures"] == 1

"""Is a catalog filled by COPY what a harvest leaves? Every row, sum, index and neighbour; then its own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import asyncpg

from bench.bulk_tables import leaf_table, read_indexes
from bench.database import statement
from bench.plan import Dataset
from bench.requests import BLOCK_DEGREES, Sample, box_around, samples_of
from bench.verify import fetch_json, pictures_in
from federation.cells import Box, cell_box, cell_name, parent
from federation.database import Role, connect
from federation.leaves import LeafSet, load_leaves
from federation.queries import query
from federation.settings import Settings

CHECKED_SEQUENCES = 300
CHECKED_REQUESTS = 40
WIDE_LIMIT = 1_000


class BulkError(Exception):
    """What was loaded is not what a harvest leaves."""


def _require(right: bool, problem: str) -> None:
    if not right:
        raise BulkError(problem)


async def check_rows(dsn: str, dataset: Dataset, settings: Settings) -> None:
    """Compare the tables with each other and with the data set; BulkError says what differs."""
    connection = await connect(dsn, Role.OWNER, settings)
    try:
        leaves = await load_leaves(connection)
        await _check_leaves(connection, leaves, dataset.pictures)
        for row in await connection.fetch(statement("check_sums")):
            told = f"{row['name']}: {row['pictures']} pictures instead of {dataset.pictures}"
            _require(row["pictures"] == dataset.pictures, told)
        await _check_neighbours(connection, leaves, dataset)
        await _check_indexes(connection, leaves)
    finally:
        await connection.close()


async def _check_leaves(connection: asyncpg.Connection, leaves: LeafSet, pictures: int) -> None:
    """Every picture is in the leaf of its point and in the leaf's box; locator and pictures say the same."""
    total, digest = 0, Decimal(0)
    for cell in leaves.cells:
        rows = await connection.fetch(statement("check_rows", leaf=leaf_table(cell), cell=str(cell)))
        count, check, elsewhere, outside, known = rows[0]
        _require(elsewhere == 0, f"leaf {cell_name(cell)}: {elsewhere} pictures belong to another leaf")
        _require(outside == 0, f"leaf {cell_name(cell)}: {outside} pictures outside its box")
        _require(not count or known == count, f"leaf {cell_name(cell)}: {known} counted, {count} there")
        total, digest = total + count, digest + check
    located, check, copies = (await connection.fetch(statement("check_locator")))[0]
    _require(total == pictures, f"{total} pictures instead of {pictures}")
    _require((located, check, copies) == (total, digest, 0), f"locator: {located} rows differ from {total} pictures")


async def _check_neighbours(connection: asyncpg.Connection, leaves: LeafSet, dataset: Dataset) -> None:
    sequences = list(range(1, len(dataset) + 1, max(1, len(dataset) // CHECKED_SEQUENCES)))
    rows = await connection.fetch(query("cells_of_sequences"), sequences)
    wrong = await connection.fetchval(
        statement("check_neighbours"), sequences, leaves.standing_for(row[0] for row in rows)
    )
    _require(wrong == 0, f"{wrong} pictures have wrong neighbours")


async def _check_indexes(connection: asyncpg.Connection, leaves: LeafSet) -> None:
    """The indexes of every leaf are those of a leaf made the usual way, valid and part of the table's."""
    usual = await _usual_indexes(connection, leaves)
    for cell in leaves.cells:
        found = await read_indexes(connection, leaf_table(cell))
        names = {text.replace(cell_name(cell), "X") for index in found for text in (index.definition, index.constraint)}
        _require(names == usual, f"leaf {cell_name(cell)}: its indexes are {names}, not {usual}")
        rows = await connection.fetch(statement("leaf_indexes"), leaf_table(cell))
        _require(all(row["attached"] for row in rows), f"leaf {cell_name(cell)}: an index is invalid or not attached")


async def _usual_indexes(connection: asyncpg.Connection, leaves: LeafSet) -> set[str]:
    """Definitions of the indexes of a leaf that is made for the purpose and not kept."""
    base = leaves.base_resolution or 0
    # a base cell over the Pacific, where there are no pictures
    cell = next(cell for cell in (parent(0x8B7FFFFFFFFFFFF & ~(127 << 45) | (n << 45), base) for n in range(122))
                if leaves.leaf_of(cell) is None and not leaves.standing_for([cell]))  # fmt: skip
    box = cell_box(cell)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(query("create_leaf"), cell, box.west, box.south, box.east, box.north)
        indexes = await read_indexes(connection, leaf_table(cell))
    finally:
        await transaction.rollback()
    return {text.replace(cell_name(cell), "X") for index in indexes for text in (index.definition, index.constraint)}


async def _expected(dsn: str, samples: Sequence[Sample], settings: Settings) -> list[set[str]]:
    """Per sample, the ids in the block around it, asked of the tables."""
    connection = await connect(dsn, Role.OWNER, settings)
    try:
        leaves = await load_leaves(connection)
        found = []
        for sample in samples:
            box = box_around(sample.lon, sample.lat, BLOCK_DEGREES)
            rows = await connection.fetch(statement("ids_in_box"), leaves.covering(Box(*box)), *box)
            found.append({row["id"] for row in rows})
        return found
    finally:
        await connection.close()


def check_answers(root: str, dsn: str, dataset: Dataset, settings: Settings) -> int:
    """Ask for items and blocks over HTTP; returns how many pictures were compared, BulkError says what differs."""
    samples = samples_of(dataset, CHECKED_REQUESTS)
    compared = 0
    for sample, expected in zip(samples, asyncio.run(_expected(dsn, samples, settings)), strict=True):
        item = pictures_in(fetch_json(f"{root}/collections/{sample.sequence}/items/{sample.id}"))
        place = round(sample.lon, 8), round(sample.lat, 8)
        _require(item == {sample.id: place}, f"item {sample.id}: {item} instead of {place}")
        box = ",".join(map(str, box_around(sample.lon, sample.lat, BLOCK_DEGREES)))
        found = set(pictures_in(fetch_json(f"{root}/search?bbox={box}&limit={WIDE_LIMIT}")))
        right = found == expected if len(expected) < WIDE_LIMIT else found <= expected and len(found) == WIDE_LIMIT
        _require(right, f"bbox={box}: {len(found)} pictures instead of {len(expected)}")
        compared += 1 + len(found)
    return compared

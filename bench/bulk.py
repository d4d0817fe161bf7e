"""A catalog of many million pictures in minutes: COPY into the leaves as a harvest would have left them.

Leaves come from a count of the pictures per H3 cell, pictures and locator by binary COPY, indexes afterwards with the
schema's own definitions; lines, extents, times and cells of sequences by the statement of the harvester itself.
"""

from __future__ import annotations

import asyncio
import io
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import asyncpg
import numpy as np

from bench.bulk_tables import TableIndexes, attach, build_indexes, drop_indexes, leaf_table
from bench.copy_rows import LOCATOR_COLUMNS, PICTURE_COLUMNS, Chunk, Numbers, cells_of, license_of, make_chunk
from bench.database import statement
from bench.leaf_plan import plan_leaves
from bench.pictures import SequencePictures, pictures_of
from bench.plan import Dataset, SequencePlan
from bench.pool import POOL_PICTURES, Kind, render_pool, sample_plans, train_dictionaries
from bench.product import Product, prepare
from bench.sequences import collection_of, to_json
from bench.world import CAMERAS
from federation.cells import cell_box
from federation.database import Connection, Role, connect
from federation.instances import load_instances, sync_instances
from federation.payload import Packer
from federation.queries import query
from federation.record import Sequence as SequenceRecord
from federation.settings import Settings
from panofed.cluster import DATABASE, Cluster

CHUNK_PICTURES = 100_000
SEQUENCES_AT_ONCE_PICTURES = 30_000
CONNECTIONS = 2
#: While loading: nothing that was made in this transaction is logged, and there is memory to sort indexes.
LOADING: Mapping[str, str] = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
SESSION: Mapping[str, str] = {"maintenance_work_mem": "1GB", "work_mem": "512MB"}
SEQUENCE_COLUMNS = (
    "n", "id", "instance", "state", "served", "account", "title", "license", "created", "updated", "checked_at", "hash",
    "dictionary", "payload",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Load:
    """A loading under way: what it needs to know, and how long each step took."""

    product: Product
    dataset: Dataset
    settings: Settings
    leaves: list[int] = field(default_factory=list)
    numbers: Numbers = field(
        default_factory=lambda: Numbers(instances=(), accounts={}, cameras=(), licenses={}, dictionaries={})
    )
    packers: dict[int, Packer] = field(default_factory=dict)
    #: sequence number -> positions of the leaves its pictures are in
    cells: dict[int, list[int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: int = 0

    @property
    def cluster(self) -> Cluster:
        """The product's cluster with the settings for loading."""
        own = self.product.cluster
        return Cluster(replace(own.config, extra={**own.config.extra, **LOADING}))

    @property
    def bases(self) -> list[str]:
        """Where each instance would answer."""
        return [f"http://127.0.0.1:{port}" for port in self.product.ports]

    @property
    def names(self) -> list[str]:
        """Names and ids of the instances."""
        return [instance.name for instance in self.dataset.instances]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """As the owner of the tables."""
        connection = await connect(self.cluster.dsn(DATABASE), Role.OWNER, self.settings)
        try:
            for name, value in SESSION.items():
                await connection.execute("SELECT set_config($1, $2, false)", name, value)
            yield connection
        finally:
            await connection.close()


async def fill(load: Load) -> None:
    """Load the whole data set into an empty, migrated catalog whose cluster runs with the settings for loading."""
    with load.step("count cells"):
        accounts = _plan(load)
    async with load.connection() as connection:
        with load.step("train and render the pool"):
            await _write_names(load, connection, accounts)
            pool = await _make_pool(load, connection)
        with load.step("make leaves"):
            tables = await _make_leaves(load, connection)
        with load.step("copy"):
            await _copy(load, connection, pool)
    with load.step("indexes"):
        await _work(load, [_IndexJob(table) for table in tables])
        async with load.connection() as connection:
            await attach(connection, [table for table in tables if table.leaf])
    with load.step("sequences"):
        await _work(load, [_sequences_job(load, cells, some) for cells, some in _sequence_batches(load)])
    with load.step("counts"):
        await _count(load)


def _plan(load: Load) -> list[tuple[int, str, str]]:
    """Decide the leaves; returns all accounts as (instance, id, name)."""
    cells: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    counts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    accounts: dict[str, tuple[int, str, str]] = {}
    for some in _chunks(load.dataset):
        lon, lat = (np.concatenate([getattr(each, name) for each in some]) for name in ("lon", "lat"))
        found, pictures = np.unique(cells_of(lon, lat), return_counts=True)
        cells.append(found)
        counts.append(pictures)
        for plan in (each.plan for each in some):
            accounts.setdefault(plan.account_id, (plan.instance, plan.account_id, plan.account))
    distinct, place = np.unique(np.concatenate(cells), return_inverse=True)
    pictures = np.bincount(place, weights=np.concatenate(counts)).astype(np.int64)
    base, most = load.settings.leaf_base_resolution, load.settings.leaf_max_pictures
    load.leaves = plan_leaves(distinct, pictures, base, most)
    return list(accounts.values())


def _chunks(dataset: Dataset) -> Iterator[list[SequencePictures]]:
    """All pictures, whole sequences together, some hundred thousand at a time."""
    some: list[SequencePictures] = []
    pictures = 0
    for plan in dataset.sequences():
        some.append(pictures_of(plan))
        pictures += plan.count
        if pictures >= CHUNK_PICTURES:
            yield some
            some, pictures = [], 0
    if some:
        yield some


async def _write_names(load: Load, connection: Connection, accounts: list[tuple[int, str, str]]) -> None:
    """Instances, accounts, cameras and licenses, with numbers from 1."""
    await sync_instances(connection, load_instances(load.product.directory / "instances.yaml"))
    rows = await connection.fetch("SELECT id, n FROM instances")
    numbers = {row["id"]: row["n"] for row in rows}
    instances = [numbers[name] for name in load.names]
    licenses = sorted({license_of(number) for number in range(len(instances))})
    records: dict[str, list[tuple[object, ...]]] = {
        "accounts": [(n, uuid.UUID(key), instances[at], name) for n, (at, key, name) in enumerate(accounts, 1)],
        "cameras": [(n, camera.make, camera.model) for n, camera in enumerate(CAMERAS, 1)],
        "licenses": list(enumerate(licenses, 1)),
    }
    for table, values in records.items():
        await connection.copy_records_to_table(table, records=values)
        await connection.execute(statement("set_numbers", table=table))
    load.numbers = Numbers(
        instances=instances,
        accounts={key: n for n, (_, key, _) in enumerate(accounts, 1)},
        cameras=range(1, len(CAMERAS) + 1),
        licenses={name: n for n, name in enumerate(licenses, 1)},
        dictionaries={},
    )


async def _make_pool(load: Load, connection: Connection) -> dict[Kind, list[bytes]]:
    """Train and keep the dictionaries, then render the pool with them."""
    trained = train_dictionaries(load.dataset, load.bases, load.settings)
    level, numbers = load.settings.zstd_level, load.numbers
    kept: dict[int, int] = {}
    for number, instance in enumerate(numbers.instances):
        dictionary = trained.get(number)
        if dictionary is None:
            load.packers[number] = Packer.make(level)
            continue
        kept[number] = await connection.fetchval(
            query("keep_dictionary"), instance, dictionary.content, dictionary.trained_on
        )
        load.packers[number] = Packer.make(level, kept[number], dictionary.content)
    load.numbers = replace(numbers, dictionaries=kept)
    plans = sample_plans(load.dataset, min(POOL_PICTURES, load.dataset.pictures // 5))
    return render_pool(plans, load.packers, load.bases, load.names)


async def _make_leaves(load: Load, connection: Connection) -> list[TableIndexes]:
    """Make every leaf by the schema's function, then take it out of the table and its indexes off; so the locator's."""
    await connection.fetchval(query("fix_base_resolution"), load.settings.leaf_base_resolution)
    tables = [await drop_indexes(connection, "locator")]
    for cell in load.leaves:
        box = cell_box(cell)
        await connection.execute(query("create_leaf"), cell, box.west, box.south, box.east, box.north)
        tables.append(await drop_indexes(connection, leaf_table(cell), leaf=cell))
    return tables


async def _copy(load: Load, connection: Connection, pool: Mapping[Kind, list[bytes]]) -> None:
    """All rows in one transaction with the emptying of their tables, the next chunk made while one is copied."""
    now_us = time.time_ns() // 1000
    chunks = _chunks(load.dataset)

    def make() -> tuple[Chunk, list[tuple[object, ...]]] | None:
        some = next(chunks, None)
        if some is None:
            return None
        return make_chunk(some, load.numbers, load.leaves, pool, now_us), _sequence_rows(load, some, now_us)

    async with connection.transaction():
        names = ", ".join(["locator", *map(leaf_table, load.leaves)])
        await connection.execute(statement("truncate_tables", tables=names))
        made = await asyncio.to_thread(make)
        while made is not None:
            following = asyncio.create_task(asyncio.to_thread(make))
            await _copy_chunk(load, connection, *made)
            made = await following
    await connection.execute(statement("set_numbers", table="sequences"))


async def _copy_chunk(load: Load, connection: Connection, chunk: Chunk, sequences: list[tuple[object, ...]]) -> None:
    for leaf, rows in chunk.by_leaf.items():
        await _copy_bytes(connection, leaf_table(load.leaves[leaf]), PICTURE_COLUMNS, rows)
    await _copy_bytes(connection, "locator", LOCATOR_COLUMNS, chunk.located)
    await connection.copy_records_to_table("sequences", records=sequences, columns=SEQUENCE_COLUMNS)
    for sequence, leaf in chunk.touched:
        load.cells.setdefault(sequence, []).append(leaf)
    load.pictures += chunk.pictures


async def _copy_bytes(connection: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    await connection.copy_to_table(table, source=io.BytesIO(rows), columns=columns, format="binary", freeze=True)


def _sequence_rows(load: Load, some: Sequence[SequencePictures], now_us: int) -> list[tuple[object, ...]]:
    """What the origin says of each sequence; the rest is computed when its pictures are there."""
    numbers, now = load.numbers, datetime.fromtimestamp(now_us / 1e6, UTC)
    rows: list[tuple[object, ...]] = []
    for each in some:
        plan: SequencePlan = each.plan
        document = to_json(collection_of(each, load.bases[plan.instance]))
        record = SequenceRecord.from_stac(document, instance=load.names[plan.instance])
        packer = load.packers[plan.instance]
        account = numbers.accounts[plan.account_id]
        rows.append((
            plan.number + 1, uuid.UUID(record.id), numbers.instances[plan.instance], "merged", True, account,
            record.title, record.license, record.created, record.updated, now, record.hash, packer.dictionary,
            packer.pack([record.text])[0],
        ))  # fmt: skip
    return rows


class Job(Protocol):
    """Something to do on a connection of its own."""

    async def run(self, connection: Connection) -> None:
        """Do it."""
        ...


@dataclass(frozen=True, slots=True)
class _IndexJob:
    table: TableIndexes

    async def run(self, connection: Connection) -> None:
        await build_indexes(connection, self.table)


@dataclass(frozen=True, slots=True)
class _SequencesJob:
    sequences: list[int]
    cells: list[int]
    cut_gap_m: float

    async def run(self, connection: Connection) -> None:
        await connection.execute(query("record_changes"), self.sequences, self.cells, self.cut_gap_m)


@dataclass(frozen=True, slots=True)
class _CountJob:
    cell: int

    async def run(self, connection: Connection) -> None:
        for name in ("count_points", "count_months", "count_leaf"):
            await connection.execute(statement(name, leaf=leaf_table(self.cell), cell=str(self.cell)))


def _sequences_job(load: Load, cells: tuple[int, ...], sequences: list[int]) -> Job:
    return _SequencesJob(sequences, [load.leaves[leaf] for leaf in cells], load.settings.cut_gap_m)


def _sequence_batches(load: Load) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Sequences of the same leaves together, some ten thousand pictures at a time."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for sequence, leaves in load.cells.items():
        groups.setdefault(tuple(leaves), []).append(sequence)
    for cells, sequences in groups.items():
        some: list[int] = []
        pictures = 0
        for sequence in sequences:
            some.append(sequence)
            pictures += load.dataset.plan(sequence - 1).count
            if pictures >= SEQUENCES_AT_ONCE_PICTURES:
                yield cells, some
                some, pictures = [], 0
        if some:
            yield cells, some


async def _work(load: Load, jobs: Sequence[Job]) -> None:
    """Do the jobs on two connections, in their order."""
    waiting = iter(jobs)

    async def worker() -> None:
        async with load.connection() as connection:
            for job in waiting:
                await job.run(connection)

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))


async def _count(load: Load) -> None:
    """Leaf statistics, counts per cell and month; and what a harvest notes at its end."""
    async with load.connection() as connection:
        await connection.execute(statement("create_scratch"))
        await _work(load, [_CountJob(cell) for cell in load.leaves])
        counts = await drop_indexes(connection, "cell_counts")
        for name in ("sum_counts", "sum_months", "drop_scratch", "set_cursors"):
            await connection.execute(statement(name))
        await build_indexes(connection, counts)
        await _note_dense(load, connection)


async def _note_dense(load: Load, connection: Connection) -> None:
    """Indexes built at once are dense: a harvest need not rebuild them."""
    for row in await connection.fetch(query("tables_to_compact"), 1.0, load.settings.compact_min_pictures):
        await connection.execute(query("record_compaction"), row["relation"], row["pictures"])


def load_by_copy(product: Product, dataset: Dataset, settings: Settings) -> Load:
    """A new installation in the product's folder, filled; its cluster is stopped at the end."""
    load = Load(product=product, dataset=dataset, settings=settings)
    prepare(product, load.names)
    product.cluster.stop()
    load.cluster.ensure_running()
    try:
        asyncio.run(fill(load))
    finally:
        load.cluster.stop()
    return load

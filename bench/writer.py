"""The harvester's writing half without HTTP: items given as bytes are read, packed, staged and merged by its code."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.items import render_items
from bench.pictures import pictures_of
from bench.plan import SequencePlan
from bench.product import Product
from bench.sequences import collection_of, to_json
from federation.database import Pool, Role, open_pool
from federation.instances import load_instances, sync_instances
from federation.payload import Packer, train
from federation.queries import query
from federation.record import Picture
from federation.record import Sequence as SequenceRecord
from federation.settings import Settings
from harvester.lane import Lane
from harvester.merge import Batch, merge_batch
from harvester.names import Names
from panofed.cluster import DATABASE

#: What an instance has that nobody visited yet.
_NO_RUN = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A sequence as its origin answers it, and its number in the index."""

    number: int
    record: SequenceRecord
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Its pictures, read."""

    sequence: Ready
    pictures: tuple[Picture, ...]


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where writers work: one instance of one catalog."""

    dsn: str
    pool: Pool
    settings: Settings
    instance: int
    name: str
    base: str
    packer: Packer
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.instance, _NO_RUN)

    async def prepare(self, plans: Iterable[SequencePlan]) -> list[Ready]:
        """Render sequences and give them their numbers."""
        rendered: list[tuple[SequenceRecord, tuple[bytes, ...]]] = []
        for plan in plans:
            pictures = pictures_of(plan)
            record = SequenceRecord.from_stac(to_json(collection_of(pictures, self.base)), instance=self.name)
            rendered.append((record, tuple(item.body for item in render_items(pictures, self.base))))
        ids = [uuid.UUID(record.id) for record, _ in rendered]
        rows = await self.pool.fetch(query("add_sequences"), self.instance, ids, [None] * len(ids), _NO_RUN)
        numbers = {str(row["id"]): row["n"] for row in rows}
        return [Ready(number=numbers[record.id], record=record, items=items) for record, items in rendered]

    def read(self, sequence: Ready) -> Read:
        """Read and check its items."""
        identifier = sequence.record.id
        pictures = (Picture.from_stac(item, instance=self.name, collection=identifier) for item in sequence.items)
        return Read(sequence=sequence, pictures=tuple(pictures))

    async def stage(self, lane: Lane, one: Read, packer: Packer | None = None) -> None:
        """Into the lane's table."""
        numbers = await self.names.learn(lane.connection, one.pictures)
        await lane.add(
            one.pictures,
            sequence=one.sequence.number,
            packer=self.packer if packer is None else packer,
            accounts=numbers.accounts,
            cameras=numbers.cameras,
            licenses=numbers.licenses,
            first_rank=1,
        )

    async def merge(self, lane: Lane, sequences: Sequence[Ready]) -> int:
        """What is staged in the lane into the index; returns how many pictures came."""
        merged = [
            (one.number, one.record, await self.names.account(lane.connection, one.record.account)) for one in sequences
        ]
        done = await merge_batch(lane, Batch(instance=self.instance, run=_NO_RUN, merged=tuple(merged)), self.packer)
        return done.arrived


@asynccontextmanager
async def desk_of(product: Product, name: str, settings: Settings) -> AsyncIterator[Desk]:
    """The instance of that name in a prepared catalog whose cluster runs; its packer has no dictionary yet."""
    dsn = product.cluster.dsn(DATABASE)
    async with open_pool(dsn, Role.WRITER, settings, size=2) as pool:
        async with pool.acquire() as connection:
            await sync_instances(connection, load_instances(product.directory / "instances.yaml"))
            known = {row["id"]: row["n"] for row in await connection.fetch(query("read_registry"))}
        yield Desk(
            dsn=dsn,
            pool=pool,
            settings=settings,
            instance=known[name],
            name=name,
            base=f"http://127.0.0.1:{product.ports[0]}",
            packer=Packer.make(settings.zstd_level),
        )


async def learn_dictionary(desk: Desk, sequences: Iterable[Ready]) -> None:
    """Train a dictionary of these sequences and use it from now on."""
    samples = [picture.text for one in sequences for picture in desk.read(one).pictures]
    content = train(samples[: desk.settings.dictionary_items], desk.settings.dictionary_bytes)
    number = await desk.pool.fetchval(query("keep_dictionary"), desk.instance, content, len(samples))
    desk.packer = Packer.make(desk.settings.zstd_level, number, content)


@asynccontextmanager
async def lanes_of(desk: Desk, count: int) -> AsyncIterator[list[Lane]]:
    """That many lanes, closed at the end."""
    lanes = [await Lane.open(desk.dsn, desk.settings) for _ in range(count)]
    try:
        yield lanes
    finally:
        for lane in lanes:
            await lane.close()

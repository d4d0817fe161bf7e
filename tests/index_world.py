"""An index that is written through lanes, as the harvester does, but without an instance to ask."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

from federation.database import Connection, Pool
from federation.payload import Packer
from federation.record import Picture
from federation.record import Sequence as SequenceRecord
from federation.settings import Settings
from harvester.lane import Lane
from harvester.merge import Batch, Merged, merge_batch
from tests.hostile import local_settings

START = datetime(2024, 5, 2, 9, 0, tzinfo=UTC)


def picture_of(chance: random.Random, rank: int, at: tuple[float, float], id: str = "") -> Picture:
    """A picture near a place; one in three is 360."""
    item = {
        "id": id or str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "geometry": {
            "type": "Point",
            "coordinates": [at[0] + chance.uniform(-0.05, 0.05), at[1] + chance.uniform(-0.05, 0.05)],
        },
        "properties": {
            "datetime": (START + timedelta(days=chance.randrange(300))).isoformat(),
            "geovisio:rank_in_collection": rank,
            "original_file:size": chance.randrange(10_000),
            "pers:interior_orientation": {"field_of_view": chance.choice([70, 70, 360])},
            "note": str(chance.random()),
        },
    }
    return Picture.from_stac(orjson.dumps(item), instance="i", collection="")


@dataclass(slots=True)
class Writer:
    """One lane of one instance."""

    lane: Lane
    instance: int
    run: int
    chance: random.Random
    place: tuple[float, float] = (2.35, 48.85)

    async def write(self, *sequences: tuple[int, str, Sequence[Picture]]) -> Merged:
        """Merge these as whole sequences: (number, id, pictures)."""
        merged = []
        for number, id, pictures in sequences:
            await self.lane.add(
                pictures,
                sequence=number,
                packer=Packer.make(1),
                accounts={},
                cameras={},
                licenses={},
                first_rank=1,
            )
            body = {"id": id, "title": str(self.chance.random())}
            merged.append((number, SequenceRecord.from_stac(orjson.dumps(body), instance="i"), None))
        batch = Batch(instance=self.instance, run=self.run, merged=tuple(merged))
        return await merge_batch(self.lane, batch, Packer.make(1))

    async def remove(
        self, *numbers: int, before_commit: Callable[[Connection], Awaitable[None]] | None = None
    ) -> Merged:
        batch = Batch(instance=self.instance, run=self.run, removed=numbers)
        return await merge_batch(self.lane, batch, Packer.make(1), in_transaction=_of_sequences(before_commit))

    async def new_sequence(self) -> tuple[int, str]:
        id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        number: int = await self.lane.connection.fetchval(
            "INSERT INTO sequences (id, instance) VALUES ($1, $2) RETURNING n", id, self.instance
        )
        return number, id

    def pictures(self, number: int, ids: Sequence[str] = ()) -> list[Picture]:
        """So many pictures; the first have these ids."""
        return [
            picture_of(self.chance, rank, self.place, ids[rank - 1] if rank <= len(ids) else "")
            for rank in range(1, number + 1)
        ]


@dataclass(slots=True)
class Index:
    """An index and the writers of it."""

    dsn: str
    admin: asyncpg.Connection
    pool: Pool
    settings: Settings
    stack: AsyncExitStack

    async def instance(self, name: str = "north") -> tuple[int, int]:
        """(number, run) of an instance, made when it is new."""
        row = await self.admin.fetchrow(
            "INSERT INTO instances (id, name, url, state, run) VALUES ($1, $1, 'http://x', 'enabled', 1)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING n, run",
            name,
        )
        assert row is not None
        return row["n"], row["run"]

    async def writer(self, name: str = "north", *, seed: int = 1) -> Writer:
        lane = await Lane.open(self.dsn, self.settings)
        self.stack.push_async_callback(lane.close)
        number, run = await self.instance(name)
        return Writer(lane, number, run, random.Random(seed))


def index_settings(**overrides: object) -> Settings:
    values: dict[str, object] = {"leaf_max_pictures": 1_000, "split_batch_pictures": 50, "page_pictures": 500}
    return local_settings(**{**values, "pool_size": 10, **overrides})


def _of_sequences(
    before_commit: Callable[[Connection], Awaitable[None]] | None,
) -> Callable[[Connection, frozenset[int]], Awaitable[None]] | None:
    """The same for a merge, which also tells which sequences it touched."""
    if before_commit is None:
        return None

    async def work(connection: Connection, _: frozenset[int]) -> None:
        await before_commit(connection)

    return work

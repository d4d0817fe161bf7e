"""An index, instances in memory, and visits to them with small pages and batches, so that every seam is crossed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from federation.database import Pool
from federation.payload import Known, Unpacker, restore
from federation.settings import Settings
from harvester.fold import fold
from harvester.progress import Progress
from harvester.visit import Harvester
from tests.hostile import local_settings
from tests.invariants import check_invariants
from tests.origin import Origin


def harvest_settings(**overrides: object) -> Settings:
    """Small pages and batches, no politeness; quick time-outs."""
    values: dict[str, object] = {
        "page_sequences": 4,
        "page_pictures": 5,
        "batch_pictures": 12,
        "instance_requests_per_s": 0,
        "outbound_body_max_bytes": 64_000_000,
        "outbound_attempts": 2,
        "zstd_level": 3,
        "pool_size": 4,
        "dictionary_items": 1_000_000,
    }
    return local_settings(**{**values, **overrides})


@dataclass(slots=True, kw_only=True)
class World:
    """One index and the instances that are harvested into it; `admin` may do everything."""

    dsn: str
    pool: Pool
    admin: asyncpg.Connection
    settings: Settings
    stack: AsyncExitStack
    origins: dict[str, Origin] = field(default_factory=dict)

    async def origin(self, name: str = "north", **more: Any) -> Origin:
        """A new instance, registered and enabled."""
        origin = await self.stack.enter_async_context(Origin(seed=len(self.origins) + 1, **more))
        self.origins[name] = origin
        await self.register(name, origin.url)
        return origin

    async def register(self, name: str, url: str) -> int:
        number: int = await self.admin.fetchval(
            "INSERT INTO instances (id, name, url, state) VALUES ($1, $1, $2, 'enabled') RETURNING n", name, url
        )
        return number

    async def visit(self, name: str = "north", *, thorough: bool = False, **overrides: object) -> Progress:
        """One visit; its requests are forgotten before it begins. `thorough`: everything is read again."""
        if name in self.origins:
            self.origins[name].requests.clear()
        settings = harvest_settings(**{"leaf_max_pictures": self.settings.leaf_max_pictures, **overrides})
        harvester = Harvester(dsn=self.dsn, pool=self.pool, settings=settings, thorough=thorough)
        row = next(row for row in await harvester.due(every=True) if row["name"] == name)
        return await harvester.visit(row, lambda _: None)

    async def good_visit(self, name: str = "north", *, thorough: bool = False, **overrides: object) -> Progress:
        """A visit that went well, and the index is right after it."""
        progress = await self.visit(name, thorough=thorough, **overrides)
        assert progress.outcome == "done", (progress.outcome, progress.last_error)
        await self.check()
        return progress

    async def check(self) -> int:
        """The index is right, before and after counts are folded."""
        await check_invariants(self.admin)
        await fold(self.pool, self.settings)
        return await check_invariants(self.admin)

    async def check_same(self, *names: str) -> None:
        """The index serves what an anonymous visitor of these instances sees, to the byte of every value."""
        wanted = {id: shown for name in names or self.origins for id, shown in self.origins[name].visible().items()}
        served = await self.served()
        assert sorted(served) == sorted(wanted)
        for id, (sequence, item) in wanted.items():
            links = [link for link in item["links"] if link["rel"] != "self"]
            assert served[id] == (sequence, item | {"links": links}), id

    async def served(self) -> dict[str, tuple[str, Any]]:
        """What the index serves: picture id to (sequence id, item with the links that are kept)."""
        unpacker = Unpacker()
        unpacker.learn(0)
        for row in await self.admin.fetch("SELECT n, content FROM dictionaries"):
            unpacker.learn(row["n"], row["content"])
        rows = await self.admin.fetch(
            "SELECT p.*, s.id AS of, ST_X(p.geom) AS x, ST_Y(p.geom) AS y"
            " FROM pictures p JOIN sequences s ON s.n = p.sequence WHERE p.served"
        )
        found = {}
        for row in rows:
            known = Known(
                str(row["id"]), str(row["of"]), row["x"], row["y"], row["datetime"], row["created"], row["updated"]
            )
            document, links = restore(unpacker.unpack(row["dictionary"], row["payload"]), known)
            found[str(row["id"])] = (
                str(row["of"]),
                orjson.loads(document) | {"links": orjson.loads(b"[" + links + b"]")},
            )
        return found

    async def age(self, table: str, column: str, by: str) -> None:
        """As if so much time had passed since."""
        await self.admin.execute(f"UPDATE {table} SET {column} = {column} - $1::text::interval", by)

    async def everything_stored(self) -> str:
        """All rows of all tables as text, payloads unpacked: to look for what must not be there."""
        tables = await self.admin.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND relname <> 'spatial_ref_sys'"
        )
        rows = [
            str(dict(row))
            for table in tables
            for row in await self.admin.fetch(f'SELECT * FROM public."{table["relname"]}"')
        ]
        return "\n".join([*rows, str(await self.served())])

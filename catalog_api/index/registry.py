"""Small tables every answer needs, kept in memory: the instances' names and addresses, and the payload dictionaries."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import orjson

from catalog_api.index.connections import Connections
from federation.database import Row
from federation.errors import StaleLeaves
from federation.payload import Known, Unpacker, restore
from federation.queries import query

#: How old the list of instances may be: a new name or asset host shows after this.
_FRESH_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance as answers name it. `web` is where people see it, `api` where its collections are, without a slash at
    the end; `via` is the finished link; `hosts` are those redirects may name.
    """

    name: str
    web: str
    api: str
    via: bytes
    hosts: frozenset[str]
    #: since when no visit succeeded, while visits fail
    unreached_since: datetime | None = None


@dataclass(slots=True)
class Registry:
    """Reads what it does not know yet; `prepare` before a synchronous use."""

    connections: Connections
    unpacker: Unpacker
    instances: dict[int, Instance] = field(default_factory=dict)
    _read_at: float = field(default=-1e9)

    async def prepare(self, rows: list[Row]) -> None:
        """Make sure that the instances and dictionaries of these rows are here."""
        await self.know(row["instance"] for row in rows)
        for row in rows:
            if not self.unpacker.knows(row["dictionary"]):
                await self._learn(row["dictionary"])

    async def know(self, numbers: Iterable[int]) -> None:
        """Make sure that these instances are here."""
        if time.monotonic() - self._read_at > _FRESH_S or any(number not in self.instances for number in numbers):
            await self._read_instances()

    async def unreachable(self, longer_than: timedelta) -> tuple[int, ...]:
        """Numbers of the instances that no visit has reached for so long; as it was a few seconds ago at most."""
        await self.know(())
        now = datetime.now(UTC)
        since = {n: each.unreached_since for n, each in self.instances.items()}
        return tuple(n for n, at in sorted(since.items()) if at is not None and now - at > longer_than)

    def picture_text(self, row: Row, sequence: str) -> tuple[bytes, bytes]:
        """The item as harvested, without the links that are rebuilt, and its other links."""
        known = Known(
            str(row["id"]),
            sequence,
            row["longitude"],
            row["latitude"],
            row["datetime"],
            row["created"],
            row["updated"],
        )
        return restore(self.unpacker.unpack(row["dictionary"], row["payload"]), known)

    async def _read_instances(self) -> None:
        rows = await self.connections.fetch(query("catalog_registry"))
        self.instances = {row["n"]: _instance(row) for row in rows}
        self._read_at = time.monotonic()

    async def _learn(self, number: int) -> None:
        if number == 0:
            self.unpacker.learn(0)
            return
        rows = await self.connections.fetch(query("catalog_dictionary"), number)
        if not rows:
            # retrained between the two statements: the rows are compressed with another one by now
            raise StaleLeaves("these pictures are being compressed anew: try again in a moment")
        self.unpacker.learn(number, rows[0]["content"])


def web_root(url: str) -> str:
    """Where people see an instance: its address without the API's path.

    >>> web_root("https://panoramax.example.org/api/")
    'https://panoramax.example.org'
    """
    return url.rstrip("/").removesuffix("/api").rstrip("/")


def _instance(row: Row) -> Instance:
    web = web_root(row["url"])
    link = {"rel": "via", "type": "application/json", "href": web, "instance_name": row["name"]}
    link["title"] = f"Instance {row['name']}"
    host = (urlsplit(web).netloc.rpartition("@")[2]).lower()
    hosts = frozenset({host, *(each.lower() for each in row["asset_hosts"])})
    return Instance(
        name=row["name"], web=web, api=row["url"].rstrip("/"), via=orjson.dumps(link), hosts=hosts,
        unreached_since=row["unreached_since"],
    )  # fmt: skip

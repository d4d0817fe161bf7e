"""Notices when an instance speaks another language than before: a new major version, a conformance class less."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from federation.database import Pool, explained
from federation.events import HARVESTER, Kind, note
from federation.queries import query

#: Of a conformance class's address: a newer version of it is not a loss.
_VERSION = re.compile(r"/v?\d+(\.\d+)*([-.](alpha|beta|rc|dev)[\w.]*)?(?=/|$)")
_CLASSES_MAX = 200
_CLASS_MAX = 200
_texts = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a landing page says of the API: GeoVisio's version, "" of another server, and conformance classes."""

    version: str
    conforms: tuple[str, ...]

    @classmethod
    def of(cls, landing: Mapping[str, msgspec.Raw]) -> Spoken:
        """From its members; what cannot be read is left out."""
        version = bytes(landing.get("geovisio_version", b"")).decode().strip('"')
        try:
            classes = _texts.decode(landing.get("conformsTo", msgspec.Raw(b"[]")))
        except (msgspec.DecodeError, UnicodeDecodeError):
            classes = []
        kept = [each for each in classes[:_CLASSES_MAX] if len(each) <= _CLASS_MAX and each.isprintable()]
        return cls(version=version[:64], conforms=tuple(kept))


def drift(before_version: str, before: Sequence[str], now: Spoken) -> dict[str, object]:
    """What has changed that may matter; empty when nothing has, or when nothing was known.

    >>> now = Spoken(version="3.0.1", conforms=("https://api.stacspec.org/v1.1.0/core",))
    >>> drift("2.15.1", ["https://api.stacspec.org/v1.0.0/core"], now)
    {'version': ['2.15.1', '3.0.1']}
    >>> drift("3.0.0", ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/sort"], now)
    {'lost': ['https://api.stacspec.org/v1.0.0/sort']}
    >>> drift("", [], now)
    {}
    """
    found: dict[str, object] = {}
    if before_version and _major(before_version) != _major(now.version):
        found["version"] = [before_version, now.version]
    kept = {_VERSION.sub("", each) for each in now.conforms}
    lost = [each for each in before if _VERSION.sub("", each) not in kept]
    if lost:
        found["lost"] = lost
    return found


async def keep_spoken(pool: Pool, instance: int, run: int, now: Spoken, configuration: str) -> bool:
    """Keep what an instance says of itself; True when all of its items are to be read again for it."""
    async with explained("keeping a configuration"), pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            query("keep_configuration"), instance, configuration, now.version, run, list(now.conforms)
        )
        if row is None:
            return False
        found = drift(row["version"], row["conforms"], now)
        if found:
            await note(connection, Kind.SCHEMA_DRIFT, actor=HARVESTER, instance=instance, details=found)
        return bool(row["moved"])


async def note_unfit(pool: Pool, instance: int, run: int, problem: str) -> None:
    """Its landing page cannot be harvested any more: noted once, until it can be again."""
    async with explained("noting a drift"), pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(query("forget_conformance"), instance, run) is not None:
            details = {"problem": problem[:300]}
            await note(connection, Kind.SCHEMA_DRIFT, actor=HARVESTER, instance=instance, details=details)


def _major(version: str) -> str:
    return version.partition(".")[0]

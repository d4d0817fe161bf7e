"""A federation with a past: instances with days, visits, events, months and coverage, for the pages that show them.

python -m bench.history --dsn postgresql://... --instances 100 --days 90

No picture is made: what the pages of health read is written as the harvester would have left it. Fill a database of its
own with it, never one that is harvested into.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import asyncpg
import orjson

from federation.cells import cell_of, parent
from federation.database import Connection

_QUERIES = Path(__file__).with_name("sql")
_TOWNS = (
    (2.35, 48.85), (4.83, 45.76), (-1.55, 47.22), (7.75, 48.57), (1.44, 43.6), (-0.58, 44.84), (5.37, 43.3),
    (3.06, 50.63), (-4.49, 48.39), (13.4, 52.52), (4.9, 52.37), (12.5, 41.9), (-3.7, 40.42), (-73.57, 45.5),
    (55.45, -20.88), (166.45, -22.27), (-61.0, 14.6), (139.7, 35.68), (36.82, -1.29), (-58.38, -34.6),
)  # fmt: skip
_ERRORS = (
    "the connection was refused",
    "no answer within 60 s",
    "the instance answered 502 (Bad Gateway)",
    "the certificate is not valid: it has expired",
)
_LICENSES = ("etalab-2.0", "CC-BY-SA-4.0", "CC-BY-4.0", "ODbL-1.0")
_RUNS_A_DAY = 6
_RESOLUTIONS = (3, 4, 5)
_MONTHS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One instance of the past: how large it is and how well it was."""

    n: int
    name: str
    pictures: int
    trouble: float
    growth: float


async def seed(connection: Connection, *, instances: int = 100, days: int = 90, number: int = 1) -> list[Past]:
    """Write it all, in one transaction; the same `number` makes the same past, up to today."""
    chance = random.Random(number)
    now = datetime.now(UTC).replace(microsecond=0)
    async with connection.transaction():
        made = [await _instance(connection, chance, now, place) for place in range(instances)]
        for past in made:
            await _days(connection, chance, now, past, days)
            await _runs(connection, chance, now, past, days)
            await _held(connection, chance, now, past)
        await _events(connection, chance, now, made, days)
    await connection.execute("ANALYZE instances, days, runs, events, cell_counts, month_counts, sequences")
    return made


async def _instance(connection: Connection, chance: random.Random, now: datetime, place: int) -> Past:
    # a few hold nearly everything, as it is
    pictures = int(60_000_000 / (place + 1) ** 1.6) + chance.randrange(2_000)
    trouble = chance.choice((0.0, 0.0, 0.0, 0.002, 0.01, 0.05)) if place % 17 else 0.15
    state = {5: "paused", 11: "braked"}.get(place % 29, "enabled")
    failures = 7 if trouble > 0.1 and state == "enabled" else 0
    name = f"{chance.choice(('ville', 'agglo', 'departement', 'asso', 'region', 'uni'))}-{place + 1:03}"
    license_id = chance.choice(_LICENSES)
    configuration = {
        "name": {"label": f"Panoramax {name}", "langs": {"fr": f"Panoramax {name}"}},
        "description": {"label": "Street-level pictures of a territory.", "langs": {}},
        "license": {"id": license_id, "url": f"https://spdx.org/licenses/{license_id}.html"},
        "auth": {"enabled": True, "registration_is_open": place % 3 == 0, "enforce_tos_acceptance": True},
        "email": f"contact@{name}.example",
    }
    success = now - timedelta(seconds=chance.randrange(5, 40) if not failures else 7_200)
    n = await connection.fetchval(
        _sql("instance"), name, f"https://{name}.example/api", state, orjson.dumps(configuration).decode(),
        success, failures, _ERRORS[place % 4] if failures else "", now + timedelta(seconds=45),
        "checked by hand" if state != "enabled" else "", now - timedelta(days=chance.randrange(30, 900)),
    )  # fmt: skip
    state = "failing" if failures else "fresh" if state == "enabled" else state
    certificate = now + timedelta(days=chance.randrange(3, 80))
    await connection.execute(_sql("health"), n, state, now - timedelta(days=chance.random() * 30), certificate, success)
    return Past(n=n, name=name, pictures=pictures, trouble=trouble, growth=chance.uniform(0.0002, 0.004))


@cache
def _sql(name: str) -> str:
    """One statement of sql/history.sql."""
    parts = (_QUERIES / "history.sql").read_text(encoding="utf-8").split("-- name: ")
    return next(part.partition("\n")[2] for part in parts if part.startswith(f"{name}\n"))


async def _days(connection: Connection, chance: random.Random, now: datetime, past: Past, days: int) -> None:
    rows = []
    for day, age in _each_day(now, days):
        if chance.random() < 0.004:
            continue  # the harvester was off
        held = int(past.pictures * (1 - past.growth) ** age)
        whole_s = 86_400.0 if age else (now - now.replace(hour=0, minute=0, second=0)).total_seconds()
        away = min(1.0, chance.expovariate(1.0) * 4) if chance.random() < past.trouble * 2 else 0.0
        if not age and past.trouble > 0.1:
            away = 0.6
        visits, requests = int(1_900 * (1 - away)), int(4_000 * (1 - away)) + 1
        rows.append(
            (
                past.n, day, visits, int(40 * away) + (1 if away else 0), whole_s * (1 - away), whole_s * away,
                requests, requests * chance.uniform(0.05, 0.4), chance.uniform(0.5, 9.0), requests * 30_000,
                int(held * past.growth), int(held * past.growth * 0.05), chance.randrange(3) if away else 0,
                chance.choice(_ERRORS) if away else "", held, int(held * 0.4), held // 120 + 1, held * 4.2,
                int(math.sqrt(held) / 4) + 1, chance.randrange(30),
            )
        )  # fmt: skip
    await connection.copy_records_to_table("days", records=rows)


def _each_day(now: datetime, days: int) -> Iterator[tuple[date, int]]:
    """Days and their age, the oldest first."""
    for age in range(days - 1, -1, -1):
        yield (now - timedelta(days=age)).date(), age


async def _runs(connection: Connection, chance: random.Random, now: datetime, past: Past, days: int) -> None:
    rows = []
    for _, age in _each_day(now, days):
        for _ in range(_RUNS_A_DAY):
            began = now - timedelta(days=age, seconds=chance.randrange(60, 80_000))
            failed = chance.random() < past.trouble
            took = timedelta(seconds=chance.uniform(1, 90))
            changed = 0 if failed else chance.randrange(1, 40)
            rows.append(
                (
                    past.n, began, began + took, began + took, "ended", "failed" if failed else "done",
                    changed + 3, changed, chance.randrange(2), changed, changed * 120, changed * 110, changed + 4,
                    changed * 60_000, chance.choice(_ERRORS) if failed else "",
                )
            )  # fmt: skip
    columns = (
        "instance started_at alive_at ended_at phase outcome sequences_seen sequences_changed sequences_removed "
        "sequences_expected pictures_seen pictures_changed requests received_bytes last_error"
    ).split()
    rows.sort(key=lambda row: row[1])
    await connection.copy_records_to_table("runs", records=rows, columns=columns)
    await connection.execute(_sql("latest_run"), past.n)


async def _held(connection: Connection, chance: random.Random, now: datetime, past: Past) -> None:
    """Sequences as one row of all its pictures, months of upload, and hexagons around some towns."""
    await connection.execute(_sql("sequence"), uuid.UUID(int=chance.getrandbits(128), version=4), past.n, past.pictures)
    months, left = [], past.pictures
    for age in range(_MONTHS):
        month = (now.replace(day=1) - timedelta(days=30.4 * age)).date().replace(day=1)
        share = max(1, int(left * chance.uniform(0.02, 0.12)))
        months.append((past.n, month, share, share // 3, share * 4_000_000))
        left -= share
    await connection.copy_records_to_table("month_counts", records=list({row[1]: row for row in months}.values()))
    cells: dict[int, int] = {}
    for _ in range(1 + min(len(_TOWNS), past.pictures // 3_000_000)):
        longitude, latitude = chance.choice(_TOWNS)
        for _ in range(min(200, 10 + past.pictures // 50_000)):
            place = longitude + chance.gauss(0, 0.7), max(-85.0, min(85.0, latitude + chance.gauss(0, 0.5)))
            finest = cell_of(*place)
            for resolution in _RESOLUTIONS:
                cell = parent(finest, resolution)
                cells[cell] = cells.get(cell, 0) + chance.randrange(20, 4_000)
    counts = [(cell, past.n, pictures, pictures // 3, now.date()) for cell, pictures in sorted(cells.items())]
    await connection.copy_records_to_table("cell_counts", records=counts)


async def _events(connection: Connection, chance: random.Random, now: datetime, made: list[Past], days: int) -> None:
    rows: list[tuple[datetime, str, Past, dict[str, object]]] = []
    for past in made:
        rows.append((now - timedelta(days=days, minutes=past.n), "joined", past, {}))
        for _ in range(int(past.trouble * 60)):
            at = now - timedelta(days=chance.uniform(0.1, days))
            seconds = chance.randrange(200, 40_000)
            rows.append((at, "down", past, {"reason": chance.choice(_ERRORS), "failures": 3}))
            rows.append((at + timedelta(seconds=seconds), "back", past, {"was": "failing", "seconds": seconds}))
    rows.sort(key=lambda row: row[0])
    for at, kind, past, details in rows:
        told = orjson.dumps(details | {"name": past.name}).decode()
        await connection.execute(_sql("event"), at, kind, past.n, told)


async def _main(options: argparse.Namespace) -> None:
    connection = await asyncpg.connect(options.dsn)
    try:
        began = time.monotonic()
        made = await seed(connection, instances=options.instances, days=options.days, number=options.seed)
        sys.stdout.write(f"{len(made)} instances, {options.days} days: {time.monotonic() - began:.1f} s\n")
    finally:
        await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(_main(parser.parse_args()))

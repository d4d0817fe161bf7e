"""What an index holds, comparable with another one's: no row numbers, no times of harvesting, no leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import asyncpg

#: (instance, sequence) to its pictures' (hash, rank)
Contents: TypeAlias = dict[tuple[str, str], dict[str, tuple[int, int]]]

#: Where leaves were split hangs on the order of harvesting; that each picture is in the right one is an invariant.
_TABLES = {
    "pictures": """
        SELECT to_jsonb(p) - '{cell,indexed,sequence,account,camera,license,instance,dictionary}'::text[]
               || jsonb_build_object('of', s.id, 'at', i.id, 'by', to_jsonb(a) - 'n' - 'instance',
                                     'with', to_jsonb(c) - 'n', 'under', to_jsonb(l) - 'n')
        FROM pictures p JOIN sequences s ON s.n = p.sequence JOIN instances i ON i.n = p.instance
        LEFT JOIN accounts a ON a.n = p.account LEFT JOIN cameras c ON c.n = p.camera
        LEFT JOIN licenses l ON l.n = p.license""",
    "sequences": """
        SELECT to_jsonb(s) - '{n,indexed,checked_at,removed_at,cells,account,instance,dictionary}'::text[]
               || jsonb_build_object('at', i.id, 'by', to_jsonb(a) - 'n' - 'instance')
        FROM sequences s JOIN instances i ON i.n = s.instance LEFT JOIN accounts a ON a.n = s.account""",
    "locator": """
        SELECT jsonb_build_object('id', l.id, 'copy', copy = 0, 'rank', l.rank, 'of', s.id, 'at', i.id)
        FROM locator l JOIN sequences s ON s.n = l.sequence JOIN instances i ON i.n = l.instance""",
    "cell_counts": """
        SELECT to_jsonb(c) - 'instance' || jsonb_build_object('at', i.id)
        FROM cell_counts c JOIN instances i ON i.n = c.instance""",
    "month_counts": """
        SELECT to_jsonb(c) - 'instance' || jsonb_build_object('at', i.id)
        FROM month_counts c JOIN instances i ON i.n = c.instance WHERE c.pictures > 0""",
    "quarantine": "SELECT to_jsonb(count(*)) FROM quarantine",
    "retries": "SELECT to_jsonb(count(*)) FROM retries",
    "ranges": "SELECT to_jsonb(count(*)) FROM ranges",
    "followups": "SELECT to_jsonb(count(*)) FROM followups",
    "count_deltas": "SELECT to_jsonb(count(*)) FROM count_deltas",
    "runs that never ended": "SELECT to_jsonb(count(*)) FROM runs WHERE outcome = 'running'",
}


async def held(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Rows of each table as text, sorted."""
    return {
        name: sorted(row[0] for row in await connection.fetch(f"SELECT t.j::text FROM ({statement}) t(j)"))
        for name, statement in _TABLES.items()
    }


async def contents(connection: asyncpg.Connection) -> Contents:
    """Pictures by sequence, at one moment."""
    rows = await connection.fetch(
        "SELECT i.id AS at, s.id AS of, p.id, p.hash, p.rank FROM pictures p JOIN sequences s ON s.n = p.sequence"
        " JOIN instances i ON i.n = p.instance"
    )
    found: Contents = {}
    for row in rows:
        found.setdefault((row["at"], str(row["of"])), {})[str(row["id"])] = (row["hash"], row["rank"])
    return found


def partly_replaced(now: Contents, before: Contents, after: Contents) -> list[str]:
    """Sequences that are neither as they were nor as they will be.

    A picture that left for another sequence of its instance may have gone ahead: it is in one place, never in none.
    """
    where = {(at, id): of for (at, of), pictures in now.items() for id in pictures}
    wrong = []
    for key in now.keys() | before.keys() | after.keys():
        mine, was, will = now.get(key, {}), before.get(key, {}), after.get(key, {})
        if mine == will:
            continue
        gone_ahead = {id for id in was.keys() - mine.keys() if where.get((key[0], id), key[1]) != key[1]}
        if mine != {id: value for id, value in was.items() if id not in gone_ahead}:
            wrong.append(f"{key}: {len(mine)} pictures, before {len(was)}, after {len(will)}")
    return wrong


def compared(ours: Mapping[str, list[str]], theirs: Mapping[str, list[str]]) -> list[str]:
    """Rows that only one of two indexes has."""
    wrong = []
    for name in ours:
        wrong += [f"{name}, only with kills: {row[:600]}" for row in set(ours[name]) - set(theirs[name])][:3]
        wrong += [f"{name}, only without: {row[:600]}" for row in set(theirs[name]) - set(ours[name])][:3]
    return wrong

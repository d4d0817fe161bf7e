"""Takedowns: a picture or sequence that nobody is shown, whichever instance has it, until an administrator ends it.

One commit takes every copy out, with counts, links, lines, tiles and the change log as a merge leaves them; every merge
after it withholds what comes of the same id, so it outlives tombstone, revival and transfer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from federation.database import Connection, Role, Row, explained, rows_of
from federation.errors import TakedownRefused
from federation.events import Kind as EventKind
from federation.events import note
from federation.leaves import LeafSet, load_leaves
from federation.queries import query
from federation.settings import load_settings

Kind = Literal["picture", "sequence"]

#: Characters of a reason: a paragraph.
REASON_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDown:
    """What a takedown did: its number, whether it stood already, how many copies of pictures it took out."""

    n: int
    is_new: bool
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """One takedown, standing while `ended_at` is None. `copies` are names of instances that have or brought one."""

    n: int
    kind: Kind
    id: UUID
    reason: str
    actor: str
    at: datetime
    ended_at: datetime | None
    ended_by: str
    copies: tuple[str, ...]


async def take_down(
    connection: Connection, kind: Kind, id: UUID, reason: str, actor: str, *, cut_gap_m: float | None = None
) -> TakenDown:
    """Take every copy of it out, in one transaction, and keep it out. Nobody needs to have it yet.

    `cut_gap_m`: metres beyond which the line of a sequence is cut, without it the setting's. It waits for merges that
    are under way. TakedownRefused for a reason that is missing or too long.
    """
    if not reason.strip() or len(reason) > REASON_MAX or "\x00" in reason:
        raise TakedownRefused(f"the reason must have 1 to {REASON_MAX} characters, not {len(reason.strip())}")
    gap_m = load_settings().cut_gap_m if cut_gap_m is None else cut_gap_m
    async with explained("taking down"), as_writer(connection):
        await connection.execute(query("lock_takedowns"))
        (kept,) = await connection.fetch(query("keep_takedown"), kind, id, reason.strip(), actor)
        sequences = await connection.fetch(query("sequences_taken"), kind, id)
        numbers = sorted({row["n"] for row in sequences})
        pictures = await _Removal(connection, await load_leaves(connection), gap_m).run(kind, id, numbers)
        await connection.execute(query("forget_taken"), kind, id)
        await connection.execute(query("keep_takedown_copies"), kept["n"], numbers)
        if kept["is_new"]:
            told = {"kind": kind, "reason": reason.strip(), "pictures": pictures, "takedown": kept["n"]}
            await note(connection, EventKind.TAKEN_DOWN, actor=actor, subject=str(id), details=told)
    return TakenDown(n=kept["n"], is_new=kept["is_new"], pictures=pictures)


async def end_takedown(connection: Connection, n: int, actor: str) -> None:
    """End it: who has a copy is visited now and its sequence is read again. TakedownRefused when none stands."""
    async with explained("ending a takedown"), as_writer(connection):
        await connection.execute(query("lock_takedowns"))
        row = await connection.fetchrow(query("end_takedown"), n, actor)
        if row is None:
            raise TakedownRefused(f"no takedown {n} stands")
        await connection.execute(query("read_taken_again"), n)
        told = {"kind": row["kind"], "takedown": n}
        await note(connection, EventKind.TAKEDOWN_ENDED, actor=actor, subject=str(row["id"]), details=told)


async def list_takedowns(connection: Connection) -> list[Takedown]:
    """All of them, the last made first, ended ones too."""
    async with explained("listing takedowns"):
        rows = await connection.fetch(query("list_takedowns"))
    return [_takedown(row) for row in rows]


def _takedown(row: Row) -> Takedown:
    return Takedown(
        n=row["n"], kind=cast(Kind, row["kind"]), id=row["id"], reason=row["reason"], actor=row["actor"], at=row["at"],
        ended_at=row["ended_at"], ended_by=row["ended_by"], copies=tuple(row["copies"]),
    )  # fmt: skip


@asynccontextmanager
async def as_writer(connection: Connection) -> AsyncIterator[None]:
    """A transaction (part of the caller's, where there is one) with what the writer may do and how long it may take."""
    async with connection.transaction():
        timeout_ms = str(int(load_settings().merge_timeout_s * 1000))
        (former,) = await connection.fetch(query("become"), Role.WRITER.value, timeout_ms)
        yield
        await connection.execute(query("become_again"), former["former"], former["former_timeout"])


@dataclass(frozen=True, slots=True)
class _Removal:
    """Taking pictures out, in the order in which merges lock: locator, sequences. `cut_gap_m` is in metres."""

    connection: Connection
    leaves: LeafSet
    cut_gap_m: float

    async def run(self, kind: Kind, id: UUID, numbers: list[int]) -> int:
        """Take out the picture `id` of the sequences `numbers`, or all that is in these sequences; returns how many."""
        if not numbers:
            return 0
        connection = self.connection
        await connection.execute(query("create_taken"))
        await connection.execute(query("create_flux"))
        former = await self._cells_of(numbers)
        await connection.execute(query("hold_taken"), kind, id, former, numbers)
        cells = sorted({*former, *(row["cell"] for row in await connection.fetch(query("taken_cells")))})
        pictures = rows_of(await connection.execute(query("take_pictures_out"), cells))
        await connection.execute(query("take_locations_out"))
        await connection.execute(query("recall_taken"))
        await self._settle(numbers if kind == "sequence" else [], await self._promote(), numbers)
        await connection.execute(query("drop_taken"))
        return pictures

    async def _promote(self) -> set[int]:
        """Show other copies of pictures that went with their sequence; returns the sequences that have them."""
        promoted = await self.connection.fetch(query("promote_others"))
        if promoted:
            columns = [[row[name] for row in promoted] for name in ("id", "cell", "sequence", "rank")]
            await self.connection.execute(query("serve_promoted"), sorted(set(columns[1])), *columns)
        return {row["sequence"] for row in promoted}

    async def _settle(self, retired: list[int], promoted: Iterable[int], numbers: list[int]) -> None:
        """Links, counts, lines and the change log of every sequence that lost or gained a picture."""
        connection = self.connection
        lost = {row["sequence"] for row in await connection.fetch(query("touched_sequences"))}
        touched = sorted({*lost, *promoted, *numbers})
        await connection.execute(query("hold_sequences"), touched)
        cells = await self._cells_of(touched)
        await connection.execute(query("relink_others"), cells, touched)
        changed = {row["n"] for row in await connection.fetch(query("retire_sequences"), retired)}
        changed |= {*lost, *promoted}
        if changed:
            await connection.execute(query("record_counts"))
            await connection.execute(query("record_changes"), sorted(changed), cells, self.cut_gap_m)

    async def _cells_of(self, numbers: list[int]) -> list[int]:
        rows = await self.connection.fetch(query("cells_of_sequences"), numbers)
        return self.leaves.standing_for(row[0] for row in rows)

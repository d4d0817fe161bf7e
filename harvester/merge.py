"""Merges one batch of sequences into the index: one transaction, no network inside, exact at its commit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from federation.database import Connection, explained, rows_of
from federation.errors import RunFenced, StaleLeaves
from federation.payload import Packer
from federation.queries import query
from federation.record import Sequence as SequenceRecord
from harvester.lane import Lane

#: Faults that another try mends: two writers met in an unlucky order, or at the same new id.
_TRANSIENT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)
_ATTEMPTS = 6
#: Each change is somebody's new leaf or split, so there is an end to them: but when many instances are crawled for the
#: first time at once, dozens of leaves come within a second.
_LEAF_CHANGES = 200
#: Bookkeeping that commits with a merge: it gets the connection, and the numbers of the sequences that changed.
InTransaction = Callable[[Connection, frozenset[int]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one merge does: `merged` sequences are staged wholly in the lane, `removed` ones are gone at the origin."""

    instance: int
    run: int
    merged: tuple[tuple[int, SequenceRecord, int | None], ...] = ()
    removed: tuple[int, ...] = ()

    @property
    def sequences(self) -> list[int]:
        """Numbers of all sequences it is about."""
        return [number for number, _, _ in self.merged] + list(self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge changed."""

    arrived: int = 0
    gone: int = 0
    sequences: frozenset[int] = field(default_factory=frozenset)


class _LeavesChanged(Exception):
    """The staged cells belong to another set of leaves."""


async def merge_batch(
    lane: Lane, batch: Batch, packer: Packer, *, in_transaction: InTransaction | None = None
) -> Merged:
    """Bring the batch in and empty the lane. `in_transaction` adds bookkeeping that must commit with it.

    Raises RunFenced when a newer run has taken over; the lane is left as it was when anything else fails.
    """
    await lane.flush()
    attempt = changes = 0
    while True:
        try:
            async with explained("merging"), lane.connection.transaction():
                merged = await _merge(lane, batch, packer)
                if in_transaction is not None:
                    await in_transaction(lane.connection, merged.sequences)
        except _LeavesChanged:
            changes += 1
            if changes == _LEAF_CHANGES:
                raise StaleLeaves(f"the set of leaves changed at each of {changes} attempts") from None
            await lane.replace_leaves()
        except _TRANSIENT:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0.01, 0.1) * 2**attempt)
        else:
            await lane.empty()
            return merged


async def _merge(lane: Lane, batch: Batch, packer: Packer) -> Merged:
    connection = lane.connection
    await connection.execute(query("lock_merge"))
    (head,) = await connection.fetch(query("merge_begins"))
    if lane.misplaced or head["version"] != lane.leaves.version:
        raise _LeavesChanged
    if await connection.fetchval(query("hold_run"), batch.instance) != batch.run:
        raise RunFenced(f"run {batch.run} was replaced by a newer one")
    if head["withholds"] and batch.merged:
        batch = await _withhold(connection, batch)
    former = lane.leaves.standing_for(
        row[0] for row in await connection.fetch(query("cells_of_sequences"), batch.sequences)
    )
    held = rows_of(await connection.execute(query("hold_copies"), former, batch.sequences))
    if held:
        await connection.execute(query("hold_newer_copies"), batch.instance, batch.sequences)
    cells = sorted({*former, *(row[0] for row in await connection.fetch(query("held_cells")))}) if held else former
    await _locate(connection, batch.instance, held=held, staged=lane.staged)
    gone, others = await _remove(connection, batch, cells, lane) if held else (0, set[int]())
    arrived = rows_of(await connection.execute(query("insert_pictures"), batch.instance))
    touched = {row[0] for row in await connection.fetch(query("touched_sequences"))}
    if held:
        touched |= {row[0] for row in await connection.fetch(query("relink_kept"), cells)}
    else:
        await connection.execute(query("hold_sequences"), batch.sequences)
    touched |= others | await _describe(connection, batch, packer)
    await _settle(connection, lane, batch, touched)
    return Merged(arrived=arrived, gone=gone, sequences=frozenset(touched))


async def _withhold(connection: Connection, batch: Batch) -> Batch:
    """The batch without what is taken down: such a sequence is one that is gone, such a picture is not staged."""
    numbers = [number for number, _, _ in batch.merged]
    rows = await connection.fetch(query("withhold_sequences"), numbers, batch.instance)
    await connection.execute(query("withhold_pictures"), batch.instance)
    withheld = {row["n"] for row in rows}
    merged = tuple(each for each in batch.merged if each[0] not in withheld)
    return replace(batch, merged=merged, removed=(*batch.removed, *sorted(withheld)))


async def _locate(connection: Connection, instance: int, *, held: int, staged: int) -> None:
    """Give every staged picture its row in the locator; the first copy of an id keeps the served place."""
    new = rows_of(await connection.execute(query("locate_served"), instance))
    if held or new < staged:
        await connection.execute(query("locate_copies"), instance)
        await connection.execute(query("find_unserved"), instance)
        if await connection.fetchval(query("hold_served")):
            raise asyncpg.SerializationError("the copy that was served went away meanwhile")


async def _remove(connection: Connection, batch: Batch, cells: list[int], lane: Lane) -> tuple[int, set[int]]:
    """Take out what is gone and the former state of what is replaced; returns how many, and other sequences touched."""
    await connection.execute(query("find_kept"), cells, batch.instance)
    gone = rows_of(await connection.execute(query("remove_pictures"), cells, batch.instance, batch.sequences))
    await connection.execute(query("forget_locations"), batch.instance, batch.sequences)
    await connection.execute(query("move_locations"), batch.instance)
    promoted = await connection.fetch(query("promote_copies"), batch.instance, batch.sequences)
    if promoted:
        columns = [[row[name] for row in promoted] for name in ("id", "cell", "sequence", "rank")]
        await connection.execute(query("serve_promoted"), sorted(set(columns[1])), *columns)
    touched = {row[0] for row in await connection.fetch(query("touched_sequences"))}
    others = (touched | {row["sequence"] for row in promoted}) - set(batch.sequences)
    # another instance's removal, or a split, may touch these sequences at the same moment: one after the other
    await connection.execute(query("hold_sequences"), sorted(others.union(batch.sequences)))
    if others:
        numbers = sorted(others)
        where = lane.leaves.standing_for(row[0] for row in await connection.fetch(query("cells_of_sequences"), numbers))
        await connection.execute(query("relink_others"), sorted({*where, *cells}), numbers)
    return gone, others


async def _describe(connection: Connection, batch: Batch, packer: Packer) -> set[int]:
    """Write what the origin says of each sequence; returns those that changed by it."""
    changed: set[int] = set()
    if batch.merged:
        rows = await connection.fetch(query("describe_sequences"), *_columns(batch.merged, packer))
        changed |= {row["n"] for row in rows if row["changed"]}
    if batch.removed:
        changed |= {row["n"] for row in await connection.fetch(query("retire_sequences"), list(batch.removed))}
        changed |= {row["n"] for row in await connection.fetch(query("promote_sequences"), list(batch.removed))}
    return changed


def _columns(merged: Sequence[tuple[int, SequenceRecord, int | None]], packer: Packer) -> list[list[object]]:
    payloads = packer.pack(record.text for _, record, _ in merged)
    rows = [
        (
            number,
            account,
            record.title,
            record.license,
            record.created,
            record.updated,
            record.hash,
            packer.dictionary,
            payload,
        )
        for (number, record, account), payload in zip(merged, payloads, strict=True)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


async def _settle(connection: Connection, lane: Lane, batch: Batch, touched: set[int]) -> None:
    """Counts, lines, extents and the change log of what was touched; retries of what is merged are done with."""
    if touched:
        await connection.execute(query("record_counts"))
        numbers = sorted(touched)
        stood = await connection.fetch(query("cells_of_sequences"), numbers)
        staged = await connection.fetch(query("staged_leaves"))
        cells = sorted({*lane.leaves.standing_for(row[0] for row in stood), *(row[0] for row in staged)})
        await connection.execute(query("record_changes"), numbers, cells, lane.settings.cut_gap_m)
    await connection.execute(query("settle_retries"), batch.instance, batch.sequences)

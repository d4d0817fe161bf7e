"""One leaf's pictures from one snapshot of the index into one GeoParquet file, in bounded memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import arro3.io
import asyncpg
from arro3.core import RecordBatch, RecordBatchReader

from catalog_api.answers.documents import open_item
from catalog_api.answers.stac import Writer
from catalog_api.index.hidden import leaving_out
from catalog_api.index.registry import Registry
from federation.database import Row
from federation.leaves import load_leaves
from federation.queries import query
from panofed.exports.columns import METADATA, batches_of, prepare, schema
from panofed.exports.manifest import File

#: Read and turned into columns together.
_BATCH = 1_000
_COMPRESSION = "zstd(3)"

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class LeafWriter:
    """Writes leaves. Everything is done in the calling thread: the file's writer asks for the next batch, which runs
    the event loop for as long as reading it takes."""

    runner: asyncio.Runner
    connection: asyncpg.Connection
    registry: Registry
    writer: Writer
    row_group: int
    on_pictures: Callable[[int], None]
    _failure: BaseException | None = field(default=None)
    _written: int = field(default=0)

    def write(self, cell: int, folder: Path) -> File | None:
        """The file of what this cell held as a leaf, wherever splits have moved it since; None when that is nothing."""
        beside = folder / f".{cell:x}.new"
        self._failure, self._written, recall = None, 0, 0
        transaction = self.connection.transaction(isolation="repeatable_read", readonly=True)
        self._run(transaction.start())
        try:
            recall = self._run(self.connection.fetchval(query("export_recall")))
            self._write_file(cell, beside)
        finally:
            if not self.connection.is_closed():
                self._run(transaction.rollback())
        if not self._written:
            beside.unlink()
            return None
        return _named(cell, beside, self._written, recall)

    def _write_file(self, cell: int, path: Path) -> None:
        reader = RecordBatchReader.from_batches(schema(), self._batches(cell))
        try:
            arro3.io.write_parquet(
                reader, path, compression=_COMPRESSION, max_row_group_size=self.row_group, key_value_metadata=METADATA
            )
        except Exception:
            # the file's writer only hands on the words of what stopped it
            if self._failure is not None:
                raise self._failure from None
            raise

    def _batches(self, cell: int) -> Iterator[RecordBatch]:
        try:
            cursor = self._run(self._open(cell))
            while rows := self._run(cursor.fetch(_BATCH)):
                self._run(self.registry.prepare(rows))
                yield from self._columns(rows)
                self._written += len(rows)
                self.on_pictures(len(rows))
        except BaseException as error:
            self._failure = error
            raise

    def _columns(self, rows: list[Row]) -> list[RecordBatch]:
        items = []
        for row in rows:
            item = open_item(self.writer.item(row, str(row["sequence"])))
            items.append(prepare(item, self.registry.instances[row["instance"]].name))
        return batches_of(items, {name: [row[name] for row in rows] for name in ("datetime", "created", "updated")})

    async def _open(self, cell: int) -> Any:
        await self.connection.execute(query("export_patience"))
        leaves = await load_leaves(self.connection)
        statement, values = leaving_out(query("export_leaf"), (leaves.standing_for([cell]),), leaves.hidden)
        return await self.connection.cursor(statement, *values)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def _named(cell: int, path: Path, pictures: int, recall: int) -> File:
    """Give a complete file its name: it has the checksum, so what is under one name never changes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = f"{cell:x}-{digest[:16]}.parquet"
    size = path.stat().st_size
    path.replace(path.with_name(name))
    return File(
        leaf=f"{cell:x}", file=name, pictures=pictures, bytes=size, sha256=digest,
        written_at=datetime.now(UTC).isoformat(timespec="seconds"), recall=recall,
    )  # fmt: skip

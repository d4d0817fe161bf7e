"""A lane: one database connection with its own staging tables, through which one fetcher brings sequences in."""

from __future__ import annotations

import asyncio
import io
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from federation.cells import cell_box
from federation.cells import parent as parent_cell
from federation.database import Connection, Role, connect, point_ewkb, rows_of
from federation.leaves import LeafSet, load_leaves
from federation.payload import Packer
from federation.queries import query
from federation.record import Picture
from federation.settings import Settings

#: Columns of the staging table, in the order of `staged_row`.
STAGE_COLUMNS = (
    "cell", "h3", "datetime", "created", "updated", "hash", "sequence", "rank", "account", "camera", "original_bytes",
    "field_of_view", "accuracy_m", "pixel_density", "license", "azimuth", "dictionary", "is_360", "id", "geom",
    "semantics", "payload", "position",
)  # fmt: skip


@dataclass(slots=True)
class Lane:
    """What one fetcher stages into. `leaves` is the set the staged cells were computed with."""

    connection: Connection
    settings: Settings
    leaves: LeafSet
    staged: int = 0
    #: pictures of sequences that are merged after the others
    kept_back: int = 0
    #: the set changed while pictures were staged that were placed by an older one
    misplaced: bool = False
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _position: int = 0

    @staticmethod
    async def open(dsn: str, settings: Settings) -> Lane:
        """Connect as the writer and make the staging tables."""
        connection = await connect(dsn, Role.WRITER, settings)
        try:
            await connection.execute(query("create_stage"))
            return Lane(connection, settings, await load_leaves(connection))
        except BaseException:
            connection.terminate()
            raise

    async def close(self) -> None:
        """Give the connection back to nobody: its tables go with it."""
        await self.connection.close()

    async def make_leaf(self, h3: int) -> int:
        """A new leaf at the resolution where leaves begin; another process may have made it meanwhile."""
        base: int = await self.connection.fetchval(query("fix_base_resolution"), self.settings.leaf_base_resolution)
        cell = parent_cell(h3, base)
        box = cell_box(cell)
        await self.connection.execute(query("create_leaf"), cell, box.west, box.south, box.east, box.north)
        before, self.leaves = self.leaves.version, await load_leaves(self.connection)
        # one step is the leaf just made; more, and another process split a leaf that staged pictures were placed in
        self.misplaced = self.misplaced or self.leaves.version != before + 1
        leaf = self.leaves.leaf_of(h3)
        return cell if leaf is None else leaf

    async def add(
        self,
        pictures: Sequence[Picture],
        *,
        sequence: int,
        packer: Packer,
        accounts: Mapping[str, int],
        cameras: Mapping[tuple[str, str], int],
        licenses: Mapping[str, int | None],
        first_rank: int,
    ) -> None:
        """Stage pictures of one sequence; those without a rank get theirs from their order, from `first_rank` on."""
        payloads = await asyncio.to_thread(packer.pack, [picture.text for picture in pictures])
        for offset, (picture, payload) in enumerate(zip(pictures, payloads, strict=True)):
            leaf = self.leaves.leaf_of(picture.h3)
            # later than all of this lane, and comparable with other lanes': what was read last is true
            self._position = max(self._position + 1, time.monotonic_ns())
            self._rows.append(
                (
                    await self.make_leaf(picture.h3) if leaf is None else leaf,
                    picture.h3,
                    picture.captured,
                    picture.created,
                    picture.updated,
                    picture.hash,
                    sequence,
                    first_rank + offset if picture.rank is None else picture.rank,
                    accounts[picture.account.id] if picture.account else None,
                    cameras[picture.camera] if picture.camera else None,
                    picture.original_bytes,
                    picture.field_of_view,
                    picture.accuracy_m,
                    picture.pixel_density,
                    licenses[picture.license] if picture.license else None,
                    picture.azimuth,
                    packer.dictionary,
                    picture.is_360,
                    uuid.UUID(picture.id),
                    point_ewkb(picture.longitude, picture.latitude),
                    picture.semantics,
                    payload,
                    self._position,
                )
            )
            self.staged += 1
        if len(self._rows) >= self.settings.page_pictures:
            await self.flush()

    async def flush(self) -> None:
        """Copy what is buffered into the staging table."""
        if self._rows:
            rows, self._rows = self._rows, []
            await self.connection.copy_records_to_table(
                "stage", records=rows, columns=STAGE_COLUMNS, schema_name="pg_temp"
            )

    async def forget(self, sequence: int) -> None:
        """Drop what was staged of one sequence, for example because reading it failed midway."""
        before = len(self._rows)
        self._rows = [row for row in self._rows if row[6] != sequence]
        dropped = before - len(self._rows)
        status = await self.connection.execute(query("forget_staged_sequence"), sequence)
        self.staged -= dropped + int(status.rsplit(" ", 1)[-1])

    async def replace_leaves(self) -> None:
        """The set of leaves changed: read it, and place every staged picture again."""
        self.leaves = await load_leaves(self.connection)
        cells = [row["h3"] for row in await self.connection.fetch(query("staged_cells"))]
        while missing := next((cell for cell in cells if self.leaves.leaf_of(cell) is None), None):
            await self.make_leaf(missing)
        await self.connection.execute(query("place_staged"), cells, [self.leaves.leaf_of(cell) for cell in cells])
        self.misplaced = False

    async def losing(self, sequences: Sequence[int]) -> set[int]:
        """Which of these staged sequences have pictures in the index that are not staged, here under any sequence."""
        await self.flush()
        stood = await self.connection.fetch(query("cells_of_sequences"), list(sequences))
        cells = self.leaves.standing_for(row[0] for row in stood)
        rows = await self.connection.fetch(query("losing_sequences"), cells, list(sequences)) if cells else []
        return {row[0] for row in rows}

    async def keep_back(self, sequences: Sequence[int]) -> None:
        """Put what is staged of them aside, until `take_up`."""
        moved = rows_of(await self.connection.execute(query("keep_staged_back"), list(sequences)))
        self.staged -= moved
        self.kept_back += moved

    async def hand_over(self, other: Lane) -> None:
        """Put what was put aside here aside at another lane: it is to be merged with what was put aside there."""
        rows = io.BytesIO()
        await self.connection.copy_from_table("kept_back", schema_name="pg_temp", output=rows, format="binary")
        await self.connection.execute(query("empty_kept_back"))
        rows.seek(0)
        await other.connection.copy_to_table("kept_back", schema_name="pg_temp", source=rows, format="binary")
        other.kept_back += self.kept_back
        self.kept_back = 0

    async def take_up(self) -> None:
        """Stage again what was put aside; its cells may be those of an older set of leaves."""
        self.staged += rows_of(await self.connection.execute(query("take_staged_up")))
        self.kept_back, self.misplaced = 0, True

    async def drop_twice(self) -> None:
        """Of ids staged under two sequences only the last is kept: it moved while they were read."""
        await self.flush()
        await self.connection.execute(query("drop_staged_twice"))
        self.staged = await self.connection.fetchval(query("count_staged"))

    async def empty(self, *, kept_back: bool = False) -> None:
        """Make it ready for the next batch; with `kept_back`, what was put aside goes too."""
        self._rows.clear()
        self.staged, self.misplaced = 0, False
        await self.connection.execute(query("empty_stage"))
        if kept_back:
            self.kept_back = 0
            await self.connection.execute(query("empty_kept_back"))

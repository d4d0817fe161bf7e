"""What all steps of one visit share, and the two things all of them do: report, and take sequences out."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from federation.database import Connection, Pool
from federation.errors import RunFenced
from federation.queries import query
from federation.record import sequence_uuid
from federation.settings import Settings
from harvester.client import InstanceClient
from harvester.dictionaries import PackerOf
from harvester.lanes import Lanes
from harvester.merge import Batch, merge_batch
from harvester.names import Names
from harvester.progress import OnProgress, Progress
from harvester.provenance import Known
from harvester.ranges import Range, RangeLost
from harvester.tasks import Instance


@dataclass(slots=True, kw_only=True)
class Work:
    """A visit under way: whom, with what, how far. `pool` is for short statements only.

    `known` are the places whose records are not taken from a catalog; `thorough`: everything is read again.
    """

    instance: Instance
    run: int
    client: InstanceClient
    pool: Pool
    settings: Settings
    lanes: Lanes
    packer: PackerOf
    names: Names
    progress: Progress
    on_progress: OnProgress
    known: Known = field(default_factory=Known)
    thorough: bool = False
    worker: str = ""
    #: the range of a first crawl that is being read
    hold: Range | None = None
    #: writes the counters into the run's row
    tell: Callable[[], Awaitable[object]] | None = None
    #: called with the instance's number: other workers are welcome to read ranges
    ask_help: Callable[[int], Awaitable[None]] | None = None

    def key(self, origin_id: str) -> uuid.UUID:
        """Our id of one of its sequences."""
        return uuid.UUID(sequence_uuid(origin_id, self.instance.id))

    def phase(self, phase: str) -> None:
        """What is being done now, for people."""
        self.progress.phase = phase
        self.report()

    def report(self) -> None:
        """The counters moved."""
        self.progress.requests = self.client.session.requests
        self.progress.received_bytes = self.client.session.received_bytes
        self.progress.accounts_renamed = self.names.renamed
        self.on_progress(self.progress)

    async def tell_run(self) -> None:
        """Bring the run's row up to date now, not within the next second."""
        self.report()
        if self.tell is not None:
            await self.tell()

    async def numbers(self, origin_ids: Seq[str]) -> dict[str, int]:
        """Row numbers of sequences by the origin's id, made where they are new. RunFenced when we were replaced."""
        if not origin_ids:
            return {}
        keys = {origin_id: self.key(origin_id) for origin_id in origin_ids}
        rows = await self.pool.fetch(
            query("add_sequences"),
            self.instance.n,
            list(keys.values()),
            [None if origin_id == str(key) else origin_id for origin_id, key in keys.items()],
            self.run,
        )
        found = {row["id"]: row["n"] for row in rows}
        if len(found) < len(set(keys.values())):
            raise RunFenced(f"run {self.run} was replaced by a newer one")
        return {origin_id: found[key] for origin_id, key in keys.items()}

    async def remove(self, numbers: Seq[int]) -> None:
        """Sequences that are gone, each in a small transaction of its own."""
        for number in numbers:
            batch = Batch(instance=self.instance.n, run=self.run, removed=(number,))
            lane = await self.lanes.first()
            merged = await merge_batch(lane, batch, self.packer.packer, in_transaction=self.check_range)
            self.progress.pictures_removed += merged.gone
            self.progress.sequences_removed += 1
            self.report()

    async def check_range(self, connection: Connection, _: frozenset[int] = frozenset()) -> None:
        """Within a merge: RangeLost when another worker reads our range by now."""
        if self.hold is not None:
            token = await connection.fetchval(query("hold_range"), self.instance.n, self.hold.low)
            if token != self.hold.token:
                raise RangeLost("another worker took this range over")

    async def forget_staged(self) -> None:
        """Drop what was read and not merged."""
        for state in self.lanes.opened:
            state.clear()
            state.later.clear()
            await state.lane.empty(kept_back=True)

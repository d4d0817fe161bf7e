"""Reads sequences into lanes and merges them in batches: each ends up merged, in retries, or withheld.

Pictures move between sequences keeping their id. So within one call a sequence that would lose pictures is merged after
those that lose none: what moved is under its new sequence then, and only what is still under the old one goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace

import asyncpg
import msgspec

from federation.database import Connection, explained
from federation.errors import OriginChanged, OriginError, OriginRefused, QueryTooLong, RecordNotPublic, RecordRefused
from federation.queries import query
from federation.record import Picture, Sequence
from harvester.accept import Aside, accept
from harvester.freshness import note_freshness
from harvester.merge import Batch, merge_batch
from harvester.retrying import WITHHELD, Retries
from harvester.tasks import LaneState, Staged, Task, Why
from harvester.work import Work

#: How often a sequence that changes while it is read is started again; the last time in one answer.
_READ_ATTEMPTS = 3
#: What a lane keeps back until the others are merged, in shares of a batch: it is one transaction later on.
_KEPT_BACK_SHARES = 4
#: What the database refuses for its content: the guilty sequence is looked for.
_REFUSED_BY_DATABASE = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.InternalServerError,
)


class _BecameReady(OriginChanged):
    """A picture became public after its page was read, which moves no `updated`: the sequence is read again."""


@dataclass(slots=True)
class SequenceReader:
    """Brings sequences in, by all lanes at once."""

    work: Work
    retries: Retries
    _again: list[Task] = field(default_factory=list)
    _withheld: list[int] = field(default_factory=list)
    #: how many sequences this call is about, and how many pictures a lane stages before it merges them
    _several: int = 0
    _share: int = 0

    async def read_all(self, tasks: Seq[Task]) -> None:
        """Read and merge all of these; returns when each is merged, withheld or stands in retries."""
        while tasks:
            self._several = len(tasks)
            queue: asyncio.Queue[Task] = asyncio.Queue()
            for task in tasks:
                queue.put_nowait(task)
            lanes = await self.work.lanes.for_sequences(len(tasks))
            # a batch is what all lanes together have staged and not merged: what a kill can cost
            self._share = max(1, self.work.settings.batch_pictures // len(lanes))
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(self._read_queue(lane, queue))
            await self._merge_kept_back()
            tasks, self._again = self._again, []
        withheld, self._withheld = self._withheld, []
        await self.work.remove(withheld)

    async def _read_queue(self, state: LaneState, queue: asyncio.Queue[Task]) -> None:
        async with explained("harvesting"):
            while not queue.empty():
                task = queue.get_nowait()
                if task.alone:
                    await self._merge(state)
                await self._read(state, task)
                if task.alone or state.lane.staged >= self._share:
                    await self._merge(state)
            await self._merge(state)

    async def _read(self, state: LaneState, task: Task) -> None:
        """Stage one sequence; whatever the instance does wrong about it ends up in retries, not here."""
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                if attempt > 1:
                    task = replace(task, listed=await self.work.client.sequence(task.listed.id))
                await self._stage(state, task, at_once=attempt == _READ_ATTEMPTS)
                self.retries.well()
                return
            except asyncpg.DataError as error:
                # rows of its neighbours were in the same COPY: all of them are read again
                await self._break_up(state, [*(each.task for each in state.staged), task], error)
                return
            except OriginChanged as error:
                await state.lane.forget(task.number)
                task = replace(task, settled=task.settled or isinstance(error, _BecameReady))
                if attempt == _READ_ATTEMPTS:
                    await self.retries.put_off(task.listed.id, error, task.listed.updated)
            except (OriginError, RecordRefused) as error:
                await state.lane.forget(task.number)
                await self._set_aside(task, error)
                return

    async def _set_aside(self, task: Task, error: OriginError | RecordRefused) -> None:
        """Into retries; when the origin says that it is not for everybody, nothing of it is kept, no id, no body."""
        refused = isinstance(error, OriginRefused) and error.status in WITHHELD
        if refused or isinstance(error, RecordNotPublic):
            self._withheld.append(task.number)
        else:
            await self.retries.put_off(task.listed.id, error, task.listed.updated)

    async def _stage(self, state: LaneState, task: Task, *, at_once: bool) -> None:
        assert task.listed.raw is not None
        work = self.work
        record = Sequence.from_stac(task.listed.raw, instance=work.instance.id)
        seen: set[str] = set()
        aside = Aside()
        pages = 0
        async for url, page in work.client.pictures(task.listed.id, at_once=at_once):
            pages += 1
            pictures, others = self._accept(page, task.listed.id, url)
            aside.add(others)
            self._check_once(pictures, seen, task)
            await self._stage_page(state, task, pictures, first_rank=len(seen) - len(pictures) + 1)
            work.progress.pictures_seen += len(page)
            work.report()
        if pages > 1:
            await work.client.check_unchanged(task.listed)
        late = await self._is_late(task, record, seen, aside)
        account = await work.names.account(state.lane.connection, record.account)
        state.id_twice = state.id_twice or not state.ids.isdisjoint(seen)
        state.ids |= seen
        state.staged.append(Staged(task=task, record=record, account=account, aside=aside, late=late))
        work.progress.pictures_not_public += aside.not_public
        work.progress.pictures_quarantined += aside.bad
        work.progress.pictures_skipped += aside.skipped

    def _accept(self, page: list[msgspec.Raw], collection: str, url: str) -> tuple[list[Picture], Aside]:
        work = self.work
        known = work.known if work.client.capabilities.kind == "catalog" else None
        return accept(
            page, instance=work.instance.id, collection=collection, settings=work.settings, url=url, known=known
        )

    def _check_once(self, pictures: Seq[Picture], seen: set[str], task: Task) -> None:
        before = len(seen)
        seen.update(picture.id for picture in pictures)
        if len(seen) != before + len(pictures):
            raise OriginChanged(f"sequence {task.listed.id} gave an id twice: it was re-sorted while it was read")
        most = self.work.settings.sequence_pictures_max
        if len(seen) > most:
            raise RecordRefused("items", f"more than {most} pictures in one sequence")

    async def _is_late(self, task: Task, record: Sequence, seen: set[str], aside: Aside) -> bool:
        """Whether pictures of it are still on their way at the instance: nothing will announce them.

        `expected` counts hidden pictures too, so that the instance is asked. When it calls pictures ready that were not
        among those just read, they became so meanwhile: OriginChanged, and the sequence is read again.
        """
        if record.expected <= len(seen) + aside.count:
            return False
        try:
            said = await self.work.client.preparation(task.listed.id)
        except OriginError:
            return True
        if said is None:
            return False
        if said.preparing - seen:
            return True
        if said.ready - seen - aside.refused.keys() and not task.settled:
            raise _BecameReady(f"pictures of sequence {task.listed.id} became ready while it was read")
        return False

    async def _stage_page(self, state: LaneState, task: Task, pictures: list[Picture], *, first_rank: int) -> None:
        connection, work = state.lane.connection, self.work
        await work.packer.learn(connection, task.number, pictures)
        numbers = await work.names.learn(connection, pictures)
        await state.lane.add(
            pictures,
            sequence=task.number,
            packer=work.packer.packer,
            accounts=numbers.accounts,
            cameras=numbers.cameras,
            licenses=numbers.licenses,
            first_rank=first_rank,
        )

    async def _merge(self, state: LaneState, *, last: bool = False) -> None:
        """Merge what the lane holds. When the database refuses it, each sequence is tried again by itself."""
        if state.staged and not last:
            await self._keep_back(state)
        if not state.staged:
            return
        if state.id_twice:
            await state.lane.drop_twice()
        staged = list(state.staged)
        batch = Batch(instance=self.work.instance.n, run=self.work.run, merged=tuple(each.row for each in staged))

        async def settle(connection: Connection, touched: frozenset[int]) -> None:
            await self._settle(connection, staged, touched)

        try:
            done = await merge_batch(state.lane, batch, self.work.packer.packer, in_transaction=settle)
        except (*_REFUSED_BY_DATABASE, QueryTooLong) as error:
            await self._break_up(state, [each.task for each in staged], error)
            return
        progress = self.work.progress
        progress.sequences_changed += len(done.sequences)
        progress.sequences_reconciled += sum(each.task.why is Why.RECONCILED for each in staged)
        progress.pictures_changed += done.arrived
        progress.pictures_removed += max(0, done.gone - done.arrived)
        state.clear()
        self.work.report()

    async def _settle(self, connection: Connection, staged: Seq[Staged], touched: frozenset[int]) -> None:
        """What must be true together with the merge: quarantine, follow-ups, and how fresh the changes are."""
        await self.work.check_range(connection)
        instance, delays = self.work.instance.n, list(self.work.settings.followup_delays_s)
        keys = {each.task.number: self.work.key(each.task.listed.id) for each in staged}
        await connection.execute(query("clear_quarantine"), instance, list(keys.values()))
        for each in staged:
            if each.aside.refused:
                await connection.execute(
                    query("keep_quarantine"), instance, keys[each.task.number], *each.aside.columns()
                )
        late = [keys[each.task.number] for each in staged if each.late]
        await connection.execute(query("drop_followups"), instance, [key for key in keys.values() if key not in late])
        if late:
            await connection.execute(query("keep_followups"), instance, late, delays)
        signalled = [
            each.record.updated
            for each in staged
            if each.task.why is Why.SIGNALLED and each.task.number in touched and each.record.updated is not None
        ]
        await note_freshness(connection, instance, signalled)

    async def _keep_back(self, state: LaneState) -> None:
        """Put those aside that would lose pictures, while others are still to be merged."""
        if self._several <= len(state.staged) or any(each.task.alone for each in state.staged):
            return
        if state.lane.kept_back >= _KEPT_BACK_SHARES * self._share:
            return
        losing = await state.lane.losing([each.task.number for each in state.staged])
        if losing:
            await state.lane.keep_back(sorted(losing))
            state.later += [each for each in state.staged if each.task.number in losing]
            state.staged = [each for each in state.staged if each.task.number not in losing]

    async def _merge_kept_back(self) -> None:
        """All of it in one transaction: sequences that lose pictures to each other may have been read by two lanes."""
        state, *others = self.work.lanes.opened
        async with explained("harvesting"):
            for other in others:
                if other.later:
                    await other.lane.hand_over(state.lane)
                    state.later += other.later
                    other.later = []
            if state.later:
                await state.lane.take_up()
                state.staged, state.later = state.later, []
                state.id_twice = True
                await self._merge(state, last=True)

    async def _break_up(self, state: LaneState, tasks: list[Task], error: Exception) -> None:
        """The database refused these together: each is tried by itself, and one that was goes to retries."""
        state.clear()
        await state.lane.empty()
        if len(tasks) == 1:
            await self.retries.put_off(tasks[0].listed.id, error, tasks[0].listed.updated)
        else:
            self._again.extend(replace(task, alone=True) for task in tasks)

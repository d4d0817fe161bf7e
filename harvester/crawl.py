"""One visit to one instance: ask what changed, read those sequences, merge them in batches, move the cursor.

The visit is a pipeline: the listing feeds a queue; each fetcher takes sequences from it, stages them in its own lane
and merges a batch whenever enough is staged. Between two pages of the listing everything is merged or stands in
`retries`, so a visit that is killed goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence as Seq
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import asyncpg
import msgspec

from federation.database import Pool, explained
from federation.errors import (
    OriginChanged,
    OriginError,
    OriginRefused,
    OriginUnreachable,
    QueryTooLong,
    RecordNotPublic,
    RecordRefused,
)
from federation.queries import query
from federation.record import Picture, Sequence, sequence_uuid
from federation.settings import Settings
from harvester.accept import Aside, accept
from harvester.client import InstanceClient, Listed, Listing, ListingPage, Window
from harvester.dictionaries import PackerOf
from harvester.merge import Batch, merge_batch
from harvester.names import Names
from harvester.progress import OnProgress, Progress
from harvester.reconcile import unlisted_sequences
from harvester.tasks import Instance, LaneState, Task, differs, waits

logger = logging.getLogger(__name__)

#: How often a sequence that changes while it is read is started again; the last time in one answer.
_READ_ATTEMPTS = 3
_RETRIES_A_VISIT = 500
#: Answers that say a sequence is not there for an anonymous visitor.
_GONE = frozenset({401, 403, 404, 410})
#: So many faults of the whole instance one after the other end the visit; those sequences stand in retries.
_FAULTS_IN_A_ROW = 5
_BUSY = frozenset({429, 500, 502, 503, 504})
#: What the database refuses for its content: the guilty sequence is looked for.
_REFUSED_BY_DATABASE = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.InternalServerError,
)
#: How many sequences of a new instance the samples for its dictionary come from.
_SAMPLED_SEQUENCES = 50


@dataclass(slots=True)
class Visit:
    """A visit under way. One object, so that its steps can be read in order; `pool` is for short statements only."""

    instance: Instance
    run: int
    client: InstanceClient
    pool: Pool
    settings: Settings
    lanes: list[LaneState]
    packer: PackerOf
    names: Names
    progress: Progress
    on_progress: OnProgress
    greatest_updated: datetime | None = None
    clock: datetime | None = None
    _again: list[Task] = field(default_factory=list)
    _faults_in_a_row: int = 0
    _hidden: list[int] = field(default_factory=list)

    async def harvest(self) -> None:
        """Everything that changed since the last visit, or everything when this is the first."""
        self._phase("retrying")
        await self._read_all(await self._due_retries())
        first = self.instance.cursor is None
        since = (
            None if self.instance.cursor is None else self.instance.cursor - timedelta(seconds=self.settings.overlap_s)
        )
        self._phase("first crawl" if first else "reading changes")
        self.clock = self.instance.crawl_started
        listed: set[uuid.UUID] = set()
        complete = True
        async for page in self.client.changed(Window(since=since, after=self.instance.crawl_after)):
            self.clock = self.clock or page.at
            complete = complete and not page.unreadable
            keys = await self._take_page(page)
            if self.client.listing is Listing.LINKS:
                listed.update(keys)
            if first and page.last_id is not None:
                await self._resume_after(page.last_id)
        if self.client.listing is Listing.LINKS and complete:
            # this instance cannot say what is gone: what a complete listing lacks is inferred to be
            self._phase("comparing")
            await self._remove(await unlisted_sequences(self.pool, self.instance.n, listed, self.settings))
        await self.pool.execute(query("advance_cursor"), self.instance.n, self._reached(first=first), self.run)

    def _reached(self, *, first: bool) -> datetime | None:
        """The new cursor. Without a clock a first crawl gives none, and the next visit lists everything once more.

        An `updated` that lies in the instance's future would hide what comes until then.
        """
        if first or self.greatest_updated is None:
            return self.clock if first else None
        return self.greatest_updated if self.clock is None else min(self.greatest_updated, self.clock)

    async def _resume_after(self, last_id: str) -> None:
        """A first crawl that is killed goes on after this sequence; one whose ids are no UUID begins again."""
        if sequence_uuid(last_id, self.instance.id) == last_id.lower():
            await self.pool.execute(
                query("advance_first_crawl"), self.instance.n, uuid.UUID(last_id), self.clock, self.run
            )

    async def _due_retries(self) -> list[Task]:
        rows = await self.pool.fetch(query("due_retries"), self.instance.n, _RETRIES_A_VISIT)
        tasks = []
        for row in rows:
            try:
                listed = await self.client.sequence(row["id"])
            except OriginError as error:
                if not isinstance(error, OriginRefused) or error.status not in _GONE:
                    await self._put_off(row["id"], error)
                    continue
                # gone since: the listing tells of it by a tombstone, this entry has done its work
                key = uuid.UUID(sequence_uuid(row["id"], self.instance.id))
                await self.pool.execute(query("drop_retry"), self.instance.n, key)
            else:
                self._faults_in_a_row = 0
                tasks.append((listed, sequence_uuid(listed.id, self.instance.id)))
        numbers = await self._numbers([(listed.id, identifier) for listed, identifier in tasks])
        return [Task(number=numbers[identifier], listed=listed) for listed, identifier in tasks]

    async def _take_page(self, page: ListingPage) -> set[uuid.UUID]:
        """Read what a page of the listing names, and remove what it says is gone; returns the ids it named."""
        self.progress.sequences_seen += len(page.entries)
        for problem in page.unreadable:
            self.progress.sequences_failed += 1
            self.progress.last_error = f"an entry of the listing cannot be read: {problem}"[:1000]
        keyed = {uuid.UUID(sequence_uuid(entry.id, self.instance.id)): entry for entry in page.entries}
        known = {
            row["id"]: row for row in await self.pool.fetch(query("known_sequences"), self.instance.n, list(keyed))
        }
        gone, changed = [], []
        for key, entry in keyed.items():
            row = known.get(key)
            if entry.raw is None:
                if row is not None and row["state"] != "removed":
                    gone.append(row["n"])
                continue
            self._note_updated(entry.updated)
            if row is None or (differs(row, entry) and not waits(row, entry)):
                changed.append((entry, str(key)))
        numbers = await self._numbers([(entry.id, identifier) for entry, identifier in changed])
        self.progress.sequences_expected += len(changed)
        await self._remove(gone)
        await self._sample([entry for entry, _ in changed])
        await self._read_all([Task(number=numbers[identifier], listed=entry) for entry, identifier in changed])
        return set(keyed)

    async def _sample(self, listed: Seq[Listed]) -> None:
        """Train the dictionary of a new instance before the first picture is stored, on items of many sequences.

        What is stored plain and packed again later would leave half-empty pages behind.
        """
        if self.packer.packer.dictionary or self.instance.cursor is not None or not listed:
            return
        self._phase("sampling")
        wanted = self.settings.dictionary_items
        samples: list[bytes] = []
        for entry in listed[:: -(-len(listed) // _SAMPLED_SEQUENCES)]:
            with suppress(OriginError):
                page = await self.client.sample(entry.id, wanted // _SAMPLED_SEQUENCES * 2)
                accepted, _ = self._accept(page, entry.id)
                samples += [picture.text for picture in accepted]
            if len(samples) >= wanted:
                break
        if len(samples) >= wanted // 5:
            await self.packer.train_on(self.lanes[0].lane.connection, samples)
        self._phase("first crawl")

    def _note_updated(self, updated: datetime | None) -> None:
        if updated is not None and (self.greatest_updated is None or updated > self.greatest_updated):
            self.greatest_updated = updated

    async def _numbers(self, named: Seq[tuple[str, str]]) -> dict[str, int]:
        """Row numbers of sequences, made where they are new: (the origin's id, our UUID) to number."""
        if not named:
            return {}
        rows = await self.pool.fetch(
            query("add_sequences"),
            self.instance.n,
            [uuid.UUID(identifier) for _, identifier in named],
            [None if origin == identifier else origin for origin, identifier in named],
        )
        return {str(row["id"]): row["n"] for row in rows}

    async def _remove(self, numbers: Seq[int]) -> None:
        """Sequences the origin deleted or hid, in small batches."""
        for number in numbers:
            merged = await merge_batch(self.lanes[0].lane, self._batch(removed=(number,)), self.packer.packer)
            self.progress.pictures_removed += merged.gone
            self.progress.sequences_removed += 1
            self._report()

    def _batch(
        self, *, merged: tuple[tuple[int, Sequence, int | None], ...] = (), removed: tuple[int, ...] = ()
    ) -> Batch:
        return Batch(instance=self.instance.n, run=self.run, merged=merged, removed=removed)

    async def _read_all(self, tasks: Seq[Task]) -> None:
        """Read and merge all of these, by all lanes at once; returns when each is merged or stands in retries."""
        while tasks:
            queue: asyncio.Queue[Task] = asyncio.Queue()
            for task in tasks:
                queue.put_nowait(task)
            async with asyncio.TaskGroup() as group:
                for lane in self.lanes:
                    group.create_task(self._work(lane, queue))
            tasks, self._again = self._again, []
        hidden, self._hidden = self._hidden, []
        await self._remove(hidden)

    async def _work(self, state: LaneState, queue: asyncio.Queue[Task]) -> None:
        async with explained("harvesting"):
            while not queue.empty():
                task = queue.get_nowait()
                if task.alone:
                    await self._merge(state)
                await self._read(state, task)
                if task.alone or state.lane.staged >= self.settings.batch_pictures:
                    await self._merge(state)
            await self._merge(state)

    async def _read(self, state: LaneState, task: Task) -> None:
        """Stage one sequence; whatever the instance does wrong about it ends up in retries, not here."""
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                if attempt > 1:
                    task = replace(task, listed=await self.client.sequence(task.listed.id))
                await self._stage(state, task, at_once=attempt == _READ_ATTEMPTS)
                self._faults_in_a_row = 0
                return
            except asyncpg.DataError as error:
                # rows of its neighbours were in the same COPY: all of them are read again
                await self._break_up(state, [*state.tasks, task], error)
                return
            except OriginChanged as error:
                await state.lane.forget(task.number)
                if attempt == _READ_ATTEMPTS:
                    await self._retry_later(task, error)
            except RecordNotPublic:
                # the origin calls the whole sequence not public: nothing of it is kept, no id, no body
                await state.lane.forget(task.number)
                self._hidden.append(task.number)
                return
            except (OriginError, RecordRefused) as error:
                await state.lane.forget(task.number)
                await self._retry_later(task, error)
                return

    async def _stage(self, state: LaneState, task: Task, *, at_once: bool) -> None:
        assert task.listed.raw is not None
        record = Sequence.from_stac(task.listed.raw, instance=self.instance.id)
        seen: set[str] = set()
        aside = Aside()
        pages = 0
        async for page in self.client.pictures(task.listed.id, at_once=at_once):
            pages += 1
            pictures, others = self._accept(page, task.listed.id)
            aside.add(others)
            self._check_once(pictures, seen, task)
            await self._stage_page(state, task, pictures, first_rank=len(seen) - len(pictures) + 1)
            self.progress.pictures_seen += len(page)
            self._report()
        if pages > 1:
            await self.client.check_unchanged(task.listed)
        await self._quarantine(task, aside)
        account = await self.names.account(state.lane.connection, record.account)
        state.id_twice = state.id_twice or not state.ids.isdisjoint(seen)
        state.ids |= seen
        state.merged.append((task.number, record, account))
        state.tasks.append(task)
        self.progress.pictures_not_public += aside.not_public
        self.progress.pictures_quarantined += len(aside.refused)

    def _accept(self, page: list[msgspec.Raw], collection: str) -> tuple[list[Picture], Aside]:
        return accept(page, instance=self.instance.id, collection=collection, settings=self.settings)

    def _check_once(self, pictures: Seq[Picture], seen: set[str], task: Task) -> None:
        before = len(seen)
        seen.update(picture.id for picture in pictures)
        if len(seen) != before + len(pictures):
            raise OriginChanged(f"sequence {task.listed.id} gave an id twice: it was re-sorted while it was read")
        if len(seen) > self.settings.sequence_pictures_max:
            raise RecordRefused("items", f"more than {self.settings.sequence_pictures_max} pictures in one sequence")

    async def _stage_page(self, state: LaneState, task: Task, pictures: list[Picture], *, first_rank: int) -> None:
        connection = state.lane.connection
        await self.packer.learn(connection, task.number, pictures)
        numbers = await self.names.learn(connection, pictures)
        await state.lane.add(
            pictures,
            sequence=task.number,
            packer=self.packer.packer,
            accounts=numbers.accounts,
            cameras=numbers.cameras,
            licenses=numbers.licenses,
            first_rank=first_rank,
        )

    async def _quarantine(self, task: Task, aside: Aside) -> None:
        key = uuid.UUID(sequence_uuid(task.listed.id, self.instance.id))
        await self.pool.execute(query("clear_quarantine"), self.instance.n, key)
        if aside.refused:
            columns = [
                list(aside.refused),
                [error.field[:200] for error, _ in aside.refused.values()],
                [error.problem[:1000] for error, _ in aside.refused.values()],
                [body for _, body in aside.refused.values()],
            ]
            await self.pool.execute(query("keep_quarantine"), self.instance.n, key, *columns)

    async def _merge(self, state: LaneState) -> None:
        """Merge what the lane holds. When the database refuses it, each sequence is tried again by itself."""
        if not state.tasks:
            return
        if state.id_twice:
            await state.lane.flush()
            await state.lane.connection.execute(query("drop_staged_twice"))
            state.lane.staged = await state.lane.connection.fetchval(query("count_staged"))
        merged, tasks = tuple(state.merged), list(state.tasks)
        try:
            done = await merge_batch(state.lane, self._batch(merged=merged), self.packer.packer)
        except (*_REFUSED_BY_DATABASE, QueryTooLong) as error:
            await self._break_up(state, tasks, error)
            return
        else:
            self.progress.sequences_changed += len(done.sequences)
            self.progress.pictures_changed += done.arrived
            self.progress.pictures_removed += max(0, done.gone - done.arrived)
        state.clear()
        self._report()

    async def _break_up(self, state: LaneState, tasks: list[Task], error: Exception) -> None:
        """The database refused these together: each is tried by itself, and one that was goes to retries."""
        state.clear()
        await state.lane.empty()
        if len(tasks) == 1:
            await self._retry_later(tasks[0], error)
        else:
            self._again.extend(Task(number=task.number, listed=task.listed, alone=True) for task in tasks)

    async def _retry_later(self, task: Task, error: Exception) -> None:
        await self._put_off(task.listed.id, error, task.listed.updated)

    async def _put_off(self, sequence: str, error: Exception, updated: datetime | None = None) -> None:
        """Into retries with it. Raises the error itself when the whole instance seems to be the trouble."""
        self.progress.sequences_failed += 1
        self.progress.failed(error)
        logger.warning("sequence put off", extra={"instance": self.instance.name, "error": str(error)})
        await self.pool.execute(
            query("keep_retry"),
            self.instance.n,
            uuid.UUID(sequence_uuid(sequence, self.instance.id)),
            str(error)[:2000].replace("\x00", ""),
            str(getattr(error, "url", ""))[:2000],
            timedelta(seconds=self.settings.retry_first_s),
            timedelta(seconds=self.settings.retry_last_s),
            updated,
        )
        if isinstance(error, OriginUnreachable) or (isinstance(error, OriginRefused) and error.status in _BUSY):
            self._faults_in_a_row += 1
            if self._faults_in_a_row >= _FAULTS_IN_A_ROW:
                raise error

    def _phase(self, phase: str) -> None:
        self.progress.phase = phase
        self._report()

    def _report(self) -> None:
        self.progress.requests = self.client.session.requests
        self.progress.received_bytes = self.client.session.received_bytes
        self.on_progress(self.progress)

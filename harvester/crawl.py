"""One visit to one instance: ask what changed, read those sequences, merge them in batches, move the cursor.

Between two pages of the listing everything is merged or stands in `retries`, so a visit that is killed goes on from
there. Afterwards what no signal tells is looked for: see harvester/reconcile.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence as Seq
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from federation.database import Row
from federation.errors import OriginError, RecordRefused
from federation.queries import query
from federation.record import Sequence, sequence_uuid
from harvester.accept import accept
from harvester.brake import may_go
from harvester.known import known_places
from harvester.listing import Listed, Listing, ListingPage, Window
from harvester.ranges import are_cut, cut_rest, lead
from harvester.reading import SequenceReader
from harvester.reconcile import Reconciler
from harvester.retrying import Retries
from harvester.tasks import Task, Why, differs, waits
from harvester.work import Work

#: How many sequences of a new instance the samples for its dictionary come from.
_SAMPLED_SEQUENCES = 50


@dataclass(slots=True, kw_only=True)
class Visit(Work):
    """A visit under way. One object, so that its steps can be read in order."""

    greatest_updated: datetime | None = None
    clock: datetime | None = None
    retries: Retries = field(init=False)
    reader: SequenceReader = field(init=False)

    def __post_init__(self) -> None:
        self.retries = Retries(self)
        self.reader = SequenceReader(self, self.retries)

    async def harvest(self) -> None:
        """Everything that changed since the last visit, or everything when this is the first; then what nobody told."""
        await self.client.prepare()
        if self.client.capabilities.kind == "catalog":
            self.known = await known_places(self.pool, self.instance.n, self.settings)
        if self.thorough:
            await self.pool.execute(query("ask_reconciliation"), self.instance.n, self.run)
        self.phase("retrying")
        await self.reader.read_all(await self.retries.due())
        if self.instance.cursor is None:
            await self._crawl_first()
        elif self.client.listing is Listing.LINKS:
            # nothing can be asked for: everything is listed, a catalog's not at every visit
            if self.client.capabilities.kind != "catalog" or self._must_list():
                await self._list_all()
        else:
            await self._follow()
            if self._must_list():
                await self._list_all()
        await Reconciler(self, self.reader, self.retries).run()

    async def _crawl_first(self) -> None:
        self.phase("first crawl")
        self.clock = self.instance.crawl_started
        # the ranges of a crawl that was interrupted have all that is left of it
        in_ranges = await are_cut(self.pool, self.instance.n) or await self._crawl_alone()
        if in_ranges:
            await lead(self)
        # without a clock it gives no cursor, and the next visit lists everything once more
        await self.pool.execute(query("advance_cursor"), self.instance.n, self.clock, self.run)

    async def _crawl_alone(self) -> bool:
        """Page by page; True when the first page told that it is large, and the rest was cut into ranges."""
        async for page in self.client.changed(Window(after=self.instance.crawl_after)):
            self.clock = self.clock or page.at
            await self.take_page(page)
            if page.last_id is not None and page.last_shown is not None:
                await self._resume_after(page.last_shown)
                if await cut_rest(self, page, self.clock):
                    return True
        return False

    async def _follow(self) -> None:
        """What changed since the last visit, and some time before: `updated` is the start of a transaction."""
        assert self.instance.cursor is not None
        self.phase("reading changes")
        since = self.instance.cursor - timedelta(seconds=self.settings.overlap_s)
        async for page in self.client.changed(Window(since=since)):
            self.clock = self.clock or page.at
            await self.take_page(page)
        await self.pool.execute(query("advance_cursor"), self.instance.n, self._reached(), self.run)

    def _reached(self) -> datetime | None:
        """The new cursor. An `updated` that lies in the instance's future would hide what comes until then."""
        if self.greatest_updated is None or self.clock is None:
            return self.greatest_updated
        return min(self.greatest_updated, self.clock)

    def _must_list(self) -> bool:
        """Whether a complete listing is due."""
        listed, period = self.instance.listed_at, timedelta(hours=self.settings.relist_period_h)
        return self.thorough or listed is None or datetime.now(UTC) - listed > period

    async def _list_all(self) -> None:
        """Everything the instance lists: what differs is read, what it lacks is inferred to be gone."""
        self.phase("listing everything")
        absent: list[int] = []
        keys: list[uuid.UUID] = []
        low: uuid.UUID | None = None
        complete = True
        async for page in self.client.changed(Window()):
            complete = complete and not page.unreadable
            keys += await self.take_page(page, why=Why.LISTED)
            if page.last_id is not None:
                high = self.key(page.last_id)
                absent += await self._unlisted(low, high, keys)
                low, keys = high, []
        if complete:
            self.phase("comparing")
            absent += await self._unlisted(low, None, keys)
            await self.remove(await may_go(self, absent))
            await self.pool.execute(query("keep_listed"), self.instance.n, self.run)

    async def _unlisted(self, low: uuid.UUID | None, high: uuid.UUID | None, keys: list[uuid.UUID]) -> list[int]:
        rows = await self.pool.fetch(query("unlisted_sequences"), self.instance.n, low, high, keys)
        return [row["n"] for row in rows]

    async def _resume_after(self, last_id: str) -> None:
        """A first crawl that is killed goes on after this sequence; one whose ids are no UUID begins again."""
        if sequence_uuid(last_id, self.instance.id) == last_id.lower():
            await self.pool.execute(
                query("advance_first_crawl"), self.instance.n, uuid.UUID(last_id), self.clock, self.run
            )

    async def take_page(self, page: ListingPage, *, why: Why | None = None) -> set[uuid.UUID]:
        """Read what a page of the listing names, and remove what it says is gone; returns the ids it named."""
        why = why or (Why.LISTED if self.instance.cursor is None else Why.SIGNALLED)
        self.progress.sequences_seen += len(page.entries)
        for problem in page.unreadable:
            self.progress.sequences_failed += 1
            self.progress.last_error = f"an entry of the listing cannot be read: {problem}"[:1000]
        keyed = {self.key(entry.id): entry for entry in page.entries}
        known = {
            row["id"]: row for row in await self.pool.fetch(query("known_sequences"), self.instance.n, list(keyed))
        }
        gone, changed = [], []
        for key, entry in keyed.items():
            if why is not Why.LISTED:
                self._note_updated(entry.updated)
            row = known.get(key)
            if entry.raw is None or self._comes_from_known(entry):
                if row is not None and row["state"] not in ("removed", "withheld"):
                    gone.append(row["n"])
            elif row is None or (self._differs(row, entry) and not waits(row, entry)):
                changed.append(entry)
        await self._read_then_remove(changed, gone, why)
        return set(keyed)

    def _comes_from_known(self, entry: Listed) -> bool:
        """A catalog's record of an instance that is harvested directly, or of ours: left out, and counted."""
        if self.client.capabilities.kind != "catalog" or entry.raw is None or not self.known.names(entry.raw):
            return False
        self.progress.pictures_skipped += entry.expected
        return True

    def _differs(self, row: Row, entry: Listed) -> bool:
        described: int | None = None
        if entry.updated is None and entry.raw is not None and row["state"] == "merged":
            with suppress(RecordRefused):
                described = Sequence.from_stac(entry.raw, instance=self.instance.id).hash
        return differs(row, entry, described)

    async def _read_then_remove(self, changed: Seq[Listed], gone: Seq[int], why: Why) -> None:
        """Tombstones come last: when sequences are merged or split, their pictures are under others by then."""
        numbers = await self.numbers([entry.id for entry in changed])
        self.progress.sequences_expected += len(changed)
        self.progress.pictures_expected += sum(entry.expected for entry in changed)
        await self._sample(changed)
        try:
            await self.reader.read_all([Task(number=numbers[entry.id], listed=entry, why=why) for entry in changed])
        except* OriginError:
            # an instance that is unwell has still said what is gone
            await self.remove(gone)
            raise
        await self.remove(gone)

    async def _sample(self, listed: Seq[Listed]) -> None:
        """Train the dictionary of a new instance before the first picture is stored, on items of many sequences.

        What is stored plain and packed again later would leave half-empty pages behind.
        """
        if self.packer.packer.dictionary or self.instance.cursor is not None or not listed:
            return
        self.phase("sampling")
        wanted = self.settings.dictionary_items
        samples: list[bytes] = []
        for entry in listed[:: -(-len(listed) // _SAMPLED_SEQUENCES)]:
            with suppress(OriginError):
                page = await self.client.sample(entry.id, wanted // _SAMPLED_SEQUENCES * 2)
                accepted, _ = accept(page, instance=self.instance.id, collection=entry.id, settings=self.settings)
                samples += [picture.text for picture in accepted]
            if len(samples) >= wanted:
                break
        if len(samples) >= wanted // 5:
            await self.packer.train_on((await self.lanes.first()).connection, samples)
        self.phase("first crawl")

    def _note_updated(self, updated: datetime | None) -> None:
        if updated is not None and (self.greatest_updated is None or updated > self.greatest_updated):
            self.greatest_updated = updated

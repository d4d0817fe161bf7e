"""Speaks STAC API to one instance: what it is, what changed, and the pictures of a sequence, page by page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

import msgspec

from federation.capabilities import Capabilities
from federation.errors import OriginChanged, OriginError, OriginMalformed, OriginRefused
from federation.outbound import Answer, OriginSession
from federation.settings import Settings
from harvester.listing import (
    Listed,
    Listing,
    ListingPage,
    Window,
    decode_collections,
    decode_items,
    decode_listed,
    ids_url,
    listing_url,
    next_link,
    read_entries,
)
from harvester.mending import mended
from harvester.provenance import is_catalog
from harvester.status import Preparation, read_status

_T = TypeVar("_T")
#: No instance's clock is ahead by so much: nothing is newer than that.
_NOTHING_YET = timedelta(days=400)
#: Answers to a way of asking that an instance does not understand; an old GeoVisio gives 500 for a filter.
_NOT_UNDERSTOOD = frozenset({400, 404, 405, 422, 500, 501})
#: So many sequences are looked at to learn what kind of server it is.
_SAMPLED = 10
#: A request line may have 4,094 bytes on a Panoramax instance, so at most about 85 ids.
IDS_AT_ONCE = 50

#: Stands for an id in the address of a request that failed.
_SOMEWHERE = "..."

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(list[str])


@dataclass(slots=True)
class InstanceClient:
    """The requests of one visit. `capabilities` are kept between visits; they grow with what is learnt."""

    session: OriginSession
    settings: Settings
    instance: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    #: the landing page, where this visit has read it already
    front: Answer | None = None
    _probed: bool = False

    @property
    def listing(self) -> Listing:
        """The way to list that works; only after `prepare`."""
        return Listing(self.capabilities.listing)

    def keep_landing(self, answer: Answer) -> None:
        """The landing page was read by somebody else."""
        self.front = answer

    async def landing(self) -> dict[str, msgspec.Raw]:
        """The landing page; OriginMalformed when this is no STAC API with collections and items."""
        self.front = answer = self.front or await self.session.get("")
        members = self._members(answer)
        reason = _why_unfit(members)
        if reason:
            raise OriginMalformed(f"{answer.url} {reason}", instance=self.instance, url=answer.url)
        return members

    async def configuration(self) -> bytes | None:
        """The instance's own description of itself; None where there is none."""
        try:
            answer = await self.session.get("configuration")
        except OriginRefused as error:
            if error.status == 404:
                return None
            raise
        self._members(answer)
        return answer.body

    async def prepare(self) -> None:
        """Find out what kind of server this is and how it can be asked, unless that is known."""
        # without any sequence nobody can tell whether they are dated, and whose they are
        if not self.capabilities.listing or self.capabilities.dated is None:
            await self._probe()

    async def changed(self, window: Window) -> AsyncIterator[ListingPage]:
        """Pages of what changed, with a fixed upper bound, until an answer is empty; without `since`, of everything.

        The server's own `next` is not followed where `id` can be filtered: it cuts crawls short without a sign. Where
        the remembered way is refused by now, another is found, and the listing begins again.
        """
        await self.prepare()
        begun = False
        try:
            async for page in self._pages(window):
                begun = True
                yield page
        except OriginRefused as error:
            if begun or self._probed or error.status not in _NOT_UNDERSTOOD:
                raise
        else:
            return
        # another version by now, perhaps since this visit began
        self.front = None
        await self._probe()
        async for page in self._pages(window):
            yield page

    def _pages(self, window: Window) -> AsyncIterator[ListingPage]:
        if self.listing.by_id:
            return self._by_id(window)
        if self.listing is Listing.UPDATED and window.since is not None:
            return self._by_time(window)
        return self._by_links(f"collections?limit={self.settings.page_sequences}")

    async def _probe(self) -> None:
        self._probed = True
        landing = await self.landing()
        version = _geovisio_version(landing)
        learnt = Capabilities(kind="geovisio", dated=True) if version else await self._sampled_kind()
        # other servers may understand the question, yet have no word for what is gone: only complete listings show it
        listing = Listing.LINKS if version is None else await self._probe_listing(old=version < (2, 11))
        self.capabilities = replace(learnt, listing=listing, status=self.capabilities.status)

    async def _sampled_kind(self) -> Capabilities:
        answer = await self.session.get(f"collections?limit={_SAMPLED}")
        raws = self._decode(decode_collections, answer).collections
        entries, _ = read_entries(raws)
        dated = any(entry.updated is not None for entry in entries) if entries else None
        return Capabilities(kind="catalog" if any(map(is_catalog, raws)) else "stac", dated=dated)

    async def _probe_listing(self, *, old: bool) -> Listing:
        # the older ones answer `show_deleted` too, but without the tombstones
        ways = (Listing.ID_STATUS, Listing.ID) if old else (Listing.ID, Listing.ID_STATUS)
        window = Window(since=datetime.now(UTC) + _NOTHING_YET)
        for way in (*ways, Listing.UPDATED):
            try:
                answer = await self.session.get(listing_url(way, window, limit=1))
                # who answers with something did not understand the filter
                if not self._decode(decode_collections, answer).collections:
                    return way
            except OriginRefused as error:
                if error.status not in _NOT_UNDERSTOOD:
                    raise
        return Listing.LINKS

    async def _by_id(self, window: Window) -> AsyncIterator[ListingPage]:
        for _ in range(self.settings.listing_pages_max):
            page = await self._page_after(window)
            if not page.entries and not page.unreadable:
                return
            if page.last_id is None and len(page.unreadable) < self.settings.page_sequences:
                yield page
                return
            if page.last_id is None or (window.after is not None and page.last_id <= window.after):
                raise OriginMalformed("the listing does not go on", instance=self.instance, url=self.session.base_url)
            yield page
            window = replace(window, after=page.last_id)
            if window.since is not None and window.until is None and page.at is not None:
                # rows that change while we read are left to the next visit, so the walk stays still
                window = replace(window, until=page.at + timedelta(seconds=1))
        raise self._endless("the listing")

    async def _page_after(self, window: Window) -> ListingPage:
        """What goes wrong is recorded without the id it began at: that may be of a sequence nobody may see."""
        try:
            url = listing_url(self.listing, window, limit=self.settings.page_sequences)
            return self._listing_page(await self.session.get(url))
        except OriginError as error:
            if window.after is not None:
                error.url = error.url.replace(window.after, _SOMEWHERE)
                error.args = tuple(str(each).replace(window.after, _SOMEWHERE) for each in error.args)
            raise

    async def _by_time(self, window: Window) -> AsyncIterator[ListingPage]:
        """Windows that are cut in two until an answer has fewer rows than it may have: then it is whole."""
        assert window.since is not None
        begun = await self.session.get(listing_url(self.listing, window, limit=1))
        until = (begun.date() or datetime.now(UTC)) + timedelta(seconds=1)
        pending = [replace(window, until=until)]
        for _ in range(self.settings.listing_pages_max):
            if not pending:
                return
            part = pending.pop()
            url = listing_url(self.listing, part, limit=self.settings.page_sequences)
            page = self._listing_page(await self.session.get(url))
            if len(page.entries) + len(page.unreadable) < self.settings.page_sequences:
                yield replace(page, last_id=None)
            elif part.divisible:
                pending.extend(reversed(part.halves()))
            else:
                # more rows of one moment than an answer holds: only the server can tell them apart
                async for each in self._by_links(url):
                    yield each
        if pending:
            raise self._endless("the listing")

    async def _by_links(self, start: str) -> AsyncIterator[ListingPage]:
        url: str | None = start
        seen: set[str] = set()
        while url is not None:
            self._check_once(url, seen, "the listing", self.settings.listing_pages_max)
            answer = await self.session.get(url)
            page = self._listing_page(answer)
            yield replace(page, last_id=None)
            listed = page.entries or page.unreadable
            url = next_link(self._decode(decode_collections, answer).links, answer.url) if listed else None

    def _check_once(self, url: str, seen: set[str], what: str, most: int) -> None:
        if url in seen:
            raise OriginMalformed(f"{what} comes back to {url}", instance=self.instance, url=url)
        if len(seen) >= most:
            raise self._endless(what)
        seen.add(url)

    def _endless(self, what: str) -> OriginMalformed:
        return OriginMalformed(f"{what} has no end: too many pages", instance=self.instance, url=self.instance)

    def _listing_page(self, answer: Answer) -> ListingPage:
        entries, unreadable = read_entries(self._decode(decode_collections, answer).collections)
        last = entries[-1].id if entries else None
        return ListingPage(entries=entries, unreadable=unreadable, at=answer.date(), last_id=last)

    async def pictures(self, sequence: str, *, at_once: bool = False) -> AsyncIterator[tuple[str, list[msgspec.Raw]]]:
        """Pages of a sequence's items, each with its address. `at_once` asks for all in one answer, which no
        re-sorting can tear.

        A page may be short or empty and still have a next one: the server counts hidden pictures there.
        """
        limit = "" if at_once else f"?limit={self.settings.page_pictures}"
        url: str | None = f"collections/{quote(sequence, safe='')}/items{limit}"
        seen: set[str] = set()
        while url is not None:
            self._check_once(url, seen, "a sequence", self.settings.sequence_pages_max)
            try:
                answer = await self.session.get(url)
            except OriginRefused as error:
                # startAfterRank at or past the highest rank is a 404: the end, unless it was the first page
                if error.status == 404 and len(seen) > 1:
                    return
                raise
            page = self._decode(decode_items, answer)
            yield answer.url, page.features
            url = next_link(page.links, answer.url)

    async def sample(self, sequence: str, limit: int) -> list[msgspec.Raw]:
        """The first items of a sequence."""
        answer = await self.session.get(f"collections/{quote(sequence, safe='')}/items?limit={limit}")
        return self._decode(decode_items, answer).features

    async def preparation(self, sequence: str) -> Preparation | None:
        """Which pictures of a sequence are still being prepared; None where the server has no such word."""
        if self.capabilities.status is False:
            return None
        try:
            answer = await self.session.get(f"collections/{quote(sequence, safe='')}/geovisio_status")
        except OriginRefused as error:
            if error.status == 404:
                # a sequence that went away meanwhile answers so too: only who never said anything has no such route
                known = self.capabilities.status
                self.capabilities = replace(self.capabilities, status=bool(known))
                return None
            raise
        found = read_status(answer.body)
        self.capabilities = replace(self.capabilities, status=found is not None)
        return found

    async def sequence(self, sequence: str) -> Listed:
        """One sequence as it is now; OriginRefused with 404 when it is gone."""
        answer = await self.session.get(f"collections/{quote(sequence, safe='')}")
        head = self._decode(decode_listed, answer)
        if head.id != sequence:
            raise OriginMalformed(
                f"asked for {sequence}, it gave {head.id[:64]}", instance=self.instance, url=answer.url
            )
        entries, _ = read_entries([msgspec.Raw(mended(answer.body))])
        return replace(entries[0], raw=entries[0].raw or msgspec.Raw(answer.body))

    async def sequences(self, ids: list[str]) -> dict[str, Listed]:
        """Those of these sequences that a listing names, as it shows them, with tombstones; several in one answer."""
        answer = await self.session.get(ids_url(self.listing, ids))
        entries, _ = read_entries(self._decode(decode_collections, answer).collections)
        found = {entry.id: entry for entry in entries}
        if not found.keys() <= set(ids):
            raise OriginMalformed(
                "asked for some sequences, it gave others: its filter on `id` does not work",
                instance=self.instance,
                url=answer.url,
            )
        return found

    def cannot_ask_for_ids(self, error: OriginMalformed | OriginRefused) -> None:
        """It does not understand `sequences`. Raises the error itself when it says something else."""
        if isinstance(error, OriginRefused) and error.status not in _NOT_UNDERSTOOD:
            raise error
        self.capabilities = replace(self.capabilities, ids=False)

    async def check_unchanged(self, before: Listed) -> None:
        """OriginChanged when the sequence's `updated` is no longer what it was before its first page."""
        now = await self.sequence(before.id)
        if now.updated != before.updated:
            raise OriginChanged(f"sequence {before.id} changed while it was read", instance=self.instance)

    def _members(self, answer: Answer) -> dict[str, msgspec.Raw]:
        members: dict[str, msgspec.Raw] = self._decode(_object, answer)
        return members

    def _decode(self, decoder: msgspec.json.Decoder[_T], answer: Answer) -> _T:
        try:
            return decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                return decoder.decode(mended(answer.body))
            kind = answer.headers.get("content-type", "no content type")
            raise OriginMalformed(
                f"{answer.url} answered {kind}, {len(answer.body)} bytes, not the JSON expected: {error}",
                instance=self.instance,
                url=answer.url,
            ) from error


def _why_unfit(landing: dict[str, msgspec.Raw]) -> str:
    """What this page lacks to be the landing page of something that can be harvested; empty when nothing.

    >>> _why_unfit({"stac_version": msgspec.Raw(b'"1.0.0"'), "geovisio_version": msgspec.Raw(b'"2.15"')})
    ''
    >>> _why_unfit({"stac_version": msgspec.Raw(b'"1.0.0"')})
    'is a STAC catalog, but no STAC API with collections and items: its conformsTo does not name OGC API Features'
    """
    if not bytes(landing.get("stac_version", b"")).startswith((b'"1.', b'"1"')):
        return "is not a STAC API: its landing page has no stac_version 1.x"
    if _geovisio_version(landing) is not None:
        return ""
    classes: list[str] = []
    with suppress(msgspec.DecodeError, KeyError):
        classes = _texts.decode(landing["conformsTo"])
    if any("ogcapi-features" in each for each in classes):
        return ""
    return (
        "is a STAC catalog, but no STAC API with collections and items: its conformsTo does not name OGC API Features"
    )


def _geovisio_version(landing: dict[str, msgspec.Raw]) -> tuple[int, int] | None:
    """Major and minor number; None where it is another server.

    >>> _geovisio_version({"geovisio_version": msgspec.Raw(b'"2.10.0-1-gabc"')}), _geovisio_version({})
    ((2, 10), None)
    """
    version = re.match(rb'"(\d+)\.(\d+)', bytes(landing.get("geovisio_version", b"")))
    return (int(version[1]), int(version[2])) if version else None

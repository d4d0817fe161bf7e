"""Speaks STAC API to one instance: what changed, and the pictures of a sequence, page by page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import quote

import msgspec

from federation.errors import OriginChanged, OriginMalformed, OriginRefused, RecordNotPublic
from federation.outbound import Answer, OriginSession
from federation.settings import Settings
from federation.visibility import check_public

_T = TypeVar("_T")
_FIRST_ID = "00000000-0000-0000-0000-000000000000"
#: No instance's clock is ahead by so much: nothing is newer than that.
_NOTHING_YET = timedelta(days=400)
_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?\bInfinity\b|\bNaN\b')


class Listing(StrEnum):
    """How an instance can be asked what changed; see docs/harvesting.md, "Ways to list"."""

    #: GeoVisio 2.11 and newer: tombstones on request, paged by id
    ID = "id"
    #: GeoVisio 2.9 and 2.10: the same, with the older way to ask for tombstones
    ID_STATUS = "id-status"
    #: any STAC API: everything, by its own `next` links; nothing is signalled
    LINKS = "links"


class _Link(msgspec.Struct):
    rel: str = ""
    href: str = ""


class _Collections(msgspec.Struct):
    collections: list[msgspec.Raw]
    links: list[_Link] = []


class _Items(msgspec.Struct):
    features: list[msgspec.Raw]
    links: list[_Link] = []


class _Listed(msgspec.Struct):
    id: str
    updated: object = None


_collections = msgspec.json.Decoder(_Collections)
_items = msgspec.json.Decoder(_Items)
_listed = msgspec.json.Decoder(_Listed)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One entry of a listing: a sequence, or the word that it is gone (`raw` is None then)."""

    id: str
    updated: datetime | None
    raw: msgspec.Raw | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPage:
    """One page of a listing. `last_id` is where the next one goes on; `at` is the instance's clock."""

    entries: tuple[Listed, ...]
    unreadable: tuple[str, ...]
    at: datetime | None
    last_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to list: everything changed after `since` (None: everything), going on after `after`."""

    since: datetime | None = None
    after: str | None = None


@dataclass(slots=True)
class InstanceClient:
    """The requests of one visit. `listing` is remembered between visits once it is known to work."""

    session: OriginSession
    settings: Settings
    instance: str
    listing: Listing | None = None

    async def landing(self) -> dict[str, msgspec.Raw]:
        """The landing page; OriginMalformed when this is no STAC API."""
        answer = await self.session.get("")
        members = self._members(answer)
        version = bytes(members.get("stac_version", b""))
        if not version.startswith((b'"1.', b'"1"')):
            raise OriginMalformed(
                f"{answer.url} is not a STAC API: its landing page has no stac_version 1.x",
                instance=self.instance,
                url=answer.url,
            )
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

    async def changed(self, window: Window) -> AsyncIterator[ListingPage]:
        """Pages of what changed, each listing paged by id with a fixed upper bound, until an answer is empty.

        The server's own `next` is not followed where `id` can be filtered: it cuts crawls short without a sign.
        """
        if self.listing is None:
            self.listing = await self._probe_listing()
        pages = self._by_links() if self.listing is Listing.LINKS else self._by_id(window)
        async for page in pages:
            yield page

    async def _probe_listing(self) -> Listing:
        # the older ones answer `show_deleted` too, but without the tombstones
        old = _is_old_geovisio(await self.landing())
        for way in (Listing.ID_STATUS, Listing.ID) if old else (Listing.ID, Listing.ID_STATUS):
            try:
                window = Window(since=datetime.now(UTC) + _NOTHING_YET)
                answer = await self.session.get(self._listing_url(way, window, None, limit=1))
                # who answers with something did not understand the filter
                if not self._decode(_collections, answer).collections:
                    return way
            except OriginRefused as error:
                if error.status not in (400, 404, 422, 500, 501):
                    raise
        return Listing.LINKS

    async def _by_id(self, window: Window) -> AsyncIterator[ListingPage]:
        until: datetime | None = None
        assert self.listing is not None
        while True:
            answer = await self.session.get(
                self._listing_url(self.listing, window, until, limit=self.settings.page_sequences)
            )
            page = self._listing_page(answer)
            if not page.entries and not page.unreadable:
                return
            yield page
            if page.last_id is None and len(page.unreadable) < self.settings.page_sequences:
                return
            if page.last_id is None or (window.after is not None and page.last_id <= window.after):
                raise OriginMalformed(
                    f"the listing does not go on after {window.after}", instance=self.instance, url=answer.url
                )
            window = replace(window, after=page.last_id)
            if window.since is not None and until is None and page.at is not None:
                # rows that change while we read are left to the next visit, so the walk stays still
                until = page.at + timedelta(seconds=1)

    async def _by_links(self) -> AsyncIterator[ListingPage]:
        url: str | None = f"collections?limit={self.settings.page_sequences}"
        seen: set[str] = set()
        while url is not None:
            if url in seen:
                raise OriginMalformed(f"the listing comes back to {url}", instance=self.instance, url=url)
            seen.add(url)
            answer = await self.session.get(url)
            page = self._listing_page(answer)
            yield replace(page, last_id=None)
            listed = page.entries or page.unreadable
            url = _next_link(self._decode(_collections, answer).links) if listed else None

    def _listing_url(self, way: Listing, window: Window, until: datetime | None, *, limit: int) -> str:
        clauses = [] if way is Listing.ID else ["status IN ('deleted','ready')"]
        if window.since is not None:
            clauses.append(f"updated > '{_stamp(window.since)}'")
        if until is not None:
            clauses.append(f"updated <= '{_stamp(until)}'")
        clauses.append(f"id > '{window.after or _FIRST_ID}'")
        tombstones = "&show_deleted=true" if way is Listing.ID else ""
        return f"collections?limit={limit}&sortby=%2Bid{tombstones}&filter={quote(' AND '.join(clauses))}"

    def _listing_page(self, answer: Answer) -> ListingPage:
        entries: list[Listed] = []
        unreadable: list[str] = []
        for raw in self._decode(_collections, answer).collections:
            try:
                head = _listed.decode(raw)
                entries.append(Listed(id=head.id, updated=_time(head.updated), raw=raw if _is_public(raw) else None))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                unreadable.append(str(error))
        last = entries[-1].id if entries else None
        return ListingPage(entries=tuple(entries), unreadable=tuple(unreadable), at=answer.date(), last_id=last)

    async def pictures(self, sequence: str, *, at_once: bool = False) -> AsyncIterator[list[msgspec.Raw]]:
        """Pages of a sequence's items. `at_once` asks for all in one answer, which no re-sorting can tear.

        A page may be short or empty and still have a next one: the server counts hidden pictures there.
        """
        limit = "" if at_once else f"?limit={self.settings.page_pictures}"
        url: str | None = f"collections/{quote(sequence, safe='')}/items{limit}"
        seen: set[str] = set()
        while url is not None:
            if url in seen:
                raise OriginMalformed(f"the items come back to {url}", instance=self.instance, url=url)
            seen.add(url)
            try:
                answer = await self.session.get(url)
            except OriginRefused as error:
                # startAfterRank at or past the highest rank is a 404: the end, unless it was the first page
                if error.status == 404 and len(seen) > 1:
                    return
                raise
            page = self._decode(_items, answer)
            yield page.features
            url = _next_link(page.links)

    async def sample(self, sequence: str, limit: int) -> list[msgspec.Raw]:
        """The first items of a sequence."""
        answer = await self.session.get(f"collections/{quote(sequence, safe='')}/items?limit={limit}")
        return self._decode(_items, answer).features

    async def sequence(self, sequence: str) -> Listed:
        """One sequence as it is now; OriginRefused with 404 when it is gone."""
        answer = await self.session.get(f"collections/{quote(sequence, safe='')}")
        raw = msgspec.Raw(answer.body)
        head = self._decode(_listed, answer)
        if head.id != sequence:
            raise OriginMalformed(
                f"asked for {sequence}, it gave {head.id[:64]}", instance=self.instance, url=answer.url
            )
        return Listed(id=head.id, updated=_time(head.updated), raw=raw)

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
                return decoder.decode(without_nan(answer.body))
            kind = answer.headers.get("content-type", "no content type")
            raise OriginMalformed(
                f"{answer.url} answered {kind}, {len(answer.body)} bytes, not the JSON expected: {error}",
                instance=self.instance,
                url=answer.url,
            ) from error


def _is_old_geovisio(landing: dict[str, msgspec.Raw]) -> bool:
    """GeoVisio before 2.11.

    >>> _is_old_geovisio({"geovisio_version": msgspec.Raw(b'"2.10.0-1-gabc"')}), _is_old_geovisio({})
    (True, False)
    """
    version = re.match(rb'"(\d+)\.(\d+)', bytes(landing.get("geovisio_version", b"")))
    return version is not None and (int(version[1]), int(version[2])) < (2, 11)


def _next_link(links: list[_Link]) -> str | None:
    return next((link.href for link in links if link.rel == "next" and link.href), None)


def _stamp(when: datetime) -> str:
    """UTC with microseconds, the form every version understands.

    >>> _stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000+00:00'
    """
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: object) -> datetime | None:
    """UTC; what is no time is absent here, and refused with its name when the sequence is read."""
    try:
        when = datetime.fromisoformat(str(text))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _is_public(raw: msgspec.Raw) -> bool:
    """False for a tombstone too: its status is `deleted`."""
    try:
        check_public(raw)
    except RecordNotPublic:
        return False
    return True


def without_nan(body: bytes) -> bytes:
    """The NaN and Infinity of careless servers as texts, so that only the item they are in is refused.

    >>> without_nan(b'{"a": [NaN, -Infinity], "NaN": "is NaN"}')
    b'{"a": ["NaN", "-Infinity"], "NaN": "is NaN"}'
    """
    return _NAN.sub(lambda match: match[0] if match[0].startswith(b'"') else b'"' + match[0] + b'"', body)

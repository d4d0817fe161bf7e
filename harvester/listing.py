"""What a listing of sequences says: ways to ask for it, its entries, and how its answers are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import quote, urlencode, urljoin

import msgspec

from federation.errors import RecordNotPublic
from federation.visibility import check_public

_FIRST_ID = "00000000-0000-0000-0000-000000000000"
#: A window that cannot be cut any further: the resolution of `updated`.
_INDIVISIBLE = timedelta(microseconds=1)
#: Nothing on any instance was updated before.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Listing(StrEnum):
    """How an instance can be asked what changed; see docs/harvesting.md, "Ways to list"."""

    #: GeoVisio 2.11 and newer: tombstones on request, paged by id
    ID = "id"
    #: GeoVisio 2.9 and 2.10: the same, with the older way to ask for tombstones
    ID_STATUS = "id-status"
    #: before 2.9: tombstones and a filter on `updated`, but none on `id`: windows of time that are cut until they fit
    UPDATED = "updated"
    #: any STAC API: everything, by its own `next` links; nothing is signalled
    LINKS = "links"

    @property
    def by_id(self) -> bool:
        """Whether it is paged by id, and so may be cut into ranges of ids."""
        return self in (Listing.ID, Listing.ID_STATUS)

    @property
    def tells_removals(self) -> bool:
        """Whether the instance says which sequences are gone."""
        return self is not Listing.LINKS


class Link(msgspec.Struct):
    """A link of an answer; `body` belongs to those that ask for a POST."""

    rel: str = ""
    href: str = ""
    method: str = "GET"
    body: dict[str, object] | None = None


class CollectionsPage(msgspec.Struct):
    """An answer of /collections."""

    collections: list[msgspec.Raw]
    links: list[Link] = []


class ItemsPage(msgspec.Struct):
    """An answer of /collections/{id}/items."""

    features: list[msgspec.Raw]
    links: list[Link] = []


class ListedHead(msgspec.Struct):
    """What a listing needs to know of an entry."""

    id: str
    updated: object = None
    stats: object = msgspec.field(name="stats:items", default=None)


decode_collections = msgspec.json.Decoder(CollectionsPage)
decode_items = msgspec.json.Decoder(ItemsPage)
decode_listed = msgspec.json.Decoder(ListedHead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One entry of a listing: a sequence, or the word that it is gone (`raw` is None then)."""

    id: str
    updated: datetime | None
    raw: msgspec.Raw | None
    #: how many pictures it says it has, hidden ones included
    expected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPage:
    """One page of a listing. `last_id` is where the next one goes on; `at` is the instance's clock."""

    entries: tuple[Listed, ...]
    unreadable: tuple[str, ...]
    at: datetime | None
    last_id: str | None

    @property
    def last_shown(self) -> str | None:
        """The last id that is a sequence's everybody may see: what is written down of how far a listing was read.

        A tombstone may be of one that never was public. Those after it are listed again, which changes nothing.
        """
        return next((entry.id for entry in reversed(self.entries) if entry.raw is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to list: everything changed after `since` (None: everything), after the id `after` up to the id `high`.

    `until` is its upper bound in time: what changes while the listing is read is left to the next one.
    """

    since: datetime | None = None
    after: str | None = None
    high: str | None = None
    until: datetime | None = None

    @property
    def divisible(self) -> bool:
        """Whether `halves` makes progress."""
        return self.since is not None and self.until is not None and self.until - self.since > _INDIVISIBLE

    def halves(self) -> tuple[Window, Window]:
        """The earlier and the later half of its time.

        >>> early, late = Window(since=LONG_AGO, until=LONG_AGO + timedelta(seconds=2)).halves()
        >>> early.until == late.since, late.until.second
        (True, 2)
        """
        assert self.since is not None and self.until is not None
        middle = self.since + (self.until - self.since) / 2
        return replace(self, until=middle), replace(self, since=middle)


def listing_url(way: Listing, window: Window, *, limit: int) -> str:
    """The request for one answer of a listing.

    >>> listing_url(Listing.ID, Window(after="b"), limit=2)
    'collections?limit=2&sortby=%2Bid&show_deleted=true&filter=id%20%3E%20%27b%27'
    """
    clauses = [] if way is Listing.ID else ["status IN ('deleted','ready')"]
    if window.since is not None:
        clauses.append(f"updated > '{stamp(window.since)}'")
    if window.until is not None:
        clauses.append(f"updated <= '{stamp(window.until)}'")
    if way.by_id:
        clauses.append(f"id > '{window.after or _FIRST_ID}'")
        if window.high is not None:
            clauses.append(f"id <= '{window.high}'")
    order = "&sortby=%2Bid" if way.by_id else ""
    tombstones = "&show_deleted=true" if way is Listing.ID else ""
    return f"collections?limit={limit}{order}{tombstones}&filter={quote(' AND '.join(clauses))}"


def ids_url(way: Listing, ids: list[str]) -> str:
    """The request for these sequences as a listing shows them, tombstones included."""
    named = "id IN (" + ", ".join(f"'{each}'" for each in ids) + ")"
    clauses = [named] if way is Listing.ID else ["status IN ('deleted','ready')", named]
    tombstones = "&show_deleted=true" if way is Listing.ID else ""
    return f"collections?limit={len(ids)}{tombstones}&filter={quote(' AND '.join(clauses))}"


def read_entries(raws: list[msgspec.Raw]) -> tuple[tuple[Listed, ...], tuple[str, ...]]:
    """The entries of an answer, and what is wrong with those that cannot be read."""
    entries: list[Listed] = []
    unreadable: list[str] = []
    for raw in raws:
        try:
            head = decode_listed.decode(raw)
            shown = raw if is_public(raw) else None
            entries.append(Listed(id=head.id, updated=read_time(head.updated), raw=shown, expected=_count(head.stats)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            unreadable.append(str(error))
    return tuple(entries), tuple(unreadable)


def _count(stats: object) -> int:
    count = stats.get("count") if isinstance(stats, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def next_link(links: list[Link], page_url: str) -> str | None:
    """Where the listing goes on: a relative address is below the page's own.

    A link that asks for a POST is asked by GET with the members of its body as parameters: what pages collections and
    items is a token, and no server needs a body for it.

    >>> next_link([Link(rel="next", href="?token=b")], "https://a.org/stac/collections?limit=2")
    'https://a.org/stac/collections?token=b'
    >>> next_link([Link(rel="next", href="https://a.org/s", method="POST", body={"token": "b"})], "https://a.org/s")
    'https://a.org/s?token=b'
    """
    wanted = [link for link in links if link.rel == "next" and link.href]
    for link in sorted(wanted, key=lambda link: link.method.upper() != "GET"):
        href = urljoin(page_url, link.href)
        members = {key: value for key, value in (link.body or {}).items() if isinstance(value, str | int | float)}
        if link.method.upper() == "GET" or not members:
            return href
        return href + ("&" if "?" in href else "?") + urlencode(members)
    return None


def stamp(when: datetime) -> str:
    """UTC with microseconds, the form every version understands.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000+00:00'
    """
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: object) -> datetime | None:
    """UTC; what is no time is absent here, and refused with its name when the sequence is read."""
    try:
        when = datetime.fromisoformat(str(text))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_public(raw: msgspec.Raw) -> bool:
    """False for a tombstone too: its status is `deleted`."""
    try:
        check_public(raw)
    except RecordNotPublic:
        return False
    return True

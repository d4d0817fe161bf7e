"""One local instance as a harvester sees it: listings, collections, item pages and edits; bytes out, no sockets."""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from bench.cache import RenderedInstance
from bench.items import ORIGINAL, Revision, render_items
from bench.pictures import pictures_of
from bench.plan import Dataset
from bench.sequences import TOMBSTONE, collection_of, to_json
from bench.texts import iso_text
from bench.world import LICENSE_URLS, Instance

VERSION = "2.15.1"
TOMBSTONES_TOO = re.compile(r"^status IN \('deleted','ready'\)(?: AND |$)")
COMPARISON = re.compile(r"^(updated|id)\s*(>=|<=|=|>|<)\s*'([^']*)'$")
PAGE_AFTER = re.compile(r"^updated > '([^']*)' OR \(updated = '\1' AND id > '([^']*)'\)$")
CONFORMANCE = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/simple-query",
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/browseable",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/collection-search",
]
Query = dict[str, str]


class RequestError(Exception):
    """The request cannot be answered; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of an answer: bytes [start, stop) of the instance's item file."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A body in pieces, sent one after the other, and how many items it holds; `page` names an unedited page."""

    parts: list[bytes | Slice]
    content_type: str = "application/json"
    items: int = 0
    page: str = ""


@dataclass(slots=True)
class _Edited:
    """A sequence whose items are rendered anew: bodies, ranks and where each `prev` link stands."""

    revision: Revision
    bodies: list[bytes] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)


def microseconds(text: str) -> int:
    """A time of a filter as UTC microseconds; without offset it is UTC.

    >>> microseconds("1970-01-01T00:00:01Z"), microseconds("1970-01-01 01:00:00.5+01:00")
    (1000000, 500000)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RequestError(500, f"not a time: {text!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _whole(query: Query, name: str, default: int | None, lowest: int, highest: int) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        raise RequestError(400, f"{name} parameter should be an integer between {lowest} and {highest}")
    return int(text)


class LocalInstance:
    """Answers requests about one rendered instance; edits live in memory and die with the process."""

    def __init__(self, rendered: RenderedInstance, dataset: Dataset, instance: Instance, base: str) -> None:
        self.rendered, self.dataset, self.instance, self.base = rendered, dataset, instance, base
        self.updated_us = rendered.updated_us.copy()
        self.deleted: npt.NDArray[np.bool_] = np.zeros(len(rendered.ids), dtype=np.bool_)
        self._documents = list(rendered.documents)
        self._edited: dict[int, _Edited] = {}
        self._edits = 0
        root = {"href": f"{base}/api/", "rel": "root", "title": "Instance catalog", "type": "application/json"}
        self._root = to_json(root)

    # what a visitor asks

    def landing(self) -> Answer:
        """GET /api/."""
        api, license_name = f"{self.base}/api", self.instance.license
        json_type = "application/json"
        body = {
            "conformsTo": CONFORMANCE,
            "description": f"Generated instance {self.instance.name}",
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2018-01-01", None]]}},
            "geovisio_version": VERSION,
            "id": "geovisio",
            "links": [
                {"href": f"{api}/", "rel": "self", "type": json_type},
                {"href": f"{api}/", "rel": "root", "title": "Instance catalog", "type": json_type},
                {"href": f"{api}/conformance", "rel": "conformance", "type": json_type},
                {"href": f"{api}/collections", "rel": "data", "type": json_type},
                {"href": f"{api}/search", "rel": "search", "type": "application/geo+json"},
                {"href": f"{api}/pictures/{{id}}/thumb.jpg", "rel": "item-preview", "type": "image/jpeg"},
                {"href": f"{api}/collections/{{id}}/thumb.jpg", "rel": "collection-preview", "type": "image/jpeg"},
                {
                    "href": LICENSE_URLS[license_name],
                    "rel": "license",
                    "title": f"License for this object ({license_name})",
                },
            ],
            "stac_extensions": [],
            "stac_version": "1.0.0",
            "title": self.instance.name,
            "type": "Catalog",
        }
        return Answer([to_json(body)])

    def configuration(self) -> Answer:
        """GET /api/configuration."""
        text = {"label": self.instance.name, "langs": {"en": self.instance.name}}
        license_name = self.instance.license
        body = {
            "auth": {"enabled": False},
            "color": "#5e499c",
            "description": text,
            "email": f"{self.instance.name}@example.org",
            "geo_coverage": {"label": "Worldwide", "langs": {"en": "Worldwide"}},
            "license": {"id": license_name, "url": LICENSE_URLS[license_name]},
            "name": text,
            "pages": [],
            "version": VERSION,
        }
        return Answer([to_json(body)])

    def collections(self, query: Query) -> Answer:
        """GET /api/collections: filtered, in order of id or of change, one page."""
        limit = _whole(query, "limit", 100, 1, 1000) or 100
        text = query.get("filter", "")
        tombstones = query.get("show_deleted", "").lower() == "true" or bool(TOMBSTONES_TOO.match(text))
        rows = self._matching(TOMBSTONES_TOO.sub("", text))
        if not tombstones:
            rows = rows[~self.deleted[rows]]
        rows = self._sorted(rows, query.get("sortby", "+id").split(",")[0].strip())
        rows = self._after_page(rows, query.get("page", ""))
        page = rows[:limit].tolist()
        body = b",".join(self._document(row) for row in page)
        links = self._listing_links(query, page, more=len(rows) > limit)
        return Answer([b'{"collections":[', body, b'],"links":', links, b"}"])

    def collection(self, sequence_id: str) -> Answer:
        """GET /api/collections/{id}."""
        row = self._visible(sequence_id)
        pictures = pictures_of(self.dataset.plan(int(self.rendered.numbers[row])))
        body = collection_of(pictures, self.base, listed=False) | {"updated": iso_text(int(self.updated_us[row]))}
        return Answer([to_json(body)])

    def items(self, sequence_id: str, query: Query) -> Answer:
        """GET /api/collections/{id}/items: by rank, whole or in pages."""
        row = self._visible(sequence_id)
        limit = _whole(query, "limit", None, 1, 10_000)
        after = _whole(query, "startAfterRank", 0, 0, 10**9) or 0
        highest = int(self.rendered.counts[row])
        if after >= highest:
            raise RequestError(404, f"No more items in this collection (last available rank is {highest})")
        edited = self._edited.get(row)
        body, count, last = self._edited_page(edited, after, limit) if edited else self._page(row, after, limit)
        tail = (
            b'],"links":' + self._item_links(sequence_id, limit, after, last, highest) + b',"type":"FeatureCollection"}'
        )
        page = "" if edited else f"{sequence_id} {after} {limit}"
        return Answer([b'{"features":[', *body, tail], "application/geo+json", count, page)

    # how a page is made

    def _visible(self, sequence_id: str) -> int:
        ids = self.rendered.ids
        row = bisect_left(ids, sequence_id)
        if row == len(ids) or ids[row] != sequence_id or self.deleted[row]:
            raise RequestError(404, "Collection doesn't exist")
        return row

    def _matching(self, text: str) -> npt.NDArray[np.intp]:
        """Rows, in order of id, for which every comparison of an AND filter holds."""
        low, high = 0, len(self.rendered.ids)
        keep: npt.NDArray[np.bool_] | None = None
        for term in text.split(" AND ") if text else ():
            parsed = COMPARISON.match(term.strip())
            if parsed is None:
                raise RequestError(400, f"Unsupported filter parameter: {term!r}")
            name, sign, value = parsed.groups()
            if name == "id":
                below, upto = bisect_left(self.rendered.ids, value), bisect_right(self.rendered.ids, value)
                low = max(low, {">": upto, ">=": below, "=": below}.get(sign, low))
                high = min(high, {"<": below, "<=": upto, "=": upto}.get(sign, high))
                continue
            held = _compare(self.updated_us, sign, microseconds(value))
            keep = held if keep is None else keep & held
        rows: npt.NDArray[np.intp] = np.arange(low, max(low, high), dtype=np.intp)
        if keep is not None:
            rows = rows[keep[low : max(low, high)]]
        return rows

    def _sorted(self, rows: npt.NDArray[np.intp], key: str) -> npt.NDArray[np.intp]:
        name = key.lstrip("+- ")
        if name not in ("id", "updated", "created"):
            raise RequestError(400, "Unsupported sortby parameter")
        if name != "id":
            rows = rows[np.argsort(self.updated_us[rows], kind="stable")]
        ordered: npt.NDArray[np.intp] = rows[::-1] if key.startswith("-") else rows
        return ordered

    def _after_page(self, rows: npt.NDArray[np.intp], page: str) -> npt.NDArray[np.intp]:
        """Leave out what came before, as the `page` parameter of a `next` link says."""
        if not page:
            return rows
        parsed = PAGE_AFTER.match(page)
        if parsed is None:
            return rows[np.isin(rows, self._matching(page))]
        moment, last = microseconds(parsed[1]), bisect_right(self.rendered.ids, parsed[2])
        updated = self.updated_us[rows]
        later: npt.NDArray[np.intp] = rows[(updated > moment) | ((updated == moment) & (rows >= last))]
        return later

    def _document(self, row: int) -> bytes:
        return TOMBSTONE % self.rendered.ids[row].encode() if self.deleted[row] else self._documents[row]

    def _listing_links(self, query: Query, page: list[int], *, more: bool) -> bytes:
        links = [{"href": f"{self.base}/api/collections", "rel": "self", "type": "application/json"}]
        if more and not query.get("sortby", "+id").startswith("-"):
            last, moment = self.rendered.ids[page[-1]], iso_text(int(self.updated_us[page[-1]]))
            by_change = "updated" in query.get("sortby", "")
            after = (
                f"updated > '{moment}' OR (updated = '{moment}' AND id > '{last}')" if by_change else f"id > '{last}'"
            )
            asked = "&".join(f"{key}={quote(value)}" for key, value in (query | {"page": after}).items())
            links.append({"href": f"{self.base}/api/collections?{asked}", "rel": "next", "type": "application/json"})
        return b"[" + self._root + b"," + to_json(links)[1:]

    def _page(self, row: int, after: int, limit: int | None) -> tuple[list[bytes | Slice], int, int]:
        """Pieces, number and highest rank of the items after a rank; the opening item shows no `prev` link."""
        rendered = self.rendered
        count = min(int(rendered.counts[row]) - after, limit or 10**9)
        first = int(rendered.first[row]) + after
        start, stop = int(rendered.starts[first]), int(rendered.starts[first + count]) - 1
        low, high = int(rendered.cut_from[first]), int(rendered.cut_to[first])
        whole: list[bytes | Slice] = [Slice(start, stop)]
        cut: list[bytes | Slice] = [Slice(start, start + low), Slice(start + high, stop)]
        return whole if low == high else cut, count, after + count

    def _edited_page(self, edited: _Edited, after: int, limit: int | None) -> tuple[list[bytes | Slice], int, int]:
        first = bisect_right(edited.ranks, after)
        bodies = edited.bodies[first : first + limit] if limit else edited.bodies[first:]
        if not bodies:
            return [], 0, after
        low, high = edited.cuts[first]
        opening = bodies[0][:low] + bodies[0][high:]
        return [b",".join([opening, *bodies[1:]])], len(bodies), edited.ranks[first + len(bodies) - 1]

    def _item_links(self, sequence_id: str, limit: int | None, after: int, last: int, highest: int) -> bytes:
        url, geojson = f"{self.base}/api/collections/{sequence_id}", "application/geo+json"
        own = "" if limit is None else f"?limit={limit}" + (f"&startAfterRank={after}" if after else "")
        links = [
            {"href": url, "rel": "parent", "type": "application/json"},
            {"href": f"{url}/items{own}", "rel": "self", "type": geojson},
        ]
        if limit is not None and 0 < last < highest:
            final = (highest - 1) // limit * limit
            for rel, rank in (("next", last), ("last", final)):
                links.append({"href": f"{url}/items?limit={limit}&startAfterRank={rank}", "rel": rel, "type": geojson})
        return b"[" + self._root + b"," + to_json(links)[1:]

    # edits

    def touch(self, sequences: int, changed: int, hidden: int = 0, about: int = 0) -> list[str]:
        """Edit that many sequences, evenly spread: some items change, some are hidden; returns their ids.

        With `about` those whose length is nearest to it.
        """
        rows = self._pick_about(sequences, about) if about else self._pick(sequences)
        self._edits += 1
        for row in rows:
            count = int(self.rendered.counts[row])
            before = self._edited[row].revision if row in self._edited else ORIGINAL
            gone = frozenset(before.hidden) | frozenset(range(count - hidden + 1, count + 1) if hidden < count else ())
            moment = time.time_ns() // 1000
            self._render(row, Revision(self._edits, moment, frozenset(range(1, changed + 1)), gone))
            self._stamp(row, moment)
        return [self.rendered.ids[row] for row in rows]

    def delete(self, sequences: int) -> list[str]:
        """Turn that many sequences into tombstones; returns their ids."""
        rows = self._pick(sequences)
        for row in rows:
            self.deleted[row] = True
            self.updated_us[row] = time.time_ns() // 1000
        return [self.rendered.ids[row] for row in rows]

    def restore(self) -> list[str]:
        """Bring every deleted sequence back under its own id, with a new change time."""
        rows = np.flatnonzero(self.deleted).tolist()
        for row in rows:
            self.deleted[row] = False
            self._stamp(row, time.time_ns() // 1000)
        return [self.rendered.ids[row] for row in rows]

    def undo(self) -> list[str]:
        """Take every edit back, with a new change time; returns the sequences."""
        rows = sorted(self._edited)
        for row in rows:
            del self._edited[row]
            self._stamp(row, time.time_ns() // 1000)
        return [self.rendered.ids[row] for row in rows]

    def _pick(self, sequences: int) -> list[int]:
        rows = np.flatnonzero(~self.deleted)
        chosen = np.linspace(0, len(rows) - 1, min(sequences, len(rows))).astype(np.int64)
        return [int(row) for row in np.unique(rows[chosen])]

    def _pick_about(self, sequences: int, length: int) -> list[int]:
        rows = np.flatnonzero(~self.deleted)
        nearest = np.argsort(np.abs(self.rendered.counts[rows] - length), kind="stable")[:sequences]
        return [int(row) for row in rows[nearest]]

    def _render(self, row: int, revision: Revision) -> None:
        edited = _Edited(revision)
        plan = self.dataset.plan(int(self.rendered.numbers[row]))
        edited.ranks = [rank for rank in range(1, plan.count + 1) if rank not in revision.hidden]
        for item in render_items(pictures_of(plan), self.base, revision):
            edited.bodies.append(item.body)
            edited.cuts.append((item.cut_from, item.cut_to))
        self._edited[row] = edited

    def _stamp(self, row: int, moment_us: int) -> None:
        """`updated` is the last key of a collection's JSON: only the end of it is written anew."""
        self.updated_us[row] = moment_us
        kept = self._documents[row].rpartition(b'"updated":')[0]
        self._documents[row] = kept + f'"updated":"{iso_text(moment_us)}"}}'.encode()


def _compare(column: npt.NDArray[np.int64], sign: str, value: int) -> npt.NDArray[np.bool_]:
    operations = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "=": np.equal}
    held: npt.NDArray[np.bool_] = operations[sign](column, value)
    return held

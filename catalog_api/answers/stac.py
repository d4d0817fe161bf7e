"""STAC documents as bytes: the origin's text with this catalog's links. No JSON is parsed here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import orjson

from catalog_api.index.registry import Instance, Registry
from federation.database import Row
from federation.payload import Known, restore

#: A writer keeps the shared links of so many sequences, a kilobyte each.
_SEQUENCES_KEPT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A picture another one links to."""

    id: str
    sequence: str
    longitude: float
    latitude: float
    captured: datetime


@dataclass(frozen=True)
class Writer:
    """Writes documents for one base address ("https://host/api")."""

    base: str
    title: str
    registry: Registry
    _sequences: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)

    @cached_property
    def root(self) -> bytes:
        """Links to the catalog itself, of every document."""
        return orjson.dumps({"rel": "root", "type": "application/json", "title": self.title, "href": f"{self.base}/"})

    @cached_property
    def _collections(self) -> bytes:
        return f'"{self.base}/collections/'.encode()

    def item(self, row: Row, sequence: str, *, more: Iterable[bytes] = ()) -> bytes:
        """One picture; `more` are links only a single answer has."""
        identifier = str(row["id"]).encode()
        document, kept = self.registry.picture_text(row, sequence)
        items, links = self._of_sequence(sequence)
        # one copy of the text, which is long: a page has a thousand of them
        parts = [document[:-2], b'},"links":[', links, identifier, b'"}']
        if row["is_360"] and row["azimuth"] is None:
            parts.insert(1, _derived(row, document))
        if row["prev_id"] is not None:
            parts.append(_picture_link(b"prev", items, row["prev_id"], row["prev_at"]))
        if row["next_id"] is not None:
            parts.append(_picture_link(b"next", items, row["next_id"], row["next_at"]))
        parts += (b",", self.registry.instances[row["instance"]].via)
        if kept:
            parts += (b",", kept)
        for link in more:
            parts += (b",", link)
        parts.append(b"]}")
        return b"".join(parts)

    def _of_sequence(self, sequence: str) -> tuple[bytes, bytes]:
        """The address of a sequence's items, and the links its items share, up to their own id."""
        known = self._sequences.get(sequence)
        if known is None:
            if len(self._sequences) >= _SEQUENCES_KEPT:
                self._sequences.clear()
            here = self._collections + sequence.encode()
            known = self._sequences[sequence] = here + b"/items/", _shared_links(self.root, here)
        return known

    def related(self, neighbour: Neighbour) -> bytes:
        """The link to a picture of another sequence at the same place."""
        return (
            b'{"rel":"related","type":"application/geo+json","href":%b%b/items/%b","id":"%b","geometry":%b,"datetime":"%b"}'
            % (
                self._collections,
                neighbour.sequence.encode(),
                neighbour.id.encode(),
                neighbour.id.encode(),
                _point((neighbour.longitude, neighbour.latitude)),
                neighbour.captured.isoformat().encode(),
            )
        )

    def collection(self, row: Row) -> bytes:
        """One sequence, with extent and count as this catalog knows them."""
        identifier = str(row["id"])
        text = self.registry.unpacker.unpack(row["dictionary"], row["payload"])
        document, kept = restore(text, Known(identifier))
        here = f"{self.base}/collections/{identifier}"
        computed = {
            "extent": _extent(row["bbox"], row["datetime_min"], row["datetime_max"]),
            "stats:items": {"count": row["pictures"]},
            "panofed:indexed": row["indexed"],
        }
        links = [
            self.root,
            orjson.dumps({"rel": "parent", "type": "application/json", "title": self.title, "href": f"{self.base}/"}),
            orjson.dumps({"rel": "self", "type": "application/json", "href": here}),
            orjson.dumps({"rel": "items", "type": "application/geo+json", "href": f"{here}/items"}),
            self.registry.instances[row["instance"]].via,
        ]
        if kept:
            links.append(kept)
        return b'%b,%b,"links":[%b]}' % (document[:-1], orjson.dumps(computed)[1:-1], b",".join(links))

    def feature_collection(self, features: list[bytes], links: list[dict[str, object]]) -> bytes:
        """A page of pictures."""
        return b'{"type":"FeatureCollection","features":[%b],"links":[%b],"numberReturned":%d}' % (
            b",".join(features),
            b",".join([self.root, *(orjson.dumps(link) for link in links)]),
            len(features),
        )


def alternate(instance: Instance, sequence: str, identifier: str) -> bytes:
    """The link to another instance's copy of the same picture."""
    href = f"{instance.api}/collections/{sequence}/items/{identifier}"
    link = {"rel": "alternate", "type": "application/geo+json", "href": href, "instance_name": instance.name}
    return orjson.dumps(link)


def _shared_links(root: bytes, sequence: bytes) -> bytes:
    return (
        b'%b,{"rel":"parent","type":"application/json","href":%b"},'
        b'{"rel":"collection","type":"application/json","href":%b"},'
        b'{"rel":"self","type":"application/geo+json","href":%b/items/' % (root, sequence, sequence, sequence)
    )


def _picture_link(rel: bytes, items: bytes, identifier: object, at: tuple[float, float]) -> bytes:
    name = str(identifier).encode()
    return b',{"rel":"%b","type":"application/geo+json","href":%b%b","id":"%b","geometry":%b}' % (
        rel,
        items,
        name,
        name,
        _point(at),
    )


def _point(at: tuple[float, float]) -> bytes:
    # drivers have tuples of their own, which the writer does not know
    return b'{"type":"Point","coordinates":' + orjson.dumps((at[0], at[1])) + b"}"


def _derived(row: Row, document: bytes) -> bytes:
    """For a 360 picture without azimuth: where it looks is where its sequence goes."""
    here = (row["longitude"], row["latitude"])
    if row["next_at"] is not None:
        azimuth = bearing_deg(here, row["next_at"])
    elif row["prev_at"] is not None:
        azimuth = bearing_deg(row["prev_at"], here)
    else:
        return b""
    # the origin may say null, or something that is no number: then its word stays
    if b'"view:azimuth"' in document:
        return b""
    return b',"view:azimuth":%d,"panofed:derived":["view:azimuth"]' % azimuth


def bearing_deg(start: tuple[float, float], end: tuple[float, float]) -> int:
    """Whole degrees from north, of the way from one (longitude, latitude) to the other.

    >>> bearing_deg((2.0, 48.0), (2.0, 49.0)), bearing_deg((0.0, 0.0), (1.0, 0.0)), bearing_deg((179.9, 0), (-179.9, 0))
    (0, 90, 90)
    """
    (x1, y1), (x2, y2) = ((math.radians(x), math.radians(y)) for x, y in (start, end))
    east = math.sin(x2 - x1) * math.cos(y2)
    north = math.cos(y1) * math.sin(y2) - math.sin(y1) * math.cos(y2) * math.cos(x2 - x1)
    return round(math.degrees(math.atan2(east, north))) % 360


def _extent(bbox: list[float] | None, first: datetime | None, last: datetime | None) -> dict[str, object]:
    return {
        "spatial": {"bbox": [bbox or [-180.0, -90.0, 180.0, 90.0]]},
        "temporal": {"interval": [[first, last]]},
    }

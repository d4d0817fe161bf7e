"""A small STAC instance in the test's own loop: sequences and pictures in memory, served as by GeoVisio.

    async with Origin() as origin:
        street = origin.add_sequence(pictures=25)
        ... harvest origin.url ...
        origin.hide_picture(street.pictures[3])

What it imitates of GeoVisio 2.15: tombstones (`{"id", "geovisio:status": "deleted"}`) of hidden and deleted sequences,
filters on `updated` and `id`, items paged by rank with hidden ones counted in `next`, 404 past the highest rank.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]
#: Called before every answer; what it returns is the answer.
Hook = Callable[[web.Request], Awaitable[web.Response | None]]

_CLAUSE = re.compile(r"(\w+) (<=|>) '([^']*)'")
_IDS = re.compile(r"id IN \(([^)]*)\)")
_STATUS = "status IN ('deleted','ready') AND "
_FEATURES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"


@dataclass(slots=True, kw_only=True)
class OriginPicture:
    id: str
    longitude: float
    latitude: float
    captured: datetime
    hidden: bool = False
    deleted: bool = False
    #: uploaded, and not visible yet
    preparing: bool = False
    properties: Json = field(default_factory=dict)
    #: top-level keys of the item that replace those made here
    item: Json = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class OriginSequence:
    id: str
    title: str
    updated: datetime | None
    pictures: list[OriginPicture]
    gone: bool = False
    #: keys of the collection that replace those made here
    collection: Json = field(default_factory=dict)


class Origin:
    """One instance. `version`: "2.15", "2.10" (ignores show_deleted), "2.8" (no filter on id), "refuses" (400 for
    show_deleted) or "plain" (STAC only)."""

    def __init__(self, *, version: str = "2.15", seed: int = 1) -> None:
        self.version = version
        self.sequences: dict[str, OriginSequence] = {}
        self.requests: list[str] = []
        #: answers instead of ours: by the path below /api
        self.faults: dict[str, Callable[[], web.Response]] = {}
        self.hook: Hook | None = None
        self.without_date = False
        self.random = random.Random(seed)
        self._seconds = itertools.count()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    # verbs

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def new_picture(self, longitude: float, latitude: float, **more: Any) -> OriginPicture:
        captured = datetime(2024, 5, 2, 9, 0, tzinfo=UTC) + timedelta(minutes=next(self._seconds))
        values = {"id": self.new_id(), "captured": captured, **more}
        return OriginPicture(longitude=longitude, latitude=latitude, **values)

    def add_sequence(
        self, pictures: int = 3, *, at: tuple[float, float] = (2.35, 48.85), step: float = 0.0003, **more: Any
    ) -> OriginSequence:
        """A straight street to the east, 22 m between pictures at Paris."""
        made = [
            self.new_picture(
                (at[0] + step * n + 180) % 360 - 180, at[1], properties={"field_of_view": n % 2 * 290 + 70}
            )
            for n in range(pictures)
        ]
        values = {"id": self.new_id(), "title": f"walk {len(self.sequences)}", "pictures": made, **more}
        sequence = OriginSequence(updated=_now(), **values)
        self.sequences[sequence.id] = sequence
        return sequence

    def of(self, picture: OriginPicture) -> OriginSequence:
        return next(each for each in self.sequences.values() if any(p is picture for p in each.pictures))

    def touch(self, *sequences: OriginSequence) -> None:
        for sequence in sequences:
            sequence.updated = _now()

    def edit(self, picture: OriginPicture, **properties: Any) -> None:
        picture.properties |= properties
        self.touch(self.of(picture))

    def add_picture(self, sequence: OriginSequence, longitude: float, latitude: float) -> OriginPicture:
        picture = self.new_picture(longitude, latitude)
        sequence.pictures.append(picture)
        self.touch(sequence)
        return picture

    def hide_picture(self, picture: OriginPicture, *, hidden: bool = True) -> None:
        picture.hidden = hidden
        self.touch(self.of(picture))

    def delete_picture(self, picture: OriginPicture) -> None:
        picture.deleted = True
        self.touch(self.of(picture))

    def move(self, picture: OriginPicture, to: OriginSequence) -> None:
        source = self.of(picture)
        source.pictures.remove(picture)
        to.pictures.append(picture)
        self.touch(source, to)

    def hide_sequence(self, sequence: OriginSequence, *, hidden: bool = True) -> None:
        sequence.gone = hidden
        self.touch(sequence)

    def visible(self) -> dict[str, tuple[str, Json]]:
        """What an anonymous visitor may see: picture id to (sequence id, its item)."""
        return {
            picture.id: (sequence.id, self.item(picture, sequence, rank))
            for sequence in self.sequences.values()
            if not sequence.gone
            for rank, picture in enumerate(sequence.pictures, 1)
            if not (picture.hidden or picture.deleted or picture.preparing)
        }

    # answers

    def item(self, picture: OriginPicture, sequence: OriginSequence, rank: int) -> Json:
        more = dict(picture.properties)
        camera = {"camera_manufacturer": "GoPro", "camera_model": "Max", "field_of_view": more.pop("field_of_view", 70)}
        stamp = picture.captured.isoformat()
        properties: Json = {
            "datetime": stamp,
            "created": "2026-11-20T17:38:54.816547+00:00",
            "updated": "2026-11-20T17:39:54.816547+00:00",
            "license": "etalab-2.0",
            "geovisio:status": "ready",
            "geovisio:visibility": "anyone",
            "geovisio:rank_in_collection": rank,
            "original_file:size": 19615,
            "view:azimuth": 90,
            "pers:interior_orientation": camera,
            "exif": {"Exif.Image.Make": "GoPro", "Exif.Photo.MakerNote": "48 50 51 255 0 1 2 3 4", "n": str(rank)},
            "semantics": [],
            "annotations": [],
        }
        path = f"{picture.id[:2]}/{picture.id[2:4]}/{picture.id[4:6]}/{picture.id[6:8]}/{picture.id[9:]}.jpg"
        own: Json = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": picture.id,
            "collection": sequence.id,
            "geometry": {"type": "Point", "coordinates": [picture.longitude, picture.latitude]},
            "bbox": [picture.longitude, picture.latitude, picture.longitude, picture.latitude],
            "providers": [{"name": "alice", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}],
            "assets": {"hd": {"href": f"{self.url}/permanent/{path}", "type": "image/jpeg", "roles": ["data"]}},
            "links": [
                {"rel": "self", "href": f"{self.url}/collections/{sequence.id}/items/{picture.id}"},
                {"rel": "license", "href": "https://example.org/license", "title": "Licence"},
            ],
            "properties": properties | more,
        }
        return own | picture.item

    def collection(self, sequence: OriginSequence) -> Json:
        own: Json = {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": sequence.id,
            "title": sequence.title,
            "description": "A sequence of geolocated pictures",
            "license": "etalab-2.0",
            "created": "2026-11-20T17:38:54+00:00",
            "updated": None if sequence.updated is None else sequence.updated.isoformat(),
            "providers": [{"name": "alice", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}],
            "extent": {"spatial": {"bbox": [[0, 0, 0, 0]]}, "temporal": {"interval": [[None, None]]}},
            "stats:items": {"count": len(sequence.pictures)},
            "links": [],
        }
        return own | sequence.collection

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs.removeprefix("/api"))
        answer = await self.hook(request) if self.hook else None
        fault = self.faults.get(request.path.removeprefix("/api"))
        answer = answer or (fault() if fault else self._route(request))
        if self.without_date:
            answer.headers["Date"] = "unknown"
        return answer

    def _route(self, request: web.Request) -> web.Response:
        parts = [part for part in request.path.removeprefix("/api").split("/") if part]
        if not parts:
            version = "2.15.1" if self.version == "refuses" else f"{self.version}.0"
            more = {} if self.version == "plain" else {"geovisio_version": version}
            return answer({"stac_version": "1.0.0", "conformsTo": [_FEATURES]} | more)
        if parts == ["configuration"] and self.version != "plain":
            return answer({"name": {"en": "here"}})
        if parts == ["collections"]:
            return self._listing(request)
        sequence = self.sequences.get(parts[1]) if parts[0] == "collections" and len(parts) > 1 else None
        if sequence is None or sequence.gone:
            return answer({"message": "not there"}, 404)
        if len(parts) == 2:
            return answer(self.collection(sequence))
        if parts[2] == "geovisio_status":
            return self._status(sequence)
        return self._items(request, sequence)

    def _listing(self, request: web.Request) -> web.Response:
        query = request.query
        limit = int(query.get("limit", "100"))
        if self.version == "plain":
            return self._plain_listing(limit, int(query.get("page", "0")))
        text = query.get("filter", "")
        if self.version == "refuses" and "show_deleted" in query:
            return answer({"message": "unknown"}, 400)
        if self.version == "2.8" and ("id " in text or "show_deleted" in query):
            return answer({"message": "id"}, 400)
        if "status" in text and not text.startswith(_STATUS):
            return answer({"message": "status"}, 400)
        tombstones = text.startswith(_STATUS) or (query.get("show_deleted") == "true" and self.version != "2.10")
        found = [each for each in self.sequences.values() if _matches(each, text) and (tombstones or not each.gone)]
        found.sort(key=lambda each: each.id)
        links = []
        page = int(query.get("page", "0"))
        if self.version == "2.8":
            found = found[page * limit :]
            if len(found) > limit:
                href = str(request.url.update_query(page=page + 1))
                links.append({"rel": "next", "href": href})
        gone = {"geovisio:status": "deleted"}
        return answer(
            {
                "collections": [
                    {"id": each.id} | gone if each.gone else self.collection(each) for each in found[:limit]
                ],
                "links": links,
            }
        )

    def _plain_listing(self, limit: int, page: int) -> web.Response:
        found = [each for each in self.sequences.values() if not each.gone]
        links = []
        if len(found) > (page + 1) * limit:
            links.append({"rel": "next", "href": f"{self.url}/collections?limit={limit}&page={page + 1}"})
        some = found[page * limit : (page + 1) * limit]
        return answer({"collections": [self.collection(each) for each in some], "links": links})

    def _items(self, request: web.Request, sequence: OriginSequence) -> web.Response:
        limit = int(request.query.get("limit", "10000"))
        after = int(request.query.get("startAfterRank", "0"))
        if after and after >= len(sequence.pictures):
            return answer({"message": "no such rank"}, 404)
        there = [(rank, p) for rank, p in enumerate(sequence.pictures, 1) if not (p.deleted or p.preparing)]
        ranked = [(rank, p) for rank, p in there if rank > after]
        shown = [(rank, p) for rank, p in ranked if not p.hidden][:limit]
        last = shown[-1][0] if shown else after + limit
        links = []
        if last < len(sequence.pictures) and "limit" in request.query:
            href = f"{self.url}/collections/{sequence.id}/items?limit={limit}&startAfterRank={last}"
            links.append({"rel": "next", "href": href})
        features = [self.item(picture, sequence, rank) for rank, picture in shown]
        return answer({"type": "FeatureCollection", "features": features, "links": links})

    def _status(self, sequence: OriginSequence) -> web.Response:
        """Of the pictures that everybody may see, as GeoVisio says it."""
        if self.version == "plain":
            return answer({"message": "no such route"}, 404)
        shown = [each for each in sequence.pictures if not (each.hidden or each.deleted)]
        items = [{"id": each.id, "status": "preparing" if each.preparing else "ready"} for each in shown]
        return answer({"status": "ready", "items": items})


def _now() -> datetime:
    return datetime.now(UTC)


def _matches(sequence: OriginSequence, text: str) -> bool:
    ids = _IDS.search(text)
    if ids and f"'{sequence.id}'" not in ids[1]:
        return False
    for name, operator, value in _CLAUSE.findall(text):
        if name == "id":
            if not (sequence.id > value if operator == ">" else sequence.id <= value):
                return False
        elif sequence.updated is None:
            return False
        else:
            bound = datetime.fromisoformat(value)
            if not (sequence.updated > bound if operator == ">" else sequence.updated <= bound):
                return False
    return True


def answer(body: object, status: int = 200) -> web.Response:
    """JSON as careless servers write it: NaN is let through."""
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


def html(status: int = 200) -> Callable[[], web.Response]:
    return lambda: web.Response(text="<!doctype html><p>Busy</p>", status=status, content_type="text/html")


def refusal(status: int) -> Callable[[], web.Response]:
    return lambda: answer({"message": "no"}, status)


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Wait until it is so."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await check():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true"
        await asyncio.sleep(0.02)

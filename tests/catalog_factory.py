"""Fills an index with sequences and pictures made here, through the same records and payloads the harvester uses."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import orjson

from federation.cells import cell_box, lattice_of, parent
from federation.database import point_ewkb
from federation.leaves import load_leaves
from federation.payload import Packer
from federation.queries import query
from federation.record import Picture
from federation.record import Sequence as SequenceRecord

START = datetime(2024, 5, 2, 9, 0, tzinfo=UTC)


#: Serves the API with settings of the test's choice.
Serving = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What one picture is to be; everything else of its item is made up."""

    longitude: float
    latitude: float
    captured: datetime = START
    azimuth: int | None = 90
    field_of_view: int | None = 70
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    rank: int = 0
    served: bool = True
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A sequence as it was put into the index, with the JSON its origin would have sent."""

    id: str
    n: int
    collection: dict[str, Any]
    items: dict[str, dict[str, Any]]


def make_item(shot: Shot, sequence: str, host: str) -> dict[str, Any]:
    """A GeoVisio item, as its origin answers it."""
    base = f"{host}/api"
    picture = f"{base}/pictures/{shot.id}"
    camera: dict[str, Any] = {"camera_manufacturer": "GoPro", "camera_model": "Max", "focal_length": 3.0}
    if shot.field_of_view is not None:
        camera["field_of_view"] = shot.field_of_view
    properties: dict[str, Any] = {
        "datetime": shot.captured.isoformat(),
        "datetimetz": shot.captured.isoformat(),
        "created": "2026-11-20T17:38:54.816547+00:00",
        "updated": "2026-11-20T17:39:54.816547+00:00",
        "license": "etalab-2.0",
        "geovisio:status": "ready",
        "geovisio:visibility": "anyone",
        "geovisio:producer": "alice",
        "geovisio:rank_in_collection": shot.rank,
        "geovisio:image": f"{picture}/hd.jpg",
        "geovisio:thumbnail": f"{picture}/thumb.jpg",
        "original_file:size": 19615,
        "original_file:name": f"{shot.rank}.jpg",
        "pers:interior_orientation": camera,
        "exif": {"Exif.Image.Make": "GoPro", "Exif.Photo.ISOSpeedRatings": str(100 + shot.rank)},
        "semantics": [{"key": "camera_support", "value": "car"}],
        "annotations": [],
    } | shot.properties
    if shot.azimuth is not None:
        properties["view:azimuth"] = shot.azimuth
    assets = {
        name: {"href": f"{picture}/{name}.jpg", "type": "image/jpeg", "roles": [role], "title": name}
        for name, role in (("hd", "data"), ("sd", "visual"), ("thumb", "thumbnail"))
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/view/v1.0.0/schema.json"],
        "id": shot.id,
        "collection": sequence,
        "geometry": {"type": "Point", "coordinates": [shot.longitude, shot.latitude]},
        "bbox": [shot.longitude, shot.latitude, shot.longitude, shot.latitude],
        "providers": [{"name": "alice", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}],
        "assets": assets,
        "links": [
            {"rel": "self", "type": "application/geo+json", "href": f"{base}/collections/{sequence}/items/{shot.id}"},
            {"rel": "license", "href": "https://example.org/license", "title": "License (etalab-2.0)"},
        ],
        "properties": properties,
    }


def make_collection(sequence: str, title: str, pictures: int, host: str) -> dict[str, Any]:
    """A GeoVisio collection, as its origin answers it."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/stats/v0.2.0/schema.json"],
        "id": sequence,
        "title": title,
        "description": "A sequence of geolocated pictures",
        "keywords": ["pictures", title],
        "semantics": [],
        "license": "etalab-2.0",
        "created": "2026-11-20T17:38:54+00:00",
        "updated": "2026-11-20T17:39:54+00:00",
        "providers": [{"name": "alice", "roles": ["producer"], "id": "541c79f4-6e49-4834-a1b2-60044320abfd"}],
        "extent": {"spatial": {"bbox": [[0, 0, 0, 0]]}, "temporal": {"interval": [[None, None]]}},
        "stats:items": {"count": pictures + 7},
        "summaries": {"pers:interior_orientation": [{"make": "GoPro"}]},
        "links": [
            {"rel": "self", "type": "application/json", "href": f"{host}/api/collections/{sequence}"},
            {"rel": "license", "href": "https://example.org/license", "title": "License (etalab-2.0)"},
        ],
    }


_PICTURE_COLUMNS = (
    "cell h3 datetime created updated indexed hash sequence rank account original_bytes field_of_view accuracy_m "
    "pixel_density instance license azimuth dictionary is_360 served id prev_id next_id prev_at next_at geom payload"
).split()


@dataclass(slots=True, kw_only=True)
class Factory:
    """Writes to one index; the connection must be allowed to."""

    connection: asyncpg.Connection
    leaf_resolution: int = 0
    packer: Packer = field(default_factory=lambda: Packer.make(3))
    _instances: dict[str, int] = field(default_factory=dict)
    _seconds: itertools.count[int] = field(default_factory=itertools.count)

    async def instance(self, name: str = "north", *, hosts: Sequence[str] = ()) -> int:
        """The instance of that name, registered when it is new."""
        if name not in self._instances:
            self._instances[name] = await self.connection.fetchval(
                "INSERT INTO instances (id, name, url, state, asset_hosts) VALUES ($1, $1, $2, 'enabled', $3)"
                " RETURNING n",
                name,
                f"{host_of(name)}/api",
                list(hosts),
            )
        return self._instances[name]

    async def sequence(
        self,
        shots: Iterable[Shot],
        *,
        instance: str = "north",
        id: str = "",
        title: str = "a walk",
        served: bool = True,
    ) -> Stored:
        """Put one sequence and its pictures in; ranks follow the order where a shot names none."""
        n_instance = await self.instance(instance)
        identifier = id or str(uuid.uuid4())
        ranked = [_with_rank(shot, number) for number, shot in enumerate(shots, 1)]
        host = host_of(instance)
        collection = make_collection(identifier, title, len(ranked), host)
        record = SequenceRecord.from_stac(orjson.dumps(collection), instance=instance)
        n = await self.connection.fetchval(
            "INSERT INTO sequences"
            " (id, instance, state, served, title, license, created, updated, indexed, hash, payload)"
            " VALUES ($1, $2, 'merged', $3, $4, $5, $6, $7, $8, $9, $10) RETURNING n",
            identifier,
            n_instance,
            served,
            record.title,
            record.license,
            record.created,
            record.updated,
            START + timedelta(days=365, seconds=next(self._seconds)),
            record.hash,
            self.packer.pack([record.text])[0],
        )
        items = {shot.id: make_item(shot, identifier, host) for shot in ranked}
        cells = await self._write_pictures(n, n_instance, identifier, instance, ranked, items)
        await self._describe(n, [shot for shot in ranked if shot.served], cells)
        return Stored(id=identifier, n=n, collection=collection, items=items)

    async def _write_pictures(
        self,
        n: int,
        n_instance: int,
        sequence: str,
        instance: str,
        shots: Sequence[Shot],
        items: dict[str, dict[str, Any]],
    ) -> list[int]:
        records = [
            Picture.from_stac(orjson.dumps(items[shot.id]), instance=instance, collection=sequence) for shot in shots
        ]
        leaves = await self._leaves_for(records)
        shown = [shot for shot in shots if shot.served]
        before = dict(zip((s.id for s in shown[1:]), shown[:-1], strict=True))
        after = dict(zip((s.id for s in shown[:-1]), shown[1:], strict=True))
        rows = [
            self._row(shot, record, leaf, n, n_instance, before.get(shot.id), after.get(shot.id))
            for shot, record, leaf in zip(shots, records, leaves, strict=True)
        ]
        await self.connection.copy_records_to_table("pictures", records=rows, columns=_PICTURE_COLUMNS)
        await self.connection.copy_records_to_table(
            "locator",
            records=[
                (leaf, shot.id, n, shot.rank, n_instance, 0 if shot.served else n_instance)
                for shot, leaf in zip(shots, leaves, strict=True)
            ],
            columns=["cell", "id", "sequence", "rank", "instance", "copy"],
        )
        await self.connection.copy_records_to_table(
            "leaf_deltas",
            records=[
                (leaf, 1, shot.captured, shot.captured, START)
                for shot, leaf in zip(shots, leaves, strict=True)
                if shot.served
            ],
            columns=["cell", "pictures", "datetime_min", "datetime_max", "indexed_max"],
        )
        await self.connection.copy_records_to_table(
            "count_deltas",
            records=[
                (lattice_of(shot.longitude, shot.latitude), n_instance, 1, int(shot.field_of_view == 360))
                for shot in shown
            ],
            columns=["cell", "instance", "pictures", "pictures_360"],
        )
        return sorted(set(leaves))

    def _row(
        self,
        shot: Shot,
        record: Picture,
        leaf: int,
        n: int,
        n_instance: int,
        before: Shot | None,
        after: Shot | None,
    ) -> tuple[object, ...]:
        return (
            leaf,
            record.h3,
            record.captured,
            record.created,
            record.updated,
            START,
            record.hash,
            n,
            shot.rank,
            None,
            record.original_bytes,
            record.field_of_view,
            record.accuracy_m,
            record.pixel_density,
            n_instance,
            None,
            record.azimuth,
            self.packer.dictionary,
            record.is_360,
            shot.served,
            record.id,
            before and before.id,
            after and after.id,
            before and (before.longitude, before.latitude),
            after and (after.longitude, after.latitude),
            point_ewkb(record.longitude, record.latitude),
            self.packer.pack([record.text])[0],
        )

    async def _leaves_for(self, records: Sequence[Picture]) -> list[int]:
        known = await load_leaves(self.connection)
        for missing in {parent(r.h3, self.leaf_resolution) for r in records if known.leaf_of(r.h3) is None}:
            box = cell_box(missing)
            await self.connection.execute(query("create_leaf"), missing, box.west, box.south, box.east, box.north)
        known = await load_leaves(self.connection)
        found = [known.leaf_of(record.h3) for record in records]
        return [leaf for leaf in found if leaf is not None]

    async def _describe(self, n: int, shots: Sequence[Shot], cells: Sequence[int]) -> None:
        if not shots:
            return
        longitudes = sorted(shot.longitude for shot in shots)
        south, north = min(s.latitude for s in shots), max(s.latitude for s in shots)
        west, east = longitudes[0], longitudes[-1]
        if east - west > 180:
            west = min(longitude for longitude in longitudes if longitude > 0)
            east = max(longitude for longitude in longitudes if longitude <= 0)
        boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        await self.connection.execute(
            """UPDATE sequences SET pictures = $2, bbox = $3, cells = $4, datetime_min = $5, datetime_max = $6,
               extent = (SELECT ST_Collect(ST_MakeEnvelope(w, $8, e, $9, 4326))
                         FROM unnest($7::float8[], $10::float8[]) AS b (w, e)), pictures_360 = $11 WHERE n = $1""",
            n,
            len(shots),
            [west, south, east, north],
            list(cells),
            min(shot.captured for shot in shots),
            max(shot.captured for shot in shots),
            [box[0] for box in boxes],
            south,
            north,
            [box[1] for box in boxes],
            sum(shot.field_of_view == 360 for shot in shots),
        )


def host_of(instance: str) -> str:
    """The address of an instance made here; nobody ever connects to it."""
    return f"http://{instance}.example"


def line(
    longitude: float, latitude: float, count: int, *, step_deg: float = 0.0001, start: datetime = START, **rest: Any
) -> list[Shot]:
    """A street: `count` shots going east, one a second."""
    return [
        Shot(
            longitude=longitude + number * step_deg,
            latitude=latitude,
            captured=start + timedelta(seconds=number),
            **rest,
        )
        for number in range(count)
    ]


def _with_rank(shot: Shot, rank: int) -> Shot:
    if shot.rank:
        return shot
    return Shot(**{name: getattr(shot, name) for name in Shot.__slots__} | {"rank": rank})

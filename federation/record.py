"""Sequences and pictures as the index keeps them, read and validated from STAC collections and items."""

from __future__ import annotations

import math
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson

from federation.cells import cell_of
from federation.errors import RecordRefused
from federation.hrefs import absolute_assets, absolute_links, is_relative
from federation.payload import Known, content_hash, join_object, kept_links, shrink, split_object, with_members
from federation.values import Loose, clean_text, in_range, parse_time, real_number, whole_azimuth
from federation.visibility import check_item_public, check_public

#: Keys every item has here, with what they are when the origin left them out (docs/api.md, "Keys added when absent").
ADDED_WHEN_ABSENT: dict[str, bytes] = {
    "exif": b"{}",
    "semantics": b"[]",
    "annotations": b"[]",
    "pers:interior_orientation": b"{}",
}
_INT_MAX = 2**31 - 1
#: Characters of a name that goes into an index, whose rows PostgreSQL limits to 2,700 bytes
_NAME_MAX = 300
_NAMESPACE = uuid.UUID("6f1c1f0e-52f0-5a53-9c0b-6d6a2d4e3b11")


class _Point(msgspec.Struct):
    type: str
    coordinates: list[float]


class _Kind(msgspec.Struct):
    type: str = ""


class _Provider(msgspec.Struct):
    name: str = ""
    id: str | None = None
    roles: list[str] = []


class _Camera(msgspec.Struct):
    camera_manufacturer: str | None = None
    camera_model: str | None = None
    field_of_view: Loose = None


class _Tag(msgspec.Struct):
    key: str = ""
    value: str = ""


class _Tagged(msgspec.Struct):
    semantics: list[_Tag] = []


class _Properties(msgspec.Struct):
    datetime: str | None = None
    start_datetime: str | None = None
    created: str | None = None
    updated: str | None = None
    license: str | None = None
    azimuth: Loose = msgspec.field(name="view:azimuth", default=None)
    camera: _Camera | None = msgspec.field(name="pers:interior_orientation", default=None)
    rank: int | None = msgspec.field(name="geovisio:rank_in_collection", default=None)
    original_bytes: int | None = msgspec.field(name="original_file:size", default=None)
    accuracy_m: Loose = msgspec.field(name="quality:horizontal_accuracy", default=None)
    pixel_density: Loose = msgspec.field(name="panoramax:horizontal_pixel_density", default=None)
    semantics: list[_Tag] | None = None
    annotations: list[_Tagged] | None = None
    collection: _Tagged | None = None


_point = msgspec.json.Decoder(_Point)
_kind = msgspec.json.Decoder(_Kind)
_properties = msgspec.json.Decoder(_Properties)
_providers = msgspec.json.Decoder(list[_Provider])
_text = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A contributor of one instance."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture as its origin shows it to an anonymous visitor. Degrees, metres, bytes; times with their zone."""

    id: str
    origin_id: str
    rank: int | None
    longitude: float
    latitude: float
    h3: int
    captured: datetime
    created: datetime | None
    updated: datetime | None
    azimuth: int | None
    field_of_view: float | None
    is_360: bool
    accuracy_m: float | None
    pixel_density: float | None
    original_bytes: int | None
    camera: tuple[str, str] | None
    account: Account | None
    license: str
    semantics: str | None
    hash: int
    #: what is compressed, see payload.shrink
    text: bytes

    @staticmethod
    def from_stac(raw: bytes | msgspec.Raw, *, instance: str, collection: str, url: str = "") -> Picture:
        """Read one item of `collection`; RecordRefused names the field that is wrong, RecordNotPublic its visibility.

        `instance` is the stable id, for ids that are no UUID (other STAC servers): those become UUIDv5 of both, and the
        origin's stay as properties `panofed:origin_id` and `panofed:origin_collection`. `url` is the address of the
        page it is from, which relative addresses begin at.
        """
        check_item_public(raw)
        members = split_object(raw)
        properties = _decode(_properties, members, "properties")
        origin_id: str = _decode(_text, members, "id")
        longitude, latitude = _position(members)
        identifier = picture_uuid(origin_id, instance, collection)
        members |= _absolute(members, url)
        document = {key: value for key, value in members.items() if key != "links"}
        document["properties"] = msgspec.Raw(_completed(members["properties"]))
        _rename_item(document, (origin_id, identifier), (collection, sequence_uuid(collection, instance)))
        captured = _required_time(properties.datetime or properties.start_datetime)
        created, updated = (
            _time(properties.created, "properties.created"),
            _time(properties.updated, "properties.updated"),
        )
        known = Known(identifier, sequence_uuid(collection, instance), longitude, latitude, captured, created, updated)
        whole, links = join_object(document, last="properties"), kept_links(members.get("links"))
        camera = properties.camera or _Camera()
        field_of_view = real_number(camera.field_of_view)
        return Picture(
            id=identifier,
            origin_id=origin_id,
            rank=in_range(properties.rank, -_INT_MAX, _INT_MAX),
            longitude=longitude,
            latitude=latitude,
            h3=cell_of(longitude, latitude),
            captured=captured,
            created=created,
            updated=updated,
            azimuth=whole_azimuth(properties.azimuth),
            field_of_view=field_of_view,
            is_360=field_of_view == 360,
            accuracy_m=real_number(properties.accuracy_m),
            pixel_density=real_number(properties.pixel_density),
            original_bytes=in_range(properties.original_bytes, 0, _INT_MAX),
            camera=_camera(camera),
            account=account_of(members.get("providers"), instance),
            license=clean_text(properties.license or "")[:_NAME_MAX],
            semantics=_semantics(properties),
            hash=content_hash(whole, links),
            text=shrink(whole, links, known),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """One sequence as its origin lists it."""

    id: str
    title: str
    license: str
    created: datetime | None
    updated: datetime | None
    account: Account | None
    #: the origin's own count: it counts hidden pictures too
    expected: int
    hash: int
    text: bytes

    @staticmethod
    def from_stac(raw: bytes | msgspec.Raw, *, instance: str) -> Sequence:
        """Read one collection; RecordRefused names the field that is wrong."""
        check_public(raw)
        members = split_object(raw)
        origin_id: str = _decode(_text, members, "id")
        head = _decode_head(raw)
        identifier = sequence_uuid(origin_id, instance)
        document = {key: value for key, value in members.items() if key not in ("links", "extent", "stats:items")}
        if identifier != origin_id:
            document["id"] = msgspec.Raw(orjson.dumps(identifier))
            document["panofed:origin_id"] = msgspec.Raw(orjson.dumps(origin_id))
        whole, links = join_object(document, last="summaries"), kept_links(members.get("links"))
        return Sequence(
            id=identifier,
            title=clean_text(head.title or ""),
            license=clean_text(head.license or ""),
            created=_time(head.created, "created"),
            updated=_time(head.updated, "updated"),
            account=account_of(members.get("providers"), instance),
            expected=head.stats.count if head.stats else 0,
            hash=content_hash(whole, links),
            text=shrink(whole, links, Known(identifier)),
        )


def _rename_item(document: dict[str, msgspec.Raw], item: tuple[str, str], collection: tuple[str, str]) -> None:
    """Ids that are no UUID are replaced in the item, and kept in its properties: (the origin's, ours) of both."""
    kept: list[tuple[str, bytes]] = []
    for key, member, (theirs, ours) in (
        ("panofed:origin_id", "id", item),
        ("panofed:origin_collection", "collection", collection),
    ):
        if theirs != ours:
            document[member] = msgspec.Raw(orjson.dumps(ours))
            kept.append((key, orjson.dumps(theirs)))
    if kept:
        document["properties"] = msgspec.Raw(with_members(bytes(document["properties"]), kept))


def _absolute(members: dict[str, msgspec.Raw], url: str) -> dict[str, msgspec.Raw]:
    """Assets and links that have relative addresses, with absolute ones: relative to its page."""
    found: dict[str, msgspec.Raw] = {}
    for key, make in (("assets", absolute_assets), ("links", absolute_links)):
        if url and key in members and is_relative(members[key]):
            found[key] = make(members[key], url)
    return found


class _Stats(msgspec.Struct):
    count: int = 0


class _Head(msgspec.Struct):
    title: str | None = None
    license: str | None = None
    created: str | None = None
    updated: str | None = None
    stats: _Stats | None = msgspec.field(name="stats:items", default=None)


_head = msgspec.json.Decoder(_Head)


def _decode_head(raw: bytes | msgspec.Raw) -> _Head:
    try:
        return _head.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused("", error) from error


def picture_uuid(origin_id: str, instance: str, collection: str) -> str:
    """The id itself when it is a UUID, else UUIDv5 of (instance, collection, id).

    >>> picture_uuid("FA6FBDC9-2216-4977-A567-5098E4F38ADC", "a", "c")
    'fa6fbdc9-2216-4977-a567-5098e4f38adc'
    """
    return _as_uuid(origin_id) or str(uuid.uuid5(_NAMESPACE, f"{instance}/{collection}/{origin_id}"))


def sequence_uuid(origin_id: str, instance: str) -> str:
    """The id itself when it is a UUID, else UUIDv5 of (instance, id)."""
    return _as_uuid(origin_id) or str(uuid.uuid5(_NAMESPACE, f"{instance}/{origin_id}"))


def _as_uuid(text: str) -> str | None:
    if len(text) != 36 or text[8] + text[13] + text[18] + text[23] != "----":
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def account_of(providers: msgspec.Raw | None, instance: str) -> Account | None:
    """The first producer; without an id of its own it gets UUIDv5 of (instance, name)."""
    if providers is None:
        return None
    try:
        named = _providers.decode(providers)
    except msgspec.DecodeError as error:
        raise _refused("providers", error) from error
    for provider in named:
        if provider.name and (not provider.roles or "producer" in provider.roles):
            identifier = _as_uuid(provider.id or "")
            name = clean_text(provider.name)[:_NAME_MAX]
            return Account(id=identifier or str(uuid.uuid5(_NAMESPACE, f"{instance}//{name}")), name=name)
    return None


def _decode(decoder: msgspec.json.Decoder[Any], members: dict[str, msgspec.Raw], key: str) -> Any:
    if key not in members:
        raise RecordRefused(key, "it is missing")
    try:
        return decoder.decode(members[key])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(key, error) from error


def _refused(key: str, error: Exception) -> RecordRefused:
    problem, _, path = str(error).partition(" - at `$")
    return RecordRefused(key + path.rstrip("`") if key else path.strip(".`") or "record", problem)


def _position(members: dict[str, msgspec.Raw]) -> tuple[float, float]:
    try:
        point: _Point = _decode(_point, members, "geometry")
    except RecordRefused:
        _check_kind(members["geometry"] if "geometry" in members else msgspec.Raw(b"null"))
        raise
    if point.type != "Point":
        raise RecordRefused("geometry.type", f"{point.type[:64]!r} is not Point")
    if len(point.coordinates) < 2:
        raise RecordRefused("geometry.coordinates", f"{point.coordinates} has no longitude and latitude")
    longitude, latitude = point.coordinates[:2]
    if not (math.isfinite(longitude) and -180 <= longitude <= 180):
        raise RecordRefused("geometry.coordinates", f"longitude {longitude} is outside -180..180")
    if not (math.isfinite(latitude) and -90 <= latitude <= 90):
        raise RecordRefused("geometry.coordinates", f"latitude {latitude} is outside -90..90")
    return longitude, latitude


def _check_kind(geometry: msgspec.Raw) -> None:
    """What is no Point has other coordinates too: its type is the better reason."""
    kind = ""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        kind = _kind.decode(geometry).type
    if kind not in ("", "Point"):
        raise RecordRefused("geometry.type", f"{kind[:64]!r} is not Point")


_ABSENT = msgspec.Raw(b"")


class _Presence(msgspec.Struct):
    # msgspec reads `Raw | None` as null only
    exif: msgspec.Raw = _ABSENT
    semantics: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    interior: msgspec.Raw = msgspec.field(name="pers:interior_orientation", default=_ABSENT)


_presence = msgspec.json.Decoder(_Presence)


def _completed(properties: msgspec.Raw) -> bytes:
    """The properties with the keys clients cannot do without, added at the end when the origin left them out."""
    there = _presence.decode(properties)
    present = (there.exif, there.semantics, there.annotations, there.interior)
    missing = [
        (key, default)
        for (key, default), value in zip(ADDED_WHEN_ABSENT.items(), present, strict=True)
        if value is _ABSENT
    ]
    return with_members(bytes(properties), missing)


def _required_time(text: str | None) -> datetime:
    if text is None:
        raise RecordRefused("properties.datetime", "it is missing")
    return parse_time(text, "properties.datetime")


def _time(text: str | None, field: str) -> datetime | None:
    return None if text is None else parse_time(text, field)


def _camera(camera: _Camera) -> tuple[str, str] | None:
    make, model = (clean_text(text or "")[:_NAME_MAX] for text in (camera.camera_manufacturer, camera.camera_model))
    return (make, model) if make or model else None


def _semantics(properties: _Properties) -> str | None:
    """Tags of picture, annotations and sequence as one JSON array: all three are searched alike."""
    tags = list(properties.semantics or ())
    for annotation in properties.annotations or ():
        tags.extend(annotation.semantics)
    if properties.collection is not None:
        tags.extend(properties.collection.semantics)
    if not tags:
        return None
    return orjson.dumps([{"key": clean_text(tag.key), "value": clean_text(tag.value)} for tag in tags]).decode()

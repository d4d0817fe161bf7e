"""Sequences and pictures as the index keeps them, read and validated from STAC collections and items."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from federation.cells import cell_of
from federation.errors import RecordRefused
from federation.payload import Known, content_hash, join_object, kept_links, shrink, split_object, with_members
from federation.visibility import check_item_public, check_public

#: Keys every item has here, with what they are when the origin left them out (docs/api.md, "Keys added when absent").
ADDED_WHEN_ABSENT: dict[str, bytes] = {
    "exif": b"{}",
    "semantics": b"[]",
    "annotations": b"[]",
    "pers:interior_orientation": b"{}",
}
_REAL_MAX = 3.0e38
_INT_MAX = 2**31 - 1
#: Characters of a name that goes into an index, whose rows PostgreSQL limits to 2,700 bytes
_NAME_MAX = 300
_NAMESPACE = uuid.UUID("6f1c1f0e-52f0-5a53-9c0b-6d6a2d4e3b11")

Number = int | float
Loose = Number | str | None


class _Point(msgspec.Struct):
    type: str
    coordinates: list[float]


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
    def from_stac(raw: bytes | msgspec.Raw, *, instance: str, collection: str) -> Picture:
        """Read one item of `collection`; RecordRefused names the field that is wrong, RecordNotPublic its visibility.

        `instance` is the stable id, for ids that are no UUID (other STAC servers): those become UUIDv5 of both and
        the origin's id stays in the payload.
        """
        check_item_public(raw)
        members = split_object(raw)
        properties = _decode(_properties, members, "properties")
        origin_id: str = _decode(_text, members, "id")
        longitude, latitude = _position(members)
        identifier = picture_uuid(origin_id, instance, collection)
        document = {key: value for key, value in members.items() if key != "links"}
        document["properties"] = msgspec.Raw(_completed(members["properties"]))
        captured = _required_time(properties.datetime or properties.start_datetime)
        created, updated = (
            _time(properties.created, "properties.created"),
            _time(properties.updated, "properties.updated"),
        )
        known = Known(identifier, sequence_uuid(collection, instance), longitude, latitude, captured, created, updated)
        whole, links = join_object(document, last="properties"), kept_links(members.get("links"))
        camera = properties.camera or _Camera()
        field_of_view = _number(camera.field_of_view)
        return Picture(
            id=identifier,
            origin_id=origin_id,
            rank=_in_range(properties.rank, -_INT_MAX, _INT_MAX),
            longitude=longitude,
            latitude=latitude,
            h3=cell_of(longitude, latitude),
            captured=captured,
            created=created,
            updated=updated,
            azimuth=_azimuth(properties.azimuth),
            field_of_view=field_of_view,
            is_360=field_of_view == 360,
            accuracy_m=_number(properties.accuracy_m),
            pixel_density=_number(properties.pixel_density),
            original_bytes=_in_range(properties.original_bytes, 0, _INT_MAX),
            camera=_camera(camera),
            account=account_of(members.get("providers"), instance),
            license=_clean(properties.license or "")[:_NAME_MAX],
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
        whole, links = join_object(document, last="summaries"), kept_links(members.get("links"))
        return Sequence(
            id=identifier,
            title=_clean(head.title or ""),
            license=_clean(head.license or ""),
            created=_time(head.created, "created"),
            updated=_time(head.updated, "updated"),
            account=account_of(members.get("providers"), instance),
            expected=head.stats.count if head.stats else 0,
            hash=content_hash(whole, links),
            text=shrink(whole, links, Known(identifier)),
        )


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
            name = _clean(provider.name)[:_NAME_MAX]
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
    point: _Point = _decode(_point, members, "geometry")
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
    return _parse_time(text, "properties.datetime")


def _time(text: str | None, field: str) -> datetime | None:
    return None if text is None else _parse_time(text, field)


def _parse_time(text: str, field: str) -> datetime:
    """ISO 8601 to UTC; without a zone it is UTC.

    >>> _parse_time("2024-05-02T07:10:00+02:00", "datetime")
    datetime.datetime(2024, 5, 2, 5, 10, tzinfo=datetime.timezone.utc)
    """
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RecordRefused(field, f"{text[:64]!r} is not a date and time") from error


def _number(value: Loose) -> float | None:
    """A number that a `real` column can hold; text is read, what is no number is absent.

    >>> _number("360"), _number(1e300), _number("wide")
    (360.0, None, None)
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < _REAL_MAX else None


def _azimuth(value: Loose) -> int | None:
    """Whole degrees, 0 to 359.

    >>> _azimuth(359.7), _azimuth(-90), _azimuth(None)
    (0, 270, None)
    """
    number = _number(value)
    return None if number is None else round(number) % 360


def _in_range(value: int | None, low: int, high: int) -> int | None:
    return value if value is not None and low <= value <= high else None


def _clean(text: str) -> str:
    """PostgreSQL's text cannot hold NUL; the payload keeps what the origin wrote."""
    return text.replace("\x00", "\ufffd")


def _camera(camera: _Camera) -> tuple[str, str] | None:
    make, model = (_clean(text or "")[:_NAME_MAX] for text in (camera.camera_manufacturer, camera.camera_model))
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
    return orjson.dumps([{"key": _clean(tag.key), "value": _clean(tag.value)} for tag in tags]).decode()

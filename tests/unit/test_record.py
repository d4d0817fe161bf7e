"""Items and collections are read strictly where it matters, and every refusal names its field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import RecordNotPublic, RecordRefused
from federation.record import ADDED_WHEN_ABSENT, Picture, Sequence, picture_uuid, sequence_uuid

ID = "dc0820d3-7c2b-483e-bda1-ed6b79a2118f"
SEQUENCE = "fa6fbdc9-2216-4977-a567-5098e4f38adc"


def item(properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    base = {"datetime": "2024-05-02T07:10:00+00:00"} | (properties or {})
    return {"id": ID, "geometry": {"type": "Point", "coordinates": [2, 48.5]}, "properties": base} | more


def read(body: Any) -> Picture:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Picture.from_stac(raw, instance="north", collection=SEQUENCE)


def point(*coordinates: Any) -> dict[str, Any]:
    return item(geometry={"type": "Point", "coordinates": list(coordinates)})


REFUSED: list[tuple[Any, str]] = [
    (item(id=None), "id"),
    (item(id=5), "id"),
    ({key: value for key, value in item().items() if key != "id"}, "id"),
    (point(), "geometry.coordinates"),
    (point(1), "geometry.coordinates"),
    (point(180.1, 0), "geometry.coordinates"),
    (point(0, -90.1), "geometry.coordinates"),
    (point("2", 48), "geometry.coordinates[0]"),
    (point(2, None), "geometry.coordinates[1]"),
    (json.dumps(point(7, 1)).replace("[7", "[1e400").encode(), "geometry.coordinates[0]"),
    (item(geometry=None), "geometry"),
    (item(geometry={"type": "Polygon", "coordinates": [1.0, 2.0]}), "geometry.type"),
    (item(geometry={"coordinates": [1.0, 2.0]}), "geometry"),
    (item({"datetime": None}), "properties.datetime"),
    (item({"datetime": ""}), "properties.datetime"),
    (item({"datetime": "0000-00-00T00:00:00"}), "properties.datetime"),
    (item({"datetime": "0001-01-01T00:00:00+14:00"}), "properties.datetime"),
    (item({"datetime": "10000-01-01"}), "properties.datetime"),
    (item({"datetime": 5}), "properties.datetime"),
    (item({"created": "soon"}), "properties.created"),
    (item({"updated": "later"}), "properties.updated"),
    (item({"updated": 7}), "properties.updated"),
    (item({"license": 5}), "properties.license"),
    (item({"view:azimuth": []}), "properties.view:azimuth"),
    (item({"pers:interior_orientation": "x"}), "properties.pers:interior_orientation"),
    (item({"geovisio:rank_in_collection": 1.5}), "properties.geovisio:rank_in_collection"),
    (item({"semantics": [5]}), "properties.semantics[0]"),
    (item() | {"properties": None}, "properties"),
    (item(providers={}), "providers"),
    (item(links={}), "links"),
    (b"null", "record"),
    (b"[1", "record"),
]


@pytest.mark.parametrize("body,field", REFUSED, ids=lambda value: str(value)[-40:])
def test_a_bad_field_is_refused_by_its_name(body: Any, field: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        read(body)
    assert refused.value.field == field, str(refused.value)
    assert refused.value.problem


@pytest.mark.parametrize(
    "name,value", [("visibility", "owner-only"), ("visibility", 5), ("status", "hidden"), ("status", [])]
)
@pytest.mark.parametrize("broken", [{}, {"created": 5}, {"datetime": None}])
def test_what_is_not_public_is_said_so_whatever_else_is_wrong(name: str, value: Any, broken: dict[str, Any]) -> None:
    with pytest.raises(RecordNotPublic) as refused:
        read(item({f"geovisio:{name}": value} | broken, geometry=None))
    assert ID not in str(refused.value)
    with pytest.raises(RecordNotPublic):
        Sequence.from_stac(json.dumps({"id": 5, f"geovisio:{name}": value}).encode(), instance="north")


@pytest.mark.parametrize(
    "properties", [{}, {"geovisio:visibility": "anyone", "geovisio:status": "ready"}, {"geovisio:status": None}]
)
def test_what_says_nothing_is_public(properties: dict[str, Any]) -> None:
    assert read(item(properties)).id == ID


@pytest.mark.parametrize(
    "text,when",
    [
        ("0026-01-02T03:04:05Z", datetime(26, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1904-07-01", datetime(1904, 7, 1, tzinfo=UTC)),
        ("1970-01-01T00:00:00+00:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-05-02T07:10:00.123456+02:00", datetime(2024, 5, 2, 5, 10, 0, 123456, tzinfo=UTC)),
    ],
)
def test_odd_but_true_times_are_accepted(text: str, when: datetime) -> None:
    assert read(item({"datetime": text})).captured == when
    assert read(item({"datetime": None, "start_datetime": text})).captured == when


@pytest.mark.parametrize("key", ["view:azimuth", "quality:horizontal_accuracy", "panoramax:horizontal_pixel_density"])
@pytest.mark.parametrize("value", [10**400, 1e308, -1e308, "wide", "nan", "inf", "1e999", None])
def test_numbers_no_column_can_hold_are_absent(key: str, value: Any) -> None:
    picture = read(item({key: value}))
    held = {picture.accuracy_m, picture.pixel_density} - {None}
    assert not held
    assert picture.azimuth is None or 0 <= picture.azimuth < 360


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.none()))
def test_whatever_a_number_is_its_column_can_hold_it(value: Any) -> None:
    try:
        picture = read(item({"view:azimuth": value, "quality:horizontal_accuracy": value}))
    except RecordRefused as refused:
        assert refused.field.startswith(("properties", "record"))
        return
    assert picture.azimuth is None or 0 <= picture.azimuth < 360
    assert picture.accuracy_m is None or abs(picture.accuracy_m) < 3.4e38


def test_integers_beyond_a_column_are_absent() -> None:
    assert read(item({"original_file:size": 2**40})).original_bytes is None
    assert read(item({"geovisio:rank_in_collection": 2**40})).rank is None
    assert read(item({"geovisio:rank_in_collection": 10**30})).rank is None


def test_nul_never_reaches_a_text_column_and_long_names_fit_an_index() -> None:
    picture = read(
        item(
            {
                "license": "a\x00" + "b" * 9_000,
                "semantics": [{"key": "\x00", "value": "\x00v"}],
                "pers:interior_orientation": {"camera_manufacturer": "\x00", "camera_model": "m" * 9_000},
            },
            providers=[{"name": "n\x00", "id": "no uuid"}],
        )
    )
    assert picture.account and picture.camera and picture.semantics
    for text in (picture.license, *picture.camera, picture.account.name):
        assert "\x00" not in text
        assert len(text.encode()) < 2_600
    assert "\\u0000" not in picture.semantics


def test_keys_clients_need_are_added_only_when_absent() -> None:
    text = read(item()).text
    for key, value in ADDED_WHEN_ABSENT.items():
        assert f'"{key}":'.encode() + value in text
    whole = read(item({key: json.loads(value) for key, value in ADDED_WHEN_ABSENT.items()})).text
    assert all(whole.count(f'"{key}"'.encode()) == 1 for key in ADDED_WHEN_ABSENT)
    assert b'"exif":null' in read(item({"exif": None})).text.replace(b" ", b"")


def test_the_hash_tells_a_change_of_content_and_not_of_rebuilt_links() -> None:
    first = read(item())
    assert read(item({"note": 1})).hash != first.hash
    assert read(item(links=[{"rel": "prev", "href": "x"}])).hash == first.hash
    assert read(item(links=[{"rel": "license", "href": "x"}])).hash != first.hash


def test_ids_are_lower_case_uuids() -> None:
    assert picture_uuid(ID.upper(), "north", "c") == ID
    other = picture_uuid("7", "north", "c")
    assert other != picture_uuid("7", "south", "c")
    assert other != picture_uuid("7", "north", "d")
    assert sequence_uuid("7", "north") != sequence_uuid("7", "south")
    for odd in (ID.replace("-", ""), "{" + ID + "}", f"urn:uuid:{ID}", ID[:-1] + "g"):
        assert sequence_uuid(odd, "north") != ID


def test_a_sequence_names_its_bad_field() -> None:
    for body, field in (
        ({"id": 5}, "id"),
        ({"id": SEQUENCE, "created": "soon"}, "created"),
        ({"id": SEQUENCE, "updated": "never"}, "updated"),
        ({"id": SEQUENCE, "title": 5}, "title"),
        ({"id": SEQUENCE, "stats:items": 5}, "stats:items"),
    ):
        with pytest.raises(RecordRefused) as refused:
            Sequence.from_stac(json.dumps(body).encode(), instance="north")
        assert refused.value.field == field

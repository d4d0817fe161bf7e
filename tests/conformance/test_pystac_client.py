"""pystac-client's whole search surface finds what is there, by GET and by POST."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pystac_client import Client

from tests.conformance.conftest import AREA, Judged

LATE = datetime(2024, 9, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(judged: Judged) -> Client:
    """The catalog as the client sees it."""
    return Client.open(judged.url)


@pytest.fixture(scope="module")
def items(judged: Judged) -> dict[str, dict[str, Any]]:
    """Every picture, by id."""
    return {id: item for sequence in judged.sequences for id, item in sequence.items.items()}


@pytest.fixture(params=["GET", "POST"])
def found(api: Client, request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """`found(**search)`: the ids of its pictures, page by page."""

    def search(**asked: Any) -> list[str]:
        return [item.id for item in api.search(method=request.param, **({"limit": 4} | asked)).items()]

    return search


def those(items: dict[str, dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
    return sorted(id for id, item in items.items() if wanted(item))


def lies_in(item: dict[str, Any], west: float, south: float, east: float, north: float) -> bool:
    longitude, latitude = item["geometry"]["coordinates"]
    return bool(west <= longitude <= east and south <= latitude <= north)


def test_everything(found: Callable[..., list[str]], items: dict[str, Any]) -> None:
    assert sorted(found()) == sorted(items)
    assert len(found(max_items=7)) == 7


def test_places(found: Callable[..., list[str]], items: dict[str, Any]) -> None:
    assert sorted(found(bbox=list(AREA))) == those(items, lambda item: lies_in(item, *AREA))
    box = [2.3499, 48.8, 2.3502, 48.9]
    corners = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    inside = those(items, lambda item: lies_in(item, *box))
    assert 0 < len(inside) < len(items)
    assert sorted(found(intersects={"type": "Polygon", "coordinates": [corners]})) == inside
    assert len(found(bbox=[179, -18, -179, -16])) == 8


def test_names(found: Callable[..., list[str]], items: dict[str, Any], judged: Judged) -> None:
    some = list(items)[::5]
    assert found(ids=some) == some
    sequence = judged.sequences[1].id
    assert found(collections=[sequence]) == list(judged.sequences[1].items)


def test_times(found: Callable[..., list[str]], items: dict[str, Any]) -> None:
    late = those(items, lambda item: datetime.fromisoformat(item["properties"]["datetime"]) >= LATE)
    assert sorted(found(datetime=[LATE, None])) == late
    assert sorted(found(datetime="2024")) == sorted(found(datetime="2024-09-01")) == late
    assert sorted(found(datetime="../2024-01-01T00:00:00Z")) == sorted(set(items) - set(late))


def test_filters(found: Callable[..., list[str]], items: dict[str, Any]) -> None:
    wide = those(items, lambda item: item["properties"]["pers:interior_orientation"]["field_of_view"] == 360)
    assert len(wide) == 12
    assert sorted(found(filter="field_of_view = 360")) == wide
    tree = {"op": "=", "args": [{"property": "field_of_view"}, 360]}
    assert sorted(found(filter=tree)) == wide
    first = {"op": "<=", "args": [{"property": "geovisio:rank_in_collection"}, 2]}
    assert len(found(filter={"op": "and", "args": [tree, first]})) == 2
    late = those(items, lambda item: datetime.fromisoformat(item["properties"]["datetime"]) >= LATE)
    assert sorted(found(filter="datetime >= TIMESTAMP('2024-01-01T00:00:00Z')")) == late
    island = "POLYGON((179 -18, 180 -18, 180 -16, 179 -16, 179 -18))"
    assert len(found(filter=f"S_INTERSECTS(geometry, {island}) AND datetime > TIMESTAMP('2024-01-01T00:00:00Z')")) == 4


def test_orders(found: Callable[..., list[str]], items: dict[str, Any]) -> None:
    by_time = sorted(items, key=lambda id: (items[id]["properties"]["datetime"], id))
    assert found(sortby=[{"field": "datetime", "direction": "asc"}, {"field": "id", "direction": "asc"}]) == by_time
    assert found(sortby="+datetime,+id") == by_time
    times = [items[id]["properties"]["datetime"] for id in found(sortby="-datetime")]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_fields(api: Client, method: str) -> None:
    asked = {"include": ["properties.license"], "exclude": ["properties.exif"]}
    for fields in (asked, ["properties.license", "-properties.exif"]):
        (item, *_) = api.search(method=method, max_items=1, fields=fields).items_as_dicts()
        assert set(item["properties"]) == {"license"}
        assert "assets" not in item


def test_pages_and_counts(api: Client, items: dict[str, Any]) -> None:
    pages = list(api.search(limit=20).pages_as_dicts())
    assert [len(page["features"]) for page in pages] == [20, 20, len(items) - 40]
    with warnings.catch_warnings():
        # the number is left out where counting would cost more than the search
        warnings.simplefilter("ignore", UserWarning)
        assert api.search(bbox=list(AREA), filter="field_of_view > 300").matched() in (None, 12)


def collection_of(api: Client, id: str) -> Any:
    collection = api.get_collection(id)
    assert collection is not None
    return collection


def test_collections(api: Client, judged: Judged) -> None:
    assert {each.id for each in api.get_collections()} == {each.id for each in judged.sequences}
    for stored in judged.sequences:
        collection = collection_of(api, stored.id)
        assert [item.id for item in collection.get_items()] == list(stored.items)
        some = next(iter(stored.items))
        item = collection.get_item(some)
        assert item is not None and item.id == some
    first = judged.sequences[0]
    assert len(list(collection_of(api, first.id).get_items(*list(first.items)[:2]))) == 2


def test_collection_search(api: Client, judged: Judged) -> None:
    first, second, third, fourth = (each.id for each in judged.sequences)

    def ids(**asked: Any) -> set[str]:
        return {each.id for each in api.collection_search(**asked).collections()}

    assert ids() == {first, second, third, fourth}
    assert ids(bbox=list(AREA)) == {first, second, third}
    assert ids(datetime="2023") == {first}
    assert ids(q="Rivoli") == {first}
    assert len(list(api.collection_search(limit=1, max_collections=3).collections())) == 3


def test_queryables(api: Client, judged: Judged) -> None:
    merged = api.get_merged_queryables([each.id for each in judged.sequences[:2]])
    assert {"datetime", "field_of_view", "license"} <= set(merged["properties"])

"""Programs people use already work on the catalog: pystac-client, pystac's validation, the URL forms in wide use."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import pytest
from pystac import STACObjectType
from pystac.validation import validate_dict
from pystac_client import Client

from panofed.demo.visitor import anonymous_collections, anonymous_items
from tests.acceptance.federated import FederatedCatalog

RIVOLI = [2.340, 48.857, 2.348, 48.861]
#: extensions of GeoVisio's documents whose schemas no package has: a test may not fetch them. Any other is checked
NOT_AT_HAND = frozenset(
    {
        "https://stac-extensions.github.io/contacts/v0.1.1/schema.json",
        "https://stac-extensions.github.io/perspective-imagery/v1.0.0/schema.json",
        "https://stac-extensions.github.io/stats/v0.2.0/schema.json",
        "https://stac-extensions.github.io/tiled-assets/v1.0.0/schema.json",
        "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json",
        "https://stac-extensions.github.io/view/v1.0.0/schema.json",
        "https://stac-extensions.github.io/web-map-links/v1.0.0/schema.json",
        "https://stac.linz.govt.nz/v0.0.15/quality/schema.json",
    }
)


@pytest.fixture(scope="module")
async def followed(catalog: FederatedCatalog) -> FederatedCatalog:
    """A catalog that holds everything."""
    await catalog.visit()
    return catalog


@pytest.fixture(scope="module")
def client(followed: FederatedCatalog) -> Client:
    """pystac-client on the catalog."""
    return Client.open(followed.url)


@pytest.fixture(scope="module")
def shown(followed: FederatedCatalog) -> dict[str, dict[str, Any]]:
    """Every picture the instances show, by id."""
    return {id: item for instance in followed.instances for id, item in anonymous_items(instance.url).items()}


def test_pystac_client_lists_every_sequence_and_its_pictures(
    client: Client, followed: FederatedCatalog, shown: dict[str, dict[str, Any]]
) -> None:
    sequences = {id for instance in followed.instances for id in anonymous_collections(instance.url)}
    collections = list(client.get_collections())
    assert sorted(each.id for each in collections) == sorted(sequences)
    found = [item.id for collection in collections for item in collection.get_items()]
    assert sorted(found) == sorted(shown)


def test_pystac_client_gets_one_sequence_and_one_picture(client: Client, shown: dict[str, dict[str, Any]]) -> None:
    item = next(iter(shown.values()))
    collection = client.get_collection(item["collection"])
    assert collection is not None
    assert collection.id == item["collection"]
    got = collection.get_item(item["id"])
    assert got is not None
    assert got.geometry == item["geometry"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pystac_client_searches_and_pages(client: Client, shown: dict[str, dict[str, Any]], method: str) -> None:
    def found(**asked: Any) -> list[str]:
        ids = [item.id for item in client.search(method=method, limit=4, **asked).items()]
        assert len(set(ids)) == len(ids)
        return sorted(ids)

    west, south, east, north = RIVOLI
    rivoli = _ids(
        shown, lambda item: west <= item["geometry"]["coordinates"][0] <= east
        and south <= item["geometry"]["coordinates"][1] <= north
    )  # fmt: skip
    assert len(rivoli) == 10
    assert found() == sorted(shown)
    assert found(bbox=RIVOLI) == rivoli
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    assert found(intersects={"type": "Polygon", "coordinates": [corners]}) == rivoli
    assert found(ids=rivoli[:7]) == rivoli[:7]
    sequence = shown[rivoli[0]]["collection"]
    assert found(collections=[sequence]) == _ids(shown, lambda item: item["collection"] == sequence)
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    wanted = _ids(shown, lambda item: start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end)
    assert 0 < len(wanted) < len(shown)
    assert found(datetime=[start, end]) == wanted
    assert found(bbox=[179.9, -17, -179.9, -16.7]) == _ids(
        shown, lambda item: abs(item["geometry"]["coordinates"][0]) > 179.9 and
        -17 < item["geometry"]["coordinates"][1] < -16.7
    )  # fmt: skip


def test_pystac_validates_landing_page_sequences_and_pictures(followed: FederatedCatalog) -> None:
    _validate(followed.get(""), "CATALOG")
    for page in followed.pages("/collections?limit=100"):
        for collection in page["collections"]:
            _validate(collection, "COLLECTION")
    for page in followed.pages("/search?limit=100"):
        for item in page["features"]:
            _validate(item, "ITEM")


@pytest.mark.parametrize("size", ["hd", "sd", "thumb"])
def test_picture_addresses_lead_to_the_file_on_the_origin(
    followed: FederatedCatalog, shown: dict[str, dict[str, Any]], size: str
) -> None:
    for instance in followed.instances:
        id, item = next(iter(anonymous_items(instance.url).items()))
        status, headers, _ = _fetch(f"{followed.url}/pictures/{id}/{size}.jpg", follow=False)
        assert status == 302
        assert "max-age=60" in headers["cache-control"]
        assert headers["access-control-allow-origin"] == "*"
        assert headers["location"] == item["assets"][size]["href"]
        status, headers, body = _fetch(headers["location"])
        assert (status, headers["content-type"], body[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")


def test_search_by_id_is_how_openstreetmap_names_a_picture(
    followed: FederatedCatalog, shown: dict[str, dict[str, Any]]
) -> None:
    first, second, *_ = shown
    assert [item["id"] for item in followed.get(f"/search?ids={first}")["features"]] == [first]
    assert {item["id"] for item in followed.get(f"/search?ids={first},{second}")["features"]} == {first, second}
    assert followed.get("/search?ids=00000000-0000-4000-8000-000000000000")["features"] == []


def test_sequence_thumbnail_leads_to_a_picture_of_it(
    followed: FederatedCatalog, shown: dict[str, dict[str, Any]]
) -> None:
    sequence = next(iter(shown.values()))["collection"]
    status, _, body = _fetch(f"{followed.url}/collections/{sequence}/thumb.jpg")
    assert (status, body[:3]) == (200, b"\xff\xd8\xff")


def _validate(document: dict[str, Any], kind: str) -> None:
    extensions = [each for each in document.get("stac_extensions", []) if each not in NOT_AT_HAND]
    assert validate_dict(document, STACObjectType[kind], document["stac_version"], extensions)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _fetch(url: str, *, follow: bool = True) -> tuple[int, Message, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *([] if follow else [_Stay()]))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def _ids(shown: dict[str, dict[str, Any]], wanted: Any) -> list[str]:
    return sorted(id for id, item in shown.items() if wanted(item))

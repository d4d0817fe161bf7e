"""The fields extension: lighter items on every route that answers items."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.catalog_factory import Factory, line

DEFAULT = {"type", "stac_version", "id", "collection", "geometry", "bbox", "links", "assets", "properties"}


IDENTITY = {"type", "stac_version", "id", "collection"}


async def one(client: httpx2.AsyncClient, sequence: str, **asked: str) -> dict[str, Any]:
    """The first item of a search, which is what the other routes answer too."""
    answer = await client.get("/api/search", params={"collections": sequence, "limit": "1", **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    (item,) = answer.json()["features"]
    page = await client.get(f"/api/collections/{sequence}/items", params={"limit": "1", **asked})
    assert page.headers["content-type"] == "application/geo+json"
    assert page.json()["features"] == [item]
    return dict(item)


async def test_without_fields_an_item_is_whole(factory: Factory, client: httpx2.AsyncClient) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 2))
    item = await one(client, stored.id)
    assert DEFAULT | {"providers", "stac_extensions"} <= set(item)
    assert "exif" in item["properties"]


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ("properties.view:azimuth", {"view:azimuth"}),
        # a name without its place is a property's
        ("license,+geovisio:producer", {"license", "geovisio:producer"}),
        ("properties.nothing", set()),
        ("properties.view:azimuth,-properties", {"view:azimuth"}),
        ("properties.view:azimuth,-properties.view:azimuth", {"view:azimuth"}),
    ],
)
async def test_fields_are_what_is_asked_for_and_what_an_item_is_known_by(
    factory: Factory, client: httpx2.AsyncClient, fields: str, properties: set[str]
) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 2))
    item = await one(client, stored.id, fields=fields)
    assert set(item) == IDENTITY | {"properties"}
    assert set(item["properties"]) == properties


async def test_fields_without_names_are_what_makes_an_item(factory: Factory, client: httpx2.AsyncClient) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 2))
    item = await one(client, stored.id, fields="")
    assert set(item) == DEFAULT
    assert set(item["properties"]) == {"datetime"}


async def test_what_is_excluded_is_not_there_and_the_rest_is_as_it_was(
    factory: Factory, client: httpx2.AsyncClient
) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 2))
    whole = await one(client, stored.id)
    item = await one(client, stored.id, fields="-properties.exif,-geometry,-links,-assets.hd")
    assert set(item) == set(whole) - {"geometry", "links"}
    assert item["properties"] == {name: value for name, value in whole["properties"].items() if name != "exif"}
    assert item["assets"] == {name: value for name, value in whole["assets"].items() if name != "hd"}


async def test_nested_names_and_names_with_dots(factory: Factory, client: httpx2.AsyncClient) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 1))
    names = "properties.pers:interior_orientation.camera_model,properties.exif.Exif.Image.Make"
    item = await one(client, stored.id, fields=names)
    assert item["properties"]["pers:interior_orientation"] == {"camera_model": "Max"}
    assert item["properties"]["exif"] == {"Exif.Image.Make": "GoPro"}


async def test_post_takes_an_object_and_its_pages_keep_it(factory: Factory, client: httpx2.AsyncClient) -> None:
    await factory.sequence(line(2.0, 48.0, 3))
    body: dict[str, Any] = {"limit": 1, "fields": {"include": ["properties.license"], "exclude": ["properties.exif"]}}
    first = (await client.post("/api/search", json=body)).json()
    (following,) = [link for link in first["links"] if link["rel"] == "next"]
    second = (await client.post("/api/search", json=following["body"])).json()
    for page in (first, second):
        (item,) = page["features"]
        assert set(item) == IDENTITY | {"properties"}
        assert set(item["properties"]) == {"license"}


async def test_an_empty_inclusion_excludes_from_what_makes_an_item(
    factory: Factory, client: httpx2.AsyncClient
) -> None:
    await factory.sequence(line(2.0, 48.0, 1))
    for include in (None, list[str]()):
        body = {"fields": {"include": include, "exclude": ["geometry"]}}
        (item,) = (await client.post("/api/search", json=body)).json()["features"]
        assert set(item) == DEFAULT - {"geometry"}


@pytest.mark.parametrize("fields", [{}, {"include": None, "exclude": []}])
async def test_an_empty_object_asks_for_what_makes_an_item(
    factory: Factory, client: httpx2.AsyncClient, fields: dict[str, Any]
) -> None:
    await factory.sequence(line(2.0, 48.0, 1))
    (item,) = (await client.post("/api/search", json={"fields": fields})).json()["features"]
    assert set(item) == DEFAULT
    assert set(item["properties"]) == {"datetime"}


async def test_one_picture_takes_fields_too(factory: Factory, client: httpx2.AsyncClient) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 1))
    (identifier,) = stored.items
    for path in (f"/api/pictures/{identifier}", f"/api/collections/{stored.id}/items/{identifier}"):
        item = (await client.get(path, params={"fields": "-links"})).json()
        assert "links" not in item and DEFAULT - {"links"} < set(item)


@pytest.mark.parametrize(
    "fields",
    ["\x00", "a" * 201, ",".join(f"p{n}" for n in range(101))],
)
async def test_names_that_cannot_be_are_refused(client: httpx2.AsyncClient, fields: str) -> None:
    answer = await client.get("/api/search", params={"fields": fields})
    assert answer.status_code == 400
    assert answer.json()["details"]["parameter"] == "fields"


@pytest.mark.parametrize("fields", [None, 3, ["id"], {"include": "id"}, {"exclude": [1]}, {"only": ["id"]}])
async def test_fields_of_another_kind_are_refused(client: httpx2.AsyncClient, fields: object) -> None:
    answer = await client.post("/api/search", json={"fields": fields})
    assert answer.status_code == 400
    assert answer.json()["details"]["parameter"].startswith("fields")


async def test_large_answers_have_the_fields_only(factory: Factory, client: httpx2.AsyncClient) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 1_200))
    answer = await client.get(f"/api/collections/{stored.id}/items", params={"fields": "-assets,-links"})
    features = answer.json()["features"]
    assert len(features) == 1_200
    assert all(not {"assets", "links"} & set(item) and "geometry" in item for item in features)

"""Searches as rows: GeoJSON, newline-delimited JSON and CSV, of everything that matches, each saying whose it is."""

from __future__ import annotations

import csv
import io
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest

from federation.payload import Unpacker
from tests.catalog_factory import Factory, Serving, Shot, line
from tests.origin import eventually

LICENSED = {"license": "etalab-2.0", "provider": "alice", "instance": "north"}


async def rows(client: httpx2.AsyncClient, form: str, **asked: str) -> list[dict[str, Any]]:
    """The rows of an answer as flat mappings."""
    answer = await client.get("/api/search", params={"format": form, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="pictures.{form}"'
    if form == "csv":
        assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        return list(csv.DictReader(io.StringIO(answer.text)))
    if form == "geojson":
        assert answer.headers["content-type"] == "application/geo+json"
        features = answer.json()["features"]
    else:
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.text.endswith("\n") or not answer.text
        features = [orjson.loads(each) for each in answer.text.splitlines()]
    for each in features:
        assert each["type"] == "Feature" and each["id"] == each["properties"]["id"]
    return [
        each["properties"] | dict(zip(("longitude", "latitude"), each["geometry"]["coordinates"], strict=True))
        for each in features
    ]


@pytest.mark.parametrize("form", ["geojson", "ndjson", "csv"])
async def test_every_row_says_whose_it_is_and_where_it_is_from(
    factory: Factory, client: httpx2.AsyncClient, form: str
) -> None:
    stored = await factory.sequence(line(2.0, 48.0, 3))
    found = await rows(client, form, collections=stored.id)
    assert [row["id"] for row in found] == list(stored.items)
    for row, (identifier, item) in zip(found, stored.items.items(), strict=True):
        assert {name: row[name] for name in LICENSED} == LICENSED
        assert row["origin"] == f"http://north.example/api/collections/{stored.id}/items/{identifier}"
        assert row["hd"] == item["assets"]["hd"]["href"]
        assert [float(row["longitude"]), float(row["latitude"])] == item["geometry"]["coordinates"]
        assert row["datetime"] == item["properties"]["datetime"]
        assert (int(row["azimuth"]), int(row["rank"]), row["camera_model"]) == (
            90,
            item["properties"]["geovisio:rank_in_collection"],
            "Max",
        )


@pytest.mark.parametrize("form", ["geojson", "ndjson", "csv"])
async def test_rows_go_beyond_the_limits_of_items_and_come_once(factory: Factory, serving: Serving, form: str) -> None:
    await factory.sequence(line(2.0, 48.0, 1_100))
    await factory.sequence(line(2.3, 48.0, 1_150))
    async with serving(search_limit_max=100) as client:
        found = await rows(client, form, bbox="1,47,3,49")
        assert len(found) == len({row["id"] for row in found}) == 2_250
        assert len(await rows(client, form, bbox="1,47,3,49", limit="1500")) == 1_500


async def test_rows_obey_the_same_search_by_post(factory: Factory, client: httpx2.AsyncClient) -> None:
    await factory.sequence(line(2.0, 48.0, 2))
    far = await factory.sequence(line(7.0, 48.0, 2))
    body = {"format": "ndjson", "bbox": [6, 47, 8, 49], "limit": 1}
    answer = await client.post("/api/search", json=body)
    (row,) = [orjson.loads(each) for each in answer.text.splitlines()]
    assert row["properties"]["collection"] == far.id


async def test_geojson_says_how_to_go_on_where_it_was_cut(factory: Factory, client: httpx2.AsyncClient) -> None:
    await factory.sequence(line(2.0, 48.0, 5))
    first = (await client.get("/api/search", params={"format": "geojson", "limit": "3"})).json()
    (href,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = (await client.get(href)).json()
    assert (first["numberReturned"], second["numberReturned"]) == (3, 2)
    assert len({each["id"] for page in (first, second) for each in page["features"]}) == 5
    assert not [link for link in second["links"] if link["rel"] == "next"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\uff1d1"])
async def test_no_cell_is_a_formula(factory: Factory, client: httpx2.AsyncClient, text: str) -> None:
    await factory.sequence([Shot(longitude=-2.0, latitude=-48.0, properties={"license": text})])
    (row,) = await rows(client, "csv")
    assert row["license"] == f"'{text}"
    assert row["longitude"] == "-2.0", "numbers stay numbers"


async def test_quotes_commas_and_line_ends_stay_in_their_cell(factory: Factory, client: httpx2.AsyncClient) -> None:
    text = 'a "b", c\nd;é'
    await factory.sequence([Shot(longitude=2.0, latitude=48.0, properties={"license": text})])
    (row,) = await rows(client, "csv")
    assert row["license"] == text


async def test_unusual_members_of_an_item_do_not_harm_its_neighbours(
    factory: Factory, client: httpx2.AsyncClient
) -> None:
    shots = [Shot(longitude=2.0, latitude=48.0, properties={"license": "plain"}), *line(2.1, 48.0, 1)]
    stored = await factory.sequence(shots)
    # half of a surrogate pair, as an origin can write it
    row = await factory.connection.fetchrow("SELECT id, payload FROM pictures WHERE id = $1", shots[0].id)
    assert row is not None
    text = unpacked(row["payload"]).replace(b"plain", b"\\ud83d")
    await factory.connection.execute(
        "UPDATE pictures SET payload = $2 WHERE id = $1", shots[0].id, factory.packer.pack([text])[0]
    )
    for form in ("geojson", "ndjson", "csv"):
        found = await rows(client, form, collections=stored.id)
        assert [each["license"] for each in found] == ["?", "etalab-2.0"]


def unpacked(packed: bytes) -> bytes:
    unpacker = Unpacker()
    unpacker.learn(0)
    return unpacker.unpack(0, packed)


@pytest.mark.parametrize("asked", [{"format": "shp"}, {"format": "csv", "limit": "0"}, {"format": "csv", "bbox": "1"}])
async def test_what_cannot_be_written_is_refused_by_name(client: httpx2.AsyncClient, asked: dict[str, str]) -> None:
    answer = await client.get("/api/search", params=asked)
    assert answer.status_code == 400
    assert answer.json()["details"]["parameter"] == list(asked)[-1]


async def test_an_empty_search_is_an_empty_file(factory: Factory, client: httpx2.AsyncClient) -> None:
    for form in ("geojson", "ndjson", "csv"):
        assert await rows(client, form, bbox="100,1,101,2") == []


async def test_a_client_that_leaves_frees_its_place_and_connection(
    factory: Factory, serving: Serving, database: str
) -> None:
    await factory.sequence(line(2.0, 48.0, 4_000))
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"
    async with serving(exports_at_once=1) as client:
        async with client.stream("GET", "/api/search", params={"format": "csv"}) as answer:
            await anext(answer.aiter_bytes())

        async def free() -> bool:
            connection = await asyncpg.connect(database)
            try:
                return bool(await connection.fetchval(busy) == 0)
            finally:
                await connection.close()

        await eventually(free, within_s=20)
        assert len(await rows(client, "csv")) == 4_000

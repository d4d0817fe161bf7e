"""What clients may ask and how: looking at a place, free text, counts, queryables, and requests nobody should send."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2
import pytest

from tests.catalog_factory import Factory, Shot, line
from tests.integration.catalog.test_catalog_search import everything

PLACE = (2.35, 48.85)
EAST_M = 1 / (111_320 * math.cos(math.radians(48.85)))
NORTH_M = 1 / 111_200


def around(east_m: float, north_m: float, **rest: Any) -> Shot:
    return Shot(longitude=PLACE[0] + east_m * EAST_M, latitude=PLACE[1] + north_m * NORTH_M, **rest)


async def test_pictures_that_look_at_a_place(client: httpx2.AsyncClient, factory: Factory) -> None:
    shots = {
        "looks": around(-8, 0, azimuth=90),
        "just": around(-10, 0, azimuth=76),
        "not quite": around(-9, 0, azimuth=72),
        "away": around(-7, 0, azimuth=270),
        "north": around(0, -5, azimuth=359),
        "all round": around(6, 0, azimuth=90, field_of_view=360),
        "blind": around(4, 0, azimuth=None),
        "too near": around(-2, 0, azimuth=90),
        "too far": around(-16, 0, azimuth=90),
        # on the ground it looks there, on a plane of degrees it would not
        "aslant": around(-8, -8, azimuth=45),
    }
    await factory.sequence(shots.values())
    ids = {shot.id: name for name, shot in shots.items()}
    position = f"{PLACE[0]},{PLACE[1]}"

    async def found(**more: str) -> list[str]:
        return [ids[each] for each in await everything(client, {"place_position": position, "limit": 2} | more)]

    assert await found() == ["north", "all round", "looks", "just", "aslant"]
    assert await found(place_distance="0-20") == [
        "too near",
        "north",
        "all round",
        "looks",
        "just",
        "aslant",
        "too far",
    ]
    assert await found(place_fov_tolerance="2") == ["north", "all round", "looks", "aslant"]
    assert await found(place_fov_tolerance="36") == ["north", "all round", "looks", "not quite", "just", "aslant"]
    assert await found(filter="type = 'flat'", datetime="2024-05-02T00:00:00Z/..") == [
        "north",
        "looks",
        "just",
        "aslant",
    ]
    assert await found(sortby="-distance") == ["aslant", "just", "looks", "all round", "north"]
    assert await found(bbox="2.35002,48,3,49") == ["all round"]
    answer = (
        await client.post("/api/search", json={"place_position": list(PLACE), "place_distance": "5.5-6.5"})
    ).json()
    assert [ids[each["id"]] for each in answer["features"]] == ["all round"]


async def test_free_text(client: httpx2.AsyncClient, factory: Factory) -> None:
    one = await factory.sequence(line(2.35, 48.85, 3), title="Rue de Rivoli")
    two = await factory.sequence(line(2.35, 48.85, 2), title="Quai 100%", instance="south")
    await factory.connection.execute("INSERT INTO cameras (manufacturer, model) VALUES ('Ricoh', 'Theta')")
    await factory.connection.execute(
        'UPDATE pictures SET camera = (SELECT n FROM cameras), semantics = \'[{"key":"surface","value":"asphalt"}]\''
        " WHERE sequence = $1",
        two.n,
    )

    async def found(text: str) -> list[str]:
        return sorted(await everything(client, {"q": text, "limit": 2}))

    assert await found("rivoli") == sorted(one.items)
    assert await found("RUE rivoli") == sorted(one.items)
    assert await found("rue quai") == []
    assert await found("rue,quai") == sorted([*one.items, *two.items])
    assert await found("south") == await found("theta") == await found("ASPHALT ricoh") == sorted(two.items)
    assert await found("100%") == sorted(two.items)
    assert await found("1_0%") == []
    answer = (await client.post("/api/search", json={"q": ["rivoli", "nothing"]})).json()
    assert sorted(item["id"] for item in answer["features"]) == sorted(one.items)


async def test_matches_are_numbered_where_they_are_known(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 9))
    await factory.sequence(line(2.35, 10.85, 4))

    async def numbers(**params: str) -> tuple[object, object]:
        answer = (await client.get("/api/search", params=params)).json()
        return answer.get("numberMatched"), answer.get("panofed:matched_at_least")

    bbox = "2,48,3,49"
    assert await numbers(bbox=bbox) == (9, None)
    assert await numbers(bbox=bbox, limit="5") == (None, 6)
    assert await numbers(bbox=bbox, limit="5", count="exact") == (9, None)
    assert await numbers(limit="3", count="exact") == (13, None)
    assert await numbers(limit="3", count="exact", filter="S_INTERSECTS(geometry, BBOX(2,48,3,49))") == (9, None)
    assert await numbers(collections=stored.id, limit="2", count="exact") == (9, None)
    assert await numbers(ids=",".join([*list(stored.items)[:4], stored.id]), limit="2", count="exact") == (4, None)
    looking = {"place_position": "2.3501,48.85", "place_distance": "0-40", "place_fov_tolerance": "90"}
    assert await numbers(**looking, limit="1", count="exact") == (2, None)
    assert await numbers(bbox="50,50,51,51") == (0, None)
    page = (await client.get("/api/search", params={"bbox": bbox, "limit": "5"})).json()
    last = (await client.get(next(link["href"] for link in page["links"] if link["rel"] == "next"))).json()
    assert last["numberMatched"] == 9


async def test_queryables_name_what_filters_know(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 1))
    for path in ("queryables", "collections/queryables", f"collections/{stored.id}/queryables"):
        answer = await client.get(f"/api/{path}")
        assert answer.headers["content-type"] == "application/schema+json"
        document = answer.json()
        assert document["$id"].endswith(f"/api/{path}") and document["type"] == "object"
    for name in (await client.get("/api/queryables")).json()["properties"]:
        asked = await client.get("/api/search", params={"filter": f'"{name}" IS NULL'})
        assert asked.status_code == 200, asked.text
    unknown = "00000000-0000-4000-8000-000000000000"
    assert (await client.get(f"/api/collections/{unknown}/queryables")).status_code == 404
    assert (await client.get("/api/collections/x/queryables")).status_code == 404


BAD = [
    ("filter", "(" * 2_000 + "type = 'flat'" + ")" * 2_000),
    ("filter", "(" * 33 + "type = 'flat'" + ")" * 33),
    ("filter", "(" * 25 + "type = " + ")" * 25),
    ("filter", "(" * 30),
    ("filter", "NOT " * 2_000 + "type = 'flat'"),
    ("filter", " AND ".join(["type = 'flat'"] * 150)),
    ("filter", "type = 'fl\x00at'"),
    ("filter", "type = 'fl\x1bat'"),
    ("filter", '"semantics.a\x00" = 1'),
    ("filter", "nothing = 1"),
    ("filter", "type = 1"),
    ("filter", "datetime > 'yesterday'"),
    ("filter", "datetime = DATE('2024-02-31')"),
    ("filter", "view:azimuth > 1e400"),
    ("filter", "pg_sleep(10) = 1"),
    ("filter", "type = pg_read_file('/etc/passwd')"),
    ("filter", "type"),
    ("filter", "1 = 1"),
    ("filter", "type = NULL"),
    ("filter", "id = 'x'"),
    ("filter", "type LIKE 'x\\'"),
    ("filter", "S_INTERSECTS(geometry, POLYGON((0 0,1 1,1 0,0 1,0 0)))"),
    ("filter", "S_INTERSECTS(geometry, POINT(200 0))"),
    ("filter", "T_DURING(type, INTERVAL('..','2024-01-01'))"),
    ("filter", "T_DURING(datetime, INTERVAL('2025-01-01','2024-01-01'))"),
    ("filter", "'"),
    ("filter", "é"),
    ("filter", {"op": "and", "args": []}),
    ("filter", {"op": "=", "args": [{"property": "type"}]}),
    ("filter", {"op": "=", "args": {"property": "type"}}),
    ("filter", {"op": 3}),
    ("filter", [1]),
    ("filter", 3),
    ("filter", {"op": "in", "args": [{"property": "type"}, "flat"]}),
    ("filter", {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": ["x", 1]}]}),
    ("filter", {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": []}]}),
    ("sortby", "nothing"),
    ("sortby", "distance"),
    ("sortby", [{"field": "datetime", "direction": "up"}]),
    ("sortby", {"field": "datetime"}),
    ("sortby", ",".join(["datetime"] * 9)),
    ("place_position", "2.35"),
    ("place_position", "2.35,95"),
    ("place_position", "x,y"),
    ("q", ","),
    ("q", "a" * 200),
    ("q", "a\x00"),
    ("q", {"a": 1}),
    ("count", "about"),
    ("bbox", [1, 2, 3]),
    ("bbox", "1,2,3,nan"),
    ("bbox", {"a": 1}),
    ("bbox", []),
    ("ids", {"a": 1}),
    ("collections", 3),
    ("datetime", "2024-13-01"),
    ("datetime", ["2024-01-01", ".."]),
    ("limit", 0),
    ("limit", "9" * 5_000),
    ("intersects", {"type": "Polygon", "coordinates": [[[x / 1000, 0] for x in range(5_000)]]}),
    ("intersects", {"type": "GeometryCollection", "geometries": []}),
    ("intersects", "{"),
    ("token", "x"),
    ("token", "\x00"),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}{n}" for n, (name, _) in enumerate(BAD)])
async def test_what_cannot_be_used_is_named(client: httpx2.AsyncClient, name: str, value: object) -> None:
    asked = {"bbox": [1, 2, 3, 4]} if name == "place_distance" else {}
    answers = [await client.post("/api/search", json=asked | {name: value})]
    if isinstance(value, str):
        answers.append(await client.get("/api/search", params={name: value}))
    for answer in answers:
        assert answer.status_code == 400, answer.text[:300]
        details = answer.json()["details"]
        assert details["parameter"] == name and details["problem"], details
        assert len(answer.content) < 3_000


async def test_a_body_that_is_nested_deep_is_refused(client: httpx2.AsyncClient) -> None:
    deep: Any = {"property": "type"}
    for _ in range(200):
        deep = {"op": "not", "args": [deep]}
    assert (await client.post("/api/search", json={"filter": deep})).status_code == 400
    for text in ("[" * 100_000, '{"filter":' * 50_000, '{"filter":' + "[" * 500 + "]" * 500 + "}"):
        answer = await client.post("/api/search", content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text[:200]
    nots = {"filter": "NOT " * 100_000 + "type = 'flat'"}
    assert (await client.post("/api/search", json=nots)).status_code == 400
    nested: Any = {"type": "Point", "coordinates": [1, 1]}
    for _ in range(400):
        nested = {"type": "GeometryCollection", "geometries": [nested]}
    assert (await client.post("/api/search", content=json.dumps({"intersects": nested}))).status_code == 400


async def test_get_and_post_ask_alike(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 9))
    tree = {"op": ">", "args": [{"property": "geovisio:rank_in_collection"}, 2]}
    asked: list[dict[str, Any]] = [
        {"filter": "geovisio:rank_in_collection > 2", "sortby": "-datetime", "bbox": "2,48,3,49"},
        {
            "filter": json.dumps(tree),
            "filter-lang": "cql2-json",
            "sortby": "-properties.datetime",
            "bbox": "2,48,0,3,49,9",
        },
        {"filter": tree, "sortby": [{"field": "properties.datetime", "direction": "desc"}], "bbox": [2, 48, 3, 49]},
        {
            "filter": "geovisio:rank_in_collection > 2",
            "filter-lang": "cql2-text",
            "sortby": ["-datetime"],
            "bbox": [2, 48, 3, 49],
        },
    ]
    expected = list(stored.items)[:1:-1]
    for each in asked:
        if all(isinstance(value, str) for value in each.values()):
            assert await everything(client, each | {"limit": 3}) == expected
            continue
        found: list[str] = []
        body: dict[str, Any] = each | {"limit": 3}
        while body:
            answer = (await client.post("/api/search", json=body)).json()
            assert "features" in answer, answer
            found += [item["id"] for item in answer["features"]]
            body = next((link["body"] for link in answer["links"] if link["rel"] == "next"), {})
        assert found == expected


async def test_a_token_belongs_to_its_filter_and_order(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 9))
    asked = {"filter": "type = 'flat'", "sortby": "datetime", "limit": "3"}
    answer = (await client.get("/api/search", params=asked)).json()
    href = next(link["href"] for link in answer["links"] if link["rel"] == "next")
    token = dict(httpx2.URL(href).params)["token"]
    assert (await client.get("/api/search", params=asked | {"token": token})).status_code == 200
    for other in ({"filter": "type = 'x'"}, {"sortby": "-datetime"}, {"q": "x"}, {"collections": ""}):
        changed = await client.get("/api/search", params=asked | {"token": token} | other)
        assert changed.status_code == (200 if "collections" in other else 400), other


async def test_empty_lists_and_values(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 2))
    empty: list[dict[str, Any]] = [{"ids": []}, {"collections": []}]
    for body in empty:
        answer = await client.post("/api/search", json=body)
        assert answer.status_code == 200 and answer.json()["features"] == []
    nothing: list[dict[str, Any]] = [{"filter": ""}, {"sortby": ""}, {"q": ""}, {"filter": {}}, {"sortby": []}]
    for asked in nothing:
        answer = await client.post("/api/search", json=asked)
        assert answer.status_code == 200 and len(answer.json()["features"]) == 2

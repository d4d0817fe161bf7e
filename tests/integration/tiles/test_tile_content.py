"""What is in a tile: names, types and zooms that clients parse; who made it; errors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx2
import numpy as np
import pytest

from catalog_api.tiles.mercator import down
from federation.cells import cell_of, parent
from tests.index_world import Index
from tests.tile_world import ALICE, START, Cartographer, decode, features, layers_of, street

BOB = "9ba1f2a0-5a3c-4dcb-a2be-6cfc7bd1f1b5"
TILE = "15/16598/11272"
PLACES = street(2.3514, 48.8600, 12)
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def test_pictures_have_what_viewers_read(client: httpx2.AsyncClient, map: Cartographer) -> None:
    _, id = await map.street(PLACES, fov=360)
    found = features(await layers_of(client, f"map/{TILE}.mvt"), "pictures")
    assert len(found) == 12
    own: dict[str, Any] = found[0]["properties"]
    assert own | {"id": "", "ts": ""} == {
        "id": "",
        "account_id": ALICE,
        "ts": "",
        "heading": 90,
        "sequences": f'["{id}"]',
        "first_sequence": id,
        "type": "equirectangular",
        "model": "GoPro Max",
        "gps_accuracy": 4.5,
        "h_pixel_density": 17,
    }
    assert own["ts"].startswith("2024-05-02")
    assert isinstance(own["heading"], int) and isinstance(own["h_pixel_density"], int)


async def test_sequences_have_what_viewers_filter_by(client: httpx2.AsyncClient, map: Cartographer) -> None:
    _, id = await map.street(PLACES)
    for tile in ("6/32/22", "7/64/44", "10/518/352", "12/2074/1409", "14/8299/5636", TILE):
        (line,) = features(await layers_of(client, f"map/{tile}.mvt"), "sequences")
        assert line["geometry"]["type"] == "LineString"
        assert line["properties"] == {
            "id": id,
            "account_id": ALICE,
            "model": "GoPro Max",
            "type": "flat",
            "date": "2024-05-02",
            "gps_accuracy": 4.5,
            "h_pixel_density": 17,
        }


async def test_layers_are_at_their_zooms(client: httpx2.AsyncClient, map: Cartographer) -> None:
    await map.street(PLACES)
    tiles = {z: f"{z}/{16598 >> (15 - z)}/{11272 >> (15 - z)}.mvt" for z in range(16)}
    v1 = {z: set(await layers_of(client, f"map/{tile}")) for z, tile in tiles.items()}
    assert v1 == {z: {"grid"} for z in range(6)} | {6: {"grid", "sequences"}} | {
        z: {"sequences"} for z in range(7, 15)
    } | {15: {"sequences", "pictures"}}
    v2 = {z: set(await layers_of(client, f"map/2/{tile}")) for z, tile in tiles.items()}
    assert v2 == {z: {"grid"} for z in range(15)} | {15: {"grid", "sequences", "pictures"}}
    user = {z: set(await layers_of(client, f"users/{ALICE}/map/{tile}")) for z, tile in tiles.items()}
    assert user == {z: {"sequences"} for z in range(15)} | {15: {"sequences", "pictures"}}


async def test_grids_have_their_attributes(client: httpx2.AsyncClient, map: Cartographer) -> None:
    await map.street(PLACES, fov=360, at=START)
    await map.street(street(2.3514, 48.8600, 4), fov=70, at=START + timedelta(days=40))
    (point,) = features(await layers_of(client, "map/3/4/2.mvt"), "grid")
    own = point["properties"]
    assert {name: own[name] for name in ("nb_pictures", "nb_360_pictures", "nb_flat_pictures")} == {
        "nb_pictures": 16,
        "nb_360_pictures": 12,
        "nb_flat_pictures": 4,
    }
    # the only square there is: it is the median
    assert [own[name] for name in ("coef", "coef_360_pictures", "coef_flat_pictures")] == [0.5, 0.5, 0.5]
    (hexagon,) = features(await layers_of(client, "map/2/6/32/22.mvt"), "grid")
    assert hexagon["properties"] | {"id": ""} == {
        "id": "",
        "nb_pictures": 16,
        "nb_360_pictures": 12,
        "nb_flat_pictures": 4,
        "date": "2024-06-11",
        "type": "equirectangular",
    }
    assert hexagon["geometry"]["type"] == "Polygon"


async def test_a_user_sees_only_what_they_made(client: httpx2.AsyncClient, map: Cartographer) -> None:
    _, mine = await map.street(PLACES)
    _, theirs = await map.street(street(2.3514, 48.8602, 7), of=BOB)
    for account, id, number in ((ALICE, mine, 12), (BOB, theirs, 7)):
        layers = await layers_of(client, f"users/{account}/map/{TILE}.mvt")
        assert [each["properties"]["id"] for each in features(layers, "sequences")] == [id]
        assert len(features(layers, "pictures")) == number
        assert {each["properties"]["account_id"] for each in features(layers, "pictures")} == {account}


async def test_pictures_far_from_each_other_are_on_the_map_at_every_zoom(
    client: httpx2.AsyncClient, map: Cartographer
) -> None:
    _, id = await map.street(street(2.3514, 48.8600, 5, step_deg=0.002))
    for z in range(6, 16):
        tile = f"map/{z}/{16598 >> (15 - z)}/{11272 >> (15 - z)}.mvt"
        assert {each["properties"]["id"] for each in features(await layers_of(client, tile), "sequences")} == {id}, tile


async def test_a_line_over_the_antimeridian_is_drawn_on_both_sides_and_nowhere_else(
    client: httpx2.AsyncClient, map: Cartographer
) -> None:
    east = [(179.9990 + n * 0.0001, -16.5) for n in range(10)]
    west = [(-180.0 + n * 0.0001, -16.5) for n in range(10)]
    await map.street(east + west)
    for z in (7, 11, 15):
        side = 1 << z
        row = int(float(down(np.array(-16.5))) * side)
        here = [features(await layers_of(client, f"map/{z}/{x}/{row}.mvt"), "sequences") for x in (0, side - 1)]
        assert all(here), z
        assert not features(await layers_of(client, f"map/{z}/{side // 2}/{row}.mvt"), "sequences")


async def test_a_tile_over_the_border_of_two_leaves_is_one_layer(
    client: httpx2.AsyncClient, map: Cartographer, index: Index
) -> None:
    latitude = 2.0
    steps = np.arange(-15.0, 25.0, 0.001).tolist()
    leaves = [parent(cell_of(step, latitude), 0) for step in steps]
    border = next(step for step, leaf, after in zip(steps, leaves, leaves[1:], strict=False) if leaf != after)
    await map.street(street(border - 0.002, latitude, 50))
    assert await index.admin.fetchval("SELECT count(*) FROM leaves") == 2
    x, y = int((border + 180) / 360 * (1 << 15)), int(float(down(np.array(latitude))) * (1 << 15))
    bodies = [(await client.get(f"/api/map/15/{column}/{y}.mvt")).content for column in (x - 1, x, x + 1)]
    assert sum(len(features(decode(body), "pictures")) for body in bodies) == 50
    assert max(body.count(b"\x0a\x08pictures") for body in bodies) == 1


@pytest.mark.parametrize(
    "path", ["16/0/0", "1/2/0", "1/0/2", "-1/0/0", "a/0/0", "1/0/99999999999999999999", "0/0/%C2%B2"]
)
@pytest.mark.parametrize("kind", ["map", "map/2", f"users/{ALICE}/map"])
async def test_a_tile_that_is_not_of_this_world_is_not_found(client: httpx2.AsyncClient, kind: str, path: str) -> None:
    answer = await client.get(f"/api/{kind}/{path}.mvt")
    assert answer.status_code == 404 and "tile" in answer.json()["message"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_user_who_is_not_there_is_not_found(client: httpx2.AsyncClient) -> None:
    for path in (f"users/{UNKNOWN}/map/3/4/2.mvt", "users/nobody/map/3/4/2.mvt", f"users/{UNKNOWN}/map/style.json"):
        answer = await client.get(f"/api/{path}")
        assert answer.status_code == 404 and "user" in answer.json()["message"]


async def test_styles_name_what_viewers_address(client: httpx2.AsyncClient, map: Cartographer) -> None:
    await map.street(PLACES)
    for path, source, grid in (("map", "geovisio", True), (f"users/{ALICE}/map", f"geovisio_{ALICE}", False)):
        style = (await client.get(f"/api/{path}/style.json")).json()
        assert list(style["sources"]) == [source]
        assert style["sources"][source]["tiles"] == [
            f"{client.base_url}/api/{path}/{{z}}/{{x}}/{{y}}.mvt".replace("//api", "/api")
        ]
        names = [f"{source}_sequences", f"{source}_pictures"] + ([f"{source}_grid"] if grid else [])
        assert [layer["id"] for layer in style["layers"]] == names
        fields = style["metadata"]["panoramax:fields"]
        assert {"gps_accuracy", "h_pixel_density"} <= set(fields["pictures"])
        assert ("grid" in fields) == grid
        tile = await layers_of(client, f"{path}/{TILE}.mvt")
        assert set(features(tile, "pictures")[0]["properties"]) <= set(fields["pictures"])
        assert set(features(tile, "sequences")[0]["properties"]) <= set(fields["sequences"])
    for path in ("map/tiles.json", "map/2/tiles.json"):
        document = (await client.get(f"/api/{path}")).json()
        assert document["tilejson"] == "3.0.0" and document["maxzoom"] == 15
        assert {layer["id"] for layer in document["vector_layers"]} == {"grid", "sequences", "pictures"}


async def test_the_landing_page_leads_to_tiles_and_styles(client: httpx2.AsyncClient, map: Cartographer) -> None:
    await map.street(PLACES)
    links = {(link["rel"], link["type"]): link["href"] for link in reversed((await client.get("/api")).json()["links"])}
    mvt = "application/vnd.mapbox-vector-tile"
    place = {"z": 15, "x": 16598, "y": 11272, "userId": ALICE}
    for rel, kind in (
        ("xyz", mvt),
        ("user-xyz", mvt),
        ("xyz-style", "application/json"),
        ("user-xyz-style", "application/json"),
    ):
        answer = await client.get(links[(rel, kind)].format(**place))
        assert answer.status_code == 200 and answer.content
        assert answer.headers["content-type"] == kind
    assert json.loads((await client.get("/api/map/style.json")).content)["version"] == 8

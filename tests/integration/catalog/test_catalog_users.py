"""Contributors: who is listed, found by name, and the sequences of each."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from typing import Any

import httpx2
import pystac
import pytest

from tests.catalog_factory import START, Factory, Serving, Stored, line

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def account(factory: Factory, name: str, *sequences: Stored, id: str = "", instance: str = "north") -> str:
    """An account that these sequences are of."""
    number = await factory.instance(instance)
    identifier = id or str(uuid.uuid4())
    n = await factory.connection.fetchval(
        "INSERT INTO accounts (id, instance, name) VALUES ($1, $2, $3) RETURNING n", identifier, number, name
    )
    for each in sequences:
        await factory.connection.execute("UPDATE sequences SET account = $1 WHERE n = $2", n, each.n)
    return identifier


def rels(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


async def test_only_accounts_with_served_pictures_are_shown(client: httpx2.AsyncClient, factory: Factory) -> None:
    shown = await factory.sequence(line(2.0, 48.0, 2))
    hidden = await factory.sequence(line(2.0, 48.0, 2), served=False)
    empty = await factory.sequence([])
    alice = await account(factory, "alice", shown)
    others = [await account(factory, name, *mine) for name, mine in (("h", [hidden]), ("e", [empty]), ("n", []))]
    document = (await client.get("/api/users")).json()
    assert [(each["id"], each["name"], each["label"]) for each in document["users"]] == [(alice, "alice", "alice")]
    assert [link["href"].rsplit("/", 2)[1] for link in rels(document, "child")] == [alice]
    for other in others:
        for path in (f"/api/users/{other}", f"/api/users/{other}/collection"):
            assert (await client.get(path)).status_code == 404
    assert (await client.get("/api/users/search", params={"q": "h"})).json() == {"features": []}


async def test_users_come_page_by_page(client: httpx2.AsyncClient, factory: Factory) -> None:
    made = [await account(factory, f"user {n}", await factory.sequence(line(2.0, 48.0, 1))) for n in range(5)]
    found, path = [], "/api/users?limit=2"
    while path:
        document = (await client.get(path)).json()
        found += [each["id"] for each in document["users"]]
        path = next((link["href"] for link in rels(document, "next")), "")
    assert found == made
    assert (await client.get("/api/users?token=x")).status_code == 400


async def test_search_has_the_same_name_first(client: httpx2.AsyncClient, factory: Factory) -> None:
    names = ["Marianne", "anne", "Anne", "anne-marie", "Zoë 100%", "bob"]
    for name in names:
        await account(factory, name, await factory.sequence(line(2.0, 48.0, 1)))

    async def search(text: str) -> list[str]:
        answer = await client.get("/api/users/search", params={"q": text})
        return [each["name"] for each in answer.json()["features"]]

    assert await search("Anne") == ["Anne", "anne", "anne-marie", "Marianne"]
    assert await search("zoë") == ["Zoë 100%"]
    assert await search("0%") == ["Zoë 100%"]
    assert await search("%") == ["Zoë 100%"]
    assert await search("_") == []
    one = (await client.get("/api/users/search?q=bob")).json()["features"][0]
    assert one["name"] == one["label"] == "bob"
    assert {link["rel"] for link in one["links"]} == {"user-info", "collection"}
    for bad in ("", "\x00", "x" * 300):
        assert (await client.get("/api/users/search", params={"q": bad})).status_code == 400
    assert (await client.get("/api/users/search")).status_code == 400


async def test_one_person_has_one_entry_per_account(client: httpx2.AsyncClient, factory: Factory) -> None:
    """The same name on two instances is two users; the same id is one, the second an alternate."""
    here, there, again = [
        await factory.sequence(line(2.0, 48.0, 1), instance=name) for name in ("north", "south", "west")
    ]
    first = await account(factory, "alice", here)
    second = await account(factory, "alice", there, instance="south")
    await account(factory, "impostor", again, id=first, instance="west")
    found = (await client.get("/api/users/search?q=alice")).json()["features"]
    assert {(each["id"], each["instance_name"]) for each in found} == {(first, "north"), (second, "south")}
    assert [each["id"] for each in (await client.get("/api/users")).json()["users"]] == [first, second]
    user = (await client.get(f"/api/users/{first}")).json()
    assert (user["name"], user["instance_name"], user["nb_pictures"]) == ("alice", "north", 1)
    alternates = [(link["instance_name"], link["href"]) for link in rels(user, "alternate")]
    assert alternates == [("west", f"http://west.example/api/users/{first}")]


async def test_collection_of_a_user_lists_its_sequences(client: httpx2.AsyncClient, factory: Factory) -> None:
    mine = [await factory.sequence(line(2.0 + n, 48.0, 2 + n), title=f"walk {n}") for n in range(3)]
    await factory.sequence(line(9.0, 48.0, 5))
    for number, stored in enumerate(mine):
        await factory.connection.execute(
            "UPDATE sequences SET created = $2, length_m = 500 WHERE n = $1", stored.n, START + timedelta(days=number)
        )
    alice = await account(factory, "alice", *mine)
    document = (await client.get(f"/api/users/{alice}/collection")).json()
    assert document["id"] == f"user:{alice}"
    assert document["stats:items"] == {"count": 9}
    assert document["stats:collections"] == {"count": 3}
    assert document["geovisio:length_km"] == 1.5
    assert document["extent"]["spatial"]["bbox"] == [[2.0, 48.0, 4.0003, 48.0]]
    assert document["providers"] == [{"name": "alice", "roles": ["producer"], "id": alice}]
    children = rels(document, "child")
    assert [each["id"] for each in children] == [each.id for each in reversed(mine)]
    newest = children[0]
    assert newest["stats:items"] == {"count": 4}
    assert {"href", "id", "title", "created", "updated", "extent", "geovisio:length_km"} <= set(newest)
    found, path = [], f"/api/users/{alice}/collection?limit=1&sortby=title"
    while path:
        page = (await client.get(path)).json()
        found += [each["title"] for each in rels(page, "child")]
        path = next((link["href"] for link in rels(page, "next")), "")
    assert found == ["walk 0", "walk 1", "walk 2"]
    near = (await client.get(f"/api/users/{alice}/collection", params={"bbox": "3,47,3.5,49"})).json()
    assert [each["id"] for each in rels(near, "child")] == [mine[1].id]


async def test_documents_of_users_are_valid_stac(client: httpx2.AsyncClient, factory: Factory) -> None:
    alice = await account(factory, "alice", await factory.sequence(line(2.0, 48.0, 2)))
    for path in ("", f"/{alice}", f"/{alice}/collection", f"/{alice}/catalog"):
        for form in (path, path + "/"):
            document = (await client.get(f"/api/users{form}")).json()
            document["stac_extensions"] = []
            pystac.validation.validate_dict(document)
            for link in document["links"]:
                if link["href"].startswith(str(client.base_url)):
                    assert (await client.get(link["href"])).status_code in (200, 400), link


@pytest.mark.parametrize("path", [f"/{UNKNOWN}", "/me", "/%00", f"/{UNKNOWN}/collection", f"/{UNKNOWN}/catalog/"])
async def test_unknown_user_is_404(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/users{path}")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


async def test_sequences_of_a_contributor_as_a_table(serving: Serving, factory: Factory) -> None:
    made = [
        await factory.sequence(line(2.0 + n, 48.0, n + 1), title=title) for n, title in enumerate(("a", "=1+1", "é"))
    ]
    alice = await account(factory, "alice", *made)
    await account(factory, "bob", await factory.sequence(line(9.0, 48.0, 1)))
    path = f"/api/users/{alice}/collection"
    async with serving(collections_limit_max=2) as client:
        answer = await client.get(path, params={"format": "csv", "limit": "1", "sortby": "stats:items"})
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["id"] for row in rows] == [each.id for each in made]
        assert [row["name"] for row in rows] == ["a", "'=1+1", "é"]
        assert [row["nb_pictures"] for row in rows] == ["1", "2", "3"]
        assert {(row["status"], row["license"], row["instance"]) for row in rows} == {("ready", "etalab-2.0", "north")}
        assert (rows[2]["min_x"], rows[2]["max_y"], rows[2]["capture_date"]) == ("4.0", "48.0", "2024-05-02")
        assert [row["id"] for row in csv.DictReader(io.StringIO((await client.get(
            path, params={"format": "csv", "bbox": "2.9,47,3.1,49"})).text))] == [made[1].id]  # fmt: skip
        asked = await client.get(path, headers={"accept": "text/csv"})
        assert asked.headers["content-type"].startswith("text/csv")
        assert (await client.get(path)).json()["type"] == "Collection"
        refused = await client.get(path, params={"format": "xml"})
        assert refused.status_code == 400 and refused.json()["details"]["parameter"] == "format"

"""Lists of sequences: orders, filters, pages both ways, what was taken back, and the feed."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest

from catalog_api.search.listing import list_params, list_sequences
from catalog_api.search.listing_order import SORTABLE
from catalog_api.state import Catalog
from tests.catalog_factory import START, Factory, Shot, line

GONE = "geovisio:status"


async def ids(client: httpx2.AsyncClient, **params: str | int) -> list[str]:
    answer = await client.get("/api/collections", params=params)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["collections"]]


async def walk(client: httpx2.AsyncClient, rel: str, href: str, **params: str | int) -> list[list[str]]:
    """The ids of every page from an address on, following a rel."""
    pages = []
    answer = (await client.get(href, params=params or None)).json()
    while True:
        pages.append([each["id"] for each in answer["collections"]])
        following = link_of(answer, rel)
        if following is None:
            return pages
        answer = (await client.get(following)).json()
        assert len(pages) < 50


def link_of(answer: dict[str, Any], rel: str) -> str | None:
    return next((str(link["href"]) for link in answer["links"] if link["rel"] == rel), None)


@pytest.fixture
async def several(factory: Factory) -> list[str]:
    """Nine sequences that differ in everything that can be sorted by, with ties and with gaps."""
    found = []
    for number in range(9):
        shots = line(2.0 + number / 10, 48.0, 1 + number % 3, start=START + timedelta(days=number % 4))
        stored = await factory.sequence(shots, title=f"rue {number % 5}")
        await factory.connection.execute(
            "UPDATE sequences SET updated = $2, created = $3, length_m = $4 WHERE n = $1",
            stored.n,
            None if number == 4 else START + timedelta(hours=number % 3),
            None if number in (2, 5) else START - timedelta(days=number),
            float(number % 2) * 1.1,
        )
        found.append(stored.id)
    return found


@pytest.mark.parametrize("sortby", [*SORTABLE, "-updated", "-created,+id", "title,-datetime", "-stats:items,title,-id"])
async def test_every_order_is_walked_whole_both_ways(
    client: httpx2.AsyncClient, several: list[str], sortby: str
) -> None:
    whole = await ids(client, sortby=sortby)
    assert sorted(whole) == sorted(several)
    pages = await walk(client, "next", "/api/collections", sortby=sortby, limit=2)
    assert [each for page in pages for each in page] == whole
    first = (await client.get("/api/collections", params={"sortby": sortby, "limit": 2})).json()
    last = link_of(first, "last")
    assert last is not None
    back = await walk(client, "prev", last)
    assert [each for page in reversed(back) for each in page] == whole


async def test_orders_are_what_they_say(client: httpx2.AsyncClient, several: list[str]) -> None:
    documents = (await client.get("/api/collections", params={"sortby": "-created"})).json()["collections"]
    assert [each["id"] for each in documents] == [several[n] for n in (0, 1, 3, 4, 6, 7, 8)] + sorted(
        (several[2], several[5]), reverse=True
    )
    counts = (await client.get("/api/collections", params={"sortby": "stats:items"})).json()["collections"]
    assert [each["stats:items"]["count"] for each in counts] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert await ids(client, sortby=" created") == await ids(client, sortby="+created")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sortby", "nothing"),
        ("sortby", "updated,created,title,datetime,id"),
        ("sortby", "\x00"),
        ("filter", "nothing = 1"),
        ("filter", "updated > 'yesterday'"),
        ("filter", "updated >"),
        ("q", "x" * 200),
        ("q", "\x00"),
        ("show_deleted", "maybe"),
        ("format", "atom"),
        ("token", "bm9wZQ"),
        ("page", "created > '2024'"),
        ("bbox", "1,2,3"),
        ("datetime", "later"),
        ("limit", "0"),
    ],
)
async def test_bad_parameters_are_400_and_named(client: httpx2.AsyncClient, name: str, value: str) -> None:
    answer = await client.get("/api/collections", params={name: value})
    assert answer.status_code == 400
    assert answer.json()["details"]["parameter"] in (name, "token")


async def test_token_of_another_list_is_400(client: httpx2.AsyncClient, several: list[str]) -> None:
    first = (await client.get("/api/collections", params={"limit": 2, "sortby": "title"})).json()
    following = link_of(first, "next")
    assert following is not None
    assert (await client.get(following.replace("sortby=title", "sortby=id"))).status_code == 400


async def test_forms_of_an_instance_work(client: httpx2.AsyncClient, several: list[str]) -> None:
    """What harvesters of instances ask, in their words."""
    after = (START + timedelta(hours=1)).isoformat()
    expected = {several[n] for n in range(9) if n % 3 >= 1 and n != 4}
    assert set(await ids(client, filter=f"updated >= '{after}'", sortby="+updated")) == expected
    middle = sorted(expected)[2]
    found = await ids(client, filter=f"updated >= '{after}' AND id > '{middle}'", sortby="+id", limit=1000)
    assert found == [each for each in sorted(expected) if each > middle]
    both = f"status IN ('deleted','ready') AND updated >= '{after}'"
    assert set(await ids(client, filter=both)) == expected
    assert set(await ids(client, filter="created IS NULL")) == {several[2], several[5]}


async def test_free_text_finds_titles_contributors_and_instances(client: httpx2.AsyncClient, factory: Factory) -> None:
    one = await factory.sequence(line(2.0, 48.0, 1), title="Rue de Rivoli 50%")
    other = await factory.sequence(line(2.0, 48.0, 1), title="quai", instance="south")
    account = await factory.connection.fetchval(
        "INSERT INTO accounts (id, instance, name) VALUES ($1, 1, 'Zoé') RETURNING n", uuid.uuid4()
    )
    await factory.connection.execute("UPDATE sequences SET account = $1 WHERE n = $2", account, other.n)
    assert await ids(client, q="rivoli") == [one.id]
    assert await ids(client, q="50%") == [one.id]
    assert await ids(client, q="5_%") == []
    assert await ids(client, q="zoé") == [other.id]
    assert await ids(client, q="SOUTH,rivoli") == [one.id, other.id]
    assert await ids(client, q="nothing") == []


async def test_box_and_dates_hold_together_with_an_order(client: httpx2.AsyncClient, factory: Factory) -> None:
    west = await factory.sequence([Shot(longitude=179.99, latitude=-17.0), Shot(longitude=-179.97, latitude=-17.0)])
    east = await factory.sequence(line(10.0, 50.0, 3, start=START + timedelta(days=400)))
    await factory.sequence(line(20.0, 50.0, 3))
    assert await ids(client, bbox="179,-18,-179,-16", sortby="-created") == [west.id]
    assert await ids(client, bbox="9,49,11,51", datetime="2025-01-01/..", sortby="id") == [east.id]
    assert await ids(client, bbox="9,49,11,51", datetime="../2025-01-01") == []


async def test_number_matched_is_given_when_it_is_known(client: httpx2.AsyncClient, several: list[str]) -> None:
    assert (await client.get("/api/collections")).json()["numberMatched"] == 9
    part = (await client.get("/api/collections", params={"limit": 2})).json()
    assert "numberMatched" not in part
    asked = await client.get("/api/collections", params={"limit": 2, "count": "exact", "filter": "created IS NULL"})
    assert asked.json()["numberMatched"] == 2
    part = (await client.get("/api/collections", params={"limit": 2, "count": "exact"})).json()
    assert part["numberMatched"] == 9


# --- what was taken back ------------------------------------------------------------------------------------------


async def take_back(factory: Factory, n: int, *, when: datetime = START) -> None:
    await factory.connection.execute(
        "UPDATE sequences SET state = 'removed', served = false, updated = NULL, payload = NULL, account = NULL,"
        " title = '', removed_at = CASE WHEN served THEN $2 ELSE removed_at END, indexed = $2 WHERE n = $1",
        n,
        when,
    )


async def test_only_what_was_served_once_is_shown_as_deleted(client: httpx2.AsyncClient, factory: Factory) -> None:
    shown = await factory.sequence(line(2.0, 48.0, 1))
    gone = await factory.sequence(line(2.0, 48.0, 1), title="secret")
    never = await factory.sequence(line(2.0, 48.0, 1), served=False)
    await take_back(factory, gone.n)
    await take_back(factory, never.n)
    assert await ids(client) == [shown.id]
    answer = (await client.get("/api/collections", params={"show_deleted": "true"})).json()["collections"]
    assert [each for each in answer if each["id"] != shown.id] == [{"id": gone.id, GONE: "deleted"}]
    assert (await client.get(f"/api/collections/{gone.id}")).status_code == 404
    assert await ids(client, filter="status = 'deleted'", show_deleted="true") == [gone.id]
    assert await ids(client, filter="status = 'ready'", show_deleted="true") == [shown.id]
    assert await ids(client, filter="status IN ('deleted','ready')", sortby="id") == sorted([shown.id, gone.id])


async def test_a_copy_that_is_still_served_elsewhere_is_not_deleted(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    first = await factory.sequence(line(2.0, 48.0, 1))
    second = await factory.sequence(line(2.0, 48.0, 1), instance="south", id=first.id, served=False)
    await take_back(factory, first.n)
    await factory.connection.execute("UPDATE sequences SET served = true WHERE n = $1", second.n)
    answer = (await client.get("/api/collections", params={"show_deleted": "true"})).json()["collections"]
    assert [(each["id"], each.get(GONE)) for each in answer] == [(first.id, None)]
    await take_back(factory, second.n, when=START + timedelta(days=1))
    answer = (await client.get("/api/collections", params={"show_deleted": "true"})).json()["collections"]
    assert answer == [{"id": first.id, GONE: "deleted"}]


@pytest.mark.parametrize("sortby", ["+updated", "-updated", "panofed:indexed", "-created,+id", "id"])
async def test_deleted_ones_stand_in_the_order_and_pages(
    client: httpx2.AsyncClient, factory: Factory, several: list[str], sortby: str
) -> None:
    """A deleted one's `updated` is when it went: a follower that asks by it learns of it."""
    for number in (1, 4, 7):
        n = await factory.connection.fetchval("SELECT n FROM sequences WHERE id = $1", several[number])
        await take_back(factory, n, when=START + timedelta(minutes=30 * number))
    whole = await ids(client, sortby=sortby, show_deleted="true")
    assert sorted(whole) == sorted(several)
    pages = await walk(client, "next", "/api/collections", sortby=sortby, limit=2, show_deleted="true")
    assert [each for page in pages for each in page] == whole
    since = (START + timedelta(hours=1, minutes=30)).isoformat()
    found = await ids(client, filter=f"updated > '{since}'", show_deleted="true", sortby="updated")
    assert {several[4], several[7]} <= set(found)
    assert several[1] not in found


# --- the feed -----------------------------------------------------------------------------------------------------

GEORSS = "{http://www.georss.org/georss}point"


async def test_feed_is_rss_with_places_as_latitude_longitude(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 3), title="<b>&\x02 été</b>")
    fiji = await factory.sequence([Shot(longitude=179.99, latitude=-17.0), Shot(longitude=-179.97, latitude=-17.0)])
    answer = await client.get("/api/collections", params={"format": "rss"})
    assert answer.headers["content-type"].startswith("application/rss+xml")
    channel = ElementTree.fromstring(answer.content).find("channel")
    assert channel is not None
    items = channel.findall("item")
    assert {item.findtext("title") for item in items} == {"<b>& été</b>", "a walk"}
    points = {item.findtext("guid", "").rsplit("/", 1)[1]: item.findtext(GEORSS) for item in items}
    assert points[fiji.id] == "-17.0 -179.99"
    for item in items:
        latitude, longitude = map(float, item.findtext(GEORSS, "").split())
        assert -90 <= latitude <= 90
        assert -180 <= longitude <= 180
        assert item.findtext("pubDate", "").endswith("GMT")
        assert (await client.get(item.findtext("guid", ""))).status_code == 200
    near = await client.get("/api/collections", params={"format": "rss", "bbox": "1,47,3,49"})
    assert len(ElementTree.fromstring(near.content).findall("channel/item")) == 1


async def test_feed_has_the_newest_first(client: httpx2.AsyncClient, several: list[str]) -> None:
    answer = await client.get("/api/collections/", params={"format": "rss", "limit": 3})
    items = ElementTree.fromstring(answer.content).findall("channel/item")
    assert [item.findtext("guid", "").rsplit("/", 1)[1] for item in items] == [several[n] for n in (0, 1, 3)]


# --- cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({}, "sequences_indexed"),
        ({"sortby": "-updated"}, "sequences_updated"),
        ({"sortby": "-created,+id"}, "sequences_created"),
        ({"sortby": "datetime"}, "sequences_latest"),
        ({"sortby": "-id"}, "sequences_served"),
        ({"sortby": "panofed:indexed", "show_deleted": "true"}, "sequences_indexed"),
        ({"filter": "id > '77777777-0000-4000-8000-000000000000'", "sortby": "id"}, "sequences_served"),
    ],
)
async def test_orders_walk_an_index(catalog: Catalog, factory: Factory, params: dict[str, str], index: str) -> None:
    """Neither the first page nor a later one sorts all there is."""
    n = await factory.instance()
    chance = random.Random(4)
    await factory.connection.copy_records_to_table(
        "sequences",
        records=[
            (str(uuid.UUID(int=chance.getrandbits(128), version=4)), n, "merged", True, START + timedelta(seconds=k),
             *(START + timedelta(seconds=chance.randrange(9_000)) for _ in range(2)), 1, START)
            for k in range(3_000)
        ],
        columns=["id", "instance", "state", "served", "indexed", "updated", "created", "pictures", "datetime_max"],
    )  # fmt: skip
    await factory.connection.execute("ANALYZE sequences")
    plans = Plans(catalog)
    first = await list_sequences(plans, list_params(params, 1_000, order="+panofed:indexed"))  # type: ignore[arg-type]
    await list_sequences(plans, list_params(params | {"token": first.turns["next"]}, 1_000, order="+panofed:indexed"))  # type: ignore[arg-type]
    assert len(plans.seen) == 2
    for plan in plans.seen:
        assert f"using {index} on" in plan, plan
        assert "Seq Scan on sequences s" not in plan, plan


class Plans:
    """Asks the catalog's index and keeps the plan of each statement."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.seen = catalog, list[str]()

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        rows = await self.catalog.connections.fetch(f"EXPLAIN (COSTS OFF) {statement}", *arguments)
        self.seen.append("\n".join(row[0] for row in rows))
        return await self.catalog.connections.fetch(statement, *arguments)

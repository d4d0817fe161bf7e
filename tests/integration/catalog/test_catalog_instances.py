"""Instances as the catalog tells of them: health, figures, logos; the catalog's own configuration and landing page."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from catalog_api.index.figures import Kept
from tests.catalog_factory import Factory, Serving, line


async def told(client: httpx2.AsyncClient, name: str = "north") -> dict[str, Any]:
    answer = await client.get(f"/api/instances/{name}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def say(factory: Factory, assignments: str, *values: object) -> None:
    await factory.connection.execute(f"UPDATE instances SET {assignments} WHERE name = 'north'", *values)


async def test_counts_are_kept_for_a_stated_time(serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 3))
    async with serving(figures_age_s=600) as kept, serving(figures_age_s=0) as fresh:
        assert (await told(kept))["nb_pictures"] == (await told(fresh))["nb_pictures"] == 3
        await factory.sequence(line(2.0, 48.0, 2))
        await factory.sequence(line(2.0, 48.0, 2), served=False)
        assert (await told(kept))["nb_pictures"] == 3
        now = await told(fresh)
        assert (now["nb_pictures"], now["nb_sequences"]) == (5, 2)


async def test_a_kept_value_is_computed_by_one_while_others_get_the_former() -> None:
    computed, going = [], asyncio.Event()

    async def compute() -> int:
        computed.append(1)
        await going.wait()
        return len(computed)

    kept = Kept(0.0, compute)
    first = [asyncio.create_task(kept.get()) for _ in range(3)]
    await asyncio.sleep(0)
    going.set()
    await asyncio.gather(*first)
    going.clear()
    before = len(computed)
    again = asyncio.create_task(kept.get())
    await asyncio.sleep(0)
    assert await kept.get() == before
    going.set()
    assert await again == before + 1


@pytest.mark.parametrize(
    ("assignments", "stale"),
    [
        ("last_success_at = now()", None),
        ("last_success_at = now(), state = 'braked', state_reason = 'lost 900 of 1,000'", "stopped"),
        ("last_success_at = now(), state = 'paused'", "paused"),
        ("last_success_at = now(), state = 'disabled'", "not harvested"),
        ("last_success_at = now(), failures = 1, last_error = 'no answer'", "failed"),
        ("last_success_at = NULL", "not been visited"),
    ],
)
async def test_stale_says_why(
    client: httpx2.AsyncClient, factory: Factory, assignments: str, stale: str | None
) -> None:
    await factory.instance()
    await say(factory, assignments)
    found = await told(client)
    assert found["stale"] is (stale is not None)
    assert stale is None or stale in found["stale_reason"]


async def test_health_is_told(client: httpx2.AsyncClient, factory: Factory) -> None:
    n = await factory.instance()
    await say(factory, "last_success_at = now() - interval '90 s', next_visit_at = now() + interval '1 h',"
              " capabilities = '{\"listing\": \"links\", \"kind\": \"stac\"}'")  # fmt: skip
    await factory.connection.execute(
        "INSERT INTO freshness (instance, day, le_s, changes) VALUES ($1, current_date, 60, 96),"
        " ($1, current_date, 3600, 4), ($1, current_date - 30, 86400, 1000)",
        n,
    )
    found = await told(client)
    assert 90 <= found["lag_s"] < 120
    assert found["last_succesful_harvest"] == found["last_successful_harvest"]
    assert found["next_visit"] is not None
    assert found["freshness"] == {"changes": 100, "median_s": 60, "p95_s": 60}
    assert "deletions are not signalled" in found["capabilities"]
    await factory.connection.execute("INSERT INTO paces (instance, open_until) VALUES ($1, now() + interval '1 h')", n)
    assert "does not answer" in (await told(client))["stale_reason"]


async def test_found_by_name_before_id(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.instance("north")
    await factory.instance("south")
    await factory.connection.execute("UPDATE instances SET id = 'north' || id WHERE name = 'south'")
    assert (await told(client, "northsouth"))["name"] == "south"
    assert (await told(client))["name"] == "north"


@pytest.mark.parametrize(
    ("logo", "led"),
    [
        ("http://north.example/logo.png", True),
        ("http://north.example/a/logo.JPG?x=1", True),
        ("https://assets.example/logo.webp", True),
        ("http://north.example/logo.svg", False),
        ("http://north.example/logo.svg?.png", False),
        ("http://elsewhere.example/logo.png", False),
        ("http://north.example@elsewhere.example/logo.png", False),
        ("http://user:word@north.example/logo.png", False),
        ("http://north.example:81/logo.png", False),
        ("javascript:alert(1)//logo.png", False),
        ("data:image/png;base64,AAAA", False),
        ("http://north.example/\r\nset-cookie:a.png", False),
        ("//north.example/logo.png", False),
        ("http://[/logo.png", False),
        (17, False),
        (None, False),
    ],
)
async def test_only_raster_logos_of_the_instance_are_led_to(
    client: httpx2.AsyncClient, factory: Factory, logo: object, led: bool
) -> None:
    await factory.instance(hosts=["assets.example"])
    await say(factory, "configuration = $1::jsonb", orjson.dumps({"logo": logo}).decode())
    answer = await client.get("/api/instances/north/logo/")
    if led:
        assert (answer.status_code, answer.headers["location"]) == (302, logo)
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content.startswith(b"\x89PNG")
    assert (await client.get("/api/instances/nobody/logo")).status_code == 404


async def test_licence_is_told_when_all_share_one(serving: Serving, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 1))
    licence = {"id": "etalab-2.0", "url": "https://licences.example/etalab"}
    await say(factory, "configuration = $1::jsonb", orjson.dumps({"license": licence}).decode())
    async with serving(figures_age_s=0, catalog_contact="a@example.org", catalog_colour="#aa0000") as client:
        configuration = (await client.get("/api/configuration")).json()
        assert configuration["license"] == licence
        assert configuration["licenses"] == [licence]
        assert (configuration["email"], configuration["color"]) == ("a@example.org", "#aa0000")
        landing = (await client.get("/api")).json()
        assert [link["href"] for link in landing["links"] if link["rel"] == "license"] == [licence["url"]]
        assert landing["contacts"][0]["emails"] == [{"value": "a@example.org"}]
        other = await factory.sequence(line(2.0, 48.0, 1))
        await factory.connection.execute("UPDATE sequences SET license = 'CC0-1.0' WHERE n = $1", other.n)
        configuration = (await client.get("/api/configuration")).json()
        assert configuration["license"] == {}
        assert configuration["licenses"] == [{"id": "CC0-1.0"}, licence]
        landing = (await client.get("/api")).json()
        assert not [link for link in landing["links"] if link["rel"] == "license"]


async def test_landing_page_has_the_links_clients_look_for(client: httpx2.AsyncClient) -> None:
    links = (await client.get("/api")).json()["links"]
    rels = {link["rel"] for link in links}
    assert {
        "self", "root", "service-desc", "service-doc", "conformance", "data", "search", "users", "user-search", "child",
        "collection-preview", "item-preview", "http://www.opengis.net/def/rel/ogc/1.0/queryables",
    } <= rels  # fmt: skip
    assert "report" not in rels
    assert {link["type"] for link in links if link["rel"] == "data"} == {"application/json", "application/rss+xml"}
    assert {link["method"] for link in links if link["rel"] == "search"} == {"GET", "POST"}
    for link in links:
        if "{" not in link["href"] and link.get("method") != "POST":
            answer = await client.get(link["href"])
            assert answer.status_code == (400 if link["rel"] == "user-search" else 200), link
            assert link["rel"] == "user-search" or answer.headers["content-type"].startswith(link["type"]), link


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/collections"), ("POST", "/api/upload_sets"), ("PATCH", "/api/users/me"), ("DELETE", "/api/users"),
     ("POST", "/api/users/search"), ("PUT", "/api/instances/north"), ("POST", "/api/reports"), ("POST", "/api/stats")],
)  # fmt: skip
async def test_nothing_is_contributed_here(client: httpx2.AsyncClient, method: str, path: str) -> None:
    for form in (path, path + "/"):
        answer = await client.request(method, form, json={})
        assert answer.status_code in (404, 405)
        assert answer.json()["message"]


async def test_every_new_path_answers_head_and_options(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.0, 48.0, 1))
    for path in ("/api/users", "/api/users/search?q=a", "/api/instances/north/logo", "/api/stats", "/openapi.json",
                 "/api/docs/specs.json", "/api/docs/swagger", "/api/collections?format=rss"):  # fmt: skip
        address, _, asked = path.partition("?")
        for form in (path, f"{address}/?{asked}"):
            got, head = await client.get(form), await client.head(form)
            assert (got.status_code, head.status_code, head.content) == (200, 200, b""), form
            assert got.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in got.headers
            assert (await client.options(form)).status_code == 204


async def test_a_visit_of_long_ago_is_a_long_lag(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.instance()
    await say(factory, "last_success_at = now() - $1::interval", timedelta(days=2))
    assert (await told(client))["lag_s"] >= 2 * 86_400

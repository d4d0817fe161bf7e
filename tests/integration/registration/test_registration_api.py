"""Registrations and checks by API: what is answered, streamed, refused; and what no stranger sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from catalog_api.app import build_app
from federation.database import Role, open_pool
from federation.registrations import approve
from harvester.checking import checks_to_do, do_check
from tests.harvest_world import harvest_settings
from tests.integration.catalog.conftest import answering
from tests.integration.registration.conftest import Desk

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(desk) as client:
        yield client


class serving:
    """A catalog on a socket of its own, above the desk's index."""

    def __init__(self, desk: Desk, **overrides: Any) -> None:
        self.settings = harvest_settings(**({"registration": "moderated", "client_checks_per_hour": 100} | overrides))
        self.desk = desk

    async def __aenter__(self) -> httpx2.AsyncClient:
        self.app = answering(build_app(self.settings, self.desk.dsn), self.settings)
        base = await self.app.__aenter__()
        self.client = httpx2.AsyncClient(base_url=base, timeout=20, verify=False)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.app.__aexit__(None, None, None)


def wish(desk: Desk, **more: Any) -> dict[str, Any]:
    said = {"url": desk.instance.url, "name": "here", "contact": "me@here.example", "blurring": "automatic"}
    return said | more


async def test_a_check_is_asked_for_and_shown(client: httpx2.AsyncClient, desk: Desk) -> None:
    desk.instance.open_api = False
    asked = await client.post("/api/instances/check", json={"url": desk.instance.url})
    assert asked.status_code == 202
    where = asked.json()["links"][0]["href"]
    assert asked.headers["location"] == where
    waiting = (await client.get(where)).json()
    assert (waiting["state"], waiting["outcome"], waiting["steps"]) == ("waiting", None, [])
    assert await desk.work() == ["failed"]
    shown = (await client.get(where)).json()
    assert (shown["state"], shown["outcome"], shown["kind"]) == ("ended", "failed", "first")
    (cors,) = [each for each in shown["steps"] if each["name"] == "cors"]
    assert cors["state"] == "failed"
    assert cors["findings"][0]["code"] == "cors_api_lacks"
    assert "Access-Control-Allow-Origin" in cors["findings"][0]["advice"]
    french = (await client.get(where, params={"lang": "fr"})).json()
    assert "Faites envoyer" in str(french["steps"])
    again = await client.post("/api/instances/check", json={"url": f"{desk.instance.url}/"})
    assert again.json()["id"] == asked.json()["id"], "the result is kept"


async def test_a_check_is_followed_as_events(client: httpx2.AsyncClient, desk: Desk) -> None:
    asked = (await client.post("/api/instances/check", json={"url": desk.instance.url})).json()
    desk.instance.slow_s = 0.05
    working = asyncio.create_task(desk.work())
    events: list[tuple[str, Any]] = []
    async with client.stream("GET", f"/api/instances/checks/{asked['id']}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            if line.startswith("data: "):
                events.append((name, json.loads(line[6:])))
    await working
    assert events[-1] == ("end", {"outcome": "warned"})
    states = [(data["name"], data["state"]) for name, data in events if name == "step"]
    ended = {name for name, state in states if state != "running"}
    assert {"address", "landing", "changes"} <= ended
    assert any(state == "running" for _, state in states), "steps are seen as they begin"


async def test_without_a_worker_it_is_told(client: httpx2.AsyncClient, desk: Desk) -> None:
    asked = (await client.post("/api/instances/check", json={"url": desk.instance.url})).json()
    await desk.admin.execute("UPDATE checks SET asked_at = now() - interval '20 seconds'")
    assert (await client.get(f"/api/instances/checks/{asked['id']}")).json()["no_worker"] is True
    async with client.stream("GET", f"/api/instances/checks/{asked['id']}/events") as answer:
        async for line in answer.aiter_lines():
            if line == "event: waiting":
                break


async def test_an_instance_is_registered_proved_and_shown(client: httpx2.AsyncClient, desk: Desk) -> None:
    made = await client.post("/api/instances", json=wish(desk, cadence_s=90, note="hello"))
    assert made.status_code == 201
    told = made.json()
    where = told["links"][0]["href"]
    assert (told["state"], told["name"], told["cadence_s"]) == ("checking", "here", 90)
    assert told["token"].startswith("panofed_")
    assert made.headers["cache-control"] == "no-store"
    shown = (await client.get(where)).json()
    assert "token" not in shown and "me@here.example" not in str(shown)
    assert await desk.work() == ["warned"]
    desk.instance.publish(told["proof"]["text"])
    looked = await client.post(f"/api/registrations/{told['id']}/check")
    assert looked.status_code == 202
    assert await desk.work() == ["warned"]
    shown = (await client.get(where)).json()
    assert (shown["state"], shown["proved_by"]) == ("awaiting-approval", "well-known")
    refused = await client.post(f"/api/registrations/{told['id']}/check")
    assert refused.status_code == 409
    number = await desk.admin.fetchval("SELECT n FROM registrations")
    await approve(desk.visitor, number, "token 1")
    assert (await client.get(where)).json()["state"] == "approved"
    names = [each["name"] for each in (await client.get("/api/instances")).json()["instances"]]
    assert names == ["here"]
    pinged = await client.post("/api/instances/here/ping", headers={"authorization": f"Bearer {told['token']}"})
    assert pinged.status_code == 202, "the token is the operator's now"


#: By field: values that cannot be used.
WRONG: tuple[tuple[str, Any], ...] = (
    ("url", "ftp://a.org"), ("url", 7), ("name", "No"), ("contact", ""), ("blurring", "x"), ("cadence_s", -1),
    ("cadence_s", True), ("note", ["a"]), ("colour", "red"),
)  # fmt: skip


async def test_a_wrong_member_is_named(client: httpx2.AsyncClient, desk: Desk) -> None:
    for field, value in WRONG:
        answer = await client.post("/api/instances", json=wish(desk) | {field: value})
        assert answer.status_code == 400
        assert answer.json()["details"]["parameter"] == field
    assert await desk.admin.fetchval("SELECT count(*) FROM registrations") == 0


async def test_a_body_that_cannot_be_read(client: httpx2.AsyncClient) -> None:
    for path in ("/api/instances", "/api/instances/check"):
        for body in (b"[]", b"{", b"\xff", b'{"url":' + b"[" * 5_000):
            assert (await client.post(path, content=body)).status_code == 400, body[:20]
        assert (await client.post(path, content=b"x" * 30_000)).status_code == 413


async def test_what_is_taken_is_a_conflict_or_named(client: httpx2.AsyncClient, desk: Desk) -> None:
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'there', $1, 'enabled')", desk.instance.url
    )
    answer = await client.post("/api/instances", json=wish(desk))
    assert answer.status_code == 400
    assert "the instance 'there'" in answer.json()["message"]


async def test_what_is_unknown_is_404(client: httpx2.AsyncClient) -> None:
    for id in (UNKNOWN, "1", "x", "%00", "../../etc"):
        for path in (f"/api/registrations/{id}", f"/api/instances/checks/{id}", f"/api/instances/checks/{id}/events"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.post(f"/api/registrations/{id}/check")).status_code == 404, id


async def test_where_registration_is_off_nothing_is_checked_for_strangers(desk: Desk) -> None:
    async with serving(desk, registration="off") as client:
        for path, body in (("/api/instances", wish(desk)), ("/api/instances/check", {"url": desk.instance.url})):
            assert (await client.post(path, json=body)).status_code == 403
    assert desk.instance.requests == []
    assert await checks_to_do(desk.pool, desk.settings) == []


async def test_one_client_lets_few_be_checked(desk: Desk) -> None:
    async with serving(desk, client_checks_per_hour=2) as client:
        for number in range(2):
            url = f"https://a{number}.example.org/api"
            assert (await client.post("/api/instances/check", json={"url": url})).status_code == 202
        for path, body in (("/api/instances/check", {"url": "https://b.example.org"}), ("/api/instances", wish(desk))):
            answer = await client.post(path, json=body)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) > 60
    assert await desk.admin.fetchval("SELECT count(*) FROM registrations") == 0


async def test_all_clients_together_let_some_be_checked(desk: Desk) -> None:
    async with serving(desk, checks_per_hour=1) as client:
        assert (await client.post("/api/instances/check", json={"url": "https://a.example.org"})).status_code == 202
        answer = await client.post("/api/instances/check", json={"url": "https://b.example.org"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")


async def test_by_the_guard_as_it_is_delivered_nothing_inside_is_asked(desk: Desk) -> None:
    """No loopback, https only: a check of this machine fails at its first step, and nobody was asked."""
    async with serving(desk) as client:
        ids = [
            (await client.post("/api/instances/check", json={"url": url})).json()["id"]
            for url in (desk.instance.url, "https://10.0.0.1/api", "https://[::1]/api")
        ]
        settings = harvest_settings(outbound_allow_loopback=False, outbound_allow_http=False)
        async with open_pool(desk.dsn, Role.WRITER, settings) as pool:
            for number in await checks_to_do(pool, settings):
                assert await do_check(pool, number, settings) == "failed"
        for id in ids:
            steps = (await client.get(f"/api/instances/checks/{id}")).json()["steps"]
            assert [(each["name"], each["findings"][0]["code"]) for each in steps] == [("address", "address_refused")]
    assert desk.instance.requests == []

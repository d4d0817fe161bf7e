"""Operators and administrators by API: a token, the same acts as on the pages, and nothing without the right scope."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from federation.tokens import Scope, create_token
from tests.catalog_factory import Factory, line
from tests.desk import Browser, bearer

NORTH = "/api/operator/instances/north"


@pytest.fixture
async def north(factory: Factory) -> int:
    await factory.sequence(line(2.35, 48.85, 3))
    await factory.connection.execute("UPDATE instances SET source = 'registered'")
    return await factory.instance()


@pytest.fixture
async def operator(factory: Factory, north: int) -> dict[str, str]:
    return await bearer(factory.connection, north)


@pytest.fixture
async def admin(factory: Factory, north: int) -> dict[str, str]:
    return await bearer(factory.connection, None)


async def done(
    client: httpx2.AsyncClient, path: str, shown: dict[str, str], body: Any = None, status: int = 200
) -> Any:
    answer = await client.post(path, json=body, headers=shown) if body is not None else await client.post(
        path, headers=shown
    )  # fmt: skip
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_own_instance(client: httpx2.AsyncClient, factory: Factory, operator: dict[str, str]) -> None:
    await factory.connection.execute("UPDATE instances SET id = 'stable'")
    assert (await client.get("/api/operator/instances/stable", headers=operator)).json()["name"] == "north"
    own = (await client.get(NORTH, headers=operator)).json()
    assert (own["name"], own["state"], own["nb_pictures"], own["editable"]) == ("north", "enabled", 3, True)
    chosen = {"cadence_s": 60, "requests_per_s": 0.5, "concurrency": 1, "quiet_hours": "01:00-02:00"}
    answer = await client.patch(NORTH, json=chosen, headers=operator)
    assert answer.json() == {"done": "changed"}
    own = (await client.get(NORTH, headers=operator)).json()
    assert own["choices"] == chosen | {"contact": ""}
    await client.patch(NORTH, json={"cadence_s": None}, headers=operator)
    assert (await client.get(NORTH, headers=operator)).json()["choices"]["cadence_s"] is None


async def test_what_cannot_be_chosen_is_named(client: httpx2.AsyncClient, operator: dict[str, str]) -> None:
    for body, named in (
        (b'{"cadence_s": true}', "cadence_s"), (b'{"cadence_s": 1}', "cadence_s"), (b'{"state": "left"}', "state"),
        (b'{"concurrency": "a"}', "concurrency"), (b'{"contact": 7}', "contact"),
        (b'{"quiet_hours": {}}', "quiet_hours"), (b"[]", "body"), (b"{", "body"),
        (b'{"contact": "a\\u0000b@c.example"}', "contact"), (b"[" * 5_000, "body"), (b'{"cadence_s": 1e999}', "body"),
    ):  # fmt: skip
        answer = await client.patch(NORTH, content=body, headers=operator)
        assert answer.status_code == 400, body
        assert answer.json()["details"]["parameter"] == named, body


async def test_acts(client: httpx2.AsyncClient, factory: Factory, operator: dict[str, str]) -> None:
    assert await done(client, f"{NORTH}/pause", operator, {"reason": "moving"}) == {"done": "paused"}
    assert (await client.get(NORTH, headers=operator)).json()["state_reason"] == "moving"
    await done(client, f"{NORTH}/harvest", operator, status=409)
    assert await done(client, f"{NORTH}/resume", operator) == {"done": "resumed"}
    await done(client, f"{NORTH}/resume", operator, status=409)
    assert await done(client, f"{NORTH}/harvest", operator) == {"done": "harvest"}
    assert await done(client, f"{NORTH}/reconcile", operator) == {"done": "reconcile"}
    await done(client, f"{NORTH}/leave", operator, {}, 400)
    await done(client, f"{NORTH}/choices", operator, {}, 404)
    assert await done(client, f"{NORTH}/leave", operator, {"name": "north"}) == {"done": "leaving"}
    rows = await factory.connection.fetch("SELECT DISTINCT actor FROM events")
    assert [row["actor"] for row in rows] == ["token 1"]


async def test_lists_are_bounded(
    client: httpx2.AsyncClient, factory: Factory, north: int, operator: dict[str, str]
) -> None:
    for _ in range(3):
        await factory.connection.execute("INSERT INTO runs (instance, outcome) VALUES ($1, 'done')", north)
    await factory.connection.execute(
        "INSERT INTO quarantine (instance, sequence, id, field, problem, body)"
        " VALUES ($1, gen_random_uuid(), 'p', 'geometry', 'none', '\\xff')", north,
    )  # fmt: skip
    runs = (await client.get(f"{NORTH}/runs?limit=2", headers=operator)).json()["runs"]
    assert [run["n"] for run in runs] == [3, 2]
    runs = (await client.get(f"{NORTH}/runs?before=2", headers=operator)).json()["runs"]
    assert [run["n"] for run in runs] == [1]
    assert (await client.get(f"{NORTH}/quarantine", headers=operator)).json()["quarantine"][0]["body"] == "\ufffd"
    assert (await client.get(f"{NORTH}/errors", headers=operator)).json() == {"errors": []}
    for wrong in ("limit=0", "limit=a", "before=-1", "before=99999999999999999999"):
        assert (await client.get(f"{NORTH}/runs?{wrong}", headers=operator)).status_code == 400


READS = (NORTH, f"{NORTH}/runs", f"{NORTH}/errors", f"{NORTH}/quarantine")
ADMIN_READS = tuple(
    f"/api/admin/{what}" for what in ("instances", "registrations", "takedowns", "tokens", "links", "events")
)
ADMIN_ACTS = (
    "/api/admin/instances/north/confirm-brake", "/api/admin/instances/north/hosts",
    "/api/admin/registrations/1/approve",
    "/api/admin/takedowns", "/api/admin/takedowns/1/end", "/api/admin/tokens", "/api/admin/tokens/1/revoke",
    "/api/admin/links", "/api/admin/links/1/revoke",
)  # fmt: skip


async def test_scopes(client: httpx2.AsyncClient, factory: Factory, north: int, operator: dict[str, str]) -> None:
    south = await factory.instance("south")
    ping = await bearer(factory.connection, north, Scope.PING)
    other = await bearer(factory.connection, south)
    for path in READS:
        for shown, status in ((ping, 403), (other, 403), ({}, 401), (operator, 200)):
            assert (await client.get(path, headers=shown)).status_code == status, path
    for path in ADMIN_READS:
        for shown, status in ((ping, 403), (operator, 403), ({}, 401)):
            assert (await client.get(path, headers=shown)).status_code == status, path
    for path in (*ADMIN_ACTS, f"{NORTH}/pause"):
        assert (await client.post(path, headers=other)).status_code == 403, path
        assert (await client.post(path)).status_code == 401, path
    assert await factory.connection.fetchval("SELECT count(*) FROM events") == 0


async def test_a_cookie_opens_nothing_of_the_api(client: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    browser = Browser(client)
    secret = await create_token(factory.connection, Scope.ADMIN, None)
    assert (await browser.sign_in(secret)).status_code == 303
    for path in (*READS, *ADMIN_READS):
        assert (await client.get(path, headers=browser.headers())).status_code == 401
    assert (await browser.post(f"{NORTH}/pause", {})).status_code == 401


async def test_administrators_do_all_of_it_by_api(
    client: httpx2.AsyncClient, factory: Factory, admin: dict[str, str]
) -> None:
    for path in (*READS, *ADMIN_READS):
        assert (await client.get(path, headers=admin)).status_code == 200, path
    await factory.connection.execute("UPDATE instances SET state = 'braked'")
    await done(client, f"{NORTH}/resume", admin, status=409)
    assert await done(client, "/api/admin/instances/north/refuse-brake", admin) == {"done": "brake_refused"}
    moved = await done(client, f"{NORTH}/move", admin, {"url": "https://new.example/api"})
    assert moved == {"done": "moved"}
    await done(client, "/api/admin/instances/north/explode", admin, status=404)
    kinds = [each["kind"] for each in (await client.get("/api/admin/events", headers=admin)).json()["events"]]
    assert kinds == ["moved", "resumed", "brake-refused"]
    events = (await client.get("/api/admin/events?kind=moved&limit=1", headers=admin)).json()["events"]
    assert events[0]["details"]["after"] == "https://new.example/api" and events[0]["actor"] == "token 1"
    assert (await client.get("/api/admin/events?kind=nothing", headers=admin)).status_code == 400


async def test_administrators_confirm_hosts_of_pictures(
    client: httpx2.AsyncClient, operator: dict[str, str], admin: dict[str, str]
) -> None:
    path = "/api/admin/instances/north/hosts"
    assert await done(client, path, admin, {"asset_hosts": ["CDN.example"]}) == {"done": "changed"}
    assert await done(client, path, admin, {"asset_hosts": ["cdn.example"]}) == {"done": "unchanged"}
    assert (await client.get(NORTH, headers=operator)).json()["asset_hosts"] == ["cdn.example"]
    unfit: tuple[Any, ...] = (["https://cdn.example"], [7], {}, [f"h{n}.example" for n in range(21)])
    for wrong in unfit:
        assert "asset_hosts" in (await done(client, path, admin, {"asset_hosts": wrong}, status=400))["message"]
    await done(client, path, operator, {"asset_hosts": []}, status=403)
    await done(client, f"{NORTH}/pause", operator, {"asset_hosts": []}, status=400)
    assert (await client.get(NORTH, headers=operator)).json()["asset_hosts"] == ["cdn.example"]


async def test_tokens_and_links_by_api(client: httpx2.AsyncClient, factory: Factory, admin: dict[str, str]) -> None:
    asked = {"scope": "operator", "instance": "north", "label": "Ana", "expires_days": 1}
    secret = (await done(client, "/api/admin/tokens", admin, asked, 201))["secret"]
    own = {"authorization": f"Bearer {secret}"}
    assert (await client.get(NORTH, headers=own)).status_code == 200
    listed = await client.get("/api/admin/tokens", headers=admin)
    assert secret not in listed.text
    assert [(each["scope"], each["instance"], each["label"]) for each in listed.json()["tokens"]] == [
        ("admin", None, ""), ("operator", "north", "Ana"),
    ]  # fmt: skip
    await done(client, "/api/admin/tokens/2/revoke", admin)
    await done(client, "/api/admin/tokens/2/revoke", admin, status=404)
    assert (await client.get(NORTH, headers=own)).status_code == 401
    made = await done(client, "/api/admin/links", admin, {"instance": "north", "hours": 2}, 201)
    browser = Browser(client)
    assert (await browser.sign_in(made["address"].partition("#")[2])).status_code == 303
    await browser.get("/operator/north")
    await done(client, f"/api/admin/links/{made['n']}/revoke", admin)
    await browser.get("/operator/north", 303)
    for wrong in ({"scope": "root"}, {"scope": "ping", "instance": 3}, {"scope": "admin", "expires_days": 0}, {}):
        await done(client, "/api/admin/tokens", admin, wrong, 400)
    await done(client, "/api/admin/tokens", admin, {"scope": "ping", "instance": "nobody"}, 404)
    await done(client, "/api/admin/links", admin, {"hours": 1e9}, 400)


async def test_an_operators_move_has_to_be_proved(
    client: httpx2.AsyncClient, factory: Factory, operator: dict[str, str]
) -> None:
    asked = await done(client, f"{NORTH}/move", operator, {"url": "https://new.example/api"})
    assert asked["done"] == "move_asked"
    row = await factory.connection.fetchrow("SELECT id::text, url, moves FROM registrations")
    assert row is not None
    assert tuple(row) == (asked["registration"], "https://new.example/api", 1)
    assert await factory.connection.fetchval("SELECT url FROM instances") != "https://new.example/api"


async def test_takedowns_by_api(client: httpx2.AsyncClient, factory: Factory, admin: dict[str, str]) -> None:
    picture = str(await factory.connection.fetchval("SELECT id FROM locator LIMIT 1"))
    assert (await client.get(f"/api/pictures/{picture}")).status_code == 200
    asked = {"kind": "picture", "id": picture, "reason": "a face"}
    made = await done(client, "/api/admin/takedowns", admin, asked, 201)
    assert (made["is_new"], made["pictures"]) == (True, 1)
    assert (await client.get(f"/api/pictures/{picture}")).status_code == 404
    (listed,) = (await client.get("/api/admin/takedowns", headers=admin)).json()["takedowns"]
    assert (listed["id"], listed["reason"], listed["actor"], listed["ended_at"]) == (picture, "a face", "token 1", None)
    await done(client, f"/api/admin/takedowns/{made['n']}/end", admin)
    await done(client, f"/api/admin/takedowns/{made['n']}/end", admin, status=409)
    for wrong in ({"kind": "user"}, {"id": "x"}, {"reason": " "}):
        await done(client, "/api/admin/takedowns", admin, asked | wrong, 400)


async def test_a_token_that_has_run_out_is_none(client: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    secret = await create_token(factory.connection, Scope.OPERATOR, north, lasts=timedelta(seconds=-1))
    assert (await client.get(NORTH, headers={"authorization": f"Bearer {secret}"})).status_code == 401

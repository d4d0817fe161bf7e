"""Pings: who may say that an instance changed, how often, and what happens then."""

from __future__ import annotations

import logging
from datetime import timedelta

import asyncpg
import httpx2
import pytest

from federation.tokens import Scope, create_token, list_tokens, revoke_token
from tests.catalog_factory import Factory, Serving


async def ping(client: httpx2.AsyncClient, secret: str | None, name: str = "north") -> httpx2.Response:
    headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
    return await client.post(f"/api/instances/{name}/ping", headers=headers)


async def later(connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE instances SET next_visit_at = now() + interval '1 hour', pinged_at = NULL")


async def test_ping_makes_the_instance_due(client: httpx2.AsyncClient, factory: Factory) -> None:
    n = await factory.instance()
    secret = await create_token(factory.connection, Scope.PING, n)
    await later(factory.connection)
    answer = await ping(client, secret)
    assert answer.status_code == 202
    assert answer.json()["instance"] == "north"
    assert set(answer.json()["visit"]) == {"pinged_at", "next_visit_at"}
    assert "access-control-allow-credentials" not in answer.headers
    row = await factory.connection.fetchrow("SELECT next_visit_at <= now() AS due, pinged_at FROM instances")
    assert row is not None
    assert row["due"]
    assert row["pinged_at"] is not None
    assert (await list_tokens(factory.connection, n))[0].used_at is not None


@pytest.mark.parametrize(
    "secret", [None, "panofed_", "x" * 5_000, "panofed_" + "a" * 42 + "\xe9", "panofed_" + "a" * 43]
)
async def test_without_a_token_it_is_401(client: httpx2.AsyncClient, factory: Factory, secret: str | None) -> None:
    await factory.instance()
    await later(factory.connection)
    headers = [] if secret is None else [(b"authorization", b"Bearer " + secret.encode("latin-1"))]
    answer = await client.post("/api/instances/north/ping", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["status"] == 401
    assert await factory.connection.fetchval("SELECT pinged_at IS NULL FROM instances")


async def test_a_token_that_has_run_out_or_was_taken_back_is_none(client: httpx2.AsyncClient, factory: Factory) -> None:
    n = await factory.instance()
    old = await create_token(factory.connection, Scope.PING, n, lasts=timedelta(seconds=-1))
    taken = await create_token(factory.connection, Scope.PING, n, lasts=timedelta(days=1))
    assert await revoke_token(factory.connection, 2)
    assert not await revoke_token(factory.connection, 2)
    for secret in (old, taken):
        assert (await ping(client, secret)).status_code == 401


async def test_a_token_is_for_its_instance_only(client: httpx2.AsyncClient, factory: Factory) -> None:
    north, south = await factory.instance("north"), await factory.instance("south")
    mine = await create_token(factory.connection, Scope.OPERATOR, north)
    everywhere = await create_token(factory.connection, Scope.ADMIN, None)
    assert (await ping(client, mine)).status_code == 202
    assert (await ping(client, mine, "south")).status_code == 403
    assert (await ping(client, everywhere, "south")).status_code == 202
    assert (await ping(client, mine, "nobody")).status_code == 404
    assert (await ping(client, mine, "%00")).status_code == 404
    assert south != north


async def test_too_many_pings_are_429(serving: Serving, factory: Factory) -> None:
    secret = await create_token(factory.connection, Scope.PING, await factory.instance())
    async with serving(ping_interval_s=600) as client:
        assert (await ping(client, secret)).status_code == 202
        again = await ping(client, secret)
        assert again.status_code == 429
        assert int(again.headers["retry-after"]) == 600
    async with serving(ping_interval_s=0) as client:
        assert (await ping(client, secret)).status_code == 202


async def test_an_instance_that_is_not_visited_is_409(client: httpx2.AsyncClient, factory: Factory) -> None:
    secret = await create_token(factory.connection, Scope.PING, await factory.instance())
    await factory.connection.execute("UPDATE instances SET state = 'paused'")
    assert (await ping(client, secret)).status_code == 409


async def test_tokens_are_neither_kept_nor_logged(
    client: httpx2.AsyncClient, factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = await create_token(factory.connection, Scope.PING, await factory.instance())
    for wanted in ("north", "nobody"):
        answer = await ping(client, secret, wanted)
        assert secret not in answer.text + str(answer.headers)
    assert secret not in caplog.text
    kept = await factory.connection.fetchval("SELECT t::text FROM tokens t")
    assert secret not in kept
    assert secret.removeprefix("panofed_") not in kept


async def test_only_post(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.instance()
    assert (await client.get("/api/instances/north/ping")).status_code == 405
    assert (await client.options("/api/instances/north/ping/")).status_code == 204

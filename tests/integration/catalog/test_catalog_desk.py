"""The operator's page: let in by a link, what it shows, and what can be done there."""

from __future__ import annotations

import httpx2
import pytest

from tests.catalog_factory import Factory, line
from tests.desk import Browser, signed_in, text_of


async def row_of(factory: Factory, name: str = "north") -> dict[str, object]:
    row = await factory.connection.fetchrow("SELECT * FROM instances WHERE name = $1", name)
    assert row is not None
    return dict(row)


async def kinds(factory: Factory) -> list[str]:
    return [row["kind"] for row in await factory.connection.fetch("SELECT kind FROM events ORDER BY n")]


@pytest.fixture
async def operator(client: httpx2.AsyncClient, factory: Factory) -> Browser:
    await factory.sequence(line(2.35, 48.85, 3))
    number = await factory.instance()
    await factory.connection.execute("UPDATE instances SET source = 'registered'")
    return await signed_in(client, factory.connection, number)


async def test_a_link_leads_to_the_page_of_its_instance(operator: Browser, factory: Factory) -> None:
    answer = await operator.client.get("/operator", headers=operator.headers())
    assert (answer.status_code, answer.headers["location"]) == (303, "/operator/north")
    page = text_of(await operator.get("/operator/north"))
    assert "north visited" in " ".join(page.split())
    assert "3" in page
    assert await kinds(factory) == ["link-made", "link-used"]


async def test_pausing_and_resuming(operator: Browser, factory: Factory) -> None:
    await operator.get("/operator/north")
    page = await operator.do("/operator/north/pause", reason="  moving\thouse ")
    assert "It is paused." in page
    row = await row_of(factory)
    assert (row["state"], row["state_reason"], row["operator_paused"]) == ("paused", "moving house", True)
    await operator.do("/operator/north/resume")
    assert (await row_of(factory))["state"] == "enabled"
    assert (await kinds(factory))[-2:] == ["paused", "resumed"]
    actors = await factory.connection.fetch("SELECT DISTINCT actor FROM events WHERE kind IN ('paused', 'resumed')")
    assert [row["actor"] for row in actors] == ["link 1"]

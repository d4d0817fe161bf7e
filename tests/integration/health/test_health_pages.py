"""The pages of health: what is in them without a script, in both languages, and what hostile instances say."""

from __future__ import annotations

import re
from html import unescape

import asyncpg
import httpx2
import orjson
import pytest

from bench.history import Past, seed
from tests.integration.health.test_health_answers import admin, begin

__all__ = ["admin"]

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def text_of(client: httpx2.AsyncClient, path: str, status: int = 200) -> str:
    answer = await client.get(path, headers={"accept-language": "en"})
    assert answer.status_code == status, answer.text[:500]
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    return answer.text


def visible(page: str) -> str:
    """The words of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_a_hundred_instances_are_on_one_page(client: httpx2.AsyncClient, admin: asyncpg.Connection) -> None:
    past = await seed(admin, instances=100, days=90)
    page = await text_of(client, "/instances")
    assert all(f'href="/instances/{each.name}"' in page for each in past)
    assert page.count('class="strip"') == 100
    # as it is sent, and for a browser to lay out
    packed = await client.get("/instances", headers={"accept-encoding": "br"})
    assert int(packed.headers["content-length"]) < 40_000 and page.count("<path") < 500
    assert "failing" in visible(page) and "up to date" in visible(page)


@pytest.fixture
async def past(admin: asyncpg.Connection) -> list[Past]:
    return await seed(admin, instances=6, days=20)


async def test_an_instance_has_a_page_with_all_that_is_known(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    page = await text_of(client, f"/instances/{past[3].name}")
    words = visible(page)
    for each in (
        "up to date",
        f"{past[3].pictures:,}",
        "2.15.1",
        f"contact@{past[3].name}.example",
        "Certificate until",
    ):
        assert each in words, each
    assert page.count("<title>") == 91, "one for the page, one for each day"
    # its entry says that registration is open
    assert "Anybody may make an account there" in words and f'href="https://{past[3].name}.example"' in page
    closed = visible(await text_of(client, f"/instances/{past[1].name}"))
    assert "Only those to whom its operator gave an account" in closed
    run = re.search(r'href="/runs/(\d+)"', page)
    assert run is not None
    assert f"Visit {run[1]} of {past[3].name}" in visible(await text_of(client, f"/runs/{run[1]}"))
    older = re.search(r'href="(/instances/[^"]*before=\d+)"', page)
    assert older is not None and f"/runs/{run[1]}" not in await text_of(client, unescape(older[1]))
    await text_of(client, "/instances/nobody", 404)
    await text_of(client, "/runs/99999999", 404)
    await text_of(client, "/runs/x", 400)


async def test_a_visit_under_way_is_seen_without_a_script(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    number = await begin(admin, past[2].n, pictures_expected=100, pictures_seen=50, phase="first crawl")
    for path in ("/instances", f"/instances/{past[2].name}", f"/runs/{number}"):
        page = await text_of(client, path)
        assert '<progress max="1" value="0.5000"' in page and "at least" in visible(page), path


async def test_the_pages_are_french_too(client: httpx2.AsyncClient, past: list[Past]) -> None:
    for path, said in (
        ("/instances", "en cours de lecture"),
        (f"/instances/{past[0].name}", "dernier succès"),
        ("/runs/1", "requêtes"),
    ):  # fmt: skip
        page = (await client.get(f"{path}?lang=fr")).text
        assert said in visible(page).lower() and 'lang="fr"' in page
        assert "lang=fr" in page


async def test_whatever_an_instance_says_is_text(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    configuration = {
        "name": {"label": EVIL, "langs": {"en": EVIL}},
        "description": EVIL,
        "geo_coverage": {"en": EVIL},
        "email": EVIL,
        "license": {"id": EVIL, "url": "javascript:alert(1)"},
        "logo": "javascript:alert(1)",
        "auth": {"enabled": True, "registration_is_open": True},
    }
    await admin.execute(
        "UPDATE instances SET configuration = $1, version = $2, contact = $2, last_error = $2, failures = 9,"
        " url = 'javascript:alert(1)//'",
        orjson.dumps(configuration).decode(), EVIL,
    )  # fmt: skip
    await admin.execute("UPDATE runs SET last_error = $1, phase = $1", EVIL)
    await admin.execute("UPDATE days SET last_error = $1", EVIL)
    await admin.execute(
        "INSERT INTO events (kind, instance, actor, public, subject, details) VALUES ('down', 1, 'x', true, $1, $2)",
        EVIL, orjson.dumps({"reason": EVIL, "name": EVIL}).decode(),
    )  # fmt: skip
    await admin.execute(
        "INSERT INTO events (kind, actor, public, subject, details) VALUES ($1, 'x', true, $1, $2)",
        EVIL, orjson.dumps({"reason": EVIL, "name": EVIL, "seconds": EVIL}).decode(),
    )  # fmt: skip
    number = await begin(admin, past[2].n, pictures_expected=10, pictures_seen=5, phase=EVIL, last_error=EVIL)
    for path in ("/instances", f"/instances/{past[0].name}", f"/instances/{past[2].name}", f"/runs/{number}"):
        page = await text_of(client, path)
        assert "<script>alert" not in page and "<img src=x" not in page and "javascript:" not in page, path
        # no value has got out of its attribute
        assert not re.search(r"<[^>]*\sonerror=", re.sub(r'"[^"]*"|\'[^\']*\'', "", page)), path
    await admin.execute("UPDATE instances SET state = 'braked', state_reason = $1", EVIL)
    page = await text_of(client, f"/instances/{past[0].name}")
    assert "<script>alert" not in page and "alert(1)" in visible(page)


async def test_configurations_of_any_shape_make_a_page(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    shapes: list[object] = [[], 7, "x", {"name": [], "auth": 3, "license": "x", "email": {}}, {"name": {"langs": 5}}]
    for configuration in shapes:
        await admin.execute("UPDATE instances SET configuration = $1", orjson.dumps(configuration).decode())
        assert "does not say who may upload" in visible(await text_of(client, f"/instances/{past[0].name}"))
        await text_of(client, "/instances")


async def test_an_empty_federation_has_its_page(client: httpx2.AsyncClient) -> None:
    assert "None is registered yet." in visible(await text_of(client, "/instances"))

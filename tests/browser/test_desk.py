"""Operators and administrators in a real browser: links, a cookie no script and no other site gets at, the pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from catalog_api.app import build_app
from federation.links import make_link
from federation.settings import load_settings
from tests.browser.conftest import ARTEFACTS
from tests.browser.test_pages import violations
from tests.browser.visitor import DESK, PHONE, Met, Visitor
from tests.catalog_factory import Factory, line
from tests.integration.catalog.conftest import answering, factory
from tests.integration.conftest import database

__all__ = ["database", "factory"]

PAGES = (
    "/operator/north", "/operator/north/leave", "/admin", "/admin/registrations", "/admin/takedowns", "/admin/access",
    "/admin/log",
)  # fmt: skip


@dataclass(slots=True)
class Desks:
    """A catalog with one instance, and how somebody is let into it."""

    base: str
    factory: Factory
    open: Callable[..., Awaitable[Visitor]]

    async def link(self, instance: int | None) -> str:
        made = await make_link(self.factory.connection, instance, "command line", lasts=timedelta(hours=1))
        return made.address(self.base)

    async def enter(self, instance: int | None, **options: Any) -> Visitor:
        """Somebody who opens a link and signs in with it."""
        visitor = await self.open(await self.link(instance), **options)
        await visitor.page.get_by_role("button", name=re.compile("Sign in|Se connecter")).click()
        await visitor.page.wait_for_url(re.compile("/(admin|operator/north)"))
        return visitor


@pytest.fixture
async def desks(
    browser: Browser, database: str, factory: Factory, request: pytest.FixtureRequest
) -> AsyncIterator[Desks]:
    await factory.sequence(line(2.35, 48.85, 3))
    n = await factory.instance()
    connection = factory.connection
    await connection.execute(
        "UPDATE instances SET source = 'registered', last_error = 'status 503', version = '2.14.0'"
    )
    await connection.execute(
        "INSERT INTO runs (instance, outcome, sequences_seen, pictures_changed, requests, last_error, last_error_url)"
        " VALUES ($1, 'done', 12345, 67890, 432, '', ''),"
        " ($1, 'failed', 12, 0, 3, 'it answers with status 503', 'https://north.example/api/collections')", n,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO retries (instance, sequence, next_at, error) SELECT 1, id, now(), 'cut off' FROM sequences"
    )
    await connection.execute(
        "INSERT INTO quarantine (instance, sequence, id, field, problem, body)"
        " VALUES ($1, gen_random_uuid(), gen_random_uuid()::text, 'geometry', 'is not a point', $2)",
        n, b'{"type":"Feature","id":"...","geometry":null,"properties":{"datetime":"2024-05-02T09:00:00Z"}}' * 9,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO registrations (url, place, name, contact, blurring, proof, state, note) VALUES"
        " ('https://south.example/api', 'south.example/api', 'south', 'ana@south.example', 'automatic', 'x',"
        " 'awaiting-approval', 'Pictures of the city, taken by bicycle')"
    )
    await connection.execute(
        "INSERT INTO takedowns (kind, id, reason, actor) VALUES ('picture', gen_random_uuid(), 'a face', 'link 1')"
    )
    settings = load_settings(pool_size=4, session_on_loopback_http=True)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(answering(build_app(settings, database), settings))

        async def open_page(address: str, **options: Any) -> Visitor:
            context = await browser.new_context(**({"viewport": DESK, "locale": "en-GB"} | options))
            stack.push_async_callback(context.close)
            page, met = await context.new_page(), Met()
            context.on("console", met.take_message)
            page.on("pageerror", lambda error: met.errors.append(str(error)))
            visitor = Visitor(page=page, base=base, met=met)
            visitor.shots = ARTEFACTS / re.sub(r"\W+", "-", request.node.name).strip("-")
            await page.goto(address)
            return visitor

        yield Desks(base, factory, open_page)


async def row(desks: Desks) -> dict[str, Any]:
    found = await desks.factory.connection.fetchrow("SELECT * FROM instances")
    assert found is not None
    return dict(found)


async def test_a_link_is_opened_once_and_leaves_no_trace(desks: Desks) -> None:
    address = await desks.link(1)
    visitor = await desks.open(address)
    page = visitor.page
    assert page.url == f"{desks.base}/sign-in", "the secret is out of the address and the history"
    assert await page.locator("input[name=secret]").input_value() == address.partition("#")[2]
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/operator/north")
    assert await page.evaluate("document.cookie") == ""
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    again = await desks.open(address)
    await again.page.get_by_role("button", name="Sign in").click()
    assert await again.page.get_by_role("alert").is_visible()
    assert visitor.met.errors == []


async def test_an_operator_steers_the_own_instance(desks: Desks) -> None:
    page = (await desks.enter(1)).page
    await page.get_by_label("Reason, which everybody may read").fill("moving house")
    await page.get_by_role("button", name="Pause").click()
    assert await page.get_by_text("It is paused.").is_visible()
    assert (await row(desks))["state_reason"] == "moving house"
    await page.get_by_role("button", name="Resume").click()
    await page.get_by_label("Seconds between visits").fill("120")
    await page.get_by_role("button", name="Save").click()
    assert (await row(desks))["cadence_s"] == 120
    await page.get_by_role("link", name="Leave the federation...").click()
    await page.get_by_label("Write north to go on").fill("north")
    await page.get_by_role("button", name="Remove north for good").click()
    await page.wait_for_url("**said=leaving")
    assert (await row(desks))["state"] == "leaving"


async def test_pages_of_other_sites_do_and_read_nothing(desks: Desks) -> None:
    """With somebody signed in, in the same browser; the form's token is the right one, which no other site knows."""
    page = (await desks.enter(1)).page
    form = await page.locator("input[name=form]").first.input_value()
    evil = await page.context.new_page()
    await evil.goto("about:blank")
    await evil.set_content(
        f"<form method=post action='{desks.base}/operator/north/pause'><input name=form value='{form}'></form>"
    )
    async with evil.expect_navigation():
        await evil.evaluate("document.forms[0].submit()")
    assert evil.url == f"{desks.base}/sign-in", "without the cookie nobody is known there"
    await evil.goto("about:blank")
    for address, how in (("/operator/north", "include"), ("/api/operator/instances/north", "include")):
        said = await evil.evaluate(
            "([url, credentials]) => fetch(url, { credentials }).then(() => 'read', () => 'refused')",
            [desks.base + address, how],
        )
        assert said == "refused", address
    assert (await row(desks))["state"] == "enabled"
    await page.reload()
    assert page.url.endswith("/operator/north"), "who is signed in stays so"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_are_for_everybody(desks: Desks, bundle: Path, scheme: str) -> None:
    visitor = await desks.enter(None, color_scheme=scheme)
    for path in PAGES:
        await visitor.page.goto(desks.base + path)
        for name, size in (("desk", DESK), ("phone", PHONE)):
            await visitor.page.set_viewport_size(size)  # type: ignore[arg-type]
            assert await violations(visitor, bundle) == [], path
            assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (path, name)
            await visitor.page.screenshot(path=f"{visitor.shots}-{path.replace('/', '-')}-{name}.png", full_page=True)
        # French words are longer, and a phone is narrow
        await visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        await visitor.page.goto(f"{desks.base}{path}?lang=fr")
        assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (path, "fr")
        await visitor.page.screenshot(path=f"{visitor.shots}-{path.replace('/', '-')}-fr.png", full_page=True)
    outside = await desks.open(f"{desks.base}/sign-in", color_scheme=scheme)
    assert await violations(outside, bundle) == []
    await outside.shoot("sign-in")
    assert visitor.met.errors == outside.met.errors == []


async def test_without_scripts_the_secret_is_copied(desks: Desks) -> None:
    address = await desks.link(None)
    page: Page = (await desks.open(address, java_script_enabled=False)).page
    await page.get_by_label("Secret of the link, or token").fill(address.partition("#")[2])
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/admin")
    await page.get_by_role("link", name="north").click()
    await page.get_by_role("button", name="Harvest now").click()
    assert await page.get_by_text("Its next visit is due now.").is_visible()

"""An operator registers an instance in a browser: sees the check as it goes on, mends, proves, and is let in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from federation.registrations import approve
from tests.browser.conftest import ARTEFACTS
from tests.browser.test_pages import violations
from tests.browser.visitor import DESK, PHONE, Met, Visitor
from tests.integration.conftest import database
from tests.integration.registration.conftest import Desk, desk
from tests.integration.registration.test_registration_api import serving

__all__ = ["database", "desk"]


@asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[None]:
    """Checks are done as a worker does them, as soon as they are asked for."""

    async def work() -> None:
        while True:
            await desk.work()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def looking(browser: Browser, base: str, **options: Any) -> AsyncIterator[Visitor]:
    """Somebody whose browser asks this catalog and nobody else."""
    context = await browser.new_context(**({"viewport": DESK, "locale": "en-GB"} | options))
    page, met = await context.new_page(), Met()
    context.on("request", met.take_request)
    context.on("console", met.take_message)
    page.on("pageerror", lambda error: met.errors.append(str(error)))
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    try:
        yield Visitor(page=page, base=base, met=met, shots=ARTEFACTS / "registration")
        assert met.hosts <= {urlsplit(base).netloc}
        assert not met.unexpected(), met.unexpected()
    finally:
        await context.close()


async def for_everybody(visitor: Visitor, bundle: Path, name: str) -> None:
    """It fits on a phone, and axe-core finds nothing."""
    for size, viewport in (("phone", PHONE), ("desk", DESK)):
        await visitor.page.set_viewport_size(viewport)  # type: ignore[arg-type]
        assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (name, size)
        await visitor.page.screenshot(path=f"{visitor.shots}-{name}-{size}.png", full_page=True)
    assert await violations(visitor, bundle) == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_an_operator_registers(browser: Browser, bundle: Path, desk: Desk, scheme: str) -> None:
    del desk.instance.configuration["email"]
    desk.instance.open_files = False
    desk.instance.slow_s = 0.1
    async with serving(desk) as client:
        base = str(client.base_url).rstrip("/")
        async with looking(browser, base, color_scheme=scheme) as visitor:
            page = visitor.page
            await visitor.open("/register")
            await for_everybody(visitor, bundle, f"form-{scheme}")
            await page.get_by_label("Address of its API").fill(desk.instance.url)
            await page.get_by_label("A short name").fill("here")
            await page.get_by_label("Whom to write to").fill("me@here.example")
            await page.get_by_label("blurred automatically").check()
            await page.get_by_role("button", name="Register", exact=True).click()
            await page.get_by_text("Your token: keep it").wait_for()
            await for_everybody(visitor, bundle, f"token-{scheme}")
            async with working(desk):
                await page.get_by_role("link", name="See the check").click()
                # steps come by themselves, while it goes on
                await page.locator("li.ok", has_text="Landing page").wait_for()
                await page.get_by_text("What the check has found has to be mended first").wait_for()
                await page.locator("li.failed", has_text="The configuration has no email").wait_for()
                await for_everybody(visitor, bundle, f"failed-{scheme}")
                desk.instance.configuration["email"] = "me@here.example"
                desk.instance.open_files = True
                await page.get_by_role("button", name="Check again").click()
                await page.get_by_text("Prove that this instance is yours").wait_for()
                await for_everybody(visitor, bundle, f"proof-{scheme}")
                desk.instance.publish(await page.locator("[data-proof]").inner_text())
                await page.get_by_role("button", name="It is published").click()
                await page.get_by_text("a moderator decides now").wait_for()
                await for_everybody(visitor, bundle, f"proved-{scheme}")
            await approve(desk.visitor, await desk.admin.fetchval("SELECT n FROM registrations"), "token 1")
            await page.reload()
            await page.get_by_text("It is in the catalog").wait_for()
            await for_everybody(visitor, bundle, f"approved-{scheme}")


async def test_it_works_without_scripts_and_in_french(browser: Browser, desk: Desk) -> None:
    async with serving(desk) as client:
        base = str(client.base_url).rstrip("/")
        options = {"java_script_enabled": False, "locale": "fr-FR"}
        async with looking(browser, base, **options) as visitor, working(desk):
            await visitor.open("/register")
            page = visitor.page
            await page.get_by_label("Adresse de son API").fill(desk.instance.url)
            await page.get_by_role("button", name="Seulement la vérifier").click()
            # the page loads itself again while the check goes on
            await page.get_by_text(re.compile("Elle peut être moissonnée")).wait_for()
            assert await page.locator("li.ok").count() > 8

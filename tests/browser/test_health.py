"""The pages of health in a browser: for everybody, alive, and right when a real instance goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import httpx2
import pytest
from playwright.async_api import Browser

from federation.database import Role, open_pool
from harvester.days import count_held
from harvester.health import watch_health
from harvester.queue import POOL_SIZE, Queue
from harvester.schedule import Service
from panofed.cluster import Cluster
from panofed.demo.geovisio import Instance
from tests.acceptance.federated import FederatedCatalog, federated
from tests.browser.conftest import ARTEFACTS, Visit
from tests.browser.test_pages import violations
from tests.browser.visitor import DESK, PHONE, visiting
from tests.receiver import SECRET, Receiver, receiving

ATOM = "{http://www.w3.org/2005/Atom}"
#: In the page: the state that is shown of an instance.
_STATE = "([id, state]) => document.querySelector(`tr[data-instance='${id}'] .state`)?.classList.contains(state)"
_DRAWN = "() => [...document.querySelectorAll('canvas')].every(each => each.dataset.drawn !== undefined)"
PATHS = ("/instances", "/instances/demo-paris", "/runs/1")


@pytest.fixture(scope="module")
async def counted(site: FederatedCatalog) -> FederatedCatalog:
    """What is held is counted, as the harvester does between visits."""
    pool, settings = site.harvester.pool, site.harvester.settings
    await count_held(pool)
    await watch_health(pool, settings, await pool.fetchval("SELECT now()"))
    return site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_health_is_for_everybody(
    counted: FederatedCatalog, visit: Visit, bundle: Path, path: str, scheme: str
) -> None:
    visitor = await visit(path, color_scheme=scheme)
    assert await violations(visitor, bundle) == []
    for name, size in (("desk", DESK), ("phone", PHONE)):
        await visitor.page.set_viewport_size(size)  # type: ignore[arg-type]
        assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), name
        for each in await visitor.page.locator("figure.chart, img.coverage").all():
            await each.scroll_into_view_if_needed()
        await visitor.until(_DRAWN)
        await visitor.until("() => [...document.images].every(each => each.complete && each.naturalWidth > 0)")
        await visitor.page.screenshot(path=f"{visitor.shots}-{name}.png", full_page=True)
    assert await violations(visitor, bundle) == []


async def test_the_essentials_need_no_script(counted: FederatedCatalog, visit: Visit) -> None:
    visitor = await visit("/instances", java_script_enabled=False, locale="fr-FR")
    page = visitor.page
    assert await page.get_by_role("heading", level=1).inner_text() == "Instances"
    row = page.locator("tr[data-instance]").first
    assert await row.locator("svg.strip path.up").count() == 1
    assert "à jour" in await row.inner_text()
    await row.get_by_role("link").click()
    assert "Derni" in await page.locator("dl.facts").first.inner_text()
    await visitor.shoot("page")


async def test_a_visit_is_seen_as_it_goes_on(counted: FederatedCatalog, visit: Visit) -> None:
    """Told by the catalog: the page asks for nothing again."""
    visitor = await visit("/instances")
    await visitor.until("() => !document.querySelector('[data-idle]').hidden")
    pool = counted.harvester.pool
    number = await pool.fetchval(
        "INSERT INTO runs (instance, pictures_expected, pictures_seen, phase, started_at)"
        " VALUES (1, 400, 100, 'reading changes', now() - interval '30 s') RETURNING n"
    )
    try:
        await visitor.until("n => document.querySelector(`[data-run='${n}'] progress`)?.value === 0.25", number)
        text = await visitor.page.locator(f"[data-run='{number}']").inner_text()
        assert "100 pictures" in text and "left" in text
        await visitor.shoot("running")
        await pool.execute("UPDATE runs SET pictures_seen = 300, alive_at = now() WHERE n = $1", number)
        await visitor.until("n => document.querySelector(`[data-run='${n}'] progress`)?.value === 0.75", number)
    finally:
        await pool.execute("DELETE FROM runs WHERE n = $1", number)
    await visitor.until("() => !document.querySelector('[data-runs] li')")
    assert sum(each.endswith("/api/runs/events") for each in visitor.met.addresses) == 1


@asynccontextmanager
async def followed(site: FederatedCatalog) -> AsyncIterator[None]:
    """Its harvester at work, as `panofed run` has it."""
    harvester, stop = site.harvester, asyncio.Event()
    async with open_pool(harvester.dsn, Role.WRITER, harvester.settings, size=POOL_SIZE) as pool:
        service = Service(harvester=harvester, queue=Queue(pool), on_end=lambda *_: None)
        task = asyncio.create_task(service.run(stop))
        try:
            yield
        finally:
            stop.set()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_instance_that_stops_goes_late_and_down_and_comes_back(
    browser: Browser, cluster: Cluster, template: str, instances: tuple[Instance, Instance], tmp_path: Path
) -> None:
    """The page shows it while it is looked at; the feed and the webhook tell it, each step once."""
    gone = instances[1]
    name = gone.config.name
    quick = {
        "cadence_s": 1.0, "cadence_failing_s": 2.0, "health_late_s": 2.0, "health_failures": 6, "breaker_faults": 0,
        "outbound_attempts": 1, "webhook_secret": SECRET, "notify_kinds": "", "instance_rest_share": 0.0,
    }  # fmt: skip
    async with receiving() as receiver:
        more = quick | {"webhook_url": receiver.url}
        async with federated(cluster, template, instances, tmp_path, **more) as site, followed(site):
            async with visiting(browser, site) as visitor:
                await visitor.open("/instances")
                identifier = await site.harvester.pool.fetchval("SELECT id FROM instances WHERE name = $1", name)
                await visitor.until(_STATE, [identifier, "fresh"])
                await asyncio.to_thread(gone.stop)
                try:
                    await visitor.until(_STATE, [identifier, "late"])
                    await visitor.until(_STATE, [identifier, "failing"])
                    # the whole page follows, and no one has asked for it
                    await visitor.until("() => document.querySelector('[data-states] .failing') !== null")
                    await visitor.page.get_by_text(f"{name} does not answer").wait_for()
                    await visitor.page.screenshot(path=str(ARTEFACTS / "instance-that-stopped.png"))
                finally:
                    await asyncio.to_thread(gone.start)
                await visitor.until(_STATE, [identifier, "fresh"])
            await _told(receiver, identifier, ["joined", "late", "down", "back"])
            feed = ElementTree.fromstring(httpx2.get(site.url.removesuffix("/api") + "/events.atom").content)
            kinds = [each.get("term") for each in feed.iter(f"{ATOM}category")]
            assert sorted(filter(None, kinds)) == ["back", "down", "joined", "joined", "late"]


async def _told(receiver: Receiver, instance: str, kinds: list[str]) -> None:
    """Wait until the receiver has heard it all, and nothing twice."""
    async with asyncio.timeout(30):
        while len(receiver.kinds(instance)) < len(kinds):  # noqa: ASYNC110 (it is told when it is told)
            await asyncio.sleep(0.1)
    assert receiver.kinds(instance) == kinds

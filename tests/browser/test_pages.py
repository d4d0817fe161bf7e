"""The other pages in a browser: readable on a phone, usable by everybody, without errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.federated import FederatedCatalog
from tests.browser.conftest import Visit
from tests.browser.visitor import DESK, PHONE, Visitor

PATHS = ("/sequences", "/sequences?q=nothing-like-it", "/pictures/{}", "/about", "/photo/{}", "/api/docs/swagger")
#: Rules of WCAG 2.2 A and AA, and good practice.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def picture(site: FederatedCatalog) -> str:
    """One that has neighbours on both sides."""
    found: list[dict[str, Any]] = site.get("/search?limit=50")["features"]
    return next(
        str(each["id"]) for each in found if {"prev", "next"} <= {link["rel"] for link in each["links"]}
    )  # fmt: skip


async def violations(visitor: Visitor, bundle: Path, *, outside: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds, as "rule: element"; what is inside of `outside` is not looked at."""
    # not as an element of the page: its policy would refuse it
    await visitor.page.evaluate((bundle / "checks/axe.min.js").read_text(encoding="utf-8"))
    found = await visitor.page.evaluate(
        "([exclude, values]) => axe.run({ exclude: exclude.map(each => [each]) }, { runOnly: { type: 'tag', values } })"
        ".then(({ violations }) => violations.flatMap(each => each.nodes.map(node => `${each.id}: ${node.html}`)))",
        [list(outside), _RULES],
    )
    return sorted(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_for_everybody(visit: Visit, bundle: Path, picture: str, path: str, scheme: str) -> None:
    visitor = await visit(path.format(picture), color_scheme=scheme)
    assert await violations(visitor, bundle) == []
    for name, size in (("desk", DESK), ("phone", PHONE)):
        await visitor.page.set_viewport_size(size)  # type: ignore[arg-type]
        assert await visitor.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), name
        await visitor.shoot(name)
    assert await violations(visitor, bundle) == []


async def test_the_front_page_around_the_viewer_is_for_everybody(visit: Visit, bundle: Path) -> None:
    visitor = await visit("/")
    await visitor.see_map("geovisio_grid", "geovisio_sequences")
    assert await violations(visitor, bundle, outside=("pnx-viewer",)) == []


async def test_sequences_are_searched_by_a_form(visit: Visit) -> None:
    visitor = await visit("/sequences")
    page = visitor.page
    await page.get_by_label("Words in the title").fill("rue de rivoli")
    await page.get_by_label("Order").select_option("title")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**q=rue**")
    assert await page.locator("tbody th a").all_inner_texts() == ["Rue de Rivoli"]
    # the thumbnail comes from the instance
    await visitor.until("() => [...document.images].every(each => each.complete && each.naturalWidth > 0)")
    await page.get_by_label("until").fill("2001-01-01")
    await page.get_by_role("button", name="Search").click()
    assert await page.get_by_role("status").inner_text() == "No sequence matches."


async def test_a_picture_is_shown_and_leads_on(visit: Visit, picture: str) -> None:
    visitor = await visit(f"/pictures/{picture}")
    page = visitor.page
    await visitor.until("() => document.querySelector('figure img').naturalWidth > 0")
    await page.get_by_role("link", name="Next picture").click()
    await page.wait_for_url(lambda address: "/pictures/" in address and picture not in address)
    await page.get_by_role("link", name="Previous picture").click()
    await page.wait_for_url(f"**/pictures/{picture}")
    await page.get_by_role("link", name="Look around on the map").click()
    await visitor.see_picture(picture)


async def test_josm_is_asked_and_its_silence_is_said(visit: Visit, picture: str) -> None:
    """Nobody listens there; the browser counts that as an error of the page."""
    visitor = await visit(f"/pictures/{picture}")
    await visitor.page.get_by_role("link", name="Load in JOSM").click()
    await visitor.page.get_by_text("JOSM does not answer").wait_for()
    asked = [each for each in visitor.met.addresses if each.startswith("http://127.0.0.1:8111/load_and_zoom?left=")]
    assert len(asked) == 1
    visitor.met.hosts.discard("127.0.0.1:8111")
    visitor.met.errors[:] = [each for each in visitor.met.errors if "ERR_CONNECTION_REFUSED" not in each]

"""The life of a real instance, from its registration to its leaving, by the pages that people use."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import geopandas
from playwright.async_api import Browser

from federation.registrations import PROOF_PATH
from panofed.demo.geovisio import Instance
from panofed.demo.origins import Origins
from tests.browser.life import ALONE, Life, living
from tests.browser.visitor import PHONE, Visitor
from tests.integration.conftest import database
from tests.traces import Traces, counted, tile_of

__all__ = ["database"]

NAME = "ville-x"
ATOM = "{http://www.w3.org/2005/Atom}"
#: In the page: the state that is shown of an instance.
_STATE = "([id, state]) => document.querySelector(`tr[data-instance='${id}'] .state`)?.classList.contains(state)"


async def test_an_instance_joins_stops_comes_back_and_leaves(
    browser: Browser, instances: tuple[Instance, Instance], origins: Origins, database: str, tmp_path: Path
) -> None:
    async with living(browser, origins, database, tmp_path) as life:
        await life.eventually(lambda: is_read(life, instances[0].config.name))
        others = await figures(life)
        token = await it_registers(life)
        await it_is_approved(life)
        traces = await it_is_found(life, others)
        await it_goes_and_comes_back(life)
        await it_leaves(life, token, traces)
        assert await figures(life) == others


async def is_read(life: Life, name: str) -> bool:
    """Whether a visit of it went well, and is counted."""
    rows = {each["name"]: each for each in (await life.json("/api/instances"))["instances"]}
    total = (await life.json("/api/search?count=exact&limit=1"))["numberMatched"]
    stats = (await life.json("/api/stats"))["generic_stats"]["nb_pictures"]
    return name in rows and rows[name]["health"]["state"] == "fresh" and total == stats > 0


async def figures(life: Life) -> dict[str, Any]:
    """What the catalog says it holds, counted in every way it has."""
    users = (await life.json("/api/users"))["users"]
    return {"users": sorted(each["id"] for each in users), **(await counted(life.client))}


# --- joining ------------------------------------------------------------------------------------------------------


async def it_registers(life: Life) -> str:
    """By the page: checked, mended, proved. Returns the operator's token."""
    visitor = await life.open("/register")
    page = visitor.page
    async with life.careless():
        await page.get_by_label("Address of its API").fill(life.front.url)
        await page.get_by_label("A short name").fill(NAME)
        await page.get_by_label("Whom to write to").fill("me@ville-x.example")
        await page.get_by_label("blurred automatically").check()
        await page.get_by_role("button", name="Register", exact=True).click()
        token = await page.locator("[data-token]").inner_text()
        await page.get_by_role("link", name="See the check").click()
        await page.get_by_text("What the check has found has to be mended first").wait_for()
        said = await page.locator("li.failed").all_inner_texts()
        assert [each.split("\n")[0].removesuffix(" failed") for each in said] == [
            "Licence", "Reading from other sites (CORS)", "A picture file",
        ], said  # fmt: skip
        assert "Set API_PICTURES_LICENSE_SPDX_ID and API_PICTURES_LICENSE_URL." in said[0]
        assert "Access-Control-Allow-Origin: *" in said[1] and "Access-Control-Allow-Origin: *" in said[2]
        await page.screenshot(path=f"{visitor.shots}-check-failed.png", full_page=True)
    await page.get_by_role("button", name="Check again").click()
    await page.get_by_role("heading", name="Proof", exact=True).wait_for()
    life.front.files[PROOF_PATH] = await page.locator("[data-proof]").inner_text()
    await page.screenshot(path=f"{visitor.shots}-proof.png", full_page=True)
    await page.get_by_role("button", name="It is published").click()
    await page.get_by_text("a moderator decides now").wait_for()
    await page.screenshot(path=f"{visitor.shots}-proved.png", full_page=True)
    await page.close()
    assert NAME not in {each["name"] for each in (await life.json("/api/instances"))["instances"]}
    return token


async def it_is_approved(life: Life) -> None:
    """By an administrator, whom a link from the command line lets in."""
    link = await life.panofed("admin", "link", "create")
    visitor = await life.open(link.removeprefix(life.site.url.removesuffix("/api")))
    page = visitor.page
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/admin")
    await page.get_by_role("link", name="1 registration is open").click()
    # blurred or not? they come from the instance itself
    await visitor.until("() => document.querySelectorAll('.latest img').length > 0")
    await page.locator(".latest img").first.scroll_into_view_if_needed()
    await visitor.until("() => document.querySelector('.latest img').naturalWidth > 0")
    assert urlsplit(life.front.url).netloc in visitor.met.hosts
    await page.screenshot(path=f"{visitor.shots}-to-approve.png", full_page=True)
    await page.get_by_role("button", name="Approve").click()
    await page.get_by_text("It is approved and visited now.").wait_for()
    await page.close()


async def it_is_found(life: Life, others: dict[str, Any]) -> Traces:
    """On the map of the front page, by a click, and by everything else that can be asked."""
    await life.eventually(lambda: is_read(life, NAME))
    traces = await life.traces()
    shown = {path.split("?")[0] for path in await traces.look()}
    (sequence, *_), base = traces.sequences, "/api"
    assert {
        f"{base}/search", f"{base}/collections", f"{base}/collections/{sequence}/items", f"{base}/users", "/sequences",
        f"{base}/changes", f"{base}/users/{traces.user}", f"{base}/map/{tile_of(15, traces.place)}",
        f"{base}/map/{tile_of(13, traces.place)}", f"{base}/users/{traces.user}/map/{tile_of(15, traces.place)}",
    } <= shown, sorted(shown)  # fmt: skip
    joined = await figures(life)
    assert {name for name in joined if joined[name] == others[name]} <= {"pictures in a tile"}
    await life.eventually(lambda: is_exported(life, traces))

    (picture, *_) = (await life.json(f"/api/search?bbox={ALONE}&limit=1"))["features"]
    longitude, latitude = picture["geometry"]["coordinates"]
    visitor = await life.open(f"/?map=19/{latitude}/{longitude}&focus=map")
    await visitor.see_map("geovisio_pictures")
    await visitor.shoot("on-the-map")
    await visitor.click_picture(picture["id"])
    await visitor.see_picture(picture["id"])
    await visitor.shoot("picture")
    from_it = [each for each in visitor.met.addresses if urlsplit(each).netloc == urlsplit(life.front.url).netloc]
    assert any(picture["id"] in each for each in from_it), "the picture comes from the instance itself"
    await visitor.page.close()
    return traces


async def is_exported(life: Life, traces: Traces) -> bool:
    """Whether files of the export have all of its pictures; the manifest must name every file it can read."""
    return len(await exported(life) & traces.ids) == len(traces.ids) - len(traces.sequences) - 1


async def exported(life: Life) -> set[str]:
    """The ids of all pictures in the files that the manifest names."""
    answer = await life.client.get("/api/exports")
    if answer.status_code == 404:
        return set()
    found: set[str] = set()
    for file in answer.json()["files"]:
        body = await life.client.get(f"/api/exports/{file['file']}")
        if body.status_code == 200:
            found |= set(geopandas.read_parquet(io.BytesIO(body.content))["id"])
    return found


# --- away and back ------------------------------------------------------------------------------------------------


async def it_goes_and_comes_back(life: Life) -> None:
    """The page shows it while it is looked at; the webhook and the feeds tell it, each step once."""
    visitor = await life.open("/instances")
    rows = (await life.json("/api/instances"))["instances"]
    identifier = next(each["id"] for each in rows if each["name"] == NAME)
    await visitor.until(_STATE, [identifier, "fresh"])
    await visitor.shoot("fresh")
    await life.stop_instance()
    try:
        await visitor.until(_STATE, [identifier, "late"])
        await visitor.shoot("late")
        await visitor.until(_STATE, [identifier, "failing"])
        await visitor.page.get_by_text(f"{NAME} does not answer").wait_for()
        await visitor.shoot("failing")
        await its_own_page_says_why(life)
    finally:
        await life.start_instance()
    await visitor.until(_STATE, [identifier, "fresh"])
    await visitor.page.get_by_text(f"{NAME} is back").wait_for()
    await visitor.shoot("back")
    await visitor.page.close()
    await is_told(life, identifier, ["joined", "late", "down", "back"])


async def its_own_page_says_why(life: Life) -> None:
    visitor = await life.open(f"/instances/{NAME}", viewport=PHONE, color_scheme="dark")
    assert "502" in await visitor.page.locator("p.note").inner_text()
    await visitor.shoot("own-page-failing")
    await visitor.page.close()


async def is_told(life: Life, identifier: str, wanted: list[str]) -> None:
    """By webhook, whose signature its library verifies, and by both feeds: each event that everybody may know, once."""

    async def heard() -> bool:
        return len(told()) >= len(wanted)

    def told() -> list[str]:
        return [
            each["data"]["kind"] for each in life.receiver.events
            if each["data"]["instance"] == identifier and each["data"]["public"]
        ]  # fmt: skip

    await life.eventually(heard)
    assert told() == wanted
    atom = ElementTree.fromstring((await life.client.get(f"/events.atom?instance={NAME}")).content)
    assert [each.get("term") for each in atom.iter(f"{ATOM}category")] == wanted[::-1]
    feed = (await life.client.get(f"/events.json?instance={NAME}")).json()
    assert [each["tags"][0] for each in feed["items"]] == wanted[::-1]
    # whoever has left is still called by its name, and nothing leads to a page that is gone
    assert {each["_panofed"]["name"] for each in feed["items"]} == {NAME}
    assert {each["data"]["name"] for each in life.receiver.events if each["data"]["instance"] == identifier} == {NAME}
    for address in {each["url"] for each in feed["items"]}:
        assert (await life.client.get(address)).status_code == 200, address


# --- leaving ------------------------------------------------------------------------------------------------------


async def it_leaves(life: Life, token: str, traces: Traces) -> None:
    """Its operator says so by the page, twice; from then on there is no trace of it."""
    rows = (await life.json("/api/instances"))["instances"]
    identifier = next(each["id"] for each in rows if each["name"] == NAME)
    before = (await life.json("/api/changes?since=now"))["next"]
    visitor = await life.open("/sign-in")
    page = visitor.page
    await page.get_by_label("Secret of the link, or token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**/operator/{NAME}")
    await page.screenshot(path=f"{visitor.shots}-operator.png", full_page=True)
    await page.get_by_role("link", name="Leave the federation...").click()
    await page.get_by_label(f"Write {NAME} to go on").fill("ville-y")
    await page.get_by_role("button", name=f"Remove {NAME} for good").click()
    await page.get_by_role("alert").wait_for()
    assert await traces.look(), "nothing happened yet"
    await page.get_by_label(f"Write {NAME} to go on").fill(NAME)
    await page.screenshot(path=f"{visitor.shots}-leave.png", full_page=True)
    await page.get_by_role("button", name=f"Remove {NAME} for good").click()
    await page.get_by_text("It is out of this catalog").wait_for()
    await nothing_is_left(life, traces)
    await page.screenshot(path=f"{visitor.shots}-leaving.png", full_page=True)
    await is_told(life, identifier, ["joined", "late", "down", "back", "leaving", "left"])
    await nothing_is_left(life, traces)
    await life.eventually(lambda: is_complete(life))
    assert not await exported(life) & traces.ids
    gone = await changed_since(life, before)
    assert {each["collection"]: each["kind"] for each in gone} == dict.fromkeys(traces.sequences, "remove")
    await the_map_is_empty(life)
    watcher = await life.open("/instances")
    await watcher.page.get_by_text(f"{NAME} has left the federation", exact=True).wait_for()
    assert await watcher.page.locator("tr[data-instance]").count() == 1
    await watcher.shoot("left")


async def nothing_is_left(life: Life, traces: Traces) -> None:
    """Not anywhere but in the change feed, which tells the removals."""
    assert await traces.look() - {"/api/changes"} == set()
    assert not await exported(life) & traces.ids


async def is_complete(life: Life) -> bool:
    """Whether the export has been written anew."""
    return (await life.json("/api/exports")).get("complete", True) is not False


async def changed_since(life: Life, token: str) -> list[dict[str, Any]]:
    """What the change feed tells since then."""
    found: list[dict[str, Any]] = []
    while True:
        page = await life.json(f"/api/changes?since={token}")
        found += page["changes"]
        token = page["next"]
        if not page["more"]:
            return found


async def the_map_is_empty(life: Life) -> None:
    west, south, east, north = map(float, ALONE.split(","))
    visitor: Visitor = await life.open(f"/?map=16/{(south + north) / 2}/{(west + east) / 2}&focus=map")
    await visitor.until(
        "() => { const map = document.querySelector('pnx-viewer')?.map; return map?.loaded?.() && map.areTilesLoaded()"
        " && map.queryRenderedFeatures().filter(each => each.layer.id.startsWith('geovisio')).length === 0; }"
    )
    await visitor.shoot("no-trace-on-the-map")

"""Somebody who looks at a page: what they do with the map and the pictures, and all that their browser met."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, TimeoutError

from tests.acceptance.federated import ServedCatalog

DESK = {"width": 1100, "height": 700}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 60_000
_CLICKS = 4
#: Errors in the console that are no fault: each with its reason.
EXPECTED_ERRORS: tuple[re.Pattern[str], ...] = (
    # a page that is not there is answered with its status, and the browser says so
    re.compile(r"Failed to load resource: the server responded with a status of 404 \(Not Found\) at \S*/photo/\S*"),
    # as is a form with the wrong name in it
    re.compile(r"Failed to load resource: the server responded with a status of 400 \(Bad Request\) at \S*/leave"),
)
#: In the page: whether the map shows something of these layers.
_SHOWN = """layers => {
  const map = document.querySelector("pnx-viewer")?.map;
  if (!map?.getStyle?.()) return false;
  const here = layers.filter(layer => map.getLayer(layer));
  return here.length > 0 && map.queryRenderedFeatures({ layers: here }).length > 0;
}"""
#: In the page: whether the viewer has let go of its curtain, and takes what is clicked and typed.
_READY = """() => {
  const viewer = document.querySelector("pnx-viewer");
  return Boolean(viewer?.loader && !viewer.loader.isVisible());
}"""
_POINT = """id => {
  const { map } = document.querySelector("pnx-viewer");
  if (!map?.getLayer?.("geovisio_pictures")) return null;
  const found = map.queryRenderedFeatures({ layers: ["geovisio_pictures"] }).find(each => each.properties.id === id);
  if (!found) return null;
  const at = map.project(found.geometry.coordinates), box = map.getCanvas().getBoundingClientRect();
  return [box.x + at.x, box.y + at.y];
}"""
_LOADED = """id => {
  const { psv } = document.querySelector("pnx-viewer");
  return psv?.getPictureMetadata?.()?.id === id && psv.state?.textureData !== undefined && !psv.loader?.isVisible?.();
}"""

#: In the page: whether that picture was asked for, be it there already or not.
_CHOSEN = """id => location.href.includes(id)
  || document.querySelector("pnx-viewer").psv?.getPictureMetadata?.()?.id === id"""
_OF_SEQUENCE = "id => document.querySelector('pnx-viewer').psv?.getPictureMetadata?.()?.sequence?.id === id"


@dataclass
class Met:
    """What a browser met. Without slots: the browser's library marks the objects it calls."""

    hosts: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def take_request(self, request: Request) -> None:
        """A request that left the page, whatever became of it."""
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https"):
            self.hosts.add(parts.netloc)
            self.addresses.append(request.url)

    def take_message(self, message: ConsoleMessage) -> None:
        """A line in the console."""
        if message.type == "error":
            self.errors.append(f"{message.text} at {message.location.get('url', '')}")

    def unexpected(self) -> list[str]:
        """Errors that nobody can explain."""
        return [text for text in self.errors if not any(each.fullmatch(text) for each in EXPECTED_ERRORS)]


@dataclass(slots=True, kw_only=True)
class Visitor:
    """One page in a browser of its own."""

    page: Page
    base: str
    met: Met
    shots: Path = Path()

    async def open(self, path: str) -> None:
        """Go there."""
        await self.page.goto(self.base + path)

    async def shoot(self, name: str) -> None:
        """Keep what is seen."""
        await self.page.screenshot(path=f"{self.shots}-{name}.png")

    async def until(self, script: str, argument: Any = None) -> None:
        """Wait until that is true in the page."""
        await self.page.wait_for_function(script, arg=argument, timeout=PATIENCE_MS)

    async def see_map(self, *layers: str) -> None:
        """Wait until the map shows pictures, by these layers."""
        await self.until(_SHOWN, list(layers))
        await self.until(_READY)

    async def click_picture(self, identifier: str) -> None:
        """Click where the map shows a picture; once more, as people do, where a busy page missed it."""
        await self.until(_READY)
        for _ in range(_CLICKS):
            await self._click(identifier)
            with suppress(TimeoutError):
                await self.page.wait_for_function(_CHOSEN, arg=identifier, timeout=PATIENCE_MS / _CLICKS)
                return

    async def _click(self, identifier: str) -> None:
        handle = await self.page.wait_for_function(_POINT, arg=identifier, timeout=PATIENCE_MS)
        x, y = await handle.json_value()
        # the map reads the tiles of what the pointer is over before it knows what a click means
        await self.page.mouse.move(x - 2, y)
        await self.page.mouse.move(x, y)
        await self.page.mouse.click(x, y)

    async def see_sequence(self, identifier: str) -> None:
        """Wait until a picture of that sequence is shown."""
        await self.until(_OF_SEQUENCE, identifier)

    async def see_picture(self, identifier: str) -> dict[str, Any]:
        """Wait until that picture is shown; what the viewer knows of it."""
        await self.until(_LOADED, identifier)
        known: dict[str, Any] = await self.page.evaluate(
            "() => { const { id, sequence, panorama, caption } = document.querySelector('pnx-viewer')"
            ".psv.getPictureMetadata(); return { id, sequence: sequence?.id, is_360: !panorama?.baseData?.flat,"
            " address: panorama?.baseUrl ?? panorama?.hdUrl, caption: JSON.stringify(caption) } }"
        )
        return known


@asynccontextmanager
async def visiting(
    browser: Browser, site: ServedCatalog, *, also: Sequence[str] = (), **options: Any
) -> AsyncIterator[Visitor]:
    """A fresh browser without any memory.

    At the end it must have asked nobody but the catalog, its instances, and those at the addresses `also`.
    """
    options = {"viewport": DESK, "locale": "en-GB"} | options
    context: BrowserContext = await browser.new_context(**options)
    page, met = await context.new_page(), Met()
    context.on("request", met.take_request)
    context.on("console", met.take_message)
    page.on("pageerror", lambda error: met.errors.append(f"{error} at {page.url}"))
    base = site.url.removesuffix("/api")
    try:
        yield Visitor(page=page, base=base, met=met)
        known = {urlsplit(each).netloc for each in (base, *also, *(one.url for one in site.instances))}
        assert met.hosts <= known, sorted(met.hosts - known)
        assert not met.unexpected(), met.unexpected()
    finally:
        await context.close()

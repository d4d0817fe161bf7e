"""A real browser on a catalog of two real instances, each on an origin of its own.

What a machine must have for these tests, and what says so when it is missing: Debian's chromium, and the viewer that
`make viewer` fetches with npm. Screenshots are kept in artefacts/browser.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from panofed.cluster import Cluster
from panofed.demo.geovisio import Instance
from tests.acceptance.conftest import instances, origins
from tests.acceptance.federated import FederatedCatalog, federated
from tests.browser.visitor import Visitor, visiting
from tests.integration.conftest import cluster, template, untouched

__all__ = ["cluster", "instances", "origins", "template", "untouched"]

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts/browser"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    # WebGL without a graphics card
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # the browser's own errands
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # whatever a page asks for: nothing leaves this machine
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The viewer's files."""
    folder = ROOT / ".viewer"
    if not (folder / "viewer.json").exists():
        pytest.skip("the web viewer is missing, which needs npm: make viewer")
    return folder


@pytest.fixture(scope="session")
async def browser(bundle: Path) -> AsyncIterator[Browser]:
    """The machine's own browser: none is fetched."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"a browser is missing ({', '.join(CHROMIUM)}): apt-get install chromium")
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield made
        await made.close()


@pytest.fixture(scope="session")
async def site(
    browser: Browser, instances: tuple[Instance, Instance], cluster: Cluster, template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[FederatedCatalog]:  # fmt: skip
    """A catalog that holds the pictures of both instances."""
    async with federated(cluster, template, instances, tmp_path_factory.mktemp("site")) as made:
        await made.visit()
        yield made


@pytest.fixture
async def visit(browser: Browser, site: FederatedCatalog, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """`await visit("/path", **options)`: a page in a fresh browser; afterwards it must have met nothing unexpected."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:

        async def go(path: str, **options: Any) -> Visitor:
            visitor = await stack.enter_async_context(visiting(browser, site, **options))
            visitor.shots = ARTEFACTS / re.sub(r"\W+", "-", request.node.name).strip("-")
            await visitor.open(path)
            return visitor

        yield go

"""A catalog in processes of its own, as people run it, and a real instance that is not in it yet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from playwright.async_api import Browser

from federation.settings import Settings
from panofed.demo.geovisio import Instance, License
from panofed.demo.origins import Origins
from panofed.demo.run import write_instances
from panofed.demo.visitor import anonymous_collections, anonymous_items
from panofed.services import running, settings_environment
from tests.acceptance.federated import ServedCatalog, catalog_settings
from tests.browser.conftest import ARTEFACTS
from tests.browser.visitor import Visitor, visiting
from tests.fronted import Fronted
from tests.receiver import SECRET, Receiver, receiving
from tests.traces import Traces

PATIENCE_S = 60.0
#: A quarter where the joining instance alone has a street.
ALONE = "47.520,-18.880,47.540,-18.865"
#: Everything soon: visits each second, late after 2 s, an export right after each change that recalls something.
QUICK: dict[str, Any] = {
    "cadence_s": 1.0, "cadence_failing_s": 2.0, "health_late_s": 2.0, "health_failures": 6, "breaker_faults": 0,
    "health_count_s": 1.0, "outbound_attempts": 1, "instance_rest_share": 0.0, "fold_interval_s": 1.0,
    "export_every_s": 2.0, "stats_age_s": 1.0, "registration": "moderated", "session_on_loopback_http": True,
    "webhook_secret": SECRET,
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Life:
    """The catalog `site` of one instance; `joining` is the other one, behind the proxy `front` of its operator."""

    site: ServedCatalog
    client: httpx2.AsyncClient
    settings: Settings
    origins: Origins
    joining: Instance
    front: Fronted
    receiver: Receiver
    open: Callable[..., Awaitable[Visitor]]

    async def panofed(self, *words: str) -> str:
        """What a command says, as whoever has a shell there gives it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "panofed", *words, env=settings_environment(self.settings),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        return said.decode().strip()

    async def json(self, path: str) -> Any:
        """The JSON answer of GET `path`."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def stop_instance(self) -> None:
        """Its server ends; the proxy before it stays and says so."""
        await asyncio.to_thread(self.joining.stop)

    async def start_instance(self) -> None:
        """Its server begins again, with what it held."""
        await self._start(self.joining)

    @asynccontextmanager
    async def careless(self) -> AsyncIterator[None]:
        """The server runs without a licence in its configuration, and the proxy forgets CORS."""
        named = self.joining.config
        bare = replace(named, license=License(spdx="", url=""))
        careless = Instance(bare, self.origins.cluster, lambda *_: None)
        await self.stop_instance()
        try:
            await self._start(careless)
            self.front.forgets_cors = True
            yield
        finally:
            self.front.forgets_cors = False
            await asyncio.to_thread(careless.stop)
            await self.start_instance()

    async def _start(self, instance: Instance) -> None:
        await asyncio.to_thread(instance.start)
        parts = urlsplit(instance.url)
        self.front.behind = f"{parts.scheme}://{parts.netloc}"

    async def traces(self) -> Traces:
        """Everything of the joining instance that an anonymous visitor sees there."""
        return await asyncio.to_thread(_traces, self.client, self.joining.url)

    async def eventually(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not await check():  # noqa: ASYNC110 (it is so when it is so)
                await asyncio.sleep(0.2)


def _traces(client: httpx2.AsyncClient, url: str) -> Traces:
    sequences, items = anonymous_collections(url), anonymous_items(url)
    producers = {each["name"]: each["id"] for row in sequences.values() for each in row["providers"] if "id" in each}
    alice = producers["alice"]
    # her street is one that the other instance has pictures of, too
    (place, *_) = (
        each["geometry"]["coordinates"]
        for each in items.values()
        if alice in {by.get("id") for by in each["providers"]}
    )
    return Traces(client, frozenset({*sequences, *items, alice}), alice, tuple(sequences), place=tuple(place))


@asynccontextmanager
async def living(browser: Browser, origins: Origins, dsn: str, folder: Path) -> AsyncIterator[Life]:
    """All of it at work; people are let in by `life.open(path, **options)`, each with a browser of their own."""
    held, joining = origins.instances
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Fronted(joining.url))
        receiver = await stack.enter_async_context(receiving())
        plain = catalog_settings(dsn, [held], folder)
        ports = (*plain.outbound_ports, urlsplit(front.url).port)
        settings = plain.model_copy(update=QUICK | {"webhook_url": receiver.url, "outbound_ports": ports})
        write_instances(settings.instances_file, [held])
        services = stack.enter_context(running(settings, logs=folder / "logs"))
        await asyncio.to_thread(services.wait_ready, lambda: None)
        site = ServedCatalog(url=services.url, instances=[held])
        base = services.url.removesuffix("/api")
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=30))

        async def open_page(path: str, **options: Any) -> Visitor:
            visitor = await stack.enter_async_context(visiting(browser, site, also=(front.url,), **options))
            visitor.shots = ARTEFACTS / "life"
            await visitor.open(path)
            return visitor

        yield Life(
            site=site, client=client, settings=settings, origins=origins, joining=joining, front=front,
            receiver=receiver, open=open_page,
        )  # fmt: skip

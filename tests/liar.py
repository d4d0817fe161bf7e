"""An instance that speaks the API well enough to be read, over a server that can be told to misbehave at any path.

    async with Liar() as liar:
        street = liar.truth.add_sequence(3)
        liar.on("/api/collections", gzip_bomb(200))
        ... harvest liar.url ...

What no behaviour is set for is answered as by the honest instance `truth`, which is not served itself.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any, Self

from aiohttp.test_utils import make_mocked_request

from tests.hostile import Behaviour, Exchange, HostileServer, answer
from tests.origin import Origin

Json = dict[str, Any]


class Liar:
    """`on` sets what a path does; `server` is what it runs on."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, version: str = "2.15") -> None:
        self.server = HostileServer(tls=tls, otherwise=self.honest)
        self.truth = Origin(version=version, seed=77)

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.truth.url = self.url
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Of its API."""
        return f"{self.server.url}/api"

    def on(self, path: str, behaviour: Behaviour) -> None:
        """Misbehave at a path below the API."""
        self.server.on(f"/api{path}", behaviour)

    async def honest(self, exchange: Exchange) -> None:
        """Answer as the truth."""
        request = make_mocked_request("GET", exchange.request.target, headers={"Host": self.server.url[7:]})
        said = self.truth._route(request)
        assert isinstance(said.body, bytes)
        await answer(said.body, status=said.status, headers={"Content-Type": "application/json"})(exchange)

    def items(self, sequence: str, *, link: str = "", more: list[Json] | None = None) -> Json:
        """A page of items as the truth has them, with a `next` link and items of one's own."""
        there = self.truth.sequences[sequence]
        features = [self.truth.item(picture, there, rank) for rank, picture in enumerate(there.pictures, 1)]
        links = [{"rel": "next", "href": link}] if link else []
        return {"type": "FeatureCollection", "features": features + (more or []), "links": links}

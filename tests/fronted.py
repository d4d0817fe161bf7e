"""What an operator puts before a real instance: a proxy that may forget CORS, and serves a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

#: Status, body, headers.
Answered = tuple[int, bytes, Mapping[str, str]]

_HOPS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


class Fronted:
    """Forwards to the instance at `behind`, under its own address; says 502 when nobody is there.

    `files`: what it serves itself beside the API, by path.
    """

    def __init__(self, behind: str) -> None:
        parts = urlsplit(behind)
        self.behind, self.path = f"{parts.scheme}://{parts.netloc}", parts.path
        self.forgets_cors = False
        self.files: dict[str, str] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{self.path}"
        self._client = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None and self._client is not None
        await self._runner.cleanup()
        await self._client.close()

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._client is not None
        if request.path in self.files:
            return web.Response(text=self.files[request.path])
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        url = URL(f"{self.behind}{request.raw_path}", encoded=True)
        try:
            status, body, answered = await self._ask(self._client, url, headers)
        except aiohttp.ClientConnectionError:
            return web.Response(status=502, text="nobody is there")
        kept = {name: value for name, value in answered.items() if name.lower() not in _HOPS}
        if self.forgets_cors:
            kept = {name: value for name, value in kept.items() if not name.lower().startswith("access-control")}
        return web.Response(body=body, status=status, headers=kept)

    @staticmethod
    async def _ask(client: aiohttp.ClientSession, url: URL, headers: dict[str, str]) -> Answered:
        async with client.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.read(), answer.headers

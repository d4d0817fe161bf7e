"""Somebody who receives webhooks, and reads them with a library of Standard Webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(slots=True)
class Receiver:
    """Takes webhooks; answers with `status`."""

    url: str = ""
    status: int = 204
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, text="no room here")

    @property
    def events(self) -> list[Any]:
        """What was said, each read as the receiver's library reads it."""
        return [Webhook(SECRET).verify(body, headers) for headers, body in self.taken]

    def kinds(self, instance: str) -> list[str]:
        """What happened to an instance, in the order in which it was told."""
        return [event["data"]["kind"] for event in self.events if event["data"]["instance"] == instance]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?key=secret-part"
    try:
        yield receiver
    finally:
        await runner.cleanup()

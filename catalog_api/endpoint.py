"""The edge of every route: methods, errors, HEAD, and the bytes that go out. An ASGI application each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from catalog_api.responses import PREFLIGHT, Answer, error_answer, explain, head_of

Handler = Callable[[Request], Awaitable[Answer]]


class Endpoint:
    """Answers one path. `handlers` by method; HEAD is GET without the body, OPTIONS says what is allowed."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers: Mapping[str, Handler] = dict(handlers)
        self._allowed = ", ".join([*self._handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            await deliver(self._refuse(method), scope, send)
            return
        try:
            answer = await handler(Request(scope, receive))
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            answer = explain(error)
        await deliver(answer, scope, send)

    def _refuse(self, method: str) -> Answer:
        if method == "OPTIONS":
            headers = [(b"allow", self._allowed), (b"access-control-allow-methods", self._allowed), *PREFLIGHT]
            return Answer(status=204, headers=headers)
        allow = [(b"allow", self._allowed)]
        return error_answer(405, f"{method} is not possible here", {"allowed": self._allowed.decode()}, allow)


async def deliver(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer; the body of a HEAD request stays here."""
    status, headers, body = head_of(answer, scope["headers"])
    if answer.chunks is not None and scope["method"] != "HEAD":
        await _stream(answer, headers, send)
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _stream(answer: Answer, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    assert answer.chunks is not None
    async for chunk in answer.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

"""The edge of every route: methods, errors, HEAD, and the bytes that go out. An ASGI application each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from catalog_api.edge.codings import StreamCoder, compress
from catalog_api.edge.responses import PREFLIGHT, Answer, error_answer, explain, head_of

_OPENED = b"access-control-"

Handler = Callable[[Request], Awaitable[Answer]]


class Endpoint:
    """Answers one path. `handlers` by method; HEAD is GET without the body, OPTIONS says what is allowed."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers: Mapping[str, Handler] = dict(handlers)
        self._allowed = ", ".join([*self._handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]).encode()

        #: the path as it is written among the routes: what answers are counted by
        self.template = ""

    def at(self, template: str) -> Endpoint:
        """The same endpoint at one of its paths."""
        made = type(self)(**self._handlers)
        made.template = template
        return made

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By method."""
        return self._handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            await deliver(self.finished(self._refuse(method)), scope, receive, send)
            return
        try:
            answer = await handler(Request(scope, receive))
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            answer = explain(error)
        await deliver(self.finished(answer), scope, receive, send)

    def finished(self, answer: Answer) -> Answer:
        """The answer as this kind of endpoint gives it."""
        return answer

    def _refuse(self, method: str) -> Answer:
        if method == "OPTIONS":
            headers = [(b"allow", self._allowed), (b"access-control-allow-methods", self._allowed), *PREFLIGHT]
            return Answer(status=204, headers=headers)
        allow = [(b"allow", self._allowed)]
        return error_answer(405, f"{method} is not possible here", {"allowed": self._allowed.decode()}, allow)


class PrivateEndpoint(Endpoint):
    """One path for operators and administrators: whatever it answers, no other origin may read it or ask beforehand."""

    def finished(self, answer: Answer) -> Answer:
        """The answer, without what opens it to others."""
        return replace(answer, private=True, headers=[each for each in answer.headers if each[0][:15] != _OPENED])


async def deliver(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer; the body of a HEAD request stays here. `scope` learns the status, for who counts answers."""
    status, headers, coding = head_of(answer, scope["headers"])
    scope["status"] = status
    headers += scope.get("own_headers", ())
    is_head = scope["method"] == "HEAD"
    if answer.chunks is not None:
        if is_head or status == 304:
            await _send(send, status, headers, b"")
        else:
            await _stream(answer, StreamCoder(coding), receive, send, headers)
        return
    body = b"" if status == 304 else answer.body
    if coding is not None:
        body = await compress(body, coding)
    if status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await _send(send, status, headers, b"" if is_head else body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(
    answer: Answer, coder: StreamCoder, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
) -> None:
    """Send pieces until the end, or until the client is gone: what it will not read need not be made."""
    assert answer.chunks is not None
    left = asyncio.create_task(_departure(receive))
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for piece in answer.chunks:
            if left.done():
                return
            await send({"type": "http.response.body", "body": await coder.piece(piece), "more_body": True})
        await send({"type": "http.response.body", "body": coder.end()})
    finally:
        left.cancel()
        close: Any = getattr(answer.chunks, "aclose", None)
        if close is not None:
            # now, not when the garbage is collected: it holds a connection and a place among the large answers
            await close()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

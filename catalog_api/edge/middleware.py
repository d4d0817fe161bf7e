"""What happens to every request before its route: its id, its client, the limits; and afterwards: counts and logs."""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog_api.edge.endpoint import deliver
from catalog_api.edge.forwarded import Proxies, origin_of
from catalog_api.edge.limits import Buckets, client_key
from catalog_api.edge.responses import Answer, error_answer
from catalog_api.edge.tally import Tally, method_label
from federation.settings import Settings

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
#: Who watches this catalog gets an answer also when it refuses everybody else.
_ALWAYS = frozenset({"/api/live", "/api/ready", "/metrics"})
_RETRY_AFTER_S = b"1"


@dataclass(slots=True, kw_only=True)
class Edge:
    """An ASGI application around the router."""

    router: ASGIApp
    settings: Settings
    tally: Tally
    proxies: Proxies
    buckets: Buckets | None
    _prefix: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: count[int] = field(default_factory=count)

    @classmethod
    def of(cls, router: ASGIApp, settings: Settings, tally: Tally) -> Edge:
        """With the limits of the settings."""
        limited = settings.rate_limit_per_s > 0
        buckets = Buckets(per_s=settings.rate_limit_per_s, burst=settings.rate_limit_burst) if limited else None
        return cls(router=router, settings=settings, tally=tally, proxies=Proxies.of(settings), buckets=buckets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and end of the worker."""
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        began = perf_counter()
        path = scope["path"]
        if path.endswith("/") and path != "/":
            scope["path"] = path.rstrip("/") or "/"
        request_id = self._request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        scope["own_headers"] = [(b"x-request-id", request_id.encode())]
        scope["client_address"] = (scope["client"] or ("",))[0]
        if self.proxies.networks:
            origin = origin_of(scope["client_address"], scope["headers"], self.proxies)
            scope["client_address"], scope["base_address"] = origin.client, origin.base
        self.tally.in_flight += 1
        try:
            refused = self._refusal(scope)
            if refused is None:
                await self.router(scope, receive, send)
            else:
                await deliver(refused, scope, receive, send)
        finally:
            self.tally.in_flight -= 1
            self._account(scope, perf_counter() - began)

    def _request_id(self, scope: Scope) -> str:
        """The client's own, where it is one; else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return str(value.decode())
        return f"{self._prefix}-{next(self._numbers):x}"

    def _refusal(self, scope: Scope) -> Answer | None:
        """What stands against answering this request, the cheapest reason first."""
        if scope["path"] in _ALWAYS:
            return None
        length = len(scope["raw_path"]) + len(scope["query_string"])
        if length > self.settings.url_max_bytes:
            self.tally.refuse("url")
            return error_answer(414, f"the address is longer than {self.settings.url_max_bytes} bytes: send a POST")
        if self.buckets is not None:
            verdict = self.buckets.take(client_key(scope["client_address"]))
            scope["own_headers"] += self.buckets.headers(verdict)
            if not verdict.allowed:
                self.tally.refuse("rate")
                after = [(b"retry-after", b"%d" % verdict.reset_s)]
                return error_answer(429, f"too many requests: come again in {verdict.reset_s} s", headers=after)
        if self.tally.in_flight > self.settings.requests_at_once:
            self.tally.refuse("busy")
            after = [(b"retry-after", _RETRY_AFTER_S)]
            return error_answer(503, "this worker has as many requests under way as it takes", headers=after)
        return None

    def _account(self, scope: Scope, elapsed_s: float) -> None:
        route = getattr(scope.get("endpoint"), "template", "other")
        status = scope.get("status", 0)
        self.tally.add(route, method_label(scope["method"]), status, elapsed_s)
        if self.settings.access_log:
            logger.info("answered", extra=_line(scope, route, status, elapsed_s))


def _line(scope: Scope, route: str, status: int, elapsed_s: float) -> dict[str, Any]:
    """What the access log says. No header and no query: both may hold what is nobody else's business."""
    return {
        "action": "answer",
        "client": scope["client_address"],
        "method": scope["method"],
        "path": scope["path"][:200],
        "route": route,
        "status": status,
        "duration_ms": round(elapsed_s * 1_000, 3),
    }

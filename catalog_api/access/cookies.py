"""The cookie of a session: readable by nobody but this catalog, sent by no other site's page."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request

from catalog_api.edge.forwarded import is_forwarded, is_this_machine
from catalog_api.state import catalog_of

#: The prefix makes browsers refuse it from anybody but this very host over https.
NAME = "__Host-panofed"
#: See PANOFED_SESSION_ON_LOOPBACK_HTTP.
PLAIN_NAME = "panofed"
_LONGEST = 8_192


def cookie_of(request: Request) -> str:
    """The session's secret, "" without one."""
    text = request.headers.get("cookie", "")
    if not text or len(text) > _LONGEST:
        return ""
    try:
        found = SimpleCookie(text).get(_name(request))
    except CookieError:
        return ""
    return "" if found is None else found.value


def set_cookie(request: Request, value: str, lasts_s: int) -> tuple[bytes, bytes]:
    """The header that sets the session's cookie; nothing is to be kept of one that lasts 0 s."""
    name = _name(request)
    secure = "" if name == PLAIN_NAME else " Secure;"
    text = f"{name}={value}; Path=/; Max-Age={lasts_s};{secure} HttpOnly; SameSite=Strict"
    return b"set-cookie", text.encode()


def _name(request: Request) -> str:
    """Plain only where the settings allow it, on this machine, and without anybody in between."""
    allowed = catalog_of(request).settings.session_on_loopback_http
    peer, host = (request.scope["client"] or ("",))[0], request.headers.get("host", "")
    direct = is_this_machine(peer) and is_this_machine(host) and not is_forwarded(request.scope["headers"])
    return PLAIN_NAME if allowed and direct else NAME

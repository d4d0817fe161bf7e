"""Forms that are posted: read, and only from one of our own pages.

Three locks, each enough by itself: the cookie is not sent by other sites (SameSite=Strict), the browser says where the
form came from (Origin, Sec-Fetch-Site), and the form carries what only a page of this session knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from catalog_api.edge.bodies import read_body
from catalog_api.edge.responses import BadRequest, Forbidden
from catalog_api.state import catalog_of
from federation.sessions import is_form_token

#: The hidden field with what only a page of the session knows.
FIELD = "form"
_BODY_MAX_BYTES = 20_000
_FIELDS_MAX = 40
_KIND = "application/x-www-form-urlencoded"
_NOT_OURS = "this form was not sent by a page of this catalog"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form from one of our own pages; Forbidden from any other, BadRequest when it is no form."""
    check_origin(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        raise BadRequest("content-type", kind, f"is not {_KIND}")
    body = await read_body(request, _BODY_MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX, strict_parsing=bool(body))
    except ValueError as error:
        raise BadRequest("body", body.decode(errors="replace"), f"is no form: {error}") from error
    return dict(pairs)


def check_form(fields: Mapping[str, str], cookie: str) -> None:
    """Forbidden, unless the form is of this session's pages."""
    if not is_form_token(fields.get(FIELD, ""), cookie):
        raise Forbidden(_NOT_OURS)


def check_origin(request: Request) -> None:
    """Forbidden, unless the browser says that the form came from here. One that says nothing is refused too."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        raise Forbidden(f"{_NOT_OURS}: the browser does not say where it comes from")
    if site not in (None, "same-origin") or (origin is not None and origin.lower() not in _own_origins(request)):
        raise Forbidden(_NOT_OURS)


def _own_origins(request: Request) -> set[str]:
    """What this catalog is called: by its settings, by a proxy that is believed, and by the browser itself.

    The Host header is the browser's own word, which no page of another site can change; a name of somebody else that
    leads here has no cookie of ours.
    """
    host = request.headers.get("host", "").lower()
    known = (catalog_of(request).settings.public_url, request.scope.get("base_address") or "")
    return {f"http://{host}", f"https://{host}", *(_origin(each) for each in known if each)}


def _origin(url: str) -> str:
    parts = urlsplit(url.lower())
    return f"{parts.scheme}://{parts.netloc}"

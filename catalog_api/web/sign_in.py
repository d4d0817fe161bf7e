"""Signing in with a link or a token, and out again."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from catalog_api.access.cookies import cookie_of, set_cookie
from catalog_api.access.forms import read_form
from catalog_api.access.visitors import SignInNeeded, visitor_of
from catalog_api.access.who import Listened
from catalog_api.edge.responses import Answer, BadRequest, BodyTooLarge, Forbidden, TooBusy, TooHasty
from catalog_api.web.desk import NO_COOKIE, Desk, desk, see
from catalog_api.web.pages import Page, problem_page
from catalog_api.web.policy import desk_policy
from federation.errors import DatabaseError
from federation.sessions import end_session, open_session

#: In the address that follows: a browser that comes there without the cookie kept none.
_SIGNED_IN = "signed_in"
_EXPLAINED = (BadRequest, BodyTooLarge, Forbidden, TooHasty, TooBusy, DatabaseError)


async def get_sign_in(request: Request) -> Answer:
    """GET /sign-in: whoever is signed in already goes on. The secret of a link is behind the #, which is not sent."""
    made: Page | None = None
    try:
        made = Page.of(request)
        if cookie_of(request) and await _is_known(made):
            return see(made, "/operator")
        return _form(made)
    except _EXPLAINED as error:
        return problem_page(request, error, made)


async def post_sign_in(request: Request) -> Answer:
    """POST /sign-in: a link or a token for a session; whatever is wrong with it, the answer is the same."""
    made: Page | None = None
    try:
        made = Page.of(request)
        fields = await read_form(request)
        listened = Listened.to(made.catalog, request.scope["client_address"])
        async with made.catalog.operators.use() as connection:
            cookie = await open_session(connection, fields.get("secret", "").strip(), made.catalog.settings)
        if cookie is None:
            listened.was_wrong()
            return _form(made, wrong=True)
        lasts_s = int(made.catalog.settings.session_hours * 3_600)
        going = see(made, "/operator", _SIGNED_IN)
        return replace(going, headers=[*going.headers, set_cookie(request, cookie, lasts_s)])
    except _EXPLAINED as error:
        return problem_page(request, error, made)


@desk
async def post_sign_out(at: Desk) -> Answer:
    """POST /sign-out."""
    await end_session(at.connection, at.visitor.session)
    going = at.done("/sign-in", "signed_out")
    return replace(going, headers=[*going.headers, set_cookie(at.made.request, "", 0)])


def _form(made: Page, *, wrong: bool = False) -> Answer:
    said = made.request.query_params.get("said", "")
    return made.answer(
        "sign_in.html", status=403 if wrong else 200, policy=desk_policy(), wrong=wrong,
        out=said == "signed_out", lost=said == NO_COOKIE,
    )  # fmt: skip


async def _is_known(made: Page) -> bool:
    async with made.catalog.operators.use() as connection:
        try:
            await visitor_of(made.request, connection)
        except SignInNeeded:
            return False
        return True

"""Pages for those who are signed in: how one is made, and how its forms are taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps

from starlette.requests import Request

from catalog_api.access.cookies import cookie_of
from catalog_api.access.forms import FIELD, check_form, read_form
from catalog_api.access.visitors import SignInNeeded, Visitor, visitor_of
from catalog_api.access.who import Who
from catalog_api.edge.responses import Answer, BadRequest, BodyTooLarge, Forbidden, NotFound, TooBusy, TooHasty
from catalog_api.state import Catalog
from catalog_api.web.pages import Page, problem_page
from catalog_api.web.policy import desk_policy
from federation.database import Connection
from federation.errors import ActRefused, DatabaseError, RegistrationRefused, TakedownRefused
from federation.politeness import WrongChoice
from federation.sessions import form_token

#: What a page says after something was done, by the name in its address: no other text can be put there.
SAID = (
    "paused", "resumed", "harvest", "reconcile", "changed", "unchanged", "leaving", "brake_confirmed", "brake_refused",
    "moved", "approved", "refused", "taken_down", "takedown_ended", "revoked",
)  # fmt: skip
#: What /sign-in says to who signed in a moment ago and is not known now.
NO_COOKIE = "no_cookie"
_EXPLAINED = (
    BadRequest, BodyTooLarge, WrongChoice, Forbidden, NotFound, ActRefused, RegistrationRefused, TakedownRefused,
    TooHasty, TooBusy, DatabaseError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One request of somebody who is signed in. `fields` are those of the form, where one was sent."""

    made: Page
    connection: Connection
    visitor: Visitor
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def who(self) -> Who:
        """Who it is."""
        return self.visitor.who

    @property
    def catalog(self) -> Catalog:
        """The worker's state."""
        return self.made.catalog

    @property
    def parameters(self) -> Mapping[str, str]:
        """Of the path."""
        found: Mapping[str, str] = self.made.request.path_params
        return found

    def answer(self, template: str, *, assets: Iterable[str] = (), status: int = 200, **values: object) -> Answer:
        """The finished page; `assets` are hosts that its pictures come from."""
        said = self.made.request.query_params.get("said", "")
        return self.made.answer(
            template, status=status, policy=desk_policy(assets), who=self.who, form=form_token(self.visitor.cookie),
            said=said if said in SAID else "", **values,
        )  # fmt: skip

    def done(self, path: str, said: str = "") -> Answer:
        """After a form: on to a page, which can be loaded again without sending the form again."""
        return see(self.made, path, said)


def see(made: Page, path: str, said: str = "") -> Answer:
    """Send the browser on to another page; in the language that was chosen."""
    return Answer(status=303, headers=[(b"location", made.link(path, said=said).encode())])


Made = Callable[[Desk], Awaitable[Answer]]


def desk(make: Made) -> Callable[[Request], Awaitable[Answer]]:
    """An endpoint for who is signed in; others are sent to /sign-in. What a POST does is one transaction."""

    @wraps(make)
    async def answer(request: Request) -> Answer:
        made: Page | None = None
        try:
            made = Page.of(request)
            if not cookie_of(request):
                raise SignInNeeded
            return await _at_desk(made, make)
        except SignInNeeded:
            said = NO_COOKIE if request.query_params.get("said") == "signed_in" else ""
            return see(made or Page.plain(request), "/sign-in", said)
        except _EXPLAINED as error:
            return problem_page(request, error, made, back=_form_of(request))

    return answer


def _form_of(request: Request) -> str:
    """The page that has the form which was sent, as /admin/access: what is done there is a step or two below it."""
    place = request.url.path.split("/")[:3]
    return "/".join(place) if request.method == "POST" and len(place) == 3 else ""


def admin_desk(make: Made) -> Callable[[Request], Awaitable[Answer]]:
    """The same for administrators only."""

    @wraps(make)
    async def checked(at: Desk) -> Answer:
        at.who.must_be_admin()
        return await make(at)

    return desk(checked)


async def _at_desk(made: Page, make: Made) -> Answer:
    if made.request.method in ("GET", "HEAD"):
        async with made.catalog.operators.use() as connection:
            visitor = await visitor_of(made.request, connection)
            return await make(Desk(made=made, connection=connection, visitor=visitor))
    # the form is read before a connection is taken: a slow sender must not hold it
    fields = await read_form(made.request)
    async with made.catalog.operators.act() as connection:
        visitor = await visitor_of(made.request, connection)
        check_form(fields, visitor.cookie)
        told = {name: value for name, value in fields.items() if name != FIELD}
        async with connection.transaction():
            return await make(Desk(made=made, connection=connection, visitor=visitor, fields=told))

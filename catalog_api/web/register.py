"""Pages for who runs an instance and wants it in the catalog: the form, a check under way, a registration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request

from catalog_api.access.forms import check_origin, read_form
from catalog_api.answers.checks import NO_WORKER_S, address_of, find_check, must_be_open, too_often
from catalog_api.answers.registrations import find_registration, in_fields, proof_of
from catalog_api.edge.responses import Answer, BadRequest, BodyTooLarge, Forbidden, NotFound, TooBusy, TooHasty
from catalog_api.web.pages import Page, problem_page
from catalog_api.web.policy import live_policy
from federation.check_words import check_words
from federation.checks import Check, ask_check
from federation.errors import CheckRefused, DatabaseError, RegistrationRefused
from federation.registrations import BLURRING, WISHED, Asked, Registration, State, Wish, ask_proof, register

_EXPLAINED = (
    BadRequest, BodyTooLarge, Forbidden, NotFound, RegistrationRefused, TooBusy, TooHasty, DatabaseError,
)  # fmt: skip
#: The way of a registration, as the page draws it.
WAY = (State.CHECKING, State.AWAITING_PROOF, State.AWAITING_APPROVAL, State.APPROVED)

Made = Callable[[Page], Awaitable[Answer]]


def form_page(make: Made) -> Callable[[Request], Awaitable[Answer]]:
    """An endpoint that answers with a page, also when a form cannot be taken."""

    async def answer(request: Request) -> Answer:
        made: Page | None = None
        try:
            made = Page.of(request)
            return await make(made)
        except CheckRefused as error:
            return problem_page(request, TooHasty(error.wait_s), made)
        except _EXPLAINED as error:
            return problem_page(request, error, made)

    answer.__doc__ = make.__doc__
    return answer


@form_page
async def get_register(made: Page) -> Answer:
    """GET /register."""
    return _form(made, {"url": made.request.query_params.get("url", "")})


@form_page
async def post_register(made: Page) -> Answer:
    """POST /register: `act` is check, for a check alone, or register."""
    fields = await read_form(made.request)
    catalog = made.catalog
    must_be_open(catalog)
    try:
        if fields.get("act") == "check":
            url = address_of(fields.get("url"))
            _must_not_be_hasty(made)
            async with catalog.operators.use() as connection:
                check = await ask_check(connection, url, catalog.settings)
            return _on(made, f"/checks/{check}")
        wish = Wish.of({name: fields[name] for name in WISHED if name in fields}, catalog.settings)
        _must_not_be_hasty(made)
        async with catalog.operators.use() as connection:
            asked = await register(connection, wish, catalog.settings)
    except (RegistrationRefused, BadRequest) as error:
        told = in_fields(error) if isinstance(error, RegistrationRefused) else error
        return _form(made, fields, told)
    return _registered(made, asked, wish)


@form_page
async def get_check(made: Page) -> Answer:
    """GET /checks/{check}."""
    found = await find_check(made.catalog, made.request.path_params["check"])
    return made.answer("check.html", policy=live_policy(), **_shown(made, found))


@form_page
async def get_registration(made: Page) -> Answer:
    """GET /registrations/{registration}."""
    found = await find_registration(made.catalog, made.request.path_params["registration"])
    check = None if found.check is None else await find_check(made.catalog, str(found.check))
    return made.answer(
        "registration.html", policy=live_policy(), found=found, way=WAY, reached=_reached(found),
        proof=proof_of(found), **_shown(made, check),
    )  # fmt: skip


@form_page
async def post_registration(made: Page) -> Answer:
    """POST /registrations/{registration}: look for the proof, or check anew what was wrong."""
    check_origin(made.request)
    found = await find_registration(made.catalog, made.request.path_params["registration"])
    _must_not_be_hasty(made)
    async with made.catalog.operators.use() as connection:
        await ask_proof(connection, found.id, made.catalog.settings)
    return _on(made, f"/registrations/{found.id}")


def _must_not_be_hasty(made: Page) -> None:
    refused = too_often(made.request)
    if refused is not None:
        raise CheckRefused("too many checks were asked for", wait_s=int(dict(refused.headers)[b"retry-after"]))


def _form(made: Page, fields: Mapping[str, str], wrong: Exception | None = None) -> Answer:
    field = wrong.details["parameter"] if isinstance(wrong, BadRequest) else ""
    status = 200 if wrong is None else 400 if field else 409
    kept = {name: fields.get(name, "") for name in WISHED}
    return made.answer(
        "register.html", status=status, kept=kept, wrong="" if wrong is None else str(wrong), field=field,
        blurring=BLURRING, closed=made.catalog.settings.registration == "off",
    )  # fmt: skip


def _registered(made: Page, asked: Asked, wish: Wish) -> Answer:
    """With the token, which is known now only: so it is shown by this answer and not by the page it leads to."""
    return made.answer("registered.html", status=201, asked=asked, wish=wish)


def _on(made: Page, path: str) -> Answer:
    return Answer(status=303, headers=[(b"location", made.link(path).encode())])


def _shown(made: Page, check: Check | None) -> dict[str, Any]:
    words = check_words(made.words.code)
    runs = check is not None and check.ended_at is None
    lost = check is not None and check.waiting_s > NO_WORKER_S
    return {"check": check, "told": words, "runs": runs, "no_worker": lost}


def _reached(found: Registration) -> int:
    """How much of its way lies behind it."""
    return WAY.index(found.state) if found.state in WAY else -1

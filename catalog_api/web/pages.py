"""How a page is made: its language, its template, its headers; and errors as pages instead of JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from catalog_api.edge.responses import HTML, Answer, BadRequest, NotFound, TooBusy, explain
from catalog_api.state import Catalog, catalog_of
from catalog_api.web.languages import LANGUAGES, Words, words_for
from catalog_api.web.policy import page_policy
from catalog_api.web.shelf import shelf_of
from federation.errors import DatabaseError

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TITLES = {
    400: "bad_title", 403: "forbidden_title", 404: "lost_title", 409: "conflict_title", 413: "bad_title",
    429: "hasty_title", 503: "busy_title",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page that is being made for one request."""

    request: Request
    catalog: Catalog
    words: Words

    @classmethod
    def of(cls, request: Request) -> Page:
        """For this request, in its language."""
        accepted = request.headers.get("accept-language", "")
        words = words_for(request.query_params.get("lang"), accepted)
        return cls(request=request, catalog=catalog_of(request), words=words)

    @classmethod
    def plain(cls, request: Request) -> Page:
        """The same where the language that was asked for may be what could not be used."""
        words = words_for(None, request.headers.get("accept-language", ""))
        return cls(request=request, catalog=catalog_of(request), words=words)

    def answer(self, template: str, *, status: int = 200, policy: str = "", **values: object) -> Answer:
        """The finished page."""
        shelf = shelf_of(self.catalog.settings.viewer_dir)
        text = _environment().get_template(template).render(
            words=self.words, say=self.words.say, count=self.words.count, settings=self.catalog.settings,
            href=shelf.href, viewer=shelf.viewer, link=self.link, here=self.request.url.path,
            languages=LANGUAGES, other=self._in, **values,
        )  # fmt: skip
        headers = [
            (b"content-security-policy", (policy or page_policy()).encode()),
            (b"content-language", self.words.code.encode()),
            (b"vary", b"Accept-Language"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"strict-origin-when-cross-origin"),
        ]
        return Answer(body=text.encode(), status=status, media_type=HTML, headers=headers)

    def link(self, path: str, **values: object) -> str:
        """An address within the pages: who chose a language keeps it."""
        chosen = {"lang": self.words.code} if self.request.query_params.get("lang") else {}
        asked = {name: str(value) for name, value in values.items() if value not in (None, "")} | chosen
        return f"{path}?{urlencode(asked)}" if asked else path

    def _in(self, code: str) -> str:
        """This page in another language."""
        asked = dict(self.request.query_params) | {"lang": code}
        return f"{self.request.url.path}?{urlencode(asked)}"


Made = Callable[[Page], Awaitable[Answer]]


def page(make: Made) -> Callable[[Request], Awaitable[Answer]]:
    """An endpoint that answers with a page, also when something is wrong."""

    async def get(request: Request) -> Answer:
        made: Page | None = None
        try:
            made = Page.of(request)
            return await make(made)
        except (BadRequest, NotFound, TooBusy, DatabaseError) as error:
            return problem_page(request, error, made)

    get.__doc__ = make.__doc__
    return get


def problem_page(request: Request, error: Exception, made: Page | None = None, *, back: str = "") -> Answer:
    """What went wrong, and where to go from here: `back` to the page of a form that was sent, where there is one.

    An id in the address may be known to another page.
    """
    if made is None:
        made = Page.plain(request)
    plain = explain(error)
    identifier = _UUID.search(f"{request.url.path}?{request.url.query}")
    answer = made.answer(
        "problem.html", status=plain.status, title=made.words.say(_TITLES[plain.status]), problem=str(error),
        code=plain.status, identifier=identifier[0].lower() if identifier else "", back=back,
    )  # fmt: skip
    return Answer(
        body=answer.body, status=answer.status, media_type=HTML, cache=plain.cache,
        headers=[*answer.headers, *plain.headers],
    )  # fmt: skip


@cache
def _environment() -> Environment:
    """Every value is escaped, and a name that a template does not get is an error."""
    folder = Path(__file__).with_name("templates")
    loader = FileSystemLoader(folder)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

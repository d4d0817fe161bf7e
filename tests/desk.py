"""A browser without scripts that signs in and sends the forms of pages, with what real browsers add to a request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import asyncpg
import httpx2

from federation.links import make_link
from federation.tokens import Scope, create_token

HTML = {"accept": "text/html", "accept-language": "en"}


@dataclass(slots=True)
class Form:
    """One form of a page."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """Collects the forms of a page that are posted."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("method") == "post":
            self._open = Form(values["action"])
            self.found.append(self._open)
        elif tag == "input" and self._open is not None and "name" in values:
            self._open.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def forms_of(page: str) -> dict[str, Form]:
    """The forms of a page by where they go, without the language."""
    parser = Forms()
    parser.feed(page)
    return {form.action.partition("?")[0]: form for form in parser.found}


@dataclass(slots=True)
class Browser:
    """Somebody's browser. The cookie is kept by hand: a client library leaves out Secure ones over http."""

    client: httpx2.AsyncClient
    cookie: str = ""
    page: str = ""

    def headers(self, **more: str) -> dict[str, str]:
        kept = {"cookie": self.cookie} if self.cookie else {}
        return HTML | kept | {name.replace("_", "-"): value for name, value in more.items()}

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path, headers=self.headers())
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        self.page = answer.text
        return self.page

    async def post(self, path: str, fields: dict[str, str], **more: str) -> httpx2.Response:
        own = {"origin": str(self.client.base_url).rstrip("/"), "sec_fetch_site": "same-origin"} | more
        headers = {name: value for name, value in self.headers(**own).items() if value != "-"}
        answer = await self.client.post(path, data=fields, headers=headers)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def send(self, action: str, **fields: str) -> httpx2.Response:
        """Fill in and send a form of the page that is open."""
        form = forms_of(self.page)[action]
        return await self.post(form.action, form.fields | fields)

    async def do(self, action: str, **fields: str) -> str:
        """The same, and follow to the page it leads to."""
        answer = await self.send(action, **fields)
        assert answer.status_code == 303, (answer.status_code, unescape(answer.text)[:800])
        return await self.get(answer.headers["location"])

    async def sign_in(self, secret: str) -> httpx2.Response:
        await self.get("/sign-in")
        return await self.send("/sign-in", secret=secret)


async def signed_in(client: httpx2.AsyncClient, connection: asyncpg.Connection, instance: int | None) -> Browser:
    """The browser of an instance's operator, or (None) of an administrator, let in by a link."""
    made = await make_link(connection, instance, "command line", lasts=timedelta(hours=1))
    browser = Browser(client)
    answer = await browser.sign_in(made.secret)
    assert answer.status_code == 303, answer.text
    return browser


def text_of(page: str) -> str:
    """What a person reads."""
    return unescape(re.sub(r"<[^>]*>", " ", page))


async def bearer(connection: asyncpg.Connection, instance: int | None, scope: Scope | None = None) -> dict[str, str]:
    """The header of a new token: an operator's of an instance, or (None) an administrator's."""
    kind = scope or (Scope.ADMIN if instance is None else Scope.OPERATOR)
    return {"authorization": f"Bearer {await create_token(connection, kind, instance)}"}

"""Whatever instances, visitors and operators write stays text: in every field of every page, and in every address."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import quote
from xml.etree import ElementTree

import asyncpg
import httpx2
import orjson
import pytest
from starlette.routing import Route

from catalog_api.app import routes
from catalog_api.edge.endpoint import Endpoint
from tests.catalog_factory import Factory, Serving, line
from tests.desk import Browser, signed_in

#: Breaks out of text, both kinds of attributes, a script and JSON, wherever one of them is not escaped.
HOSTILE = """</script></title>"'><xss-mark onmouseover=alert(1)>{{7*7}}${7*7}</textarea>"""
#: What browsers would run when somebody follows it.
RUNS = "javascript:alert(1)//https://x"
ADDRESS = """https://a.example/"'><xss-mark>/api"""
#: Columns that no instance, operator or visitor writes, or that hold one of a few words.
OURS = {
    ("instances", "state"), ("instances", "source"), ("instances", "absence_decided"), ("instances", "quiet_hours"),
    ("instances", "id"), ("sequences", "state"), ("runs", "outcome"), ("tokens", "scope"), ("links", "scope"),
    ("sessions", "scope"), ("registrations", "state"), ("registrations", "blurring"), ("registrations", "proved_by"),
    ("checks", "kind"), ("checks", "outcome"), ("check_steps", "state"), ("check_steps", "name"), ("takedowns", "kind"),
    ("migrations", "name"), ("migrations", "checksum"), ("changes", "kind"), ("leaves", "state"), ("events", "kind"),
    ("sequences", "origin_id"), ("notices", "channel"),
}  # fmt: skip
_UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Marks(HTMLParser):
    """What a page became through a text that was not escaped."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "xss-mark":
            self.wrong.append("a tag")
        for name, value in attrs:
            if name.startswith("on"):
                self.wrong.append(f"{tag} {name}")
            if name in ("href", "src", "action", "formaction") and (value or "").strip().lower().startswith(
                ("javascript:", "data:text", "vbscript:")
            ):
                self.wrong.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if "49" in data and "{{7*7}}" not in data and "$49" in data:
            self.wrong.append("a template in a template")


def check(answer: httpx2.Response) -> None:
    assert answer.status_code < 500, f"{answer.request.url}: {answer.text[:500]}"
    if answer.headers.get("content-type", "").startswith("text/html"):
        marks = Marks()
        marks.feed(answer.text)
        assert marks.wrong == [], answer.request.url
        assert "<xss-mark" not in answer.text, answer.request.url
        assert "unsafe-eval" not in answer.headers["content-security-policy"]


async def poison(connection: asyncpg.Connection) -> set[str]:
    """Write the hostile text into every column of texts; returns the tables that had rows."""
    rows = await connection.fetch(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c"
        " JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = 'public'::regnamespace"
        " WHERE c.table_schema = 'public' AND c.data_type = 'text' AND t.relkind = 'r' AND NOT t.relispartition"
        " AND c.table_name <> 'spatial_ref_sys'"
    )
    done = set()
    for table, column in [(row["table_name"], row["column_name"]) for row in rows]:
        if (table, column) in OURS:
            continue
        text = HOSTILE
        if column == "url":
            # addresses that somebody registers are http(s) at least
            text = ADDRESS if table in ("registrations", "checks") else RUNS
        # names and addresses are unique: each row gets its own
        changed = await connection.execute(
            f"UPDATE {table} SET {column} = CASE WHEN {column} = '' THEN $1 ELSE $1 || ' ' || md5({column}) END", text
        )
        if not changed.endswith(" 0"):
            done.add(table)
    return done


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(registration="moderated") as client:
        yield client


@pytest.fixture
async def world(client: httpx2.AsyncClient, factory: Factory) -> AsyncIterator[Browser]:
    """A row in everything that a page shows, with hostile texts; seen by an administrator."""
    connection = factory.connection
    stored = await factory.sequence(line(2.35, 48.85, 2))
    n = await factory.instance()
    browser = await signed_in(client, connection, None)
    account = await connection.fetchval(
        "INSERT INTO accounts (id, instance, name) VALUES (gen_random_uuid(), $1, 'a') RETURNING n", n
    )
    await connection.execute("UPDATE sequences SET account = $1", account)
    await connection.execute("INSERT INTO runs (instance, outcome) VALUES ($1, 'failed')", n)
    await connection.execute(
        "INSERT INTO retries (instance, sequence, next_at, error) VALUES ($1, $2, now(), 'x')", n, stored.id
    )
    await connection.execute(
        "INSERT INTO quarantine (instance, sequence, id, field, problem, body) VALUES ($1, $2, 'x', 'x', 'x', $3)",
        n, stored.id, HOSTILE.encode(),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO registrations (url, place, name, contact, proof, state, note)"
        " VALUES ('x', 'x', 'x', 'x', 'x', 'awaiting-approval', 'x')"
    )
    await connection.execute(
        "INSERT INTO checks (kind, url, place, registration, outcome, ended_at)"
        " VALUES ('first', 'x', 'x', 1, 'failed', now())"
    )
    await connection.execute(
        "INSERT INTO check_steps (n, step, name, state, findings) VALUES (1, 0, 'pictures', 'failed', $1)",
        '[{"code": "pictures", "values": {"count": 1, "samples": "javascript:alert(1) https://a.example;x/1.jpg'
        ' https://ok.example/<xss-mark>.jpg"}}]',
    )
    await connection.execute(
        "INSERT INTO takedowns (kind, id, reason, actor) VALUES ('picture', gen_random_uuid(), 'x', 'x')"
    )
    await connection.execute("INSERT INTO tokens (hash, scope, label) VALUES ('x', 'admin', 'x')")
    label = quote(HOSTILE)
    configuration = {
        key: {"label": HOSTILE, "langs": {"fr": HOSTILE, "en": HOSTILE}} for key in ("name", "description")
    } | {"logo": RUNS, "color": HOSTILE, "email": HOSTILE, "license": {"id": HOSTILE, "url": RUNS}, label: HOSTILE}
    text = orjson.dumps(configuration).decode()
    await connection.execute("UPDATE instances SET configuration = $1, failures = 3", text)
    details = orjson.dumps({"reason": HOSTILE, "name": HOSTILE, HOSTILE: [HOSTILE, RUNS], "url": RUNS}).decode()
    for kind in ("down", "paused", "moved", "registered", "joined", "left"):
        await connection.execute(
            "INSERT INTO events (kind, instance, subject, actor, public, details) VALUES ($1, $2, 'x', 'x', true, $3)",
            kind, n, details,
        )  # fmt: skip
    poisoned = await poison(connection)
    needed = {"instances", "accounts", "runs", "retries", "quarantine", "registrations", "takedowns", "events", "links"}
    assert needed <= poisoned, needed - poisoned
    yield browser


def pages() -> list[str]:
    """The paths of all pages; and of the API, which must not answer with HTML that is made of texts."""
    return [
        route.path for route in routes()
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint) and "GET" in route.endpoint.handlers
        and not route.path.startswith(("/assets", "/basemap", "/api/map/", "/api/exports", "/api/runs/events"))
    ]  # fmt: skip


async def test_texts_stay_texts_on_every_page(world: Browser, factory: Factory) -> None:
    connection = factory.connection
    name = await connection.fetchval("SELECT name FROM instances")
    values = {
        "name": quote(name, safe=""), "n": "1", "user": _UNKNOWN, "size": "sd", "z": "1", "x": "1", "y": "1",
        "picture": str(await connection.fetchval("SELECT id FROM locator LIMIT 1")),
        "sequence": str(await connection.fetchval("SELECT id FROM sequences")),
        "registration": str(await connection.fetchval("SELECT id FROM registrations")),
        "check": str(await connection.fetchval("SELECT id FROM checks")),
    }  # fmt: skip
    shown = set()
    for path in pages():
        # what is left open needs no value here: files and streams, which are no pages
        if path.endswith("/events") or not set(re.findall(r"{(\w+)}", path)) <= set(values):
            continue
        for language in ("en", "fr"):
            headers = world.headers() | {"accept-language": language}
            answer = await world.client.get(path.format(**values), headers=headers)
            check(answer)
        if "xss-mark" in answer.text and answer.headers["content-type"].startswith("text/html"):
            shown.add(path)
    # a page that shows none of them would prove nothing
    expected = {
        "/operator/{name}", "/operator/{name}/leave", "/admin", "/admin/registrations", "/admin/takedowns",
        "/admin/access", "/admin/log", "/about", "/sequences", "/instances", "/instances/{name}", "/runs/{n}",
        "/pictures/{picture}", "/registrations/{registration}", "/checks/{check}",
    }  # fmt: skip
    assert expected <= shown, expected - shown


async def test_texts_of_an_address_stay_texts(world: Browser) -> None:
    text = quote(HOSTILE, safe="")
    for path in (*(each for each in pages() if "{" not in each), f"/{text}", f"/operator/{text}", f"/pictures/{text}",
                 f"/registrations/{text}", f"/instances/{text}", f"/runs/{text}"):  # fmt: skip
        if path.endswith("/events"):
            continue
        for query in ("lang", "said", "q", "kind", "before", "token", "sortby", "bbox", "from", "name", "url"):
            check(await world.client.get(f"{path}?{query}={text}", headers=world.headers()))


async def test_texts_of_forms_stay_texts(world: Browser) -> None:
    await world.get("/admin")
    form = world.page.split('name="form" value="')[1].split('"')[0]
    for path, field in (
        ("/admin/takedowns", "kind"), ("/admin/takedowns", "id"), ("/admin/access/tokens", "scope"),
        ("/admin/access/tokens", "instance"), ("/admin/access/links", "label"),
        ("/admin/registrations/1/refuse", "reason"),
        ("/admin/registrations/1/x", "reason"), ("/sign-in", "secret"), ("/register", "url"), ("/register", "name"),
    ):  # fmt: skip
        fields = {"form": form, "kind": "picture", "id": _UNKNOWN, "reason": "x", "scope": "ping"} | {field: HOSTILE}
        check(await world.post(path, fields))


async def test_feeds_stay_well_formed(world: Browser) -> None:
    for path in ("/api/collections?format=rss", "/events.atom"):
        answer = await world.client.get(path)
        if answer.status_code == 404:
            continue
        root = ElementTree.fromstring(answer.content)
        assert not [each for each in root.iter() if "xss-mark" in each.tag]
        assert "xss-mark" in answer.text, path

"""Who is let in, and who is not: links, sessions, cookies, forms of other sites, guesses, and what others may read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import httpx2
import pytest

from federation.links import make_link
from federation.sessions import open_session, use_session
from federation.settings import load_settings
from federation.tokens import Scope, create_token, make_secret
from tests.catalog_factory import Factory, Serving, line
from tests.desk import HTML, Browser, bearer, forms_of, signed_in, text_of

PRIVATE_PAGES = (
    "/operator", "/operator/north", "/operator/north/leave", "/admin", "/admin/registrations", "/admin/takedowns",
    "/admin/access", "/admin/log",
)  # fmt: skip
FORMS = (
    "/operator/north/pause", "/operator/north/leave", "/operator/north/link", "/admin/takedowns",
    "/admin/access/tokens", "/admin/access/links", "/admin/access/tokens/1/revoke",
    "/admin/registrations/1/approve", "/sign-out",
)  # fmt: skip


@pytest.fixture
async def north(factory: Factory) -> int:
    return await factory.instance()


@pytest.fixture
async def admin(client: httpx2.AsyncClient, factory: Factory, north: int) -> Browser:
    return await signed_in(client, factory.connection, None)


# --- links and sessions -------------------------------------------------------------------------------------------


async def link(factory: Factory, instance: int | None, seconds: float = 3_600) -> str:
    made = await make_link(factory.connection, instance, "command line", lasts=timedelta(seconds=seconds))
    return made.secret


async def test_a_link_works_once(client: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    secret = await link(factory, north)
    first, second = Browser(client), Browser(client)
    assert (await first.sign_in(secret)).status_code == 303
    again = await second.sign_in(secret)
    assert again.status_code == 403 and "set-cookie" not in again.headers
    await first.get("/operator/north")


async def test_of_many_at_once_one_gets_in(factory: Factory, database: str, north: int) -> None:
    secret, settings = await link(factory, north), load_settings()
    connections = [await asyncpg.connect(database) for _ in range(8)]
    found = await asyncio.gather(*(open_session(each, secret, settings) for each in connections))
    for connection in connections:
        await connection.close()
    assert len([each for each in found if each is not None]) == 1
    assert await factory.connection.fetchval("SELECT count(*) FROM sessions") == 1


async def test_opening_the_page_of_a_link_uses_nothing_up(client: httpx2.AsyncClient, factory: Factory) -> None:
    secret = await link(factory, None)
    for _ in range(3):
        answer = await client.get("/sign-in", headers=HTML)
        assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert (await Browser(client).sign_in(secret)).status_code == 303


async def test_whatever_is_wrong_the_answer_is_the_same(serving: Serving, factory: Factory, north: int) -> None:
    used, revoked = await link(factory, north), await link(factory, None)
    token = await create_token(factory.connection, Scope.ADMIN, None)
    wrong = {
        "unknown": make_secret(), "used": used, "revoked": revoked, "revoked token": token,
        "expired": await link(factory, north, -1), "no secret": "x" * 150, "nothing": " ",
        "ping": await create_token(factory.connection, Scope.PING, north),
    }  # fmt: skip
    async with serving(sign_in_failures=100) as client:
        assert (await Browser(client).sign_in(used)).status_code == 303
        await factory.connection.execute("UPDATE tokens SET revoked_at = now() WHERE scope = 'admin'")
        await factory.connection.execute("UPDATE links SET revoked_at = now() WHERE scope = 'admin'")
        plain = await Browser(client).sign_in(make_secret())
        assert plain.status_code == 403
        for why, secret in wrong.items():
            answer = await Browser(client).sign_in(secret)
            assert (answer.status_code, answer.text) == (plain.status_code, plain.text), why
            assert "set-cookie" not in answer.headers, why
            assert set(answer.headers) == set(plain.headers), why


async def test_a_session_ends(client: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    for change in (
        "UPDATE sessions SET expires_at = now()",
        "UPDATE sessions SET seen_at = now() - interval '3 hours'",
        "UPDATE sessions SET ended_at = now()",
        "UPDATE links SET revoked_at = now()",
        "DELETE FROM links",
    ):
        admin = await signed_in(client, factory.connection, None)
        form = forms_of(await admin.get("/admin"))["/sign-out"].fields["form"]
        await factory.connection.execute(change)
        for path in PRIVATE_PAGES:
            answer = await client.get(path, headers=admin.headers())
            assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/sign-in", ""), change
        assert (await admin.post("/operator/north/pause", {"form": form})).headers["location"] == "/sign-in"
    assert await factory.connection.fetchval("SELECT state FROM instances") == "enabled"


async def test_a_session_of_a_token_ends_with_it(client: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    browser = Browser(client)
    await browser.sign_in(await create_token(factory.connection, Scope.OPERATOR, north, lasts=timedelta(hours=1)))
    await browser.get("/operator/north")
    await factory.connection.execute("UPDATE tokens SET expires_at = now()")
    await browser.get("/operator/north", 303)


async def test_signing_out(admin: Browser, factory: Factory) -> None:
    await admin.get("/admin")
    old = admin.cookie
    answer = await admin.send("/sign-out")
    assert answer.headers["location"] == "/sign-in?said=signed_out"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    admin.cookie = old
    await admin.get("/admin", 303)
    assert await factory.connection.fetchval("SELECT ended_at IS NOT NULL FROM sessions")


async def test_nothing_that_lets_in_is_kept(admin: Browser, factory: Factory) -> None:
    secret = admin.cookie.partition("=")[2]
    kept = await factory.connection.fetchval("SELECT string_agg(s::text, '') FROM sessions s")
    assert secret.removeprefix("panofed_") not in kept
    assert await use_session(factory.connection, secret, load_settings()) is not None


# --- the cookie ---------------------------------------------------------------------------------------------------


async def test_the_cookie_is_for_this_host_over_https_and_no_script(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    answer = await Browser(client).sign_in(await link(factory, None))
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-panofed=panofed_")
    assert set(attributes) == {"Path=/", "Max-Age=43200", "Secure", "HttpOnly", "SameSite=Strict"}


async def test_a_browser_that_keeps_no_cookie_is_told(client: httpx2.AsyncClient, factory: Factory) -> None:
    browser = Browser(client)
    answer = await browser.sign_in(await link(factory, None))
    lost = await client.get(answer.headers["location"], headers=HTML)
    assert lost.headers["location"] == "/sign-in?said=no_cookie"
    assert "Your browser kept no cookie" in (await client.get(lost.headers["location"], headers=HTML)).text


async def test_the_plain_cookie_is_only_for_this_machine(serving: Serving, factory: Factory) -> None:
    async with serving(session_on_loopback_http=True) as client:
        answer = await Browser(client).sign_in(await link(factory, None))
        assert answer.headers["set-cookie"].startswith("panofed=") and "Secure" not in answer.headers["set-cookie"]
        secret = await link(factory, None)
        for more in ({"host": "catalog.example"}, {"x-forwarded-for": "1.2.3.4"}, {"via": "1.1 proxy"}):
            headers = HTML | {"origin": f"http://{more.get('host', client.base_url.netloc.decode())}"} | more
            answer = await client.post("/sign-in", data={"secret": secret}, headers=headers)
            if answer.status_code == 303:
                assert answer.headers["set-cookie"].startswith("__Host-panofed=")
            secret = await link(factory, None)


async def test_the_public_gets_no_cookie(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.sequence(line(2.35, 48.85, 2))
    for path in ("/", "/about", "/sequences", "/sign-in", "/api", "/api/collections", "/api/instances", "/metrics"):
        assert "set-cookie" not in (await client.get(path, headers=HTML)).headers, path


async def test_a_cookie_that_is_none(client: httpx2.AsyncClient, north: int) -> None:
    for cookie in (
        "__Host-panofed=",
        "__Host-panofed=\xff",
        "a=b; " * 3_000 + "c=d",
        "__Host-panofed=x;;;=,",
        "panofed=",
    ):
        answer = await client.get("/operator/north", headers=[(b"cookie", cookie.encode("latin-1"))])
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), cookie


# --- forms of other sites -----------------------------------------------------------------------------------------


#: What browsers say of a form of another site; "-": nothing.
FOREIGN = (
    {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    {"origin": "null"},
    {"origin": "-", "sec_fetch_site": "cross-site"},
    {"origin": "-", "sec_fetch_site": "same-site"},
    {"origin": "-", "sec_fetch_site": "-"},
    {"origin": "http://127.0.0.1.evil.example", "sec_fetch_site": "-"},
)


async def test_forms_of_other_sites_do_nothing(admin: Browser, factory: Factory) -> None:
    """Even with the cookie and the right token in them: which of the locks holds does not matter."""
    form = forms_of(await admin.get("/admin"))["/sign-out"].fields["form"]
    secret = await link(factory, None)
    before = await factory.connection.fetchval("SELECT count(*) FROM events")
    for said in FOREIGN:
        for path in FORMS:
            answer = await admin.post(path, {"form": form, "name": "north"}, **said)
            assert answer.status_code == 403, (path, said)
        answer = await Browser(admin.client).post("/sign-in", {"secret": secret}, **said)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers, "nor sign somebody in"
    assert await factory.connection.fetchval("SELECT count(*) FROM events") == before
    await admin.get("/admin")


async def test_forms_need_what_only_our_pages_know(
    admin: Browser, client: httpx2.AsyncClient, factory: Factory
) -> None:
    other = await signed_in(client, factory.connection, None)
    of_another = forms_of(await other.get("/admin"))["/sign-out"].fields["form"]
    for form in ("", "0" * 64, "\xff", of_another):
        for path in FORMS:
            assert (await admin.post(path, {"form": form, "name": "north"})).status_code == 403, (path, form)
    assert await factory.connection.fetchval("SELECT state FROM instances") == "enabled"
    await admin.get("/admin")


async def test_only_forms_are_taken(admin: Browser) -> None:
    form = forms_of(await admin.get("/admin"))["/sign-out"].fields["form"]
    own = {"origin": str(admin.client.base_url).rstrip("/")}
    for kind, body, status in (
        ("application/json", b"{}", 400), ("text/plain", f"form={form}".encode(), 400), ("", b"", 400),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 30_000, 413),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(100)), 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe", 400),
    ):  # fmt: skip
        headers = admin.headers(**own) | ({"content-type": kind} if kind else {})
        answer = await admin.client.post("/operator/north/pause", content=body, headers=headers)
        assert answer.status_code == status, (kind, answer.text)


async def test_nothing_is_done_by_a_link_to_a_page(admin: Browser, factory: Factory) -> None:
    """An address that somebody is made to open changes nothing."""
    for path in FORMS:
        if path not in ("/operator/north/leave", "/admin/takedowns"):
            answer = await admin.client.get(path, headers=admin.headers())
            assert answer.status_code == 405, path
    assert await factory.connection.fetchval("SELECT state FROM instances") == "enabled"


# --- what others may read -----------------------------------------------------------------------------------------


def check_private(answer: httpx2.Response) -> None:
    assert not [name for name in answer.headers if name.startswith("access-control-")], answer.request.url
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "etag" not in answer.headers and "content-encoding" not in answer.headers


async def test_no_other_origin_reads_or_asks(admin: Browser, factory: Factory, north: int) -> None:
    token = await bearer(factory.connection, None)
    asking = {"origin": "https://evil.example", "accept-encoding": "br, gzip"}
    preflight = asking | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for path in (*PRIVATE_PAGES, "/sign-in"):
        check_private(await admin.client.get(path, headers=admin.headers() | asking))
    for path in ("/api/operator/instances/north", "/api/admin/tokens"):
        check_private(await admin.client.get(path, headers=asking | token))
        check_private(await admin.client.get(path, headers=asking))
        check_private(await admin.client.options(path, headers=preflight))
        check_private(await admin.client.delete(path, headers=asking))
    for path in FORMS:
        check_private(await admin.client.options(path, headers=preflight))
        check_private(await admin.client.post(path, headers=admin.headers() | asking))
    assert (await admin.client.get("/api/instances", headers=asking)).headers["access-control-allow-origin"] == "*"


async def test_pages_run_no_script_of_others_and_are_framed_by_nobody(admin: Browser) -> None:
    for path in (*PRIVATE_PAGES[1:], "/sign-in"):
        answer = await admin.client.get(path, headers=admin.headers() if path != "/sign-in" else HTML)
        policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", path
        assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]


# --- guesses ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def strict(serving: Serving, factory: Factory, north: int) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(sign_in_failures=3, sign_in_window_s=600, trusted_proxies="127.0.0.1") as client:
        yield client


async def test_who_guesses_is_not_listened_to(strict: httpx2.AsyncClient, factory: Factory) -> None:
    good, browser = await link(factory, None), Browser(strict)
    for _ in range(3):
        assert (await browser.sign_in(make_secret())).status_code == 403
    refused = await browser.sign_in(good)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 100
    assert "set-cookie" not in refused.headers
    form = {"secret": good}
    elsewhere = await Browser(strict).post("/sign-in", form, x_forwarded_for="9.9.9.9")
    assert elsewhere.status_code == 303, "others are not punished for it, and the link was not used up"


async def test_who_guesses_tokens_is_not_listened_to(strict: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    good = await bearer(factory.connection, north)
    for wrong in (make_secret(), "x", "panofed_" + "a" * 43):
        answer = await strict.get("/api/operator/instances/north", headers={"authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
    for path in ("/api/operator/instances/north", "/api/admin/tokens"):
        assert (await strict.get(path, headers=good)).status_code == 429
    assert (await strict.post("/api/instances/north/ping", headers=good)).status_code == 429
    assert (await Browser(strict).sign_in(make_secret())).status_code == 429
    assert (await strict.get("/api/operator/instances/north")).status_code == 429
    assert (await strict.get("/api/instances")).status_code == 200
    other = good | {"x-forwarded-for": "9.9.9.9"}
    assert (await strict.get("/api/operator/instances/north", headers=other)).status_code == 200


async def test_who_shows_nothing_has_guessed_nothing(strict: httpx2.AsyncClient, factory: Factory, north: int) -> None:
    for _ in range(5):
        assert (await strict.get("/api/operator/instances/north")).status_code == 401
    good = await bearer(factory.connection, north)
    for _ in range(5):
        assert (await strict.get("/api/operator/instances/north", headers=good)).status_code == 200


async def test_who_is_in_stays_in_while_others_guess(strict: httpx2.AsyncClient, factory: Factory) -> None:
    inside = await signed_in(strict, factory.connection, None)
    for _ in range(4):
        await Browser(strict).sign_in(make_secret())
    await inside.get("/admin")


# --- logs ---------------------------------------------------------------------------------------------------------


async def test_no_secret_is_logged_or_repeated(
    serving: Serving, factory: Factory, north: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(access_log=True) as client:
        secret, wrong = await link(factory, None), make_secret()
        token = await bearer(factory.connection, None)
        browser = Browser(client)
        assert wrong not in (await browser.sign_in(wrong)).text
        await browser.sign_in(secret)
        await browser.get("/admin")
        form = forms_of(browser.page)["/sign-out"].fields["form"]
        await browser.post("/operator/north/pause", {"form": "wrong", "secret": secret})
        await browser.get("/admin/access")
        assert secret not in browser.page
        await client.get("/api/admin/tokens", headers=token)
        await client.get("/api/admin/tokens", headers={"authorization": f"Bearer {wrong}"})
        await browser.get("/admin/log")
        made = (await browser.post("/admin/access/tokens", {"form": form, "scope": "admin"})).text
    shown = [each for each in text_of(made).split() if each.startswith("panofed_")]
    assert len(shown) == 1, "the page that makes it shows it"
    secrets = [secret, wrong, token["authorization"].split()[1], browser.cookie.partition("=")[2], form, *shown]
    # the client of this test logs what it sends
    ours = [record for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2"))]
    everything = " ".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    assert "answered" in everything
    events = await factory.connection.fetchval("SELECT string_agg(e::text, ' ') FROM events e")
    for each in secrets:
        assert each not in everything and each not in events

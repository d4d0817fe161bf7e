"""The administrators' pages: registrations, takedowns, who is let in, and the log."""

from __future__ import annotations

import re
from html import unescape

import httpx2
import orjson
import pytest

from federation.tokens import hash_of, make_secret
from tests.catalog_factory import Factory, Serving, line
from tests.desk import Browser, forms_of, signed_in, text_of


@pytest.fixture
async def admin(client: httpx2.AsyncClient, factory: Factory) -> Browser:
    await factory.sequence(line(2.35, 48.85, 3))
    return await signed_in(client, factory.connection, None)


async def ask(factory: Factory, name: str, state: str = "awaiting-approval", token: str = "") -> int:
    """A registration that R's check left in this state."""
    number: int = await factory.connection.fetchval(
        "INSERT INTO registrations (url, place, name, contact, proof, state, blurring, note, token_hash, proved_at)"
        " VALUES ('https://' || $1 || '.example/api', $1, $1, 'ana@a.example', $1, $2, 'by-hand', 'by bicycle', $3,"
        " now())"
        " RETURNING n", name, state, hash_of(token) if token else None,
    )  # fmt: skip
    return number


async def test_a_registration_is_approved_and_its_operator_let_in(
    admin: Browser, client: httpx2.AsyncClient, factory: Factory
) -> None:
    token = make_secret()
    number = await ask(factory, "south", token=token)
    assert "1 registration is open" in await admin.get("/admin")
    page = text_of(await admin.get("/admin/registrations"))
    blurring = "blurred by hand"
    for said in ("south", "https://south.example/api", "ana@a.example", blurring, "by bicycle", "awaits approval"):
        assert said in page
    operator = Browser(client)
    assert (await operator.sign_in(token)).status_code == 403, "nobody is let in before"
    await admin.do(f"/admin/registrations/{number}/approve")
    row = await factory.connection.fetchrow(
        "SELECT state, source, next_visit_at <= now() FROM instances WHERE name = 'south'"
    )
    assert row is not None and tuple(row) == ("enabled", "registered", True)
    assert (await operator.sign_in(token)).status_code == 303
    await operator.get("/operator/south")
    assert f"/admin/registrations/{number}/approve" not in forms_of(await admin.get("/admin/registrations"))
    kinds = await factory.connection.fetch("SELECT kind, actor FROM events WHERE kind IN ('approved', 'joined')")
    assert {tuple(each) for each in kinds} == {("approved", "link 1"), ("joined", "link 1")}


async def test_a_registration_is_refused_with_a_reason(admin: Browser, factory: Factory) -> None:
    number = await ask(factory, "south", "awaiting-proof")
    page = await admin.get("/admin/registrations")
    action = f"/admin/registrations/{number}/refuse"
    assert f"/admin/registrations/{number}/approve" not in forms_of(page), "nothing is proved yet"
    form = forms_of(page)[action].fields["form"]
    assert (await admin.post(action, {"form": form, "reason": "  "})).status_code == 400
    assert (await admin.post(action.replace("refuse", "approve"), {"form": form})).status_code == 409
    page = text_of(await admin.do(action, reason="faces are not blurred"))
    assert "refused: faces are not blurred" in page
    assert (await admin.post(action, {"form": form, "reason": "again"})).status_code == 409
    for wrong in ("/admin/registrations/x/approve", "/admin/registrations/9999999999999/approve", f"{action}x"):
        assert (await admin.post(wrong, {"form": form, "reason": "x"})).status_code == 404, wrong


async def test_sample_pictures_are_shown_and_their_hosts_alone_may_be_asked(admin: Browser, factory: Factory) -> None:
    number = await ask(factory, "south")
    await factory.connection.execute(
        "INSERT INTO checks (kind, url, place, registration) VALUES ('full', 'x', 'south', $1)", number
    )
    samples = "https://cdn.south.example/1/sd.jpg https://south.example/2.jpg javascript:alert(1) https://x;y/3.jpg"
    elsewhere = {"code": "other_host", "values": {"host": "cdn.south.example"}}
    findings = orjson.dumps([{"code": "pictures", "values": {"count": 4, "samples": samples}}, elsewhere]).decode()
    await factory.connection.execute(
        "INSERT INTO check_steps (n, step, name, state, findings) VALUES (1, 9, 'pictures', 'ok', $1)", findings
    )
    answer = await admin.client.get("/admin/registrations", headers=admin.headers())
    shown = re.findall(r'<img src="(http[^"]*)"', answer.text)
    assert shown == samples.split()[:2]
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["img-src"].split() == ["'self'", "cdn.south.example:*", "south.example:*"]
    said = " ".join(text_of(answer.text).split())
    assert "Approving confirms that they may be shown from there: cdn.south.example" in said
    await admin.get("/admin/registrations")
    await admin.do(f"/admin/registrations/{number}/approve")
    hosts = await factory.connection.fetchval("SELECT asset_hosts FROM instances WHERE name = 'south'")
    assert hosts == ["cdn.south.example"]


async def test_a_picture_is_taken_down_and_brought_back(admin: Browser, factory: Factory) -> None:
    picture = str(await factory.connection.fetchval("SELECT id FROM locator LIMIT 1"))
    await admin.get("/admin/takedowns")
    page = await admin.do("/admin/takedowns", kind="picture", id=f" {picture.upper()} ", reason="a face")
    assert picture in page and "a face" in page and "north" in page
    assert (await admin.client.get(f"/api/pictures/{picture}")).status_code == 404
    assert "ended by link 1" in text_of(await admin.do("/admin/takedowns/1/end"))
    form = forms_of(admin.page)["/admin/takedowns"].fields["form"]
    assert (await admin.post("/admin/takedowns/1/end", {"form": form})).status_code == 409
    good = {"form": form, "kind": "sequence", "id": picture, "reason": "x"}
    for wrong in ({"kind": "user"}, {"id": "1"}, {"id": ""}, {"reason": ""}):
        assert (await admin.post("/admin/takedowns", good | wrong)).status_code == 400, wrong


async def test_tokens_and_links_are_made_shown_once_and_taken_back(
    admin: Browser, client: httpx2.AsyncClient, factory: Factory
) -> None:
    page = await admin.get("/admin/access")
    form = forms_of(page)["/admin/access/tokens"].fields["form"]
    made = await admin.post(
        "/admin/access/tokens", {"form": form, "scope": "operator", "instance": "north", "label": "Ana"}
    )
    (secret,) = re.findall(r"panofed_[A-Za-z0-9_-]{43}", made.text)
    operator = Browser(client)
    assert (await operator.sign_in(secret)).status_code == 303
    page = await admin.get("/admin/access")
    assert secret not in page and "Ana" in page
    await admin.do("/admin/access/tokens/1/revoke")
    await operator.get("/operator/north", 303)
    for path in ("/admin/access/links", "/operator/north/link"):
        made = await admin.post(path, {"form": form, "label": "Zoé"})
        assert made.status_code == 200 and made.headers["cache-control"] == "no-store"
        (address,) = re.findall(r"<code>(http[^<]*)</code>", made.text)
        base, _, secret = unescape(address).partition("#")
        assert base == f"{str(client.base_url).rstrip('/')}/sign-in"
        assert (await Browser(client).sign_in(secret)).status_code == 303
    await admin.get("/admin/access")
    await admin.do("/admin/access/links/2/revoke")
    for wrong in ("/admin/access/links/2/revoke", "/admin/access/links/99/revoke", "/admin/access/cookies/1/revoke"):
        assert (await admin.post(wrong, {"form": form})).status_code == 404, wrong
    for bad, status in (({"scope": "root"}, 400), ({"scope": "ping", "instance": "nobody"}, 404)):
        assert (await admin.post("/admin/access/tokens", {"form": form} | bad)).status_code == status


async def test_the_log_is_read_page_by_page_and_by_kind(serving: Serving, factory: Factory) -> None:
    n = await factory.instance()
    for number in range(5):
        await factory.connection.execute(
            "INSERT INTO events (kind, instance, subject, actor, public, details)"
            " VALUES ('down', $1, $2, 'harvester', true, '{\"reason\": \"status 503\"}')", n, f"thing {number}",
        )  # fmt: skip
    async with serving(operator_rows=3) as client:
        admin = await signed_in(client, factory.connection, None)
        first = await admin.get("/admin/log")
        assert "link-used" in first and "thing 4" in first and "thing 3" not in first
        assert "reason: status 503" in text_of(first)
        (older,) = re.findall(r'<a href="(/admin/log\?before=\d+)"', first)
        second = await admin.get(older)
        assert [f"thing {each}" in second for each in range(5)] == [False, True, True, True, False]
        only = await admin.get("/admin/log?kind=link-made")
        assert "link 1" in only and "thing" not in only
        for wrong, status in (("kind=nothing", 400), ("before=x", 404), ("before=99999999999999999999", 404)):
            await admin.get(f"/admin/log?{wrong}", status)


async def test_the_last_administrator_is_not_locked_out_by_the_own_revocation(admin: Browser, factory: Factory) -> None:
    """Taking the own link back ends the own session at once; the machine's shell makes the next one."""
    await admin.get("/admin/access")
    answer = await admin.send("/admin/access/links/1/revoke")
    assert answer.status_code == 303
    await admin.get("/admin", 303)

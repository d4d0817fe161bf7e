"""The pages of a registration: without a script, in two languages, from our own forms only, with every text escaped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from federation.registrations import approve, refuse
from tests.integration.registration.conftest import Desk
from tests.integration.registration.test_registration_api import UNKNOWN, serving, wish

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(desk) as client:
        client.headers["origin"] = str(client.base_url).rstrip("/")
        yield client


async def test_an_operator_goes_through_without_a_script(client: httpx2.AsyncClient, desk: Desk) -> None:
    page = await client.get("/register")
    assert page.status_code == 200 and 'action="/register"' in page.text
    made = await client.post("/register", data=wish(desk) | {"act": "register"})
    assert made.status_code == 201
    (token,) = re.findall(r"<pre data-token>(panofed_[\w-]{43})</pre>", made.text)
    (where,) = re.findall(r'href="(/registrations/[0-9a-f-]{36})"', made.text)
    shown = await client.get(where)
    assert '<meta http-equiv="refresh" content="3">' in shown.text
    assert token not in shown.text and "me@here.example" not in shown.text
    await desk.work()
    shown = await client.get(where)
    assert 'data-state="awaiting-proof"' in shown.text and "http-equiv" not in shown.text
    (proof,) = re.findall(r"<pre data-proof>(panofed-proof=[0-9a-f]{32})</pre>", shown.text)
    desk.instance.publish(proof)
    looked = await client.post(where)
    assert (looked.status_code, looked.headers["location"]) == (303, where)
    await desk.work()
    assert 'data-state="awaiting-approval"' in (await client.get(where)).text
    number = await desk.admin.fetchval("SELECT n FROM registrations")
    await refuse(desk.visitor, number, EVIL, "token 1")
    refused = (await client.get(where)).text
    assert 'data-state="refused"' in refused
    assert EVIL not in refused and "&lt;script&gt;" in refused


async def test_a_check_alone_registers_nothing(client: httpx2.AsyncClient, desk: Desk) -> None:
    asked = await client.post("/register", data={"url": desk.instance.url, "act": "check"})
    assert asked.status_code == 303
    where = asked.headers["location"]
    assert where.startswith("/checks/")
    waiting = (await client.get(where)).text
    assert "data-events=" in waiting and "http-equiv" in waiting
    await desk.work()
    ended = (await client.get(where, params={"lang": "fr"})).text
    assert "Certificat" in ended and "joindre" not in ended
    assert 'class="warning"' in ended and 'class="outcome warned"' in ended
    assert await desk.admin.fetchval("SELECT count(*) FROM registrations") == 0


async def test_a_wrong_field_keeps_what_was_written(client: httpx2.AsyncClient, desk: Desk) -> None:
    said = {"url": EVIL, "name": EVIL, "contact": EVIL, "blurring": "none", "note": EVIL, "act": "register"}
    answer = await client.post("/register", data=said)
    assert answer.status_code == 400
    assert EVIL not in answer.text and "<img src=x" not in answer.text
    assert answer.text.count("&lt;script&gt;") >= 4
    assert re.search(r'name="url"[^>]*aria-invalid="true"', answer.text)
    assert 'value="none" checked' in answer.text
    (await client.get("/register", params={"url": EVIL})).text.index("&lt;script&gt;")


async def test_what_an_instance_says_is_escaped(client: httpx2.AsyncClient, desk: Desk) -> None:
    """Every text of an instance's that a finding repeats."""
    desk.instance.configuration |= {"name": EVIL, "license": {"id": EVIL}, "color": EVIL}
    desk.instance.landing |= {"stac_version": f"1.0.0{EVIL}", "geovisio_version": "2.15"}
    for sequence in desk.instance.sequences.values():
        sequence.pictures[0].item = {"geometry": {"type": EVIL, "coordinates": [EVIL, 0]}}
    asked = await client.post("/register", data={"url": desk.instance.url, "act": "check"})
    assert await desk.work() == ["failed"]
    page = (await client.get(asked.headers["location"])).text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page and "<img src=x" not in page
    policy = (await client.get(asked.headers["location"])).headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "connect-src 'self'" in policy


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_forms_of_other_sites_are_not_taken(client: httpx2.AsyncClient, desk: Desk, origin: str | None) -> None:
    del client.headers["origin"]
    headers = {} if origin is None else {"origin": origin}
    answer = await client.post("/register", data=wish(desk) | {"act": "register"}, headers=headers)
    assert answer.status_code == 403
    assert await desk.admin.fetchval("SELECT count(*) FROM registrations") == 0
    assert "access-control-allow-origin" not in answer.headers


async def test_too_many_checks_are_429_as_a_page(desk: Desk) -> None:
    async with serving(desk, client_checks_per_hour=1) as client:
        headers = {"origin": str(client.base_url).rstrip("/")}
        data = {"url": "https://a.example.org", "act": "check"}
        assert (await client.post("/register", data=data, headers=headers)).status_code == 303
        answer = await client.post("/register", data=data, headers=headers)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "text/html" in answer.headers["content-type"]


async def test_where_it_is_closed_the_page_says_so(desk: Desk) -> None:
    async with serving(desk, registration="off", catalog_contact="us@catalog.example") as client:
        page = await client.get("/register")
        assert "us@catalog.example" in page.text and "<form" not in page.text
        answer = await client.post(
            "/register", data=wish(desk) | {"act": "register"}, headers={"origin": str(client.base_url).rstrip("/")}
        )
        assert answer.status_code == 403


async def test_without_a_worker_the_page_says_so(client: httpx2.AsyncClient, desk: Desk) -> None:
    asked = await client.post("/register", data={"url": desk.instance.url, "act": "check"})
    assert (
        "No worker"
        not in (await client.get(asked.headers["location"])).text.replace("data-waiting", "", 1).split("data-steps")[0]
    )
    await desk.admin.execute("UPDATE checks SET asked_at = now() - interval '20 seconds'")
    assert "No worker" in (await client.get(asked.headers["location"])).text.split("data-steps")[0]


async def test_what_is_unknown_is_a_page_with_ways_on(client: httpx2.AsyncClient) -> None:
    for path in (f"/registrations/{UNKNOWN}", f"/checks/{UNKNOWN}", "/registrations/x", "/checks/%00"):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert "text/html" in answer.headers["content-type"]


async def test_the_contact_is_for_administrators(client: httpx2.AsyncClient, desk: Desk) -> None:
    """What an operator tells this catalog is on no page and in no answer for everybody."""
    made = await client.post("/api/instances", json=wish(desk, contact="private@me.example"))
    desk.instance.publish(made.json()["proof"]["text"])
    await desk.work()
    await client.post(f"/api/registrations/{made.json()['id']}/check")
    await desk.work()
    await approve(desk.visitor, await desk.admin.fetchval("SELECT n FROM registrations"), "token 1")
    for path in ("/instances", "/instances/here", "/api/instances", "/api/instances/here", "/api/health", "/about",
                 "/events.json", "/events.atom", "/metrics", f"/registrations/{made.json()['id']}"):  # fmt: skip
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert "private@me.example" not in answer.text, path
    assert await desk.admin.fetchval("SELECT contact FROM instances") == "private@me.example"

"""The operator's page: let in by a link, what it shows, and what can be done there."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.catalog_factory import Factory, Serving, line
from tests.desk import Browser, forms_of, signed_in, text_of


async def row_of(factory: Factory, name: str = "north") -> dict[str, Any]:
    row = await factory.connection.fetchrow("SELECT * FROM instances WHERE name = $1", name)
    assert row is not None
    return dict(row)


async def kinds(factory: Factory) -> list[str]:
    return [row["kind"] for row in await factory.connection.fetch("SELECT kind FROM events ORDER BY n")]


@pytest.fixture
async def north(factory: Factory) -> int:
    """A registered instance with three pictures."""
    await factory.sequence(line(2.35, 48.85, 3))
    await factory.connection.execute("UPDATE instances SET source = 'registered'")
    return await factory.instance()


@pytest.fixture
async def operator(client: httpx2.AsyncClient, factory: Factory, north: int) -> Browser:
    return await signed_in(client, factory.connection, north)


@pytest.fixture
async def admin(client: httpx2.AsyncClient, factory: Factory, north: int) -> Browser:
    return await signed_in(client, factory.connection, None)


async def test_a_link_leads_to_the_page_of_its_instance(operator: Browser, factory: Factory) -> None:
    answer = await operator.client.get("/operator", headers=operator.headers())
    assert (answer.status_code, answer.headers["location"]) == (303, "/operator/north")
    page = " ".join(text_of(await operator.get("/operator/north")).split())
    assert "north visited" in page and "pictures 3" in page
    assert await kinds(factory) == ["link-made", "link-used"]
    answer = await operator.client.get("/sign-in", headers=operator.headers())
    assert answer.headers["location"] == "/operator", "who is signed in goes on"


async def test_pausing_and_resuming(operator: Browser, factory: Factory) -> None:
    await operator.get("/operator/north")
    page = await operator.do("/operator/north/pause", reason="  moving\thouse ")
    assert "It is paused." in page
    row = await row_of(factory)
    assert (row["state"], row["state_reason"], row["operator_paused"]) == ("paused", "moving house", True)
    await operator.do("/operator/north/resume")
    row = await row_of(factory)
    assert (row["state"], row["operator_paused"]) == ("enabled", False)
    assert (await kinds(factory))[-2:] == ["paused", "resumed"]
    actors = await factory.connection.fetch("SELECT DISTINCT actor FROM events WHERE kind IN ('paused', 'resumed')")
    assert [row["actor"] for row in actors] == ["link 1"]


async def test_an_operator_cannot_end_an_administrators_pause(
    operator: Browser, admin: Browser, factory: Factory
) -> None:
    await admin.get("/operator/north")
    await admin.do("/operator/north/pause", reason="too many faults")
    page = await operator.get("/operator/north")
    assert "/operator/north/resume" not in forms_of(page)
    form = next(iter(forms_of(page).values())).fields["form"]
    answer = await operator.post("/operator/north/resume", {"form": form})
    assert answer.status_code == 409 and "too many faults" in answer.text
    assert (await row_of(factory))["state"] == "paused"


async def test_an_administrator_takes_an_operators_pause_over(
    operator: Browser, admin: Browser, factory: Factory
) -> None:
    await operator.get("/operator/north")
    await operator.do("/operator/north/pause")
    form = forms_of(await admin.get("/operator/north"))["/operator/north/resume"].fields["form"]
    assert (await admin.post("/operator/north/pause", {"form": form, "reason": "looking"})).status_code == 303
    row = await row_of(factory)
    assert (row["state_reason"], row["operator_paused"]) == ("looking", False)


async def test_harvest_and_reconciliation_are_due_now_but_not_twice(operator: Browser, factory: Factory) -> None:
    await factory.connection.execute("UPDATE instances SET next_visit_at = now() + interval '1 day'")
    await operator.get("/operator/north")
    await operator.do("/operator/north/harvest")
    assert await factory.connection.fetchval("SELECT next_visit_at <= now() FROM instances")
    assert (await operator.send("/operator/north/harvest")).status_code == 409
    await factory.connection.execute("UPDATE instances SET listed_at = now()")
    await operator.do("/operator/north/reconcile")
    row = await row_of(factory)
    assert row["recheck_before"] is not None and row["listed_at"] is None
    assert "1 sequence is still to be read again" in operator.page
    assert (await operator.send("/operator/north/reconcile")).status_code == 409
    assert (await kinds(factory))[-2:] == ["harvest-asked", "reconciliation-asked"]


async def test_choices_are_kept_shown_and_written_down(operator: Browser, factory: Factory) -> None:
    await operator.get("/operator/north")
    chosen = {
        "cadence_s": "60.5", "requests_per_s": "0.1", "concurrency": "3", "quiet_hours": "22:00-06:00",
        "contact": "ana@north.example",
    }  # fmt: skip
    page = await operator.do("/operator/north/choices", **chosen)
    assert {name: forms_of(page)["/operator/north/choices"].fields[name] for name in chosen} == chosen
    row = await row_of(factory)
    assert (row["cadence_s"], row["concurrency"], row["contact"]) == (60.5, 3, "ana@north.example")
    assert "Nothing was changed." in await operator.do("/operator/north/choices")
    page = await operator.do("/operator/north/choices", cadence_s="")
    assert (await row_of(factory))["cadence_s"] is None
    details = await factory.connection.fetchval("SELECT string_agg(details::text, '') FROM events")
    assert "60.5" in details and "ana@" not in details, "the contact is not for the log"
    assert (await kinds(factory)).count("settings-changed") == 2


async def test_hosts_of_pictures_are_an_administrators_to_confirm(
    operator: Browser, admin: Browser, factory: Factory
) -> None:
    assert "/operator/north/hosts" not in forms_of(await operator.get("/operator/north"))
    form = forms_of(operator.page)["/operator/north/pause"].fields["form"]
    answer = await operator.post("/operator/north/hosts", {"form": form, "asset_hosts": "evil.example"})
    assert answer.status_code == 403
    await admin.get("/operator/north")
    page = await admin.do("/operator/north/hosts", asset_hosts=" CDN.example, s.example:8443 ")
    assert forms_of(page)["/operator/north/hosts"].fields["asset_hosts"] == "cdn.example s.example:8443"
    assert (await row_of(factory))["asset_hosts"] == ["cdn.example", "s.example:8443"]
    answer = await admin.send("/operator/north/hosts", asset_hosts="https://cdn.example")
    assert answer.status_code == 400 and "asset_hosts" in answer.text
    await admin.do("/operator/north/hosts", asset_hosts="")
    assert (await row_of(factory))["asset_hosts"] == []
    assert (await kinds(factory)).count("settings-changed") == 2


async def test_a_choice_that_cannot_be_is_named(operator: Browser, factory: Factory) -> None:
    await operator.get("/operator/north")
    for field, value in (
        ("cadence_s", "3"), ("cadence_s", "1e9"), ("cadence_s", "nan"), ("requests_per_s", "0"),
        ("requests_per_s", "1000"), ("concurrency", "2.5"), ("concurrency", "99"), ("quiet_hours", "22-6"),
        ("contact", "javascript:alert(1)"), ("contact", "a@b\r\nbcc: c@d.example"), ("contact", "x" * 300),
    ):  # fmt: skip
        answer = await operator.send("/operator/north/choices", **{field: value})
        assert answer.status_code == 400 and field in answer.text, (field, value)
    assert "settings-changed" not in await kinds(factory)


async def test_an_entry_of_the_file_is_shown_as_such_and_not_edited(
    client: httpx2.AsyncClient, admin: Browser, factory: Factory
) -> None:
    await factory.connection.execute("UPDATE instances SET source = 'file'")
    page = await admin.get("/operator/north")
    assert "entry of instances.yaml" in page
    forms = forms_of(page)
    assert not {"/operator/north/choices", "/operator/north/move"} & set(forms)
    form = forms["/operator/north/pause"].fields["form"]
    for act, fields in (("choices", {"cadence_s": "60"}), ("move", {"url": "https://new.example/api"}), ("hosts", {})):
        answer = await admin.post(f"/operator/north/{act}", {"form": form} | fields)
        assert answer.status_code == 409 and "instances.yaml" in answer.text
    assert (await row_of(factory))["cadence_s"] is None


async def test_resuming_an_entry_asks_the_file(serving: Serving, factory: Factory, north: int, tmp_path: Any) -> None:
    file = tmp_path / "instances.yaml"
    file.write_text("instances: [{id: north, name: north, url: 'https://north.example/api'}]")
    await factory.connection.execute("UPDATE instances SET source = 'file', state = 'paused', state_reason = 'x'")
    async with serving(instances_file=file) as client:
        browser = await signed_in(client, factory.connection, None)
        await browser.get("/operator/north")
        await browser.do("/operator/north/resume")
        assert (await row_of(factory))["state"] == "disabled", "its entry does not say enabled"
        file.write_text("instances: [{id: north")
        await factory.connection.execute("UPDATE instances SET state = 'paused'")
        await browser.get("/operator/north")
        assert (await browser.send("/operator/north/resume")).status_code == 409


async def test_the_brake_is_decided_by_an_administrator(operator: Browser, admin: Browser, factory: Factory) -> None:
    await factory.connection.execute("UPDATE instances SET state = 'braked', state_reason = '90 % are missing'")
    page = await operator.get("/operator/north")
    assert "90 % are missing" in page and "/operator/north/confirm-brake" not in forms_of(page)
    form = forms_of(page)["/sign-out"].fields["form"]
    assert (await operator.post("/operator/north/confirm-brake", {"form": form})).status_code == 403
    assert (await operator.post("/operator/north/resume", {"form": form})).status_code == 409
    await admin.get("/operator/north")
    await admin.do("/operator/north/confirm-brake")
    row = await row_of(factory)
    assert (row["state"], row["absence_decided"]) == ("enabled", "confirmed")
    assert (await kinds(factory))[-2:] == ["brake-confirmed", "resumed"]


async def test_another_address_is_an_administrators_to_give(admin: Browser, factory: Factory) -> None:
    await factory.instance("south")
    await factory.connection.execute("UPDATE instances SET source = 'registered', cursor = now()")
    await admin.get("/operator/north")
    south = (await row_of(factory, "south"))["url"]
    assert (await admin.send("/operator/north/move", url=south)).status_code == 409
    assert (await admin.send("/operator/north/move", url="ftp://x")).status_code == 400
    await admin.do("/operator/north/move", url="https://NEW.example/api/")
    row = await row_of(factory)
    assert (row["url"], row["cursor"]) == ("https://new.example/api", None)
    assert await factory.connection.fetchval("SELECT count(*) FROM sequences WHERE updated IS NULL") == 1
    assert "moved" in await kinds(factory)


async def test_leaving_asks_twice(operator: Browser, factory: Factory) -> None:
    page = await operator.get("/operator/north")
    assert "/operator/north/leave" not in forms_of(page), "the first step only leads to the question"
    page = await operator.get("/operator/north/leave")
    assert "Held here: pictures 3, sequences 1." in text_of(page)
    assert (await operator.send("/operator/north/leave", name="nort")).status_code == 400
    assert (await row_of(factory))["state"] == "enabled"
    page = await operator.do("/operator/north/leave", name="north")
    assert (await row_of(factory))["state"] == "leaving" and "/operator/north/leave" not in page
    assert "leaving" in await kinds(factory)
    form = forms_of(page)["/sign-out"].fields["form"]
    for act in ("pause", "resume", "harvest", "reconcile"):
        assert (await operator.post(f"/operator/north/{act}", {"form": form})).status_code == 409
    assert (await operator.post("/operator/north/leave", {"form": form, "name": "north"})).status_code == 409


async def test_visits_errors_and_records_are_shown(operator: Browser, factory: Factory, north: int) -> None:
    sequence = await factory.connection.fetchval("SELECT id FROM sequences")
    await factory.connection.execute(
        "INSERT INTO runs (instance, outcome, sequences_seen, pictures_removed, last_error, last_error_url)"
        " VALUES ($1, 'partial', 1234, 7, 'status 503', 'https://north.example/api/x')", north,
    )  # fmt: skip
    await factory.connection.execute(
        "INSERT INTO retries (instance, sequence, attempts, next_at, error, url)"
        " VALUES ($1, $2, 4, now(), 'cut off', 'https://north.example/api/y')", north, sequence,
    )  # fmt: skip
    await factory.connection.execute(
        "INSERT INTO quarantine (instance, sequence, id, field, problem, body)"
        " VALUES ($1, $2, 'p-1', 'geometry', 'is not a point', $3)", north, sequence, b'{"id":"p-1","x":"\xff',
    )  # fmt: skip
    page = text_of(await operator.get("/operator/north"))
    for said in ("1,234 read", "7 removed", "status 503", "https://north.example/api/x", "cut off", str(sequence)):
        assert said in page
    for said in ("p-1", "is not a point", '{"id":"p-1","x":"\N{REPLACEMENT CHARACTER}'):
        assert said in page


async def test_nobody_comes_to_anothers_page(operator: Browser, factory: Factory) -> None:
    await factory.instance("south")
    await operator.get("/operator/south", 403)
    await operator.get("/operator/nobody", 404)
    await operator.get("/operator/%00", 404)
    form = forms_of(await operator.get("/operator/north"))["/operator/north/pause"].fields["form"]
    assert (await operator.post("/operator/south/pause", {"form": form})).status_code == 403
    assert (await operator.post("/operator/north/explode", {"form": form})).status_code == 404
    for path in ("/admin", "/admin/registrations", "/admin/takedowns", "/admin/access", "/admin/log"):
        await operator.get(path, 403)
    for path in ("/admin/access/tokens", "/admin/access/links", "/admin/takedowns", "/operator/north/link"):
        answer = await operator.post(path, {"form": form, "scope": "admin", "label": "x"})
        assert answer.status_code == 403, path
    assert await factory.connection.fetchval("SELECT count(*) FROM tokens") == 0
    assert (await row_of(factory, "south"))["state"] == "enabled"


async def test_pages_speak_french(operator: Browser, admin: Browser) -> None:
    assert "Moissonner maintenant" in await operator.get("/operator/north?lang=fr")
    page = await operator.do("/operator/north/pause")
    assert "Elle est en pause." in page, "who chose a language keeps it"
    for path in ("/admin", "/admin/registrations", "/admin/takedowns", "/admin/access", "/admin/log"):
        assert "Journal" in await admin.get(f"{path}?lang=fr")

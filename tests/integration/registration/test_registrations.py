"""From a wish to an instance: checked, proved, approved or refused; the operator's token; moves; lost proofs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from federation.database import Role, connect
from federation.errors import InstancesFileError, RegistrationRefused
from federation.instances import parse_instances, sync_instances
from federation.registrations import (
    State,
    Wish,
    approve,
    ask_move,
    ask_proof,
    list_registrations,
    prove_again,
    refuse,
    register,
)
from federation.tokens import Scope, use_token
from harvester.checking import expire
from harvester.purge import purge
from tests.harvest_world import harvest_settings
from tests.integration.registration.conftest import Desk, codes, states


async def proved(desk: Desk) -> tuple[int, str]:
    """A registration that awaits approval, with its token."""
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    assert await desk.work() == ["warned"]
    desk.instance.publish(asked.proof)
    await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["warned"]
    found = await desk.registration(asked.id)
    assert found.state is State.AWAITING_APPROVAL
    return found.n, asked.token


async def test_an_instance_joins(desk: Desk) -> None:
    asked = await register(desk.visitor, desk.wish(cadence_s="60"), desk.settings)
    assert (await desk.registration(asked.id)).state is State.CHECKING
    assert await desk.work() == ["warned"], "there is no TLS on loopback"
    found = await desk.registration(asked.id)
    assert (found.state, found.check_outcome, found.proved_at) == (State.AWAITING_PROOF, "warned", None)
    assert "pace" not in states(await desk.check(asked.check)), "nothing large is asked before the proof"

    check = await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["failed"]
    assert codes(await desk.check(check), "proof") == ["proof_lacks"]
    assert set(states(await desk.check(check)).values()) == {"ok", "warning", "failed", "skipped"}
    assert (await desk.registration(asked.id)).state is State.AWAITING_PROOF

    desk.instance.publish(asked.proof)
    check = await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["warned"]
    assert {"proof", "assets", "tiles", "pace", "blurring"} <= set(states(await desk.check(check)))
    found = await desk.registration(asked.id)
    assert (found.state, found.proved_by) == (State.AWAITING_APPROVAL, "well-known")
    assert await use_token(desk.visitor, asked.token) is None, "not before it is approved"

    number = await approve(desk.visitor, found.n, "token 1")
    row = await desk.admin.fetchrow("SELECT * FROM instances WHERE n = $1", number)
    assert row is not None
    assert (row["name"], row["url"], row["source"], row["state"]) == (
        "here",
        desk.instance.url,
        "registered",
        "enabled",
    )
    assert (row["contact"], row["cadence_s"]) == ("me@here.example", 60)
    token = await use_token(desk.visitor, asked.token)
    assert token is not None and token.scope is Scope.OPERATOR and token.instance == number
    found = await desk.registration(asked.id)
    assert (found.state, found.instance) == (State.APPROVED, number)
    assert await desk.events() == ["registered", "checked", "checked", "proved", "checked", "approved", "joined"]
    public = await desk.admin.fetch("SELECT kind FROM public_events")
    assert [each["kind"] for each in public] == ["joined"]


async def test_what_is_wrong_is_told_and_mended(desk: Desk) -> None:
    del desk.instance.configuration["email"]
    desk.instance.configuration["license"] = {"id": "etalab"}
    desk.instance.open_api = False
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    assert await desk.work() == ["failed"]
    check = await desk.check(asked.check)
    assert codes(check, "configuration") == ["configuration_lacks"]
    assert codes(check, "licence") == ["licence_unknown_near"]
    assert codes(check, "cors") == ["cors_api_lacks"]
    assert (await desk.registration(asked.id)).state is State.CHECKING
    desk.instance.configuration |= {"email": "me@here.example", "license": {"id": "etalab-2.0"}}
    desk.instance.open_api = True
    again = await ask_proof(desk.visitor, asked.id, desk.settings)
    assert again != asked.check
    assert await desk.work() == ["warned"]
    assert (await desk.registration(asked.id)).state is State.AWAITING_PROOF


async def test_a_fault_found_after_the_proof_keeps_it_out(desk: Desk) -> None:
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    desk.instance.publish(asked.proof)
    await desk.work()
    desk.instance.open_files = False
    check = await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["failed"]
    assert codes(await desk.check(check), "assets") == ["cors_asset_lacks"]
    found = await desk.registration(asked.id)
    assert found.state is State.CHECKING and found.proved_at is not None
    with pytest.raises(RegistrationRefused, match="only what is proved"):
        await approve(desk.visitor, found.n, "token 1")
    desk.instance.open_files = True
    await ask_proof(desk.visitor, asked.id, desk.settings)
    await desk.work()
    assert (await desk.registration(asked.id)).state is State.AWAITING_APPROVAL


async def test_automatic_approval(desk: Desk) -> None:
    desk.settings = harvest_settings(registration="automatic")
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    await desk.work()
    assert await desk.admin.fetchval("SELECT count(*) FROM instances") == 0
    desk.instance.publish(asked.proof)
    await ask_proof(desk.visitor, asked.id, desk.settings)
    await desk.work()
    assert (await desk.registration(asked.id)).state is State.APPROVED
    assert await desk.admin.fetchval("SELECT source FROM instances") == "registered"


async def test_what_is_not_blurred_is_looked_at_by_somebody(desk: Desk) -> None:
    desk.settings = harvest_settings(registration="automatic")
    asked = await register(desk.visitor, desk.wish(blurring="none"), desk.settings)
    desk.instance.publish(asked.proof)
    await desk.work()
    await ask_proof(desk.visitor, asked.id, desk.settings)
    await desk.work()
    assert (await desk.registration(asked.id)).state is State.AWAITING_APPROVAL


async def test_a_refusal_has_its_reason_and_is_final(desk: Desk) -> None:
    number, token = await proved(desk)
    await refuse(desk.visitor, number, "faces are not blurred", "token 1")
    found = (await list_registrations(desk.visitor))[0]
    assert (found.state, found.state_reason) == (State.REFUSED, "faces are not blurred")
    assert await list_registrations(desk.visitor, only_open=True) == []
    for act in (approve(desk.visitor, number, "token 1"), refuse(desk.visitor, number, "no", "token 1")):
        with pytest.raises(RegistrationRefused):
            await act
    assert await use_token(desk.visitor, token) is None
    with pytest.raises(RegistrationRefused, match="closed"):
        await ask_proof(desk.visitor, found.id, desk.settings)
    # it may be asked for again
    await register(desk.visitor, desk.wish(), desk.settings)


async def test_who_only_says_that_it_is_theirs_keeps_nobody_away(desk: Desk) -> None:
    claimed = await register(desk.visitor, desk.wish(contact="not@me.example"), desk.settings)
    await desk.work()
    number, _ = await proved(desk)
    await approve(desk.visitor, number, "token 1")
    await ask_proof(desk.visitor, claimed.id, desk.settings)
    await desk.work()
    assert (await desk.registration(claimed.id)).state is State.AWAITING_PROOF
    assert await desk.admin.fetchval("SELECT contact FROM instances") == "me@here.example"


async def test_an_address_and_a_name_are_taken_once(desk: Desk) -> None:
    await proved(desk)
    for more, field in (({}, "url"), ({"name": "other"}, "url"), ({"url": "https://other.example/api"}, "name")):
        with pytest.raises(RegistrationRefused) as caught:
            await register(desk.visitor, desk.wish(**more), desk.settings)
        assert caught.value.field == field
    await desk.admin.execute("UPDATE registrations SET state = 'refused'")
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'here', 'https://else.example/api', 'enabled'),"
        " ('b', 'there', $1, 'enabled')", desk.instance.url.removesuffix("/api"),
    )  # fmt: skip
    with pytest.raises(RegistrationRefused, match="'here'"):
        await register(desk.visitor, desk.wish(), desk.settings)
    with pytest.raises(RegistrationRefused, match="the address of the instance 'there'"):
        await register(desk.visitor, desk.wish(name="third"), desk.settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://a.example"), ("url", "https://u:p@a.example/api"), ("url", "https://a.example/?q=1"),
        ("url", ""),
        ("name", "Not A Name"), ("name", "check"), ("name", ""), ("contact", ""), ("contact", "x" * 300),
        ("contact", "a\x07b"), ("contact", "somebody"), ("blurring", "perhaps"), ("cadence_s", "soon"),
        ("cadence_s", "1"),
        ("cadence_s", "nan"),
        ("note", "x" * 3_000), ("note", "a\x00b"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(field: str, value: str) -> None:
    said = {"url": "https://a.example.org/api", "name": "here", "contact": "me@here.example", "blurring": "none"}
    with pytest.raises(RegistrationRefused, match=rf"^{field}: ") as caught:
        Wish.of(said | {field: value}, harvest_settings())
    assert caught.value.field == field


async def test_two_moderators_approve_once(desk: Desk) -> None:
    number, _ = await proved(desk)
    other = await connect(desk.dsn, Role.OPERATOR, desk.settings)
    ended = await asyncio.gather(
        approve(desk.visitor, number, "token 1"), approve(other, number, "token 2"), return_exceptions=True
    )
    await other.close()
    assert sorted(type(each).__name__ for each in ended) == ["RegistrationRefused", "int"]
    assert await desk.admin.fetchval("SELECT count(*) FROM instances") == 1


async def test_who_has_the_name_by_then_keeps_it(desk: Desk) -> None:
    """Automatic approval that is not possible any more leaves the rest to a moderator."""
    desk.settings = harvest_settings(registration="automatic")
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    desk.instance.publish(asked.proof)
    await desk.work()
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'here', 'https://x.org', 'paused')"
    )
    await ask_proof(desk.visitor, asked.id, desk.settings)
    await desk.work()
    assert (await desk.registration(asked.id)).state is State.AWAITING_APPROVAL
    assert await desk.admin.fetchval("SELECT count(*) FROM instances") == 1


async def test_the_file_and_registrations_leave_each_other_alone(desk: Desk) -> None:
    number, _ = await proved(desk)
    await approve(desk.visitor, number, "token 1")
    connection = await connect(desk.dsn, Role.WRITER, desk.settings)
    try:
        assert not await sync_instances(connection, ())
        assert await desk.admin.fetchval("SELECT state FROM instances WHERE name = 'here'") == "enabled"
        text = f"instances: [{{id: mine, name: mine, url: '{desk.instance.url}'}}]"
        with pytest.raises(InstancesFileError, match=r"mine.yaml:1: url: .*registered.*'here'"):
            await sync_instances(connection, parse_instances(text), Path("mine.yaml"))
        assert await desk.admin.fetchval("SELECT count(*) FROM instances") == 1
    finally:
        await connection.close()


async def test_what_is_known_of_who_has_left_is_forgotten(desk: Desk) -> None:
    number, _ = await proved(desk)
    await approve(desk.visitor, number, "token 1")
    late = timedelta(days=desk.settings.registration_days + 1)
    await desk.admin.execute("UPDATE registrations SET changed_at = now() - $1::interval", late)
    await purge(desk.pool, desk.settings)
    assert await desk.admin.fetchval("SELECT count(*) FROM registrations") == 1
    await desk.admin.execute("UPDATE instances SET state = 'left'")
    await purge(desk.pool, desk.settings)
    for table in ("registrations", "checks", "check_steps"):
        assert await desk.admin.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_who_has_left_may_come_again(desk: Desk) -> None:
    number, _ = await proved(desk)
    first = await approve(desk.visitor, number, "token 1")
    await desk.admin.execute("UPDATE instances SET state = 'left', name = 'here-left-1'")
    number, token = await proved(desk)
    second = await approve(desk.visitor, number, "token 1")
    assert second != first
    found = await use_token(desk.visitor, token)
    assert found is not None and found.instance == second


async def test_a_move_needs_a_proof_and_nobody_else(desk: Desk) -> None:
    number, _ = await proved(desk)
    instance = await approve(desk.visitor, number, "token 1")
    desk.instance.files.clear()
    before = desk.instance.url
    moved = before.replace("127.0.0.1", "localhost")
    await desk.admin.execute('UPDATE instances SET cursor = now(), capabilities = \'{"listing": "id"}\'')
    asked = await ask_move(desk.visitor, instance, moved, desk.settings)
    assert asked.token == ""
    await desk.work()
    assert await desk.admin.fetchval("SELECT url FROM instances") == before
    desk.instance.publish(asked.proof)
    await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["warned"]
    row = await desk.admin.fetchrow("SELECT url, cursor, capabilities FROM instances")
    assert row is not None
    assert tuple(row) == (moved, None, "{}")
    assert (await desk.events())[-1] == "moved"


async def test_only_registered_instances_move_by_proof(desk: Desk) -> None:
    number = await desk.admin.fetchval(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'a', 'https://a.org/api', 'enabled') RETURNING n"
    )
    with pytest.raises(RegistrationRefused, match=r"instances\.yaml"):
        await ask_move(desk.visitor, number, "https://b.org/api", desk.settings)
    assert await prove_again(desk.visitor, number, desk.settings) is None


async def test_a_proof_that_is_lost_is_noted_once_and_when_it_is_back(desk: Desk) -> None:
    number, _ = await proved(desk)
    instance = await approve(desk.visitor, number, "token 1")
    published = dict(desk.instance.files)
    known = len(await desk.events())
    desk.instance.files.clear()
    for _ in range(2):
        await prove_again(desk.visitor, instance, desk.settings)
        await desk.work()
    assert (await desk.events())[known:] == ["proof-lost"]
    assert await desk.admin.fetchval("SELECT state FROM instances") == "enabled"
    desk.instance.files |= published
    await prove_again(desk.visitor, instance, desk.settings)
    await desk.work()
    assert (await desk.events())[known:] == ["proof-lost", "proved"]


async def test_who_does_not_go_on_expires(desk: Desk) -> None:
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    await desk.work()
    await expire(desk.pool, desk.settings)
    assert (await desk.registration(asked.id)).state is State.AWAITING_PROOF
    late = timedelta(days=desk.settings.registration_days + 1)
    await desk.admin.execute("UPDATE registrations SET changed_at = now() - $1::interval", late)
    await expire(desk.pool, desk.settings)
    assert (await desk.registration(asked.id)).state is State.EXPIRED


async def test_no_more_are_open_than_are_let(desk: Desk) -> None:
    few = harvest_settings(registration="moderated", registrations_max=1)
    await register(desk.visitor, desk.wish(), few)
    with pytest.raises(RegistrationRefused, match="no more are taken"):
        await register(desk.visitor, desk.wish(url="https://b.org/api", name="b"), few)
    await desk.admin.execute("UPDATE registrations SET created_at = now() - interval '2 days'")
    await register(desk.visitor, desk.wish(url="https://b.org/api", name="b"), few)
    rows = await list_registrations(desk.visitor)
    assert [(each.name, each.state) for each in rows] == [("b", State.CHECKING), ("here", State.EXPIRED)]


async def test_neither_token_nor_contact_is_where_readers_look(desk: Desk) -> None:
    _, token = await proved(desk)
    kept = str(await desk.admin.fetch("SELECT r::text FROM registrations r")) + str(
        await desk.admin.fetch("SELECT e::text FROM events e")
    )
    assert token not in kept
    reader = await connect(desk.dsn, Role.READER, desk.settings)
    with pytest.raises(Exception, match="permission denied"):
        await reader.fetch("SELECT * FROM registrations")
    await reader.close()

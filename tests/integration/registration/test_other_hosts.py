"""Pictures on another host than their instance's: found by the check, confirmed with the approval, by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import pytest

from federation.acts import SHELL, Hand, confirm_hosts
from federation.checks import ask_check
from federation.errors import ActRefused
from federation.politeness import WrongChoice
from federation.registrations import State, approve, ask_move, ask_proof, hosts_to_confirm, register
from harvester.probe.probe import Nothing
from tests.harvest_world import harvest_settings
from tests.hostile import HostileServer, answer, redirect
from tests.integration.registration.conftest import Desk, codes, states
from tests.integration.registration.test_checks import found, probed
from tests.joining import Joining

OPEN = {"Access-Control-Allow-Origin": "*"}


@pytest.fixture
async def storage() -> AsyncIterator[HostileServer]:
    """An object storage that lets every site read."""
    async with HostileServer(otherwise=answer(b"\xff\xd8", headers=OPEN)) as server:
        yield server


def host_of(server: HostileServer) -> str:
    return urlsplit(server.url).netloc


def put_elsewhere(instance: Joining, *roots: str) -> None:
    """Its last sequence has its pictures there, in turn."""
    *_, sequence = instance.sequences.values()
    for number, picture in enumerate(sequence.pictures):
        root = roots[number % len(roots)]
        picture.item["assets"] = {
            size: {"href": f"{root}/{number}/{size}.jpg", "type": "image/jpeg"} for size in ("hd", "sd", "thumb")
        }


async def proved(desk: Desk) -> UUID:
    """A registration that was proved and checked in full."""
    asked = await register(desk.visitor, desk.wish(), desk.settings)
    desk.instance.publish(asked.proof)
    await desk.work()
    await ask_proof(desk.visitor, asked.id, desk.settings)
    assert await desk.work() == ["warned"]
    return asked.id


async def test_each_host_is_told_once_with_what_to_do(storage: HostileServer) -> None:
    async with Joining() as instance, HostileServer() as other:
        instance.add_sequence(pictures=4)
        put_elsewhere(instance, storage.url, other.url, instance.url, "https://10.1.2.3")
        result = await probed(instance.url, full=True)
        (step,) = [each for each in result.steps if each.name == "pictures"]
        assert [(each.code, each.values.get("host", "")) for each in step.findings] == [
            ("pictures", ""), ("other_host", host_of(storage)), ("other_host", host_of(other)),
            ("other_host_refused", ""),
        ]  # fmt: skip
        assert found(result, "assets") == ["assets"], "told already"
        assert len(other.requests) == 0, "one picture's files are looked at, the first one's"


async def test_a_redirect_to_another_host_is_told_too(storage: HostileServer) -> None:
    async with Joining() as instance, HostileServer(otherwise=redirect(f"{storage.url}/1.jpg")) as hop:
        instance.add_sequence(pictures=1)
        put_elsewhere(instance, hop.url)
        result = await probed(instance.url)
        assert found(result, "pictures") == ["pictures", "other_host"]
        told = [each for step in result.steps if step.name == "thumbnail" for each in step.findings]
        assert [each.values.get("host") for each in told if each.code == "other_host"] == [host_of(storage)]


async def test_what_is_confirmed_is_as_it_should_be(storage: HostileServer) -> None:
    class Known(Nothing):
        async def asset_hosts(self, place: str) -> list[str]:
            return [host_of(storage)]

    async with Joining() as instance:
        instance.add_sequence(pictures=2)
        put_elsewhere(instance, storage.url)
        result = await probed(instance.url, known=Known())
        assert found(result, "pictures") == ["pictures", "other_host_confirmed"]


async def test_the_hosts_of_a_known_instance_are_known(desk: Desk, storage: HostileServer) -> None:
    put_elsewhere(desk.instance, storage.url)
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state, asset_hosts) VALUES ('a', 'a', $1, 'enabled', $2)",
        desk.instance.url, [host_of(storage)],
    )  # fmt: skip
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    await desk.work()
    assert codes(await desk.check(check), "pictures") == ["pictures", "other_host_confirmed"]


async def test_the_approval_confirms_what_the_last_full_check_found(desk: Desk, storage: HostileServer) -> None:
    put_elsewhere(desk.instance, storage.url)
    registration = await desk.registration(await proved(desk))
    assert registration.check is not None
    assert states(await desk.check(registration.check))["pictures"] == "warning"
    assert await hosts_to_confirm(desk.visitor, registration.n) == (host_of(storage),)
    number = await approve(desk.visitor, registration.n, "token 1")
    assert await desk.admin.fetchval("SELECT asset_hosts FROM instances WHERE n = $1", number) == [host_of(storage)]
    details = await desk.admin.fetchval("SELECT details FROM events WHERE kind = 'approved'")
    assert orjson.loads(details)["asset_hosts"] == [host_of(storage)]


async def test_pictures_at_home_need_no_host(desk: Desk) -> None:
    registration = await desk.registration(await proved(desk))
    number = await approve(desk.visitor, registration.n, "token 1")
    assert await desk.admin.fetchval("SELECT asset_hosts FROM instances WHERE n = $1", number) == []


async def test_nobody_is_let_in_by_itself_whose_pictures_lie_elsewhere(desk: Desk, storage: HostileServer) -> None:
    desk.settings = harvest_settings(registration="automatic")
    put_elsewhere(desk.instance, storage.url)
    assert (await desk.registration(await proved(desk))).state is State.AWAITING_APPROVAL


async def test_a_move_confirms_nothing(desk: Desk, storage: HostileServer) -> None:
    registration = await desk.registration(await proved(desk))
    number = await approve(desk.visitor, registration.n, "token 1")
    async with Joining(seed=2) as elsewhere:
        elsewhere.add_sequence(pictures=1)
        put_elsewhere(elsewhere, storage.url)
        asked = await ask_move(desk.visitor, number, elsewhere.url, desk.settings)
        elsewhere.publish(asked.proof)
        await desk.work()
        await ask_proof(desk.visitor, asked.id, desk.settings)
        await desk.work()
        assert (await desk.registration(asked.id)).state is State.APPROVED
        row = await desk.admin.fetchrow("SELECT url, asset_hosts FROM instances WHERE n = $1", number)
        assert row is not None and tuple(row) == (elsewhere.url, [])


async def test_an_administrator_says_later_what_holds(desk: Desk) -> None:
    add = "INSERT INTO instances (id, name, url, state, source) VALUES ($1, $1, $1, 'enabled', $2) RETURNING n"
    mine, file = [await desk.admin.fetchval(add, *each) for each in (("a", "registered"), ("b", "file"))]
    assert await confirm_hosts(desk.visitor, mine, SHELL, ["CDN.example", "s.example:8443"]) == (
        "cdn.example", "s.example:8443",
    )  # fmt: skip
    await confirm_hosts(desk.visitor, mine, SHELL, ["cdn.example", "s.example:8443"])
    events = [orjson.loads(each["details"]) for each in await desk.admin.fetch("SELECT details FROM events")]
    assert [each["values"]["asset_hosts"] for each in events] == [["", "cdn.example s.example:8443"]]
    with pytest.raises(WrongChoice, match=r"asset_hosts: .*'\*\.example' must be one host"):
        await confirm_hosts(desk.visitor, mine, SHELL, ["*.example"])
    with pytest.raises(ActRefused, match=r"instances\.yaml rules it"):
        await confirm_hosts(desk.visitor, file, SHELL, ["cdn.example"])
    with pytest.raises(ActRefused, match="only an administrator"):
        await confirm_hosts(desk.visitor, mine, Hand(actor="token 1", admin=False), [])
    assert await confirm_hosts(desk.visitor, mine, SHELL, []) == ()

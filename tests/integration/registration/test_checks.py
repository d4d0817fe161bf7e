"""What a check finds: each fault by its name, with what to do; what it asks; jobs, repeats and limits."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from federation.check_words import LANGUAGES, check_words
from federation.checks import Kind, State, Step, ask_check, begin_check, write_step
from federation.errors import CheckRefused
from federation.registrations import register
from federation.settings import Settings
from harvester.checking import ATTEMPTS, checks_to_do, do_check
from harvester.probe.run import Result, run_check
from harvester.queue import Queue
from harvester.schedule import Service
from harvester.visit import Harvester
from tests.harvest_world import harvest_settings
from tests.hostile import HostileServer, answer, endless, raw, redirect
from tests.integration.registration.conftest import Desk, codes, states
from tests.joining import Joining


async def probed(url: str, settings: Settings | None = None, **more: Any) -> Result:
    """A check without a database; what is told at each moment is one step that begins or ends."""
    told: list[Step] = []

    async def report(step: Step) -> None:
        told.append(step)

    result = await run_check(url, settings or harvest_settings(), report, **more)
    ended = [step for step in told if step.state is not State.RUNNING]
    assert tuple(ended) == result.steps
    begun = [step.name for step in told if step.state is State.RUNNING]
    assert begun == [step.name for step in result.steps if step.state is not State.SKIPPED and step.name in begun]
    return result


def found(result: Result, step: str) -> list[str]:
    return [finding.code for each in result.steps if each.name == step for finding in each.findings]


async def test_an_instance_as_it_should_be() -> None:
    async with Joining() as instance:
        instance.add_sequence(pictures=3)
        result = await probed(instance.url, full=True)
        assert {step.state for step in result.steps if step.name != "tls"} == {State.OK}
        assert found(result, "tls") == ["plain_http"]


async def test_before_a_proof_only_a_handful_of_small_requests_is_made() -> None:
    async with Joining() as instance:
        for _ in range(8):
            instance.add_sequence(pictures=200)
        await probed(instance.url)
        assert len(instance.requests) <= 12
        limits = [each.split("limit=")[1].split("&")[0] for each in instance.requests if "limit=" in each]
        assert max(map(int, limits)) <= 10


def _lacking(member: str) -> Callable[[Joining], None]:
    return lambda instance: instance.configuration.__setitem__(member, None)


def _says(**members: Any) -> Callable[[Joining], None]:
    return lambda instance: instance.configuration.update(members)


def _lands(**members: Any) -> Callable[[Joining], None]:
    return lambda instance: instance.landing.update(members)


def _closes(name: str) -> Callable[[Joining], None]:
    return lambda instance: setattr(instance, name, False)


def _spoils_items(instance: Joining) -> None:
    for sequence in instance.sequences.values():
        for picture in sequence.pictures:
            picture.longitude = 400.0


def _spoils_sequences(instance: Joining) -> None:
    for sequence in instance.sequences.values():
        sequence.collection["id"] = 7


def _faults(path: str, status: int) -> Callable[[Joining], None]:
    return lambda instance: instance.faults.__setitem__(path, lambda: web.Response(status=status))


def _robots(text: str) -> Callable[[Joining], None]:
    return lambda instance: instance.files.__setitem__("/robots.txt", text)


FAULTS: dict[str, tuple[Callable[[Joining], None], str, str, State]] = {
    "no name": (_lacking("name"), "configuration", "configuration_lacks", State.FAILED),
    "no contact": (_lacking("email"), "configuration", "configuration_lacks", State.FAILED),
    "no logo": (_lacking("logo"), "configuration", "configuration_lacks", State.WARNING),
    "no coverage": (_lacking("geo_coverage"), "configuration", "configuration_lacks", State.WARNING),
    "a colour that is none": (_says(color="blue;}"), "configuration", "colour", State.WARNING),
    "no licence": (_lacking("license"), "licence", "licence_none", State.FAILED),
    "an unknown licence": (_says(license={"id": "my own"}), "licence", "licence_unknown", State.WARNING),
    "a misspelt licence": (_says(license={"id": "CC-BY-SA4.0"}), "licence", "licence_unknown_near", State.WARNING),
    "a licence in capitals": (_says(license={"id": "ETALAB-2.0"}), "licence", "licence_spelt", State.WARNING),
    "no CORS": (_closes("open_api"), "cors", "cors_api_lacks", State.FAILED),
    "no CORS of files": (_closes("open_files"), "thumbnail", "cors_asset_lacks", State.FAILED),
    "no CORS of all files": (_closes("open_files"), "assets", "cors_asset_lacks", State.FAILED),
    "no CORS of tiles": (_closes("open_files"), "tiles", "cors_asset_lacks", State.FAILED),
    "no STAC": (_lands(stac_version="0.9"), "landing", "landing_no_stac", State.FAILED),
    "an opt-out": (_lands(**{"panofed:opt_out": True}), "landing", "opted_out", State.FAILED),
    "classes that lack": (_lands(conformsTo=[]), "conformance", "conformance_lacks", State.WARNING),
    "an old version": (_lands(geovisio_version="2.9.1"), "version", "version_old", State.WARNING),
    "no tiles": (_lands(links=[]), "tiles", "tiles_none", State.WARNING),
    "bad pictures": (_spoils_items, "pictures", "picture_bad", State.FAILED),
    "bad sequences": (_spoils_sequences, "sequences", "sequence_bad", State.FAILED),
    "no sequences": (lambda instance: instance.sequences.clear(), "sequences", "sequences_none", State.WARNING),
    "a login": (_faults("/collections", 401), "sequences", "forbidden", State.FAILED),
    "a limit": (_faults("/collections", 429), "sequences", "busy", State.FAILED),
    "a broken list": (_faults("/collections", 500), "sequences", "status", State.FAILED),
    "robots": (_robots("User-agent: panofed\nDisallow: /\n"), "robots", "robots", State.FAILED),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_found_and_told(fault: str) -> None:
    spoil, step, code, state = FAULTS[fault]
    async with Joining() as instance:
        instance.add_sequence(pictures=3)
        spoil(instance)
        result = await probed(instance.url, harvest_settings(outbound_attempts=1), full=True)
        assert code in found(result, step)
        assert next(each.state for each in result.steps if each.name == step) is state
        for each in (finding for every in result.steps for finding in every.findings):
            for language in LANGUAGES:
                words = check_words(language)
                text = words.seen_texts[each.code] + words.advice_texts.get(each.code, "")
                assert set(re.findall(r"{(\w+)}", text)) <= each.values.keys(), each
        if state is State.FAILED:
            finding = next(each for every in result.steps for each in every.findings if each.code == code)
            assert check_words("en").advice(finding), "each failure says what to change"


async def test_a_clock_that_is_wrong() -> None:
    async with HostileServer() as server:
        for hours, code, state in ((2, "clock_wrong", State.FAILED), (0.05, "clock_wrong", State.WARNING)):
            date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
            server.on("/api/", answer({"stac_version": "1.0.0"}, headers={"Date": date}))
            result = await probed(f"{server.url}/api")
            step = next(each for each in result.steps if each.name == "clock")
            assert ([each.code for each in step.findings], step.state) == ([code], state)


async def test_the_address_without_api_is_told() -> None:
    async with HostileServer() as server:
        server.on("/api", answer({"stac_version": "1.0.0"}))
        for root in (answer({}, status=404), answer(b"<html>", headers={"Content-Type": "text/html"})):
            server.on("/", root)
            result = await probed(server.url)
            assert found(result, "landing") == ["landing_below"]
            assert result.steps[3].findings[0].values["url"] == f"{server.url}/api"


async def test_a_page_instead_of_json() -> None:
    async with HostileServer() as server:
        server.on("/api/", answer(b"<html>secret</html>", headers={"Content-Type": "text/html"}))
        result = await probed(f"{server.url}/api")
        assert found(result, "landing") == ["landing_no_json"]
        assert {step.state for step in result.steps if step.name in ("cors", "changes")} == {State.SKIPPED}
        assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (raw(b"SSH-2.0-OpenSSH_9.9 secret\r\n", then="close"), "no_http"),
        (redirect("https://elsewhere.example.org/api"), "redirected_away"),
        (redirect("http://169.254.169.254/latest"), "redirected_away"),
        (endless(), "malformed"),
        (answer({"message": "secret"}, status=502), "status"),
    ],
    ids=["no http", "another host", "cloud metadata", "no end", "502"],
)
async def test_what_a_hostile_server_sends_is_not_told(behaviour: Any, code: str) -> None:
    async with HostileServer() as server:
        server.otherwise = behaviour
        result = await probed(f"{server.url}/api", harvest_settings(outbound_attempts=1))
        assert found(result, "landing") == [code]
        assert "secret" not in str(result)
        assert all(request.path.startswith(("/api", "/robots.txt")) for request in server.requests)


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/api", "https://169.254.169.254/latest", "https://[fd00::1]/api", "https://printer.local/api",
        "http://example.org/api", "https://example.org:8443/api", "https://0x7f.1/api", "https://localhost/api",
    ],
)  # fmt: skip
async def test_an_address_that_may_not_be_visited_is_refused_without_a_packet(url: str) -> None:
    """Settings as they are delivered: no loopback, https only."""
    result = await probed(url, Settings())
    assert [(step.name, step.state) for step in result.steps] == [("address", State.FAILED)]
    assert found(result, "address") == ["address_refused"]


async def test_files_elsewhere_are_judged_by_the_guard() -> None:
    """An item may name any address as its picture: inside this network it is not asked for."""
    async with Joining() as instance, HostileServer() as inside:
        sequence = instance.add_sequence(pictures=1)
        sequence.pictures[0].item["assets"] = {
            "hd": {"href": "https://10.1.2.3/a.jpg", "type": "image/jpeg"},
            "thumb": {"href": f"http://10.1.2.3:{inside.port}/b.jpg", "type": "image/jpeg"},
        }
        result = await probed(instance.url, full=True)
        assert set(found(result, "assets")) == {"address_refused"}
        assert inside.requests == []


async def test_redirects_of_files_are_followed_by_the_guard_only() -> None:
    async with Joining() as instance, HostileServer() as elsewhere:
        instance.add_sequence(pictures=1)
        path = next(iter(instance.visible().values()))[1]["assets"]["hd"]["href"].partition("/api")[2]
        instance.faults[path] = lambda: web.Response(status=302, headers={"Location": f"{elsewhere.url}/cdn.jpg"})
        instance.hook, extra = None, instance.hook
        assert extra is not None

        async def hook(request: web.Request) -> web.StreamResponse | None:
            return None if request.path.removeprefix("/api") == path else await extra(request)

        instance.hook = hook
        elsewhere.on("/cdn.jpg", answer(b"\xff\xd8", headers={"Access-Control-Allow-Origin": "*"}))
        told = found(await probed(instance.url), "thumbnail")
        assert told == ["cors_asset_lacks", "other_host"], "the redirect is not open itself"
        assert len(elsewhere.requests) == 1
        assert elsewhere.requests[0].headers["range"] == "bytes=0-0"


async def test_this_catalog_is_no_instance_of_its_own() -> None:
    async with Joining() as instance:
        settings = harvest_settings(public_url=instance.url.removesuffix("/api"))
        assert found(await probed(instance.url, settings), "address") == ["ourselves"]


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = await probed(f"http://127.0.0.1:{port}/api", harvest_settings(outbound_attempts=1))
    assert found(result, "landing") == ["no_answer"]
    assert next(step.state for step in result.steps if step.name == "pictures") is State.SKIPPED


async def test_a_check_ends_in_time() -> None:
    async with Joining() as instance:
        instance.slow_s = 5.0
        result = await probed(instance.url, harvest_settings(check_timeout_s=0.5))
        assert result.steps[-1].findings[-1].code == "check_too_long"
        assert result.steps[-1].state is State.FAILED


# --- as jobs ------------------------------------------------------------------------------------------------------


async def test_the_same_check_is_given_to_everybody_for_a_while(desk: Desk) -> None:
    url = desk.instance.url
    first = await ask_check(desk.visitor, url, desk.settings)
    assert await ask_check(desk.visitor, f"{url}".removesuffix("/api"), desk.settings) == first, "one at a time"
    assert await desk.work() == ["warned"]
    requests = len(desk.instance.requests)
    assert await ask_check(desk.visitor, url, desk.settings) == first
    assert await desk.work() == []
    assert len(desk.instance.requests) == requests
    later = harvest_settings(check_kept_s=0)
    assert await ask_check(desk.visitor, url, later) != first


async def test_an_address_that_is_known_is_told(desk: Desk) -> None:
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'already', $1, 'enabled')", f"{desk.instance.url}/"
    )
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    await desk.work()
    assert codes(await desk.check(check), "address") == ["known"]
    assert states(await desk.check(check))["address"] == "failed"


async def test_the_same_server_at_another_address_is_told(desk: Desk) -> None:
    number = await desk.admin.fetchval(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'already', 'https://x.org', 'enabled') RETURNING n"
    )
    desk.instance.add_sequence(pictures=1)
    for id in desk.instance.sequences:
        await desk.admin.execute(
            "INSERT INTO sequences (id, instance, state) VALUES ($1::uuid, $2, 'merged')", id, number
        )
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    await desk.work()
    assert "held_already" in codes(await desk.check(check), "sequences")
    assert states(await desk.check(check))["sequences"] == "failed"


async def test_more_checks_an_hour_are_refused(desk: Desk) -> None:
    few = harvest_settings(checks_per_hour=2)
    for number in range(2):
        await ask_check(desk.visitor, f"https://a{number}.example.org/api", few)
    with pytest.raises(CheckRefused) as caught:
        await ask_check(desk.visitor, "https://a3.example.org/api", few)
    assert caught.value.wait_s > 0


async def test_few_checks_are_done_at_a_time_and_registrations_first(desk: Desk) -> None:
    few = harvest_settings(checks_at_once=2)
    for number in range(3):
        await ask_check(desk.visitor, f"https://a{number}.example.org/api", few)
    await register(desk.visitor, desk.wish(), few)
    assert await checks_to_do(desk.pool, few) == [4, 1]
    await do_check(desk.pool, 4, few)
    assert await checks_to_do(desk.pool, few) == [1, 2]


async def test_a_check_whose_worker_died_is_done_anew_by_another(desk: Desk) -> None:
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    (number,) = await checks_to_do(desk.pool, desk.settings)
    async with desk.pool.acquire() as connection:
        dead = await begin_check(connection, number)
        assert dead is not None
        step = Step(number=17, name="left over", state=State.RUNNING)
        assert await write_step(connection, number, dead["attempt"], step)
        assert await do_check(desk.pool, number, desk.settings) == "warned"
        assert not await write_step(connection, number, dead["attempt"], step), "who wakes up writes nothing"
    assert "left over" not in states(await desk.check(check))
    assert await do_check(desk.pool, number, desk.settings) == ""


async def test_a_check_that_kills_its_workers_is_given_up(desk: Desk) -> None:
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    await desk.admin.execute("UPDATE checks SET attempt = $1, started_at = now() - interval '1 hour'", ATTEMPTS)
    assert await checks_to_do(desk.pool, desk.settings) == []
    assert (await desk.check(check)).outcome == "broken"
    assert await ask_check(desk.visitor, desk.instance.url, desk.settings) != check


async def test_a_worker_takes_checks_from_the_queue(desk: Desk) -> None:
    check = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    queue = Queue(desk.pool)
    harvester = Harvester(dsn=desk.dsn, pool=desk.pool, settings=desk.settings, queue=queue)
    stop = asyncio.Event()
    assert await queue.put_checks(await checks_to_do(desk.pool, desk.settings)) == 1
    assert await queue.put_checks(await checks_to_do(desk.pool, desk.settings)) == 0, "one job for each"
    assert [(job["kind"], job["instance"]) for job in await queue.jobs()] == [("check", None)]
    service = Service(harvester=harvester, queue=queue, on_end=lambda *_: None, keeps_house=False)
    worker = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(30):
        while (await desk.check(check)).ended_at is None:  # noqa: ASYNC110 (the rows are all there is to look at)
            await asyncio.sleep(0.05)
    assert (await desk.check(check)).outcome == "warned"
    # the next one is found by the worker itself
    async with HostileServer() as other:
        check = await ask_check(desk.visitor, f"{other.url}/api", desk.settings)
        async with asyncio.timeout(30):
            while (await desk.check(check)).ended_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    stop.set()
    await worker
    assert (await desk.check(check)).outcome == "failed"


async def test_a_full_check_is_kept_apart_from_a_first_one(desk: Desk) -> None:
    first = await ask_check(desk.visitor, desk.instance.url, desk.settings)
    await desk.work()
    assert await ask_check(desk.visitor, desk.instance.url, desk.settings, kind=Kind.FULL) != first

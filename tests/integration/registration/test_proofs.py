"""Where a proof of ownership is looked for and found, and where not: a file, a TXT record, the configuration."""

from __future__ import annotations

import pytest

from federation.check_words import check_words
from federation.outbound_txt import read_txt
from federation.registrations import PROOF_PATH
from federation.settings import Settings
from harvester.probe.run import Result, run_check
from tests.harvest_world import harvest_settings
from tests.hostile import HostileServer, endless
from tests.integration.registration.test_checks import found
from tests.joining import Joining
from tests.name_server import NameServer

PROOF = "panofed-proof=00112233445566778899aabbccddeeff"


async def proved(url: str, settings: Settings | None = None) -> Result:
    async def report(_: object) -> None:
        return None

    chosen = settings or harvest_settings(page_pictures=1_000)
    return await run_check(url, chosen, report, full=True, published=PROOF)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (PROOF, "well-known"), (f"  {PROOF}\r\n", "well-known"), (f"# us\n\n{PROOF}\n", "well-known"),
        (f"{PROOF}0", ""), (PROOF.upper(), ""), (f"see {PROOF}", ""), ("", ""), ("x" * 50_000 + f"\n{PROOF}", ""),
    ],
)  # fmt: skip
async def test_the_proof_is_a_line_of_a_file_of_the_host(text: str, way: str) -> None:
    async with Joining() as instance:
        instance.add_sequence(pictures=1)
        instance.files[PROOF_PATH] = text
        result = await proved(instance.url)
        assert result.proved_by == way
        asked = [each for each in instance.requests if each.endswith("limit=1000")]
        assert bool(asked) == bool(way), "nothing large is asked without a proof"


@pytest.mark.parametrize("where", ["langs", "label", "text"])
async def test_the_proof_is_a_word_of_the_description(where: str) -> None:
    async with Joining() as instance:
        words = f"Streets of here. {PROOF} Welcome."
        said = {"langs": {"label": "x", "langs": {"fr": words}}, "label": {"label": words}, "text": words}
        instance.configuration["description"] = said[where]
        assert (await proved(instance.url)).proved_by == "configuration"
        instance.configuration |= {"description": {"label": "x"}, "name": {"label": words}}
        assert (await proved(instance.url)).proved_by == "", "a name is not the place"


async def test_the_proof_is_a_txt_record_of_the_name() -> None:
    async with Joining() as instance:
        url = instance.url.replace("127.0.0.1", "here.localhost")
        records = {"_panofed.here.localhost": ["something else", PROOF], "here.localhost": [PROOF]}
        async with NameServer(records) as names:
            assert (await proved(url, harvest_settings(dns_server=names.address))).proved_by == "dns"
            assert names.asked == ["_panofed.here.localhost"]
        async with NameServer({"here.localhost": [PROOF]}) as names:
            assert (await proved(url, harvest_settings(dns_server=names.address))).proved_by == ""


async def test_a_name_server_that_is_silent_is_no_proof_and_no_fault() -> None:
    async with Joining() as instance, NameServer({}, answers=False) as names:
        url = instance.url.replace("127.0.0.1", "here.localhost")
        settings = harvest_settings(dns_server=names.address, outbound_connect_timeout_s=0.5)
        result = await proved(url, settings)
        assert found(result, "proof") == ["proof_lacks"]
        instance.publish(PROOF)
        assert (await proved(url, settings)).proved_by == "well-known"


async def test_names_of_this_machine_and_of_private_networks_are_not_asked_for() -> None:
    """With the system's name server, as it is delivered: no packet."""
    for name in ("_panofed.localhost", "_panofed.127.0.0.1", "_panofed.::1", "_panofed.printer.local", "_panofed.x"):
        assert await read_txt(Settings(), name) == []


async def test_an_endless_file_is_no_proof() -> None:
    async with HostileServer() as server:
        server.on(PROOF_PATH, endless())
        assert (await proved(f"{server.url}/api")).proved_by == ""


async def test_what_is_to_be_published_is_told() -> None:
    async with Joining() as instance:
        result = await proved(instance.url)
        (finding,) = next(step.findings for step in result.steps if step.name == "proof")
        advice = check_words("en").advice(finding)
        assert PROOF in check_words("en").seen(finding)
        assert f"{instance.url.removesuffix('/api')}{PROOF_PATH}" in advice
        assert "_panofed.127.0.0.1" in advice

"""The step that finds out whether who registers an instance also runs it: by what is published there for it."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
from yarl import URL

from federation.errors import OriginError
from federation.outbound_txt import read_txt
from federation.registrations import PROOF_NAME, PROOF_PATH
from harvester.probe.probe import Probe, Verdict
from harvester.probe.reach import read_object

#: A file of one line; whoever answers with more is no operator who put it there.
_FILE_MAX = 10_000


async def check_proof(probe: Probe) -> Verdict:
    """The proof is in a file of its host, in a TXT record of its name, or in the description of its configuration."""
    verdict = Verdict()
    ways = (("well-known", _in_file), ("dns", _in_name), ("configuration", _in_description))
    for way, look in ways:
        try:
            found = await look(probe)
        except OriginError:
            found = False  # nobody is told what another address answers
        if found:
            probe.proved_by = way
            verdict.ok(f"proved_{way.replace('-', '_')}")
            return verdict
    probe.proved_by = ""
    host = urlsplit(probe.url).hostname or ""
    verdict.fail("proof_lacks", file=_file(probe), record=f"{PROOF_NAME}{host}", proof=probe.proof)
    return verdict


def _file(probe: Probe) -> str:
    return str(URL(probe.session.base_url).origin().with_path(PROOF_PATH))


async def _in_file(probe: Probe) -> bool:
    answer = await probe.session.get(_file(probe), accept="text/plain", attempts=1)
    lines = answer.body[:_FILE_MAX].decode("utf-8", "replace").splitlines()
    return probe.proof in (line.strip() for line in lines)


async def _in_name(probe: Probe) -> bool:
    host = urlsplit(probe.url).hostname or ""
    return probe.proof in (text.strip() for text in await read_txt(probe.settings, f"{PROOF_NAME}{host}"))


async def _in_description(probe: Probe) -> bool:
    answer = await probe.session.get("configuration", attempts=1)
    members = read_object(answer) or {}
    return probe.proof in orjson.dumps(members.get("description")).decode().replace('"', " ").split()

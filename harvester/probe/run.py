"""A whole check: its steps in order, each told as it begins and ends, within the time and the limits of a check."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from federation.checks import State, Step
from federation.errors import AddressRefused, OriginError, RecordRefused
from federation.outbound import OriginSession
from federation.outbound_resolve import AbstractResolver
from federation.settings import Settings
from harvester.client import InstanceClient
from harvester.probe import assets, changes, describe, proof, reach, records, speak
from harvester.probe.probe import Knowledge, Nothing, Probe, Verdict

Report = Callable[[Step], Awaitable[None]]

#: Of a check: an answer larger than this is none that a few records need, and who is slower is told so.
_BODY_BYTES = 8_000_000
_FIRST_BYTE_S = 20.0
_REQUESTS_PER_S = 5.0
_CONCURRENCY = 1


@dataclass(frozen=True, slots=True)
class _Stage:
    """A step: its name, what it does, the steps without which it is of no use, whether only a full check has it."""

    name: str
    run: Callable[[Probe], Awaitable[Verdict]]
    needs: tuple[str, ...] = ()
    full: bool = False


_STAGES = (
    _Stage("address", reach.check_address),
    _Stage("tls", reach.check_tls),
    _Stage("proof", proof.check_proof, full=True),
    _Stage("robots", reach.check_robots, ("tls",)),
    _Stage("landing", reach.check_landing, ("tls",)),
    _Stage("conformance", speak.check_conformance, ("landing",)),
    _Stage("version", speak.check_version, ("landing",)),
    _Stage("clock", speak.check_clock, ("landing",)),
    _Stage("configuration", describe.check_configuration, ("landing",)),
    _Stage("licence", describe.check_licence, ("landing",)),
    _Stage("cors", speak.check_cors, ("landing",)),
    _Stage("sequences", records.check_sequences, ("landing",)),
    _Stage("pictures", records.check_pictures, ("landing", "sequences")),
    _Stage("thumbnail", assets.check_thumbnail, ("landing", "sequences")),
    _Stage("changes", changes.check_changes, ("landing",)),
    _Stage("assets", assets.check_assets, ("landing", "sequences"), full=True),
    _Stage("tiles", assets.check_tiles, ("landing",), full=True),
    _Stage("pace", changes.check_pace, ("landing", "sequences"), full=True),
    _Stage("blurring", changes.check_blurring, full=True),
)
#: Names of all steps, in order.
STEPS = tuple(stage.name for stage in _STAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a check ended: its steps, and by which way the proof was found ("": by none, None: not looked for)."""

    steps: tuple[Step, ...]
    proved_by: str | None = None


async def run_check(
    url: str,
    settings: Settings,
    report: Report,
    *,
    known: Knowledge | None = None,
    full: bool = False,
    published: str = "",
    blurring: str = "",
    proof_only: bool = False,
    resolver: AbstractResolver | None = None,
) -> Result:
    """Check the instance at `url`. `full`: look for what is `published` as a proof, and only where it is found go on.

    Without `published` a full check needs no proof: it is that of whoever runs this catalog. `proof_only`: nothing else
    is looked at, as of an instance that is visited anyway.
    """
    limits = settings.model_copy(
        update={
            "outbound_body_max_bytes": min(settings.outbound_body_max_bytes, _BODY_BYTES),
            "outbound_first_byte_timeout_s": min(settings.outbound_first_byte_timeout_s, _FIRST_BYTE_S),
            "page_pictures": min(settings.page_pictures, settings.check_pictures),
        }
    )
    told = _Told(report)
    try:
        session = OriginSession(
            limits, url, instance=url, concurrency=_CONCURRENCY, requests_per_s=_pace(settings), resolver=resolver
        )
    except AddressRefused as error:
        verdict = Verdict()
        verdict.fault(error)
        await told.end(0, "address", verdict)
        return Result(steps=tuple(told.steps))
    async with session:
        probe = Probe(
            url=url, settings=limits, session=session, client=InstanceClient(session, limits, url),
            known=known or Nothing(), full=full, proof=published, blurring=blurring, proof_only=proof_only,
            resolver=resolver,
        )  # fmt: skip
        try:
            async with asyncio.timeout(settings.check_timeout_s):
                await _run_stages(probe, told)
        except TimeoutError:
            verdict = Verdict()
            verdict.fail("check_too_long", seconds=settings.check_timeout_s)
            await told.end(told.number, told.name, verdict)
        return Result(steps=tuple(told.steps), proved_by=probe.proved_by)


@dataclass(slots=True)
class _Told:
    """What was reported: the step that runs, and those that have ended."""

    report: Report
    steps: list[Step] = field(default_factory=list)
    number: int = 0
    name: str = "address"

    async def begin(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        await self.report(Step(number=number, name=name, state=State.RUNNING))

    async def skip(self, number: int, name: str) -> None:
        step = Step(number=number, name=name, state=State.SKIPPED)
        self.steps.append(step)
        await self.report(step)

    async def end(self, number: int, name: str, verdict: Verdict) -> None:
        step = Step(number=number, name=name, state=verdict.state, findings=tuple(verdict.findings))
        self.steps.append(step)
        await self.report(step)


def _pace(settings: Settings) -> float:
    """Requests a second: no more than a visit makes (0: no limit), nor than a check has use for."""
    return min(settings.instance_requests_per_s, _REQUESTS_PER_S)


async def _run_stages(probe: Probe, told: _Told) -> None:
    stages = [stage for stage in _STAGES if _is_wanted(stage, probe)]
    for number, stage in enumerate(stages):
        useless = {step.name for step in told.steps if step.state in (State.FAILED, State.SKIPPED)}
        if not useless.isdisjoint(stage.needs) or probe.proved_by == "":
            await told.skip(number, stage.name)
            continue
        await told.begin(number, stage.name)
        await told.end(number, stage.name, await _verdict(stage, probe))


def _is_wanted(stage: _Stage, probe: Probe) -> bool:
    if probe.proof_only:
        return stage.name in ("tls", "proof")
    if stage.name in ("proof", "blurring"):
        # of a registration only
        return probe.full and bool(probe.proof)
    return probe.full or not stage.full


async def _verdict(stage: _Stage, probe: Probe) -> Verdict:
    try:
        return await stage.run(probe)
    except OriginError as error:
        verdict = Verdict()
        verdict.fault(error)
        return verdict
    except RecordRefused as error:
        verdict = Verdict()
        verdict.fail("malformed", url=probe.url, problem=str(error))
        return verdict

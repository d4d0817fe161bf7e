"""What the steps of a check share: the instance's session, what earlier steps have read, and how a verdict is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from federation.checks import Finding, State
from federation.errors import (
    AddressRefused,
    CircuitOpen,
    HarvestUnwanted,
    OriginError,
    OriginMalformed,
    OriginRefused,
    OriginUnreachable,
    Unreachable,
)
from federation.instances_fields import clip
from federation.outbound import Answer, OriginSession
from federation.outbound_resolve import AbstractResolver
from federation.settings import Settings
from harvester.client import InstanceClient
from harvester.listing import Listed

#: Who asks, where this catalog does not know its own address.
_SOMEBODY = "https://catalog.invalid"
_TEXT_MAX = 200


class Knowledge(Protocol):
    """What this catalog knows of other instances."""

    async def at(self, place: str) -> list[str]:
        """Names of instances at this place."""
        ...

    async def holders(self, sequences: list[str]) -> dict[str, int]:
        """How many of these sequences each other instance holds, by its name."""
        ...

    async def asset_hosts(self, place: str) -> list[str]:
        """Hosts confirmed for pictures of the instances at this place."""
        ...


class Nothing:
    """Knows no instance: a check without a database."""

    async def at(self, place: str) -> list[str]:
        """None."""
        return []

    async def holders(self, sequences: list[str]) -> dict[str, int]:
        """None."""
        return {}

    async def asset_hosts(self, place: str) -> list[str]:
        """None."""
        return []


@dataclass(slots=True, kw_only=True)
class Probe:
    """One check under way. `settings` have the limits of a check; `proof` is what is to be published, "" if nothing is.

    What a step reads, later ones find here. Values that come from the instance are shortened before they are told.
    """

    url: str
    settings: Settings
    session: OriginSession
    client: InstanceClient
    known: Knowledge
    full: bool = False
    proof: str = ""
    #: "well-known", "dns", "configuration", "" when it was not found, None when it was not looked for
    proved_by: str | None = None
    blurring: str = ""
    proof_only: bool = False
    resolver: AbstractResolver | None = None
    front: Answer | None = None
    landing: dict[str, Any] = field(default_factory=dict)
    configuration: dict[str, Any] | None = None
    sequences: list[Listed] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    #: those besides its own that pictures lie on
    hosts: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The origin of our pages, as browsers tell it to the instance."""
        base = self.settings.public_url
        return "/".join(base.split("/")[:3]) if base else _SOMEBODY

    @property
    def is_geovisio(self) -> bool:
        """Whether it is a Panoramax instance; else another STAC API."""
        return isinstance(self.landing.get("geovisio_version"), str)


_WORSE = {State.OK: 0, State.WARNING: 1, State.FAILED: 2}


@dataclass(slots=True)
class Verdict:
    """What a step has found; its state is that of the worst finding."""

    state: State = State.OK
    findings: list[Finding] = field(default_factory=list)

    def ok(self, code: str, **values: str | int | float) -> None:
        """This is as it should be."""
        self._add(State.OK, code, values)

    def warn(self, code: str, **values: str | int | float) -> None:
        """It can be harvested, but something is amiss."""
        self._add(State.WARNING, code, values)

    def fail(self, code: str, **values: str | int | float) -> None:
        """It cannot be taken in like this."""
        self._add(State.FAILED, code, values)

    def fault(self, error: OriginError) -> None:
        """A request failed: no answer of the instance's is told, only what kind of fault it is."""
        code, values = explained(error)
        self.fail(code, **values)

    def _add(self, state: State, code: str, values: dict[str, str | int | float]) -> None:
        told = {name: tidy(value) if isinstance(value, str) else value for name, value in values.items()}
        self.findings.append(Finding(code=code, values=told))
        if _WORSE[state] > _WORSE[self.state]:
            self.state = state


def tidy(text: str) -> str:
    """A text of an instance's as it is told: one line, printable, not long.

    >>> tidy("a\\nb\\x00c")
    'a b?c'
    """
    line = " ".join(text.split())
    return clip("".join(each if each.isprintable() else "?" for each in line), _TEXT_MAX)


_SLOW = (Unreachable.FIRST_BYTE, Unreachable.IDLE, Unreachable.TOTAL)


def explained(error: OriginError) -> tuple[str, dict[str, str | int | float]]:
    """The finding that stands for an error.

    >>> explained(OriginRefused("status 403 (Forbidden)", status=403, url="https://a.example/api"))
    ('forbidden', {'url': 'https://a.example/api', 'status': 403})
    """
    where: dict[str, str | int | float] = {"url": error.url}
    if isinstance(error, OriginRefused):
        code = "forbidden" if error.status in (401, 403) else "busy" if error.status == 429 else "status"
        return code, where | {"status": error.status}
    if isinstance(error, AddressRefused):
        return ("redirected_away" if " is not the origin " in str(error) else "address_refused"), where | {
            "problem": str(error)
        }
    if isinstance(error, CircuitOpen):
        return "busy", where | {"status": 429}
    if isinstance(error, OriginUnreachable):
        code = {Unreachable.DNS: "no_dns", Unreachable.TLS: "tls_refused"}.get(error.kind, "no_answer")
        return ("too_slow" if error.kind in _SLOW else code), where | {"problem": str(error)}
    if isinstance(error, HarvestUnwanted):
        return "unwanted", where | {"problem": str(error)}
    if isinstance(error, OriginMalformed) and str(error).startswith("not an HTTP answer"):
        return "no_http", where  # the detail would repeat what the other side sent
    return "malformed", where | {"problem": str(error)}

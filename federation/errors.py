"""Every error this project raises on purpose, one tree:

PanofedError
    ConfigurationError          settings or instances.yaml say something that cannot be
        InstancesFileError      instances.yaml, with file, line and field
    DatabaseError               the index cannot be reached or used
        DatabaseUnavailable     it does not answer
        DatabaseTooOld          PostgreSQL or PostGIS below the supported version
        DatabaseFull            its disk is full
        SchemaMismatch          the schema is not the one this version expects
        QueryTooLong            a statement ran out of its time
        StaleLeaves             the leaf set changed under the caller: reload it and ask again
        RunFenced               another worker took this run over
    ClusterError                the embedded PostgreSQL cannot be made, started or stopped
        BinariesMissing         no PostgreSQL with PostGIS on this machine
    ExportError                 the GeoParquet export cannot be written
    TakedownRefused             a takedown cannot be made or ended so
    CheckRefused                no check of an instance is made now
    RegistrationRefused         a registration cannot be taken, or cannot go this way
    DemoError                   the demonstration's instances cannot be made, loaded or stopped
    OriginError                 an instance did not do what its API promises
        OriginUnreachable       no connection, DNS, TLS or a timeout
            CircuitOpen         nobody asks it for a while: it gave no answers, or it asked for a pause
        OriginRefused           it answered with a status that says no
        OriginMalformed         it answered with something that is not what the API promises
        OriginChanged           the sequence changed while it was being read
        AddressRefused          the outbound guard refused to connect there
        HarvestUnwanted         it does not want to be harvested: robots.txt, or the mark on its landing page
    ActRefused                  what was asked for cannot be done with the instance as it is
    RecordRefused               one record cannot be accepted: quarantined, its neighbours are not harmed
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path


class PanofedError(Exception):
    """Something this project knows how to explain."""


class ConfigurationError(PanofedError):
    """A setting has a value that cannot be used."""


class InstancesFileError(ConfigurationError):
    """instances.yaml is wrong; its message has one line per problem, `also` holds those after the first.

    >>> str(InstancesFileError(Path("instances.yaml"), 12, "url", "'ftp://x' is not an http(s) address"))
    "instances.yaml:12: url: 'ftp://x' is not an http(s) address"
    """

    def __init__(
        self, path: Path, line: int, field: str, problem: str, also: Sequence[InstancesFileError] = ()
    ) -> None:
        place = f"{path}:{line}" if line else str(path)
        said = f"{place}: {field}: {problem}" if field else f"{place}: {problem}"
        super().__init__("\n".join([said, *map(str, also)]))
        self.path, self.line, self.field, self.problem, self.also = path, line, field, problem, tuple(also)


class DatabaseError(PanofedError):
    """The index cannot be used."""


class DatabaseUnavailable(DatabaseError):
    """The database does not answer."""


class DatabaseTooOld(DatabaseError):
    """PostgreSQL or PostGIS is older than this project supports."""


class DatabaseFull(DatabaseError):
    """The database's disk is full: writing stops, reading goes on."""


class SchemaMismatch(DatabaseError):
    """The schema in the database is not the one this version works with."""


class QueryTooLong(DatabaseError):
    """A statement was stopped because it ran out of its time."""


class StaleLeaves(DatabaseError):
    """The set of leaves changed: reload it and ask again."""


class RunFenced(DatabaseError):
    """Another worker took this run over; nothing more is written by this one."""


class ClusterError(PanofedError):
    """The embedded PostgreSQL cluster cannot be used."""


class BinariesMissing(ClusterError):
    """No PostgreSQL server with PostGIS was found on this machine."""


class ExportError(PanofedError):
    """The GeoParquet export cannot be written."""


class TakedownRefused(PanofedError):
    """A takedown cannot be made or ended so."""


class CheckRefused(PanofedError):
    """No check is made now; another try is worth it after `wait_s` seconds."""

    def __init__(self, message: str, *, wait_s: int) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RegistrationRefused(PanofedError):
    """A registration cannot be taken, or cannot go this way; `field` names what is wrong with it, if one thing is."""

    def __init__(self, message: str, *, field: str = "", value: str = "") -> None:
        super().__init__(message)
        self.field, self.value = field, value


class DemoError(PanofedError):
    """The demonstration's instances cannot be made, loaded or stopped."""


class ActRefused(PanofedError):
    """An operator or administrator asks for what cannot be done in this state."""


class NoticeRefused(PanofedError):
    """Nobody took a message about an event: a webhook or a mail server."""


class OriginError(PanofedError):
    """An instance did not do what its API promises.

    `instance` is its name, `url` the address asked; both go into run records.
    """

    def __init__(self, message: str, *, instance: str = "", url: str = "") -> None:
        super().__init__(message)
        self.instance, self.url = instance, url


class Unreachable(StrEnum):
    """In which step a request got no answer."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    FIRST_BYTE = "first byte"
    IDLE = "idle"
    TOTAL = "total"
    LOST = "lost"
    CIRCUIT = "circuit"


class OriginUnreachable(OriginError):
    """No answer: DNS, TLS, connection or time-out; `kind` says which. Worth another try later."""

    def __init__(
        self, message: str, *, kind: Unreachable = Unreachable.CONNECT, instance: str = "", url: str = ""
    ) -> None:
        super().__init__(message, instance=instance, url=url)
        self.kind = kind


class CircuitOpen(OriginUnreachable):
    """Nobody asks this instance for `retry_after_s` seconds: it gave no answers in a row, or it asked for a pause.

    >>> str(CircuitOpen(90.0, faults=5))
    'not asked for another 90 s: 5 requests in a row got no answer'
    >>> str(CircuitOpen(3600.0))
    'not asked for another 3600 s: it asked for a pause'
    """

    def __init__(self, seconds: float, *, faults: int = 0) -> None:
        why = f"{faults} requests in a row got no answer" if faults else "it asked for a pause"
        super().__init__(f"not asked for another {seconds:.0f} s: {why}", kind=Unreachable.CIRCUIT)
        self.retry_after_s = seconds


class OriginRefused(OriginError):
    """The instance answered with an HTTP status that says no."""

    def __init__(
        self, message: str, *, status: int, instance: str = "", url: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, instance=instance, url=url)
        self.status, self.retry_after_s = status, retry_after_s


class OriginMalformed(OriginError):
    """The instance answered with something that is not what a STAC API answers."""


class OriginChanged(OriginError):
    """The sequence changed while its pages were read: read it again."""


class AddressRefused(OriginError):
    """The outbound guard refuses this address; no packet was sent."""


class HarvestUnwanted(OriginError):
    """The instance does not want to be harvested; `withdraw`: nor to be in the catalog."""

    def __init__(self, message: str, *, withdraw: bool = False, instance: str = "", url: str = "") -> None:
        super().__init__(message, instance=instance, url=url)
        self.withdraw = withdraw


class RecordRefused(PanofedError):
    """One record cannot be accepted; `field` names what is wrong with it.

    >>> str(RecordRefused("geometry.coordinates", "longitude 200.0 is outside -180..180"))
    'geometry.coordinates: longitude 200.0 is outside -180..180'
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class RecordNotPublic(RecordRefused):
    """The origin marks the record as not public: it is counted, and nothing of it is kept."""

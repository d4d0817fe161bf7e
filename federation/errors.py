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
    DemoError                   the demonstration's instances cannot be made, loaded or stopped
    OriginError                 an instance did not do what its API promises
        OriginUnreachable       no connection, DNS, TLS or a timeout
        OriginRefused           it answered with a status that says no
        OriginMalformed         it answered with something that is not what the API promises
        OriginChanged           the sequence changed while it was being read
        AddressRefused          the outbound guard refused to connect there
    RecordRefused               one record cannot be accepted: quarantined, its neighbours are not harmed
"""

from __future__ import annotations

from collections.abc import Sequence
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


class DemoError(PanofedError):
    """The demonstration's instances cannot be made, loaded or stopped."""


class OriginError(PanofedError):
    """An instance did not do what its API promises.

    `instance` is its name, `url` the address asked; both go into run records.
    """

    def __init__(self, message: str, *, instance: str = "", url: str = "") -> None:
        super().__init__(message)
        self.instance, self.url = instance, url


class OriginUnreachable(OriginError):
    """No answer: DNS, TLS, connection or time-out. Worth another try later."""


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

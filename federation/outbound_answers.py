"""What the exchanges of a session told of its server besides their answers: its speed, the end of its certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import ClientResponse
from aiohttp.connector import Connection


class LookedAt(ClientResponse):
    """A response that knows the certificate of its connection, which it gives back with the end of its body."""

    certificate_until: datetime | None = None

    async def start(self, connection: Connection) -> ClientResponse:
        """See ClientResponse."""
        shown = None if connection.transport is None else connection.transport.get_extra_info("peercert")
        if shown and "notAfter" in shown:
            self.certificate_until = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
        return await super().start(connection)


@dataclass(slots=True)
class Answers:
    """Sums over a session: seconds from a request to the end of its answer, all together and the longest."""

    answering_s: float = 0.0
    slowest_s: float = 0.0
    #: the end of the certificate that was shown last; None without https
    certificate_until: datetime | None = None

    def took(self, seconds: float) -> None:
        """One exchange is over."""
        self.answering_s += seconds
        self.slowest_s = max(self.slowest_s, seconds)

    def look_at(self, response: ClientResponse) -> None:
        """Keep what it knows."""
        if isinstance(response, LookedAt) and response.certificate_until is not None:
            self.certificate_until = response.certificate_until

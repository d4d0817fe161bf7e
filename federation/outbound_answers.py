"""What the exchanges of a session told of its server besides their answers: its speed, the end of its certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import ClientResponse


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
        """Read the certificate. An answer that came in one piece has given its connection back: another one will do."""
        transport = None if response.connection is None else response.connection.transport
        shown = None if transport is None else transport.get_extra_info("peercert")
        if shown and "notAfter" in shown:
            self.certificate_until = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)

"""A name server on loopback that answers questions for TXT records.

async with NameServer({"_panofed.a.example.org": ["panofed-proof=1"]}) as server:
    ... settings with dns_server=server.address ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


@dataclass(slots=True)
class NameServer(asyncio.DatagramProtocol):
    """`records` by name; `asked` is its log. Without `answers` it is silent."""

    records: Mapping[str, Sequence[str]]
    answers: bool = True
    asked: list[str] = field(default_factory=list)
    address: str = ""
    _transport: Any = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = dns.message.from_wire(data)
        name = asked.question[0].name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if not self.answers:
            return
        reply = dns.message.make_response(asked)
        reply.flags |= dns.flags.RA
        if name in self.records:
            texts = [f'"{text}"' for text in self.records[name]]
            reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *texts))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(reply.to_wire(), addr)

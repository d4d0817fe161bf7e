"""Host names to addresses: bounded in time and threads, so that one hanging name server holds up one visit only."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver as AbstractResolver
from aiohttp.abc import ResolveResult

from federation.addresses import is_loopback_host

# A name with more addresses than this would spend the visit on connecting.
ADDRESSES_MAX = 8


class Resolver(AbstractResolver):
    """Asks the system's resolver in a thread of its own: the event loop's threads are shared by all instances."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbound-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError when the name has no address, or none within the time-out."""
        if is_loopback_host(host):  # never asked over the network (RFC 6761, 6.3)
            return [_result(host, address, port) for address in ("127.0.0.1", "::1")]
        try:
            async with asyncio.timeout(self._timeout_s):
                infos = await asyncio.get_running_loop().run_in_executor(
                    self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
                )
        except TimeoutError as error:
            # with an errno: aiohttp takes an OSError without one for its own time-out
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {self._timeout_s:g} s") from error
        addresses = dict.fromkeys(str(info[4][0]) for info in infos)
        return [_result(host, address, port) for address in list(addresses)[:ADDRESSES_MAX]]

    async def close(self) -> None:
        """Give the thread back without waiting for a question that still hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _result(name: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=name, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)

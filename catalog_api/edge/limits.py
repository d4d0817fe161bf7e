"""How often one client may ask: a bucket of tokens for each, in this worker's memory, which is bounded."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

#: Clients remembered; beyond, those who asked longest ago are forgotten: their buckets would be the fullest.
_CLIENTS_MAX = 20_000
#: Addresses whose key is known: reading one takes 2 microseconds, as much as everything else a request is asked.
_ADDRESSES_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a request may go on, what is left in the bucket, and seconds until there is a token, or until full."""

    allowed: bool
    remaining: int
    reset_s: int


@dataclass(slots=True, kw_only=True)
class Buckets:
    """A bucket of `burst` tokens for each client, filled with `per_s` tokens a second; a request takes one."""

    per_s: float
    burst: int
    clients_max: int = _CLIENTS_MAX
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, client: str, now: float | None = None) -> Verdict:
        """One request of this client.

        >>> buckets = Buckets(per_s=1, burst=2)
        >>> [buckets.take("a", now).allowed for now in (0, 0, 0, 0.9, 1.1)], buckets.take("b", 1).remaining
        ([True, True, False, False, True], 1)
        """
        now = time.monotonic() if now is None else now
        level, at = self._levels.pop(client, (float(self.burst), now))
        level = min(self.burst, level + (now - at) * self.per_s)
        allowed = level >= 1
        level -= 1 if allowed else 0
        self._levels[client] = (level, now)
        if len(self._levels) > self.clients_max:
            self._levels.popitem(last=False)
        missing = (self.burst if allowed else 1) - level
        return Verdict(allowed=allowed, remaining=int(level), reset_s=math.ceil(missing / self.per_s))

    def headers(self, verdict: Verdict) -> list[tuple[bytes, bytes]]:
        """What the client is told, in the form of the IETF's RateLimit header fields.

        >>> buckets = Buckets(per_s=2, burst=10)
        >>> buckets.headers(buckets.take("a", 0))
        [(b'ratelimit-policy', b'"client";q=10;w=5'), (b'ratelimit', b'"client";r=9;t=1')]
        """
        window_s = math.ceil(self.burst / self.per_s)
        return [
            (b"ratelimit-policy", b'"client";q=%d;w=%d' % (self.burst, window_s)),
            (b"ratelimit", b'"client";r=%d;t=%d' % (verdict.remaining, verdict.reset_s)),
        ]


@lru_cache(maxsize=_ADDRESSES_MAX)
def client_key(address: str) -> str:
    """Who shares a bucket: an IPv4 address, or the /64 that one IPv6 customer has for the asking.

    >>> client_key("1.2.3.4"), client_key("2001:db8:1:2:3::4"), client_key("")
    ('1.2.3.4', '2001:db8:1:2::/64', '')
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address

"""How often one client may be wrong about a secret before it is not listened to for a while."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field

#: Clients remembered; beyond, those whose last mistake is oldest are forgotten.
_CLIENTS_MAX = 20_000


@dataclass(slots=True, kw_only=True)
class Attempts:
    """Mistakes of each client, which are forgiven evenly: `most` of them within `window_s` seconds."""

    most: int
    window_s: float
    clients_max: int = _CLIENTS_MAX
    _mistakes: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, client: str, now: float | None = None) -> int:
        """Seconds until this client is listened to again; 0: it is.

        >>> attempts = Attempts(most=2, window_s=10)
        >>> attempts.wait_s("a", 0), attempts.wrong("a", 0), attempts.wait_s("a", 0), attempts.wrong("a", 0)
        (0, None, 0, None)
        >>> attempts.wait_s("a", 0), attempts.wait_s("b", 0), attempts.wait_s("a", 4), attempts.wait_s("a", 5)
        (5, 0, 1, 0)
        """
        excess = self._level(client, time.monotonic() if now is None else now) - (self.most - 1)
        return max(0, math.ceil(round(excess * self.window_s / self.most, 6)))

    def wrong(self, client: str, now: float | None = None) -> None:
        """One more mistake."""
        now = time.monotonic() if now is None else now
        level = self._level(client, now)
        self._mistakes.pop(client, None)
        self._mistakes[client] = (min(level + 1, float(self.most)), now)
        if len(self._mistakes) > self.clients_max:
            self._mistakes.popitem(last=False)

    def _level(self, client: str, now: float) -> float:
        level, at = self._mistakes.get(client, (0.0, now))
        return max(0.0, level - (now - at) * self.most / self.window_s)

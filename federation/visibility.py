"""What an origin says is not public, judged before anything else: of that nothing may be kept, not even its faults."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from federation.errors import RecordNotPublic


class _Shown(msgspec.Struct):
    # of any type, and read first: what is not public must not be refused, and kept, for something else that is wrong
    visibility: Any = msgspec.field(name="geovisio:visibility", default=None)
    status: Any = msgspec.field(name="geovisio:status", default=None)


class _ShownItem(msgspec.Struct):
    properties: _Shown | None = None


_shown = msgspec.json.Decoder(_Shown)
_shown_item = msgspec.json.Decoder(_ShownItem)


def check_public(raw: bytes | msgspec.Raw) -> None:
    """RecordNotPublic when a sequence says so of itself; one that cannot be read passes, and is refused later."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        _judge(_shown.decode(raw))


def check_item_public(raw: bytes | msgspec.Raw) -> None:
    """The same of a picture."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        _judge(_shown_item.decode(raw).properties or _Shown())


def _judge(shown: _Shown) -> None:
    if shown.visibility not in (None, "anyone"):
        raise RecordNotPublic("geovisio:visibility", "not for anonymous visitors")
    if shown.status not in (None, "ready"):
        raise RecordNotPublic("geovisio:status", "not ready")

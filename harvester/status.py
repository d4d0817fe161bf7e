"""What a Panoramax instance says of pictures that are still being prepared (`geovisio_status`)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

#: Waiting for its turn counts too. Broken, hidden and deleted pictures are no longer on their way.
_ON_THEIR_WAY = ("preparing", "waiting-for-process")


class _Picture(msgspec.Struct):
    id: str = ""
    status: str = ""
    processing_in_progress: bool = False


class _Answer(msgspec.Struct):
    items: list[_Picture]


_answer = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Ids of pictures: those on their way (or at work again), and those that everybody may see by now."""

    preparing: frozenset[str]
    ready: frozenset[str]


def read_status(body: bytes) -> Preparation | None:
    """None when this is no such answer.

    >>> read_status(b'{"items": [{"id": "a", "status": "ready"}, {"id": "b", "status": "preparing"}]}')
    Preparation(preparing=frozenset({'b'}), ready=frozenset({'a'}))
    """
    try:
        pictures = _answer.decode(body).items
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    on_their_way = frozenset(
        picture.id
        for picture in pictures
        if picture.status.startswith(_ON_THEIR_WAY) or (picture.processing_in_progress and picture.status != "ready")
    )
    return Preparation(
        preparing=on_their_way, ready=frozenset(picture.id for picture in pictures if picture.status == "ready")
    )

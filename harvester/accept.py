"""Which items of a page are taken in, and what is kept of the others: a count, or the reason and a bit of the body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from federation.errors import RecordNotPublic, RecordRefused
from federation.record import Picture
from federation.settings import Settings
from federation.visibility import check_item_public


@dataclass(slots=True)
class Aside:
    """Items of one sequence that are not taken in: how many are not public, and the bad ones by what id they have."""

    not_public: int = 0
    refused: dict[str, tuple[RecordRefused, bytes]] = field(default_factory=dict)

    def add(self, more: Aside) -> None:
        """Those of another page."""
        self.not_public += more.not_public
        self.refused |= more.refused

    def note(self, raw: msgspec.Raw, error: RecordRefused, body_bytes: int) -> None:
        """One that was refused."""
        if isinstance(error, RecordNotPublic):
            self.not_public += 1
        else:
            self.refused[_id_of(raw)] = (error, bytes(raw)[:body_bytes])


def accept(
    page: Iterable[msgspec.Raw], *, instance: str, collection: str, settings: Settings
) -> tuple[list[Picture], Aside]:
    """The pictures of a page, and what is wrong with the rest."""
    accepted: list[Picture] = []
    aside = Aside()
    for raw in page:
        try:
            check_item_public(raw)
            if len(raw) > settings.item_bytes_max:
                raise RecordRefused("record", f"{len(raw)} bytes, more than {settings.item_bytes_max}")
            accepted.append(Picture.from_stac(raw, instance=instance, collection=collection))
        except RecordRefused as error:
            aside.note(raw, error, settings.quarantine_body_bytes)
    return accepted, aside


class _Identified(msgspec.Struct):
    id: str


_identified = msgspec.json.Decoder(_Identified)


def _id_of(raw: msgspec.Raw) -> str:
    """The id of a record that is otherwise unusable, as far as it can be read."""
    try:
        return _identified.decode(raw).id.replace("\x00", "")[:200]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"unreadable, {len(bytes(raw))} bytes"

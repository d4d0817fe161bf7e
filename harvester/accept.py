"""Which items of a page are taken in, and what is kept of the others: a count, or the reason and a bit of the body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from federation.errors import RecordNotPublic, RecordRefused
from federation.record import Picture
from federation.settings import Settings
from federation.visibility import check_item_public
from harvester.provenance import Known

#: Rows of quarantine that one sequence may fill; beyond it bad items are only counted (a server of satellite scenes).
_KEPT_OF_A_SEQUENCE = 1_000


@dataclass(slots=True)
class Aside:
    """Items of one sequence that are not taken in, by why: not public, from an instance harvested directly, or bad.

    `refused` holds the bad ones by what id they have, as many as are kept.
    """

    not_public: int = 0
    skipped: int = 0
    bad: int = 0
    refused: dict[str, tuple[RecordRefused, bytes]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """All of them."""
        return self.not_public + self.skipped + self.bad

    def add(self, more: Aside) -> None:
        """Those of another page."""
        self.not_public += more.not_public
        self.skipped += more.skipped
        self.bad += more.bad
        self.refused |= dict(islice(more.refused.items(), max(0, _KEPT_OF_A_SEQUENCE - len(self.refused))))

    def note(self, raw: msgspec.Raw, error: RecordRefused, body_bytes: int) -> None:
        """One that was refused."""
        if isinstance(error, RecordNotPublic):
            self.not_public += 1
        else:
            self.bad += 1
            self.refused[_id_of(raw)] = (error, bytes(raw)[:body_bytes])

    def columns(self) -> list[list[object]]:
        """The bad ones for the query `keep_quarantine`."""
        return [
            list(self.refused),
            [error.field[:200] for error, _ in self.refused.values()],
            [error.problem[:1000] for error, _ in self.refused.values()],
            [body for _, body in self.refused.values()],
        ]


def accept(
    page: Iterable[msgspec.Raw],
    *,
    instance: str,
    collection: str,
    settings: Settings,
    url: str = "",
    known: Known | None = None,
) -> tuple[list[Picture], Aside]:
    """The pictures of a page, and what is wrong with the rest.

    `url` is the page's address, where relative ones begin; `known` (of a catalog): whose items are left out.
    """
    accepted: list[Picture] = []
    aside = Aside()
    for raw in page:
        try:
            check_item_public(raw)
            if known is not None and known.names(raw):
                aside.skipped += 1
                continue
            if len(raw) > settings.item_bytes_max:
                raise RecordRefused("record", f"{len(raw)} bytes, more than {settings.item_bytes_max}")
            accepted.append(Picture.from_stac(raw, instance=instance, collection=collection, url=url))
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

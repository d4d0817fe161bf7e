"""What was learnt about an instance's API: what it can and cannot signal, kept in `instances.capabilities`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

#: What a way to list (harvester/listing.py) means for people.
_LISTINGS = {
    "id": "changes and deletions are signalled",
    "id-status": "changes and deletions are signalled (GeoVisio before 2.11)",
    "updated": "changes and deletions are signalled (GeoVisio before 2.9)",
    "links": "deletions are not signalled: found by full listings",
}
_KINDS = {"geovisio": "Panoramax instance", "stac": "other STAC API", "catalog": "catalog of other instances"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """`kind` is geovisio, stac or catalog; `status`: whether it tells of pictures in preparation (None: not known yet).

    `dated`: whether its listings say when a sequence changed; `ids`: whether it can be asked for several ids at once.
    """

    listing: str = ""
    kind: str = ""
    dated: bool | None = None
    status: bool | None = None
    ids: bool | None = None

    @staticmethod
    def read(kept: Mapping[str, object]) -> Capabilities:
        """From the database; what an older version kept is taken over, what is not understood left out."""
        flags = {name: kept[name] for name in ("dated", "status", "ids") if isinstance(kept.get(name), bool)}
        texts = {name: kept[name] for name in ("listing", "kind") if isinstance(kept.get(name), str)}
        return Capabilities(**texts, **flags)  # type: ignore[arg-type]  # checked just above

    def kept(self) -> dict[str, object]:
        """What goes into the database."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    def words(self) -> str:
        """One line for people.

        >>> Capabilities(listing="links", kind="stac", dated=True).words()
        'other STAC API; deletions are not signalled: found by full listings'
        >>> Capabilities(listing="id", kind="geovisio", dated=True, status=True).words()
        'Panoramax instance; changes and deletions are signalled; late pictures are announced'
        >>> Capabilities().words()
        ''
        """
        said = [_KINDS.get(self.kind, self.kind), _LISTINGS.get(self.listing, self.listing)]
        if self.kind == "catalog":
            said[1] = "its dates are its origins': followed by full listings"
        if self.dated is False:
            said.append("changes are not dated: found by reading again")
        if self.status is not None:
            said.append("late pictures are announced" if self.status else "late pictures are found by reading again")
        return "; ".join(each for each in said if each)

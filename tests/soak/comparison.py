"""What the catalog serves, beside what two instances show an anonymous visitor: every difference, as a sentence."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from federation.errors import OriginRefused
from panofed.demo.api import Api
from tests.acceptance.federated import ServedCatalog
from tests.acceptance.fidelity import (
    COMPUTED,
    Shown,
    assert_same,
    check_extent,
    check_item,
    check_links,
    check_single,
    origin_of,
    shown_by,
    without,
)

Json: TypeAlias = dict[str, Any]

#: What no signal of an instance tells: the only kinds of difference that incremental passes may leave behind.
UNSIGNALLED = {
    "late processing": "a picture was processed after its sequence was published",
    "account renamed": "an account has another name, which every picture of it repeats",
    "licence changed": "the instance publishes under another licence, which everything repeats",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """What happened on the instances, by name, without any signal, and when; `late`: (instance, picture).

    A sequence that changed after that was read again, and with it all that was silent: nothing of it is excused.
    """

    renamed: Mapping[str, datetime] = field(default_factory=dict)
    licensed: Mapping[str, datetime] = field(default_factory=dict)
    late: Mapping[tuple[str, str], datetime] = field(default_factory=dict)

    def excuses_name(self, instance: str, sequence: Json) -> bool:
        """Whether an account's name may be an older one."""
        return _unread_since(sequence, self.renamed.get(instance))

    def excuses_licence(self, instance: str, sequence: Json) -> bool:
        """Whether the licence may be an older one."""
        return _unread_since(sequence, self.licensed.get(instance))

    def excuses_absence(self, instance: str, sequence: Json, picture: str) -> bool:
        """Whether this picture of an instance's sequence may be missing."""
        return _unread_since(sequence, self.late.get((instance, picture)))


def _unread_since(sequence: Json, moment: datetime | None) -> bool:
    if moment is None:
        return False
    updated = sequence.get("updated")
    return updated is None or datetime.fromisoformat(updated) <= moment


NOTHING = Silent()
_ABSENT = "there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The catalog's answers: sequences, the pictures of each in order, and every picture that a search finds."""

    collections: Mapping[str, Json]
    items: Mapping[str, Sequence[Json]]
    listed: Counter[str]
    found: Counter[str]
    searched: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides at one moment, and how many pictures the instances show."""

    differences: Sequence[str]
    #: those of them that only the kinds of UNSIGNALLED explain
    excused: Sequence[str]
    pictures: int


def compare(catalog: ServedCatalog, silent: Silent, *, singles: bool) -> Compared:
    """Read both sides and compare them deeply. `singles`: each picture's own address too."""
    shown, served = shown_by(catalog), read_served(catalog)
    every = differences(catalog, served, shown, NOTHING)
    unexcused = differences(catalog, served, shown, silent) if every else []
    if singles:
        for items in served.items.values():
            for item in items:
                unexcused += _said(item["id"], check_single, catalog, item)
    pictures = {item["id"] for each in shown for items in each.items.values() for item in items}
    return Compared(
        differences=unexcused, excused=[each for each in every if each not in unexcused], pictures=len(pictures)
    )


def read_served(catalog: ServedCatalog) -> Served:
    """Everything the catalog serves, by paging."""
    listed = [each for page in catalog.pages("/collections?limit=50") for each in page["collections"]]
    found = [each for page in catalog.pages("/search?limit=200") for each in page["features"]]
    items: dict[str, list[Json]] = {}
    for each in listed:
        pages = catalog.pages(f"/collections/{each['id']}/items")
        items[each["id"]] = [item for page in pages for item in page["features"]]
    return Served(
        collections={each["id"]: catalog.get(f"/collections/{each['id']}") for each in listed}, items=items,
        listed=Counter(each["id"] for each in listed), found=Counter(each["id"] for each in found),
        searched={each["id"]: each for each in found},
    )  # fmt: skip


def differences(catalog: ServedCatalog, served: Served, shown: Sequence[Shown], silent: Silent) -> list[str]:
    """Every way in which the catalog differs from the union of what the instances show, but for what was silent."""
    sequences = {id for each in shown for id in each.collections}
    pictures = {item["id"] for each in shown for items in each.items.values() for item in items}
    found = [
        *(f"sequence {id} is missing" for id in sorted(sequences - set(served.listed))),
        *(f"sequence {id} is shown by nobody" for id in sorted(set(served.listed) - sequences)),
        *(
            f"picture {id} is missing"
            for id in sorted(pictures - set(served.found))
            if not _may_miss(id, shown, silent)
        ),
        *(f"picture {id} is shown by nobody" for id in sorted(set(served.found) - pictures)),
        *(f"{id} is listed {n} times" for id, n in (served.listed + served.found).items() if n > 1),
    ]
    found += _outside(served)
    for id in sorted(sequences & set(served.collections)):
        offers = {each.name: each for each in shown if id in each.collections}
        found += _differences_of(catalog, served, id, offers, shown, silent)
    return found


def _may_miss(id: str, shown: Sequence[Shown], silent: Silent) -> bool:
    """Whether everybody who shows this picture does so since a moment that was not told."""
    return all(
        silent.excuses_absence(each.name, each.collections[sequence], id)
        for each in shown
        for sequence, items in each.items.items()
        if any(item["id"] == id for item in items)
    )


def _outside(served: Served) -> list[str]:
    """Pictures that several sequences have, or none."""
    inside = Counter(item["id"] for items in served.items.values() for item in items)
    found = [f"picture {id}: {count} sequences have it" for id, count in inside.items() if count > 1]
    missing = [id for id in served.searched if not inside[id]]
    return found + [f"picture {id}: searches find it, its sequence has it not" for id in missing]


def _differences_of(
    catalog: ServedCatalog, served: Served, id: str, offers: Mapping[str, Shown], shown: Sequence[Shown], silent: Silent
) -> list[str]:
    """One sequence: its copy that is served, with the pictures that are served of it and of its other copies."""
    ours, answered = served.collections[id], served.items[id]
    name = origin_of(ours)
    if name not in offers:
        return [f"sequence {id} is served from {name}, which does not show it"]
    every: list[Json] = []
    found: list[str] = []
    for origin in offers.values():
        mine = [item for item in answered if origin_of(item) == origin.name]
        theirs = _wanted(id, origin, {item["id"] for item in mine}, served, shown, silent)
        found += _differences_of_pictures(catalog, served, id, origin, mine, theirs, silent)
        every += theirs
    if len(every) != len(answered):
        return found or [f"sequence {id} has {len(answered)} pictures, not {len(every)}"]
    origin = offers[name]

    def same_sequence(collection: Json) -> None:
        check = [_blurred(each, name, origin.collections[id], silent) for each in (ours, collection)]
        assert_same(id, without(check[0], COMPUTED | {"panofed:indexed"}), without(check[1], COMPUTED))
        here = f"{catalog.url}/collections/{id}"
        root = f"{catalog.url}/"
        check_links(check[0], check[1], origin, {"root": root, "parent": root, "self": here, "items": f"{here}/items"})
        assert ours["stats:items"] == {"count": len(every)}
        check_extent(ours["extent"], every)

    wrong = _said(f"sequence {id}", same_sequence, origin.collections[id])
    if wrong:
        # an instance says a little more of a sequence that is asked for by itself, and both are what visitors see
        wrong = _said(f"sequence {id}", lambda: same_sequence(Api(url=f"{origin.web}/api").get(f"/collections/{id}")))
    return found + [f"{each} {_unlike_apart_from_links(ours, origin.collections[id])}" for each in wrong]


def _wanted(
    id: str, origin: Shown, mine: Collection[str], served: Served, shown: Sequence[Shown], silent: Silent
) -> list[Json]:
    """The pictures of an instance's copy of a sequence that have to be served from it; `mine`: those that are."""
    return [
        item
        for item in origin.items[id]
        if item["id"] in mine
        or not (
            _served_elsewhere(served, item, origin.name, shown)
            or silent.excuses_absence(origin.name, origin.collections[id], item["id"])
        )
    ]


def _differences_of_pictures(
    catalog: ServedCatalog, served: Served, id: str, origin: Shown, mine: Sequence[Json], theirs: Sequence[Json],
    silent: Silent,
) -> list[str]:  # fmt: skip
    """Those of one copy of a sequence."""
    wanted, have = [item["id"] for item in theirs], [item["id"] for item in mine]
    if wanted != have:
        places = [_places(each, served, shown=[origin]) for each in sorted({*wanted} ^ {*have})]
        return [f"sequence {id} of {origin.name} has the pictures {have}, not {wanted}; {'; '.join(places)}"]
    found = []
    for place, (item, original) in enumerate(zip(mine, theirs, strict=True)):
        before = theirs[place - 1] if place else None
        after = theirs[place + 1] if place + 1 < len(theirs) else None
        blurred = [_blurred(each, origin.name, origin.collections[id], silent) for each in (item, original)]
        wrong = _said(f"picture {item['id']}", check_item, catalog, *blurred, origin, before, after)
        found += [f"{each} {_unlike_apart_from_links(*blurred)}" for each in wrong]
        if item["id"] in served.searched:
            found += _said(f"search {item['id']}", assert_same, "", served.searched[item["id"]], item)
    return found


def _places(picture: str, served: Served, shown: Sequence[Shown]) -> str:
    """Where everybody has a picture."""
    found = served.searched.get(picture)
    ours = f"{found['collection']} of {origin_of(found)}" if found else "nowhere"
    theirs = [
        f"{sequence} of {each.name}"
        for each in shown
        for sequence, items in each.items.items()
        if any(item["id"] == picture for item in items)
    ]
    return f"{picture} is served in {ours}, shown in {', '.join(theirs) or 'none'}"


def _served_elsewhere(served: Served, item: Json, name: str, shown: Sequence[Shown]) -> bool:
    """Whether another instance, which shows this picture too, was first with it."""
    other = served.searched.get(item["id"])
    if other is None or (source := origin_of(other)) == name:
        return False
    return any(
        each.name == source and any(theirs["id"] == item["id"] for theirs in each.items.get(other["collection"], ()))
        for each in shown
    )


def _blurred(document: Json, instance: str, sequence: Json, silent: Silent) -> Json:
    """A document of `sequence`, as the instance describes that, without what may have changed silently."""
    blurred = copy.deepcopy(document)
    if silent.excuses_name(instance, sequence):
        blurred.get("properties", {}).pop("geovisio:producer", None)
        blurred.pop("geovisio:producer", None)
        for provider in [*blurred.get("providers", ()), *blurred.get("properties", {}).get("providers", ())]:
            provider.pop("name", None)
    if silent.excuses_licence(instance, sequence):
        blurred.get("properties", {}).pop("license", None)
        blurred.pop("license", None)
        blurred["links"] = [link for link in blurred["links"] if link["rel"] != "license"]
    return blurred


def _unlike_apart_from_links(ours: Json, theirs: Json) -> list[str]:
    return unlike(without(ours, COMPUTED), without(theirs, COMPUTED))


def unlike(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two documents differ.

    >>> unlike({"a": [1, 2], "b": 3}, {"a": [1, 4]})
    ['.a.1: 2, not 4', '.b: 3, not there']
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(key, ours.get(key, _ABSENT), theirs.get(key, _ABSENT)) for key in {**ours, **theirs}]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(ours, theirs, strict=True))]
    else:
        return [] if ours == theirs else [f"{path}: {str(ours)[:120]}, not {str(theirs)[:120]}"]
    return [said for key, mine, yours in pairs for said in unlike(mine, yours, f"{path}.{key}")]


def _said(what: str, check: Callable[..., object], *arguments: object) -> list[str]:
    """What a check finds wrong, in at most so many words."""
    try:
        check(*arguments)
    except (AssertionError, KeyError, ValueError, OriginRefused) as error:
        return [f"{what}: {type(error).__name__} {str(error)[:1_500]}"]
    return []

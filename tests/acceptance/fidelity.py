"""Deep comparison of the catalog's answers with what its origins show an anonymous visitor.

Allowed differences are those of docs/api.md: links are rebuilt (each is checked here), `via` is added, four keys are
added when absent, a 360 picture without azimuth gets a derived one, and a sequence's extent and count are computed
from the pictures that are served. Everything else must be the same JSON value.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import pytest

from federation.errors import OriginRefused
from panofed.demo.visitor import anonymous_collections, anonymous_items_of
from tests.acceptance.federated import ServedCatalog, web_address

Json: TypeAlias = dict[str, Any]

ADDED: Json = {"exif": {}, "semantics": [], "annotations": [], "pers:interior_orientation": {}}
REBUILT = {"self", "root", "parent", "collection", "items", "prev", "next", "related", "child", "alternate"}
#: links that only the answer with one picture has
SINGLE = {"related", "alternate"}
COMPUTED = {"links", "extent", "stats:items"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one instance shows: sequences by id, and their pictures in order."""

    name: str
    web: str
    collections: Mapping[str, Json]
    items: Mapping[str, Sequence[Json]]


def shown_by(catalog: ServedCatalog, only: Collection[str] | None = None) -> list[Shown]:
    """What the catalog's instances show now; of `only` these sequences when given."""
    return [_shown(instance.config.name, web_address(instance), instance.url, only) for instance in catalog.instances]


def _shown(name: str, web: str, url: str, only: Collection[str] | None) -> Shown:
    listed = anonymous_collections(url)
    collections = {id: each for id, each in listed.items() if only is None or id in only}
    items = {id: anonymous_items_of(url, id) for id in collections}
    return Shown(name=name, web=web, collections=collections, items=items)


def check_all(catalog: ServedCatalog) -> int:
    """Everything both sides show, and nothing else, is in the catalog; returns how many pictures that is."""
    shown = shown_by(catalog)
    everything = {id for each in shown for id in each.collections}
    check_sequences(catalog, everything, shown)
    return check_totals(catalog, shown)


def check_totals(catalog: ServedCatalog, shown: Iterable[Shown]) -> int:
    """Every id the instances show is found once by paging, and no other; returns how many pictures that is."""
    sequences = sorted({id for each in shown for id in each.collections})
    ids = sorted({item["id"] for each in shown for items in each.items.values() for item in items})
    listed = [each["id"] for page in catalog.pages("/collections?limit=7") for each in page["collections"]]
    found = [each["id"] for page in catalog.pages("/search?limit=50") for each in page["features"]]
    assert sorted(listed) == sequences
    assert sorted(found) == ids
    return len(ids)


def check_sequences(catalog: ServedCatalog, sequences: Iterable[str], shown: Sequence[Shown] | None = None) -> None:
    """Each of these sequences is answered as its origin does, pictures included; one nobody shows is not found."""
    sequences = sorted(sequences)
    for id in sequences:
        offers = {each.name: each for each in (shown if shown is not None else shown_by(catalog, sequences))}
        offers = {name: each for name, each in offers.items() if id in each.collections}
        if offers:
            _check_sequence(catalog, id, offers)
        else:
            check_gone(catalog, f"/collections/{id}")
            check_gone(catalog, f"/collections/{id}/items")


def check_gone(catalog: ServedCatalog, path: str) -> None:
    """There is nothing at this path."""
    with pytest.raises(OriginRefused) as refused:
        catalog.get(path)
    assert refused.value.status == 404


def origin_of(ours: Json) -> str:
    """The name of the instance an answer says it is from."""
    (name,) = [link["instance_name"] for link in ours["links"] if link["rel"] == "via"]
    return str(name)


def _check_sequence(catalog: ServedCatalog, id: str, offers: Mapping[str, Shown]) -> None:
    ours = catalog.get(f"/collections/{id}")
    origin = offers[origin_of(ours)]
    theirs, pictures = origin.collections[id], origin.items[id]
    here = f"{catalog.url}/collections/{id}"
    assert_same(id, without(ours, COMPUTED | {"panofed:indexed"}), without(theirs, COMPUTED))
    check_links(
        ours, theirs, origin,
        {"root": f"{catalog.url}/", "parent": f"{catalog.url}/", "self": here, "items": f"{here}/items"},
    )  # fmt: skip
    assert ours["stats:items"] == {"count": len(pictures)}
    check_extent(ours["extent"], pictures)
    answered = catalog.get(f"/collections/{id}/items")["features"]
    assert [item["id"] for item in answered] == [item["id"] for item in pictures]
    found = {item["id"]: item for item in search_ids(catalog, [item["id"] for item in pictures])}
    for place, (item, original) in enumerate(zip(answered, pictures, strict=True)):
        before = pictures[place - 1] if place else None
        after = pictures[place + 1] if place + 1 < len(pictures) else None
        check_item(catalog, item, original, origin, before, after)
        assert_same("search", found[item["id"]], item)
        check_single(catalog, item)


def search_ids(catalog: ServedCatalog, ids: Sequence[str]) -> list[Json]:
    """Search by ids."""
    features: list[Json] = catalog.get(f"/search?limit=1000&ids={','.join(ids)}")["features"] if ids else []
    return features


def check_single(catalog: ServedCatalog, listed: Json) -> None:
    """A picture asked for by itself, on both paths, is what the page of its sequence says, with two more links."""
    single = catalog.get(f"/collections/{listed['collection']}/items/{listed['id']}")
    assert_same("pictures/", catalog.get(f"/pictures/{listed['id']}"), single)
    links = [link for link in single["links"] if link["rel"] not in SINGLE]
    assert_same(listed["id"], {**single, "links": links}, listed)


def check_item(
    catalog: ServedCatalog, ours: Json, theirs: Json, origin: Shown, before: Json | None, after: Json | None
) -> None:
    """One picture of a page; `before` and `after` are its neighbours as the origin orders them."""
    id, sequence = theirs["id"], f"{catalog.url}/collections/{theirs['collection']}"
    assert_same(id, without(ours, {"links", "properties"}), without(theirs, {"links", "properties"}))
    check_properties(ours["properties"], theirs["properties"])
    wanted = {
        "root": f"{catalog.url}/", "parent": sequence, "collection": sequence, "self": f"{sequence}/items/{id}",
    }  # fmt: skip
    for rel, neighbour in (("prev", before), ("next", after)):
        if neighbour is not None:
            wanted[rel] = f"{sequence}/items/{neighbour['id']}"
            (link,) = [link for link in ours["links"] if link["rel"] == rel]
            assert link["id"] == neighbour["id"]
            assert link["type"] == "application/geo+json"
            # written from the index: -120.0 where the origin has -120
            assert link["geometry"] == neighbour["geometry"]
    check_links(ours, theirs, origin, wanted)


def check_properties(ours: Json, theirs: Json) -> None:
    """Every key of the origin with its value; only the documented ones more."""
    added = {key: value for key, value in ours.items() if key not in theirs}
    if added.pop("panofed:derived", None) is not None:
        assert ours["panofed:derived"] == ["view:azimuth"]
        assert theirs["pers:interior_orientation"]["field_of_view"] == 360
        assert added.pop("view:azimuth") in range(360)
    assert added == {key: ADDED[key] for key in added}
    assert all(key in ours for key in ADDED)
    assert_same("properties", {key: value for key, value in ours.items() if key in theirs}, theirs)


def check_links(ours: Json, theirs: Json, origin: Shown, wanted: Mapping[str, str]) -> None:
    """Links to ourselves where they are wanted, `via` to the origin, and the origin's other links as they were."""
    own = {link["rel"]: link["href"] for link in ours["links"] if link["rel"] in REBUILT}
    assert own == wanted
    assert sum(link["rel"] in REBUILT for link in ours["links"]) == len(own)
    others = [link for link in ours["links"] if link["rel"] not in REBUILT]
    via = {"rel": "via", "type": "application/json", "href": origin.web, "instance_name": origin.name}
    kept = [link for link in theirs["links"] if link["rel"] not in REBUILT]
    assert [without(link, {"title"}) if link["rel"] == "via" else link for link in others] == [via, *kept]


def check_extent(extent: Json, pictures: Sequence[Json]) -> None:
    """Times are those of the first and last picture; the box holds every picture, and one touches each side."""
    ((west, south, east, north),) = extent["spatial"]["bbox"]
    ((first, last),) = extent["temporal"]["interval"]
    times = sorted(datetime.fromisoformat(item["properties"]["datetime"]) for item in pictures)
    if not pictures:
        assert (first, last) == (None, None)
        return
    assert (datetime.fromisoformat(first), datetime.fromisoformat(last)) == (times[0], times[-1])
    positions = [item["geometry"]["coordinates"] for item in pictures]
    longitudes, latitudes = [lon for lon, _ in positions], [lat for _, lat in positions]
    assert (south, north) == (min(latitudes), max(latitudes))
    assert west in longitudes
    assert east in longitudes
    assert all(west <= lon <= east if west <= east else lon >= west or lon <= east for lon in longitudes)
    # one that crosses the antimeridian is a narrow box there, not one around the world
    assert (east - west) % 360 <= max(longitudes) - min(longitudes)


def without(document: Json, keys: Collection[str]) -> Json:
    """A document without some of its keys."""
    return {key: value for key, value in document.items() if key not in keys}


def assert_same(what: str, ours: Any, theirs: Any) -> None:
    """The same JSON value: 1 is not 1.0, an absent key is not null; the order of keys is free."""
    texts = [json.dumps(value, sort_keys=True, indent=1).splitlines() for value in (ours, theirs)]
    assert texts[0] == texts[1], what

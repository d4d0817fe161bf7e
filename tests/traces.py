"""Looks for traces of an instance in everything a catalog answers: its ids, its people, how many pictures there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import numpy as np
import orjson

from catalog_api.tiles.mercator import across, down
from tests.origin import Origin
from tests.tile_world import features, layers_of

#: Where the instances have their pictures.
PLACE = (2.353, 48.85)
BOX = "2.3,48.8,2.4,48.9"


@dataclass(slots=True)
class Traces:
    """What to look for, and where: `others` are paths of other instances' records, `place` is where pictures are."""

    client: httpx2.AsyncClient
    ids: frozenset[str]
    user: str
    sequences: tuple[str, ...]
    others: tuple[str, ...] = ()
    place: tuple[float, float] = PLACE

    @classmethod
    def of(cls, client: httpx2.AsyncClient, origin: Origin, user: str, *others: Origin) -> Traces:
        """Of everything that everybody may see of an instance, and of a contributor of it."""
        shown = origin.visible()
        sequences = {sequence for sequence, _ in shown.values()}
        elsewhere = [path for other in others for id, (of, _) in other.visible().items() for path in _item(of, id)]
        return cls(client, frozenset({*shown, *sequences, user}), user, tuple(sequences), tuple(elsewhere))

    async def look(self) -> set[str]:
        """The paths whose answers name it."""
        return {path for path in self._paths() if await self._is_in(path)}

    async def _is_in(self, path: str) -> bool:
        answer = await self.client.get(path)
        assert answer.status_code < 500, (path, answer.text)
        # what an answer repeats of the question is no trace
        body = answer.content
        if answer.headers["content-type"].startswith(("application/json", "application/geo+json")):
            body = orjson.dumps({name: value for name, value in answer.json().items() if name != "links"})
        return answer.status_code < 400 and any(each.encode() in body for each in self.ids)

    def _paths(self) -> Iterator[str]:
        picture = next(each for each in sorted(self.ids) if each not in (*self.sequences, self.user))
        yield from _searches(self.place)
        yield f"/api/search?ids={','.join(sorted(self.ids))}"
        yield f"/api/search?ids={','.join(sorted(self.ids))}&sortby=-datetime"
        yield f"/api/search?collections={','.join(self.sequences)}"
        yield f"/api/search?bbox={box_of(self.place)}&collections={','.join(self.sequences)}"
        for id in self.sequences:
            yield f"/api/collections/{id}"
            yield f"/api/collections/{id}/items"
            yield f"/api/collections/{id}/items?limit=2"
            yield from _item(id, picture)
        yield f"/pictures/{picture}"
        yield from self.others
        yield from ("/api/collections", "/api/collections?limit=1", "/sequences", "/api/collections?sortby=-updated")
        yield from ("/api/users", "/api/users/search?q=mallory", f"/api/users/{self.user}")
        yield from (f"/api/users/{self.user}/catalog", f"/api/users/{self.user}/collection")
        yield from ("/api", "/api/stats", "/api/changes", "/api/health")
        yield from ("/api/instances", "/api/configuration", "/instances")
        for z in (6, 10, 13, 14, 15):
            yield from (f"/api/{kind}/{tile_of(z, self.place)}" for kind in ("map", "map/2", f"users/{self.user}/map"))


def _item(sequence: str, picture: str) -> tuple[str, str]:
    return f"/api/pictures/{picture}", f"/api/collections/{sequence}/items/{picture}"


def _searches(place: tuple[float, float]) -> Iterator[str]:
    box = box_of(place)
    yield from ("/api/search", "/api/search?limit=2", f"/api/search?bbox={box}", f"/api/search?bbox={box}&limit=2")
    yield f"/api/search?bbox={box}&datetime=2020-01-01T00:00:00Z/.."
    yield f"/api/search?bbox={box}&sortby=-datetime"
    yield f"/api/search?bbox={box}&filter=view:azimuth=90"
    yield "/api/search?bbox=-180,-80,180,80"
    yield "/api/search?sortby=id"
    yield "/api/search?sortby=-datetime&limit=3"
    yield "/api/search?sortby=panofed:indexed"
    yield "/api/search?filter=view:azimuth=90"
    yield f"/api/search?place_position={place[0]},{place[1]}&place_distance=0-100"


def box_of(place: tuple[float, float]) -> str:
    """A box around it, as `bbox` has it."""
    longitude, latitude = place
    return f"{longitude - 0.05:.3f},{latitude - 0.05:.3f},{longitude + 0.05:.3f},{latitude + 0.05:.3f}"


def tile_of(z: int, place: tuple[float, float] = PLACE) -> str:
    """The tile of the place."""
    x, y = (float(each) * (1 << z) for each in (across(np.array(place[0])), down(np.array(place[1]))))
    return f"{z}/{int(x)}/{int(y)}.mvt"


async def counted(client: httpx2.AsyncClient) -> dict[str, int]:
    """How many pictures each way of counting says there are."""
    found: dict[str, int] = {}
    for name in ("map", "map/2"):
        for z in (0, 5) if name == "map" else (0, 5, 9):
            layers = await layers_of(client, f"{name}/{tile_of(z)}")
            grid = features(layers, "grid")
            found[f"{name} {z}"] = sum(each["properties"]["nb_pictures"] for each in grid)
    found["pictures in a tile"] = len(features(await layers_of(client, f"map/{tile_of(15)}"), "pictures"))
    for name, path in (("search", f"/api/search?bbox={BOX}&count=exact"), ("newest", "/api/search?count=exact")):
        found[name] = (await client.get(path)).json()["numberMatched"]
    stats = (await client.get("/api/stats")).json()
    found["stats"] = stats["generic_stats"]["nb_pictures"]
    return found

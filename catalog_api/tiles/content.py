"""What is in a tile: which layers, by kind of map and zoom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from catalog_api.edge.responses import NotFound
from catalog_api.index.index import Index
from catalog_api.tiles.address import ZOOM_MAX, Tile
from catalog_api.tiles.features import picture_layer, sequence_layer
from catalog_api.tiles.grid import hexagon_layer, lattice_layer
from catalog_api.tiles.hexagons import Outlines
from federation.queries import query

#: Up to here v1 has its grid; from here on it has sequences.
GRID_ZOOM_MAX = SEQUENCES_ZOOM_MIN = 6


class Map(StrEnum):
    """Which map a tile is of."""

    #: the lattice, then sequences, then pictures: what instances and their clients have
    V1 = "1"
    #: hexagons at every zoom
    V2 = "2"
    #: sequences of one contributor at every zoom, then pictures
    USER = "user"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tile of a map; `user` is whose, for a user's map."""

    map: Map
    tile: Tile
    user: str | None = None

    def name(self) -> str:
        """Different for each tile of each map."""
        place = f"{self.tile.z}/{self.tile.x}/{self.tile.y}"
        return f"{self.map.value}/{place}" if self.user is None else f"{self.user}/{place}"

    @property
    def is_scaled(self) -> bool:
        """Whether it shows `coef`, which changes with the scale of the whole map."""
        return self.map is Map.V1 and self.tile.z <= GRID_ZOOM_MAX


async def content_of(index: Index, outlines: Outlines, wanted: Wanted, hidden: Sequence[int] = ()) -> bytes:
    """The finished tile; empty where there is nothing. NotFound when there is no such user.

    `hidden` are the instances that were leaving when its version was read.
    """
    tile, layers = wanted.tile, []
    accounts = None if wanted.user is None else await _accounts(index, wanted.user)
    if wanted.map is Map.V1 and tile.z <= GRID_ZOOM_MAX:
        layers.append(await lattice_layer(index.source, tile, hidden))
    if wanted.map is Map.V2:
        layers.append(await hexagon_layer(index.source, outlines, tile, hidden))
    if wanted.map is Map.USER or tile.z >= (ZOOM_MAX if wanted.map is Map.V2 else SEQUENCES_ZOOM_MIN):
        layers.append(await sequence_layer(index, tile, accounts, hidden))
    if tile.z == ZOOM_MAX:
        layers.append(await picture_layer(index, tile, accounts))
    # a tile is the list of its layers: put behind each other they are one
    return b"".join(layers)


async def _accounts(index: Index, user: str) -> list[int]:
    rows = await index.fetch(query("tile_accounts"), user)
    if not rows:
        raise NotFound(f"there is no user '{user}'")
    return [row["n"] for row in rows]

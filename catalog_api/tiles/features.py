"""The layers `sequences` and `pictures`: written by the database, which hands over finished bytes."""

from __future__ import annotations

from collections.abc import Sequence

from catalog_api.index.hidden import leaving_out
from catalog_api.index.index import Index
from catalog_api.tiles.address import EXTENT, Tile
from federation.cells import parent, spans_meeting
from federation.leaves import LeafSet
from federation.queries import query

SEQUENCE_FIELDS = ("id", "account_id", "model", "type", "date", "gps_accuracy", "h_pixel_density")
PICTURE_FIELDS = (
    "id",
    "account_id",
    "ts",
    "heading",
    "sequences",
    "first_sequence",
    "type",
    "model",
    "gps_accuracy",
    "h_pixel_density",
)
#: The last zoom of each band of lines, as in sql/schema/085_tiles.sql.
_BANDS = (7, 10, 13, 15)
#: A tile of zoom 15 is met by a dozen hexagons of this resolution.
_LOOKED_AT = 8

#: Numbers of accounts; None is all.
Accounts = Sequence[int] | None


async def sequence_layer(index: Index, tile: Tile, accounts: Accounts, hidden: Sequence[int] = ()) -> bytes:
    """Lines of sequences: one index scan of the lines simplified for this zoom."""
    band = next(last for last in _BANDS if tile.z <= last)
    statement, values = leaving_out(query("tile_sequences"), (tile.z, tile.x, tile.y, band, accounts), hidden)
    rows = await index.fetch(statement, *values)
    layer: bytes | None = rows[0]["layer"]
    return layer or b""


def leaves_of(leaves: LeafSet, tile: Tile) -> list[int]:
    """The leaves that may hold a picture of a small tile.

    Boxes of leaves overlap, and a tile near their borders would be in several; the hexagons that may meet it are in
    the leaf they descend from alone.
    """
    box = tile.box()
    around = leaves.covering(box)
    if len(around) < 2 or max(leaves.resolutions) > _LOOKED_AT:
        return around
    hexagons = [span[0] for span in spans_meeting(box, _LOOKED_AT, _LOOKED_AT)]
    above = {parent(hexagon, resolution) for hexagon in hexagons for resolution in leaves.resolutions}
    return [cell for cell in around if cell in above]


async def picture_layer(index: Index, tile: Tile, accounts: Accounts) -> bytes:
    """Pictures: by the kept plan of the leaf that holds them all, as nearly every tile of zoom 15 has."""
    box = tile.box()

    async def ask(leaves: LeafSet) -> bytes:
        cells = leaves_of(leaves, tile)
        if not cells:
            return b""
        around = (box.west, box.south, box.east, box.north)
        corner = (float(tile.units), float(tile.x * EXTENT), float(tile.y * EXTENT))
        rows = await index.ask(query("tile_pictures"), cells, leaves.version, *around, *corner, accounts)
        layer: bytes | None = rows[0]["layer"]
        return layer or b""

    return await index.repeat(ask)

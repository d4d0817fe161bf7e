"""Web Mercator for arrays: longitudes and latitudes to places from 0 to 1 over the square world, east and down."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalog_api.tiles.address import EDGE_DEG

Places = npt.NDArray[np.float64]


def across(longitudes: Places) -> Places:
    """From the antimeridian, eastwards."""
    return (longitudes + 180.0) / 360.0


def down(latitudes: Places) -> Places:
    """From the northern edge; what is beyond an edge is on it."""
    radians = np.radians(np.clip(latitudes, -EDGE_DEG, EDGE_DEG))
    return np.clip(0.5 - np.log(np.tan(np.pi / 4 + radians / 2)) / (2 * np.pi), 0.0, 1.0)

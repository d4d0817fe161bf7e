"""The way a sequence takes: a walk along the streets of a town, the same streets for every sequence of that town."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.world import Town

METRES_PER_DEGREE = 111_320.0
STREET_M = 110.0
ROAD_M = 1_300.0
GPS_NOISE_M = 0.8
Floats = npt.NDArray[np.float64]
_STEP_X = np.array([1, 0, -1, 0], dtype=np.int64)
_STEP_Y = np.array([0, 1, 0, -1], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Track:
    """Positions in degrees, the direction of travel in degrees clockwise from north, and the length in metres."""

    lon: Floats
    lat: Floats
    heading: Floats
    length_m: float


def _lattice_jitter(salt: int, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> Floats:
    """A number in [-0.25, 0.25) for every street corner, the same whoever asks."""
    mixed = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + j.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed += np.uint64(salt * 0x1656_67B1 % 2**63)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    unit: Floats = (mixed & np.uint64(0xFFFFFF)).astype(np.float64) / 0x1000000
    return (unit - 0.5) / 2


def _corners(
    rng: np.random.Generator, salt: int, pitch_m: float, spread_m: float, reach_m: float
) -> tuple[Floats, Floats]:
    """Street corners passed on a walk of at least `reach_m` metres, as metres east and north of the centre."""
    count = int(reach_m / (pitch_m * 0.4)) + 3
    turn = rng.random(count)
    direction = (int(rng.integers(4)) + np.cumsum(np.where(turn < 0.12, 1, np.where(turn < 0.24, -1, 0)))) % 4
    start = rng.standard_normal(2) * (spread_m / pitch_m)
    i = int(start[0]) + np.cumsum(_STEP_X[direction])
    j = int(start[1]) + np.cumsum(_STEP_Y[direction])
    x = (i + _lattice_jitter(salt, i, j)) * pitch_m
    y = (j + _lattice_jitter(salt + 1, i, j)) * pitch_m
    angle = salt % 90 * np.pi / 180
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def walk(rng: np.random.Generator, town: Town, town_number: int, count: int, step_m: float, *, rural: bool) -> Track:
    """Positions of `count` pictures, `step_m` metres apart, with the noise of a satellite receiver."""
    pitch, spread = (ROAD_M, town.spread_m * 6) if rural else (STREET_M, town.spread_m)
    x, y = _corners(rng, town_number * 7 + int(rural), pitch, spread, count * step_m)
    dx, dy = np.diff(x), np.diff(y)
    passed = np.concatenate(([0.0], np.cumsum(np.hypot(dx, dy))))
    along = np.arange(count) * step_m
    street = np.minimum(np.searchsorted(passed, along, side="right") - 1, len(dx) - 1)
    noise = rng.standard_normal((2, count)) * GPS_NOISE_M
    east = np.interp(along, passed, x) + noise[0]
    north = np.interp(along, passed, y) + noise[1]
    lon = town.lon + east / (METRES_PER_DEGREE * np.cos(np.radians(town.lat)))
    heading = np.degrees(np.arctan2(dx[street], dy[street])) % 360
    return Track((lon + 180) % 360 - 180, town.lat + north / METRES_PER_DEGREE, heading, float(along[-1]))

"""The pictures of a planned sequence as columns of plain numbers: fast enough to fill millions of table rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.plan import Floats, SequencePlan, random_of, uuids_of
from bench.tracks import walk

Integers = npt.NDArray[np.int64]
ARC_UNITS = 360_000_000  # hundred-thousandths of an arc second in a degree
STEPS_M = (3.0, 4.0, 5.0, 8.0, 10.0)
SPEEDS_M_S = (1.3, 4.0, 8.0, 12.0)
ISO_SPEEDS = np.array([100, 100, 100, 125, 160, 200, 250, 320, 400, 640, 800])


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencePictures:
    """All pictures of one sequence, in rank order: one array element per picture.

    Positions are whole hundred-thousandths of an arc second (as the EXIF rationals say them) and the degrees that
    follow from them; times are UTC milliseconds, creation and change microseconds; directions hundredths of a degree.
    """

    plan: SequencePlan
    ids: list[str]
    lon: Floats
    lat: Floats
    lon_units: Integers
    lat_units: Integers
    taken_ms: Integers
    created_us: Integers
    direction: Integers
    altitude_cm: Integers
    speed_mm_s: Integers
    dilution: Integers
    exposure: Integers
    iso: Integers
    brightness: Integers
    bytes: Integers
    maker_notes: npt.NDArray[np.uint8]
    accuracy_cm: int
    length_m: float

    @property
    def updated_us(self) -> int:
        """The change time of the sequence: just after its last picture came in."""
        return int(self.created_us[-1]) + 1_250_000 + self.plan.number % 1_000_000


def pictures_of(plan: SequencePlan) -> SequencePictures:
    """Make the pictures of a sequence; the same plan gives the same pictures, ids included."""
    rng = random_of(plan.seed, 2, plan.number)
    step_m = STEPS_M[int(rng.integers(len(STEPS_M)))] * (2 if plan.rural else 1)
    speed = SPEEDS_M_S[int(rng.integers(len(SPEEDS_M_S)))]
    track = walk(rng, plan.town, plan.town_number, plan.count, step_m, rural=plan.rural)
    lon_units = np.rint(track.lon * ARC_UNITS).astype(np.int64)
    lat_units = np.rint(track.lat * ARC_UNITS).astype(np.int64)
    jitter = rng.integers(0, 160, plan.count)
    taken_ms = plan.start_ms + np.rint(np.arange(plan.count) * (step_m / speed * 1000 + 160)).astype(np.int64) + jitter
    if not plan.camera.sub_second:
        taken_ms -= taken_ms % 1000
    altitude = int(rng.integers(200, 60_000)) + np.cumsum(rng.integers(-15, 16, plan.count))
    return SequencePictures(
        plan=plan,
        ids=uuids_of(rng.bytes(16 * plan.count)),
        lon=np.round(lon_units / ARC_UNITS, 9),
        lat=np.round(lat_units / ARC_UNITS, 9),
        lon_units=lon_units,
        lat_units=lat_units,
        taken_ms=taken_ms,
        created_us=plan.uploaded_ms * 1000 + np.cumsum(rng.integers(20_000, 90_000, plan.count)),
        direction=np.rint(track.heading * 100 + rng.integers(-300, 301, plan.count)).astype(np.int64) % 36_000,
        altitude_cm=np.maximum(altitude, 0),
        speed_mm_s=np.maximum(0, np.rint(speed * 1000 * (1 + 0.08 * rng.standard_normal(plan.count)))).astype(np.int64),
        dilution=rng.integers(70, 240, plan.count),
        exposure=np.clip(np.exp(6.4 + 0.8 * rng.standard_normal(plan.count)), 30, 9_000).astype(np.int64),
        iso=ISO_SPEEDS[rng.integers(0, len(ISO_SPEEDS), plan.count)],
        brightness=rng.integers(-200, 1_100, plan.count),
        bytes=rng.integers(1_500_000, 9_500_000, plan.count),
        maker_notes=rng.integers(0, 256, (plan.count, plan.camera.maker_bytes), dtype=np.uint8),
        accuracy_cm=int(rng.integers(1, 11)) * 50,
        length_m=track.length_m,
    )

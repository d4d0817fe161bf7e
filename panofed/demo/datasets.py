"""What the demonstration's two instances hold: streets they share, panoramas, the antimeridian and both poles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from panofed.demo.walk import Camera, SequenceSpec

GOPRO = Camera(make="GoPro", model="HERO11 Black", focal_mm=2.71)
GOPRO_MAX = Camera(make="GoPro", model="GoPro Max", panoramic=True, focal_mm=3.0)
INSTA360 = Camera(make="Insta360", model="Insta360 X3", panoramic=True, focal_mm=1.3)
THETA = Camera(make="RICOH", model="RICOH THETA Z1", panoramic=True, focal_mm=2.6)
IPHONE = Camera(make="Apple", model="iPhone 13", focal_mm=5.1)
SAMSUNG = Camera(make="samsung", model="SM-G991B", focal_mm=5.4)
SONY = Camera(make="SONY", model="FDR-X3000", focal_mm=2.9)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


PARIS_RIVOLI = SequenceSpec(
    title="Rue de Rivoli", lat=48.85862, lon=2.34690, heading=293, camera=GOPRO, start=_at("2024-05-02T07:10:00"),
    offset_min=120, pictures=40, tags=((2, "osm|traffic_sign", "FR:B1"), (30, "osm|amenity", "bench")),
)  # fmt: skip
#: the instance "demo-paris"
PARIS: tuple[SequenceSpec, ...] = (
    PARIS_RIVOLI,
    SequenceSpec(
        title="Boulevard Saint-Michel", lat=48.85320, lon=2.34400, heading=187, camera=GOPRO_MAX, bend=0.4,
        start=_at("2024-05-02T09:00:00"), offset_min=120, step_m=6, artist="Camille Demo", account="alice",
        tags=((1, "osm|highway", "traffic_signals"), (12, "osm|traffic_sign", "FR:AB4")),
    ),
    SequenceSpec(
        title="Faubourg Saint-Antoine", lat=48.85300, lon=2.37000, heading=107, camera=INSTA360, bend=-0.3,
        start=_at("2025-09-10T06:45:00"), offset_min=120, pictures=30, accuracy_m=3, account="alice",
    ),
    SequenceSpec(
        title="Rue de la République, Lyon", lat=45.76700, lon=4.83570, heading=184, camera=IPHONE,
        start=_at("2023-11-12T13:20:00"), offset_min=60, step_m=7, accuracy_m=8,
    ),
    SequenceSpec(
        title="Quai Augagneur, Lyon", lat=45.76000, lon=4.84180, heading=172, camera=GOPRO_MAX, bend=0.5,
        start=_at("2023-11-13T08:00:00"), offset_min=60, accuracy_m=3,
    ),
    SequenceSpec(
        title="Avenue de l'Indépendance, Antananarivo", lat=-18.90720, lon=47.52400, heading=335, camera=SONY, bend=0.8,
        start=_at("2025-01-20T05:30:00"), offset_min=180, step_m=9, artist="Hery Demo", with_heading=False,
        account="bob",
    ),
    SequenceSpec(
        title="Rue de la Loi, Brussels", lat=50.84560, lon=4.36940, heading=102, camera=SAMSUNG,
        start=_at("2024-08-15T15:00:00"), offset_min=120, accuracy_m=5,
    ),
    SequenceSpec(
        title="Avenue Louise, Brussels", lat=50.83400, lon=4.35700, heading=150, camera=THETA, bend=0.4,
        start=_at("2024-08-16T10:00:00"), offset_min=120, step_m=6, accuracy_m=2,
    ),
    # starts 13 m west of the 180th meridian and crosses it at the third picture
    SequenceSpec(
        title="Taveuni eastwards, Fiji", lat=-16.85000, lon=179.99988, heading=92, camera=GOPRO, scene="sea",
        start=_at("2025-06-01T22:00:00"), offset_min=720, step_m=10,
    ),
    # straight over the pole: the heading turns round between the third and the fourth picture
    SequenceSpec(
        title="North pole", lat=89.99978, lon=25.0, heading=1, camera=GOPRO_MAX, scene="ice",
        start=_at("2025-07-01T12:00:00"), step_m=9, pictures=16, accuracy_m=10,
    ),
)  # fmt: skip

#: the instance "demo-lyon"; it has been to some of the same streets, on other days
LYON: tuple[SequenceSpec, ...] = (
    SequenceSpec(
        title="Rivoli again", lat=48.85866, lon=2.34680, heading=293, camera=INSTA360, start=_at("2025-02-02T08:10:00"),
        offset_min=60, step_m=7, pictures=36, account="alice",
    ),
    SequenceSpec(
        title="Place de la Bastille", lat=48.85310, lon=2.36900, heading=45, camera=GOPRO, bend=1.5,
        start=_at("2025-02-03T08:10:00"), offset_min=60,
    ),
    SequenceSpec(
        title="Montée de la Grande-Côte", lat=45.76960, lon=4.83150, heading=8, camera=IPHONE, bend=0.6,
        start=_at("2024-12-24T10:00:00"), offset_min=60, step_m=6, artist="Chloé Demo", accuracy_m=3,
    ),
    SequenceSpec(
        title="Rue de la République at night", lat=45.76690, lon=4.83572, heading=184, camera=SAMSUNG,
        start=_at("2024-12-08T19:00:00"), offset_min=60, step_m=7, accuracy_m=6,
        tags=((4, "osm|highway", "street_lamp"),),
    ),
    SequenceSpec(
        title="Avenue Jean Jaurès, Lyon", lat=45.73900, lon=4.83800, heading=188, camera=GOPRO_MAX,
        start=_at("2024-12-25T10:00:00"), offset_min=60, pictures=30, accuracy_m=3, account="alice",
    ),
    SequenceSpec(
        title="Analakely, Antananarivo", lat=-18.90400, lon=47.52550, heading=180, camera=INSTA360, bend=-0.6,
        start=_at("2025-03-03T04:00:00"), offset_min=180, step_m=6, accuracy_m=5,
    ),
    SequenceSpec(
        title="Ivandry, Antananarivo", lat=-18.87200, lon=47.53000, heading=60, camera=SAMSUNG,
        start=_at("2025-03-04T04:00:00"), offset_min=180, step_m=10, with_heading=False, accuracy_m=9, account="bob",
        hidden=(3,),
    ),
    SequenceSpec(
        title="Boulevard Anspach, Brussels", lat=50.84800, lon=4.34900, heading=200, camera=SONY, bend=0.2,
        start=_at("2025-04-04T09:00:00"), offset_min=120, accuracy_m=5,
    ),
    # the same island from the other side
    SequenceSpec(
        title="Taveuni westwards, Fiji", lat=-16.79000, lon=-179.99988, heading=268, camera=THETA, scene="sea",
        start=_at("2025-06-02T22:00:00"), offset_min=720, step_m=10,
    ),
    SequenceSpec(
        title="South pole", lat=-89.99978, lon=-120.0, heading=179, camera=GOPRO_MAX, scene="ice",
        start=_at("2025-01-05T12:00:00"), offset_min=780, step_m=9, pictures=16, accuracy_m=10,
    ),
)  # fmt: skip


def shortened(specs: Sequence[SequenceSpec], pictures: int) -> tuple[SequenceSpec, ...]:
    """The same streets with at most that many pictures each.

    >>> sum(spec.pictures for spec in shortened(PARIS, 3))
    30
    """
    return tuple(replace(spec, pictures=min(spec.pictures, pictures)) for spec in specs)

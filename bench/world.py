"""Where the generated pictures lie and who took them: instances with their shares, towns, cameras. Plain tables."""

from __future__ import annotations

from dataclasses import dataclass

LICENSE_URLS = {
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "etalab-2.0": "https://raw.githubusercontent.com/DISIC/politique-de-contribution-open-source/master/LICENSE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A town: centre in degrees, spread of its pictures around it in metres, UTC offset in hours."""

    name: str
    lon: float
    lat: float
    weight: float
    spread_m: float
    utc_offset_h: int
    summer_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera model; `maker_bytes` is the length of its maker note, `tiles` its tile columns (0: flat)."""

    make: str
    model: str
    width: int
    height: int
    field_of_view: int
    focal_mm: float
    f_number: int
    maker_bytes: int
    weight: float
    tiles: int = 0
    sub_second: bool = True
    software: str = ""

    @property
    def panoramic(self) -> bool:
        """True for a 360 degrees camera."""
        return self.field_of_view == 360


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance of the generated federation; `storage` is where its pictures lie (empty: behind its API)."""

    name: str
    license: str
    share: float
    regions: tuple[tuple[str, float], ...]
    storage: str = ""


def _towns(offset: int, rows: str, *, summer: bool = True) -> tuple[Town, ...]:
    """Rows of `name lon lat weight spread`, separated by semicolons; an underscore in a name is a space."""
    parsed = (row.split() for row in rows.split(";"))
    return tuple(
        Town(
            name=name.replace("_", " "),
            lon=float(lon),
            lat=float(lat),
            weight=float(weight),
            spread_m=float(spread),
            utc_offset_h=offset,
            summer_time=summer,
        )
        for name, lon, lat, weight, spread in parsed
    )


REGIONS: dict[str, tuple[Town, ...]] = {
    "france": _towns(
        1,
        "Paris 2.3488 48.8534 18 4000;Saint-Denis 2.3574 48.9362 6 6500;Lyon 4.8357 45.764 7 4200;"
        "Toulouse 1.4442 43.6047 7 4500;Nantes -1.5534 47.2184 6 4000;Lille 3.0573 50.6292 5 4800;"
        "Rennes -1.6778 48.1173 5 3200;Bordeaux -0.5792 44.8378 4 4300;Grenoble 5.7245 45.1885 4 2900;"
        "Marseille 5.3698 43.2965 4 5200;Strasbourg 7.7521 48.5734 3 3300;Montpellier 3.8767 43.6108 3 3200;"
        "Angers -0.5632 47.4784 2 2500;Dijon 5.0415 47.322 2 2400;Tours 0.6848 47.3941 2 2500;"
        "Brest -4.4861 48.3904 2 2500;Nice 7.262 43.7102 2 3000;Caen -0.3707 49.1829 1.5 2300;"
        "Rouen 1.0993 49.4431 1.5 2600;Metz 6.1757 49.1193 1 2200;Orléans 1.909 47.903 1 2300;"
        "Poitiers 0.3404 46.5802 1 1900;Vannes -2.7603 47.6582 1 1500;Annecy 6.1294 45.8992 1 1800;"
        "Chambéry 5.9178 45.5646 0.8 1700;Avignon 4.8057 43.9493 0.8 1900;Mulhouse 7.3389 47.7508 0.8 1900;"
        "Amiens 2.2957 49.8941 0.8 1900;Lorient -3.366 47.7482 0.7 1600;Rodez 2.5734 44.3506 0.4 1200;"
        "Ajaccio 8.7369 41.9192 0.3 1500;Gap 6.0797 44.5594 0.3 1100",
    ),
    "belgium": _towns(
        1,
        "Bruxelles 4.3517 50.8466 5 4200;Liège 5.5797 50.6326 2 2600;Antwerpen 4.4025 51.2194 2 3200;"
        "Gent 3.7174 51.0543 2 2500;Namur 4.8667 50.4669 1 1800",
    ),
    "alps": _towns(
        1,
        "Genève 6.1432 46.2044 3 2700;Lausanne 6.6323 46.5197 3 2300;Zürich 8.5417 47.3769 3 3000;"
        "Bern 7.4474 46.948 2 2200;Torino 7.6869 45.0703 2 3500;Innsbruck 11.4041 47.2692 1 2000",
    ),
    "germany": _towns(
        1,
        "Berlin 13.405 52.52 4 6200;München 11.582 48.1351 2 4200;Köln 6.9603 50.9375 2 3900;"
        "Freiburg 7.8421 47.999 1 1900;Leipzig 12.3731 51.3397 1 2900;Hamburg 9.9937 53.5511 1 4800",
    ),
    "europe": _towns(
        1,
        "Madrid -3.7038 40.4168 2 4500;Milano 9.19 45.4642 2 3500;Amsterdam 4.9041 52.3676 2 3200;"
        "Praha 14.4378 50.0755 1 3600;Wien 16.3738 48.2082 1 3800;Stockholm 18.0686 59.3293 1 3500;"
        "Longyearbyen 15.6469 78.2232 0.1 800",
    ),
    "indian-ocean": _towns(
        3,
        "Antananarivo 47.5079 -18.8792 4 4200;Toamasina 49.4023 -18.1492 1 2200;Antsirabe 47.0333 -19.8659 1 1900;"
        "Saint-Pierre 55.4781 -21.3393 2 2000",
        summer=False,
    ),
    "america": _towns(
        -5,
        "New_York -74.006 40.7128 2 6500;Montréal -73.5673 45.5017 2 4500;Fort-de-France -61.0742 14.6161 1 1800;"
        "Buenos_Aires -58.3816 -34.6037 1 5500;Ushuaia -68.303 -54.8019 0.2 1500",
        summer=False,
    ),
    "pacific": _towns(
        12,
        "Suva 178.4419 -18.1248 1 1800;Taveuni 180.0 -16.85 0.6 6000;Nouméa 166.458 -22.2758 1 2200;"
        "Sydney 151.2093 -33.8688 1 5000",
        summer=False,
    ),
    "africa": _towns(
        0,
        "Dakar -17.4677 14.7167 1 3500;Abidjan -4.0083 5.36 1 4000;Ouagadougou -1.5197 12.3714 1 3000",
        summer=False,
    ),
}

INSTANCES: tuple[Instance, ...] = (
    Instance(
        name="community",
        license="CC-BY-SA-4.0",
        share=0.47,
        regions=(("france", 0.72), ("belgium", 0.08), ("europe", 0.08), ("germany", 0.05), ("alps", 0.04),
                 ("africa", 0.015), ("america", 0.015)),
    ),
    Instance(
        name="survey",
        license="etalab-2.0",
        share=0.42,
        regions=(("france", 1.0),),
        storage="https://panoramax-storage-public-fast.s3.gra.perf.cloud.example",
    ),
    Instance(name="brussels", license="CC-BY-SA-4.0", share=0.028, regions=(("belgium", 1.0),)),
    Instance(name="cantons", license="etalab-2.0", share=0.021, regions=(("alps", 1.0),)),
    Instance(name="strassen", license="CC-BY-SA-4.0", share=0.017, regions=(("germany", 1.0),)),
    Instance(
        name="islands",
        license="CC-BY-SA-4.0",
        share=0.014,
        regions=(("indian-ocean", 1.0),),
        storage="https://pictures.islands.example",
    ),
    Instance(name="americas", license="CC-BY-SA-4.0", share=0.010, regions=(("america", 1.0),)),
    Instance(name="oceania", license="CC-BY-SA-4.0", share=0.008, regions=(("pacific", 1.0),)),
    Instance(name="sahel", license="CC-BY-SA-4.0", share=0.006, regions=(("africa", 1.0),)),
    Instance(name="campus", license="etalab-2.0", share=0.006, regions=(("europe", 0.5), ("france", 0.5))),
    # most of the real federation: small servers of cities and hobbyists
    *(
        Instance(name=f"hobby-{n}", license="CC-BY-SA-4.0", share=0.001, regions=(("europe", 0.3), ("france", 0.7)))
        for n in range(1, 16)
    ),
)  # fmt: skip

CAMERAS: tuple[Camera, ...] = (
    Camera(make="GoPro", model="Max", width=5760, height=2880, field_of_view=360, focal_mm=3.0, f_number=28,
           maker_bytes=128, weight=0.22, tiles=8, software="H19.03.02.02.00"),
    Camera(make="GoPro", model="HERO11 Black", width=5568, height=4872, field_of_view=118, focal_mm=2.7, f_number=25,
           maker_bytes=144, weight=0.17, software="H22.01.02.32.00"),
    Camera(make="GoPro", model="HERO9 Black", width=5184, height=3888, field_of_view=112, focal_mm=2.92, f_number=25,
           maker_bytes=96, weight=0.10, software="HD9.01.01.72.00"),
    Camera(make="RICOH", model="RICOH THETA X", width=11008, height=5504, field_of_view=360, focal_mm=1.8, f_number=24,
           maker_bytes=200, weight=0.06, tiles=16, software="RICOH THETA X Ver 2.61.0"),
    Camera(make="Insta360", model="Insta360 X3", width=11968, height=5984, field_of_view=360, focal_mm=1.3, f_number=19,
           maker_bytes=160, weight=0.08, tiles=16, software="v1.1.3_build4"),
    Camera(make="STFMANI", model="V6MPack", width=8192, height=4096, field_of_view=360, focal_mm=2.1, f_number=40,
           maker_bytes=64, weight=0.08, tiles=8, software="V6MPack 4.1"),
    Camera(make="Apple", model="iPhone 13", width=4032, height=3024, field_of_view=69, focal_mm=5.1, f_number=16,
           maker_bytes=112, weight=0.09, software="17.5.1"),
    Camera(make="samsung", model="SM-G991B", width=4000, height=3000, field_of_view=67, focal_mm=5.4, f_number=18,
           maker_bytes=88, weight=0.08, software="G991BXXSCGXF5"),
    Camera(make="Xiaomi", model="Redmi Note 9 Pro", width=4624, height=3472, field_of_view=72, focal_mm=4.7,
           f_number=19, maker_bytes=40, weight=0.07, sub_second=False, software="joyeuse-user 12"),
    Camera(make="Google", model="Pixel 7", width=4080, height=3072, field_of_view=70, focal_mm=6.81, f_number=18,
           maker_bytes=72, weight=0.05, software="HDR+ 1.0.540104767zd"),
)  # fmt: skip

FIRST_NAMES = (
    "ada bob cleo dan eve finn gus hana ivo jade kim léo mia noa otto pia quin rui sam tea uma vic wen xan yan zoé"
).split()

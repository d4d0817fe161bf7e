"""Random pictures with everything that can be filtered, and a second opinion on filters: plain Python, three-valued."""

from __future__ import annotations

import random
import re
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import shapely
from shapely.geometry import shape

from tests.catalog_factory import START, Factory, Shot

MAKES = [("GoPro", "Max"), ("GoPro", ""), ("Ricoh", "Thêta_S"), ("100%", "x\\y"), None]
LICENSES = ["etalab-2.0", "CC-BY-SA-4.0", None]
PRODUCERS = ["alice", "Élodie", "bob_b", None]
TAGS = [("osm|traffic_sign", "stop"), ("osm|traffic_sign", "yield"), ("surface", "asphalt"), ("a'b", 'q"%')]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One picture as the oracle knows it: values by the names filters use, None where it lacks one."""

    values: dict[str, Any]
    tags: list[tuple[str, str]]
    point: tuple[float, float]


async def fill(factory: Factory, seed: int, sequences: int = 12, pictures: int = 25) -> list[Seen]:
    """Put random pictures in; around Paris, across the antimeridian, and anywhere."""
    rnd, world = random.Random(seed), []
    connection = factory.connection
    numbers = [
        None
        if make is None
        else await connection.fetchval("INSERT INTO cameras (manufacturer, model) VALUES ($1, $2) RETURNING n", *make)
        for make in MAKES
    ]
    licenses = [
        None if name is None else await connection.fetchval("INSERT INTO licenses (id) VALUES ($1) RETURNING n", name)
        for name in LICENSES
    ]
    for number in range(sequences):
        instance = rnd.choice(["north", "south"])
        account, producer = None, rnd.choice(PRODUCERS)
        account_id = str(uuid.UUID(int=rnd.getrandbits(128), version=4))
        n_instance = await factory.instance(instance)
        if producer is not None:
            account = await connection.fetchval(
                "INSERT INTO accounts (id, instance, name) VALUES ($1, $2, $3) RETURNING n",
                account_id,
                n_instance,
                producer,
            )
        start = START + timedelta(hours=rnd.randrange(60))
        centre = rnd.choice(
            [(2.35, 48.85), (2.35, 48.85), (179.99, -17.0), (rnd.uniform(-170, 170), rnd.uniform(-80, 80))]
        )
        shots = [_shot(rnd, centre, start + timedelta(seconds=3 * i)) for i in range(pictures)]
        stored = await factory.sequence(shots, instance=instance, title=f"walk {number}")
        await connection.execute("UPDATE sequences SET account = $2 WHERE n = $1", stored.n, account)
        if rnd.random() < 0.4:
            # one merge changes several sequences
            await connection.execute(
                "UPDATE sequences SET indexed = $2 WHERE n = $1", stored.n, START + timedelta(days=400)
            )
        indexed = await connection.fetchval("SELECT indexed FROM sequences WHERE n = $1", stored.n)
        for rank, shot in enumerate(shots, 1):
            camera, license = rnd.randrange(len(MAKES)), rnd.randrange(len(LICENSES))
            tags = rnd.sample(TAGS, rnd.choice([0, 0, 1, 2]))
            created = None if rnd.random() < 0.2 else START + timedelta(hours=rnd.randrange(5))
            await connection.execute(
                "UPDATE pictures SET camera = $2, license = $3, account = $4, semantics = $5, created = $6"
                " WHERE id = $1",
                shot.id, numbers[camera], licenses[license], account,
                orjson.dumps([{"key": key, "value": value} for key, value in tags]).decode() if tags else None, created,
            )  # fmt: skip
            make = MAKES[camera] or ("", "")
            properties = shot.properties
            world.append(
                Seen(
                    values={
                        "id": shot.id, "collection": stored.id, "datetime": shot.captured, "created": created,
                        "updated": datetime(2026, 11, 20, 17, 39, 54, 816547, tzinfo=UTC), "panofed:indexed": indexed,
                        "view:azimuth": shot.azimuth, "field_of_view": shot.field_of_view,
                        "type": "equirectangular" if shot.field_of_view == 360 else "flat",
                        "pers:interior_orientation.camera_manufacturer": make[0] or None,
                        "pers:interior_orientation.camera_model": make[1] or None, "license": LICENSES[license],
                        "geovisio:producer": producer, "account": account_id if producer else None,
                        "instance": instance, "instance_id": instance,
                        "quality:horizontal_accuracy": properties.get("quality:horizontal_accuracy"),
                        "panoramax:horizontal_pixel_density": properties.get("panoramax:horizontal_pixel_density"),
                        "original_file:size": properties["original_file:size"], "geovisio:rank_in_collection": rank,
                    },
                    tags=tags, point=(shot.longitude, shot.latitude),
                )
            )  # fmt: skip
    await connection.execute(
        "UPDATE sequences s SET pictures_360 = (SELECT count(*) FROM pictures p WHERE p.sequence = s.n AND p.is_360)"
    )
    return world


def _shot(rnd: random.Random, centre: tuple[float, float], captured: datetime) -> Shot:
    longitude = (centre[0] + rnd.gauss(0, 0.02) + 180) % 360 - 180
    properties: dict[str, Any] = {"original_file:size": rnd.choice([1, 20, 20, 300])}
    if rnd.random() < 0.7:
        properties["quality:horizontal_accuracy"] = rnd.choice([2.1, 3, 4.25])
    if rnd.random() < 0.7:
        properties["panoramax:horizontal_pixel_density"] = rnd.choice([10, 33])
    return Shot(
        longitude=longitude, latitude=centre[1] + rnd.gauss(0, 0.02), captured=captured,
        azimuth=rnd.choice([None, 0, 90, 90, 359]), field_of_view=rnd.choice([None, 360, 70, 70]),
        properties=properties,
    )  # fmt: skip


NUMBERS: dict[str, list[float]] = {
    "view:azimuth": [-0.5, 0, 89.5, 90, 180, 1e30], "field_of_view": [360, 70], "quality:horizontal_accuracy": [2.1, 3],
    "original_file:size": [20, 21.5], "geovisio:rank_in_collection": [4.5, 5, 12],
    "panoramax:horizontal_pixel_density": [33],
}  # fmt: skip
TEXTS = {
    "type": ["flat", "equirectangular"], "license": ["etalab-2.0", "x"],
    "geovisio:producer": ["alice", "ELODIE", "élodie", "bob_b"],
    "instance": ["north", "South"], "instance_id": ["south"],
    "pers:interior_orientation.camera_manufacturer": ["GoPro", "100%"],
    "pers:interior_orientation.camera_model": ["Max", "x\\y", "theta_s"],
}  # fmt: skip
PATTERNS = ["%o%", "_oPro", "100\\%", "a%", "x\\\\y", "Th%\\_S", "%é%", ""]
_DATES = [START + timedelta(hours=hours) for hours in (0, 10, 30, 45)]


def random_filter(rnd: random.Random, world: Sequence[Seen], depth: int = 3) -> Any:
    """A CQL2 tree."""
    if depth and rnd.random() < 0.6:
        op = rnd.choice(["and", "or", "not"])
        return {
            "op": op,
            "args": [random_filter(rnd, world, depth - 1) for _ in range(1 if op == "not" else rnd.choice([2, 3]))],
        }
    leaf: Callable[[random.Random, Sequence[Seen]], Any] = rnd.choice(
        [_number, _text, _like, _time, _temporal, _null, _place, _tag, _named]
    )
    return leaf(rnd, world)


def _property(name: str) -> dict[str, str]:
    return {"property": name}


_COMPARE = ["=", "<>", "<", "<=", ">", ">="]


def _number(rnd: random.Random, world: Sequence[Seen]) -> Any:
    name = rnd.choice(list(NUMBERS))
    value: Any = rnd.choice(NUMBERS[name])
    if rnd.random() < 0.2:
        return {"op": "between", "args": [_property(name), value - 5, value]}
    if rnd.random() < 0.2:
        return {"op": "in", "args": [_property(name), NUMBERS[name]]}
    args = [_property(name), value]
    return {"op": rnd.choice(_COMPARE), "args": args if rnd.random() < 0.7 else args[::-1]}


def _text(rnd: random.Random, world: Sequence[Seen]) -> Any:
    name = rnd.choice(list(TEXTS))
    if rnd.random() < 0.3:
        return {"op": "in", "args": [_property(name), TEXTS[name]]}
    left: Any = _property(name)
    right: Any = rnd.choice(TEXTS[name])
    for fold in rnd.choice([[], [], ["casei"], ["accenti"], ["accenti", "casei"]]):
        left, right = {"op": fold, "args": [left]}, {"op": fold, "args": [right]}
    return {"op": rnd.choice(["=", "<>"]), "args": [left, right]}


def _like(rnd: random.Random, world: Sequence[Seen]) -> Any:
    return {"op": "like", "args": [_property(rnd.choice(list(TEXTS))), rnd.choice(PATTERNS)]}


def _time(rnd: random.Random, world: Sequence[Seen]) -> Any:
    name = rnd.choice(["datetime", "datetime", "created", "updated", "panofed:indexed"])
    when = rnd.choice([*_DATES, START + timedelta(days=400)])
    value: Any = rnd.choice([{"timestamp": _said(when)}, {"date": when.date().isoformat()}, {}]) or _said(when)
    return {"op": rnd.choice(_COMPARE), "args": [_property(name), value]}


def _said(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


_TEMPORAL = (
    "t_after t_before t_disjoint t_during t_equals t_intersects t_contains t_finishes t_starts t_meets t_metBy".split()
)


def _temporal(rnd: random.Random, world: Sequence[Seen]) -> Any:
    ends = sorted(rnd.sample(_DATES, 2))
    low, high = rnd.choice([(_said(ends[0]), _said(ends[1])), ("..", _said(ends[1])), (_said(ends[0]), "..")])
    value = rnd.choice([{"interval": [low, high]}, {"timestamp": _said(ends[0])}])
    args = [_property(rnd.choice(["datetime", "created"])), value]
    return {"op": rnd.choice(_TEMPORAL), "args": args if rnd.random() < 0.8 else args[::-1]}


def _null(rnd: random.Random, world: Sequence[Seen]) -> Any:
    names = [*NUMBERS, *TEXTS, "created", "account", "semantics.surface", "semantics.nothing"]
    return {"op": "isNull", "args": [_property(rnd.choice(names))]}


def _place(rnd: random.Random, world: Sequence[Seen]) -> Any:
    box = {"bbox": rnd.choice([[2.3, 48.8, 2.36, 48.9], [179.95, -18, -179.99, -16], [-180, -90, 180, 0]])}
    triangle = {"type": "Polygon", "coordinates": [[[2.3, 48.8], [2.4, 48.8], [2.35, 48.9], [2.3, 48.8]]]}
    args = [_property("geometry"), rnd.choice([box, triangle])]
    op = rnd.choice(["s_intersects", "s_within", "s_disjoint"])
    return {"op": op, "args": args}


def _tag(rnd: random.Random, world: Sequence[Seen]) -> Any:
    key, value = rnd.choice([*TAGS, ("surface", "mud"), ("none", "x")])
    name = _property(f"semantics.{key}")
    return rnd.choice(
        [
            {"op": "=", "args": [name, value]},
            {"op": "<>", "args": [name, value]},
            {"op": "in", "args": [name, [value, "yield"]]},
            {"op": "like", "args": [name, "%t%"]},
            {"op": "isNull", "args": [name]},
        ]
    )


def _named(rnd: random.Random, world: Sequence[Seen]) -> Any:
    name = rnd.choice(["id", "collection", "account"])
    some = [each.values[name] for each in rnd.sample(list(world), 3) if each.values[name]] or [str(uuid.uuid4())]
    op = rnd.choice(["=", "in", "<>"])
    return {"op": op, "args": [_property(name), some if op == "in" else some[0]]}


def holds(tree: Any, seen: Seen) -> bool | None:
    """Whether a filter holds of a picture; None where that is unknown."""
    op, args = tree["op"], tree["args"]
    if op in ("and", "or"):
        parts = [holds(each, seen) for each in args]
        short = op == "or"
        return short if short in parts else None if None in parts else not short
    if op == "not":
        inner = holds(args[0], seen)
        return None if inner is None else not inner
    if op == "isNull":
        return _values(args[0], seen) is None
    if op.startswith("s_"):
        return _spatial(op, args, seen)
    if op.startswith("t_"):
        return _temporally(op, args, seen)
    return _compare(op, args, seen)


def _values(node: Any, seen: Seen) -> list[Any] | None:
    """What a side can be: the values of a tag, the one value of anything else; None for nothing."""
    if isinstance(node, dict) and "op" in node:
        inner = _values(node["args"][0], seen)
        return None if inner is None else [_fold(node["op"], each) for each in inner]
    if isinstance(node, dict) and "property" in node:
        name = node["property"]
        if name.startswith("semantics."):
            return [value for key, value in seen.tags if key == name.removeprefix("semantics.")] or None
        value = seen.values[name]
        return None if value is None else [value]
    return [node]


def _fold(op: str, text: str) -> str:
    if op == "casei":
        return text.lower()
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not "\u0300" <= letter <= "\u036f")


def _span(node: Any) -> tuple[datetime, datetime]:
    low, high = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    if isinstance(node, dict) and "interval" in node:
        first, last = node["interval"]
        return (low if first == ".." else _span(first)[0], high if last == ".." else _span(last)[1])
    text = node if isinstance(node, str) else next(iter(node.values()))
    when = datetime.fromisoformat(text)
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (when, when + timedelta(days=1, microseconds=-1)) if len(text) == 10 else (when, when)


def _compare(op: str, args: list[Any], seen: Seen) -> bool | None:
    if op == "between":
        parts = [_compare(">=", [args[0], args[1]], seen), _compare("<=", [args[0], args[2]], seen)]
        return None if None in parts else all(parts)
    if op == "in":
        parts = [_compare("=", [args[0], each], seen) for each in args[1]]
        return True if True in parts else None if None in parts else False
    if not isinstance(args[0], dict):
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
        return _compare(turned.get(op, op), args[::-1], seen)
    mine = _values(args[0], seen)
    if mine is None:
        return None
    if isinstance(mine[0], datetime):
        return _dated(op, mine[0], _span(args[1]))
    other = (_values(args[1], seen) or [None])[0]
    tests: dict[str, Callable[[Any], bool]] = {
        "=": lambda v: v == other, "<": lambda v: v < other, "<=": lambda v: v <= other, ">": lambda v: v > other,
        ">=": lambda v: v >= other, "like": lambda v: _like_regex(other).fullmatch(v) is not None,
    }  # fmt: skip
    if op == "<>":
        return not any(each == other for each in mine)
    return any(tests[op](each) for each in mine)


def _dated(op: str, value: datetime, span: tuple[datetime, datetime]) -> bool:
    start, end = span
    return {
        "=": start <= value <= end, "<>": not start <= value <= end, "<": value < start, "<=": value <= end,
        ">": value > end, ">=": value >= start,
    }[op]  # fmt: skip


def _like_regex(pattern: str) -> re.Pattern[str]:
    out, letters = "", iter(pattern)
    for letter in letters:
        out += {"%": ".*", "_": "."}.get(letter) or re.escape(next(letters) if letter == "\\" else letter)
    return re.compile(out, re.DOTALL)


def _temporally(op: str, args: list[Any], seen: Seen) -> bool | None:
    spans = []
    for node in args:
        if isinstance(node, dict) and "property" in node:
            value = seen.values[node["property"]]
            if value is None:
                return None
            spans.append((value, value))
        else:
            spans.append(_span(node))
    (s1, e1), (s2, e2) = spans
    tests: dict[str, bool] = {
        "t_after": s1 > e2, "t_before": e1 < s2, "t_contains": s1 < s2 and e1 > e2, "t_disjoint": e1 < s2 or s1 > e2,
        "t_during": s1 > s2 and e1 < e2, "t_equals": (s1, e1) == (s2, e2), "t_intersects": s1 <= e2 and e1 >= s2,
        "t_finishes": s1 > s2 and e1 == e2, "t_starts": s1 == s2 and e1 < e2, "t_meets": e1 == s2, "t_metBy": s1 == e2,
    }  # fmt: skip
    return tests[op]


def _spatial(op: str, args: list[Any], seen: Seen) -> bool:
    point = shapely.Point(seen.point)
    geometry = args[1]
    if "bbox" in geometry:
        west, south, east, north = geometry["bbox"]
        parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        area: Any = shapely.MultiPolygon([shapely.box(low, south, high, north) for low, high in parts])
    else:
        area = shape(geometry)
    met = bool(area.intersects(point))
    return {"s_intersects": met, "s_disjoint": not met, "s_within": bool(point.within(area))}[op]

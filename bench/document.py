"""The tables of docs/benchmarks.md, written between their markers from the newest results; prose is left alone.

A block is `<!-- NAME:start -->` to `<!-- NAME:end -->`; NAME is that of the result's file without its time, or one of
`sizes-...`, `growth-SMALL-LARGE` made of the same results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.cold import FirstRequests, cold_markdown
from bench.copied import CopyReport, copy_markdown
from bench.counts import CountsReport, Round, counts_markdown
from bench.endurance import Endurance, Phase, endurance_markdown
from bench.fresh import Fresh, fresh_markdown
from bench.http_load import Result, growth, markdown
from bench.load import Measure
from bench.plan import DatasetSpec
from bench.report import harvest_of, place_and_time, sizes_markdown, stored_sizes, visits_markdown
from bench.stages import Stage, stages_markdown
from bench.tiles import Cold, Report, tiles_markdown
from bench.visits import Resumed, VisitCost, resume_markdown
from bench.visits import visits_markdown as passes_markdown
from bench.workers import Shared, workers_markdown

Document = Mapping[str, Any]
BLOCK = re.compile(r"(<!-- ([\w-]+):start -->\n)(.*?)(<!-- \2:end -->)", re.DOTALL)
_STAMP = re.compile(r"-\d{8}T\d{6}$")


def newest(directory: Path) -> dict[str, Document]:
    """The newest result of every name; what cannot be read as one is passed over."""
    found: dict[str, Document] = {}
    for path in sorted(directory.glob("*.json"), key=lambda path: path.stem[-15:]):
        name = _STAMP.sub("", path.stem)
        if name != path.stem:
            found[name] = json.loads(path.read_text())
    return found


def _results(document: Document) -> list[Result]:
    rows = document["measured"]["results"]
    return [Result(**row | {"measure": Measure(**row["measure"])}) for row in rows]


def _harvest(document: Document) -> str:
    return visits_markdown(harvest_of(document["measured"]), document)


def _sizes(document: Document) -> str:
    body = document["measured"]
    return place_and_time(document, body["settings"]) + "\n\n" + sizes_markdown(stored_sizes(body["sizes"]))


def _api(document: Document) -> str:
    body = document["measured"]
    peer = ", ".join(f"{name} {version}" for name, version in body.get("peer", {}).get("versions", {}).items())
    told = f"{body['spec']['items']:,} pictures. {place_and_time(document, body.get('settings', {}))}"
    return told + (f" Beside: {peer}." if peer else "") + "\n\n" + markdown(_results(document))


def _copy(document: Document) -> str:
    body = document["measured"]
    kept = {one.name: body[one.name] for one in fields(CopyReport)}
    report = CopyReport(**kept | {"spec": DatasetSpec(**body["spec"]), "sizes": stored_sizes(body["sizes"])})
    return place_and_time(document, body["settings"]) + "\n\n" + copy_markdown(report)


def _cold(document: Document) -> str:
    body = document["measured"]
    classes = [
        FirstRequests(name=one["name"], cold=Measure(**one["cold"]), warm=Measure(**one["warm"]))
        for one in body["classes"]
    ]
    return place_and_time(document, body["settings"]) + "\n\n" + cold_markdown(classes, body["resident_bytes"])


def _counts(document: Document) -> str:
    body = document["measured"]
    report = CountsReport(**body | {"rounds": [Round(**one) for one in body["rounds"]]})
    return place_and_time(document, {}) + "\n\n" + counts_markdown(report)


def _stages(document: Document) -> str:
    stages = [Stage(**one) for one in document["measured"]["stages"]]
    return place_and_time(document, {}) + "\n\n" + stages_markdown(stages)


def _visits(document: Document) -> str:
    body = document["measured"]
    passes = [VisitCost(**one) for one in body["passes"]]
    return place_and_time(document, body["settings"]) + "\n\n" + passes_markdown(passes, body["spec"]["instances"])


def _resume(document: Document) -> str:
    return place_and_time(document, {}) + "\n\n" + resume_markdown(Resumed(**document["measured"]))


def _workers(document: Document) -> str:
    body = document["measured"]
    told = f"{body['spec']['items']:,} pictures. {place_and_time(document, body['settings'])}"
    return told + "\n\n" + workers_markdown([Shared(**one) for one in body["crawls"]])


def _tiles(document: Document) -> str:
    body = document["measured"]
    cold = tuple(Cold(**one) for one in body["cold"])
    under_load = {name: Measure(**body[name]) for name in ("kept", "unchanged")}
    report = Report(**body | {"cold": cold} | under_load)
    return place_and_time(document, {}) + "\n\n" + tiles_markdown(report)


def _fresh(document: Document) -> str:
    ways = [Fresh(name=one["name"], seconds=tuple(one["seconds"])) for one in document["measured"]["ways"]]
    return place_and_time(document, {}) + "\n\n" + fresh_markdown(ways)


def _endurance(document: Document) -> str:
    body = document["measured"]
    report = Endurance(start_s=body["start_s"], phases=tuple(Phase(**one) for one in body["phases"]))
    return place_and_time(document, {}) + "\n\n" + endurance_markdown(report)


_TABLES: Mapping[str, Callable[[Document], str]] = {
    "harvest": _harvest,
    "api": _api,
    "copy": _copy,
    "cold": _cold,
    "counts": _counts,
    "stages": _stages,
    "visits": _visits,
    "real": _visits,
    "fresh": _fresh,
    "resume": _resume,
    "workers": _workers,
    "tiles": _tiles,
    "endurance": _endurance,
}


def table(name: str, results: Mapping[str, Document]) -> str | None:
    """The block of that name; None when its measurement was not made."""
    kind, _, rest = name.partition("-")
    if kind == "growth":
        small, _, large = rest.partition("-")
        pair = [results.get(f"api-{part}") for part in (small, large)]
        return growth(*(_results(one) for one in pair if one)) if all(pair) else None
    if kind == "sizes":
        measured = results.get(f"harvest-{rest}") or results.get(f"copy-{rest}")
        return _sizes(measured) if measured else None
    return _TABLES[kind](results[name]) if kind in _TABLES and name in results else None


def filled(text: str, results: Mapping[str, Document]) -> tuple[str, list[str], list[str]]:
    """The text with its blocks written, the names of those written, and of those without a result.

    >>> filled("a\\n<!-- none:start -->\\nold\\n<!-- none:end -->\\nb", {})
    ('a\\n<!-- none:start -->\\nold\\n<!-- none:end -->\\nb', [], ['none'])
    """
    written: list[str] = []
    missing: list[str] = []

    def block(match: re.Match[str]) -> str:
        made = table(match[2], results)
        (missing if made is None else written).append(match[2])
        return match[0] if made is None else f"{match[1]}\n{made}\n{match[4]}"

    return BLOCK.sub(block, text), written, missing


def write_tables(page: Path, directory: Path) -> str:
    """Write the page's tables; returns a line on what was written and what is missing."""
    results = newest(directory)
    text, written, missing = filled(page.read_text(), results)
    page.write_text(text)
    return (
        f"{page}: wrote {', '.join(written) or 'nothing'}; no result for {', '.join(missing) or 'none'}; "
        f"results there are: {', '.join(sorted(results)) or 'none'}\n"
    )

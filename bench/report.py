"""Measurements as files: JSON with date and machine for the record, markdown tables for the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.harvest import HarvestPass, HarvestReport
from bench.plan import DatasetSpec
from bench.sizes import Sizes, TableSize

MIB = 1 << 20


def circumstances() -> dict[str, str]:
    """When and on what: a number without them says nothing."""
    model = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores ({model}), {memory / (1 << 30):.0f} GB, {platform.system()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _cpuinfo() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text().splitlines() if path.exists() else [])


def write_report(directory: Path, name: str, body: object) -> Path:
    """Write one measurement as JSON; its name carries the time."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(circumstances() | {"measured": body}, indent=1, default=str) + "\n")
    return path


def harvest_json(report: HarvestReport) -> dict[str, object]:
    """All numbers of a harvest, the derived ones too."""
    passes = [asdict(one) | {"items_per_s": one.items_per_s} for one in report.passes]
    sizes = asdict(report.sizes) | {"bytes_per_picture": report.sizes.bytes_per_picture}
    return {"spec": asdict(report.spec), "settings": report.settings, "passes": passes, "sizes": sizes}


def harvest_of(body: Mapping[str, Any]) -> HarvestReport:
    """The report again, from what `harvest_json` made of it."""
    passes = [{key: value for key, value in one.items() if key != "items_per_s"} for one in body["passes"]]
    return HarvestReport(
        spec=DatasetSpec(**body["spec"]),
        settings=body["settings"],
        passes=tuple(HarvestPass(**one) for one in passes),
        sizes=stored_sizes(body["sizes"]),
    )


def stored_sizes(body: Mapping[str, Any]) -> Sizes:
    """Sizes again, from JSON."""
    kept = {key: value for key, value in body.items() if key != "bytes_per_picture"}
    return Sizes(**kept | {"tables": tuple(TableSize(**table) for table in body["tables"])})


def place_and_time(here: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    """The line that goes with every table: when, on what, with which settings."""
    changed = ", ".join(f"`PANOFED_{name.upper()}={value}`" for name, value in settings.items()) or "defaults"
    return (
        f"{here['at'][:10]}, {here['machine']}, Python {here['python']}, load when written {here['load']}; "
        f"settings: {changed}."
    )


def harvest_markdown(report: HarvestReport) -> str:
    """All of one harvest."""
    return visits_markdown(report, circumstances()) + "\n" + sizes_markdown(report.sizes)


def visits_markdown(report: HarvestReport, here: Mapping[str, Any]) -> str:
    """The table of the visits."""
    lines = [
        f"{report.sizes.pictures:,} pictures in {report.sizes.leaves} leaves. {place_and_time(here, report.settings)}",
        "",
        "| visit | seconds | items | items/s | requests | CPU s: harvester | source | PostgreSQL | peak memory MiB |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_pass_line, report.passes),
    ]
    return "\n".join(lines) + "\n"


def sizes_markdown(sizes: Sizes) -> str:
    """The tables of the sizes."""
    return "\n".join(_size_lines(sizes)) + "\n"


def _pass_line(one: HarvestPass) -> str:
    return (
        f"| {one.name} | {one.wall_s:.1f} | {one.items:,} | {one.items_per_s:,.0f} | {one.requests:,} "
        f"| {one.harvester_cpu_s:.1f} | {one.source_cpu_s:.1f} | {one.postgres_cpu_s:.1f} "
        f"| {one.peak_rss_bytes / MIB:.0f} |"
    )


def _size_lines(sizes: Sizes) -> Iterator[str]:
    yield (
        f"Bytes per picture on disk, {sizes.pictures:,} pictures: **{sizes.bytes_per_picture:.0f}**, "
        f"payload alone {sizes.payload_mean_bytes:.0f}."
    )
    yield ""
    yield "| bytes per picture | heap | indexes | TOAST | total | rows |"
    yield "|---|---|---|---|---|---|"
    for table in sizes.tables:
        if table.total * 1_000 >= sum(one.total for one in sizes.tables):  # a thousandth of the whole at least
            parts = [
                f"{size / max(1, sizes.pictures):.1f}" for size in (table.heap, table.indexes, table.toast, table.total)
            ]
            yield f"| {table.name} | {' | '.join(parts)} | {table.rows:,} |"
    indexes = ", ".join(f"{name} {size / max(1, sizes.pictures):.1f}" for name, size in sizes.indexes.items())
    yield ""
    yield f"Indexes, bytes per picture: {indexes}."

"""A catalog filled by COPY, as one measurement: load, check, size; and its first requests after a start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bench.bulk import load_by_copy
from bench.bulk_check import check_answers, check_rows
from bench.installations import make_empty, settings_of
from bench.plan import Dataset, DatasetSpec
from bench.product import Product, serving
from bench.sizes import Sizes, sizes_of
from panofed.cluster import DATABASE


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """Seconds per step, leaves made, how many pictures were compared over HTTP, sizes."""

    spec: DatasetSpec
    settings: Mapping[str, str]
    seconds: Mapping[str, float]
    leaves: int
    compared: int
    sizes: Sizes


def measure_copy(product: Product, spec: DatasetSpec) -> CopyReport:
    """Fill a new installation, check it and measure its sizes; BulkError when anything is not as it should be."""
    dataset, settings = Dataset(spec), settings_of(product)
    make_empty(product)
    load = load_by_copy(product, dataset, settings)
    product.cluster.ensure_running()
    try:
        begin = time.perf_counter()
        sizes = sizes_of(product.cluster, DATABASE)  # it vacuums and analyses: searches need the statistics
        load.seconds["vacuum and analyse"] = time.perf_counter() - begin
        dsn = product.cluster.dsn(DATABASE)
        asyncio.run(check_rows(dsn, dataset, settings))
        with serving(product) as root:
            compared = check_answers(root, dsn, dataset, settings)
    finally:
        product.cluster.stop()
    return CopyReport(
        spec=spec,
        settings=dict(product.settings),
        seconds=load.seconds,
        leaves=len(load.leaves),
        compared=compared,
        sizes=sizes,
    )


def copy_json(report: CopyReport) -> dict[str, object]:
    """All numbers."""
    sizes = asdict(report.sizes) | {"bytes_per_picture": report.sizes.bytes_per_picture}
    return asdict(report) | {"sizes": sizes}


def copy_markdown(report: CopyReport) -> str:
    """The table of the steps."""
    pictures, whole = report.sizes.pictures, sum(report.seconds.values())
    lines = [
        f"{pictures:,} pictures in {report.leaves} leaves by COPY in {whole / 60:.1f} minutes. Checked: every row's "
        f"leaf, box and locator, all sums, indexes, neighbours; {report.compared:,} pictures over HTTP.",
        "",
        "| step | seconds | pictures/s |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {spent:.1f} | {pictures / spent:,.0f} |" for name, spent in report.seconds.items()]
    lines.append(f"| all | {whole:.1f} | {pictures / whole:,.0f} |")
    return "\n".join(lines) + "\n"

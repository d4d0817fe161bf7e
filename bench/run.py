"""The measurements of the project, one command each; results go to .bench/ as JSON, tables to the terminal.

python -m bench.run harvest --items 100000 [--leaf-max 1000]
python -m bench.run api --items 1000000      what the last harvest of that size stored, beside the peer
python -m bench.run all                      100 k and 1 M, many leaves, side by side, growth
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.cache import default_directory
from bench.harvest import measure_harvest, source_running
from bench.http_load import LoadPlan, Result, markdown, run, targets_of
from bench.peer import PeerConfig, down, up
from bench.plan import Dataset, DatasetSpec
from bench.product import Product, serving
from bench.report import harvest_json, harvest_markdown, write_report

SMALL, LARGE = 100_000, 1_000_000
MANY_LEAVES_MAX = 1_000
PORT = 15_500


def _spec(options: argparse.Namespace) -> DatasetSpec:
    return DatasetSpec(
        items=options.items, instances=options.instances, seed=options.seed, long_sequence=options.long_sequence
    )


def _product(options: argparse.Namespace, spec: DatasetSpec) -> Product:
    """The installation for this data set; it stays after a harvest, for `api` to serve."""
    settings = dict(setting.split("=", 1) for setting in options.set)
    if options.leaf_max:
        settings["leaf_max_pictures"] = str(options.leaf_max)
    name = f"catalog-{spec.items}-{spec.instances}" + (f"-leaf{options.leaf_max}" if options.leaf_max else "")
    ports = tuple(options.port + n for n in range(spec.instances))
    return Product(directory=options.directory / name, ports=ports, port=options.port + 100, settings=settings)


def harvest(options: argparse.Namespace) -> None:
    """An empty catalog harvests everything; sizes; an idle visit; a visit after edits."""
    spec = _spec(options)
    product = _product(options, spec)
    product.cluster.remove()
    shutil.rmtree(product.directory, ignore_errors=True)
    product.directory.mkdir(parents=True)
    try:
        with source_running(spec, options.port, product.directory / "source.log", compress=options.gzip):
            report = measure_harvest(product, spec)
    finally:
        product.cluster.stop()
    sys.stdout.write(harvest_markdown(report))
    name = f"harvest-{spec.items}" + (f"-leaf{options.leaf_max}" if options.leaf_max else "")
    sys.stdout.write(f"{write_report(options.output, name, harvest_json(report))}\n")


def api(options: argparse.Namespace) -> list[Result]:
    """Serve what a harvest of this size stored, with one worker, and measure it; with --peer beside the peer."""
    spec = _spec(options)
    product = _product(options, spec)
    if not product.directory.exists():
        raise SystemExit(f"Nothing to serve in {product.directory}: run `harvest --items {spec.items}` first")
    peer = PeerConfig(directory=options.directory / "peer", spec=spec, port=options.port + 112, lean=options.lean)
    peer.directory.mkdir(parents=True, exist_ok=True)
    state = up(peer) if options.peer else {}
    product.cluster.ensure_running()
    try:
        with serving(product) as root:
            targets = targets_of(root, str(state["url"]) if state else None)
            results = run(LoadPlan(targets=targets, rounds=options.rounds, seconds=options.seconds), Dataset(spec))
    finally:
        product.cluster.stop()
        if options.peer:
            down(peer)
    sys.stdout.write(markdown(results))
    body = {"spec": asdict(spec), "peer": state, "results": [asdict(result) for result in results]}
    sys.stdout.write(f"{write_report(options.output, f'api-{spec.items}', body)}\n")
    return results


def growth(small: Sequence[Result], large: Sequence[Result]) -> str:
    """How much slower each class is on the large catalog: a table of ratios, above 1 is slower."""
    before = {(r.name, r.concurrency): r.measure.per_second for r in small if r.target == "panofed"}
    lines = ["| class | connections | small req/s | large req/s | slower by |", "|---|---|---|---|---|"]
    for result in large:
        rate = before.get((result.name, result.concurrency))
        if result.target == "panofed" and rate:
            ratio = rate / max(result.measure.per_second, 1e-9)
            words = [result.name, str(result.concurrency), f"{rate:.0f}", f"{result.measure.per_second:.0f}"]
            lines.append(f"| {' | '.join(words)} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def everything(options: argparse.Namespace) -> None:
    """Both sizes, many leaves, the long sequence, side by side at the large size, growth between the two."""

    def changed(**values: object) -> argparse.Namespace:
        return argparse.Namespace(**{**vars(options), **values})

    harvest(changed(items=SMALL))
    harvest(changed(items=SMALL, leaf_max=options.leaf_max or MANY_LEAVES_MAX))
    small = api(changed(items=SMALL, peer=False))
    harvest(changed(items=LARGE))
    large = api(changed(items=LARGE, peer=True))
    sys.stdout.write(growth(small, large))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("what", choices=["harvest", "api", "all"])
    parser.add_argument("--items", type=int, default=SMALL)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-sequence", action="store_true", help="one more sequence, of 50,000 pictures")
    parser.add_argument("--leaf-max", type=int, default=0, help="pictures per leaf before it splits (0: the default)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, without PANOFED_")
    parser.add_argument("--gzip", action="store_true", help="the instances compress, as real ones do")
    parser.add_argument("--peer", action="store_true", help="api: measure stac-fastapi-pgstac beside ours")
    parser.add_argument("--lean", action="store_true", help="api: the peer's items carry no EXIF and no links")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--port", type=int, default=PORT, help="of the first instance; the catalog is at port + 100")
    parser.add_argument("--directory", type=Path, default=default_directory(), help="where data is kept")
    parser.add_argument("--output", type=Path, default=Path(".bench"), help="where results are written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run one measurement."""
    options = _arguments(words)
    actions: dict[str, Callable[[argparse.Namespace], object]] = {"harvest": harvest, "api": api, "all": everything}
    actions[options.what](options)


if __name__ == "__main__":
    main()

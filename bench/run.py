"""The measurements of the project, one command each; results go to .bench/ as JSON, tables to the terminal.

python -m bench.run harvest --items 100000 [--leaf-max 1000]
python -m bench.run api --items 1000000      what the last harvest of that size stored, beside the peer
python -m bench.run copy --items 20000000    a catalog filled by COPY; then `cold` and `api --bulk` of that size
python -m bench.run counts                   what recording counts costs four writers in one city
python -m bench.run stages                   every stage of the harvester by itself
python -m bench.run visits                   passes over 25 instances: nothing new; 150 edited sequences of 25 pictures
python -m bench.run real                     the same over a real GeoVisio instance, polite and not
python -m bench.run fresh                    how soon a change on a real instance is served
python -m bench.run workers --items 12000    a first crawl of one slow instance by 1, 2 and 4 workers
python -m bench.run resume --items 1000000   a first crawl that is killed in the middle, and what that cost
python -m bench.run tiles                    tiles of a world of 262,000 hexagons, 500,000 sequences
python -m bench.run endurance --items 1000000 --seconds 3600    the memory of a worker of the catalog
python -m bench.run all                      all but the 20 million: 100 k and 1 M, many leaves, side by side, growth
python -m bench.run docs                     the tables of docs/benchmarks.md, from the newest results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from bench import workers as workers_bench
from bench.cache import default_directory
from bench.cold import cold_markdown, measure_cold
from bench.copied import copy_json, copy_markdown, measure_copy
from bench.counts import counts_markdown, measure_counts
from bench.document import write_tables
from bench.endurance import endurance_markdown, measure_endurance
from bench.floor import load, serving_floor
from bench.fresh import fresh_markdown, measure_fresh
from bench.harvest import measure_harvest, source_running
from bench.http_load import CONCURRENCY, LoadPlan, Result, growth, markdown, run, targets_of
from bench.installations import existing, make_empty, product_of, scratch_of, spec_of, suffix_of
from bench.peer import PeerConfig, down, up
from bench.plan import Dataset
from bench.product import serving
from bench.real import measure_real
from bench.report import harvest_json, harvest_markdown, sizes_markdown, write_report
from bench.requests import CLASSES
from bench.stages import measure_stages, stages_markdown
from bench.tiles import measure_tiles, tiles_markdown
from bench.visits import measure_resume, measure_visits, resume_markdown, visits_markdown

SMALL, LARGE = 100_000, 1_000_000
MANY_LEAVES_MAX = 1_000
COUNTS_PICTURES = 6_000
INSTANCES, FEDERATION = 3, 25
PORT = 15_500


def _keep(options: argparse.Namespace, name: str, tables: str, body: object) -> None:
    """Show the tables, write the numbers."""
    sys.stdout.write(f"{tables}\n{write_report(options.output, name, body)}\n")


def harvest(options: argparse.Namespace) -> None:
    """An empty catalog harvests everything; sizes; an idle visit; a visit after edits."""
    spec, product = spec_of(options), product_of(options)
    make_empty(product)
    try:
        with source_running(spec, options.port, product.directory / "source.log", compress=options.gzip):
            report = measure_harvest(product, spec)
    finally:
        product.cluster.stop()
    _keep(options, f"harvest-{spec.items}{suffix_of(options)}", harvest_markdown(report), harvest_json(report))


def api(options: argparse.Namespace) -> list[Result]:
    """Serve what a harvest (or a copy) of this size stored; with --peer and --floor beside those."""
    spec = spec_of(options)
    product = existing(product_of(options), f"{'copy' if options.bulk else 'harvest'} --items {spec.items}")
    product = replace(product, settings={**product.settings, "workers": str(options.workers)})
    peer = PeerConfig(
        directory=options.directory / "peer",
        spec=spec,
        port=options.port + 112,
        lean=options.lean,
        workers=options.workers,
    )
    listing = replace(peer, listing=True, port=options.port + 113)
    peer.directory.mkdir(parents=True, exist_ok=True)
    state: dict[str, object] = {}
    product.cluster.ensure_running()
    with ExitStack() as stack:
        stack.callback(product.cluster.stop)
        urls: dict[str, str] = {}
        if options.peer:
            stack.callback(down, peer)
            state = up(peer)
            stack.callback(down, listing, database=False)
            urls = {"peer": str(state["url"]), "peer_collections": str(up(listing)["url"])}
        if options.floor:
            load(product, Dataset(spec))
            urls["floor"] = stack.enter_context(
                serving_floor(product, Dataset(spec), options.port + 114, workers=options.workers)
            )
        root = stack.enter_context(serving(product))
        targets = targets_of(
            root, urls.get("peer"), peer_collections=urls.get("peer_collections"), floor=urls.get("floor")
        )
        plan = LoadPlan(
            targets=targets,
            classes=options.classes,
            concurrency=options.connections,
            rounds=options.rounds,
            seconds=options.seconds,
        )
        results = run(plan, Dataset(spec))
    measured = [asdict(result) for result in results]
    body = {"spec": asdict(spec), "settings": dict(product.settings), "peer": state, "results": measured}
    workers = f"-workers{options.workers}" if options.workers > 1 else ""
    _keep(options, f"api-{spec.items}{suffix_of(options)}{workers}", markdown(results), body)
    return results


def copy(options: argparse.Namespace) -> None:
    """Fill a new catalog by COPY, check it, measure its sizes."""
    changed = _changed(options, bulk=True)
    report = measure_copy(product_of(changed), spec_of(options))
    tables = copy_markdown(report) + "\n" + sizes_markdown(report.sizes)
    _keep(options, f"copy-{options.items}{suffix_of(options)}", tables, copy_json(report))


def cold(options: argparse.Namespace) -> None:
    """The first requests after a start, of what `copy` stored."""
    product = existing(product_of(_changed(options, bulk=True)), f"copy --items {options.items}")
    classes, resident = measure_cold(product, Dataset(spec_of(options)))
    body = {"settings": dict(product.settings), "classes": [asdict(one) for one in classes], "resident_bytes": resident}
    _keep(options, f"cold-{options.items}{suffix_of(options)}", cold_markdown(classes, resident), body)


def counts(options: argparse.Namespace) -> None:
    """What recording counts costs four writers in one city."""
    report = measure_counts(scratch_of(options, "counts"), COUNTS_PICTURES, 2 * options.rounds)
    _keep(options, "counts", counts_markdown(report), asdict(report))


def stages(options: argparse.Namespace) -> None:
    """Every stage of the harvester by itself."""
    measured = measure_stages(scratch_of(options, "stages"), Dataset(spec_of(options)))
    _keep(options, "stages", stages_markdown(measured), {"stages": [asdict(one) for one in measured]})


def visits(options: argparse.Namespace) -> None:
    """Passes of a harvester that runs already: nothing new on 25 instances, then 150 edited sequences."""
    spec = replace(spec_of(options), instances=options.instances if options.instances != INSTANCES else FEDERATION)
    product = replace(
        product_of(options),
        directory=options.directory / "visits",
        ports=tuple(options.port + n for n in range(spec.instances)),
    )
    make_empty(product)
    try:
        with source_running(spec, options.port, product.directory / "source.log", compress=options.gzip):
            measured = measure_visits(product, spec)
    finally:
        product.cluster.stop()
    body = {"spec": asdict(spec), "settings": dict(product.settings), "passes": [asdict(one) for one in measured]}
    _keep(options, "visits", visits_markdown(measured, spec.instances), body)


def real(options: argparse.Namespace) -> None:
    """Passes over a real instance: nothing new, then 150 edited sequences of 25 pictures."""
    product = scratch_of(options, "real")
    try:
        measured = measure_real(product, options.directory)
    finally:
        product.cluster.stop()
    body = {"spec": {"instances": 1}, "settings": {}, "passes": [asdict(one) for one in measured]}
    _keep(options, "real", visits_markdown(measured, 1), body)


def fresh(options: argparse.Namespace) -> None:
    """How soon changes on a real instance are served, at the default pace."""
    product = scratch_of(options, "fresh")
    try:
        measured = measure_fresh(product, options.directory)
    finally:
        product.cluster.stop()
    _keep(options, "fresh", fresh_markdown(measured), {"ways": [asdict(one) for one in measured]})


def resume(options: argparse.Namespace) -> None:
    """A first crawl that is killed and gone on with."""
    spec, product = spec_of(options), replace(product_of(options), directory=options.directory / "resume")
    make_empty(product)
    try:
        with source_running(spec, options.port, product.directory / "source.log", compress=options.gzip):
            resumed = measure_resume(product, spec)
    finally:
        product.cluster.stop()
    _keep(options, f"resume-{spec.items}", resume_markdown(resumed), asdict(resumed))


def workers(options: argparse.Namespace) -> None:
    """A first crawl of one instance that takes 200 ms an answer, by 1, 2 and 4 workers."""
    spec = replace(spec_of(options), instances=1)
    product = product_of(options)
    settings = {**product.settings, **workers_bench.SETTINGS}
    product = replace(product, directory=options.directory / "workers", ports=(options.port,), settings=settings)
    measured = workers_bench.measure_workers(product, spec, options.port)
    body = {"spec": asdict(spec), "settings": settings, "crawls": [asdict(one) for one in measured]}
    _keep(options, "workers", workers_bench.workers_markdown(measured), body)


def tiles(options: argparse.Namespace) -> None:
    """Cold tiles by zoom, kept ones and 304 under load, the densest beside raw SQL. The world stays."""
    product = product_of(options)
    product = replace(product, directory=options.directory / "tiles", ports=(options.port,))
    product.directory.mkdir(parents=True, exist_ok=True)
    try:
        report = measure_tiles(product)
    finally:
        product.cluster.stop()
    _keep(options, "tiles", tiles_markdown(report), asdict(report))


def endurance(options: argparse.Namespace) -> None:
    """The memory of a worker of the catalog: fresh, during the largest answers, after a long time of load."""
    spec = spec_of(options)
    product = existing(product_of(options), f"harvest --items {options.items}")
    report = measure_endurance(product, Dataset(spec), options.seconds)
    _keep(options, f"endurance-{spec.items}", endurance_markdown(report), asdict(report))


def docs(options: argparse.Namespace) -> None:
    """Write the tables of docs/benchmarks.md from the newest results."""
    sys.stdout.write(write_tables(options.page, options.output))


def everything(options: argparse.Namespace) -> None:
    """Both sizes, many leaves, the long sequence, side by side at the large size, growth between the two."""
    harvest(_changed(options, items=SMALL))
    many = _changed(options, items=SMALL, leaf_max=options.leaf_max or MANY_LEAVES_MAX)
    harvest(many)
    api(_changed(many, peer=False))
    harvest(_changed(options, items=SMALL, long_sequence=True))
    small = api(_changed(options, items=SMALL, peer=False))
    harvest(_changed(options, items=LARGE))
    large = api(_changed(options, items=LARGE, peer=True, floor=True))
    sys.stdout.write(growth(small, large))
    stages(_changed(options, items=SMALL))
    visits(_changed(options, items=SMALL))
    real(options)
    resume(_changed(options, items=SMALL))
    counts(options)
    tiles(options)


def _changed(options: argparse.Namespace, **values: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **values})


ACTIONS: dict[str, Callable[[argparse.Namespace], object]] = {
    "harvest": harvest,
    "api": api,
    "copy": copy,
    "cold": cold,
    "counts": counts,
    "stages": stages,
    "visits": visits,
    "real": real,
    "fresh": fresh,
    "resume": resume,
    "workers": workers,
    "tiles": tiles,
    "all": everything,
    "endurance": endurance,
    "docs": docs,
}


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=list(ACTIONS))
    parser.add_argument("--items", type=int, default=SMALL)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-sequence", action="store_true", help="one more sequence, of 50,000 pictures")
    parser.add_argument("--leaf-max", type=int, default=0, help="pictures per leaf before it splits (0: the default)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, without PANOFED_")
    parser.add_argument("--gzip", action="store_true", help="the instances compress, as real ones do")
    parser.add_argument("--bulk", action="store_true", help="api: of what `copy` stored, not `harvest`")
    parser.add_argument("--peer", action="store_true", help="api: measure stac-fastapi-pgstac beside ours")
    parser.add_argument("--floor", action="store_true", help="api: measure a bare handler of stored text beside ours")
    parser.add_argument("--workers", type=int, default=1, help="api: processes of every server")
    parser.add_argument(
        "--classes",
        type=lambda text: tuple(text.split(",")),
        default=CLASSES,
        help="api: only these, with commas between",
    )
    parser.add_argument(
        "--connections",
        type=lambda text: tuple(int(number) for number in text.split(",")),
        default=CONCURRENCY,
        help="api: how many clients at a time, with commas between",
    )
    parser.add_argument("--lean", action="store_true", help="api: the peer's items carry no EXIF and no links")
    parser.add_argument("--rounds", type=int, default=3, help="api: of all servers in turns; counts: half of each kind")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--port", type=int, default=PORT, help="of the first instance; the catalog is at port + 100")
    parser.add_argument("--directory", type=Path, default=default_directory(), help="where data is kept")
    parser.add_argument("--output", type=Path, default=Path(".bench"), help="where results are written")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="docs: the page with the tables")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run one measurement."""
    options = _arguments(words)
    ACTIONS[options.what](options)


if __name__ == "__main__":
    main()

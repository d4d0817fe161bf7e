"""Measure catalogs side by side on the same pictures: request rate and latency per class and concurrency.

    python -m bench.http_load --items 1000000 --instances 3 --ours http://127.0.0.1:8080/api --peer http://127.0.0.1:15612

Nothing is timed before both were seen to answer the same pictures. With one server only, that one is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.floor import CLASSES as FLOOR_CLASSES
from bench.load import Measure, has_wrk, measure
from bench.plan import Dataset, DatasetSpec
from bench.requests import CLASSES, LoadRequest, requests_of, samples_of
from bench.verify import AnswersDifferError, Target, further_on, verify

CONCURRENCY = (1, 8, 32)
OURS = "panofed"
PEER = "stac-fastapi-pgstac"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What is measured, how long and how often."""

    targets: tuple[Target, ...]
    classes: tuple[str, ...] = CLASSES
    concurrency: tuple[int, ...] = CONCURRENCY
    rounds: int = 3
    seconds: float = 3.0
    distinct: int = 300
    checks: int = 25
    own_client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The median measurement of one class at one concurrency on one server."""

    name: str
    concurrency: int
    target: str
    pictures: float
    measure: Measure


#: Requests nobody counts, before those of a class.
_WARMING_S = 2.0


def median_of(measures: Sequence[Measure]) -> Measure:
    """The median of each number; failures are summed."""
    return Measure(
        requests=sum(one.requests for one in measures),
        per_second=statistics.median(one.per_second for one in measures),
        p50_ms=statistics.median(one.p50_ms for one in measures),
        p95_ms=statistics.median(one.p95_ms for one in measures),
        mean_bytes=statistics.median(one.mean_bytes for one in measures),
        failed=sum(one.failed for one in measures),
    )


def _able(plan: LoadPlan, name: str) -> list[Target]:
    return [target for target in plan.targets if target.classes is None or name in target.classes]


def measure_class(plan: LoadPlan, name: str, by_target: list[list[LoadRequest]], pictures: float) -> list[Result]:
    """Measure one class on every server, taking turns within each round so that noise hits all alike."""
    taken: dict[tuple[int, str], list[Measure]] = {}
    targets = _able(plan, name)

    def one(target: Target, requests: list[LoadRequest], concurrency: int, seconds: float) -> Measure:
        paths = [request.path for request in requests]
        return measure(target.root_of(name), paths, concurrency=concurrency, seconds=seconds, own=plan.own_client)

    for target, requests in zip(targets, by_target, strict=True):
        for concurrency in plan.concurrency:
            # caches warm, plans made, by each of the connections to the database that will be used
            one(target, requests, concurrency, min(_WARMING_S, plan.seconds))
    for _ in range(plan.rounds):
        for concurrency in plan.concurrency:
            for target, requests in zip(targets, by_target, strict=True):
                taken.setdefault((concurrency, target.name), []).append(
                    one(target, requests, concurrency, plan.seconds)
                )
    return [
        Result(name=name, concurrency=c, target=t, pictures=pictures, measure=median_of(measures))
        for (c, t), measures in taken.items()
    ]


def run(plan: LoadPlan, dataset: Dataset) -> list[Result]:
    """Verify every class, then measure every class; AnswersDifferError before the first timing if anything differs."""
    samples = samples_of(dataset, plan.distinct)
    prepared: dict[str, tuple[list[list[LoadRequest]], float]] = {}
    for name in plan.classes:
        targets = _able(plan, name)
        by_target = [requests_of(name, samples, target.layout) for target in targets]
        pictures = verify(targets, by_target, plan.checks)
        further = [
            [further_on(target, request) for request in requests]
            for target, requests in zip(targets, by_target, strict=True)
        ]
        prepared[name] = further, pictures
    results: list[Result] = []
    for name, (by_target, pictures) in prepared.items():
        results += measure_class(plan, name, by_target, pictures)
    return results


def markdown(results: Sequence[Result]) -> str:
    """A table with a row per class and concurrency; beside the rates, how the first server stands to the others."""
    targets = list(dict.fromkeys(result.target for result in results))
    cells = {(r.name, r.concurrency, r.target): r for r in results}
    head = ["class", "connections", "pictures", *(f"{t}: req/s (p50 / p95 ms)" for t in targets)]
    head += [f"against {target}: rate, p95" for target in targets[1:]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, concurrency in dict.fromkeys((r.name, r.concurrency) for r in results):
        row = [cells.get((name, concurrency, target)) for target in targets]
        words = [name, str(concurrency), f"{row[0].pictures:.0f}" if row[0] else "", *map(_cell, row)]
        words += [_against(row[0], other) for other in row[1:]]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def _against(ours: Result | None, other: Result | None) -> str:
    """How many times the rate, and which part of the 95th percentile."""
    if ours is None or other is None:
        return ""
    if not other.measure.requests:
        return "it gave no answer in time"
    rate = ours.measure.per_second / max(other.measure.per_second, 1e-9)
    return f"{rate:.2f}x, {ours.measure.p95_ms / max(other.measure.p95_ms, 1e-9):.2f}"


def growth(small: Sequence[Result], large: Sequence[Result]) -> str:
    """How much slower each class is on the large catalog: a table of ratios, above 1 is slower."""
    before = {(r.name, r.concurrency): r.measure.per_second for r in small if r.target == OURS}
    lines = ["| class | connections | small req/s | large req/s | slower by |", "|---|---|---|---|---|"]
    for result in large:
        rate = before.get((result.name, result.concurrency))
        if result.target == OURS and rate:
            ratio = rate / max(result.measure.per_second, 1e-9)
            words = [result.name, str(result.concurrency), f"{rate:.0f}", f"{result.measure.per_second:.0f}"]
            lines.append(f"| {' | '.join(words)} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def _cell(result: Result | None) -> str:
    if result is None:
        return ""
    one = result.measure
    failed = f", {one.failed} failed" if one.failed else ""
    return f"{one.per_second:.0f} ({one.p50_ms:.2f} / {one.p95_ms:.2f}{failed})"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    unknown = set(text.split(",")) - set(CLASSES)
    if unknown:
        raise argparse.ArgumentTypeError(f"no class {', '.join(sorted(unknown))}; there are {', '.join(CLASSES)}")
    return tuple(text.split(","))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.http_load", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-sequence", action="store_true")
    parser.add_argument("--ours", help="API root, a collection per sequence")
    parser.add_argument("--peer", help="API root, a collection per instance")
    parser.add_argument("--classes", type=_names, default=CLASSES)
    parser.add_argument("--concurrency", type=_numbers, default=CONCURRENCY)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--distinct", type=int, default=300, help="different requests per class")
    parser.add_argument("--checks", type=int, default=25, help="requests compared per class before timing")
    parser.add_argument("--own-client", action="store_true", help="do not use wrk")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args(words)
    if not options.ours and not options.peer:
        parser.error("give --ours, --peer or both")
    return options


def targets_of(
    ours: str | None, peer: str | None, *, peer_collections: str | None = None, floor: str | None = None
) -> tuple[Target, ...]:
    """The servers to measure, ours first. `peer_collections` is the peer with one collection per sequence."""
    there = {"collections_l100": peer_collections} if peer_collections else {}
    # without it the peer has three collections, which say nothing of a list of thousands
    unlike = () if peer_collections else ("collections_l100",)
    peer_classes = tuple(name for name in CLASSES if name not in unlike)
    given: Iterable[Target | None] = (
        Target(name=OURS, root=ours.rstrip("/"), layout="sequence") if ours else None,
        Target(name=PEER, root=peer.rstrip("/"), layout="instance", elsewhere=there, classes=peer_classes)
        if peer
        else None,
        Target(name="floor", root=floor, layout="sequence", classes=FLOOR_CLASSES) if floor else None,
    )
    return tuple(target for target in given if target is not None)


def write_json(path: Path, results: Sequence[Result], dataset: Dataset, *, own_client: bool) -> None:
    """All numbers, with the date and the machine."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "client": "wrk" if has_wrk() and not own_client else "own",
        "dataset": asdict(dataset.spec),
        "results": [asdict(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def main(words: Sequence[str] | None = None) -> None:
    """Verify, measure, print the table."""
    options = _arguments(words)
    dataset = Dataset(
        DatasetSpec(
            items=options.items, instances=options.instances, seed=options.seed, long_sequence=options.long_sequence
        )
    )
    plan = LoadPlan(
        targets=targets_of(options.ours, options.peer),
        classes=options.classes,
        concurrency=options.concurrency,
        rounds=options.rounds,
        seconds=options.seconds,
        distinct=options.distinct,
        checks=options.checks,
        own_client=options.own_client,
    )
    try:
        results = run(plan, dataset)
    except AnswersDifferError as error:
        raise SystemExit(f"Not measured: {error}") from error
    sys.stdout.write(markdown(results))
    if options.json:
        write_json(options.json, results, dataset, own_client=options.own_client)


if __name__ == "__main__":
    main()

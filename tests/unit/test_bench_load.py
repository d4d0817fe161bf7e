"""The load client: it counts what a server answers, and refuses to time servers that answer different pictures."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.http_load import LoadPlan, Result, growth, markdown, median_of, run
from bench.load import Measure, measure
from bench.meter import run_measured, server_cpu_s
from bench.pictures import pictures_of
from bench.plan import Dataset, DatasetSpec
from bench.requests import CLASSES, box_around, requests_of, samples_of
from bench.verify import AnswersDifferError, Target, pictures_in

DATASET = Dataset(DatasetSpec(items=3_000))
Positions = dict[str, tuple[float, float]]


def all_pictures() -> Positions:
    found: Positions = {}
    for plan in DATASET.sequences():
        pictures = pictures_of(plan)
        found |= dict(zip(pictures.ids, zip(pictures.lon.tolist(), pictures.lat.tolist(), strict=True), strict=True))
    return found


def feature(picture: str, at: tuple[float, float]) -> dict[str, object]:
    return {"type": "Feature", "id": picture, "geometry": {"type": "Point", "coordinates": list(at)}}


def answer_of(pictures: Positions, target: str) -> dict[str, object]:
    """What a small but right catalog answers."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path == "/":
        return {"type": "Catalog"}
    if "/items/" in parts.path:
        picture = parts.path.rpartition("/")[2]
        return feature(picture, pictures[picture])
    found = {query["ids"]} & set(pictures) if "ids" in query else set(pictures)
    if "bbox" in query:
        west, south, east, north = map(float, query["bbox"].split(","))
        found = {p for p in found if west <= pictures[p][0] <= east and south <= pictures[p][1] <= north}
    kept = sorted(found)[: int(query.get("limit", "10"))]
    return {"type": "FeatureCollection", "features": [feature(p, pictures[p]) for p in kept]}


@pytest.fixture
def start() -> Iterator[Callable[[Positions], str]]:
    servers: list[ThreadingHTTPServer] = []

    def serve(pictures: Positions) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps(answer_of(pictures, self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                """Keep the terminal clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def plan_for(*roots: str, classes: tuple[str, ...] = CLASSES) -> LoadPlan:
    targets = tuple(Target(name=f"server {n}", root=root, layout="sequence") for n, root in enumerate(roots))
    return LoadPlan(
        targets=targets,
        classes=classes,
        concurrency=(2,),
        rounds=1,
        seconds=0.05,
        distinct=12,
        checks=12,
        own_client=True,
    )


@pytest.mark.parametrize("name", CLASSES)
def test_both_layouts_ask_for_the_same_pictures(name: str) -> None:
    samples = samples_of(DATASET, 20)
    sequence, instance = (requests_of(name, samples, layout) for layout in ("sequence", "instance"))
    assert [r.path.rpartition("/")[2] for r in sequence] == [r.path.rpartition("/")[2] for r in instance]
    assert [r.box for r in sequence] == [r.box for r in instance]


def test_samples_are_pictures_of_the_data_set() -> None:
    known = all_pictures()
    samples = samples_of(DATASET, 20)
    assert samples == samples_of(DATASET, 20)
    assert all(known[sample.id] == (sample.lon, sample.lat) for sample in samples)


def test_a_box_stays_on_the_globe() -> None:
    assert box_around(179.9995, 89.9999, (0.001, 0.0007)) == (179.9985, 89.9992, 180.0, 90.0)


def test_equal_servers_are_measured(start: Callable[[Positions], str]) -> None:
    results = run(
        plan_for(start(all_pictures()), start(all_pictures()), classes=("item_by_id", "bbox_block_l10")), DATASET
    )
    assert [(r.name, r.target) for r in results] == [
        (name, target) for name in ("item_by_id", "bbox_block_l10") for target in ("server 0", "server 1")
    ]
    assert all(r.measure.requests > 0 and r.measure.failed == 0 for r in results)


@pytest.mark.parametrize("name", ["item_by_id", "bbox_block_l10", "bbox_block_l100"])
def test_a_moved_picture_stops_the_measurement(name: str, start: Callable[[Positions], str]) -> None:
    moved = {picture: (lon, lat + 1e-6) for picture, (lon, lat) in all_pictures().items()}
    with pytest.raises(AnswersDifferError, match="different answers"):
        run(plan_for(start(all_pictures()), start(moved), classes=(name,)), DATASET)


def test_a_missing_picture_is_found_behind_a_full_page(start: Callable[[Positions], str]) -> None:
    fewer = all_pictures()
    samples = samples_of(DATASET, 12)
    for sample in samples:
        del fewer[sample.id]
    with pytest.raises(AnswersDifferError):
        run(plan_for(start(all_pictures()), start(fewer), classes=("bbox_block_l10",)), DATASET)


def test_a_server_that_does_not_answer_stops_the_measurement(start: Callable[[Positions], str]) -> None:
    with pytest.raises(AnswersDifferError, match=r"http://127\.0\.0\.1:1/"):
        run(plan_for(start(all_pictures()), "http://127.0.0.1:1", classes=("landing",)), DATASET)


def test_a_landing_page_holds_no_pictures() -> None:
    assert pictures_in({"type": "Catalog"}) == {}


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_gives_the_same_kind_of_numbers(start: Callable[[Positions], str]) -> None:
    result = measure(start(all_pictures()), ["/", "/search?limit=3"], concurrency=2, seconds=1)
    assert result.requests > 10
    assert result.failed == 0
    assert 0 < result.p50_ms <= result.p95_ms < 1_000


def one_measure(per_second: float) -> Measure:
    return Measure(requests=10, per_second=per_second, p50_ms=1.0, p95_ms=2.0, mean_bytes=10.0, failed=0)


def test_the_median_is_reported_and_requests_are_summed() -> None:
    median = median_of([one_measure(rate) for rate in (1.0, 100.0, 3.0)])
    assert (median.per_second, median.requests) == (3.0, 30)


def test_the_table_shows_how_the_first_stands_to_the_others_and_what_one_cannot_answer() -> None:
    rows = [
        Result(name="item_by_id", concurrency=8, target=target, pictures=1, measure=one_measure(rate))
        for target, rate in (("panofed", 500.0), ("peer", 50.0))
    ]
    rows.append(Result(name="landing", concurrency=8, target="panofed", pictures=0, measure=one_measure(900.0)))
    assert markdown(rows).splitlines()[-2:] == [
        "| item_by_id | 8 | 1 | 500 (1.00 / 2.00) | 50 (1.00 / 2.00) | 10.00x, 1.00 |",
        "| landing | 8 | 0 | 900 (1.00 / 2.00) |  |  |",
    ]


def test_growth_compares_the_same_class_and_concurrency() -> None:
    def result(rate: float) -> Result:
        return Result(name="landing", concurrency=1, target="panofed", pictures=0, measure=one_measure(rate))

    assert growth([result(120.0)], [result(100.0)]).splitlines()[-1] == "| landing | 1 | 120 | 100 | 1.20 |"


def test_a_program_is_charged_for_its_children(tmp_path: Path) -> None:
    burn = "import time; e = time.process_time() + 0.3\nwhile time.process_time() < e: pass"
    run_burn = f"subprocess.run([sys.executable, '-c', {burn!r}])"
    script = f"import subprocess, sys; memory = bytearray(80_000_000); {run_burn}; sys.exit(3)"
    cost = run_measured([sys.executable, "-c", script], {}, tmp_path / "log")
    assert cost.exit_code == 3
    assert cost.cpu_s >= 0.3
    assert cost.peak_rss_bytes > 80_000_000


def test_the_processor_time_of_a_server_is_counted() -> None:
    before = server_cpu_s(os.getpid())
    sum(range(10_000_000))
    assert server_cpu_s(os.getpid()) > before

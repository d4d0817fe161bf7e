"""Health: liveness, readiness with reasons, metrics of all workers, logs with request ids, an end that drops nobody."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalog_api.edge.tally import BOUNDS_S, Tally
from tests.catalog_factory import Factory, Serving, line
from tests.integration.catalog.test_catalog_serve import free_port, is_live, workers
from tests.origin import eventually

_PROGRAM = """
import sys, json
from catalog_api.serve import serve
from federation.settings import load_settings
from panofed.logs import configure_logs
if __name__ == "__main__":
    serve(load_settings(port=int(sys.argv[1]), **json.loads(sys.argv[3])), sys.argv[2], configure_logs)
"""


@contextmanager
def running(database: str, folder: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    port, script, log = free_port(), folder / "program.py", folder / "log"
    script.write_text(_PROGRAM)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, str(script), str(port), database, json.dumps({"workers": 2} | settings)], stderr=stderr
        )
    try:
        yield process, f"http://127.0.0.1:{port}", log
    finally:
        process.kill()
        process.wait(10)


def figures(text: str) -> dict[str, float]:
    """Every sample of a page of metrics: `name{label="value",...}` to its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


async def test_ready_when_schema_leaves_and_database_are_there(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/ready")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.head("/api/ready")).status_code == 200


async def test_not_ready_without_a_migration_and_says_which(client: httpx2.AsyncClient, factory: Factory) -> None:
    await factory.connection.execute("DELETE FROM migrations WHERE name = '0001_initial'")
    answer = await client.get("/api/ready")
    assert answer.status_code == 503
    assert "0001_initial" in answer.json()["details"]["schema"]
    assert (await client.get("/api/live")).status_code == 200


async def test_not_ready_without_a_database(serving: Serving) -> None:
    async with serving(database_url="postgresql://nobody@127.0.0.1:1/nothing") as client:
        answer = await client.get("/api/ready")
        assert answer.status_code == 503
        assert set(answer.json()["details"]) == {"schema", "leaves"}
        assert int(answer.headers["retry-after"]) > 0


async def test_not_ready_while_the_pool_is_used_up(serving: Serving, factory: Factory) -> None:
    async with serving(pool_size=1) as client:
        await factory.connection.execute("BEGIN")
        await factory.connection.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        try:
            held = asyncio.create_task(client.get("/api/users"))
            await asyncio.sleep(0.2)
            answer = await client.get("/api/ready")
        finally:
            await factory.connection.execute("ROLLBACK")
        assert answer.status_code == 503
        assert "pool" in answer.json()["message"]
        assert (await held).status_code == 200


# metrics


async def test_metrics_count_answers_by_route_and_status(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3))
    picture = next(iter(stored.items))
    await client.get(f"/api/pictures/{picture}")
    await client.get(f"/api/pictures/{picture}/")
    await client.get(f"/api/collections/{stored.id}/items/{picture}")
    await client.get("/api/pictures/nothing")
    await client.head("/api/conformance")
    await client.get("/nothing/" + "a" * 50)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = figures(answer.text)
    count = "panofed_request_duration_seconds_count"
    assert found[f'{count}{{method="GET",route="/api/pictures/{{picture}}",status="2xx"}}'] == 2
    assert found[f'{count}{{method="GET",route="/api/pictures/{{picture}}",status="4xx"}}'] == 1
    assert found[f'{count}{{method="GET",route="/api/collections/{{sequence}}/items/{{picture}}",status="2xx"}}'] == 1
    assert found[f'{count}{{method="HEAD",route="/api/conformance",status="2xx"}}'] == 1
    assert found[f'{count}{{method="GET",route="other",status="4xx"}}'] == 1
    assert found['panofed_answers_total{status="404"}'] == 2
    assert found['panofed_requests_in_flight{worker="0"}'] == 1
    assert found['panofed_pool_size{worker="0"}'] == 4
    assert found["panofed_database_up{}"] == 1
    assert found["panofed_index_leaves{}"] == 1
    assert picture not in answer.text and "aaaa" not in answer.text


async def test_metrics_tell_the_state_and_freshness_of_each_instance(
    client: httpx2.AsyncClient, factory: Factory
) -> None:
    n = await factory.instance("north")
    await factory.instance("south")
    await factory.connection.execute(
        "UPDATE instances SET last_success_at = now() - interval '100 s', failures = 2, state = 'braked' WHERE n = $1",
        n,
    )
    await factory.connection.execute(
        "INSERT INTO freshness (instance, day, le_s, changes) VALUES"
        " ($1, current_date, 30, 5), ($1, current_date, 60, 2), ($1, current_date - 40, 30, 100)",
        n,
    )
    found = figures((await client.get("/metrics")).text)
    assert found['panofed_instance_state{instance="north",state="braked"}'] == 1
    assert found['panofed_instance_state{instance="north",state="enabled"}'] == 0
    assert 100 <= found['panofed_instance_success_age_seconds{instance="north"}'] < 160
    assert found['panofed_instance_failures{instance="north"}'] == 2
    assert found['panofed_instance_changes_within_seconds{instance="north",le="30"}'] == 5
    assert found['panofed_instance_changes_within_seconds{instance="north",le="60"}'] == 7
    assert 'panofed_instance_success_age_seconds{instance="south"}' not in found


async def test_metrics_are_told_without_a_database(serving: Serving) -> None:
    async with serving(database_url="postgresql://nobody@127.0.0.1:1/nothing") as client:
        found = figures((await client.get("/metrics")).text)
        assert found["panofed_database_up{}"] == 0


async def test_metrics_are_for_this_machine_or_a_token(serving: Serving) -> None:
    async with serving(trusted_proxies="127.0.0.1") as client:
        assert (await client.get("/metrics")).status_code == 200
        for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
            assert (await client.get("/metrics", headers={name: "127.0.0.1"})).status_code == 403, name
    async with serving(metrics_token="s3cret") as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        for wrong in ("Bearer s3cre", "Bearer s3cret2", "s3cret", "Basic s3cret", ""):
            assert (await client.get("/metrics", headers={"authorization": wrong})).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer s3cret"})).status_code == 200


def test_figures_of_a_worker_outlive_it_and_never_shrink(tmp_path: Path) -> None:
    first, other = Tally(slot=0, folder=tmp_path), Tally(slot=1, folder=tmp_path)
    for status in (200, 200, 404):
        first.add("/api", "GET", status, 0.003)
    first.refuse("rate")
    first.share({"pool_size": 8})
    seen = other.share({})
    assert seen[0].latencies["/api GET 2"].counts[BOUNDS_S.index(0.005)] == 2
    successor = Tally(slot=0, folder=tmp_path)
    successor.add("/api", "GET", 200, 100.0)
    after = successor.share({})[0]
    assert after.latencies["/api GET 2"].counts[BOUNDS_S.index(0.005)] == 2
    assert after.latencies["/api GET 2"].counts[-1] == 1
    assert (after.statuses, after.refused) == ({"200": 3, "404": 1}, {"rate": 1})
    (tmp_path / "0.figures").write_bytes(b"\x00torn")
    assert set(other.share({})) == {1}


# the server as a whole


async def test_any_worker_tells_the_sum_of_all_and_a_killed_one_is_not_forgotten(database: str, tmp_path: Path) -> None:
    wanted = 'panofed_request_duration_seconds_count{method="GET",route="/api/conformance",status="2xx"}'
    with running(database, tmp_path) as (process, base, _):
        async with httpx2.AsyncClient(base_url=base) as client:
            assert await is_live(client, 15)
        for _ in range(20):
            # a connection each, so that both workers have some
            async with httpx2.AsyncClient(base_url=base) as client:
                assert (await client.get("/api/conformance")).status_code == 200
        await asyncio.sleep(1.3)  # workers share their figures every second
        for victim in (None, workers(process)[0]):
            if victim is not None:
                victim.kill()
                await asyncio.sleep(0.5)
            for _ in range(6):
                async with httpx2.AsyncClient(base_url=base) as client:
                    assert figures((await client.get("/metrics")).text)[wanted] == 20


async def _is_in(log: Path, text: str) -> bool:
    return text in await asyncio.to_thread(log.read_text)


async def test_logs_are_json_with_the_request_id_and_without_secrets(database: str, tmp_path: Path) -> None:
    with running(database, tmp_path, workers=1, access_log=True, metrics_token="hidden") as (_, base, log):
        async with httpx2.AsyncClient(base_url=base) as client:
            assert await is_live(client, 15)
            headers = {"x-request-id": "trace-7", "authorization": "Bearer hidden"}
            assert (await client.get("/metrics?key=hidden", headers=headers)).status_code == 200
        # the line is written when the answer has been sent
        await eventually(lambda: _is_in(log, "trace-7"))
        lines = [json.loads(each) for each in log.read_text().splitlines()]
        (mine,) = [each for each in lines if each.get("request_id") == "trace-7"]
        assert (mine["route"], mine["status"], mine["level"]) == ("/metrics", 200, "info")
        assert mine["duration_ms"] > 0
        assert "hidden" not in log.read_text()


async def test_it_finishes_what_it_serves_and_says_before_that_it_will_stop(
    database: str, tmp_path: Path, factory: Factory
) -> None:
    await factory.sequence(line(2.0, 48.0, 2_500, step_deg=0.0001))
    with running(database, tmp_path, workers=1, shutdown_notice_s=0.8, shutdown_s=20) as (process, base, _):
        async with httpx2.AsyncClient(base_url=base, timeout=30) as client:
            assert await is_live(client, 15)
            assert (await client.get("/api/ready")).status_code == 200
            params = {"bbox": "1,47,4,49", "limit": "10000"}
            async with client.stream("GET", "/api/search", params=params) as answer:
                pieces = answer.aiter_bytes()
                body = await anext(pieces)
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.4)
                ready = await client.get("/api/ready")
                assert ready.status_code == 503
                assert "stop" in ready.json()["message"]
                assert (await client.get("/api/live")).status_code == 200
                await asyncio.sleep(1.2)
                with pytest.raises(httpx2.ConnectError):
                    async with httpx2.AsyncClient(base_url=base) as late:
                        await late.get("/api/live")
                body += b"".join([piece async for piece in pieces])
            assert json.loads(body)["numberReturned"] == 2_500
        assert await asyncio.to_thread(process.wait, 15) == 0


async def test_what_does_not_end_in_time_is_cut_off(database: str, tmp_path: Path, factory: Factory) -> None:
    await factory.connection.execute("BEGIN")
    await factory.connection.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
    with running(database, tmp_path, workers=1, shutdown_s=1, statement_timeout_s=60) as (process, base, _):
        async with httpx2.AsyncClient(base_url=base, timeout=30) as client:
            assert await is_live(client, 15)
            held = asyncio.create_task(client.get("/api/users"))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0
            assert time.monotonic() - began < 8
            await asyncio.gather(held, return_exceptions=True)
    await factory.connection.execute("ROLLBACK")

"""Workers share one first crawl, keep to the instance's limits together, and lose nothing whichever of them goes."""

from __future__ import annotations

import asyncio
import signal
import sys

from panofed.services import settings_environment
from tests.integration.workers.conftest import Fleet


async def test_four_workers_share_a_crawl_and_keep_to_its_connections(fleet: Fleet) -> None:
    fleet.origin.fill(28)
    await fleet.start(4)
    await fleet.until_shared()
    await fleet.until_crawled()
    await fleet.check()
    assert 2 < fleet.origin.log.most_open <= 6
    (run,) = await fleet.admin.fetch("SELECT * FROM runs")
    assert (run["outcome"], run["pictures_seen"], run["sequences_changed"]) == ("done", 56, 28)
    # one row has the requests of all workers
    assert run["requests"] == len(fleet.origin.log.came)
    assert run["sequences_seen"] == 28


async def test_two_workers_keep_to_its_rate_together(fleet: Fleet) -> None:
    fleet.origin.fill(20)
    fleet.origin.delay_s = 0.05
    await fleet.start(2, instance_requests_per_s=20)
    await fleet.until_crawled()
    await fleet.check()
    came = fleet.origin.log.came
    assert len(came) > 30
    # turns are 50 ms apart; a request may be a bit late on its way and the next one not
    assert fleet.origin.log.most_within(1.0) <= 22
    assert came[-1] - came[0] >= (len(came) - 1) / 20 * 0.9


async def test_killed_workers_lose_nothing(fleet: Fleet) -> None:
    fleet.origin.fill(24)
    fleet.origin.delay_s = 0.08
    await fleet.start(3)
    await fleet.until_shared()
    leader, helper = await fleet.leader(), await fleet.helper()
    helper.signal(signal.SIGKILL)
    await fleet.go_on(3)
    leader.signal(signal.SIGKILL)
    await leader.gone()
    await fleet.until_crawled()
    await fleet.check()
    outcomes = [row["outcome"] for row in await fleet.admin.fetch("SELECT outcome FROM runs ORDER BY n")]
    assert outcomes == ["interrupted", "done"], "only with its leader a run ends"


async def test_frozen_workers_are_replaced_and_write_nothing_when_they_wake(fleet: Fleet) -> None:
    fleet.origin.fill(24)
    fleet.origin.delay_s = 0.08
    await fleet.start(3)
    await fleet.until_shared()
    frozen = [await fleet.leader(), await fleet.helper()]
    for worker in frozen:
        worker.signal(signal.SIGSTOP)
    await fleet.until_crawled()
    await fleet.check()
    before, asked = await fleet.contents(), len(fleet.origin.log.came)
    for worker in frozen:
        worker.signal(signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert await fleet.contents() == before
    # what they had under way when they were frozen they may ask for; more of it would be for nothing
    assert len(fleet.origin.log.came) <= asked + 8
    assert not any(worker.is_gone() for worker in frozen)
    await fleet.check()


async def test_a_worker_that_is_asked_to_stop_hands_its_visit_over(fleet: Fleet) -> None:
    fleet.origin.fill(24)
    fleet.origin.delay_s = 0.08
    (first,) = await fleet.start(1)
    await fleet.until("SELECT bool_or(done) FROM ranges")
    await fleet.start(1)
    first.signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        await first.gone()
    await fleet.until_crawled()
    await fleet.check()
    outcomes = [row["outcome"] for row in await fleet.admin.fetch("SELECT outcome FROM runs ORDER BY n")]
    assert outcomes == ["interrupted", "done"]
    assert "go on from here" in fleet.said(0)


async def test_the_command_takes_jobs_and_ends_well(fleet: Fleet) -> None:
    """The same by the program itself, started as by a person on another machine."""
    fleet.origin.fill(2)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "panofed", "worker", "--concurrency", "3", stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=settings_environment(fleet.settings()),
    )  # fmt: skip
    await fleet.until_crawled()
    process.terminate()
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert f"{process.pid} takes up to 3 jobs at once" in said.decode()
    await fleet.check()


async def test_two_schedulers_make_no_double_visits(fleet: Fleet) -> None:
    fleet.origin.fill(2)
    fleet.origin.delay_s = 0.01
    await fleet.start(2, cadence_s=0.2, cadence_sleeping_s=0.2)
    await fleet.until("SELECT count(*) > 4 FROM runs WHERE outcome = 'done'")
    overlapping = await fleet.admin.fetchval(
        "SELECT count(*) FROM runs a JOIN runs b ON a.instance = b.instance AND a.n < b.n"
        " WHERE b.started_at < coalesce(a.ended_at, now())"
    )
    assert overlapping == 0
    assert await fleet.admin.fetchval("SELECT count(*) FROM runs WHERE outcome NOT IN ('done', 'running')") == 0


async def test_a_ping_is_heard_within_seconds(fleet: Fleet) -> None:
    fleet.origin.fill(2)
    fleet.origin.delay_s = 0.01
    await fleet.start(1, cadence_s=3600)
    await fleet.until_crawled()
    added = fleet.origin.add_sequence(pictures=1)
    # in quiet hours all day long, and put off by failures
    await fleet.admin.execute(
        "UPDATE instances SET quiet_hours = to_char(now() - interval '1 h', 'HH24:MI') || '-'"
        " || to_char(now() + interval '1 h', 'HH24:MI'), failures = 9, next_visit_at = now() + interval '1 d'"
    )
    await fleet.admin.execute("UPDATE instances SET next_visit_at = now(), pinged_at = now()")
    async with asyncio.timeout(10):
        await fleet.until("SELECT count(*) = 1 FROM pictures WHERE id = $1", added.pictures[0].id)
    await fleet.until("SELECT count(*) = 0 FROM runs WHERE outcome = 'running'")
    # and no more than that: the quiet hours hold again
    await fleet.admin.execute("UPDATE instances SET next_visit_at = now()")
    await asyncio.sleep(2.5)
    assert await fleet.admin.fetchval("SELECT count(*) FROM runs") == 2

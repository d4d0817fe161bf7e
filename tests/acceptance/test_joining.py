"""A real Panoramax server joins: checked, mended, proved, approved, harvested."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import pytest

from federation.checks import Check, read_check
from federation.database import Connection, Pool, Role, connect, open_pool
from federation.registrations import PROOF_PATH, State, Wish, approve, ask_proof, read_registration, register
from federation.settings import Settings
from harvester.checking import checks_to_do, do_check
from harvester.fold import fold
from harvester.visit import Harvester
from panofed.demo.geovisio import Instance
from tests.fronted import Fronted
from tests.harvest_world import harvest_settings
from tests.integration.conftest import cluster, database, template
from tests.invariants import check_invariants

__all__ = ["cluster", "database", "template"]

FIELDS = {"name": "real", "contact": "me@real.example", "blurring": "automatic"}


@pytest.fixture
def settings() -> Settings:
    return harvest_settings(registration="moderated", page_pictures=1_000, page_sequences=1_000, batch_pictures=1_000)


@pytest.fixture
async def pool(database: str, settings: Settings) -> AsyncIterator[Pool]:
    async with open_pool(database, Role.WRITER, settings) as pool:
        yield pool


async def work(pool: Pool, settings: Settings) -> list[str]:
    return [await do_check(pool, number, settings) for number in await checks_to_do(pool, settings)]


def steps(check: Check | None) -> dict[str, str]:
    assert check is not None
    return {step.name: step.state.value for step in check.steps}


async def state_of(connection: Connection, id: UUID) -> State:
    found = await read_registration(connection, id)
    assert found is not None
    return found.state


async def test_a_real_instance_joins(
    instances: tuple[Instance, Instance], database: str, pool: Pool, settings: Settings
) -> None:
    real = instances[0]
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Fronted(real.url))
        visitor = await connect(database, Role.OPERATOR, settings)
        stack.push_async_callback(visitor.close)
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)

        front.forgets_cors = True
        asked = await register(visitor, Wish.of({"url": front.url, **FIELDS}, settings), settings)
        assert await work(pool, settings) == ["failed"]
        failed = steps(await read_check(visitor, asked.check))
        assert {name for name, state in failed.items() if state == "failed"} == {"cors", "thumbnail"}
        assert await state_of(visitor, asked.id) is State.CHECKING

        front.forgets_cors = False
        await ask_proof(visitor, asked.id, settings)
        assert await work(pool, settings) == ["warned"]
        assert await state_of(visitor, asked.id) is State.AWAITING_PROOF

        front.files[PROOF_PATH] = asked.proof
        check = await ask_proof(visitor, asked.id, settings)
        assert await work(pool, settings) == ["warned"]
        found = steps(await read_check(visitor, check))
        # no TLS on loopback; this instance names no logo or colour of its own unless its version has defaults
        assert {name for name, state in found.items() if state != "ok"} <= {"tls", "configuration"}, found
        assert await state_of(visitor, asked.id) is State.AWAITING_APPROVAL

        row = await read_registration(visitor, asked.id)
        assert row is not None
        await approve(visitor, row.n, "token 1")
        harvester = Harvester(dsn=database, pool=pool, settings=settings)
        (visit,) = await harvester.visit_all(lambda _: None)
        assert (visit.instance, visit.outcome, visit.last_error) == ("real", "done", "")
        await fold(pool, settings)
        await check_invariants(admin)
        assert await admin.fetchval("SELECT count(*) FROM pictures WHERE served") > 0
        assert await admin.fetchval("SELECT cardinality(conforms) FROM instances") > 3

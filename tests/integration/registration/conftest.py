"""An index, an instance that wants to join, and the worker that checks it when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from federation.checks import Check, read_check
from federation.database import Pool, Role, connect, open_pool
from federation.registrations import Registration, Wish, read_registration
from federation.settings import Settings
from harvester.checking import checks_to_do, do_check
from tests.harvest_world import harvest_settings
from tests.joining import Joining


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where registrations are made (`visitor`, as the catalog's role) and checked (`pool`, as the harvester's)."""

    dsn: str
    visitor: asyncpg.Connection
    admin: asyncpg.Connection
    pool: Pool
    settings: Settings
    instance: Joining

    def wish(self, **more: Any) -> Wish:
        """To join with that instance."""
        values = {"url": self.instance.url, "name": "here", "contact": "me@here.example", "blurring": "automatic"}
        return Wish.of({**values, **more}, self.settings)

    async def work(self) -> list[str]:
        """Do every check that waits; their outcomes."""
        return [
            await do_check(self.pool, number, self.settings) for number in await checks_to_do(self.pool, self.settings)
        ]

    async def check(self, id: UUID) -> Check:
        found = await read_check(self.visitor, id)
        assert found is not None
        return found

    async def registration(self, id: UUID) -> Registration:
        found = await read_registration(self.visitor, id)
        assert found is not None
        return found

    async def events(self) -> list[str]:
        return [row["kind"] for row in await self.admin.fetch("SELECT kind FROM events ORDER BY n")]


def states(check: Check) -> Mapping[str, str]:
    """How each step is."""
    return {step.name: step.state.value for step in check.steps}


def codes(check: Check, step: str) -> list[str]:
    """What a step has found."""
    return [finding.code for each in check.steps if each.name == step for finding in each.findings]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    settings = harvest_settings(registration="moderated")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        visitor = await connect(database, Role.OPERATOR, settings)
        stack.push_async_callback(visitor.close)
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        instance = await stack.enter_async_context(Joining())
        instance.add_sequence(pictures=3)
        yield Desk(dsn=database, visitor=visitor, admin=admin, pool=pool, settings=settings, instance=instance)

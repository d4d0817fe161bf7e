"""What a session learns of its server besides its answers: speed, and the end of its certificate."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import trustme
from aiohttp import web

from federation.outbound import OriginSession
from federation.outbound_answers import Answers, LookedAt
from tests.hostile import local_settings
from tests.origin import Origin


@pytest.mark.parametrize("size", [2, 300_000])
async def test_the_end_of_a_certificate_is_read(size: int) -> None:
    """Also of an answer that came in one piece."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = (datetime.now(UTC) + timedelta(days=11)).replace(microsecond=0)
    authority.issue_cert("127.0.0.1", not_after=until).configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        answers = Answers()
        async with aiohttp.ClientSession(response_class=LookedAt) as client:
            async with client.get(f"https://127.0.0.1:{runner.addresses[0][1]}/", ssl=trusting) as response:
                answers.look_at(response)
                await response.read()
        assert answers.certificate_until == until
    finally:
        await runner.cleanup()


async def test_a_session_sums_how_long_answers_took() -> None:
    async with Origin() as origin:
        origin.add_sequence(1)

        async def slow(request: web.Request) -> None:
            await asyncio.sleep(0.2 if "collections" in request.path else 0.0)

        origin.hook = slow
        async with OriginSession(local_settings(), origin.url, instance="north") as session:
            await session.get("configuration")
            await session.get("collections")
            answers = session.answers
        assert answers.certificate_until is None
        assert 0.2 <= answers.slowest_s <= answers.answering_s < 5

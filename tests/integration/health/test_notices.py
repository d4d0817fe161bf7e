"""Events are told by webhook and by mail: signed, at least once, and again when nobody took them."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import trustme
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from federation.database import Role, connect
from federation.errors import ConfigurationError
from federation.events import Kind, note
from federation.settings import EVENT_KINDS, Settings, load_settings
from harvester.notices import tell_events
from panofed.demo.server import free_port
from tests.harvest_world import World, harvest_settings
from tests.receiver import SECRET, Receiver, receiving


def hooked(receiver: Receiver, **more: object) -> Settings:
    return harvest_settings(webhook_url=receiver.url, webhook_secret=SECRET, **more)


async def happen(world: World, kind: Kind = Kind.DOWN, **more: Any) -> None:
    async with world.pool.acquire() as connection, connection.transaction():
        await note(connection, kind, actor="harvester", **more)


async def test_an_event_is_told_once_and_its_signature_holds(world: World) -> None:
    number = await world.register("north", "http://127.0.0.1:1/api")
    await happen(world, instance=number, details={"reason": "no answer"})
    async with receiving() as receiver:
        settings = hooked(receiver, public_url="https://catalog.example")
        assert await tell_events(world.pool, settings) == 1
        assert await tell_events(world.pool, settings) == 0
        (told,) = receiver.events
        assert told["type"] == "panofed.down" and told["data"]["instance"] == "north"
        assert told["data"]["details"] == {"reason": "no answer"}
        assert told["data"]["url"] == "https://catalog.example/instances/north"
        headers, body = receiver.taken[0]
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body + b" ", headers)


async def test_what_nobody_took_is_told_again_with_the_same_id_and_later_each_time(world: World) -> None:
    await happen(world)
    async with receiving() as receiver:
        receiver.status = 503
        settings = hooked(receiver)
        assert await tell_events(world.pool, settings) == 0
        row = await world.admin.fetchrow("SELECT *, next_at - now() AS pause FROM notices")
        assert row is not None and row["attempts"] == 1 and 10 < row["pause"].total_seconds() < 30
        assert row["last_error"] == "127.0.0.1 answered 503: no room here"
        assert await tell_events(world.pool, settings) == 0 and len(receiver.taken) == 1, "not at once"
        await world.age("notices", "next_at", "1 hour")
        assert await tell_events(world.pool, settings) == 0
        assert (await world.admin.fetchval("SELECT next_at - now() FROM notices")).total_seconds() > 30
        receiver.status = 200
        await world.age("notices", "next_at", "1 hour")
        assert await tell_events(world.pool, settings) == 1
        assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
        assert await world.admin.fetchval("SELECT count(*) FROM notices") == 0


async def test_who_dies_while_sending_is_followed_by_another(world: World) -> None:
    """The row says when it is tried again before anything is sent."""
    await happen(world)
    async with receiving() as receiver:
        gate = asyncio.Event()

        async def hang(request: web.Request) -> web.Response:
            gate.set()
            await asyncio.sleep(30)
            return web.Response()

        app = web.Application()
        app.router.add_post("/hook", hang)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stuck = harvest_settings(
            webhook_url=f"http://127.0.0.1:{runner.addresses[0][1]}/hook", webhook_secret=SECRET
        )  # fmt: skip
        dying = asyncio.create_task(tell_events(world.pool, stuck))
        await gate.wait()
        assert await tell_events(world.pool, hooked(receiver)) == 0, "it is in another's hands"
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        await runner.cleanup()
        await world.age("notices", "next_at", "1 hour")
        assert await tell_events(world.pool, hooked(receiver)) == 1


async def test_two_processes_tell_each_event_once(world: World) -> None:
    for _ in range(8):
        await happen(world)
    async with receiving() as receiver:
        told = await asyncio.gather(*(tell_events(world.pool, hooked(receiver)) for _ in range(3)))
        assert sum(told) == 8 and len({headers["webhook-id"] for headers, _ in receiver.taken}) == 8


async def test_only_what_was_asked_for_is_told_and_the_rest_is_not_kept(world: World) -> None:
    for kind in (Kind.DOWN, Kind.LATE, Kind.LINK_USED, Kind.REGISTERED):
        await happen(world, kind)
    async with receiving() as receiver:
        await tell_events(world.pool, hooked(receiver, notify_kinds="late"))
        assert [told["data"]["kind"] for told in receiver.events] == ["late"]
    assert await world.admin.fetchval("SELECT count(*) FROM notices") == 0


async def test_what_is_quiet_by_itself_is_not_told(world: World) -> None:
    for kind in Kind:
        await happen(world, kind)
    async with receiving() as receiver:
        await tell_events(world.pool, hooked(receiver))
        await tell_events(world.pool, hooked(receiver))
        told = {each["data"]["kind"] for each in receiver.events}
    assert {"down", "back", "registered", "approved", "taken-down"} <= told
    assert not told & {"link-used", "token-made", "checked"}


async def test_without_a_channel_nothing_is_kept(world: World) -> None:
    await happen(world)
    assert await world.admin.fetchval("SELECT count(*) FROM notices") == 2
    assert await tell_events(world.pool, world.settings) == 0
    assert await world.admin.fetchval("SELECT count(*) FROM notices") == 0


async def test_a_transaction_that_fails_is_not_told(world: World) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with world.pool.acquire() as connection, connection.transaction():
            await note(connection, Kind.DOWN, actor="harvester")
            await connection.execute("SELECT 1 / 0")
    async with receiving() as receiver:
        assert await tell_events(world.pool, hooked(receiver)) == 0


async def test_a_redirect_or_a_private_address_is_not_followed(world: World) -> None:
    await happen(world)
    async with receiving() as receiver:
        settings = load_settings(webhook_url=receiver.url, webhook_secret=SECRET)
        assert await tell_events(world.pool, settings) == 0
        assert receiver.taken == []
        error = await world.admin.fetchval("SELECT last_error FROM notices")
        assert "PANOFED_NOTIFY_PRIVATE" in error and "secret-part" not in error
        await world.age("notices", "next_at", "1 hour")
        receiver.status = 302
        assert await tell_events(world.pool, settings.model_copy(update={"notify_private": True})) == 0
        assert len(receiver.taken) == 1


class Mailbox:
    """What a mail server was handed."""

    def __init__(self) -> None:
        self.messages: list[email.message.Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.messages.append(email.message_from_bytes(envelope.content))
        return self.answer


async def test_a_mail_says_what_happened_in_lines_that_nothing_can_break(world: World) -> None:
    number = await world.register("north", "http://127.0.0.1:1/api")
    await happen(world, instance=number, details={"reason": "no answer\r\nBcc: everybody@example.org"})
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    await asyncio.to_thread(controller.start)
    try:
        settings = harvest_settings(
            smtp_url=f"smtp://127.0.0.1:{controller.port}", mail_from="panofed@example.org", mail_to="us@example.org"
        )
        mailbox.answer = "451 later"
        assert await tell_events(world.pool, settings) == 0
        assert "later" in await world.admin.fetchval("SELECT last_error FROM notices WHERE channel = 'mail'")
        mailbox.answer = "250 OK"
        await world.age("notices", "next_at", "1 hour")
        assert await tell_events(world.pool, settings) == 1
    finally:
        await asyncio.to_thread(controller.stop)
    (message,) = mailbox.messages
    assert message["Subject"].endswith("north: down") and message["To"] == "us@example.org"
    assert message["Bcc"] is None
    text = message.get_payload(decode=True)
    assert isinstance(text, bytes) and b"reason: no answer Bcc: everybody@example.org" in text
    event = await world.admin.fetchval("SELECT n FROM events")
    assert f"panofed-event-{event}@" in message["Message-ID"]


def test_settings_name_the_kinds_there_are() -> None:
    assert list(EVENT_KINDS) == [kind.value for kind in Kind]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"webhook_url": "https://a.example"}, "PANOFED_WEBHOOK_SECRET"),
        ({"webhook_url": "ftp://a.example", "webhook_secret": "x" * 30}, "http"),
        ({"smtp_url": "smtp://a.example"}, "PANOFED_MAIL_FROM"),
        ({"smtp_url": "http://a.example", "mail_from": "a@b", "mail_to": "a@b"}, "smtps"),
        ({"notify_kinds": "down, up"}, "up is none of"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_at_the_start(values: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_settings(**values)


@asynccontextmanager
async def mail_server(mailbox: Mailbox, host: str) -> AsyncIterator[Controller]:
    controller = Controller(mailbox, hostname=host, port=free_port())
    await asyncio.to_thread(controller.start)
    try:
        yield controller
    finally:
        await asyncio.to_thread(controller.stop)


async def mail_error(world: World, url: str) -> str:
    """Why a mail server at that address was handed nothing."""
    settings = harvest_settings(smtp_url=url, mail_from="panofed@example.org", mail_to="us@example.org")
    assert await tell_events(world.pool, settings) == 0
    error = await world.admin.fetchval("SELECT last_error FROM notices WHERE channel = 'mail'")
    assert "pass-word" not in error
    return str(error)


async def test_a_password_is_not_sent_in_the_clear(world: World) -> None:
    """127.0.0.2 stands for another machine: only the own one's names are trusted without TLS."""
    await happen(world)
    mailbox = Mailbox()
    async with mail_server(mailbox, "127.0.0.2") as controller:
        error = await mail_error(world, f"smtp://me:pass-word@127.0.0.2:{controller.port}")
    assert "offers no STARTTLS" in error and mailbox.messages == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(world: World) -> None:
    await happen(world)
    context, spoke = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), asyncio.Event()
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoke.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        error = await mail_error(world, f"smtps://me:pass-word@127.0.0.1:{port}")
    assert "certificate" in error.lower() and not spoke.is_set()


async def test_an_operators_event_waits_to_be_told_too(world: World) -> None:
    """Who may write events may not write notices: the trigger does."""
    connection = await connect(world.dsn, Role.OPERATOR, world.settings)
    try:
        await note(connection, Kind.REGISTERED, actor="token 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM notices")
    finally:
        await connection.close()
    assert await world.admin.fetchval("SELECT count(*) FROM notices") == 2

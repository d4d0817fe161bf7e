"""Tells events to those who asked for it: by a signed webhook and by e-mail, from an outbox that survives everything.

Each event is told at least once by each channel: one that was told just before a crash is told again, with the same id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

import orjson

from federation.database import Pool, Row, explained
from federation.errors import NoticeRefused
from federation.events import Kind
from federation.outbound_mail import send_mail
from federation.outbound_post import post
from federation.queries import query
from federation.settings import Settings

logger = logging.getLogger(__name__)

#: What nobody needs to hear of, unless it is asked for: it is in the audit log.
_QUIET = frozenset(
    {
        Kind.CHECKED,
        Kind.SETTINGS_CHANGED,
        Kind.HARVEST_ASKED,
        Kind.RECONCILIATION_ASKED,
        Kind.TOKEN_MADE,
        Kind.TOKEN_REVOKED,
        Kind.LINK_USED,
    }
)
_AT_ONCE = 20
_FIRST_PAUSE_S = 15.0
_LAST_PAUSE = timedelta(hours=1)
_ERROR_MAX = 300

Send = Callable[[Settings, Row], Awaitable[None]]


def wanted_kinds(settings: Settings) -> list[str]:
    """The kinds of events that are told.

    >>> wanted_kinds(Settings(notify_kinds="down, back"))
    ['down', 'back']
    >>> "joined" in wanted_kinds(Settings()), "link-used" in wanted_kinds(Settings())
    (True, False)
    """
    asked = [each.strip() for each in settings.notify_kinds.split(",") if each.strip()]
    return asked or [kind.value for kind in Kind if kind not in _QUIET]


async def tell_events(pool: Pool, settings: Settings) -> int:
    """Send what waits on every channel; returns how many events were told. What fails is tried again later."""
    told = 0
    for channel, (is_set, send) in CHANNELS.items():
        async with explained("reading what is to be told"):
            kinds = wanted_kinds(settings) if is_set(settings) else []
            await pool.execute(query("drop_unwanted_notices"), channel, kinds)
        if kinds:
            told += await _tell(pool, settings, channel, send)
    return told


async def _tell(pool: Pool, settings: Settings, channel: str, send: Send) -> int:
    """One round of a channel, up to its first fault: whoever does not take one will hardly take the next."""
    # longer than a message can take, so that nobody else takes up what is being sent
    first = timedelta(seconds=max(_FIRST_PAUSE_S, 2 * settings.notify_timeout_s))
    for told in range(_AT_ONCE):
        async with explained("taking what is to be told"):
            row = await pool.fetchrow(query("take_notice"), channel, first, max(_LAST_PAUSE, first))
        if row is None:
            return told
        try:
            await send(settings, row)
        except NoticeRefused as error:
            logger.warning("%s: event %s could not be told: %s", channel, row["n"], error)
            async with explained("putting off what is to be told"):
                await pool.execute(query("notice_failed"), row["n"], channel, str(error)[:_ERROR_MAX])
            return told
        async with explained("writing down what was told"):
            await pool.execute(query("notice_told"), row["n"], channel)
    return _AT_ONCE


async def _send_webhook(settings: Settings, row: Row) -> None:
    """As the Standard Webhooks specification has it: id, time and signature in headers, JSON in the body."""
    body = orjson.dumps(described(settings, row))
    identifier, sent = f"event-{row['n']}", str(int(time.time()))
    signature = sign(settings.webhook_secret, identifier, sent, body)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": sent,
        "webhook-signature": signature,
    }
    await post(settings, settings.webhook_url, body, headers)


def sign(secret: str, identifier: str, at: str, body: bytes) -> str:
    """The signature of a message: HMAC-SHA256 over its id, time and body. A secret `whsec_...` is base64.

    >>> secret, identifier = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    >>> sign(secret, identifier, "1614265330", b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = f"{identifier}.{at}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def described(settings: Settings, row: Row) -> dict[str, object]:
    """An event as the receiver of a webhook reads it."""
    details = orjson.loads(row["details"])
    return {
        "type": f"panofed.{row['kind']}",
        "timestamp": row["at"].isoformat(),
        "data": {
            "n": row["n"],
            "kind": row["kind"],
            "instance": row["id"],
            "name": row["name"] or details.get("name"),
            "subject": row["subject"] or None,
            "actor": row["actor"],
            "public": row["public"],
            "details": details,
            "url": _address(settings, row),
        },
    }


def _address(settings: Settings, row: Row) -> str | None:
    if not settings.public_url:
        return None
    # one that has left has no page
    own = row["id"] and row["kind"] != Kind.LEFT.value
    return f"{settings.public_url}/instances/{row['id']}" if own else f"{settings.public_url}/instances"


async def _send_mail(settings: Settings, row: Row) -> None:
    await send_mail(settings, mail_of(settings, row))


def mail_of(settings: Settings, row: Row) -> EmailMessage:
    """An event as a plain message; whatever an instance says of itself is in one line, and in the subject at most."""
    details = orjson.loads(row["details"])
    name = " ".join(str(row["name"] or details.get("name") or row["subject"] or "?").split())
    message = EmailMessage()
    message["Subject"] = f"[{settings.catalog_title}] {name}: {row['kind']}"
    message["From"], message["To"] = settings.mail_from, settings.mail_to
    message["Date"] = format_datetime(row["at"])
    host = urlsplit(settings.public_url).hostname or settings.mail_from.rpartition("@")[2]
    message["Message-ID"] = f"<panofed-event-{row['n']}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    told = {"what": row["kind"], "instance": row["id"], "name": name, "when": row["at"].isoformat()} | details
    lines = [f"{key}: {' '.join(str(value).split())}" for key, value in told.items() if value not in (None, "")]
    message.set_content("\n".join([*lines, *filter(None, ["", _address(settings, row)])]) + "\n")
    return message


#: By name: whether it is configured, and how it sends.
CHANNELS: dict[str, tuple[Callable[[Settings], bool], Send]] = {
    "webhook": (lambda settings: bool(settings.webhook_url), _send_webhook),
    "mail": (lambda settings: bool(settings.smtp_url), _send_mail),
}

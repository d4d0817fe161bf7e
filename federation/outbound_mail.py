"""E-mail by the administrator's own mail server (SMTP), the only place where the library for it is imported."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from federation.errors import NoticeRefused
from federation.settings import Settings

#: This machine, by its names.
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"smtp": 587, "smtps": 465}


async def send_mail(settings: Settings, message: EmailMessage) -> None:
    """Hand it to the mail server; NoticeRefused when it does not take it. The password is in no error.

    `smtp://` uses STARTTLS where the server offers it, and sends no password without; `smtps://` is TLS from the first
    byte. On the own machine nothing is encrypted: its server has no certificate that anybody could check.
    """
    parts = urlsplit(settings.smtp_url)
    secret = unquote(parts.password) if parts.password else None
    here = parts.hostname in _HERE
    client = aiosmtplib.SMTP(
        hostname=parts.hostname, port=parts.port or _PORTS[parts.scheme], timeout=settings.notify_timeout_s,
        use_tls=parts.scheme == "smtps", start_tls=None if parts.scheme == "smtp" and not here else False,
    )  # fmt: skip
    try:
        async with client:
            if secret is not None:
                if not here and client.get_transport_info("sslcontext") is None:
                    raise NoticeRefused(f"{parts.hostname} offers no STARTTLS: the password is not sent in the clear")
                await client.login(unquote(parts.username or ""), secret)
            await client.send_message(message)
    except (aiosmtplib.SMTPException, OSError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise NoticeRefused(f"{parts.hostname}: {said.replace(secret, '***') if secret else said}") from error

"""Whether an instance wants to be harvested: its robots.txt and landing page, asked daily before anything else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from federation.database import Pool, explained
from federation.errors import CircuitOpen, HarvestUnwanted, OriginError, OriginRefused, OriginUnreachable
from federation.outbound import Answer, OriginSession
from federation.queries import query
from federation.robots import Rules, is_not_to_be_indexed, read_rules
from federation.settings import Settings
from harvester.progress import Progress
from harvester.withdraw import withdraw_instance

logger = logging.getLogger(__name__)

#: How long an answer counts.
CONSENT_AGE = timedelta(days=1)
#: How soon it is asked again when there was no answer.
_AGAIN = timedelta(hours=1)
#: The member of the landing page that says no: true, or a text that says why.
OPT_OUT = "panofed:opt_out"
#: What is kept of such a text.
_REASON_CHARACTERS = 300


class _Landing(msgspec.Struct):
    opt_out: object = msgspec.field(name=OPT_OUT, default=None)


_landing = msgspec.json.Decoder(_Landing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Asks one instance, and does what it wants. `session` is the visit's."""

    dsn: str
    pool: Pool
    settings: Settings
    instance: int
    session: OriginSession
    #: called with the landing page that was read for it: others need not ask again
    keep_landing: Callable[[Answer], None] = lambda _: None

    async def ask(self, progress: Progress) -> None:
        """HarvestUnwanted when it says no; the instance is paused then, and where it opted out its records are gone."""
        try:
            await self._ask_when_old()
        except HarvestUnwanted as error:
            logger.warning("harvest not wanted: %s", error, extra={"instance": self.session.instance})
            if error.withdraw:
                await self._withdraw(progress)
            async with explained("pausing"):
                await self.pool.execute(query("pause_unwanted"), self.instance, str(error))
            raise

    async def _ask_when_old(self) -> None:
        async with explained("reading what the instance allows"):
            kept = await self.pool.fetchval(query("rules_are_fresh"), self.instance, self.session.base_url, CONSENT_AGE)
        if kept:
            return
        rules = await self._robots()
        if rules is not None and rules.refused:
            raise HarvestUnwanted(
                f"refused by robots.txt: it names panofed and disallows {rules.refused}",
                instance=self.session.instance,
                url=self.session.robots_url,
            )
        if rules is not None and rules.crawl_delay_s:
            self.session.turnstile.at_most(1 / rules.crawl_delay_s)
        told = await self._check_landing() and rules is not None
        async with explained("keeping what the instance allows"):
            await self.pool.execute(
                query("keep_rules"),
                self.instance,
                self.session.base_url,
                None if rules is None else rules.crawl_delay_s,
                timedelta() if told else CONSENT_AGE - _AGAIN,
            )

    async def _robots(self) -> Rules | None:
        """None when it cannot be told now; then what was known stays for an hour. No robots.txt allows all."""
        try:
            answer = await self.session.get(self.session.robots_url, accept="text/plain", attempts=1)
        except CircuitOpen:
            raise
        except OriginUnreachable:
            return None
        except OriginRefused as error:
            return Rules() if 400 <= error.status < 500 and error.status != 429 else None
        except OriginError:  # redirected elsewhere, or nothing that can be read
            return Rules()
        base = self.session.base_url.rstrip("/")
        return read_rules(answer.body, (f"{base}/", f"{base}/collections", f"{base}/collections/x/items"))

    async def _check_landing(self) -> bool:
        """False when there is none now; what else is wrong with it is the visit's to find."""
        try:
            landing = await self.session.get("", attempts=1)
        except OriginError:
            return False
        self.keep_landing(landing)
        why = opted_out(landing)
        if why is not None:
            raise HarvestUnwanted(why, withdraw=True, instance=self.session.instance, url=self.session.base_url)
        return True

    async def _withdraw(self, progress: Progress) -> None:
        progress.phase = "withdrawing"

        def told(pictures: int) -> None:
            progress.pictures_removed = pictures

        await withdraw_instance(self.dsn, self.pool, self.instance, self.settings, told)


def opted_out(landing: Answer) -> str | None:
    """Why the instance is to be taken out of the catalog, in words; None when it says nothing of the kind."""
    if is_not_to_be_indexed(landing.headers.get("x-robots-tag", "")):
        return "opted out: its landing page has the header X-Robots-Tag: panofed: noindex"
    try:
        said = _landing.decode(landing.body).opt_out
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if said is True:
        return f"opted out: its landing page has {OPT_OUT}"
    if isinstance(said, str) and said.strip():
        return f"opted out: {' '.join(said.split())[:_REASON_CHARACTERS]}"
    return None

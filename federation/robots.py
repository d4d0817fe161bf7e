"""What an instance's robots.txt says about us: only rules that name our agent count, those for everybody (`*`) do not.

They are written for crawlers of pages; an instance that is registered here has an API that is meant to be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protego import Protego

#: Our product token, as in User-Agent.
AGENT = "panofed"
#: RFC 9309, 2.5: what a reader must be able to read; the rest is left.
ROBOTS_MAX_BYTES = 500 * 1_024
# Slower than this would be no harvest: who wants that says Disallow.
CRAWL_DELAY_LAST_S = 3_600.0
_NOT_INDEXED = re.compile(rf"(?:^|[,\s]){AGENT}\s*:\s*(?:[a-z-]+\s*,\s*)*(?:noindex|none)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`refused` is the address that may not be asked, empty when all may; `crawl_delay_s` 0: no delay is wanted."""

    refused: str = ""
    crawl_delay_s: float = 0.0


def read_rules(robots: bytes, urls: tuple[str, ...]) -> Rules:
    """The rules that name us, judged for the addresses `urls` that we need.

    >>> read_rules(b"User-agent: *\\nDisallow: /\\nCrawl-delay: 9", ("https://a.fr/api/collections",))
    Rules(refused='', crawl_delay_s=0.0)
    >>> read_rules(b"User-agent: Panofed\\nCrawl-delay: 2\\nDisallow: /api/", ("https://a.fr/api/collections",))
    Rules(refused='https://a.fr/api/collections', crawl_delay_s=2.0)
    """
    text = robots[:ROBOTS_MAX_BYTES].decode("utf-8", "replace").lstrip("\ufeff")
    # a group of our own without rules: the parser falls back to `*` only where there is none
    rules = Protego.parse(f"{text}\nUser-agent: {AGENT}\n")
    refused = next((url for url in urls if not rules.can_fetch(url, AGENT)), "")
    return Rules(refused=refused, crawl_delay_s=min(rules.crawl_delay(AGENT) or 0.0, CRAWL_DELAY_LAST_S))


def is_not_to_be_indexed(header: str) -> bool:
    """Whether an X-Robots-Tag header says to our agent that nothing may be kept.

    >>> is_not_to_be_indexed("panofed: noindex"), is_not_to_be_indexed("noindex"), is_not_to_be_indexed("panofed: all")
    (True, False, False)
    """
    return _NOT_INDEXED.search(header) is not None

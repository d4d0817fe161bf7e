"""robots.txt: rules that name us are kept, those for everybody are not ours, and no text harms us."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.robots import CRAWL_DELAY_LAST_S, Rules, is_not_to_be_indexed, read_rules

API = ("https://a.example.org/api/", "https://a.example.org/api/collections")


@pytest.mark.parametrize(
    "robots",
    [
        b"",
        b"User-agent: *\nDisallow: /",
        b"User-agent: *\nCrawl-delay: 60\nDisallow: /api",
        b"User-agent: pano\nDisallow: /",
        b"User-agent: notpanofed\nDisallow: /",
        b"User-agent: panofed\nDisallow:",
        b"User-agent: panofed\nDisallow: /private/\n\nUser-agent: *\nDisallow: /",
        b"User-agent: panofed\nDisallow: /api\nAllow: /api/",
        b"User-agent: somebody\nUser-agent: else\nDisallow: /",
        b"<!doctype html><title>User-agent: panofed</title><p>Disallow: /",
        b"Disallow: /",
    ],
)
def test_who_does_not_name_us_or_the_api_allows_it(robots: bytes) -> None:
    assert read_rules(robots, API) == Rules()


@pytest.mark.parametrize(
    "robots",
    [
        b"User-agent: panofed\nDisallow: /",
        b"user-agent:PANOFED\ndisallow:/api",
        b"\xef\xbb\xbfUser-agent: panofed\r\nDisallow: /\r\n",
        b"User-agent: other\nUser-agent: panofed # us\nDisallow: /*collections",
        b"User-agent: *\nAllow: /\n\nUser-agent: panofed\nDisallow: /api/collections$",
    ],
)
def test_who_names_us_is_obeyed(robots: bytes) -> None:
    assert read_rules(robots, API).refused in API


@pytest.mark.parametrize(
    ("said", "delay_s"),
    [(b"2", 2), (b"0.5", 0.5), (b"-1", 0), (b"soon", 0), (b"nan", 0), (b"1e300", CRAWL_DELAY_LAST_S)],
)
def test_a_delay_for_us_is_kept_and_bounded(said: bytes, delay_s: float) -> None:
    assert read_rules(b"User-agent: panofed\nCrawl-delay: " + said, API) == Rules(crawl_delay_s=delay_s)


def test_a_large_file_is_read_in_time() -> None:
    started = time.monotonic()
    read_rules(b"User-agent: panofed\n" + b"Disallow: /*a*a*a*a*a*a*a*a*a*b\n" * 100_000, API)
    assert time.monotonic() - started < 10


@given(st.binary(max_size=300))
def test_any_bytes_are_read(robots: bytes) -> None:
    read_rules(robots, API)


@pytest.mark.parametrize(
    ("header", "means"),
    [
        ("", False),
        ("noindex", False),
        ("otherbot: noindex", False),
        ("notpanofed: noindex", False),
        ("panofed: noindex", True),
        ("PanoFed:noindex", True),
        ("googlebot: all, panofed: nofollow, noindex", True),
        ("panofed: none", True),
        ("panofed: nofollow", False),
    ],
)
def test_only_a_header_for_us_takes_an_instance_out(header: str, means: bool) -> None:
    assert is_not_to_be_indexed(header) is means

"""Which URLs a visit accepts, and that it never leaves the origin it was given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from federation.errors import AddressRefused
from federation.outbound_url import allowed_base, redirected_url, target_url
from federation.settings import Settings, load_settings

STRICT = load_settings(outbound_allow_loopback=False, outbound_allow_http=False, outbound_ports=(80, 443))
LOCAL = load_settings(outbound_allow_loopback=True, outbound_allow_http=True, outbound_ports=(80, 443))
BASE = URL("https://a.org/geo")


@pytest.mark.parametrize(
    "url", ["https://a.org", "https://a.org:80/x", "https://[2001:41d0:1::1]/", "https://51.68.1.1"]
)
def test_a_public_https_address_is_accepted(url: str) -> None:
    assert allowed_base(STRICT, url, "a").scheme == "https"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a.org", "not an http"),
        ("file:///etc/passwd", "not an http"),
        ("a.org/api", "not an http"),
        ("", "not an http"),
        ("http://a.org", "outbound_allow_http"),
        ("https://user@a.org", "user name or password"),
        ("https://:secret@a.org", "user name or password"),
        ("https://a.org:8443", "outbound_ports"),
        ("https://a.org:99999", "not a usable address"),
        ("https://a.org\\@b.org", "not a usable address"),
        ("https://127.0.0.1", "loopback"),
        ("https://[::1]", "loopback"),
        ("https://[::ffff:10.0.0.1]", "IPv4-mapped"),
        ("https://[fe80::1%25eth0]", "plainly written"),
        ("https://10.0.0.1", "private"),
        ("https://169.254.169.254/latest/meta-data", "link-local"),
        ("https://0x7f000001", "plainly written"),
        ("https://2130706433", "plainly written"),
        ("https://127.1", "plainly written"),
        ("https://%31%32%37.0.0.1", "not a host name"),
        ("https://gone.invalid", "private network"),
        ("https://intranet", "not a full host name"),
    ],
)
def test_a_forbidden_base_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(AddressRefused, match=reason) as caught:
        allowed_base(STRICT, url, "a")
    assert caught.value.instance == "a"
    assert "secret" not in str(caught.value) + caught.value.url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:15411", "http://localhost:1", "http://[::1]:15411", "https://127.0.0.2:9"]
)
def test_loopback_may_have_any_port_where_it_is_allowed(url: str) -> None:
    assert allowed_base(LOCAL, url, "a").port in (15411, 1, 9)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://0.0.0.0", "http://192.168.1.1", "http://[fd00::1]", "http://a.org:81"]
)
def test_allowing_loopback_opens_nothing_else(url: str) -> None:
    with pytest.raises(AddressRefused):
        allowed_base(LOCAL, url, "a")


@pytest.mark.parametrize("settings", [STRICT, LOCAL])
def test_a_unicode_spelling_of_loopback_is_judged_as_loopback(settings: Settings) -> None:
    fullwidth = "https://\uff11\uff12\uff17.0.0.1:444"
    if settings.outbound_allow_loopback:
        assert allowed_base(settings, fullwidth, "a").host == "127.0.0.1"
    else:
        with pytest.raises(AddressRefused):
            allowed_base(settings, fullwidth, "a")


def test_paths_lie_below_the_base_and_urls_are_kept() -> None:
    assert str(target_url(BASE, "api", "a")) == "https://a.org/geo/api"
    assert str(target_url(BASE, "/api?filter=updated%20%3E%20'T'&b=%2B", "a")) == (
        "https://a.org/geo/api?filter=updated%20%3E%20'T'&b=%2B"
    )
    assert str(target_url(BASE, "https://A.org:443/other#part", "a")) == "https://a.org/other"
    assert str(target_url(BASE, "api?next=https://b.org/", "a")) == "https://a.org/geo/api?next=https://b.org/"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.org/",
        "https://b.org/",
        "https://a.org:444/",
        "https://x@a.org/",
        "ftp://a.org/",
        "https://a.org.:443/",
    ],
)
def test_another_origin_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        target_url(BASE, url, "a")
    with pytest.raises(AddressRefused):
        redirected_url(BASE, BASE, url, "a")


@pytest.mark.parametrize("location", ["//b.org/", "javascript:alert(1)", "http://[", "https://:443"])
def test_a_redirect_cannot_be_talked_out_of_its_origin(location: str) -> None:
    with pytest.raises(AddressRefused):
        redirected_url(BASE, BASE, location, "a")


@given(st.text(max_size=80), st.booleans())
def test_whatever_a_server_writes_stays_on_its_origin_or_is_refused(text: str, redirected: bool) -> None:
    try:
        url = redirected_url(BASE, BASE / "api", text, "a") if redirected else target_url(BASE, text, "a")
    except AddressRefused:
        return
    assert (url.scheme, url.raw_host, url.port, url.raw_user) == ("https", "a.org", 443, None)


def test_relative_redirects_are_followed_from_where_they_were_given() -> None:
    assert str(redirected_url(BASE, URL("https://a.org/geo/api/x"), "../y?z=1", "a")) == "https://a.org/geo/y?z=1"

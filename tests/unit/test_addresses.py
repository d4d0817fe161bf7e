"""The address guard: no special address passes, in whatever form, and every ordinary one does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.addresses import is_loopback_host, why_address_refused, why_host_refused

# Written here a second time, from the IANA special-purpose registries, so that a slip in the guard's table shows.
SPECIAL_V4 = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4""".split()
SPECIAL_V6 = """::/128 ::1/128 ::/96 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48
2001:10::/28 2001:20::/28
2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 4000::/3""".split()


def inside(network: IPv4Network | IPv6Network) -> st.SearchStrategy[str]:
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(first, last).map(lambda number: str(kind(number)))


special_v4 = st.sampled_from(SPECIAL_V4).flatmap(lambda text: inside(IPv4Network(text)))
special_v6 = st.sampled_from(SPECIAL_V6).flatmap(lambda text: inside(IPv6Network(text)))
any_v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v4_networks = [IPv4Network(text) for text in SPECIAL_V4]


@given(special_v4 | special_v6)
def test_every_special_address_is_refused_with_a_reason(address: str) -> None:
    reason = why_address_refused(address)
    assert reason is not None and address in reason


@given(special_v4 | special_v6)
def test_allowing_loopback_allows_loopback_only(address: str) -> None:
    loopback = address == "::1" or address.startswith("127.")
    assert (why_address_refused(address, allow_loopback=True) is None) == loopback


@given(any_v4)
def test_an_ipv4_address_inside_an_ipv6_one_is_refused(address: IPv4Address) -> None:
    number = int(address)
    forms = [
        IPv6Address(number),
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
    ]
    allowed = [str(form) for form in forms if why_address_refused(str(form)) is None]
    assert not allowed


@given(any_v4)
def test_the_guard_never_allows_what_the_standard_library_calls_not_global(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert why_address_refused(str(address)) is not None


@given(st.integers(0x2001_0200 << 96, (0x3FFE << 112) - 1).map(IPv6Address))
def test_the_guard_never_allows_a_private_or_reserved_ipv6_address(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert why_address_refused(str(address)) is not None


@pytest.mark.parametrize(
    "address",
    "51.68.1.1 8.8.8.8 1.1.1.1 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0 223.255.255.255 2001:41d0:1::1 "
    "2606:4700::1111 2a01:e0a::1 2003::1 2001:200::1 2400::1".split(),
)
def test_ordinary_public_addresses_pass(address: str) -> None:
    assert why_address_refused(address) is None


@given(any_v4)
def test_an_ipv4_address_outside_the_special_networks_passes(address: IPv4Address) -> None:
    handed_out_otherwise = ("192.31.196.", "192.52.193.", "192.175.48.", "168.63.129.16")
    if not any(address in network for network in v4_networks) and not str(address).startswith(handed_out_otherwise):
        assert why_address_refused(str(address)) is None


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "127.0.0.1 ", "\uff10.0.0.0"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert why_address_refused(text) is not None


@pytest.mark.parametrize(
    "host",
    "0x7f000001 2130706433 127.1 0177.0.0.1 0x7f.0.0.1 127.0.0.1. 127.0.0x1 017700000001 0 0x 8.8.8 134744072 "
    "1.2.3.4.5 256.1.1.1 08.8.8.8".split(),
)
def test_an_oddly_written_ipv4_address_is_refused_even_where_loopback_is_allowed(host: str) -> None:
    assert "not a plainly written IPv4" in (why_host_refused(host, allow_loopback=True) or "")


@pytest.mark.parametrize("host", ["fe80::1%eth0", "2001:41d0:1::1%25eth0", "::1%lo", "1::2::3"])
def test_an_ipv6_address_with_a_zone_or_of_no_sense_is_refused(host: str) -> None:
    assert why_host_refused(host, allow_loopback=True) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "LOCALHOST.", "a.localhost"])
def test_this_machine_is_refused_unless_loopback_is_allowed(host: str) -> None:
    assert "loopback" in (why_host_refused(host) or "")
    assert why_host_refused(host, allow_loopback=True) is None
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host", ["intranet", "x.invalid", "nas.local", "db.internal", "a.onion", "box.home.arpa", "X.LOCAL.", "a.test"]
)
def test_names_of_private_networks_are_refused_without_asking_a_name_server(host: str) -> None:
    assert why_host_refused(host, allow_loopback=True) is not None


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "-a.fr", "a-.fr", "a b.fr", "%31.fr", f"{'a' * 64}.fr", "a." * 130 + "fr"]
)
def test_what_is_no_host_name_is_refused(host: str) -> None:
    assert why_host_refused(host) is not None


@pytest.mark.parametrize(
    "host", ["panoramax.ign.fr", "api.panoramax.xyz", "xn--bcher-kva.example.org", "a_b.fr", "invalid.fr"]
)
def test_public_names_pass(host: str) -> None:
    assert why_host_refused(host) is None
    assert not is_loopback_host(host)


def test_public_literals_pass_and_private_ones_do_not() -> None:
    assert why_host_refused("51.68.1.1") is None
    assert why_host_refused("2001:41d0:1::1") is None
    assert why_host_refused("169.254.169.254") == "169.254.169.254 is link-local"

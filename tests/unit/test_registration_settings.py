"""Settings of registration that cannot be used are named."""

from __future__ import annotations

import pytest

from federation.errors import ConfigurationError
from federation.settings import load_settings


@pytest.mark.parametrize("server", ["", "9.9.9.9", "127.0.0.1:5353", "2620:fe::fe", "[2620:fe::fe]:53"])
def test_a_name_server_is_an_address(server: str) -> None:
    assert load_settings(dns_server=server).dns_server == server


@pytest.mark.parametrize(
    "server", ["dns.example.org", "9.9.9.9:0", "9.9.9.9:x", "9.9.9.9:99999", "[::1]", "localhost:53"]
)
def test_a_name_server_that_is_none_is_named(server: str) -> None:
    with pytest.raises(ConfigurationError, match="PANOFED_DNS_SERVER="):
        load_settings(dns_server=server)


def test_registration_is_off_unless_somebody_wants_it() -> None:
    assert load_settings().registration == "off"
    with pytest.raises(ConfigurationError, match="PANOFED_REGISTRATION="):
        load_settings(registration="on")

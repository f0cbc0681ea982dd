"""Whose pages may connect, by what the server listens on and what the page's name is."""

from __future__ import annotations

import pytest

from fastbook_server.gateway.origins import Origins

LOOPBACK = ("127.0.0.1", "::1", "localhost", "127.0.0.5")
NETWORK = ("0.0.0.0", "::", "192.168.1.7", "2001:db8::1")
ANY_NAME = ("fastbook:8080", "exchange.example:8080", "exchange.example", "evil.example:8080")
OWN = ("localhost:8080", "fast.localhost", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7:8080")


@pytest.mark.parametrize("listens_on", LOOPBACK)
@pytest.mark.parametrize("host", ANY_NAME)
def test_on_loopback_a_name_proves_nothing(listens_on, host):
    name = host.partition(":")[0]
    assert Origins(listens_on, ()).why_refused(f"http://{host}", host) == (
        f"origin: expected localhost or an IP address, got the name '{name}', which anybody may "
        f"point at this machine; pages of 'http://{host}' are let in by --allowed-origin"
    )


@pytest.mark.parametrize("listens_on", NETWORK)
@pytest.mark.parametrize("host", [*ANY_NAME, *OWN])
def test_on_a_network_every_name_that_leads_here_will_do(listens_on, host):
    assert Origins(listens_on, ()).why_refused(f"http://{host}", host) is None


@pytest.mark.parametrize("listens_on", LOOPBACK)
@pytest.mark.parametrize("host", OWN)
def test_nobody_else_can_point_these_here(listens_on, host):
    assert Origins(listens_on, ()).why_refused(f"https://{host}", host) is None


def test_the_name_that_the_server_listens_on_is_its_own_and_no_other_is():
    origins = Origins("Exchange.example", ())
    assert origins.why_refused("http://exchange.example", "exchange.example") is None
    assert origins.why_refused("http://evil.example", "evil.example") is not None


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "origin", ["null", "", "http://", "http://[", "http://a:1", "http://a.evil", "a", "\xff"]
)
def test_what_names_another_host_is_foreign(listens_on, origin):
    assert Origins(listens_on, ()).why_refused(origin, "a") == (
        f"origin: expected none or that of 'a'; pages of {origin!r} are let in by --allowed-origin"
    )


def test_the_case_of_a_name_is_nothing():
    assert Origins("0.0.0.0", ()).why_refused("http://fastbook:1", "FastBook:1") is None


def test_what_the_settings_allow_is_welcome_exactly():
    origins = Origins("127.0.0.1", ("https://shop.example",))
    assert origins.why_refused("https://shop.example", "127.0.0.1:8080") is None
    for origin in ("http://shop.example", "https://shop.example:444", "https://shop.example.evil"):
        assert origins.why_refused(origin, "127.0.0.1:8080") is not None

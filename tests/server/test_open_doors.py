"""What a start says about who can reach the server."""

from __future__ import annotations

import pytest

from fastbook_server import process
from fastbook_server.config import Config, ConfigError

TOKEN = "open-sesame-open-sesame"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "exchange.example"])
def test_one_line_says_that_strangers_may_trade(host, caplog):
    process._say_who_may_trade(Config(host=host), 8080)
    (said,) = caplog.records
    assert (said.levelname, said.getMessage()) == (
        "WARNING",
        f"listening on {host}: whoever reaches port 8080 may trade; --token, a firewall or "
        "--host 127.0.0.1 behind a proxy keeps strangers out",
    )


@pytest.mark.parametrize(
    "config",
    [Config(), Config(host="::1"), Config(host="localhost"), Config(host="0.0.0.0", token=TOKEN)],
    ids=["default", "IPv6", "by name", "with a token"],
)
def test_nothing_is_said_of_closed_doors(config, caplog):
    process._say_who_may_trade(config, 8080)
    assert caplog.records == []


@pytest.mark.parametrize("wrong", ["nginx", "10.0.0.1/8", "10.0.0.0/33"])
async def test_a_trusted_proxy_is_an_address_or_a_network(wrong):
    with pytest.raises(ConfigError, match=r"^trusted_proxies: expected an address or a network"):
        await process.serve(Config(trusted_proxies=("127.0.0.1", wrong)), None)

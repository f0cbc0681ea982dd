"""What the two distributions of this repository say of themselves agrees."""

from __future__ import annotations

import pytest
from distributions import project

SERVER = project("pyproject.toml")
CLIENT = project("client/pyproject.toml")


def test_the_server_needs_the_client_of_its_own_version():
    assert SERVER["version"] == CLIENT["version"]
    assert f"{CLIENT['name']}=={CLIENT['version']}" in SERVER["dependencies"]


@pytest.mark.parametrize("name", ["requires-python", "license"])
def test_what_is_said_twice_is_the_same(name):
    assert SERVER[name] == CLIENT[name]


def test_the_client_caps_nothing():
    assert not [needed for needed in CLIENT["dependencies"] if "<" in needed or "~" in needed]
    assert not [n for n in SERVER["dependencies"] if n.startswith("aiohttp") and "<" in n]

"""setuptools' build backend, which also asks for node where the trading page is not built yet."""

from __future__ import annotations

from typing import Any

import assets
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Return what a wheel's build has to install first."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *assets.requires()]


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    """Return what a source distribution's build has to install first."""
    return [*build_meta.get_requires_for_build_sdist(config_settings), *assets.requires()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """Return what an editable install has to install first."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *assets.requires()]

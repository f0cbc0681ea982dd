"""Helpers here are plain modules in ``support``; importlib mode needs their path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

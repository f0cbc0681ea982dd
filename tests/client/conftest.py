"""Helpers of these tests are modules in ``support``; pytest's importlib mode needs the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

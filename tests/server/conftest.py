"""Helpers of these tests are plain modules in ``support``; pytest's importlib mode needs the path.

Fixtures here start what needs to be stopped again.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

"""Puts this folder on the path: the tests import the bots beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""What a check has found."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["ok", "note", "warning", "failed"]


class Observation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check has found; `cure` says what to do about it."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""

"""Which commands a bench sends, and in which proportion."""

from __future__ import annotations

import random
from typing import Literal, get_args

import msgspec

Kind = Literal["place", "cancel", "amend", "take"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""place: a limit order that rests. cancel, amend: of an open one. take: a small market order."""


class Mix(msgspec.Struct, frozen=True):
    """The weight of each kind of command."""

    place: float = 45.0
    cancel: float = 45.0
    amend: float = 0.0
    take: float = 10.0

    @classmethod
    def parse(cls, text: str) -> Mix:
        """Return the mix of a text such as ``place=9,cancel=9,take=2``; what is not named is 0.

        Raises:
            ValueError: `text` has another form, or no weight is positive.
        """
        weights: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        for part in text.split(","):
            name, _, number = part.strip().partition("=")
            try:
                weight = float(number)
            except ValueError:
                weight = -1.0
            if name not in weights or not 0 <= weight < 1e9:
                shown = ", ".join(KINDS)
                raise ValueError(f"expected KIND=WEIGHT of {shown}, got {part.strip()!r}")
            weights[name] = weight
        if not sum(weights.values()):
            raise ValueError(f"expected at least one positive weight, got {text!r}")
        return cls(**weights)

    def text(self) -> str:
        """Return the text that `parse` reads."""
        return ",".join(f"{kind}={getattr(self, kind):g}" for kind in KINDS if getattr(self, kind))

    def choose(self, chance: random.Random, open_orders: int, open_max: int) -> Kind:
        """Return the kind of the next command of a trader with so many open orders.

        Without open orders it places one in place of a cancel or an amend; with `open_max` of them
        it cancels one instead of placing one. So the book stays as large as it is.
        """
        weights = [getattr(self, kind) for kind in KINDS]
        (kind,) = chance.choices(KINDS, weights)
        if kind in ("cancel", "amend") and not open_orders:
            return "place"
        if kind == "place" and open_orders >= open_max:
            return "cancel"
        return kind

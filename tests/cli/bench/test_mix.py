"""The proportions of the commands, and the bounds of the book that they make."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fastbook_cli.bench.mix import KINDS, Mix


def test_a_text_names_weights_and_what_it_leaves_out_is_0():
    assert Mix.parse("place=9, take=0.5") == Mix(place=9, cancel=0, amend=0, take=0.5)
    assert Mix.parse(Mix().text()) == Mix()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected KIND=WEIGHT of place, cancel, amend, take, got ''"),
        ("buy=1", "expected KIND=WEIGHT of place, cancel, amend, take, got 'buy=1'"),
        ("place", "expected KIND=WEIGHT of place, cancel, amend, take, got 'place'"),
        ("place=-1", "expected KIND=WEIGHT of place, cancel, amend, take, got 'place=-1'"),
        ("place=nan", "expected KIND=WEIGHT of place, cancel, amend, take, got 'place=nan'"),
        ("place=0,take=0", "expected at least one positive weight, got 'place=0,take=0'"),
    ],
)
def test_another_text_is_refused(text, message):
    with pytest.raises(ValueError, match=r"^expected") as caught:
        Mix.parse(text)
    assert str(caught.value) == message


def test_the_kinds_come_in_their_proportions():
    chance = random.Random(1)
    mix = Mix(place=5, cancel=3, amend=1, take=1)
    found = Counter(mix.choose(chance, 5, 10) for _ in range(10_000))
    assert {kind: round(found[kind] / 1_000) for kind in KINDS} == {
        "place": 5,
        "cancel": 3,
        "amend": 1,
        "take": 1,
    }


def test_what_needs_an_open_order_places_one_first():
    chance = random.Random(1)
    assert {Mix(0, 1, 1, 0).choose(chance, 0, 10) for _ in range(100)} == {"place"}


def test_a_full_book_cancels_in_place_of_placing():
    chance = random.Random(1)
    assert {Mix(1, 0, 0, 0).choose(chance, 10, 10) for _ in range(100)} == {"cancel"}

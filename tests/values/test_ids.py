"""Ids: UUIDv7 texts that sort by time and number, and carry their parts."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbook_server.values import ids
from fastbook_server.values.ids import EPOCH_MAX, INSTRUMENT_MAX, SEQ_MAX, Id, Kind

parts = st.tuples(
    st.integers(0, 2**48 - 1),
    st.integers(0, EPOCH_MAX),
    st.integers(0, SEQ_MAX),
    st.integers(0, INSTRUMENT_MAX),
    st.sampled_from(Kind),
)


@given(parts)
def test_parts_survive_and_the_text_is_a_uuid_of_version_7(given_):
    text = ids.encode(*given_)
    read = uuid.UUID(text)
    assert (str(read), read.version, read.variant) == (text, 7, uuid.RFC_4122)
    assert ids.decode(text) == Id(*given_)


@given(parts, parts)
def test_ids_sort_as_their_parts_do_and_differ_as_they_do(one, other):
    assert (ids.encode(*one) < ids.encode(*other)) == (one < other)
    assert (ids.encode(*one) == ids.encode(*other)) == (one == other)


@pytest.mark.parametrize(
    "text", ["", "x" * 36, "0" * 35, "0" * 37, "-" * 36, "0198" * 9 + "\0", "é" * 36]
)
def test_what_cannot_be_an_id_has_no_parts(text):
    assert ids.decode(text) is None


@given(st.text(max_size=40))
def test_no_text_does_anything_but_decode_or_be_none(text):
    found = ids.decode(text)
    assert found is None or len(text) == 36

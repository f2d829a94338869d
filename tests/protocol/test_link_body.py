"""Parts of the link over HTTP: what is written is read, however it is cut, and nothing longer than its bound is kept."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.link_body import (
    ALIVE,
    NUMBER_MAX,
    REASON_BYTES_MAX,
    BadPart,
    Opened,
    Over,
    Part,
    Parts,
    encode_opened,
    encode_over,
    encode_part,
    read_word,
)

PARTS = st.lists(st.tuples(st.integers(0, NUMBER_MAX), st.binary(max_size=300)), max_size=6)


@given(PARTS, st.lists(st.integers(0, 2000), max_size=8))
def test_parts_are_read_as_they_were_written_wherever_the_bytes_are_cut(written: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(encode_part(number, payload) for number, payload in written)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = Parts(300)
    read = [part for begin, end in pairwise(places) for part in parts.feed(data[begin:end])]
    assert read == [Part(number, payload) for number, payload in written]
    assert parts.is_between


@given(st.binary(max_size=40))
def test_any_bytes_are_parts_or_a_bad_part_and_nothing_else(data: bytes) -> None:
    try:
        for part in Parts(16).feed(data):
            assert len(part.payload) <= 16
            if part.number == 0:
                read_word(part.payload)
    except BadPart:
        pass


def test_a_message_beyond_the_bound_is_refused_before_it_has_come() -> None:
    with pytest.raises(BadPart, match="at most 16"):
        list(Parts(16).feed(encode_part(1, bytes(17))[:3]))


def test_a_number_that_never_ends_is_refused() -> None:
    with pytest.raises(BadPart, match="too large"):
        list(Parts(16).feed(b"\xff" * 9))


def test_the_words_about_a_link_are_read_back() -> None:
    def word(data: bytes) -> Opened | Over | None:
        (part,) = Parts(300).feed(data)
        assert part.number == 0
        return read_word(part.payload)

    assert word(encode_opened("0000002a-1", "secret")) == Opened("0000002a-1", "secret")
    assert word(encode_over(4003, "no more")) == Over(4003, "no more")
    assert word(encode_over(4003, "x" * 500)) == Over(4003, "x" * REASON_BYTES_MAX)
    assert word(ALIVE) is None
    assert word(encode_part(0, b"zsomething newer")) is None

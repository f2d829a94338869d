"""Cursors in few bytes: what is packed is unpacked, and what nobody packs is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import BadFrame, decode_command, encode
from protocol.codes import Code
from protocol.cursors import pack, unpack
from protocol.frames import CURSORS_MAX, Resume, Resumed
from protocol.values import ID_MAX, Cursor, LinkQuality
from tests.protocol.test_vectors import VECTORS

CURSORS = st.lists(
    st.builds(Cursor, st.integers(1, ID_MAX), st.integers(0, ID_MAX)), max_size=CURSORS_MAX, unique_by=lambda cursor: cursor.stream
).map(tuple)


@pytest.mark.parametrize("vector", VECTORS["cursors"], ids=lambda vector: vector["name"])
def test_the_vectors_of_cursors_are_packed_and_unpacked_alike(vector: dict[str, Any]) -> None:
    cursors = tuple(Cursor(*cursor) for cursor in vector["cursors"])
    assert (pack(cursors), unpack(vector["packed"])) == (tuple(vector["packed"]), cursors)


@pytest.mark.parametrize("vector", VECTORS["bad_cursors"], ids=lambda vector: vector["name"])
def test_the_vectors_of_bad_cursors_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(BadFrame) as refused:
        unpack(vector["packed"])
    assert refused.value.code.name == vector["code"]


@given(CURSORS)
def test_cursors_are_unpacked_as_they_were_packed_and_in_their_order(cursors: tuple[Cursor, ...]) -> None:
    resume = decode_command(encode(Resume(b"ticket", 0, pack(cursors))))
    assert isinstance(resume, Resume) and unpack(resume.cursors) == cursors


@given(st.lists(st.integers(-ID_MAX, ID_MAX), max_size=12))
def test_numbers_are_cursors_that_pack_to_them_or_are_refused(numbers: list[int]) -> None:
    try:
        cursors = unpack(numbers)
    except BadFrame as bad:
        assert bad.code is Code.INVALID and bad.tag == 2
        return
    assert pack(cursors) == tuple(numbers)
    assert len({cursor.stream for cursor in cursors}) == len(cursors)


@pytest.mark.parametrize(
    ("numbers", "detail"),
    [
        ((7,), "cursors are pairs, and there are 1 numbers"),
        ((0, 1), "the cursor at place 0 is none: stream 0, position 1"),
        ((7, 1, 1, -1), "the cursor at place 1 is none: stream 8, position -1"),
        ((7, 1, 1, 1, -1, 1), "the cursor at place 2 is none: stream 7, position 1"),
        ((ID_MAX, 1, 1, 1), f"the cursor at place 1 is none: stream {ID_MAX + 1}, position 1"),
    ],
)
def test_what_is_no_cursor_is_refused_with_its_place(numbers: tuple[int, ...], detail: str) -> None:
    with pytest.raises(BadFrame) as refused:
        unpack(numbers)
    assert refused.value.detail == detail


def test_five_cursors_of_streams_made_together_take_a_third_less_than_one_by_one() -> None:
    cursors = tuple(Cursor(1_000_000 + n, 1_500 + n) for n in range(5))
    assert len(encode(Resume(b"", 0, pack(cursors)))) - len(encode(Resume(b"", 0))) == 5 + 4 * 1 + 5 * 3


def test_a_resume_of_unrelated_streams_of_an_old_and_large_installation_stays_within_100_bytes() -> None:
    streams = (2_000_000_011, 7_000_003, 1_200_000_007, 400_000_009, 1_900_000_001)
    cursors = tuple(Cursor(stream, 60_000 + n) for n, stream in enumerate(streams))
    up = encode(Resume(bytes(32), 899_999, pack(cursors), LinkQuality.TWO_G, 120, 4))
    down = encode(Resumed(60_000, 30_000, 120))
    assert len(up) + len(down) <= 100


def test_more_cursors_than_a_hello_may_have_are_refused() -> None:
    with pytest.raises(BadFrame):
        decode_command(encode(Resume(b"ticket", 0, (1, 0) * (CURSORS_MAX + 1))))

"""What the sandbox makes of updates can be loaded, and it names what is no part of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pycrdt import Doc, Map, Text

from protocol.yjs import read_reach
from sandbox.documents import compact

EMOJI = b"\1\1\2\0\4\1\4text\x08" + "😀😀".encode() + b"\0"
HALF = b"\0\1\2\1\0\1"
"""Deletes the first half of the first one, as counted in UTF-16."""
BESIDE = b"\1\1\7\0\x84\2\3\1x\0"


def made(*updates: bytes, base: tuple[bytes, ...] = ()) -> tuple[str, list[int], dict[int, int]]:
    """What one reads who loads the state, what is no part of it, and how far each pen is in it."""
    state, faulty, vector = msgspec.msgpack.decode(compact(msgspec.msgpack.encode((base, updates))))
    doc: Doc[Any] = Doc()
    doc.apply_update(state)
    assert read_reach(doc.get_state()) == read_reach(vector)
    return str(doc.get("text", type=Text)), faulty, read_reach(vector)


def test_a_state_is_all_that_was_written_and_says_how_far_each_pen_came() -> None:
    assert made(EMOJI, BESIDE) == ("😀😀x", [], {2: 4, 7: 1})
    assert made(BESIDE, base=(EMOJI,)) == ("😀😀x", [], {2: 4, 7: 1})
    assert made() == ("", [], {})


def test_an_update_after_which_nobody_could_load_the_state_is_named_and_the_others_stand() -> None:
    """pycrdt 0.14.13 takes half a letter away and writes a state that counts less than was written: all that comes next would wait."""
    doc: Doc[Any] = Doc()
    for update in (EMOJI, HALF):
        doc.apply_update(update)
    again: Doc[Any] = Doc()
    again.apply_update(doc.get_update())
    assert read_reach(again.get_state()) == {2: 3} != read_reach(doc.get_state())
    assert made(EMOJI, HALF, BESIDE) == ("😀😀x", [1], {2: 4, 7: 1})


def test_what_refers_to_what_is_not_there_is_never_applied_and_is_named() -> None:
    ahead, on = b"\1\1\7\0\x84\2\4\1x\0", b"\1\1\7\1\x84\2\0\1y\0"
    assert made(EMOJI, ahead, on, BESIDE) == ("😀😀x", [1, 2], {2: 4, 7: 1})
    assert made(b"no update", EMOJI, b"\0\1\2\1\0\5") == ("😀😀", [0, 2], {2: 4})


def test_what_cannot_be_applied_is_named_and_what_goes_on_from_it_too() -> None:
    within, on = b"\1\1\7\0\4\0\2\0\1x\0", b"\1\1\7\1\x84\2\0\1y\0"
    assert made(EMOJI, within, on) == ("😀😀", [1, 2], {2: 4})


def test_a_state_that_is_none_is_said_to_be() -> None:
    for base in ((b"no update",), (EMOJI, HALF)):
        with pytest.raises(Exception, match=r"state itself|Cannot decode|update"):
            made(BESIDE, base=base)


def test_maps_and_what_they_hold_are_in_a_state() -> None:
    doc: Doc[Any] = Doc(client_id=5)
    fields = doc.get("map", type=Map)
    fields["a"] = Map({"b": Text("deep")})
    fields["c"] = 1
    state, faulty, _ = msgspec.msgpack.decode(compact(msgspec.msgpack.encode(((), [doc.get_update()]))))
    again: Doc[Any] = Doc()
    again.apply_update(state)
    assert (again.get("map", type=Map).to_py(), faulty) == ({"a": {"b": "deep"}, "c": 1}, [])

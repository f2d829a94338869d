"""The measure of documents types a trace as the people of it did: each key in the text that its writer had before them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pycrdt import Doc, Text

from bench.documents import CONCURRENT, Trace, Transaction, part, play_alone, reach, read_trace
from bench.peer import PeerMissing
from client.documents import TEXT

TRACE = Trace(
    "Dear Ben,\nhow are you?\nAnn",
    [
        Transaction([(0, 0, "Dear Ben,\n")], [], 0),
        Transaction([(10, 0, "how is it?\n")], [0], 0),
        Transaction([(10, 0, "Ann")], [0], 1),  # who had not read the line that was written meanwhile
        Transaction([(14, 5, "are you")], [1], 0),
        Transaction([], [2, 3], 1),
    ],
)


def test_both_write_in_the_text_that_they_had_and_come_to_the_end_of_the_trace() -> None:
    keys, text = part(TRACE)
    assert [len(mine) for mine in keys] == [3, 1] and text == TRACE.end_content
    assert [key.needs for key in keys[1]] == [10], "Ann had read one line of ten letters"
    doc: Doc[Any] = Doc()
    for key in (*keys[1], *keys[0]):  # whatever the order in which they come
        doc.apply_update(key.update)
    assert str(doc.get(TEXT, type=Text)) == text
    assert (reach(doc, 1001), reach(doc, 1002), reach(doc, 1003)) == (28, 3, 0)


def test_a_writer_alone_comes_to_the_end_too() -> None:
    trace = Trace("", [Transaction([(0, 0, "helo")]), Transaction([(2, 0, "l"), (0, 1, "H")])])
    assert str(play_alone(trace).get(TEXT, type=Text)) == "Hello"


def test_a_trace_that_is_not_here_is_named_and_a_short_run_takes_its_beginning(tmp_path: Path) -> None:
    with pytest.raises(PeerMissing, match="--traces"):
        read_trace(str(tmp_path), CONCURRENT, 10)
    (tmp_path / CONCURRENT).write_bytes(gzip.compress(msgspec.json.encode({"endContent": "ab", "txns": TRACE.txns})))
    assert len(read_trace(str(tmp_path), CONCURRENT, 2).txns) == 2 and read_trace(str(tmp_path), CONCURRENT, 2).end_content == ""
    assert read_trace(str(tmp_path), CONCURRENT, 10).end_content == "ab"

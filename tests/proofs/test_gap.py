"""The gap test: readers by the product's cursors have everything that was committed late, those by a serial number do not."""

from __future__ import annotations

import re

import pytest

from proofs import gap
from proofs.gapping.verdict import Delivered, judge

STREAM = 5


def counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"(never delivered|doubled|out of order|not as committed) (\d+)", text)}


def test_no_event_is_missed_by_a_reader_whose_cursor_is_the_products(capsys: pytest.CaptureFixture[str]) -> None:
    assert gap.main(["--seconds", "2", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert counts(printed) == {"never delivered": 0, "doubled": 0, "out of order": 0, "not as committed": 0}
    found = re.search(r"(\d+) events committed, (\d+) rolled back, (\d+) deliveries", printed)
    assert found is not None
    committed, rolled_back, deliveries = map(int, found.groups())
    assert committed > 100 and rolled_back > 0 and deliveries == 3 * committed


def test_a_serial_cursor_loses_events_and_the_test_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gap.main(["--seconds", "2", "--seed", "7", "--serial"]) == 1
    printed = capsys.readouterr()
    assert counts(printed.out)["never delivered"] > 0
    assert "LOST" in printed.err


# The verdict

LOG = {1: b"one", 2: b"two", 3: b"three"}
WHOLE: list[Delivered] = [(1, b"one"), (2, b"two"), (3, b"three")]


def test_what_is_whole_is_good_and_nothing_at_all_is_not() -> None:
    verdict = judge({STREAM: LOG}, [{STREAM: WHOLE}, {STREAM: WHOLE}])
    assert verdict.good
    assert (verdict.committed, verdict.deliveries) == (3, 6)
    assert not judge({STREAM: {}}, [{STREAM: []}]).good


@pytest.mark.parametrize(
    ("copy", "count"),
    [
        (WHOLE[:2], "never"),
        ([WHOLE[0], WHOLE[2]], "never"),
        ([*WHOLE[:2], *WHOLE[1:]], "doubled"),
        ([WHOLE[1], WHOLE[0], WHOLE[2]], "out_of_order"),
        ([*WHOLE, (4, b"four")], "foreign"),
        ([*WHOLE[:2], (3, b"other")], "foreign"),
    ],
)
def test_the_verdict_finds(copy: list[Delivered], count: str) -> None:
    verdict = judge({STREAM: LOG}, [{STREAM: WHOLE}, {STREAM: copy}])
    assert getattr(verdict, count) == 1
    assert not verdict.good


def test_the_verdict_finds_events_of_a_stream_that_nobody_wrote() -> None:
    assert judge({STREAM: LOG}, [{STREAM: WHOLE, STREAM + 1: WHOLE}]).foreign == 3

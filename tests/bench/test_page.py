"""What the measurement of the app counts: frames' work from a trace, and scores from a report. No times here."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.page_lighthouse import CATEGORIES, read_report
from bench.page_scroll import Piece, outermost, read_trace, work

MAIN = {"pid": 1, "tid": 1}


def task(at_ms: float, worked_ms: float, name: str = "RunTask", where: dict[str, int] = MAIN) -> dict[str, Any]:
    """Twice as long as it worked."""
    return {"name": name, "ph": "X", "ts": at_ms * 1000, "dur": 2 * worked_ms * 1000, "tdur": worked_ms * 1000, **where}


def named(thread: str, **where: int) -> dict[str, Any]:
    return {"name": "thread_name", "ph": "M", "args": {"name": thread}, **MAIN, **where}


def test_a_frame_is_all_that_was_done_up_to_its_commit() -> None:
    events = [
        named("CrRendererMain"),
        named("Compositor", tid=2),
        task(0, 2),
        task(1, 1),  # inside the first: not twice
        task(5, 3),
        task(10, 0.5, "Commit"),
        task(3, 25, where={"pid": 1, "tid": 2}),  # another thread's
        task(12, 1.5),
        task(14, 0.5, "Commit"),
    ]
    assert read_trace(events) == [5, 1.5]


def test_what_is_done_in_an_idle_time_is_no_part_of_the_next_frame_and_a_long_task_is_a_long_frame() -> None:
    pieces = [Piece(0, 2, 1), Piece(100, 5, 4), Piece(110, 20, 16), Piece(131, 4, 3)]
    assert list(work(pieces, [134])) == [(1, False), (23, True)]
    events = [named("CrRendererMain"), task(0, 40), task(100, 3), task(102, 0.5, "Commit")]
    assert read_trace(events) == [40, 3]


def test_the_page_that_is_judged_is_the_one_that_drew() -> None:
    other = {"pid": 7, "tid": 7}
    events = [named("CrRendererMain"), named("CrRendererMain", **other), task(0, 90, where=other), task(0, 5), task(1, 1, "Commit")]
    assert read_trace(events) == [5]
    assert read_trace([named("CrRendererMain"), task(0, 5)]) == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=40), st.lists(st.integers(0, 2000), max_size=20))
def test_no_time_of_the_main_thread_is_lost_or_counted_twice(gaps: list[tuple[int, int]], commits: list[int]) -> None:
    at_ms, pieces = 0, []
    for gap_ms, took_ms in gaps:
        pieces.append(Piece(at_ms + gap_ms, took_ms, took_ms / 2))
        at_ms += gap_ms + took_ms
    frames = list(work(outermost(pieces), sorted(commits)))
    assert sum(spent_ms for spent_ms, _ in frames) == sum(piece.worked_ms for piece in pieces)
    assert sum(drawn for _, drawn in frames) <= len(commits)


def test_a_report_says_by_what_a_category_was_lowered() -> None:
    audits = {
        "good": {"id": "good", "score": 1},
        "slow": {"id": "slow", "score": 0.4, "displayValue": "3.1\xa0s"},
        "hint": {"id": "hint", "score": 0},
        "elsewhere": {"id": "elsewhere", "score": None},
    }
    refs = [{"id": "good", "weight": 1}, {"id": "slow", "weight": 3}, {"id": "hint", "weight": 0}, {"id": "elsewhere", "weight": 1}]
    report = {"audits": audits, "categories": {name: {"score": 0.97, "auditRefs": refs} for name in CATEGORIES}}
    judged = read_report(report)
    assert judged.scores == dict.fromkeys(CATEGORIES, 97)
    assert judged.lowered["seo"] == ("slow (3.1 s)",)

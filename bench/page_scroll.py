"""Scrolling through ten thousand messages: what the main thread works in each frame, as the browser's own trace tells it.

    open at the end ─▶ a finger's throws upwards, older messages coming ─▶ the beginning ─▶ down again ─▶ trace
                       in stretches: ▄▄▄····▄▄▄····▄▄▄····▄▄▄     ▄ measured   · hurried through, by jumps to what is oldest

    main thread   │task task  ·  task+commit│task│      idle      │task+commit│         work of a frame: all tasks up to its commit
    the screen    ·         ·         ·         ·         ·         ·

A frame ends when it is handed to the compositor (`Commit`), or at a beat of the screen at which the main thread is idle: what it does
then is in the next one's time. Work is the thread's CPU time, made slower as all of it: what else runs on this machine is not in it.
Counted are frames that drew something, and those that took longer than a beat, while a throw moves something;
frames in which it had nothing to do, and those that the compositor scrolled alone, would make it look better.

Invariant: all of the main thread's time lies in some frame: a task that outlasts its frame makes that frame long.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import msgspec

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.page_browser import CPU_SLOWER, Visit, log_in
from bench.page_scene import Scene

CATEGORIES: Final = ("disabled-by-default-devtools.timeline",)
"""Tasks and commits. Each event more would be work of the thread, four times slower like all of it."""
BEAT_MS: Final = 1000 / 60
THROW_PX: Final = 3_000
THROWS: Final = 3
STRETCHES: Final = 6
"""So many throws at so many places, evenly from one end to the other: through nearly all of a thousand messages, and every tenth of ten
thousand, while the others are held. Where the screen is drawn without a graphics card, all of ten thousand would take most of an hour."""
PAGE: Final = 50
PAGE_PX: Final = 2_750
"""As many events as the page asks for at once, and about how tall they are."""
WAIT_MS: Final = 30
SPEED_PX_S: Final = 4_000
"""Half of the fastest fling that Android knows (8,000 a second, and soon slower), and without end: five phones' heights a second."""
SECONDS_MAX: Final = 600.0
LOOKS_NO_MORE: Final = "window.benchSeen.over = true"
"""Whoever asks at each frame whether it can be used draws frames, too."""
GOAL: Final = Goal(figure_max=16.0)
PLACE: Final = """(() => {
  const box = document.querySelector(".said");
  return [
    Math.round(box.scrollTop),
    Math.round(box.scrollHeight - box.clientHeight - box.scrollTop),
    document.querySelectorAll(".message").length,
    box.querySelectorAll("*").length,
    box.querySelector(".message")?.textContent ?? "",
    !!box.querySelector(".beginning button"),
  ];
})()"""

TO_BEGINNING: Final = """document.querySelector(".said").scrollTop = 0"""
TO_PART: Final = """(part => {
  const box = document.querySelector(".said");
  box.scrollTop = part * (box.scrollHeight - box.clientHeight);
})"""


class Place(msgspec.Struct, frozen=True):
    """Where one is, as the page tells it."""

    above_px: int
    below_px: int
    rows: int
    nodes: int
    first: str
    more: bool
    """There are older ones than those that are here."""

    def is_end(self, upwards: bool) -> bool:
        return self.above_px <= 1 and not self.more if upwards else self.below_px <= 1


class Scrolled(msgspec.Struct, frozen=True):
    """One way through the messages. `frames_ms`: the main thread's work of each; `rows`, `nodes`: the most that there were at once."""

    frames_ms: tuple[float, ...]
    rows: int
    nodes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{len(self.frames_ms):,} frames in {self.seconds:.0f} s, ms of work p50 {self.p(50):.1f}, p95 {self.p(95):.1f},"
            f" p99 {self.p(99):.1f}, most {max(self.frames_ms):.1f}; at most {self.rows:,} messages and {self.nodes:,} elements at once"
        )

    def p(self, percent: int) -> float:
        return quantiles(self.frames_ms, n=100, method="inclusive")[percent - 1]


class Piece(msgspec.Struct, frozen=True):
    """A task of the main thread, in milliseconds of the trace's clock. `worked_ms`: of its CPU time."""

    at_ms: float
    took_ms: float
    worked_ms: float


Span = tuple[float, float]
ALWAYS: Final[Span] = (float("-inf"), float("inf"))


def read_trace(events: Sequence[dict[str, Any]], spans: Sequence[Span] = (ALWAYS,)) -> list[float]:
    """The main thread's work in each frame of these spans, which follow each other, in milliseconds of the trace's clock (the machine's
    monotonic one)."""
    threads = {
        (one["pid"], one["tid"]) for one in events if one.get("name") == "thread_name" and one["args"].get("name") == "CrRendererMain"
    }
    commits: dict[tuple[int, int], list[float]] = {}
    for one in events:
        if one.get("name") == "Commit" and one.get("ph") == "X" and (one["pid"], one["tid"]) in threads:
            commits.setdefault((one["pid"], one["tid"]), []).append(one["ts"] / 1000)
    if not commits:
        return []
    # The page is the one that drew most.
    thread = max(commits, key=lambda one: len(commits[one]))
    tasks = sorted(
        (
            Piece(one["ts"] / 1000, one.get("dur", 0) / 1000, one.get("tdur", 0) / 1000)
            for one in events
            if (one["pid"], one["tid"]) == thread and one.get("ph") == "X" and one.get("name", "").endswith("RunTask")
        ),
        key=lambda task: (task.at_ms, -task.took_ms),
    )
    pieces, committed = list(outermost(tasks)), sorted(commits[thread])
    return [
        work_ms
        for begin_ms, end_ms in spans
        for work_ms, drawn in work(
            (piece for piece in pieces if begin_ms <= piece.at_ms < end_ms), [at_ms for at_ms in committed if begin_ms <= at_ms < end_ms]
        )
        if drawn or work_ms > BEAT_MS
    ]


def outermost(tasks: Sequence[Piece]) -> Iterator[Piece]:
    """Without tasks within tasks; the tasks in the order of their beginning."""
    end_ms = float("-inf")
    for task in tasks:
        if task.at_ms >= end_ms:
            yield task
            end_ms = task.at_ms + task.took_ms


def work(tasks: Iterable[Piece], commits: Sequence[float]) -> Iterator[tuple[float, bool]]:
    """Each frame's work in milliseconds, and whether it drew something."""
    coming = iter([*commits, float("inf")])
    commit_ms = next(coming)
    spent_ms, beat_ms, idle_from_ms, busy = 0.0, 0.0, 0.0, False
    for task in tasks:
        end_ms = task.at_ms + task.took_ms
        if busy:
            while beat_ms < idle_from_ms:
                beat_ms += BEAT_MS
            if task.at_ms > beat_ms:
                yield spent_ms, False
                spent_ms, busy = 0.0, False
        if not busy:
            beat_ms, busy = task.at_ms + BEAT_MS, True
        spent_ms += task.worked_ms
        idle_from_ms = end_ms
        drawn = commit_ms < end_ms
        while commit_ms < end_ms:
            commit_ms = next(coming)
        if drawn:
            yield spent_ms, True
            spent_ms, busy = 0.0, False
    if busy:
        yield spent_ms, False


def trace(visit: Visit, do: Callable[[], None], keep: Path | None = None) -> list[dict[str, Any]]:
    """Does something, and gives the browser's trace of it. `keep`: a file for it, for Chromium's own tools."""
    cdp = visit.cdp
    chunks: list[dict[str, Any]] = []
    done: list[bool] = []
    cdp.on("Tracing.dataCollected", lambda said: chunks.extend(said["value"]))
    cdp.on("Tracing.tracingComplete", lambda said: done.append(True))
    config = {"includedCategories": list(CATEGORIES), "recordMode": "recordContinuously", "traceBufferSizeInKb": 400_000}
    cdp.send("Tracing.start", {"traceConfig": config, "transferMode": "ReportEvents"})
    do()
    cdp.send("Tracing.end")
    while not done:
        visit.page.wait_for_timeout(100)
    if keep is not None:
        keep.write_bytes(gzip.compress(json.dumps({"traceEvents": chunks}).encode()))
    return chunks


class Way:
    """One way through the messages of a page. The page asks for older ones by itself."""

    def __init__(self, visit: Visit, upwards: bool, messages: int) -> None:
        self._visit = visit
        self._upwards = upwards
        self._messages = messages
        self._rows = self._nodes = 0
        self._spans: list[Span] = []
        self._until_s = time.monotonic() + SECONDS_MAX

    def go(self, keep: Path | None = None) -> Scrolled:
        """From one end to the other. Raises `GeneratorFailed` where that is not reached in time."""
        began_s = time.monotonic()
        events = trace(self._visit, self._through, keep)
        return Scrolled(tuple(read_trace(events, self._spans)), self._rows, self._nodes, time.monotonic() - began_s)

    def _through(self) -> None:
        for stretch in range(STRETCHES):
            for _ in range(THROWS):
                self._throw()
            self._hurry((stretch + 1) / STRETCHES)
        place = self._look()
        if not place.is_end(self._upwards):
            raise GeneratorFailed(f"the end of the messages was not reached within {SECONDS_MAX:g} s, but {place}")

    def _look(self) -> Place:
        return Place(*self._visit.page.evaluate(PLACE))

    def _throw(self) -> None:
        """Measured only if it moved something."""
        box = self._visit.page.locator(".said").bounding_box()
        assert box is not None
        before, began_s = self._look(), time.monotonic()
        throw = {
            "x": box["x"] + box["width"] / 2,
            "y": box["y"] + box["height"] / 2,
            "yDistance": THROW_PX if self._upwards else -THROW_PX,
            "speed": SPEED_PX_S,
            "gestureSourceType": "mouse",
        }
        self._visit.cdp.send("Input.synthesizeScrollGesture", throw)
        place = self._look()
        self._rows, self._nodes = max(self._rows, place.rows), max(self._nodes, place.nodes)
        if place != before:
            self._spans.append((began_s * 1000, time.monotonic() * 1000))

    def _hurry(self, part: float) -> None:
        """To the place that is this part of the way, as fast as it goes."""
        visit = self._visit
        visit.slower(1)
        if self._upwards:
            pages = self._messages / PAGE / STRETCHES - THROWS * THROW_PX / PAGE_PX
            asked, before = 0, self._look()
            while (asked < pages or part == 1) and not before.is_end(True) and time.monotonic() < self._until_s:
                visit.page.evaluate(TO_BEGINNING)
                visit.page.wait_for_timeout(WAIT_MS)
                place = self._look()
                asked += place.first != before.first
                before = place
        else:
            visit.page.evaluate(f"{TO_PART}({part})")
            visit.page.wait_for_timeout(10 * WAIT_MS)
        visit.slower(CPU_SLOWER)


def measure(scene: Scene) -> list[Measured]:
    """Both ways, on a fast link: what the main thread does with what has come."""
    with scene.browser("scrolling") as context:
        log_in(context, scene.house.origin)
        visit = Visit(context)
        visit.go(scene.chat(scene.house.long))
        visit.usable_ms("chat")
        visit.usable_ms("online")
        visit.page.evaluate(LOOKS_NO_MORE)
        ways: dict[str, Scrolled] = {}
        for way, upwards in (("up", True), ("down again", False)):
            ways[way] = Way(visit, upwards, scene.messages).go()
            scene.say(f"  scrolling {way}: {ways[way]}")
        if visit.wrong:
            raise GeneratorFailed(f"the page went wrong while it was scrolled: {visit.wrong}")
    note = f"{CPU_SLOWER}× slower CPU; frames that drew something, and all that took longer than a beat of the screen"
    count = f"{scene.messages:,} messages"
    return [
        Measured(
            f"scrolling {count} {way}, main thread's work in a frame, p95",
            one.p(95),
            "ms",
            goal=None if scene.options.quick else GOAL,
            note=f"p50 {one.p(50):.1f}, p99 {one.p(99):.1f}, most {max(one.frames_ms):.1f} of {len(one.frames_ms):,} frames; at most"
            f" {one.rows:,} messages and {one.nodes:,} elements at once; {note}",
        )
        for way, one in ways.items()
    ]

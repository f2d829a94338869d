"""Scrolling through ten thousand messages: what the main thread works in each frame, as the browser's own trace tells it.

    open at the end ─▶ a finger's throws upwards, older messages coming ─▶ the beginning ─▶ down again ─▶ trace

    main thread   │task task  ·  task+commit│task│      idle      │task+commit│         work of a frame: all tasks up to its commit
    the screen    ·         ·         ·         ·         ·         ·

A frame ends when it is handed to the compositor (`Commit`), or at a beat of the screen at which the main thread is idle: what it does
then is in the next one's time. Work is the thread's CPU time, made slower as all of it: what else runs on this machine is not in it.
Counted are frames that drew something, and those that took longer than a beat; frames in which it had nothing to do, and which the
compositor scrolled alone, would make it look better.

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
SPEED_PX_S: Final = 4_000
"""Half of the fastest fling that Android knows (8,000 a second, and soon slower), and without end: five phones' heights a second."""
STILL: Final = 12
"""So many throws that move nothing are an end, or a page that is waited for."""
SECONDS_MAX: Final = 1200.0
GOAL: Final = Goal(figure_max=16.0)
PLACE: Final = """(() => {
  const box = document.querySelector(".said");
  return [
    Math.round(box.scrollTop),
    Math.round(box.scrollHeight - box.clientHeight - box.scrollTop),
    document.querySelectorAll(".message").length,
    box.querySelectorAll("*").length,
    box.querySelector(".message")?.textContent ?? "",
  ];
})()"""


class Place(msgspec.Struct, frozen=True):
    """Where one is, as the page tells it."""

    above_px: int
    below_px: int
    rows: int
    nodes: int
    first: str


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


def read_trace(events: Sequence[dict[str, Any]]) -> list[float]:
    """The main thread's work in each frame."""
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
    return [work_ms for work_ms, drawn in work(outermost(tasks), sorted(commits[thread])) if drawn or work_ms > BEAT_MS]


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


def scroll(visit: Visit, upwards: bool, keep: Path | None = None) -> Scrolled:
    """From one end to the other. The page asks for older messages by itself."""
    page = visit.page
    box = page.locator(".said").bounding_box()
    assert box is not None
    throw = {
        "x": box["x"] + box["width"] / 2,
        "y": box["y"] + box["height"] / 2,
        "yDistance": THROW_PX if upwards else -THROW_PX,
        "speed": SPEED_PX_S,
        "gestureSourceType": "mouse",
    }
    rows = nodes = still = 0
    place: Place | None = None
    began_s = time.monotonic()

    def go() -> None:
        nonlocal rows, nodes, still, place
        while still < STILL and time.monotonic() - began_s < SECONDS_MAX:
            visit.cdp.send("Input.synthesizeScrollGesture", throw)
            before, place = place, Place(*page.evaluate(PLACE))
            rows, nodes = max(rows, place.rows), max(nodes, place.nodes)
            still = still + 1 if place == before else 0

    scrolled = Scrolled(tuple(read_trace(trace(visit, go, keep))), rows, nodes, time.monotonic() - began_s)
    if place is None or still < STILL or (place.above_px if upwards else place.below_px) > 1:
        raise GeneratorFailed(f"the end of the messages was not reached within {SECONDS_MAX:g} s, but {place}; until there {scrolled}")
    return scrolled


def measure(scene: Scene) -> list[Measured]:
    """Both ways, on a fast link: what the main thread does with what has come."""
    with scene.browser("scrolling") as context:
        log_in(context, scene.house.origin)
        visit = Visit(context)
        visit.go(scene.chat(scene.house.long))
        visit.usable_ms("chat")
        visit.usable_ms("online")
        ways: dict[str, Scrolled] = {}
        for way, upwards in (("up", True), ("down again", False)):
            ways[way] = scroll(visit, upwards)
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

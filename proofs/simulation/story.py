"""A seed's story as a sequence diagram in text: a column for each device and gateway, for Postgres and for Redis, and time downwards.

          ms    d1   d2   g1   g2   pg   redis
      1203.4    ├────┼────▶    │    │    │     Mutate 4 Say→11 'text 9'  +35
    ! 1210.0    │    │    │    ╳◀───┼────┤     publish 11#7

An arrow stands where something arrived; +35 says that it set out 35 ms before. One that ends in ╳ never arrived. What is marked ! in the
margin was done to the system; the rest it did itself.

Invariant: no line is longer than `WIDTH`, and the same told things make the same lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from proofs.simulation.world import POSTGRES, REDIS, Told, Violation

WIDTH = 140
TIME_WIDTH = 13
TEXT_MIN = 62
COLUMN_MAX = 12
HEAD_EVERY = 60
"""Lines after which the columns' names stand again."""
LAST_LINES = 60
"""Of the story around a violation."""


class Wanted(Struct, frozen=True):
    """Which part of a story. Empty or 0: all. Times are milliseconds."""

    columns: tuple[str, ...] = ()
    streams: tuple[int, ...] = ()
    from_ms: float = 0.0
    to_ms: float = float("inf")

    def takes(self, told: Told) -> bool:
        """What is not about anybody in particular is about everybody."""
        if not self.from_ms <= told.at * 1000 <= self.to_ms:
            return False
        if self.columns and told.who and not {told.who, told.to} & set(self.columns):
            return False
        return not self.streams or not told.streams or bool(set(told.streams) & set(self.streams))


ALL = Wanted()


def draw(story: Iterable[Told], wanted: Wanted = ALL) -> list[str]:
    """The lines of a story, or of a part of it."""
    taken = [told for told in story if wanted.takes(told)]
    lanes = sorted({lane for told in taken for lane in (told.who, told.to) if lane}, key=_place)
    if not lanes:
        return ["nothing of that happened"]
    column = max(4, min(COLUMN_MAX, (WIDTH - TIME_WIDTH - TEXT_MIN) // len(lanes)))
    middle = {lane: column // 2 + place * column for place, lane in enumerate(lanes)}
    head = f"{'ms':>{TIME_WIDTH - 2}}  " + "".join(lane.center(column) for lane in lanes)
    lines: list[str] = []
    for count, told in enumerate(taken):
        if count % HEAD_EVERY == 0:
            lines.append(head.rstrip())
        lines.append(_line(told, middle, column * len(lanes)))
    return lines


def draw_around(story: Sequence[Told], violation: Violation) -> list[str]:
    """The last part of a story that a violation is about, and what was done to the system meanwhile."""
    if not violation.device and not violation.stream:
        return draw(story[-LAST_LINES:])
    column = f"d{violation.device}"
    about = [
        told
        for told in story
        if (column in (told.who, told.to) and (not violation.stream or not told.streams or violation.stream in told.streams))
        or (violation.stream in told.streams and (told.fault or not violation.device or POSTGRES in (told.who, told.to)))
        or (told.fault and not told.to and told.who[:1] != "d")
    ]
    return draw(about[-LAST_LINES:])


def _line(told: Told, middle: dict[str, int], width: int) -> str:
    lanes = [" "] * width
    for place in middle.values():
        lanes[place] = "│"
    if told.to:
        _arrow(lanes, middle[told.who], middle[told.to], told.lost)
    elif told.who:
        lanes[middle[told.who]] = "█" if told.fault else "●"
    late = f"  +{told.under_way_s * 1000:.0f}" if told.to and told.under_way_s >= 0.001 else ""
    line = f"{'!' if told.fault else ' '}{told.at * 1000:>{TIME_WIDTH - 3}.1f}  {''.join(lanes)} "
    room = WIDTH - len(line) - len(late)
    what = told.what if len(told.what) <= room else told.what[: room - 1] + "…"
    return (line + what + late).rstrip()


def _arrow(lanes: list[str], start: int, end: int, lost: bool) -> None:
    step = 1 if end > start else -1
    for place in range(start, end, step):
        lanes[place] = "┼" if lanes[place] == "│" else "─"
    lanes[start] = "├" if step > 0 else "┤"
    lanes[end] = "▶" if step > 0 else "◀"
    if lost:
        lanes[end] = "│"
        lanes[end - step] = "╳"


def _place(lane: str) -> tuple[int, int, str]:
    """Devices, whoever is none, gateways, Postgres, Redis."""
    kind = {POSTGRES: 3, REDIS: 4}.get(lane, {"d": 0, "g": 2}.get(lane[:1], 1))
    return kind, int(lane[1:]) if lane[1:].isdecimal() else 0, lane

"""Bars for what was measured beside somebody, curves for what grew: one SVG file a measure, drawn from the results alone.

    fan-out, 1 room × 1,000, ephemeral (µs server CPU a delivery)        goal 4.7
    ours              ██████┊██ 5.6
    Socket.IO         ██████┊█████████████████ 15.9       ┊ the goal: as far as our bar may reach
    uWebSockets       █████ ┊ 3.1

Each group has a scale of its own, from 0. The colours follow the reader's light or dark setting; nothing depends on colour alone.

Invariant: the same results give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec

from bench.curves import WIDTH, Curve, curves, draw_curve
from bench.curves import height as curve_height
from bench.figures import Figure, show

PLOTS: Final = Path(__file__).parent.parent / "docs" / "plots"
LEFT, RIGHT, BAR, STEP, TITLE, GAP = 260, 90, 14, 20, 24, 18
NAME_MAX: Final = 34
VALUE: Final = 56  # as wide as a value is written
FULL: Final = WIDTH - LEFT - RIGHT
STYLE: Final = """
  .line { fill: none !important; stroke-width: 2 } .ours.line { stroke: #0969da } .peer.line { stroke: #8c959f; stroke-dasharray: 6 3 }
  .axis { stroke: #8c959f } .paper { fill: #ffffff } text { fill: #1f2328; font: 12px system-ui, sans-serif } .title { font-weight: 600 }
  .ours { fill: #0969da } .peer { fill: #8c959f } .goal { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 3 } .bound { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #e6edf3 } .ours { fill: #4493f8 } .peer { fill: #6e7681 }
    .ours.line { stroke: #4493f8 } .peer.line { stroke: #8b949e } .goal { stroke: #ff7b72 } .bound { fill: #ff7b72 }
  }
"""


class Group(msgspec.Struct, frozen=True):
    """Bars that may be compared: ours first. `bound` is how far ours may reach."""

    name: str
    unit: str
    bars: tuple[tuple[str, float], ...]
    bound: float | None


def plots(figures: Sequence[Figure]) -> dict[str, str]:
    """SVG by file name, for each measure that was beside anybody, or at several sizes."""
    drawn = {}
    for measure in dict.fromkeys(figure.measure for figure in figures):
        rows = [figure for figure in figures if figure.measure == measure]
        grown = curves(rows)
        shown = {id(row) for _, points in grown for row in points}
        found = list(groups([row for row in rows if id(row) not in shown]))
        if found or grown:
            drawn[f"{measure}.svg"] = draw(measure, found, [curve for curve, _ in grown])
    return drawn


def groups(figures: Sequence[Figure]) -> Iterator[Group]:
    """A group for each name that has a peer's figure. What a name says of its peer (`…, beside X`) is no part of it."""
    by_name: dict[tuple[str, float], list[Figure]] = {}
    for figure in figures:
        by_name.setdefault((figure.name.partition(", beside ")[0], figure.figure), []).append(figure)
    for (name, ours), rows in by_name.items():
        theirs = tuple((row.peer or "", row.peer_figure) for row in rows if row.peer_figure is not None)
        if theirs:
            bounds = [bound for row in rows if (bound := _bound(row)) is not None]
            yield Group(name, rows[0].unit, (("ours", ours), *theirs), min(bounds, default=None))


def _bound(row: Figure) -> float | None:
    """The most that our figure may be by this row's goal."""
    ratio, least = (re.search(pattern, row.goal or "") for pattern in (r"≤ ([\d.]+) of the peer", r"≤ ([\d.]+)(?: *,|$)"))
    bounds = [float(least[1])] if least else []
    if ratio and row.peer_figure is not None:
        bounds.append(float(ratio[1]) * row.peer_figure)
    return min(bounds, default=None)


def draw(title: str, found: Sequence[Group], grown: Sequence[Curve] = ()) -> str:
    """One picture, group under group, and curves below them."""
    height = sum(TITLE + STEP * len(group.bars) + GAP for group in found) + sum(curve_height(curve) for curve in grown) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
    ]
    top = GAP
    for group in found:
        lines += _draw_group(group, top)
        top += TITLE + STEP * len(group.bars) + GAP
    for curve in grown:
        lines += draw_curve(curve, top)
        top += curve_height(curve)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _draw_group(group: Group, top: int) -> Iterator[str]:
    longest = max([value for _, value in group.bars] + ([group.bound] if group.bound is not None else [])) or 1.0
    reach = FULL * group.bound / longest if group.bound is not None else -1.0
    yield f'<text class="title" x="12" y="{top + 12}">{escape(f"{group.name} ({group.unit})")}</text>'
    for place, (name, value) in enumerate(group.bars):
        y = top + TITLE + place * STEP
        length = FULL * value / longest
        yield f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(_short(name))}</text>'
        yield f'<rect class="{"peer" if place else "ours"}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        after = reach if length <= reach <= length + VALUE else length
        yield f'<text x="{LEFT + after + 6:.1f}" y="{y + 11}">{show(value)}</text>'
    if group.bound is not None:
        x, bottom = LEFT + reach, top + TITLE + len(group.bars) * STEP - STEP + BAR
        yield f'<line class="goal" x1="{x:.1f}" y1="{top + TITLE - 4}" x2="{x:.1f}" y2="{bottom + 4}"/>'
        yield f'<text class="bound" x="{WIDTH - 12}" y="{top + 12}" text-anchor="end">goal {show(group.bound)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= NAME_MAX else name[: NAME_MAX - 1] + "…"


def write_plots(figures: Sequence[Figure], folder: Path = PLOTS) -> None:
    """All of them; what is there of measures that have none any more goes."""
    folder.mkdir(exist_ok=True)
    drawn = plots(figures)
    for path in folder.glob("*.svg"):
        if path.name not in drawn:
            path.unlink()
    for name, text in drawn.items():
        (folder / name).write_text(text)

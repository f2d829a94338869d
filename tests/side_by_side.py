"""Which worker of pytest-xdist runs what, and when: those that wait beside those that compute.

    tests/system, bench, proofs     start servers and wait for them      ─▶ at most so many workers at once that one is left over
    everything else                 computes                             ─▶ the others

A unit of work is a module, or the modules whose `pytestmark` names one `xdist_group`, so that what they set up is set up once. (The group
is read from the text: xdist 3.8 adds it to a test's name, which pytest 9 does not let it change, so that groups had no effect.) The largest
units come first; nobody ends the run alone with a long one.

Invariant: every test is in one unit, and every unit is handed out once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

WAITING = ("tests/system/", "tests/bench/", "tests/proofs/")
GROUP = re.compile(r'^pytestmark = .*\bxdist_group\("([\w-]+)"\)', re.MULTILINE)


@cache
def unit_of(root: Path, module: str) -> str:
    """The group that a module's tests are in, with @ before it, or else the module."""
    group = GROUP.search((root / module).read_text("utf-8"))
    return f"@{group[1]}" if group else module


def next_unit(units: Sequence[tuple[str, Sequence[str]]], at_work: Sequence[bool]) -> int:
    """Which of the units (name, tests) comes next. `at_work`: of each other worker, whether it waits."""
    room = sum(at_work) < max(1, len(at_work))
    wanted = [number for number, (_, tests) in enumerate(units) if waits(tests) is room] or range(len(units))
    return max(wanted, key=lambda number: (units[number][0].startswith("@"), len(units[number][1])))


def waits(tests: Sequence[str]) -> bool:
    """Whether a unit is one of those that wait."""
    return tests[0].startswith(WAITING)


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """See the module."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(self.config.rootpath, nodeid.partition("::")[0])

    def _assign_work_unit(self, node: WorkerController) -> None:
        units = [(name, list(tests)) for name, tests in self.workqueue.items()]
        latest = [list(work.values())[-1] for other, work in self.assigned_work.items() if other is not node and work]
        chosen, _ = units[next_unit(units, [waits(list(tests)) for tests in latest])]
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)

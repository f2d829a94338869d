"""The hunt through the parts, from outside: starts the hunter, watches over it, and says what came of it.

    hunter ─ tallies ─▶ Parts
           └ ended, or stands still ─▶ the input from its black box is a finding

A loop in C that never comes back cannot be ended from inside its own process; this is who ends it.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from proofs.fuzzing.black_box import BlackBox
from proofs.fuzzing.hunter import Whole
from proofs.fuzzing.hunting import Tally
from proofs.fuzzing.verdict import Finding

STILL_S: Final = 20.0
"""CPU time that the hunter may spend without coming to another input: the slowest take milliseconds, and shrinking notes each try."""
LOOK_S: Final = 1.0


class Parts(msgspec.Struct):
    """What came of the hunt."""

    tallies: list[Tally]
    whole: Whole | None
    deaths: list[Finding]

    @property
    def inputs(self) -> int:
        return sum(tally.inputs for tally in self.tallies)

    @property
    def findings(self) -> list[Finding]:
        return [*self.deaths, *(finding for tally in self.tallies for finding in tally.findings)]

    @property
    def troubles(self) -> list[str]:
        """Every promise that was broken, in words; empty if none."""
        broken = [f"{tally.name}: {tally.broken} inputs were not taken as they must be" for tally in self.tallies if tally.broken]
        broken += [f"the process ended or stood still: {death.what}" for death in self.deaths]
        return broken + (self.whole.guilty if self.whole else [])


def hunt_parts(seed: int, inputs: int, tell: Callable[[Tally], None], names: Sequence[str] = ()) -> Parts:
    """Hunts through all parts, or those of these names, in a process of its own. Blocks."""
    parts = Parts([], None, [])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box"
        box = BlackBox(path)
        command = [sys.executable, "-m", "proofs.fuzzing.hunter", str(seed), str(inputs), str(path), *names]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as hunter:
            try:
                _listen(hunter, box, parts, tell)
            finally:
                if hunter.poll() is None:
                    hunter.kill()
        box.close()
    return parts


def _listen(hunter: subprocess.Popen[bytes], box: BlackBox, parts: Parts, tell: Callable[[Tally], None]) -> None:
    assert hunter.stdout is not None
    process = psutil.Process(hunter.pid)
    noted, since_s = -1, 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(hunter.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(LOOK_S):
                line = hunter.stdout.readline()
                if not line:
                    break
                _take(line, parts, tell)
                continue
            count, name, data = box.read()
            spent_s = _cpu_s(process)
            if count != noted:
                noted, since_s = count, spent_s
            elif count and spent_s - since_s > STILL_S:
                parts.deaths.append(Finding(name, f"it goes on for more than {STILL_S:g} s of CPU time", data))
                hunter.kill()
                break
    status = hunter.wait()
    if status and not parts.deaths:
        _, name, data = box.read()
        parts.deaths.append(Finding(name, f"the process ended with status {status}", data))


def _take(line: bytes, parts: Parts, tell: Callable[[Tally], None]) -> None:
    said = msgspec.json.decode(line, type=Tally | Whole)
    if isinstance(said, Whole):
        parts.whole = said
    else:
        parts.tallies.append(said)
        tell(said)


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)

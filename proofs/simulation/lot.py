"""What became of a lot of seeds: counts that can be added up, kept in a file, and gone on with later.

    play(seed) ─▶ Played ─add─▶ Lot ─save─▶ file ─load─▶ Lot, from the next seed on

A lot that is kept belongs to one version of the code: whoever changes it begins a new file.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct, field

from proofs.simulation.attack import Tally
from proofs.simulation.coverage import SEEDS_FOR_ALL, Coverage, report
from proofs.simulation.run import Run

COLLECT_EVERY = 16
"""Seeds between two collections."""


class Played(Struct):
    """One seed's run, and what went wrong, if something did."""

    seed: int
    tally: Tally
    coverage: Coverage
    cpu_s: float
    trouble: str = ""


def play(seed: int) -> Played:
    """One seed."""
    # The collector finds nothing in a run but what goes with it, and takes an eighth of its time.
    gc.disable()
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    began = time.process_time()
    run = Run(seed)
    trouble = ""
    try:
        run.play()
    except Exception as error:  # noqa: BLE001 - any failure of any kind is the finding, and the next seed is still wanted
        trouble = "".join(traceback.format_exception(error)[-4:])
    return Played(seed, run.tally, run.coverage, time.process_time() - began, trouble)


class Lot(Struct):
    """See the module. `broken` are the seeds that broke a promise; the counts are those of `Coverage`, by its own names."""

    first: int = 1
    count: int = 0
    cpu_s: float = 0.0
    broken: list[int] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, played: Played) -> None:
        self.count += 1
        self.cpu_s += played.cpu_s
        self.tally.add(played.tally)
        if played.trouble:
            self.broken.append(played.seed)
        for name, counts in vars(played.coverage).items():
            self.counts[name] = dict(Counter(self.counts.get(name, {})) + counts)

    @property
    def coverage(self) -> Coverage:
        """All that was met."""
        coverage = Coverage()
        for name, counts in self.counts.items():
            getattr(coverage, name).update(counts)
        return coverage

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))

    @staticmethod
    def load(path: Path, first: int) -> Lot:
        """What was kept; a new one, if nothing was. Raises `ValueError` where the file is of other seeds."""
        if not path.exists():
            return Lot(first)
        lot = msgspec.json.decode(path.read_bytes(), type=Lot)
        if lot.first != first:
            raise ValueError(f"{path} begins with seed {lot.first}, not with {first}")
        return lot

    def tell(self, *, quiet: bool) -> tuple[list[str], list[str]]:
        """What there is to know, in lines, and the rows that were not met and had to be."""
        text, unmet = report(self.coverage)
        happened = ", ".join(f"{name} {getattr(self.tally, name)}" for name in self.tally.__struct_fields__)
        lines = [] if quiet else [text]
        average = f"{self.cpu_s / max(1, self.count):.3f} s of CPU each"
        lines.append(f"seeds {self.first} to {self.first + self.count - 1}: violations {len(self.broken)}; {average}; {happened}")
        if self.count < SEEDS_FOR_ALL:
            lines.append(f"{len(unmet)} rows were not met; they have to be in {SEEDS_FOR_ALL} seeds or more")
            unmet = []
        return lines, unmet

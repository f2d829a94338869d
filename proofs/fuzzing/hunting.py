"""The hunt: one target after the other, guided by what inputs lead to, under a watch of time and memory.

    draw or vary ─▶ take ─▶ new behaviour or branch? ─▶ corpus
                     │ ├─▶ slow? endless? ─▶ finding          CPU time, so that a busy machine is nobody's fault
                     │ └─▶ raised? ─▶ shrink ─▶ finding
                     └─▶ now and then again, with memory traced ─▶ above its bound? ─▶ finding

Half of the inputs are drawn by the grammar, half are varied from the corpus.
"""

from __future__ import annotations

import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

import msgspec

from proofs.fuzzing.branches import BRANCHES
from proofs.fuzzing.corpus import Corpus, shrink
from proofs.fuzzing.target import Target, plain
from proofs.fuzzing.verdict import Finding

INPUT_BYTES_MAX: Final = 64 * 1024
HANG_S: Final = 1.0
"""CPU time. An input that keeps the process this long keeps everybody else waiting, and is ended."""
SLOW_S: Final = 0.2
"""The same, for one that comes to its end: above this it is a finding."""
TICKS: Final = 4
CPU_TICK_S: Final = 0.01
"""Kernels count CPU time in steps; this is the longest of them."""
SHRINK_S: Final = 10.0
"""How long one failing input may be made smaller."""
VARIED: Final = 0.5
TRACED_EVERY: Final = 64
"""Memory is traced for every input that showed something new, and for each so many-th of the others;"""
BOMBS_TRACED_EVERY: Final = 8
"""of the bombs, which are made for it, more often."""
FINDINGS_MAX: Final = 10

Note = Callable[[str, bytes], None]
"""Told of each input before it is taken, so that it is known if the process does not survive it."""


class Hung(BaseException):
    """An input took longer than `HANG_S`. No `Exception`: supervisors in the product must not take it for a crash of an actor."""


class Tally(msgspec.Struct, tag="tally"):
    """What came of one target. `took_s` is CPU time, `slowest_s` the best of several times of the slowest input."""

    name: str
    inputs: int = 0
    behaviours: int = 0
    branches: int = 0
    corpus: int = 0
    kept: int = 0
    took_s: float = 0.0
    slowest_s: float = 0.0
    slowest_bytes: int = 0
    peak_bytes: int = 0
    """The most memory that one input needed."""
    peak_of_bytes: int = 0
    cost: float = 0.0
    """The most memory for a byte of input, among inputs above 4 KiB."""
    grown_bytes: int = 0
    """Of the process, from the target's first input to its last."""
    broken: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list)


class _Watch:
    """Ends an input that goes on for too long: a timer of the process' CPU time looks whether it is still the same one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taking = 0
        self._seen = 0
        self._times = 0

    def began(self) -> None:
        self._taking += 1

    def ended(self) -> None:
        self._taking += 1

    @contextmanager
    def on(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread alone
            return
        before = signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, self._seconds / TICKS, self._seconds / TICKS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    def _look(self, signum: int, frame: FrameType | None) -> None:
        taking = self._taking
        if taking % 2 == 0 or taking != self._seen:
            self._seen, self._times = taking, 0
            return
        self._times += 1
        if self._times > TICKS:
            self._times = 0
            raise Hung


@contextmanager
def spent_within(seconds: float) -> Iterator[None]:
    """Raises `Hung` inside the block once it has taken about so many seconds of CPU time: for what else would never end."""
    watch = _Watch(seconds)
    with watch.on():
        watch.began()
        yield
        watch.ended()


class Hunt:
    """One target's hunt. `run` never raises what the target does."""

    def __init__(self, target: Target, seed: int, note: Note, shrink_s: float = SHRINK_S) -> None:
        self.corpus = Corpus()
        self.tally = Tally(target.name)
        self._target = target
        self._seed = seed
        self._note = note
        self._shrink_s = shrink_s
        self._watch = _Watch(HANG_S)

    def run(self, inputs: int) -> Tally:
        """Takes `inputs` inputs. Blocks."""
        tally, corpus = self.tally, self.corpus
        taken, grown = BRANCHES.taken, _resident_bytes()
        began_s = time.process_time()
        with self._watch.on():
            for number in range(inputs):
                data, kind = self._next(Random(f"{self._seed}:{tally.name}:{number}"))
                every = BOMBS_TRACED_EVERY if kind.startswith("bomb") else TRACED_EVERY
                self._take(data, kind, traced=number % every == 0)
        tally.took_s = time.process_time() - began_s
        tally.inputs, tally.corpus, tally.behaviours = inputs, len(corpus.entries), len(corpus.behaviours)
        tally.branches, tally.grown_bytes = BRANCHES.taken - taken, _resident_bytes() - grown
        return tally

    def _next(self, chance: Random) -> tuple[bytes, str]:
        entries = self.corpus.entries
        if entries and chance.random() < VARIED:
            return self._target.vary(chance, self.corpus.choose(chance), self.corpus.choose(chance))[:INPUT_BYTES_MAX], "varied"
        data, kind = self._target.draw(chance)
        return data[:INPUT_BYTES_MAX], kind

    def _take(self, data: bytes, kind: str, *, traced: bool) -> None:
        tally, target = self.tally, self._target
        self._note(tally.name, data)
        BRANCHES.begin()
        began_s = time.perf_counter()
        try:
            self._watch.began()
            behaviours = list(target.take(data))
            self._watch.ended()
        except (Exception, Hung) as wrong:  # noqa: BLE001 - whatever comes out of a target is what this looks for
            self._watch.ended()
            self._find(data, kind, wrong)
            return
        took_s = time.perf_counter() - began_s
        fresh = BRANCHES.fresh()
        if took_s > tally.slowest_s:
            self._time(data, kind, took_s)
        if self.corpus.judge(data, behaviours, fresh):
            tally.kept += 1
            traced = True
        if traced:
            self._weigh(data, kind)

    def _time(self, data: bytes, kind: str, took_s: float) -> None:
        """Perhaps the slowest input. The best of four times counts, and CPU time alone: a busy machine makes anything slow."""
        for _ in range(3):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            list(self._target.take(data))
            took_s = min(took_s, time.perf_counter() - began_s, time.process_time() - began_cpu_s + CPU_TICK_S)
        if took_s > self.tally.slowest_s:
            self.tally.slowest_s, self.tally.slowest_bytes = took_s, len(data)
        if took_s > SLOW_S:
            self._found(kind, f"it takes {took_s:.2f} s", data)

    def _weigh(self, data: bytes, kind: str) -> None:
        """The same input again, with its memory traced: what is only needed once is there already."""
        tally, target = self.tally, self._target
        try:
            peak = weigh(lambda: list(target.take(data)))
        except (Exception, Hung) as wrong:  # noqa: BLE001 - it was taken a moment ago
            self._find(data, kind, wrong)
            return
        if peak > tally.peak_bytes:
            tally.peak_bytes, tally.peak_of_bytes = peak, len(data)
        if len(data) > 4_096:
            tally.cost = max(tally.cost, peak / len(data))
        if peak > target.cost_per_byte * len(data) + target.cost_bytes:
            self._found(kind, f"{peak} bytes of memory for {len(data)} bytes", data)

    def _find(self, data: bytes, kind: str, wrong: BaseException) -> None:
        key = _key(wrong)
        if len(self.tally.findings) < FINDINGS_MAX:
            until_s = time.process_time() + self._shrink_s
            pieces = self._target.pieces(data)
            data = shrink(data, pieces, lambda candidate: time.process_time() < until_s and self._fails(candidate) == key)
        self._found(kind, key if isinstance(wrong, Hung) else f"{type(wrong).__name__}: {wrong}", data)

    def _fails(self, data: bytes) -> str:
        self._note(self.tally.name, data)
        try:
            self._watch.began()
            list(self._target.take(data))
        except (Exception, Hung) as wrong:  # noqa: BLE001 - see `_take`
            return _key(wrong)
        finally:
            self._watch.ended()
        return ""

    def _found(self, kind: str, what: str, data: bytes) -> None:
        tally = self.tally
        tally.broken += 1
        if len(tally.findings) < FINDINGS_MAX:
            tally.findings.append(Finding(f"{tally.name} {kind}", what[:1_000], data))


def _key(wrong: BaseException) -> str:
    """What makes two failures the same one."""
    return f"took longer than {HANG_S:g} s" if isinstance(wrong, Hung) else f"{type(wrong).__name__}: {plain(str(wrong))[:60]}"


def weigh(call: Callable[[], object]) -> int:
    """The peak of the memory, in bytes, that is taken while `call` runs."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def attack_parts(targets: Sequence[Target], seed: int, inputs: int, note: Note, tell: Callable[[Tally], None]) -> list[Tally]:
    """Shares `inputs` out among the targets and hunts in each of them; `tell` hears of each that is done. Blocks."""
    shares = sum(target.share for target in targets)
    tallies = []
    for target in targets:
        tally = Hunt(target, seed, note).run(max(1, round(inputs * target.share / shares)))
        tell(tally)
        tallies.append(tally)
    return tallies

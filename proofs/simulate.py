"""`python -m proofs simulate`: whole installations under faults, each from a seed.

    --seeds N [--first S] [--workers W]      runs so many; what was covered, and a line for the lot; exit status 1 if a promise was broken
    --story SEED [--only device=3] [--stream 5] [--from MS] [--to MS]      one seed as a sequence diagram in text
    --mutants                                faults put into the product on purpose, and after how many seeds each is found

Of a seed that broke a promise the last part of its story is printed. In a run of at least `SEEDS_FOR_ALL` seeds every row of both session
tables and every message of an actor's has to be met, or the exit status is 1 too.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from msgspec import Struct

from proofs.simulation.attack import Tally
from proofs.simulation.coverage import SEEDS_FOR_ALL, Coverage, report
from proofs.simulation.run import Run
from proofs.simulation.story import Wanted, draw, draw_around
from proofs.simulation.world import Violation

COLLECT_EVERY = 16
CHUNK = 8
"""Seeds that a worker is given at once."""


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


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs simulate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--quiet", action="store_true", help="without the tables of what was covered")
    parser.add_argument("--story", type=int, metavar="SEED", help="run this one and draw what happened")
    parser.add_argument("--only", action="append", default=[], metavar="device=3", help="these columns: device=N, gateway=N, pg, redis")
    parser.add_argument("--stream", action="append", default=[], type=int, help="what is about this stream")
    parser.add_argument("--from", dest="from_ms", type=float, default=0.0, metavar="MS")
    parser.add_argument("--to", dest="to_ms", type=float, default=float("inf"), metavar="MS")
    parser.add_argument("--mutants", action="store_true", help="find faults that were put in on purpose")
    arguments = parser.parse_args(argv)
    if arguments.mutants:
        from proofs.simulation.mutants import find_all

        return find_all(arguments.first)
    if arguments.story is not None:
        columns = tuple(one.replace("device=", "d").replace("gateway=", "g") for one in arguments.only)
        return tell(arguments.story, Wanted(columns, tuple(arguments.stream), arguments.from_ms, arguments.to_ms))
    return run_many(arguments.first, arguments.seeds, arguments.workers, quiet=arguments.quiet)


def run_many(first: int, count: int, workers: int, *, quiet: bool) -> int:
    """Runs them and prints what there is to know of the lot."""
    tally, coverage, failed, cpu_s = Tally(), Coverage(), 0, 0.0
    seeds = range(first, first + count)
    with ProcessPoolExecutor(workers) as pool:
        for played in pool.map(play, seeds, chunksize=CHUNK) if workers > 1 else map(play, seeds):
            tally.add(played.tally)
            coverage.add(played.coverage)
            cpu_s += played.cpu_s
            if played.trouble:
                failed += 1
                print(f"seed {played.seed}: {played.trouble}", file=sys.stderr)
                tell_last(played.seed)
    happened = ", ".join(f"{name} {getattr(tally, name)}" for name in tally.__struct_fields__)
    text, uncovered = report(coverage)
    if not quiet:
        print(text)
    print(f"seeds {first} to {first + count - 1}: violations {failed}; {cpu_s / count:.3f} s of CPU each; {happened}")
    if count < SEEDS_FOR_ALL:
        print(f"{len(uncovered)} rows were not met; they have to be in {SEEDS_FOR_ALL} seeds or more")
        uncovered = []
    for line in uncovered:
        print(line, file=sys.stderr)
    return 1 if failed or uncovered else 0


def _told(seed: int) -> tuple[Run, Exception | None]:
    run = Run(seed, tell=True)
    try:
        run.play()
    except Exception as error:  # noqa: BLE001 - the story is wanted whatever ended it
        return run, error
    return run, None


def tell(seed: int, wanted: Wanted) -> int:
    """Runs one seed and draws what happened, in order."""
    run, error = _told(seed)
    for line in draw(run.world.story or (), wanted):
        print(line)
    print(f"seed {seed}: {run.faults}")
    print("".join(traceback.format_exception(error)) if error else f"no promise was broken: {run.tally}")
    return 1 if error else 0


def tell_last(seed: int) -> None:
    """The last part of a story that broke a promise, to standard error."""
    run, error = _told(seed)
    violation = error if isinstance(error, Violation) else Violation(str(error))
    for line in draw_around(run.world.story or (), violation):
        print(line, file=sys.stderr)
    print(f"  all of it: python -m proofs simulate --story {seed}\n", file=sys.stderr)

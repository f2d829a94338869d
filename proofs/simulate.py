"""`python -m proofs simulate [--seeds N] [--seed S] [--first S]`: whole installations under faults, each from a seed.

Prints one line for the lot, or the story of one seed; exit status 1 and the seed if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from proofs.simulation.run import Run, Tally


def play(seed: int) -> tuple[int, Tally, str]:
    """One seed; the third part is what went wrong, or nothing."""
    run = Run(seed)
    try:
        return seed, run.play(), ""
    except Exception as error:  # noqa: BLE001 - any failure of any kind is the finding, and the next seed is still wanted
        return seed, run.tally, "".join(traceback.format_exception(error)[-4:])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one and tell its story")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args(argv)
    if arguments.seed is not None:
        return tell(arguments.seed)
    total, failed = Tally(), 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, tally, trouble in pool.map(play, range(arguments.first, arguments.first + arguments.seeds), chunksize=4):
            total.add(tally)
            if trouble:
                failed += 1
                print(f"seed {seed}: {trouble}", file=sys.stderr)
                print(f"  again, with its story: python -m proofs simulate --seed {seed}", file=sys.stderr)
    happened = ", ".join(f"{name} {getattr(total, name)}" for name in total.__struct_fields__)
    print(f"seeds {arguments.seeds}, violations {failed}; {happened}")
    return 1 if failed else 0


def tell(seed: int) -> int:
    """Runs one seed and prints what happened, in order."""
    run = Run(seed, tell=True)
    trouble = ""
    try:
        run.play()
    except Exception as error:  # noqa: BLE001 - the story is wanted whatever ended it
        trouble = "".join(traceback.format_exception(error))
    for line in run.world.story or ():
        print(line)
    print(f"seed {seed}: {run.faults}")
    print(trouble or f"no promise was broken: {run.tally}")
    return 1 if trouble else 0

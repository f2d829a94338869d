"""`python -m proofs simulate`: whole installations under faults, each from a seed.

    --seeds N [--first S] [--workers W]      runs so many; what was covered, and a line for the lot; exit status 1 if a promise was broken
              [--into FILE --minutes M]      the same in pieces: each goes on where the one before it stopped
    --story SEED [--only device=3] [--stream 5] [--from MS] [--to MS]      one seed as a sequence diagram in text
    --mutants                                faults put into the product on purpose, and after how many seeds each is found

Of a seed that broke a promise the last part of its story is printed. In a run of at least `SEEDS_FOR_ALL` seeds every row of both session
tables and every message of an actor's has to be met, or the exit status is 1 too.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from proofs.numbers import at_least_one, some_time
from proofs.simulation.lot import Lot, play
from proofs.simulation.run import Run
from proofs.simulation.story import Wanted, draw, draw_around
from proofs.simulation.world import Violation

CHUNK = 8
"""Seeds that a worker is given at once, and after which a lot is saved."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs simulate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=at_least_one, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--workers", type=at_least_one, default=1, help="processes at once")
    parser.add_argument("--into", type=Path, metavar="FILE", help="go on with the lot that is kept there, and keep it")
    parser.add_argument("--minutes", type=some_time, default=float("inf"), help="stop after so long, with what was run by then")
    parser.add_argument("--quiet", action="store_true", help="without the tables of what was covered")
    parser.add_argument("--story", type=int, metavar="SEED", help="run this one and draw what happened")
    parser.add_argument(
        "--only", action="append", default=[], type=_column, metavar="device=3", help="these columns: device=N, gateway=N, pg, redis"
    )
    parser.add_argument("--stream", action="append", default=[], type=int, help="what is about this stream")
    parser.add_argument("--from", dest="from_ms", type=float, default=0.0, metavar="MS")
    parser.add_argument("--to", dest="to_ms", type=float, default=float("inf"), metavar="MS")
    parser.add_argument("--mutants", action="store_true", help="find faults that were put in on purpose")
    arguments = parser.parse_args(argv)
    if arguments.mutants:
        from proofs.simulation.mutants import find_all

        return find_all(arguments.first)
    if arguments.story is not None:
        return tell(arguments.story, Wanted(tuple(arguments.only), tuple(arguments.stream), arguments.from_ms, arguments.to_ms))
    lot = Lot.load(arguments.into, arguments.first) if arguments.into else Lot(arguments.first)
    last = arguments.first + arguments.seeds - 1
    return run_many(lot, last, arguments.workers, minutes=arguments.minutes, into=arguments.into, quiet=arguments.quiet)


def _column(text: str) -> str:
    """The column of the drawing that `--only` names."""
    found = re.fullmatch(r"(device|gateway)=(\d+)|pg|redis", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no column; allowed: device=N, gateway=N, pg, redis")
    return text if found[1] is None else f"{found[1][0]}{found[2]}"


def run_many(lot: Lot, last: int, workers: int, *, minutes: float, into: Path | None, quiet: bool) -> int:
    """Runs what is left up to the seed `last`, or as many as the minutes allow, and prints what there is to know of the lot."""
    until = time.monotonic() + minutes * 60.0
    with ProcessPoolExecutor(workers) as pool:
        while lot.first + lot.count <= last and time.monotonic() < until:
            next_seed = lot.first + lot.count
            seeds = range(next_seed, min(last + 1, next_seed + CHUNK * workers))
            for played in pool.map(play, seeds) if workers > 1 else map(play, seeds):
                lot.add(played)
                if played.trouble:
                    print(f"seed {played.seed}: {played.trouble}", file=sys.stderr)
                    tell_last(played.seed)
            if into is not None:
                lot.save(into)
    lines, unmet = lot.tell(quiet=quiet)
    print("\n".join(lines))
    for line in unmet:
        print(line, file=sys.stderr)
    return 1 if lot.broken or unmet else 0


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

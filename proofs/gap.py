"""`python -m proofs gap [--serial] [--seconds S] [--seed N]`: does a reader by cursor ever miss an event that was committed late?

12 writers over the channels and boards of 50 communities, on a Postgres of its own, by all ways to append; each transaction numbers its
events and then waits for a random time before it commits, while readers read on from their cursors. Exit status 1 if any event was never
delivered to a reader, came twice, out of order, or was never committed. With `--serial` the same writers and readers use a table with a
serial number in the place of the product's streams: that loses events, and the exit status is 1, which shows that this test can fail.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proofs.gapping.run import Options, run
from proofs.gapping.verdict import Verdict
from proofs.numbers import some_time


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs gap", description=__doc__)
    parser.add_argument("--serial", action="store_true", help="over a serial cursor, which loses events")
    parser.add_argument("--seconds", type=some_time, default=10.0, help="how long the writers write")
    parser.add_argument("--seed", type=int, default=1, help="for the delays and choices; the interleaving is the machine's")
    arguments = parser.parse_args(argv)
    options = Options(serial=arguments.serial, seconds=arguments.seconds, seed=arguments.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="educonnect-gap-") as folder:
        verdict = asyncio.run(run(options, Path(folder)))
    print(describe(options, verdict, time.monotonic() - began))
    if not verdict.good:
        print("LOST: a reader by this cursor does not have what was committed", file=sys.stderr)
    return 0 if verdict.good else 1


def describe(options: Options, verdict: Verdict, took_s: float) -> str:
    """What was counted, in two lines."""
    cursor = "a serial cursor" if options.serial else "the product's streams"
    return (
        f"gap over {cursor}: {options.writers} writers, {options.communities} communities, {options.readers} readers;"
        f" {verdict.committed} events committed, {verdict.rolled_back} rolled back, {verdict.deliveries} deliveries"
        f" in {took_s:.0f} s, seed {options.seed}\n"
        f"never delivered {verdict.never} of {verdict.committed * options.readers} due,"
        f" doubled {verdict.doubled}, out of order {verdict.out_of_order},"
        f" not as committed {verdict.foreign}"
    )

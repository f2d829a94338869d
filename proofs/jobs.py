"""`python -m proofs jobs [--seconds S] [--workers N] [--seed N] [--unfenced]`: is a job ever lost, or done twice, when workers are killed?

Orderers commit and roll back transactions that order thousands of jobs, and cancel some; worker processes, which are the product's foreman
and timetable, are SIGKILLed at random moments and started again. Then the queue runs empty, and the tables that the jobs wrote into are
compared with what was ordered. Exit status 1 if an effect was lost or came twice, was of a job that was rolled back or cancelled, if an
order with a key was not stood for, a tick of the clock was not one job, or a job that always fails is no dead letter. With `--unfenced`
effects are committed before their jobs end, as a queue without fencing has it: they come twice, which shows that this proof can fail.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proofs.jobbing.run import Options, run
from proofs.jobbing.verdict import Verdict
from proofs.numbers import some_time


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs jobs", description=__doc__)
    parser.add_argument("--seconds", type=some_time, default=20.0, help="how long jobs are ordered and workers killed")
    parser.add_argument("--workers", type=int, default=3, choices=range(1, 17), metavar="N", help="processes (1 to 16)")
    parser.add_argument("--seed", type=int, default=1, help="for orders and kills; the interleaving is the machine's")
    parser.add_argument("--unfenced", action="store_true", help="effects that do not end their jobs: they come twice")
    arguments = parser.parse_args(argv)
    options = Options(seconds=arguments.seconds, workers=arguments.workers, seed=arguments.seed, fenced=not arguments.unfenced)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="educonnect-jobs-") as folder:
        verdict, kills = asyncio.run(run(options, Path(folder)))
    print(describe(options, verdict, kills, time.monotonic() - began))
    if not verdict.good:
        print("BROKEN: what was done is not what was ordered", file=sys.stderr)
    return 0 if verdict.good else 1


def describe(options: Options, verdict: Verdict, kills: int, took_s: float) -> str:
    """What was counted, in two lines."""
    how = "" if options.fenced else ", unfenced"
    return (
        f"jobs{how}: {options.workers} workers, killed {kills} times; {verdict.orders} orders, {verdict.done} effects,"
        f" {verdict.ticks} ticks, {verdict.repeats} recognisable repeats outside, in {took_s:.0f} s, seed {options.seed}\n"
        f"lost {verdict.lost}, twice {verdict.twice}, of no order {verdict.foreign}, repeats under another key {verdict.unlike},"
        f" keys left behind {verdict.behind}, ticks wrong {verdict.ticks_wrong}, dead letters wrong {verdict.undead},"
        f" left over {verdict.left}"
    )

"""`python -m proofs max_write`: does a learner's progress stay a maximum while the servers are paused, killed and cut off?

Exit status 0: every run converged, atomically, in causal order, with no queue stuck. 1: a run did not; it is described.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

from proofs.maxwrite.run import Options, describe, run_all
from proofs.numbers import at_least_one, some_time
from supervisors.process import set_up_log


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs max_write", description=__doc__)
    parser.add_argument("--runs", type=at_least_one, default=200)
    parser.add_argument("--devices", type=at_least_one, default=4, help="of one learner")
    parser.add_argument("--gateways", type=at_least_one, default=2)
    parser.add_argument("--seconds", type=some_time, default=2.5, help="how long each run writes")
    parser.add_argument("--seed", type=int, help="for the choices that chance makes here")
    arguments = parser.parse_args(argv)
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000)
    options = Options(arguments.runs, arguments.devices, arguments.gateways, arguments.seconds, seed)
    set_up_log("error", "console")
    folder = Path(tempfile.mkdtemp(prefix="educonnect-max-write-"))
    try:
        result = trio.run(run_all, options, folder, lambda line: print(line, file=sys.stderr, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"seed               {seed}")
    print(describe(result))
    return 1 if result.wrong else 0

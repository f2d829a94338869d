"""`python -m proofs matrix`: may everybody do what is declared, and nobody anything else?

Every operation, command and route × every base role, a custom role for each permission, platform roles, strangers, people who were removed,
sessions that were ended, no account × one's own community and a foreign one, against real servers. Exit status 0: every cell is as its
declaration says, and nothing was left out. 1: some are not; each is named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from proofs.matrixing.run import describe, run_all
from proofs.matrixing.standing import STANDINGS
from supervisors.process import set_up_log


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs matrix", description=__doc__)
    parser.add_argument("--only", default="", help="a word in the names of the standings that are tried; all, if none is given")
    arguments = parser.parse_args(argv)
    standings = [standing for standing in STANDINGS if arguments.only in standing.name]
    if not standings:
        parser.error(f"no standing is called so; there are: {', '.join(standing.name for standing in STANDINGS)}")
    set_up_log("error", "console")
    folder = Path(tempfile.mkdtemp(prefix="educonnect-matrix-"))
    begun_s = time.monotonic()
    try:
        result = trio.run(run_all, folder, lambda line: print(line, file=sys.stderr, flush=True), standings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"seconds              {time.monotonic() - begun_s:.0f}")
    print(describe(result))
    return 1 if result.wrong or result.holes else 0

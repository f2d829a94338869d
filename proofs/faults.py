"""`python -m proofs faults`: live servers and hundreds of real connections, and everything that can go wrong, drawn from a seed.

Starts servers of its own in a temporary folder, ends them, and touches no process, file, network or disk but its own. Heartbeats are set to
5 s. Exit status 1 if anything acknowledged was lost or had an effect twice, if two clients saw another order, if a client was not whole
within 10 s of healing (20 s behind the 2G link, where TCP alone may take eleven to send a packet for the third time), if a gateway was deaf
for more than 5 s, if anybody waited for a slow neighbour, or if anything was leaked.
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

from proofs.faulting.catalogue import BY_NAME, KINDS
from proofs.faulting.run import Options, Result, run_all
from proofs.numbers import at_least_one, some_time
from supervisors.process import set_up_log

SHORT = (
    "--rounds",
    "3",
    "--devices",
    "100",
    "--real",
    "10",
    "--poor",
    "2",
    "--seed",
    "3",
    "--only",
    "kill-gateway,deaf-postgres,storm,hold-redis",
)
"""For everybody's every day: a minute."""


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for kind in KINDS:
            print(f"{kind.name:20} {kind.what}")
        return 0
    if arguments.short:
        arguments = _parser().parse_args([*SHORT, *argv])
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000)
    light = max(0, arguments.devices - arguments.real - arguments.poor)
    options = Options(
        arguments.rounds,
        seed,
        arguments.first,
        arguments.gateways,
        arguments.real,
        light,
        arguments.poor,
        communities=max(2, arguments.devices // 20),
        rate_per_s=arguments.rate,
        only=arguments.only,
        verbose=arguments.verbose,
    )
    set_up_log("error", "console")
    folder = Path(tempfile.mkdtemp(prefix="educonnect-faults-"))
    print(f"seed {seed}")
    try:
        result = trio.run(run_all, options, folder, lambda line: print(line, flush=True))
    finally:
        if arguments.verbose:
            print(f"what the processes said is in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(describe(result, seed))
    return 1 if result.violations else 0


def describe(result: Result, seed: int) -> str:
    """The sum, for people."""
    slowest = max(result.rounds, key=lambda outcome: outcome.slowest_s, default=None)
    lines = [f"{len(result.rounds)} rounds, {result.posts} posts acknowledged"]
    if slowest is not None:
        lines.append(f"slowest to heal: {slowest.slowest_s:.1f} s in round {slowest.number}")
    lines += [f"at rest: {rest}" for rest in result.rest]
    lines += [f"! {wrong}" for wrong in result.wrong]
    for outcome in result.rounds:
        if outcome.wrong:
            strikes = "; ".join(map(str, outcome.strikes))
            lines.append(
                f"! round {outcome.number}: {strikes} — again: python -m proofs faults --seed {seed} --from {outcome.number} --rounds 1"
            )
            lines += [f"!   {wrong}" for wrong in outcome.wrong[:20]]
    lines.append(f"{result.violations} violations")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs faults", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=100)
    parser.add_argument("--seed", type=int, help="for the faults and everything else that chance decides here")
    parser.add_argument("--from", type=at_least_one, default=1, dest="first", metavar="ROUND", help="the round to begin with")
    parser.add_argument("--gateways", type=at_least_one, default=2)
    parser.add_argument("--devices", type=at_least_one, default=300)
    parser.add_argument("--real", type=int, default=30, help="how many of them are the real Python client")
    parser.add_argument("--poor", type=int, default=6, help="how many are behind a 2G link of 50 kbit/s, 800 ms and 2 %% loss")
    parser.add_argument("--rate", type=some_time, default=30.0, help="posts a second, of all devices together")
    parser.add_argument("--only", type=_kinds, default=(), help="kinds of faults to draw from, with commas; all if not given")
    parser.add_argument("--list", action="store_true", help="the kinds of faults")
    parser.add_argument("--short", action="store_true", help=f"a minute of it: {' '.join(SHORT)}")
    parser.add_argument("--verbose", action="store_true", help="keeps what the processes say")
    return parser


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(kind for kind in text.split(",") if kind)
    if unknown := [kind for kind in kinds if kind not in BY_NAME]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected any of {', '.join(BY_NAME)}")
    return kinds

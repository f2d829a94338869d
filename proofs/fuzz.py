"""`python -m proofs fuzz [--inputs N] [--heads N] [--pure N] [--seed S] [--short]`: malformed input, against parts and a running server.

First the pure parts (readers, parsers, codec, the session with its actors), then real servers of its own: damaged frames from strangers
and members, malformed handshakes and heads, while healthy clients chat. Exit status 1 if anything crashed, stayed unanswered, was refused
without a code, grew, or hurt a neighbour; each finding is printed with its input as hex.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

import trio

from proofs.fuzzing.siege import GROWTH_MAX_MIB, Outcome, besiege
from proofs.fuzzing.targets import attack_pure
from proofs.fuzzing.verdict import Report
from supervisors.serving import set_up_log

FRAMES: Final = 100_000
HEADS: Final = 10_000
PURE: Final = 100_000
SHORT: Final = 20
"""The short form is this much smaller."""
SHOWN_MAX: Final = 20


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=FRAMES, help="damaged frames for the running server")
    parser.add_argument("--heads", type=int, default=HEADS, help="malformed handshakes and HTTP heads for it")
    parser.add_argument("--pure", type=int, default=PURE, help="inputs for the pure parts, in this process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help=f"a {SHORT}th of everything")
    arguments = parser.parse_args(argv)
    share = SHORT if arguments.short else 1
    set_up_log("warning", "console")
    began = time.monotonic()
    pure = attack_pure(arguments.seed, arguments.pure // share)
    tell_report("pure", pure, time.monotonic() - began)
    outcome = trio.run(besiege, arguments.seed, arguments.inputs // share, arguments.heads // share, _say)
    tell_outcome(outcome)
    troubles = [*(["a pure part did not take every input as it must"] if pure.findings else []), *outcome.troubles]
    for trouble in troubles:
        print(f"BROKEN: {trouble}", file=sys.stderr)
    total = pure.inputs + outcome.frames.inputs + outcome.heads.inputs
    print(f"inputs {total}, broken promises {len(troubles)}, {time.monotonic() - began:.0f} s, seed {arguments.seed}")
    return 1 if troubles else 0


def tell_report(name: str, report: Report, took_s: float | None = None) -> None:
    """Prints what was sent, what came of it, and the findings."""
    took = "" if took_s is None else f" in {took_s:.0f} s"
    print(f"{name}: {report.inputs} inputs{took}, {report.outcomes.get('FINDING', 0)} findings")
    print("  sent      " + ", ".join(f"{kind} {count}" for kind, count in sorted(report.kinds.items())))
    print("  came back " + ", ".join(f"{what} {count}" for what, count in sorted(report.outcomes.items())))
    for finding in report.findings[:SHOWN_MAX]:
        print(f"FINDING in {name}: {finding}", file=sys.stderr)


def tell_outcome(outcome: Outcome) -> None:
    """Prints what the siege was like, for the attackers, the neighbours and the gateway."""
    tell_report("frames", outcome.frames)
    tell_report("heads", outcome.heads)
    figures = outcome.figures
    print(f"neighbours: said {figures.said}, acknowledged {figures.acknowledged}, lost {figures.lost}, doubled {figures.doubled}, ", end="")
    print(f"reordered {figures.reordered}, sockets lost {figures.sockets_lost}; ", end="")
    for words, times_s in (("acknowledgement", figures.to_acknowledgement_s), ("delivery", figures.to_delivery_s)):
        print(f"to {words} p50 {figures.percentile_ms(times_s, 0.5):.1f} ms, p99 {figures.percentile_ms(times_s, 0.99):.1f} ms; ", end="")
    print()
    print(
        f"gateway: memory {outcome.rss_before_mib:.1f} MiB before, {outcome.rss_peak_mib:.1f} at the peak, "
        f"{outcome.rss_after_mib:.1f} after {outcome.waited_s:.0f} s of rest ({outcome.grown_mib:+.1f}; allowed {GROWTH_MAX_MIB}); "
        f"restarts {outcome.gateway_restarts}, crashes of actors {outcome.crashes or 'none'}"
    )


def _say(line: str) -> None:
    print(line, flush=True)

"""`python -m proofs fuzz [--inputs N] [--frames N] [--heads N] [--only WHAT] [--seed S] [--short]`: hostile input, against parts and a
running system.

    parts     readers, parsers, decoders, the transport, the session with its actors: in a process of their own, guided by what inputs do
    storm     real servers: damaged frames from strangers and members, malformed handshakes and heads; healthy clients chat
    sieges    real servers: floods, half-open sockets, slow readers, bombs, forged tokens, replays; a thousand clients chat

Exit status 1 if anything crashed, hung, stayed unanswered, was refused without a code, grew, or hurt a neighbour; each finding is printed
with its input, made as small as it can be, as a test can hold it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import trio

from proofs.fuzzing import sieges
from proofs.fuzzing.hunting import Tally
from proofs.fuzzing.parts import Parts, hunt_parts
from proofs.fuzzing.siege import GROWTH_MAX_MIB, Outcome, besiege
from proofs.fuzzing.sieges import GOOD, besiege_all
from proofs.fuzzing.verdict import Report
from proofs.numbers import at_least_one
from supervisors.process import set_up_log

INPUTS: Final = 1_000_000
FRAMES: Final = 100_000
HEADS: Final = 10_000
SHORT: Final = 100
"""The short form is this much smaller,"""
SHORT_ATTACKS: Final = ("parts", "storm")
"""and leaves out what the tests do in small."""
SHORT_SIEGE: Final = 0.02
SHORT_GOOD: Final = 100
SHOWN_MAX: Final = 20
COLUMNS: Final = (
    "part",
    "inputs",
    "behaviours",
    "branches",
    "corpus",
    "slowest µs",
    "most memory, KiB (input)",
    "grown, KiB",
    "CPU s",
    "broken",
)
ROW: Final = "{:<11}{:>10}{:>12}{:>10}{:>8}{:>18}{:>26}{:>11}{:>8}{:>8}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs fuzz", description=__doc__)
    parser.add_argument("--inputs", type=at_least_one, default=INPUTS, help="for the parts")
    parser.add_argument("--frames", type=at_least_one, default=FRAMES, help="damaged frames for the running server")
    parser.add_argument("--heads", type=at_least_one, default=HEADS, help="malformed handshakes and HTTP heads for it")
    parser.add_argument("--only", choices=tuple(_ATTACKS), action="append", help="one of the attacks; several may be named")
    parser.add_argument("--targets", type=_targets, default=(), help="of the parts, only these, with commas between")
    parser.add_argument("--sieges", type=_sieges, default=(), help="of the sieges, only these, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help=f"a {SHORT}th of the parts and the storm")
    arguments = parser.parse_args(argv)
    set_up_log("warning", "console")
    began = time.monotonic()
    inputs, troubles = 0, []
    for name, attack in _ATTACKS.items():
        wanted = arguments.only or (SHORT_ATTACKS if arguments.short else tuple(_ATTACKS))
        if name in wanted:
            more, broken = attack(arguments, SHORT if arguments.short else 1)
            inputs += more
            troubles += [f"{name}: {trouble}" for trouble in broken]
    for trouble in troubles:
        print(f"BROKEN: {trouble}", file=sys.stderr)
    print(f"inputs {inputs}, broken promises {len(troubles)}, {time.monotonic() - began:.0f} s, seed {arguments.seed}")
    return 1 if troubles else 0


def _names(text: str, allowed: Iterable[str]) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in allowed:
            raise argparse.ArgumentTypeError(f"{name!r} is not known; allowed: {', '.join(allowed)}")
    return names


def _targets(text: str) -> tuple[str, ...]:
    from proofs.fuzzing.targets import all_targets  # loads the product, which a look at --help need not wait for

    return _names(text, [target.name for target in all_targets()])


def _sieges(text: str) -> tuple[str, ...]:
    return _names(text, [*sieges.SIEGES])


def attack_parts(arguments: argparse.Namespace, share: int) -> tuple[int, list[str]]:
    """The hunt through the parts."""
    print(ROW.format(*COLUMNS))
    parts = hunt_parts(arguments.seed, max(1, arguments.inputs // share), tell_tally, arguments.targets)
    tell_parts(parts, arguments.seed)
    return parts.inputs, parts.troubles


def attack_with_storm(arguments: argparse.Namespace, share: int) -> tuple[int, list[str]]:
    """Damaged frames and heads, against running servers."""
    outcome = trio.run(besiege, arguments.seed, arguments.frames // share, arguments.heads // share, _say)
    tell_outcome(outcome)
    return outcome.frames.inputs + outcome.heads.inputs, outcome.troubles


def attack_with_sieges(arguments: argparse.Namespace, share: int) -> tuple[int, list[str]]:
    """Every siege, one after the other, while good clients chat."""
    short = share > 1
    names = arguments.sieges
    outcome = trio.run(partial(besiege_all, _say, share=SHORT_SIEGE if short else 1.0, good=SHORT_GOOD if short else GOOD, names=names))
    tell_sieges(outcome)
    return len(outcome.sieges), outcome.troubles


_ATTACKS: Final[dict[str, Callable[[argparse.Namespace, int], tuple[int, list[str]]]]] = {
    "parts": attack_parts,
    "storm": attack_with_storm,
    "sieges": attack_with_sieges,
}


def tell_tally(tally: Tally) -> None:
    """One part's line."""
    memory = f"{tally.peak_bytes / 1024:.0f} ({tally.peak_of_bytes} B)"
    figures = (tally.inputs, tally.behaviours, tally.branches, tally.corpus, f"{tally.slowest_s * 1e6:.0f} ({tally.slowest_bytes} B)")
    print(ROW.format(tally.name, *figures, memory, tally.grown_bytes // 1024, f"{tally.took_s:.0f}", tally.broken), flush=True)


def tell_parts(parts: Parts, seed: int) -> None:
    """The sums, and the findings."""
    took_s = sum(tally.took_s for tally in parts.tallies)
    kept = sum(tally.kept for tally in parts.tallies)
    print(f"parts: {parts.inputs} inputs in {took_s:.0f} s of CPU time, seed {seed}; {kept} of them showed something new", end="")
    if parts.whole is not None:
        print(
            f"; {parts.whole.taken} of {parts.whole.woven} branches taken; at most {parts.whole.cost:.1f} bytes of memory per byte of bomb",
            end="",
        )
    print(f"; {sum(tally.broken for tally in parts.tallies) + len(parts.deaths)} findings")
    for finding in parts.findings[:SHOWN_MAX]:
        print(f"FINDING in {finding}", file=sys.stderr)


def tell_sieges(outcome: sieges.Outcome) -> None:
    """What the good clients lived through, attack by attack."""
    form = "{:<13}{:>7}{:>8}{:>9}{:>10}{:>10}{:>10}{:>14}{:>7}{:>8}"
    print(form.format("siege", "s", "said", "heard", "p50 ms", "p99 ms", "worst ms", "ack p99 ms", "lost", "broken"))
    for siege in outcome.sieges:
        window = siege.window
        times = (f"{ms:.0f}" for ms in (window.p50_ms, window.p99_ms, window.worst_ms, window.acknowledged_p99_ms))
        print(form.format(siege.name, f"{siege.took_s:.0f}", window.said, window.heard, *times, window.lost, len(siege.troubles)))
    print(f"{outcome.good} good clients; the gateway ended {outcome.restarts} times")


def tell_report(name: str, report: Report) -> None:
    """Prints what was sent, what came of it, and the findings."""
    print(f"{name}: {report.inputs} inputs, {report.outcomes.get('FINDING', 0)} findings")
    print("  sent      " + ", ".join(f"{kind} {count}" for kind, count in sorted(report.kinds.items())))
    print("  came back " + ", ".join(f"{what} {count}" for what, count in sorted(report.outcomes.items())))
    for finding in report.findings[:SHOWN_MAX]:
        print(f"FINDING in {name}: {finding}", file=sys.stderr)


def tell_outcome(outcome: Outcome) -> None:
    """Prints what the storm was like, for the attackers, the neighbours and the gateway."""
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

"""`python -m proofs rehearse`: hundreds of real devices talk through a real installation while everything is cut and killed.

Starts servers of its own in a temporary folder, ends them, and kills nothing but its own children. Exit status 1 if anything that was
acknowledged was lost, doubled, changed or reordered, or if a device's copy of a stream is not what Postgres has.
"""

from __future__ import annotations

import argparse
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from proofs.numbers import at_least_one, some_time
from proofs.rehearsal.figures import Figures, table
from proofs.rehearsal.killing import KINDS
from proofs.rehearsal.run import Options, rehearse, unreported
from supervisors.process import set_up_log
from supervisors.tree import Report

TEXT = Path(__file__).with_name("text.txt")
SENTENCE_CHARS_MAX = 1000
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, each on one line and of a bounded length."""
    parts = (" ".join(part.split())[:SENTENCE_CHARS_MAX] for part in SENTENCE_END.split(text))
    return tuple(part for part in parts if part)


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    arguments = _parser().parse_args(argv)
    found = sentences(arguments.text.read_text(encoding="utf-8"))
    if not found:
        print(f"{arguments.text} has no sentences", file=sys.stderr)
        return 2
    options = Options(
        sentences=found,
        seconds=arguments.seconds,
        gateways=arguments.gateways,
        users=arguments.users,
        devices=arguments.devices,
        communities=arguments.communities,
        churn=arguments.churn,
        kill=arguments.kill,
        rate_per_s=arguments.rate,
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000),
    )
    set_up_log("info" if arguments.verbose else "error", "console")
    folder = Path(tempfile.mkdtemp(prefix="educonnect-rehearsal-"))
    try:
        figures = trio.run(_until_interrupted, options, folder, None if arguments.verbose else unreported)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if figures is None:
        return 130
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    print(table(figures))
    return 0 if figures.good else 1


async def _until_interrupted(options: Options, folder: Path, report: Report | None) -> Figures | None:
    figures = None
    async with trio.open_nursery() as nursery:

        async def wait_for_signal() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

        nursery.start_soon(wait_for_signal)
        figures = await rehearse(options, folder, lambda line: print(line, file=sys.stderr, flush=True), report)
        nursery.cancel_scope.cancel()
    return figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs rehearse", description=__doc__)
    parser.add_argument("--text", type=Path, default=TEXT, help="whose sentences are said, again and again")
    parser.add_argument("--seconds", type=some_time, default=60.0, help="how long")
    parser.add_argument("--gateways", type=at_least_one, default=2)
    parser.add_argument("--users", type=at_least_one, default=100)
    parser.add_argument("--devices", type=at_least_one, default=300, help="of all users together; at least one each")
    parser.add_argument("--communities", type=at_least_one, default=20)
    parser.add_argument("--churn", type=_share, default=0.3, help="the share of devices that is away at any moment, 0 to 0.9")
    parser.add_argument("--kill", type=_kinds, default=(), help=f"what to kill now and then: any of {','.join(KINDS)}")
    parser.add_argument("--rate", type=some_time, default=30.0, help="posts a second, of all devices together")
    parser.add_argument("--seed", type=int, help="for the choices that chance makes here")
    parser.add_argument("--json", type=Path, help="a file for the result")
    parser.add_argument("--verbose", action="store_true", help="what the supervisors say, too")
    return parser


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind for kind in text.split(",") if kind))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected any of {', '.join(KINDS)}")
    return kinds


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 0.9:
        raise argparse.ArgumentTypeError(f"{text}: expected a share from 0 to 0.9")
    return share

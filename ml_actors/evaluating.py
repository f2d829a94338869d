"""Evaluations: what a model is worth, beside a baseline and beside what others published.

    educonnect ml evaluate NAME … ─▶ add_arguments(parser), run(arguments) of the kind's evaluation module

Each prints a table, and writes it as JSON with `--json FILE`. They import what serving never does, and read data from files that they are
given; nothing of them runs in a server.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from ml_actors.kinds import KINDS

EVALUATIONS: Final = {name: kind.evaluation for name, kind in KINDS.items() if kind.evaluation} | {
    "checkpoints": KINDS["questions"].evaluation
}
"""By name, the module that evaluates. Questions are called what they become, too."""


class Evaluation(Protocol):
    """What such a module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Prints the table. `arguments.json` is a path or None. Returns the exit status: 0 well, 1 a goal was missed or nothing could be
        measured."""
        ...


def evaluation_of(name: str) -> Evaluation:
    """Imports the evaluation of a model. Raises KeyError for a name without one, ImportError where its packages are missing."""
    return cast("Evaluation", importlib.import_module(EVALUATIONS[name]))


def evaluate(name: str, rest: Sequence[str]) -> int:
    """Runs one evaluation with the arguments that are its own. Returns its exit status."""
    evaluation = evaluation_of(name)
    parser = argparse.ArgumentParser(
        prog=f"educonnect ml evaluate {name}", description=evaluation.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    evaluation.add_arguments(parser)
    return evaluation.run(parser.parse_args(rest))


def write_json(path: Path | None, figures: object) -> None:
    """For evaluations: what `--json` asks for, if it does."""
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(figures, order="deterministic"), indent=2) + b"\n")

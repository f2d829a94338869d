"""Audits, in a process of its own: `python -m ml_actors.auditing NAME ROWS OUT`: does a model, or the past that it learned from, treat
groups of people alike?

    job `ml.audit` ─▶ ROWS (as for a training) ─▶ the kind's `audit` ─▶ OUT (JSON) ─▶ the book of audits; alarms go to the metrics

They import fairlearn and pandas, which nothing that serves does. Exit status 0: OUT holds a report; 3: too few rows.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from actors.model_book import Audited
from ml_actors.kinds import TooFewRows
from ml_actors.training import NICE, TOO_FEW

AUDITS: Final = {"matching": "ml_actors.matching.auditing", "moderation": "ml_actors.moderation.auditing"}
"""By model, the module that audits it."""


class Audit(Protocol):
    """What such a module has."""

    def audit(self, rows: Path) -> Audited:
        """Looks at what `ml_actors.training.read_rows(rows)` yields. Raises `TooFewRows`."""
        ...


def audit(name: str, rows: Path) -> Audited:
    """Runs one in this process. Raises KeyError for a model without one, `TooFewRows`, or what the audit raises."""
    return cast("Audit", importlib.import_module(AUDITS[name])).audit(rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ml_actors.auditing", description="Audits a model by the rows that it learns from.")
    parser.add_argument("name", choices=sorted(AUDITS))
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parsed = parser.parse_args(argv)
    os.nice(NICE)
    try:
        report = audit(parsed.name, parsed.rows)
    except TooFewRows as few:
        sys.stderr.write(f"{few}\n")
        return TOO_FEW
    parsed.out.write_bytes(msgspec.json.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())

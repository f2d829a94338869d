"""`python -m proofs NAME [options]`: long-running attacks and checkers, each a command that ends with what it counted."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "autobahn",
    "documents",
    "faults",
    "fuzz",
    "gap",
    "jobs",
    "matrix",
    "max_write",
    "ml_chaos",
    "openapi",
    "rehearse",
    "revocation",
    "rings",
    "simulate",
    "sync_model",
    "unreviewed",
    "uploads",
)


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print(f"usage: python -m proofs NAME [options]\nwith NAME one of: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(f"proofs.{sys.argv[1]}").main(sys.argv[2:])
    return status


if __name__ == "__main__":
    sys.exit(main())

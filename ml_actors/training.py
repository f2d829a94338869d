"""Training, in a process of its own: `python -m ml_actors.training NAME ROWS OUT [--active FOLDER]`.

    job `ml.train` ─▶ ROWS (msgpack, one byte string a row) ─▶ the kind's `train` ─▶ OUT: a version's folder, and OUT/../trained.json

What trains may import what it likes, take long, and die: it has no connection to anything. Exit status 0: OUT holds a version; 3: too few
rows; anything else: it failed, and its error output says why.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, Protocol, cast

import msgspec

from ml_actors.kinds import KINDS, TooFewRows, Trained
from ml_actors.registry import open_version

TOO_FEW: Final = 3
NICE: Final = 10
"""Nobody waits for it."""
REPORT: Final = "trained.json"
ROW_BYTES_MAX: Final = 1 << 20
_LENGTH_BYTES: Final = 4


class Training(Protocol):
    """What a training module has."""

    def train(self, rows: Path, out: Path, active: Path | None) -> Trained:
        """Trains on what `read_rows(rows)` yields, and leaves a sealed version (`ml_actors.registry.seal`) in `out`, an empty folder.
        `active`: the folder of the version in use, to be measured on the same held-out rows. Raises `TooFewRows`."""
        ...


def write_rows(file: IO[bytes], rows: Iterable[bytes]) -> int:
    """Appends rows; how many. Raises ValueError for one above `ROW_BYTES_MAX`."""
    written = 0
    for row in rows:
        if len(row) > ROW_BYTES_MAX:
            raise ValueError(f"a row of {len(row)} bytes; allowed: {ROW_BYTES_MAX}")
        file.write(len(row).to_bytes(_LENGTH_BYTES, "big"))
        file.write(row)
        written += 1
    return written


def read_rows(path: Path) -> Iterator[bytes]:
    """The rows of a file, in the order in which they were written. Raises ValueError where it is cut off."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH_BYTES):
            length = int.from_bytes(head, "big")
            row = file.read(length) if len(head) == _LENGTH_BYTES and length <= ROW_BYTES_MAX else b""
            if len(head) != _LENGTH_BYTES or len(row) != length:
                raise ValueError(f"{path} ends within a row")
            yield row


def train(name: str, rows: Path, out: Path, active: Path | None) -> Trained:
    """Runs the training of a kind in this process. Raises KeyError, `TooFewRows`, `Unusable`, or what the training raises."""
    kind = KINDS[name]
    if not kind.training:
        raise KeyError(name)
    trained = cast("Training", importlib.import_module(kind.training)).train(rows, out, active)
    open_version(out)
    return trained


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ml_actors.training", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(name for name, kind in KINDS.items() if kind.training))
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--active", type=Path)
    parsed = parser.parse_args(argv)
    os.nice(NICE)
    parsed.out.mkdir(parents=True, exist_ok=True)
    try:
        trained = train(parsed.name, parsed.rows, parsed.out, parsed.active)
    except TooFewRows as few:
        sys.stderr.write(f"{few}\n")
        return TOO_FEW
    (parsed.out.parent / REPORT).write_bytes(msgspec.json.encode(trained))
    return 0


if __name__ == "__main__":
    sys.exit(main())

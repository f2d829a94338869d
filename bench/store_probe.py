"""What the client's store waits for: a call that is on the disk when it returns, beside one that need not be.

python -m bench.store_probe [FOLDER]      milliseconds a call, in a file in FOLDER (default: the system's temporary one)
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from client.sqlite_store import SqliteStore
from client.store import Settled

CALLS = 500


def measure(folder: str | None) -> tuple[float, float]:
    """Milliseconds of an `append`, which is synced, and of a `settle`, which is not."""
    with tempfile.TemporaryDirectory(dir=folder) as made, SqliteStore(Path(made) / "store.db") as store:
        keys: list[int] = []
        synced_ms = _each(lambda _: keys.append(store.append(b"x" * 60)))
        plain_ms = _each(lambda at: store.settle([Settled(keys[at], 0, 8, "", at)]))
    return synced_ms, plain_ms


def _each(call: Callable[[int], object]) -> float:
    begun = time.perf_counter()
    for at in range(CALLS):
        call(at)
    return (time.perf_counter() - begun) / CALLS * 1000


if __name__ == "__main__":
    synced_ms, plain_ms = measure(sys.argv[1] if len(sys.argv) > 1 else None)
    print(f"on the disk when it returns: {synced_ms:.2f} ms a call; not: {plain_ms:.2f} ms")

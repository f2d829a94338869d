"""Lives that end by SIGKILL, for `test_kill.py`: `python -m tests.client.killed_life FOLDER SEED LENGTH KIND FIRST LAST`.

For each n from FIRST to LAST a child lives the seeded life in FOLDER/n.db and writes each call that returned to FOLDER/n.done, a byte a
call. KIND `statement`: it kills itself when SQLite begins its n-th statement. KIND `instant`: somebody else kills it n hundred microseconds
after its first call returned. KIND `layout`: it only opens FOLDER/n.db, an older file, and kills itself at the n-th statement of that.
Children are forked, because the life of an interpreter is longer than theirs.
"""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import sys
import time
from pathlib import Path

from client.sqlite_store import SqliteStore
from client.store_schema import open_database
from tests.client.model_store import Call, life

INSTANT_S = 0.0001


def main(folder: Path, seed: int, length: int, kind: str, first: int, last: int) -> None:
    """Lives and dies last - first + 1 times."""
    calls = [lived.call for lived in life(seed, length)]
    for n in range(first, last + 1):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            live(folder / f"{n}.db", calls, kind, n, writer)
        os.close(writer)
        if kind == "instant":
            select.select([reader], [], [], 10)
            time.sleep(n * INSTANT_S)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        done = b""
        while part := os.read(reader, 65_536):
            done += part
        os.close(reader)
        (folder / f"{n}.done").write_bytes(done)


def live(path: Path, calls: list[Call], kind: str, n: int, writer: int) -> None:
    """Does one call after the other, until it dies. Never returns."""
    begun = 0

    def count(_: str) -> None:
        nonlocal begun
        begun += 1
        if begun == n and kind != "instant":
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        if kind == "layout":
            opened = sqlite3.connect(path, isolation_level=None)
            opened.set_trace_callback(count)
            open_database(opened, durable=True)
            os.write(writer, b".")
            os._exit(0)
        store = SqliteStore(path)
        store._database.set_trace_callback(count)
        for call in calls:
            call(store)
            os.write(writer, b".")
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), int(sys.argv[6]))

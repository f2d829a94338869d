"""Work on rows in a process of its own: a file in, files out, no connection to anything.

    rows (persistence) ─ pages ─▶ a file ─▶ `python -m …` ─▶ exit status, and what it left in the folder

What trains and audits models may import what it likes, take long, and die. It is killed when whoever waits is cancelled, and when this
process ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import trio

from actors.model_book import PAGE_ROWS_MAX, Mark, Page
from ml_actors.training import TOO_FEW, write_rows
from persistence.bridge import Bridge
from persistence.models import ReadPage
from supervisors.embedded_postgres import SPAWNER, TETHER

ROWS_MAX: Final = 2_000_000
"""Beyond it the oldest are enough."""
READ_S: Final = 30.0
WORDS_MAX: Final = 2_000


class ApartFailed(Exception):
    """The process did not end well. Carries its last words."""


async def gather(bridge: Bridge, read: ReadPage, path: Path, told: Callable[[int], None]) -> int:
    """Writes all rows of a query to a file, page by page; how many. Raises `StorageError`."""
    mark: Mark = ()
    count = 0
    with path.open("wb") as file:
        while count < ROWS_MAX:
            page = await bridge.run(partial(_read_page, read=read, after=mark), deadline_s=READ_S, readonly=True)
            count += write_rows(file, page.rows)
            told(count)
            mark = page.mark
            if not page.more:
                break
    return count


async def run_apart(command: Sequence[str], folder: Path) -> int:
    """Runs it, its error output in `folder`; 0, or `TOO_FEW` where it had too few rows. Raises `ApartFailed`."""
    said = folder / "said"
    with said.open("wb") as stderr:
        process = _spawn(list(command), stderr.fileno())
    try:
        await _wait_exit(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode not in (0, TOO_FEW):
        words = said.read_bytes()[-WORDS_MAX:].decode(errors="replace").strip()
        raise ApartFailed(f"exit status {process.returncode}: {words}")
    return process.returncode


async def _read_page(tx: asyncpg.Connection, *, read: ReadPage, after: Mark) -> Page:
    return await read(tx, after, PAGE_ROWS_MAX)


def _spawn(command: list[str], stderr: int) -> subprocess.Popen[bytes]:
    """One thread, and (by itself) a low priority: nobody waits for it, and a gateway may be beside it."""
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGKILL))]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    null = subprocess.DEVNULL

    def start() -> subprocess.Popen[bytes]:
        environment = {**os.environ, **one}
        return subprocess.Popen([*tether, *command], env=environment, stdin=null, stdout=null, stderr=stderr, start_new_session=True)

    return SPAWNER.submit(start).result()


async def _wait_exit(process: subprocess.Popen[bytes]) -> None:
    watch = os.pidfd_open(process.pid)
    try:
        while process.poll() is None:
            await trio.lowlevel.wait_readable(watch)
    finally:
        trio.lowlevel.notify_closing(watch)
        os.close(watch)

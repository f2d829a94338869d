"""Programs of this repository as subprocesses, the way a person or CI runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "EDUCONNECT_PASSWORD": "correct horse"}
PROGRAM_S = 60.0
"""No program of a test takes this long; one that does has hung."""


async def run_program(arguments: list[str], typed: str = "") -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end, with these lines on its standard input."""
    with trio.fail_after(PROGRAM_S):
        return await trio.run_process(
            [sys.executable, *arguments],
            stdin=typed.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=ENVIRONMENT,
            cwd=ROOT,
        )


async def start_program(nursery: trio.Nursery, arguments: list[str]) -> trio.Process:
    """Starts it with its standard output in a pipe; to be killed by whoever started it."""
    process: trio.Process = await trio.lowlevel.open_process(
        [sys.executable, *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT
    )
    nursery.start_soon(process.wait)
    return process

"""Another process of ours as a supervised child: started, awaited until it is ready, told to stop, and gone when this one is.

Invariant: it does not outlive its owner, whatever happens to that one (see `tether.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from supervisors.embedded_postgres import SPAWNER, TETHER

READY_S: Final = 60.0
KILL_S: Final = 5.0


class ProgramEnded(Exception):
    """A process that should go on has ended."""


class Program:
    """One `educonnect …` command as a child. `serve` runs it; `pid` is its process while it runs."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, stop_s: float) -> None:
        self.name = name
        self._arguments = tuple(arguments)
        self.environment = dict(environment)
        self._stop_s = stop_s
        self._launched: tuple[subprocess.Popen[bytes], int] | None = None
        self.pid = 0
        self.addresses: tuple[str, ...] = ()
        self._asked_to_stop = False

    def ask_to_stop(self) -> None:
        """Tells it to stop in its own way, without waiting: several that stop side by side take the time of the slowest. Whoever says so
        ends `serve` in its turn."""
        self._asked_to_stop = True
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def launch(self) -> None:
        """Starts the process ahead of `serve`, which then waits for this one: several start in the time of the slowest."""
        if self._launched is not None:
            return
        read_fd, write_fd = os.pipe()
        try:
            self._launched = (self._spawn(write_fd), read_fd)
        finally:
            os.close(write_fd)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the process until cancelled; started when it says that it is ready. Raises `ProgramEnded` when it ends by itself."""
        if self._launched is None:
            self.launch()
        assert self._launched is not None
        (process, read_fd), self._launched = self._launched, None
        self.pid = process.pid
        try:
            async with trio.lowlevel.FdStream(read_fd) as ready:
                with trio.move_on_after(READY_S):
                    said = b""
                    while not said.endswith(b"\n"):
                        part = await ready.receive_some(4096)
                        if not part:
                            break
                        said += part
            if not said.endswith(b"\n"):
                with trio.move_on_after(KILL_S):
                    await _wait_exit(process)
                raise ProgramEnded(f"{self.name} did not become ready; {_ending(process)}")
            self.addresses = tuple(said.decode().split())
            task_status.started()
            await _wait_exit(process)
            if self._asked_to_stop:
                self.pid = 0
                await trio.sleep_forever()  # it did as it was told: nothing fell, and nothing is to be started again
            raise ProgramEnded(f"{self.name} ended: {_ending(process)}")
        finally:
            with trio.CancelScope(shield=True):
                await self._stop(process)
            self.pid = 0

    def _spawn(self, ready_fd: int) -> subprocess.Popen[bytes]:
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGTERM))]
        command = [*tether, sys.executable, "-m", "supervisors.cli", *self._arguments, "--ready-fd", str(ready_fd)]
        return SPAWNER.submit(
            subprocess.Popen,
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            pass_fds=(ready_fd,),
            start_new_session=True,  # Ctrl-C reaches the owner alone, which stops its children in order
        ).result()

    async def _stop(self, process: subprocess.Popen[bytes]) -> None:
        for number, patience_s in ((signal.SIGTERM, self._stop_s), (signal.SIGKILL, KILL_S)):
            if process.poll() is not None:
                return
            process.send_signal(number)
            with trio.move_on_after(patience_s):
                await _wait_exit(process)


def _ending(process: subprocess.Popen[bytes]) -> str:
    status = process.poll()
    if status is None:
        return "it still runs"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


async def _wait_exit(process: subprocess.Popen[bytes]) -> None:
    watch = os.pidfd_open(process.pid)
    try:
        while process.poll() is None:
            await trio.lowlevel.wait_readable(watch)
    finally:
        os.close(watch)

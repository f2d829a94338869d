"""The template of models' processes, seen from the ML process: begun when it is first needed, and again when it is gone.

Invariant: one at most; whatever it does comes out as `WorkerGone`, and a process that it forked dies with it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import Final

import msgspec
import trio

from ml_actors.worker_template import PID, Wanted
from ml_actors.workers import Process, Spawn, WorkerGone

READY_S: Final = 30.0
END_S: Final = 5.0
_ENCODER: Final = msgspec.msgpack.Encoder()


class Forked:
    """A process that is no child of ours: what `subprocess.Popen` is to one that is. How it ended is not known, only that it did."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError where it is gone already."""
        self.pid = pid
        self._watch = os.pidfd_open(pid)
        self._over = False

    def poll(self) -> int | None:
        if not self._over and select.select([self._watch], [], [], 0)[0]:
            self._over = True
            os.close(self._watch)
        return 0 if self._over else None

    def wait(self, timeout: float) -> int:
        if self.poll() is None:
            select.select([self._watch], [], [], timeout)
        return self.poll() or 0

    def kill(self) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._watch, signal.SIGKILL)


class Template:
    """Begins processes by forking them from one that has loaded what they share."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._process: Process | None = None
        self._line: socket.socket | None = None
        self._turn = trio.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def fork(self, kind: str, fence_mib: int, descriptor: int) -> Forked:
        """A process of this kind at the other end of `descriptor`. Raises `WorkerGone`."""
        async with self._turn:
            try:
                with trio.fail_after(READY_S) as scope:
                    # Begun, it is waited for: else it would answer with a pid that nobody looks after.
                    scope.shield = True
                    return await self._fork(_ENCODER.encode(Wanted(kind, fence_mib)), descriptor)
            except (OSError, EOFError, trio.TooSlowError) as error:
                self.end()
                raise WorkerGone(f"the template is gone: {error!r}") from error

    async def _fork(self, wanted: bytes, descriptor: int) -> Forked:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._begin()
        assert self._line is not None
        socket.send_fds(self._line, [wanted], [descriptor])
        await trio.lowlevel.wait_readable(self._line)
        said = self._line.recv(PID.size)
        if len(said) != PID.size:
            raise EOFError("it closed its socket")
        return Forked(PID.unpack(said)[0])

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = self._spawn([sys.executable, "-m", "ml_actors.worker_template", str(theirs.fileno())], theirs.fileno())
        ours.setblocking(False)
        self._line = ours

    def end(self) -> None:
        """Kills it, and with it whatever it forked."""
        process, self._process = self._process, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(END_S)  # some milliseconds: it is gone, and its children with it, before another one begins

"""Processes that hash and give way: work that takes a core for 40 ms at a time goes on when nothing else wants that core.

    obey(order) ─▶ one of `count` threads ═ pipe ═▶ its process, at a lower priority of the scheduler ─▶ answer, back in trio

On two cores two gateways that hash leave none to who chats, so who hashes has a tenth of the weight of who serves sockets. A thread at such
a priority would not do: it needs the interpreter for a moment before and after each hash, and whoever holds that and waits for a core makes
the whole gateway wait. Measured on two busy cores: turns of the loop that came 20 ms late or more, 0.8 % beside a thread, 0.05 % beside a
process.

Invariant: an order that was begun is answered, or `HasherLost` is raised within `PATIENCE_S`, also when nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import queue
import select
import subprocess
import sys
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

import msgspec
import trio

from gateway.hash_child import FRAME_BYTES_MAX, LENGTH, frame
from gateway.hash_orders import AnyDone, AnyOrder, obey

NICENESS: Final = 10
"""A tenth of the weight of who serves sockets, on a core that both want; all of the core, if nobody else does."""
PATIENCE_S: Final = 10.0
"""The longest that one order may take. The request behind it has given up by then."""

_ANSWERS: Final = msgspec.msgpack.Decoder(AnyDone)


class HasherLost(Exception):
    """The process ended or stood still over an order. It may be given again: the next one starts another process."""


class Hashers(Protocol):
    """Who obeys orders about passwords."""

    async def obey(self, order: AnyOrder) -> AnyDone:
        """Cannot be cancelled once it was begun. Raises `HasherLost`."""
        ...


class HashThreads:
    """In this process: for one password at a terminal, and for tests, where a process would take longer than its work."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, "hash")

    async def obey(self, order: AnyOrder) -> AnyDone:
        return await _in_thread(self._threads, partial(obey, order))


class HashProcesses:
    """See the module. Processes are started when they are needed, and end with this one."""

    def __init__(self, count: int, *, niceness: int = NICENESS, patience_s: float = PATIENCE_S) -> None:
        self._threads = ThreadPoolExecutor(count, "hash")
        self._niceness = niceness
        self._patience_s = patience_s
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        weakref.finalize(self, _end_all, self._idle)

    async def obey(self, order: AnyOrder) -> AnyDone:
        return await _in_thread(self._threads, partial(self._ask, order))

    def _ask(self, order: AnyOrder) -> AnyDone:
        try:
            child = self._idle.get_nowait()
        except queue.Empty:
            child = _Child(self._niceness)
        try:
            answer = child.ask(order, self._patience_s)
        except BaseException:
            child.end()
            raise
        self._idle.put(child)
        return answer


class _Child:
    """One process, for one thread at a time."""

    def __init__(self, niceness: int) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.hash_child", str(niceness)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C at the terminal is for who started it
            )
        except OSError as error:
            raise HasherLost(f"no process could be started: {error}") from error

    def ask(self, order: AnyOrder, patience_s: float) -> AnyDone:
        """Raises `HasherLost`; then it is of no more use."""
        until_s = time.monotonic() + patience_s
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(frame(order))  # less than a pipe holds, and it reads nothing else: this does not wait
            (length,) = LENGTH.unpack(self._read(LENGTH.size, until_s))
            if length > FRAME_BYTES_MAX:
                raise HasherLost(f"it said {length} bytes")
            answer: AnyDone = _ANSWERS.decode(self._read(length, until_s))
        except (OSError, msgspec.MsgspecError) as error:
            raise HasherLost(str(error)) from error
        return answer

    def _read(self, size: int, until_s: float) -> bytes:
        assert self._process.stdout is not None
        found, ready = b"", select.poll()  # not `select`, which knows no descriptor beyond 1,023
        ready.register(self._process.stdout, select.POLLIN)
        while len(found) < size:
            if not ready.poll(max(0.0, until_s - time.monotonic()) * 1000):
                raise HasherLost("it stood still")
            more = self._process.stdout.read(size - len(found))
            if not more:
                raise HasherLost("it ended")
            found += more
        return found

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written yet is for nobody
                    pipe.close()
        self._process.wait()


def _end_all(idle: queue.LifoQueue[_Child]) -> None:
    """Those that do nothing now; the others end with this process, whose end of their pipe goes with it."""
    with contextlib.suppress(queue.Empty):
        while True:
            idle.get_nowait().end()


async def _in_thread(threads: ThreadPoolExecutor, job: partial[AnyDone]) -> AnyDone:
    """What the job returned, or raised. Threads of its own: trio's serve everybody, and a hash would hold one for as long as it takes."""
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()
    future: Future[AnyDone] = threads.submit(job)
    future.add_done_callback(lambda _: token.run_sync_soon(done.set))
    with trio.CancelScope(shield=True):
        await done.wait()
    return future.result()

"""One life of a model's own process, seen from the ML process: begun, asked, watched, ended.

    Workers.make ─▶ Worker ─ begin ─▶ load ─ feed ─▶ warm ─▶ answer, answer …       watch: its memory, its end
                                                                                     end: SIGKILL, and it is gone when this returns

trio cannot kill a thread, and a library in C that loops holds the interpreter besides. A process can be killed whatever it does.

Invariant: whatever it does, it comes out as `WorkerGone` with what happened, and after `end` there is no process and no descriptor of it.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import msgspec
import trio

from ml_actors.kinds import Kind, Options, Unusable
from ml_actors.worker_frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    AnyOrder,
    AnySaid,
    Batch,
    Broke,
    Done,
    Fed,
    Feed,
    Load,
    Loaded,
    Warm,
    Warmed,
    frame,
)

LOOK_S: Final = 0.1
"""How often its memory is looked at: a model that grows by 1 GiB/s is 100 MiB above its bound when that is seen."""
END_S: Final = 5.0
READ_BYTES: Final = 65_536
FENCE_TIMES: Final = 4
"""The kernel's own bound of its memory, as a multiple of the bound that is watched."""
FENCE_MIB_MIN: Final = 2048
_PAGE_BYTES: Final = resource.getpagesize()
_SAID: Final = msgspec.msgpack.Decoder(AnySaid)


class WorkerGone(Exception):
    """This life is over: it crashed, was killed, or said something that it should not. The text says what happened."""


class Process(Protocol):
    """What `subprocess.Popen` is here."""

    pid: int

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float) -> int: ...


Spawn = Callable[[Sequence[str], int], Process]
"""Starts `python -m …` with one inherited descriptor, so that it dies with this process, whatever kills that one."""


Fork = Callable[[str, int, int], Awaitable[Process]]
"""The same from a template (`template.py`): kind, fence in MiB, descriptor. Raises `WorkerGone`."""


class Worker(Protocol):
    """One life. Everything but `end` may raise `WorkerGone`; `begin` also `Unusable`."""

    pid: int
    memory_mib: float

    async def begin(self) -> str:
        """Starts and loads; the title under which it answers."""
        ...

    async def feed(self, rows: Sequence[bytes]) -> None: ...

    async def warm(self) -> None: ...

    async def answer(self, requests: Sequence[bytes]) -> Sequence[bytes | str]:
        """For each request its result, or the words of what it raised."""
        ...

    async def watch(self) -> NoReturn: ...

    async def end(self) -> None:
        """Kills it, if it lives. Runs to its end though it be cancelled."""
        ...


class ProcessWorker:
    """`Worker`, as a process."""

    def __init__(self, spawn: Spawn, kind: Kind, folder: Path, options: Options, memory_mib_max: int, *, fork: Fork | None = None) -> None:
        """`fork`: in the place of `spawn`, but for runtimes that bring libraries with threads of their own, which survive no fork."""
        self._spawn = spawn
        self._fork = fork if options.runtime == "embedded" else None
        self._kind = kind
        self._load = Load(kind.name, str(folder), options)
        self._fence_mib = 0 if options.device == "cuda" else max(FENCE_MIB_MIN, FENCE_TIMES * memory_mib_max)
        self._memory_mib_max = memory_mib_max
        self._born_mib = 0.0
        """What it had of its template's, which is there once for all of them."""
        self._process: Process | None = None
        self._stream: trio.SocketStream | None = None
        self._turn = trio.Lock()
        self.pid = 0
        self.memory_mib = 0.0

    async def begin(self) -> str:
        try:
            self._process = await self._begin_process()
        except OSError as error:
            # No descriptor, no memory, no process left: a fault of this life, and of none beside it.
            raise WorkerGone(f"it could not be started: {error}") from error
        self.pid = self._process.pid
        if self._fork is not None:
            self._born_mib = own_memory_mib(self.pid)
        loaded: Loaded = await self._ask(self._load, Loaded)
        return loaded.title

    async def _begin_process(self) -> Process:
        """Raises OSError, `WorkerGone`."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
            if self._fork is not None:
                return await self._fork(self._kind.name, self._fence_mib, theirs.fileno())
            command = [sys.executable, "-m", "ml_actors.worker_process", str(theirs.fileno()), self._kind.name]
            return self._spawn([*command, str(self._fence_mib)] if self._fence_mib else command, theirs.fileno())

    async def feed(self, rows: Sequence[bytes]) -> None:
        await self._ask(Feed(list(rows)), Fed)

    async def warm(self) -> None:
        await self._ask(Warm(), Warmed)

    async def answer(self, requests: Sequence[bytes]) -> Sequence[bytes | str]:
        done: Done = await self._ask(Batch(list(requests)), Done)
        if len(done.results) != len(requests):
            raise WorkerGone(f"it gave {len(done.results)} results for {len(requests)} requests")
        return [done.raised.get(place, result) for place, result in enumerate(done.results)]

    async def watch(self) -> NoReturn:
        assert self._process is not None
        while True:
            await trio.sleep(LOOK_S)
            self.memory_mib = max(0.0, own_memory_mib(self.pid) - self._born_mib)
            if self.memory_mib > self._memory_mib_max:
                raise WorkerGone(f"killed for its memory: {self.memory_mib:.0f} MiB, allowed are {self._memory_mib_max}")
            if self._process.poll() is not None:
                raise WorkerGone(self._ending())

    async def end(self) -> None:
        process, self._process = self._process, None
        stream, self._stream = self._stream, None
        with trio.CancelScope(shield=True):
            if stream is not None:
                await trio.aclose_forcefully(stream)
            if process is not None and process.poll() is None:
                process.kill()
                with trio.move_on_after(END_S):
                    await _wait_exit(process)

    async def _ask(self, order: AnyOrder, wanted: type[Any]) -> Any:
        # The stream is read to the end of a frame, or the life is over: who is cancelled here ends it.
        async with self._turn:
            stream = self._stream
            if stream is None:
                raise WorkerGone("it was ended")
            try:
                await stream.send_all(frame(order))
                said = _SAID.decode(await _read_frame(stream))
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError, EOFError) as error:
                raise WorkerGone(await self._end_of()) from error
            except msgspec.MsgspecError as error:
                raise WorkerGone(f"it said what nobody understands: {error}") from error
        if isinstance(said, Broke):
            raise WorkerGone(said.words) if said.usable else Unusable(said.words)
        if not isinstance(said, wanted):
            raise WorkerGone(f"it said {type(said).__name__} in the place of {wanted.__name__}")
        return said

    async def _end_of(self) -> str:
        """Its socket is closed: it is about to be gone, and how is known a moment later."""
        if self._process is not None:
            with trio.move_on_after(1.0):
                await _wait_exit(self._process)
        return self._ending()

    def _ending(self) -> str:
        status = None if self._process is None else self._process.poll()
        if status is None:
            return "it closed its socket"
        if self._fork is not None:
            return "it ended"  # of a process that is no child of ours nobody tells how
        return f"ended by signal {-status}" if status < 0 else f"exited with status {status}"


async def _read_frame(stream: trio.SocketStream) -> bytes:
    kept = bytearray()
    while len(kept) < LENGTH.size or len(kept) < LENGTH.size + LENGTH.unpack_from(kept)[0]:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            raise EOFError
        kept += data
        if len(kept) > FRAME_BYTES_MAX:
            raise EOFError
    return bytes(kept[LENGTH.size :])


async def _wait_exit(process: Process) -> None:
    try:
        watch = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return  # gone, and reaped by who forked it
    try:
        while process.poll() is None:
            await trio.lowlevel.wait_readable(watch)
    finally:
        trio.lowlevel.notify_closing(watch)
        os.close(watch)


def own_memory_mib(pid: int) -> float:
    """Resident memory that it shares with nobody's file, in MiB; 0 where it is gone, or this is no Linux."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            _, resident, shared, *_ = statm.read().split()
    except (OSError, ValueError):
        return 0.0
    return (int(resident) - int(shared)) * _PAGE_BYTES / (1024 * 1024)

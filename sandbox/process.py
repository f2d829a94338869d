"""Untrusted bytes are opened here, in a process of their own that is killed when it takes too long, grows or says too much.

    run_in_sandbox ─ payload ─▶ stdin │ python -I child.py TASK …  no network, no files written, no core, few descriptors
                   ◀─ answer ── stdout│                            address space and CPU time bounded by the kernel
                   ◀─ words ─── stderr│                            its own process group: nothing that it began outlives it

A decoder in C or Rust that loops holds the interpreter, and no thread can be killed: only a process can. The child gets an empty
environment (no address of a database, no secret), imports what its task needs and nothing else of the product, and lives for one task.

Invariant: when `run_in_sandbox` returns, raises or is cancelled, all of it has been killed, and at most `answer_max` bytes of it are here.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import trio

from actors.sandbox_port import SandboxFailed as SandboxFailed
from actors.sandbox_port import Why as Why
from sandbox.child import REFUSED, TOO_LARGE

CHILD: Final = Path(__file__).with_name("child.py")
WORDS_MAX: Final = 2000
"""Bytes of stderr that are kept; the rest is read and dropped."""
READ_BYTES: Final = 65_536
CPU_GRACE_S: Final = 1
"""The kernel's bound of CPU time is so much above the watch's: it is the fence behind it, for a parent that is busy itself."""
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1"}
"""Everything the child knows of where it runs. An arena a thread would reserve 64 MiB of its address space each."""
_MEMORY_WORDS: Final = (b"MemoryError", b"memory allocation of", b"Cannot allocate memory")


async def run_in_sandbox(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
    """The answer of `task` ("documents.compact"; see `child.py`) to `payload`. Raises SandboxFailed; OSError if no process can be had.

    `seconds`: from its start to its answer, by the clock and by its CPU time. `memory_mib`: of address space, interpreter included
    (about 40 MiB). A start costs some 50 ms: what is called often is gathered by its caller.
    """
    command = [sys.executable, "-I", str(CHILD), task, str(memory_mib), str(math.ceil(seconds) + CPU_GRACE_S), str(answer_max)]
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    answer, words = bytearray(), bytearray()
    try:
        with trio.move_on_after(seconds) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, process.stdin, payload)
                nursery.start_soon(_read_words, process.stderr, words)
                await _read_answer(process.stdout, answer, answer_max)
                await process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + 1.0  # a grandchild may hold the pipes open
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)
    if scope.cancelled_caught:
        raise SandboxFailed(Why.TIME, f"no answer within {seconds:g} s")
    if process.returncode == 0 and len(answer) <= answer_max:
        return bytes(answer)
    raise _failure(process.returncode, bytes(words), len(answer) > answer_max)


async def _write(pipe: trio.abc.SendStream | None, payload: bytes) -> None:
    assert pipe is not None
    try:
        async with pipe:
            await pipe.send_all(payload)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it ended before it had read everything: how it ended says why


async def _read_answer(pipe: trio.abc.ReceiveStream | None, answer: bytearray, answer_max: int) -> None:
    assert pipe is not None
    while len(answer) <= answer_max and (data := await pipe.receive_some(READ_BYTES)):
        answer += data
    await pipe.aclose()  # one that goes on talking meets a broken pipe


async def _read_words(pipe: trio.abc.ReceiveStream | None, words: bytearray) -> None:
    assert pipe is not None
    while data := await pipe.receive_some(READ_BYTES):
        words += data[: WORDS_MAX - len(words)]


async def _end(process: trio.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its group, while its own zombie or a child of it still holds the number
    except ProcessLookupError:
        pass  # all of it is gone
    await process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            await trio.aclose_forcefully(pipe)


def _failure(status: int | None, raw: bytes, too_much: bool) -> SandboxFailed:
    words = raw.decode("utf-8", "replace").strip()[-WORDS_MAX:]
    if too_much or status == TOO_LARGE:
        return SandboxFailed(Why.REFUSED, words or "its answer is larger than allowed")
    if status == REFUSED:
        return SandboxFailed(Why.MEMORY if words.startswith("MemoryError") else Why.REFUSED, words)
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        # Nobody else kills: the kernel does, for CPU time (first XCPU, then KILL). Its killer for want of memory uses KILL as well.
        return SandboxFailed(Why.TIME, "the kernel ended it for its CPU time, or the machine's memory")
    if any(said in raw for said in _MEMORY_WORDS):
        return SandboxFailed(Why.MEMORY, words)
    ending = f"ended by signal {-status}" if status is not None and status < 0 else f"exited with status {status}"
    return SandboxFailed(Why.KILLED, f"{ending}; {words}" if words else ending)

"""The process in which untrusted bytes are opened: `python -I child.py TASK MEMORY_MIB CPU_S ANSWER_MAX`, once, and it ends.

    fences first ─▶ import the task's room ─▶ read stdin to its end ─▶ task(payload) ─▶ stdout: the answer, and nothing else

A task is a function of bytes to bytes in a room of `ROOMS`; what it raises is said on stderr in one line, and the status tells which kind
of end it was. Run by its path, since an isolated interpreter looks neither at the working folder nor at PYTHONPATH.

Invariant: no byte of the payload is looked at before every fence stands.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOMS: Final = ("documents", "images", "trials")
"""Modules of this package that have a table `TASKS`; "documents.compact" is the entry `compact` of the first."""
REFUSED: Final = 3
TOO_LARGE: Final = 4
UNKNOWN_TASK: Final = 5
DESCRIPTORS_MAX: Final = 32
WORDS_MAX: Final = 500
_NICE: Final = 10
"""What is opened here can wait; a key on somebody's screen cannot."""
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000

Task = Callable[[bytes], bytes]
"""May raise whatever it likes: it is said, and the payload counts as refused."""


def fence(memory_mib: int, cpu_s: int) -> None:
    """Bounds this process; there is no way back. Each line is one thing that a hostile payload could want.

    It is not tied to its parent's death by a signal: that signal comes when the *thread* ends that forked, and trio's threads come and go.
    Without a parent its input ends and its answer meets a broken pipe, or its CPU time is over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A network of its own, with nothing in it, where this kernel lets who is nobody make one; elsewhere the empty environment has to do.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    memory = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, DESCRIPTORS_MAX))
    with suppress(OSError):
        os.nice(_NICE)


def find_task(name: str) -> Task | None:
    """The task of this name, its room imported; None if there is none."""
    room, _, task = name.partition(".")
    if room not in ROOMS:
        return None
    tasks: Mapping[str, Task] = importlib.import_module(f"sandbox.{room}").TASKS
    return tasks.get(task)


def main(arguments: list[str]) -> int:
    name, memory_mib, cpu_s, answer_max = arguments
    fence(int(memory_mib), int(cpu_s))
    sys.path.append(str(Path(__file__).parent.parent))
    task = find_task(name)
    if task is None:
        sys.stderr.write(f"no task is called {name}\n")
        return UNKNOWN_TASK
    try:
        answer = task(sys.stdin.buffer.read())
    except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception; it is said, and this process ends either way
        sys.stderr.write(f"{type(error).__name__}: {error}"[:WORDS_MAX])
        return REFUSED
    if len(answer) > int(answer_max):
        sys.stderr.write(f"its answer has {len(answer)} bytes, allowed are {answer_max}")
        return TOO_LARGE
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

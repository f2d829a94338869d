"""What models' processes have in common, loaded once: `python -m ml_actors.worker_template FD`.

    ML process ─ (kind, fence) and a descriptor ─▶ template: Python, and the embeddings, warm ─ fork ─▶ a model's process
               ◀──────────────── its pid ─────────────╯                                                 (worker_process.main)

Processes that are forked share the pages that nobody writes to: Python and the embeddings' weights, about 140 MiB, are in memory once
instead of once a model, and are read once. The embeddings are loaded for the first kind that uses them. The template has one thread and
asks nothing of its children; when it ends, in whatever way, they end, and it ends with the ML process.

Invariant: after the fork a child holds the one descriptor that was sent for it, and none of another child's.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import signal
import socket
import struct
import sys
from typing import Final, NoReturn

import msgspec

from ml_actors import worker_process
from ml_actors.kinds import KINDS

PID: Final = struct.Struct(">I")
WANTED_BYTES_MAX: Final = 1024
PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """Asks for a process. `fence_mib`: the kernel's bound of its memory beyond what it begins with; 0: none."""

    kind: str
    fence_mib: int


_WANTED: Final = msgspec.msgpack.Decoder(Wanted)


def main(arguments: list[str]) -> int:
    ear = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them: whoever asked watches them by descriptor
    gc.freeze()
    own = os.getpid()
    while True:
        asked, descriptors, _, _ = socket.recv_fds(ear, WANTED_BYTES_MAX, 1)
        if not asked:
            return 0
        (descriptor,) = descriptors
        wanted = _WANTED.decode(asked)
        if KINDS[wanted.kind].embeds:
            _load_embeddings()
        pid = os.fork()
        if pid == 0:
            _be(own, ear, descriptor, wanted)
        os.close(descriptor)
        ear.send(PID.pack(pid))


@functools.cache
def _load_embeddings() -> None:
    from ml_actors.embeddings import embed  # here: the ML process names this module, too, and needs no numpy

    embed(["warm"])
    gc.collect()
    gc.freeze()  # or the collector would write to every object of the children, and so copy its page


def _be(template: int, ear: socket.socket, descriptor: int, wanted: Wanted) -> NoReturn:
    status = 1
    try:
        ear.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NAME, f"ml-{wanted.kind}".encode()[:15], 0, 0, 0)
        if os.getppid() == template:  # asked after the wish was made: a template that died before it would never be noticed
            fence = [str(wanted.fence_mib)] if wanted.fence_mib else []
            status = worker_process.main([str(descriptor), wanted.kind, *fence])
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

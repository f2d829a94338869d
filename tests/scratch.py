"""Where tests and proofs keep what they throw away: in memory where there is plenty of it, else wherever the system says.

    python -m tests.scratch      prints the folder, for `TMPDIR`

A test database is a copy of some thousand small files. On a disk whose file system keeps a journal, copying and deleting them takes half a
second of the kernel's time, in memory a twentieth; 62 tests of persistence took 52 s there and 12 s here.

Invariant: whoever has set TMPDIR gets what they set.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
"""What a whole run with a few workers had in its folders at most was a quarter of this."""
SPARE_BYTES = 4 << 30
"""What programs need besides."""


def scratch() -> str:
    """The folder."""
    if "TMPDIR" not in os.environ and is_roomy(MEMORY) and spare_bytes() >= ROOM_BYTES + SPARE_BYTES:
        return str(MEMORY)
    return tempfile.gettempdir()


def is_roomy(folder: Path) -> bool:
    """Whether programs can be written there and run, and there is room."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    has = os.statvfs(folder)
    return not has.f_flag & os.ST_NOEXEC and has.f_bavail * has.f_frsize >= ROOM_BYTES


def spare_bytes(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """How much memory may still be used: of the machine's, and of what a container was given."""
    lines = (line.split() for line in meminfo.read_text().splitlines())
    spare = next(int(kib) << 10 for name, kib, *_ in lines if name == "MemAvailable:")
    try:
        most, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return spare
    return spare if most == "max" else min(spare, int(most) - int(used))


if __name__ == "__main__":
    sys.stdout.write(scratch() + "\n")

"""A wall clock that can be moved from outside, for processes of ours: put on `PYTHONPATH`, Python imports it before anything else.

    file named by PROOF_CLOCK: eight bytes, a double ─▶ time.time() = the real one + that many seconds

It reaches whatever reads `time.time` in this process (what the product's clock port is filled with), and nothing else: not monotonic
clocks, which do not jump, and not the clocks of Postgres and Valkey.
"""

import mmap
import os
import struct
import time

_PATH = os.environ.get("PROOF_CLOCK", "")
if _PATH:
    with open(_PATH, "rb") as _file:
        _OFFSET = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _real = time.time

    def _moved() -> float:
        offset: float = struct.unpack("<d", _OFFSET[:8])[0]
        return _real() + offset

    time.time = _moved

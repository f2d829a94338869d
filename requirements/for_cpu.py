"""Makes the lock for torch's CPU build from the one that uv resolved for the extra `transformers`.

    transformers.lock (public index: on Linux a build for CUDA, gigabytes with it) ─▶ transformers-cpu.lock (the same without them)

Both builds have one version, and one lock with both hashes does not do: pip then takes the build of the index, whose links carry hashes,
over the one that lies in a folder (`--find-links`), whose links carry none. So the CPU build is asked for by its full name.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CPU_HASHES = {"2.13.0": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}
"""Of torch's CPU build for Linux on x86-64 and CPython 3.11, by its version."""


def main(lock: Path, out: Path) -> None:
    first, *blocks = re.split(r"(?m)^(?=[a-zA-Z0-9])", lock.read_text())
    kept = [block for block in blocks if not re.match(r"nvidia-|cuda-|triton==", block)]
    out.write_text(first + "".join(_for_cpu(block) if block.startswith("torch==") else block for block in kept))


def _for_cpu(block: str) -> str:
    version = block.split("==")[1].split()[0]
    said = [line for line in block.splitlines() if line.strip().startswith("#")]
    return "\n".join([f"torch=={version}+cpu \\", f"    --hash=sha256:{CPU_HASHES[version]}", *said, ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

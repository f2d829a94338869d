"""A node's process: what it does to the process that it runs in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HASHING = """
import threading, psutil
from argon2.low_level import Type, hash_secret
from supervisors.process import return_large_blocks

def hash():
    for _ in range(3):
        hash_secret(b"password", b"saltsaltsalt", 2, 19 * 1024, 1, 32, Type.ID)
    done.set()
    leave.wait()

{prepare}
before = psutil.Process().memory_info().rss
done, leave = threading.Event(), threading.Event()
thread = threading.Thread(target=hash)
thread.start()
done.wait()
print((psutil.Process().memory_info().rss - before) // 2**20)
leave.set()
"""


def kept_mib(prepare: str) -> int:
    """What a process holds more than before after a thread of its own, still there, hashed passwords."""
    run = subprocess.run([sys.executable, "-c", HASHING.format(prepare=prepare)], capture_output=True, check=True, text=True, timeout=60)
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")
def test_the_memory_of_a_password_hash_goes_back_to_the_system() -> None:
    assert kept_mib("pass") >= 15, "the allocator keeps nothing by itself any more: return_large_blocks has lost its reason"
    assert kept_mib("return_large_blocks()") < 10


def test_a_key_file_that_is_not_there_is_named_in_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    missing = str(tmp_path / "keys.pem")
    needed = {"DATABASE_DSN": "postgresql://nobody@localhost:1/nothing", "REDIS_URL": "redis://localhost:1", "TOKENS_KEY_FILE": missing}
    environment = {**os.environ, **{f"EDUCONNECT_{name}": value for name, value in needed.items()}}
    command = [sys.executable, "-m", "supervisors.cli", "serve", "--role", "gateway", "--portholes", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60, env=environment)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "tokens.key_file" in run.stderr and missing in run.stderr

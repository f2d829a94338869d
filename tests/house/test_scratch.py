"""What tests throw away is in memory only where there is plenty of it and nobody said otherwise."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests import scratch


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    """Of a machine with 8 GiB to spare."""
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {8 << 20} kB\n")
    return path


def test_what_somebody_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere")
    monkeypatch.setattr(tempfile, "tempdir", "/somewhere")
    assert scratch.scratch() == "/somewhere"


def test_memory_is_taken_where_there_is_plenty_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(scratch, "is_roomy", lambda folder: folder == scratch.MEMORY)
    spare = 0
    monkeypatch.setattr(scratch, "spare_bytes", lambda: spare)
    assert scratch.scratch() == tempfile.gettempdir()
    spare = scratch.ROOM_BYTES + scratch.SPARE_BYTES
    assert scratch.scratch() == "/dev/shm"


def test_a_folder_that_is_not_there_or_cannot_be_written_to_has_no_room() -> None:
    assert not scratch.is_roomy(Path("/proc/nowhere"))
    assert not scratch.is_roomy(Path("/proc/sys"))


def test_what_a_container_was_given_bounds_what_may_be_used(meminfo: Path, tmp_path: Path) -> None:
    assert scratch.spare_bytes(meminfo, tmp_path) == 8 << 30, "no container"
    for most, spare in (("max", 8 << 30), (str(3 << 30), 2 << 30), (str(100 << 30), 8 << 30)):
        (tmp_path / "memory.max").write_text(f"{most}\n")
        (tmp_path / "memory.current").write_text(f"{1 << 30}\n")
        assert scratch.spare_bytes(meminfo, tmp_path) == spare

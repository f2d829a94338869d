"""The files that come from code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisors import generated


@pytest.mark.parametrize("name", generated.FILES)
def test_a_generated_file_is_what_the_code_says_now(name: str) -> None:
    assert (generated.ROOT / name).read_text("utf-8") == generated.FILES[name](), f"{name} is old: run `make generate`"


@pytest.mark.parametrize("name", generated.FILES)
def test_generating_twice_gives_the_same_bytes(name: str) -> None:
    assert generated.FILES[name]() == generated.FILES[name]()


def test_a_changed_file_is_found_and_written_anew(tmp_path: Path) -> None:
    assert generated.write(tmp_path) == list(generated.FILES)
    assert generated.find_stale(tmp_path) == []
    (tmp_path / "docs/protocol.md").write_text("by hand", "utf-8")
    assert generated.find_stale(tmp_path) == ["docs/protocol.md"]
    assert generated.write(tmp_path) == ["docs/protocol.md"]
    assert generated.find_stale(tmp_path) == []

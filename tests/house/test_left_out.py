"""A run says what it left out; where everything is required, leaving anything out fails it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from supervisors.generated import ROOT

SUITE = """
import pytest

def test_needs_a_program():
    pytest.skip("zeppelin is not installed (airship tests)")

def test_needs_it_too():
    pytest.skip("zeppelin is not installed (airship tests)")

def test_needs_nothing():
    pass
"""


def run(folder: Path, workers: str, require_all: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text("utf-8"), "utf-8")
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={"REQUIRE_ALL": require_all, "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_left_out_is_named_once_above_the_closing_line(tmp_path: Path) -> None:
    done = run(tmp_path, "1", "")
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 0
    assert "2 tests: zeppelin is not installed (airship tests)" in lines
    assert "1 passed, 2 skipped" in lines[-1]


def test_leaving_out_fails_where_everything_is_required(tmp_path: Path) -> None:
    done = run(tmp_path, "1", "1")
    assert done.returncode == 1
    assert "REQUIRE_ALL=1: this is a failure" in done.stdout

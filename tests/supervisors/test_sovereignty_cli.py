"""`educonnect space` and `person` say what is not there in one line, and leave nothing behind."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from supervisors.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [(("space", "export", "99"), "there is no community 99\n"), (("person", "export", "ada"), "there is no account 'ada'\n")],
)
def test_what_is_not_there_is_named_and_no_file_is_begun(
    words: tuple[str, ...],
    said: str,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", database)
    assert main([*words, "-o", str(tmp_path / "it.zip")]) == 1
    gc.collect()
    assert capsys.readouterr().err == said
    assert ignored == [] and list(tmp_path.iterdir()) == []

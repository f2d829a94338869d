"""The settings file that `educonnect dev` writes for an operator's commands, and what these say where nobody named a database."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisors.settings_file import FILE_NAME, write_settings
from supervisors.settings_source import BadSettings, load

GIVEN = {
    "EDUCONNECT_DATABASE_DSN": 'postgresql://me:"q\\uote"@/postgres?host=%2Ftmp%2Fé',
    "EDUCONNECT_LISTEN_ORIGINS": "https://one.example, https://two.example",
    "EDUCONNECT_LISTEN_PORT": "9100",
    "EDUCONNECT_DRAIN_GRACE_S": "30.5",
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_PASSWORD": "a person's, and no setting",
}


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDUCONNECT_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "supervisors.cli", *words]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60, env=environment, cwd=folder)


def test_what_is_written_is_read_again_as_the_same_settings_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    write_settings(file, GIVEN)
    assert load(file, {}) == load(None, GIVEN)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "a person's" not in file.read_text("utf-8")
    with pytest.raises(BadSettings):
        write_settings(file, {"EDUCONNECT_LISTEN_PORT": "many"})
    assert load(file, {}).listen.port == 9100 and [one.name for one in tmp_path.iterdir()] == [FILE_NAME], "whole, or not at all"


def test_an_operators_command_without_an_address_asks_no_database_and_says_where_one_is_named(tmp_path: Path) -> None:
    run = typed(tmp_path, "roles")
    assert run.returncode == 2 and run.stdout == ""
    assert "database.dsn is not set" in run.stderr and "--config" in run.stderr
    (tmp_path / ".data").mkdir()
    write_settings(tmp_path / ".data" / FILE_NAME, {"EDUCONNECT_DATABASE_DSN": "postgresql://nobody@localhost:1/nothing"})
    assert "--config .data/settings.toml" in typed(tmp_path, "migrate", "--check").stderr
    for words in (("epoch",), ("migrate", "--check")):
        run = typed(tmp_path, *words, "--config", f".data/{FILE_NAME}")
        assert run.returncode == 1
        assert "the database cannot be asked" in run.stderr and "Traceback" not in run.stderr

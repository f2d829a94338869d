"""`educonnect trust` names the first people on whose word others' standing builds, and says why it did not."""

from __future__ import annotations

import pytest

from supervisors.cli import main
from tests.fixtures_postgres import execute


@pytest.fixture
def ask(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", database)
    execute(database, "select create_account('ada', 'Ada', '')")
    return Ask(capsys)


class Ask:
    """Runs the command; its status, what it said, what it complained of."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = main(["trust", *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err


def test_somebody_is_a_seed_and_is_none_again(ask: Ask) -> None:
    assert "Nobody is a seed" in ask()[1]
    for _ in range(2):
        status, said, _ = ask("seed", "Ada")
        assert status == 0 and said.startswith("Ada: a seed")
    status, said, _ = ask()
    assert status == 0 and said.endswith("  Ada\n")
    assert ask("unseed", "ada")[0] == 0
    assert "Nobody is a seed" in ask()[1]
    assert ask("unseed", "ada") == (1, "", "ada is none\n")


def test_an_account_that_is_not_there_is_named_and_nothing_done(ask: Ask) -> None:
    status, _, complaint = ask("seed", "nobody")
    assert status == 1 and "no account 'nobody'" in complaint


def test_a_database_that_is_away_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", "postgresql://nobody@/none?host=/nonexistent")
    assert main(["trust"]) == 1
    assert capsys.readouterr().err.startswith("the database cannot be asked: ")

"""`educonnect roles` makes the first administrator, takes roles back, and says why it did not."""

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
        status = main(["roles", *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err


def held_by(ask: Ask, role: str) -> str:
    [line] = [line for line in ask()[1].splitlines() if line.startswith(role)]
    return line.removeprefix(role).split()[0]


def test_somebody_is_made_administrator_and_is_none_again(ask: Ask) -> None:
    assert held_by(ask, "administrator") == "0"
    assert ask("grant", "Ada", "Administrator") == (0, "Ada: Administrator given\n", "")
    assert held_by(ask, "administrator") == "1"
    assert ask("grant", "ada", "administrator")[0] == 0
    assert ask("revoke", "ada", "administrator") == (0, "ada: administrator taken\n", "")
    assert held_by(ask, "administrator") == "0"


def test_it_says_what_each_role_gives(ask: Ask) -> None:
    status, said, _ = ask()
    assert status == 0
    assert "operator           0 accounts   OPERATE" in said.splitlines()


def test_a_role_or_an_account_that_is_not_there_is_named_and_nothing_done(ask: Ask) -> None:
    status, _, complaint = ask("grant", "ada", "emperor")
    assert status == 1 and "no role 'emperor'" in complaint
    status, _, complaint = ask("grant", "nobody", "operator")
    assert status == 1 and "no account 'nobody'" in complaint


def test_a_database_that_is_away_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", "postgresql://nobody@/none?host=/nonexistent")
    assert main(["roles"]) == 1
    assert capsys.readouterr().err.startswith("the database cannot be asked: ")


def test_a_role_is_taken_from_an_account_that_is_suspended_and_not_given_to_one(ask: Ask, database: str) -> None:
    assert ask("grant", "ada", "operator")[0] == 0
    execute(database, "update accounts set disabled_at = now() where name = 'ada'")
    assert ask("grant", "ada", "auditor")[0] == 1
    assert ask("revoke", "ada", "operator") == (0, "ada: operator taken\n", "")
    assert held_by(ask, "operator") == "0"

"""`educonnect ml` shows what there is with and without a database, changes what is used, and says why it did not."""

from __future__ import annotations

import json

import pytest

from supervisors.cli import main
from tests.fixtures_postgres import execute


class Ask:
    """Runs the command; its status, what it said, what it complained of."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = main(["ml", *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def rest(self) -> str:
        return self._capsys.readouterr().out


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(capsys)


@pytest.fixture
def stored(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", database)
    return database


def add(dsn: str, version: str, state: int) -> None:
    card = {
        **dict(name="moderation", version=version, kind="moderation", runtime="embedded", files=[], training=[], metrics={"auc": 0.91}),
        **dict(made_at="2026-11-23", intended="tests", limits="all else", deciding="auc"),
    }
    execute(
        dsn,
        "insert into models (name, version, card, state, shipped, active_at)"
        f" values ('moderation', '{version}', '{json.dumps(card)}', {state}, false, now())",
    )


def test_without_a_database_it_shows_what_ships_and_changes_nothing(ask: Ask) -> None:
    status, said, _ = ask("list")
    assert status == 0 and "matching@1" in said and "shipped" in said and "echo" not in said
    status, said, _ = ask("card", "matching")
    assert status == 0 and "not for" in said and "sha256" in said
    assert ask("promote", "matching@1")[0] == 2


def test_a_version_is_tried_promoted_and_rolled_back(ask: Ask, stored: str) -> None:
    add(stored, "1", 3)
    add(stored, "2", 0)
    assert ask("canary", "moderation@2", "--percent", "20")[0] == 0
    assert "canary 20 %" in ask("list")[1]
    assert ask("shadow", "moderation@2")[0] == 0
    assert "auc 0.910" in ask("list")[1]
    status, said, _ = ask("promote", "moderation@2")
    assert status == 0 and "shadow before, active now" in said
    assert ask("card", "moderation")[1].startswith("moderation@2   active")
    assert ask("rollback", "moderation")[:2] == (0, "moderation@1 is active again; ML processes follow within seconds\n")
    assert ask("card", "moderation@2")[1].startswith("moderation@2   retired")


def test_what_cannot_be_done_is_said_with_what_can(ask: Ask, stored: str) -> None:
    add(stored, "1", 3)
    assert "there are 1" in ask("promote", "moderation@7")[2]
    assert "promote another one" in ask("retire", "moderation@1")[2]
    assert ask("promote", "moderation")[0] == 2
    assert ask("card", "nonsense")[0] == 1
    assert ask("rollback", "moderation")[0] == 1


def test_a_training_is_ordered_once(ask: Ask, stored: str) -> None:
    assert ask("train", "matching")[0] == 0
    assert ask("train", "matching")[0] == 0
    assert main(["jobs", "list", "--kind", "ml.train", "--json"]) == 0
    assert len(json.loads(ask.rest())) == 1, "a training that waits stands for both"


def test_evaluations_have_arguments_of_their_own(ask: Ask) -> None:
    assert ask("evaluate")[0] == 2
    assert ask("evaluate", "nonsense")[0] == 2
    with pytest.raises(SystemExit) as ended:
        ask("evaluate", "matching", "--help")
    assert ended.value.code == 0

"""`educonnect jobs` says how things stand, does what it is told, and says by its exit status whether there was anything to do."""

from __future__ import annotations

import argparse

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.cli import main
from supervisors.job_cli import lasting, table
from tests.fixtures_postgres import execute


@pytest.fixture
def ask(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", database)
    return Ask(capsys)


class Ask:
    """Runs a command; its status, what it said, what it complained of."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = main(["jobs", *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> list[dict[str, object]]:
        status, out, _ = self(*arguments, "--json")
        assert status == 0
        found: list[dict[str, object]] = msgspec.json.decode(out)
        return found


DEAD = (
    "insert into dead_jobs (id, kind, priority, payload, effect, created_at, attempts, reason, error)"
    " values (7, 'mail', 0, 'secret', gen_random_uuid(), now(), 12, 1, 'OSError: away')"
)


def test_an_empty_queue_says_so(ask: Ask) -> None:
    assert ask()[:2] == (0, "no jobs, and none in the last two hours\n")
    assert ask("list")[1] == "none\n"
    assert ask("schedules")[0] == 0


def test_queues_failures_and_schedules_are_shown(ask: Ask, database: str) -> None:
    execute(database, "select enqueue_job('mail', 'secret'), enqueue_job('push', '')", DEAD)
    execute(database, "insert into job_schedules (name, kind, timing, next_at) values ('sweep', 'x', 'every 60 s', now())")
    _, out, _ = ask()
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["mail", "1"], ["push", "1"]]
    assert "OSError: away" in ask("list", "--state", "dead")[1]
    status, out, _ = ask("show", "7")
    assert status == 0 and "failed too often" in out and "secret" not in out
    assert "every 60 s" in ask("schedules")[1]
    assert [one["state"] for one in ask.json("list")] == ["dead", "ready", "ready"]
    assert ask("list", "--limit", "1")[1].endswith("older ones: --before 7\n")


def test_a_region_that_nobody_serves_is_told_to_people_and_to_programs(ask: Ask, database: str) -> None:
    execute(database, "select enqueue_job('mail', '')", "update jobs set region = 'ke'")
    assert "1 wait for region 'ke'" in ask()[1]
    told = msgspec.json.decode(ask("--json")[1])
    assert [one["kind"] for one in told["kinds"]] == ["mail"]
    assert [(one["region"], one["waiting"]) for one in told["unserved"]] == [("ke", 1)]


def test_a_dead_letter_is_retried_and_a_job_cancelled(ask: Ask, database: str) -> None:
    execute(database, DEAD)
    assert ask("retry", "7", "8")[:2] == (0, "1 of 2 are jobs again\n")
    assert ask("retry", "7")[0] == 1, "it is no dead letter any more"
    assert ask("retry", "--kind", "mail")[0] == 1
    assert ask("retry")[0] == ask("retry", "7", "--kind", "mail")[0] == 2
    assert ask("cancel", "7")[:2] == (0, "it waited, and is gone\n")
    assert ask("cancel", "7")[0] == ask("show", "7")[0] == 1


def test_a_database_that_is_away_is_a_complaint_and_no_traceback(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", f"postgresql://nobody@/none?host={tmp_path}")
    assert main(["jobs"]) == 1
    assert "cannot be asked" in capsys.readouterr().err


def test_a_limit_beyond_the_bound_is_refused(ask: Ask) -> None:
    with pytest.raises(SystemExit):
        ask("list", "--limit", "201")


@given(st.floats(-10, 10**9))
def test_a_time_span_has_two_units_at_most(seconds: float) -> None:
    shown = lasting(seconds)
    assert sum(letter.isalpha() for letter in shown) <= 2
    assert shown.endswith(("s", "m", "h"))


def test_a_table_has_its_numbers_to_the_right() -> None:
    assert table(("kind", "n"), [("a", 5), ("long one", 1000)]).splitlines() == ["kind         n", "a            5", "long one  1000"]


def test_what_is_asked_without_a_word_is_the_overview() -> None:
    from supervisors.cli import _parser
    from supervisors.job_cli import overview

    parsed: argparse.Namespace = _parser().parse_args(["jobs"])
    assert parsed.ask is overview and parsed.json is False
    assert _parser().parse_args(["jobs", "--json", "schedules"]).json is True

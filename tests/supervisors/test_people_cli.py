"""`educonnect account reset-factors` and `educonnect notices`: what an operator does for people, and what stands written of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from persistence.append import kind_of
from protocol.events import Noticed
from supervisors.cli import main
from tests.fixtures_postgres import execute
from tests.supervisors.test_role_cli import Ask

SETTING = """
with ada as (select user_id from create_account('ada', 'Ada', 'x')),
proven as (insert into mfa_accounts (user_id, handle, failures) select user_id, 'h', 9 from ada),
totp as (insert into mfa_totp (user_id, sealed, sealed_by, confirmed_at) select user_id, 's', 'k', now() from ada),
codes as (insert into mfa_recovery_codes (user_id, hash, used_at) select user_id, h, u
    from ada, (values ('a'::bytea, null::timestamptz), ('b', now())) as c (h, u)),
challenges as (insert into mfa_challenges (hash, purpose, user_id, network, expires_at) select 'c', 1, user_id, 'n', 'infinity' from ada),
device as (insert into devices (user_id, generation) select user_id, 5 from ada returning id, user_id)
insert into sessions (user_id, device_id, expires_at) select user_id, id, 'infinity' from device"""
LEFT = """
select (select count(*) from mfa_totp) + (select count(*) from passkeys) + (select count(*) from mfa_recovery_codes)
    + (select count(*) from mfa_challenges) + (select count(*) from sessions where revoked_at is null)
    + (select count(*) from mfa_accounts where failures > 0)"""


@pytest.fixture
def ask(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("EDUCONNECT_DATABASE_DSN", database)
    execute(database, SETTING)
    return Ask(capsys)


def rows(database: str, sql: str) -> list[tuple[Any, ...]]:
    async def body() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(body())


def reset(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["account", "reset-factors", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_who_lost_their_factors_is_opened_by_the_password_alone_and_told(
    ask: Ask, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = reset(capsys, "Ada", "--why", "came to the office with a passport")
    assert (status, said) == (
        0,
        "Ada: 1 factors and 1 recovery codes gone, 1 sessions ended; they have proven no address: no mail tells them\n",
    )
    assert rows(database, LEFT) == [(0,)]
    [(actor, detail)] = rows(database, "select actor, detail from audit_log where action = 'mfa.reset'")
    assert not actor and json.loads(detail) == {"factors": 1, "sessions": 1, "why": "came to the office with a passport"}
    assert [kind for (kind,) in rows(database, "select kind from outbox")] == [kind_of(Noticed)]


@pytest.mark.parametrize("arguments", [("nobody", "--why", "x"), ("ada", "--why", "  "), ("ada", "--why", "x" * 201)])
def test_without_a_reason_or_an_account_nothing_is_done(
    ask: Ask, database: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    before = rows(database, LEFT)
    status, _, complaint = reset(capsys, *arguments)
    assert status == 1 and complaint and rows(database, LEFT) == before


def test_an_operator_sees_what_waits_what_failed_and_which_addresses_refuse(
    ask: Ask, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(database, "insert into notices (user_id, seq, kind, words) select id, 1, 7, 'private words' from accounts")
    execute(database, "insert into mail_refusals (address, status) values ('bob@example.org', '5.1.1')")
    execute(database, "insert into jobs (kind, state, payload, due_at) values ('mail.send', 1, 'secret', now())")
    assert main(["notices"]) == 0
    said = capsys.readouterr().out
    assert "1 notices wait for a decision, 0 for a digest" in said and "bob@example.org  5.1.1" in said and "mail.send" in said
    assert "private" not in said and "secret" not in said
    assert main(["notices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notices"]["refusing"] == 1

"""Accounts, devices and sessions, against the real Postgres."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import trio

from actors.accounts import Caller, Opened, Registration
from actors.storage import CONTROL_STREAM
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.sessions import SESSIONS_LIVING_MAX, end, lock_account
from protocol.codes import Code
from tests.persistence.identity import (
    CALLER,
    Listening,
    claims,
    code,
    credentials,
    generation,
    let_pass,
    log_in,
    overlap,
    query,
    refresh,
    register,
    stored_text,
)

WEEK_S = 7 * 24 * 3600


@pytest.fixture
def herald() -> Listening:
    return Listening()


@pytest.fixture
def accounts(bridge: Bridge, herald: Listening) -> PostgresAccounts:
    return PostgresAccounts(bridge, herald)


async def test_registering_makes_an_account_with_its_own_space_inbox_device_and_session(accounts: PostgresAccounts, bridge: Bridge) -> None:
    opened = await register(accounts)
    assert (opened.name, opened.display_name) == ("ada", "Ada")
    (space,) = await query(
        bridge,
        "SELECT p.kind, m.role, t.kind AS stream FROM streams t JOIN spaces p ON p.id = t.space_id JOIN members m ON m.space_id = p.id"
        " WHERE t.id = $1 AND m.user_id = $2",
        opened.inbox,
        opened.user,
    )
    assert tuple(space) == (3, 1, 1)
    (device,) = await query(bridge, "SELECT user_id, name, last_number FROM devices WHERE id = $1", opened.device)
    assert tuple(device) == (opened.user, "phone", 0)


@pytest.mark.parametrize("again", ["ada", "ADA", "Ada"])
async def test_a_name_is_taken_whatever_its_case_and_nothing_is_left_of_the_attempt(
    accounts: PostgresAccounts, bridge: Bridge, again: str
) -> None:
    await register(accounts)
    answer = await accounts.register(Registration(again, "x", "h"), CALLER)
    assert code(answer) == Code.CONFLICT
    (counts,) = await query(
        bridge, "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM devices), (SELECT count(*) FROM sessions)"
    )
    assert tuple(counts) == (1, 1, 1)


async def test_two_who_want_the_same_name_at_once_do_not_both_get_it(accounts: PostgresAccounts) -> None:
    answers: list[object] = []

    async def attempt() -> None:
        answers.append(await accounts.register(Registration("ada", "x", "h"), CALLER))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(attempt)
    assert sum(isinstance(answer, Opened) for answer in answers) == 1
    assert {code(answer) for answer in answers if not isinstance(answer, Opened)} == {Code.CONFLICT}


async def test_credentials_are_found_by_name_without_regard_to_case(accounts: PostgresAccounts) -> None:
    opened = await register(accounts)
    found = await accounts.find_credentials("aDa")
    assert found is not None and (found.user, found.password_hash) == (opened.user, "$argon2id$of ada")
    assert await accounts.find_credentials("eve") is None
    assert await accounts.find_credentials("") is None


async def test_logging_in_on_ones_own_device_takes_it_again_and_ends_what_was_there(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    first = await register(accounts)
    await query(bridge, "UPDATE devices SET last_number = 41 WHERE id = $1", first.device)
    before = await generation(bridge, first.device)
    second = await log_in(accounts, first.user, first.device)
    assert second.device == first.device and second.session != first.session
    assert await generation(bridge, first.device) == before + 1
    assert herald.revoked == [(first.user, first.session)]
    assert code(await accounts.refresh(first.refresh_token, CALLER)) == Code.REVOKED
    (device,) = await query(bridge, "SELECT last_number, name FROM devices WHERE id = $1", first.device)
    assert tuple(device) == (41, "phone"), "the device goes on counting, and keeps its name when none is given"


async def test_somebody_elses_device_or_one_that_never_was_is_not_taken(accounts: PostgresAccounts, herald: Listening) -> None:
    ada, eve = await register(accounts, "ada"), await register(accounts, "eve")
    for wanted in (ada.device, 10**9):
        opened = await log_in(accounts, eve.user, wanted)
        assert opened.device not in (ada.device, eve.device, wanted)
    assert herald.revoked == []
    await refresh(accounts, ada.refresh_token)


async def test_a_disabled_account_opens_and_continues_nothing(accounts: PostgresAccounts, bridge: Bridge) -> None:
    opened = await register(accounts)
    await query(bridge, "UPDATE accounts SET disabled_at = now()")
    assert code(await accounts.log_in(opened.user, 0, "", None, CALLER)) == Code.FORBIDDEN
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.REVOKED


async def test_a_login_may_store_a_better_hash(accounts: PostgresAccounts) -> None:
    opened = await register(accounts)
    await accounts.begin_log_in(await credentials(accounts, opened.user), 0, "", "better", CALLER)
    found = await accounts.find_credentials("ada")
    assert found is not None and found.password_hash == "better"


async def test_one_login_too_many_ends_the_session_used_longest_ago(accounts: PostgresAccounts, bridge: Bridge, herald: Listening) -> None:
    first = await register(accounts)
    others = [await log_in(accounts, first.user) for _ in range(SESSIONS_LIVING_MAX - 1)]
    await let_pass(bridge, 60)
    await refresh(accounts, first.refresh_token)  # used just now
    assert herald.revoked == []
    last = await log_in(accounts, first.user)
    assert herald.revoked == [(first.user, others[0].session)]
    living = await accounts.list_sessions(claims(last))
    assert isinstance(living, tuple) and len(living) == SESSIONS_LIVING_MAX


async def test_a_device_more_is_added_by_a_living_session_which_goes_on(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    first = await register(accounts)
    added = await accounts.add_device(claims(first), "copy", CALLER)
    assert isinstance(added, Opened)
    assert (added.user, added.inbox) == (first.user, first.inbox)
    assert added.device != first.device and added.session != first.session
    assert herald.revoked == []
    await refresh(accounts, first.refresh_token)
    await refresh(accounts, added.refresh_token)
    (device,) = await query(bridge, "SELECT user_id, name, last_number FROM devices WHERE id = $1", added.device)
    assert tuple(device) == (first.user, "copy", 0)
    await accounts.end_session(claims(first), first.session, CALLER)
    assert code(await accounts.add_device(claims(first), "", CALLER)) == Code.REVOKED
    await query(bridge, "UPDATE accounts SET disabled_at = now()")
    assert code(await accounts.add_device(claims(added), "", CALLER)) == Code.FORBIDDEN


async def test_a_device_that_was_added_with_a_stolen_token_ends_with_the_session_that_it_was_stolen_from(
    accounts: PostgresAccounts, herald: Listening
) -> None:
    first = await register(accounts)
    stolen = await log_in(accounts, first.user)
    added = await accounts.add_device(claims(stolen), "thief's", CALLER)
    assert isinstance(added, Opened)
    another = await accounts.add_device(claims(added), "thief's other", CALLER)
    assert isinstance(another, Opened)
    # Logging out ends nobody else's session.
    own = await accounts.add_device(claims(first), "copy", CALLER)
    assert isinstance(own, Opened)
    assert await accounts.end_session(claims(first), first.session, CALLER) is None
    assert herald.revoked == [(first.user, first.session)]
    assert await accounts.end_session(claims(own), stolen.session, CALLER) is None
    assert {session for _, session in herald.revoked} == {one.session for one in (first, stolen, added, another)}
    assert code(await accounts.refresh(another.refresh_token, CALLER)) == Code.REVOKED
    await refresh(accounts, own.refresh_token)


async def test_one_device_too_many_ends_the_session_used_longest_ago_but_never_the_one_that_asks(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    first = await register(accounts)
    opened = [await log_in(accounts, first.user) for _ in range(SESSIONS_LIVING_MAX - 1)]
    await query(bridge, "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 hour' WHERE id = $1", first.session)
    await query(bridge, "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 minute' WHERE id = $1", opened[3].session)
    assert isinstance(await accounts.add_device(claims(first), "", CALLER), Opened)
    assert herald.revoked == [(first.user, opened[3].session)]


async def test_sessions_are_listed_with_their_devices_the_one_used_last_first(accounts: PostgresAccounts, bridge: Bridge) -> None:
    first = await register(accounts)
    second = await accounts.log_in(first.user, 0, "laptop", None, Caller("198.51.100.1", "web/2"))
    assert isinstance(second, Opened)
    await query(bridge, "UPDATE devices SET seen_at = seen_at - interval '1 hour' WHERE id = $1", first.device)
    await query(bridge, "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 hour' WHERE id = $1", first.session)
    living = await accounts.list_sessions(claims(first))
    assert isinstance(living, tuple)
    assert [(info.session, info.device_name, info.software, info.address) for info in living] == [
        (second.session, "laptop", "web/2", "198.51.100.1"),
        (first.session, "phone", "test/1", "192.0.2.7"),
    ]
    assert living[0].last_seen_at - living[1].last_seen_at == pytest.approx(3600, abs=5)


async def test_ending_a_session_raises_its_devices_generation_and_tells_the_control_stream_in_one_transaction(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    first = await register(accounts)
    second = await log_in(accounts, first.user)
    before = await generation(bridge, second.device)
    assert await accounts.end_session(claims(first), second.session, CALLER) is None
    assert await generation(bridge, second.device) == before + 1
    assert await generation(bridge, first.device) == 0
    rows = await query(bridge, "SELECT seq, kind, body FROM log WHERE stream_id = $1", CONTROL_STREAM)
    assert [(fact.seq, 40, fact.body) for fact in herald.facts] == [tuple(row) for row in rows]
    assert herald.revoked == [(first.user, second.session)]
    assert code(await accounts.refresh(second.refresh_token, CALLER)) == Code.REVOKED
    await refresh(accounts, first.refresh_token)


async def test_ending_ones_own_session_twice_is_no_error_and_happens_once(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    opened = await register(accounts)
    for _ in range(2):
        assert await accounts.end_session(claims(opened), opened.session, CALLER) is None
    assert herald.revoked == [(opened.user, opened.session)]
    assert await generation(bridge, opened.device) == 1


async def test_a_session_that_has_ended_can_neither_look_nor_end_others(accounts: PostgresAccounts, herald: Listening) -> None:
    first = await register(accounts)
    second = await log_in(accounts, first.user)
    await accounts.end_session(claims(first), first.session, CALLER)
    told = list(herald.revoked)
    assert code(await accounts.list_sessions(claims(first))) == Code.REVOKED
    assert code(await accounts.end_session(claims(first), second.session, CALLER)) == Code.REVOKED
    assert code(await accounts.end_every_session(claims(first), CALLER)) == Code.REVOKED
    assert herald.revoked == told


async def test_somebody_elses_session_is_not_found(accounts: PostgresAccounts, herald: Listening) -> None:
    ada, eve = await register(accounts, "ada"), await register(accounts, "eve")
    for session in (ada.session, 10**9):
        assert code(await accounts.end_session(claims(eve), session, CALLER)) == Code.NOT_FOUND
    assert herald.revoked == []
    await refresh(accounts, ada.refresh_token)


async def test_logging_out_everywhere_ends_every_session_and_raises_every_generation(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    ada, eve = await register(accounts, "ada"), await register(accounts, "eve")
    opened = [ada, await log_in(accounts, ada.user), await log_in(accounts, ada.user)]
    assert await accounts.end_every_session(claims(opened[1]), CALLER) is None
    for one in opened:
        assert code(await accounts.refresh(one.refresh_token, CALLER)) == Code.REVOKED
        assert await generation(bridge, one.device) == 1
    assert herald.revoked == [(ada.user, 0)]
    assert await generation(bridge, eve.device) == 0
    await refresh(accounts, eve.refresh_token)


async def test_logging_out_the_others_ends_every_session_but_the_asking_one_and_those_of_nobody_else(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    ada, eve = await register(accounts, "ada"), await register(accounts, "eve")
    mine, *others = [await log_in(accounts, ada.user) for _ in range(3)]
    assert await accounts.end_other_sessions(claims(mine), CALLER) is None
    ended = [ada, *others]
    assert sorted(herald.revoked) == sorted((ada.user, one.session) for one in ended)
    for one in ended:
        assert code(await accounts.refresh(one.refresh_token, CALLER)) == Code.REVOKED
        assert await generation(bridge, one.device) == 1
        # What has ended ends nothing.
        assert code(await accounts.end_other_sessions(claims(one), CALLER)) == Code.REVOKED
    assert await accounts.end_other_sessions(claims(mine), CALLER) is None
    assert len(herald.revoked) == len(ended)
    await refresh(accounts, mine.refresh_token)
    await refresh(accounts, eve.refresh_token)


async def test_many_who_end_and_open_sessions_of_the_same_devices_at_once_meet_no_deadlock(
    accounts: PostgresAccounts, bridge: Bridge
) -> None:
    first = await register(accounts)
    devices = [first.device, (await log_in(accounts, first.user)).device, (await log_in(accounts, first.user)).device]

    async def churn(offset: int) -> None:
        for step in range(6):
            opened = await log_in(accounts, first.user, devices[(offset + step) % 3])
            if step % 2:
                await accounts.end_every_session(claims(opened), CALLER)
            else:
                await accounts.refresh(opened.refresh_token, CALLER)

    async with trio.open_nursery() as nursery:
        for offset in range(5):
            nursery.start_soon(churn, offset)
    (row,) = await query(bridge, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert row["deadlocks"] == 0


async def test_every_security_relevant_act_is_audited_and_no_secret_is_stored_anywhere(accounts: PostgresAccounts, bridge: Bridge) -> None:
    first = await register(accounts)
    second = await log_in(accounts, first.user)
    third = await refresh(accounts, second.refresh_token)
    await refresh(accounts, third.refresh_token)
    await accounts.refresh(second.refresh_token, CALLER)  # reuse
    await accounts.note_failed_login(0, CALLER)
    await accounts.note_failed_login(first.user, CALLER)
    await accounts.end_session(claims(first), first.session, CALLER)
    fourth = await log_in(accounts, first.user)
    await accounts.end_every_session(claims(fourth), CALLER)
    rows = await query(bridge, "SELECT actor, action, subject, address, detail FROM audit_log ORDER BY id")
    assert [(row["actor"], row["action"], row["subject"]) for row in rows] == [
        (first.user, "account.registered", None),
        (first.user, "session.opened", first.session),
        (first.user, "session.opened", second.session),
        (first.user, "refresh.reused", second.session),
        (0, "login.failed", None),
        (0, "login.failed", first.user),
        (first.user, "session.ended", first.session),
        (first.user, "session.opened", fourth.session),
        (first.user, "sessions.ended", None),
    ]
    assert {row["address"] for row in rows} == {CALLER.address}
    assert json.loads(rows[-1]["detail"]) == {"by": fourth.session, "sessions": [fourth.session]}
    text = await stored_text(bridge)
    for secret in (first, second, third, fourth):
        assert secret.refresh_token not in text


async def test_values_that_cross_the_port_do_not_show_their_secrets_when_printed(accounts: PostgresAccounts) -> None:
    opened = await register(accounts)
    found = await accounts.find_credentials("ada")
    assert opened.refresh_token not in repr(opened)
    assert "argon2id" not in repr(found) and "argon2id" not in repr(Registration("ada", "Ada", "$argon2id$"))


async def test_sweeping_deletes_what_ended_long_ago_and_nothing_else(accounts: PostgresAccounts, bridge: Bridge) -> None:
    first = await register(accounts)
    second = await log_in(accounts, first.user)
    await accounts.end_session(claims(first), second.session, CALLER)
    assert await accounts.sweep(3600) == 0
    await query(bridge, "UPDATE sessions SET revoked_at = revoked_at - interval '2 hours' WHERE revoked_at IS NOT NULL")
    assert await accounts.sweep(3600) == 1
    assert await accounts.sweep(3600) == 0
    await refresh(accounts, first.refresh_token)


# A socket that attaches while its session ends


def _attach(opened: Opened) -> Callable[[asyncpg.Connection], Awaitable[tuple[int, int]]]:
    async def work(tx: asyncpg.Connection) -> tuple[int, int]:
        row = await tx.fetchrow(
            "SELECT code, generation FROM attach_devices($1, $2, $3, $4)", [opened.session], [opened.user], [opened.device], [1]
        )
        return row["code"], row["generation"]

    return work


def _end(opened: Opened) -> Callable[[asyncpg.Connection], Awaitable[int]]:
    async def work(tx: asyncpg.Connection) -> int:
        await lock_account(tx, opened.user)
        assert await end(tx, opened.user, [opened.session]) == [opened.session]
        value: int = await tx.fetchval("SELECT generation FROM devices WHERE id = $1", opened.device)
        return value

    return work


async def test_a_socket_that_attaches_while_its_session_ends_is_refused_or_finds_its_generation_outdated(
    accounts: PostgresAccounts, database: str
) -> None:
    first, second = await register(accounts, "ada"), await register(accounts, "eve")
    _, (refused, _) = await trio.to_thread.run_sync(overlap, database, _end(first), _attach(first))
    assert refused == Code.REVOKED
    (taken, held), now = await trio.to_thread.run_sync(overlap, database, _attach(second), _end(second))
    assert taken == Code.OK and now > held, "so nothing more is appended in its name"

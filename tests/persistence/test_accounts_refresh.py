"""Refresh tokens: rotation, the grace for a lost answer, and what a second use means. Against the real Postgres."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule, run_state_machine_as_test

from actors.accounts import Declined, Opened
from client.account import TIMEOUT_S
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.refresh_rotation import (
    Presented,
    Verdict,
    digest,
    judge,
    read_token,
    successor,
    write_token,
)
from persistence.sessions import Reused, SessionRules, Sessions, end, lock_account
from protocol.codes import Code
from tests.persistence.identity import (
    AGE_SESSIONS,
    AGE_TOKENS,
    CALLER,
    Listening,
    claims,
    code,
    generation,
    let_pass,
    overlap,
    query,
    refresh,
    register,
)

T = TypeVar("T")
WEEK_S = 7 * 24 * 3600
RULES = SessionRules(grace_s=10)


@pytest.fixture
def herald() -> Listening:
    return Listening()


@pytest.fixture
def accounts(bridge: Bridge, herald: Listening) -> PostgresAccounts:
    return PostgresAccounts(bridge, herald, RULES)


async def test_a_refresh_continues_the_same_session_with_another_token(accounts: PostgresAccounts) -> None:
    opened = await register(accounts)
    following = await refresh(accounts, opened.refresh_token)
    assert following.refresh_token != opened.refresh_token
    assert (following.user, following.device, following.session, following.inbox) == (
        opened.user,
        opened.device,
        opened.session,
        opened.inbox,
    )


async def test_whoever_lost_the_answer_is_given_the_same_successor_within_the_grace(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening
) -> None:
    opened = await register(accounts)
    lost = await refresh(accounts, opened.refresh_token)
    await let_pass(bridge, 9)
    again = await refresh(accounts, opened.refresh_token)
    assert (again.session, again.refresh_token) == (lost.session, lost.refresh_token)
    assert herald.facts == []
    await refresh(accounts, again.refresh_token)


async def test_a_delayed_duplicate_of_a_refresh_does_no_harm(accounts: PostgresAccounts) -> None:
    """The retry is answered first, then the original arrives: the client holds the retry's answer, which must stay good."""
    opened = await register(accounts)
    retry = await refresh(accounts, opened.refresh_token)
    await refresh(accounts, opened.refresh_token)  # the original, delayed on its way
    await refresh(accounts, retry.refresh_token)


def test_a_client_that_waited_for_its_whole_time_out_twice_may_still_ask_again() -> None:
    assert SessionRules().grace_s > 2 * TIMEOUT_S


@pytest.mark.parametrize("wait_s", [11, 3600])
async def test_a_token_used_again_after_the_grace_ends_the_whole_family(
    accounts: PostgresAccounts, bridge: Bridge, herald: Listening, wait_s: float
) -> None:
    opened = await register(accounts)
    following = await refresh(accounts, opened.refresh_token)
    await let_pass(bridge, wait_s)
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.REVOKED
    assert code(await accounts.refresh(following.refresh_token, CALLER)) == Code.REVOKED
    assert herald.revoked == [(opened.user, opened.session)]
    assert await generation(bridge, opened.device) == 1
    assert accounts.reuses == 1


async def test_a_token_whose_successor_was_used_ends_the_family_even_within_the_grace(
    accounts: PostgresAccounts, herald: Listening
) -> None:
    """The thief and the owner both hold the successor; when one of them goes on, the other is found out."""
    opened = await register(accounts)
    following = await refresh(accounts, opened.refresh_token)
    await refresh(accounts, following.refresh_token)
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.REVOKED
    assert herald.revoked == [(opened.user, opened.session)]


async def test_reuse_ends_what_was_opened_on_the_sessions_word(accounts: PostgresAccounts, bridge: Bridge, herald: Listening) -> None:
    opened = await register(accounts)
    added = await accounts.add_device(claims(opened), "", CALLER)
    assert isinstance(added, Opened)
    await refresh(accounts, opened.refresh_token)
    await let_pass(bridge, 60)
    assert code(await accounts.refresh(opened.refresh_token, CALLER)) == Code.REVOKED
    assert sorted(herald.revoked) == [(opened.user, opened.session), (opened.user, added.session)]
    assert code(await accounts.refresh(added.refresh_token, CALLER)) == Code.REVOKED


async def test_reuse_of_one_session_leaves_the_others_alone(accounts: PostgresAccounts, bridge: Bridge) -> None:
    first = await register(accounts)
    second = await accounts.log_in(first.user, 0, "", None, CALLER)
    assert isinstance(second, Opened)
    await refresh(accounts, first.refresh_token)
    await let_pass(bridge, 60)
    await accounts.refresh(first.refresh_token, CALLER)
    await refresh(accounts, second.refresh_token)


async def test_many_refreshes_of_one_token_at_once_all_get_the_same_successor(accounts: PostgresAccounts, bridge: Bridge) -> None:
    opened = await register(accounts)
    tokens: set[str] = set()

    async def attempt() -> None:
        tokens.add((await refresh(accounts, opened.refresh_token)).refresh_token)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(attempt)
    assert len(tokens) == 1
    (row,) = await query(bridge, "SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL")
    assert row["count"] == 1


# What may overlap, with the one transaction all but committed while the other runs


async def _open(tx: asyncpg.Connection) -> Opened:
    user = await tx.fetchval("SELECT user_id FROM create_account('ada', 'Ada', 'h')")
    return await Sessions(RULES, iter_random()).open(tx, user, 0, "", CALLER)


def _refresh(opened: Opened) -> Callable[[asyncpg.Connection], Coroutine[Any, Any, Opened | Declined | Reused]]:
    secret = read_token(opened.refresh_token)
    assert secret is not None
    # Each transaction draws from its own randomness, as two gateways do.
    return lambda tx: Sessions(RULES, os.urandom).refresh(tx, secret, CALLER)


def _end(opened: Opened) -> Callable[[asyncpg.Connection], Coroutine[Any, Any, list[int]]]:
    async def work(tx: asyncpg.Connection) -> list[int]:
        await lock_account(tx, opened.user)
        return await end(tx, opened.user, None)

    return work


def _opened(dsn: str) -> Opened:
    async def nothing(_: asyncpg.Connection) -> None: ...

    return overlap(dsn, _open, nothing)[0]


def test_two_refreshes_of_one_token_that_overlap_mint_one_successor(database: str) -> None:
    opened = _opened(database)
    first, second = overlap(database, _refresh(opened), _refresh(opened))
    assert isinstance(first, Opened) and isinstance(second, Opened)
    assert first.refresh_token == second.refresh_token


def test_a_refresh_that_overlaps_a_logout_finds_the_session_ended(database: str) -> None:
    opened = _opened(database)
    ended, answer = overlap(database, _end(opened), _refresh(opened))
    assert ended == [opened.session] and code(answer) == Code.REVOKED


def test_a_logout_that_overlaps_a_refresh_ends_its_successor_too(database: str) -> None:
    opened = _opened(database)
    following, ended = overlap(database, _refresh(opened), _end(opened))
    assert isinstance(following, Opened) and ended == [opened.session]
    assert code(overlap(database, _refresh(following), _end(opened))[0]) == Code.REVOKED


def test_logging_out_everywhere_ends_a_login_that_overlaps_it(database: str) -> None:
    opened = _opened(database)

    async def enter(tx: asyncpg.Connection) -> Opened:
        await lock_account(tx, opened.user)
        sessions = Sessions(RULES, os.urandom)
        await sessions.make_room(tx, opened.user, 0)
        return await sessions.open(tx, opened.user, 0, "", CALLER)

    entered, ended = overlap(database, enter, _end(opened))
    assert sorted(ended) == sorted([opened.session, entered.session])


async def test_a_token_lasts_seven_days_and_each_use_starts_them_anew(accounts: PostgresAccounts, bridge: Bridge) -> None:
    opened = await register(accounts)
    await let_pass(bridge, WEEK_S - 60)
    following = await refresh(accounts, opened.refresh_token)
    await let_pass(bridge, WEEK_S - 60)
    last = await refresh(accounts, following.refresh_token)
    await let_pass(bridge, WEEK_S + 1)
    assert code(await accounts.refresh(last.refresh_token, CALLER)) == Code.TOKEN_EXPIRED


async def test_used_tokens_are_forgotten_once_they_have_expired(accounts: PostgresAccounts, bridge: Bridge) -> None:
    token = (await register(accounts)).refresh_token
    for _ in range(5):
        token = (await refresh(accounts, token)).refresh_token
        await let_pass(bridge, WEEK_S // 2)
    (row,) = await query(bridge, "SELECT count(*) FROM refresh_tokens")
    assert row["count"] <= 4


async def test_only_the_last_step_can_be_derived_from_what_is_stored(accounts: PostgresAccounts, bridge: Bridge) -> None:
    """Whoever has an old token and reads the database must not be able to compute the present one."""
    token = (await register(accounts)).refresh_token
    for _ in range(4):
        token = (await refresh(accounts, token)).refresh_token
    (row,) = await query(bridge, "SELECT count(*) FROM refresh_tokens WHERE successor_salt IS NOT NULL")
    assert row["count"] == 1


async def test_what_is_no_token_is_refused(accounts: PostgresAccounts) -> None:
    await register(accounts)
    for text in ("", "x", "A" * 43, "A" * 42 + "B", "A" * 44, "é" * 43, "=" * 43, "A" * 100_000, "\0" * 43, "A" * 42 + "\n"):
        assert code(await accounts.refresh(text, CALLER)) == Code.UNAUTHENTICATED


def test_a_token_has_one_spelling_and_is_read_as_it_was_written() -> None:
    secret = bytes(range(32))
    text = write_token(secret)
    assert read_token(text) == secret
    # The last character has four bits that mean nothing: sixteen spellings would otherwise name the same token.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert [read_token(text[:-1] + last) for last in alphabet].count(secret) == 1


def test_a_successor_needs_both_the_token_and_the_salt() -> None:
    token, salt = b"t" * 32, b"s" * 16
    derived = {successor(token, salt), successor(b"u" * 32, salt), successor(token, b"r" * 16), token}
    assert len(derived) == 4 and len(successor(token, salt)) == 32


@pytest.mark.parametrize(
    ("used_ago_s", "successor_used", "left_s", "ended", "verdict"),
    [
        (None, False, 1, False, Verdict.ROTATE),
        (None, False, 0, False, Verdict.EXPIRED),
        (None, False, 1, True, Verdict.ENDED),
        (10, False, 1, False, Verdict.REPEAT),
        (10.001, False, 1, False, Verdict.REUSED),
        (0, True, 1, False, Verdict.REUSED),
        (0, False, 0, False, Verdict.EXPIRED),
        (99, True, 1, True, Verdict.ENDED),
    ],
)
def test_every_state_of_a_token_has_its_verdict(
    used_ago_s: float | None, successor_used: bool, left_s: float, ended: bool, verdict: Verdict
) -> None:
    now = 1_000_000.0
    used_at = None if used_ago_s is None else now - used_ago_s
    assert judge(Presented(now, now + left_s, ended, used_at, successor_used), 10.0) is verdict


# A family, whatever is done to it


@dataclass
class Model:
    """One token of a family as the specification sees it. Ages are in seconds of the model's own clock."""

    token: str
    expires_at: float
    used_at: float | None = None
    successor: Model | None = None


class Family(RuleBasedStateMachine):
    """Owner and thief present any token they ever saw, at any time: what the database answers is what the model says."""

    database: str
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sessions = Sessions(RULES, iter_random())
        self.clock = 0.0
        self.ended = False
        self.family: list[Model] = []
        self.connection: asyncpg.Connection = self.run(asyncpg.connect(self.database))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def transact(self, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        async def body() -> T:
            async with self.connection.transaction():
                return await work(self.connection)

        return self.run(body())

    @initialize(target=tokens)
    def open(self) -> Model:
        async def work(tx: asyncpg.Connection) -> Opened:
            await tx.execute("TRUNCATE accounts CASCADE")
            user = await tx.fetchval("SELECT user_id FROM create_account('ada', 'Ada', 'h')")
            return await self.sessions.open(tx, user, 0, "", CALLER)

        opened = self.transact(work)
        self.user, self.session = opened.user, opened.session
        self.family = [Model(opened.refresh_token, WEEK_S)]
        return self.family[0]

    @rule(target=tokens, presented=tokens)
    def present(self, presented: Model) -> Model:
        secret = read_token(presented.token)
        assert secret is not None
        answer = self.transact(lambda tx: self.sessions.refresh(tx, secret, CALLER))
        if self.ended:
            assert isinstance(answer, Declined) and answer.code in (Code.REVOKED, Code.UNAUTHENTICATED)
            return presented
        if self.clock >= presented.expires_at:
            # Its row may be gone by now.
            assert isinstance(answer, Declined) and answer.code in (Code.TOKEN_EXPIRED, Code.UNAUTHENTICATED)
            return presented
        if presented.used_at is None:
            assert isinstance(answer, Opened) and answer.session == self.session
            assert answer.refresh_token not in [one.token for one in self.family]
            presented.used_at = self.clock
            presented.successor = Model(answer.refresh_token, self.clock + WEEK_S)
            self.family.append(presented.successor)
            return presented.successor
        following = presented.successor
        assert following is not None
        if following.used_at is None and self.clock - presented.used_at <= 10:
            assert isinstance(answer, Opened) and answer.refresh_token == following.token
            return following
        assert isinstance(answer, Reused) and (answer.user, answer.session) == (self.user, self.session)
        self.end()
        return presented

    @rule(seconds=st.sampled_from([3, 6, 8, 900, 86_400, 3 * 86_400]))
    def let_pass(self, seconds: int) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await tx.execute(AGE_TOKENS, seconds)
            await tx.execute(AGE_SESSIONS, seconds)

        self.transact(work)
        self.clock += seconds

    @rule(forgotten=consumes(tokens))
    def forget(self, forgotten: Model) -> None:
        """A token that nobody presents again."""

    def end(self) -> None:
        async def work(tx: asyncpg.Connection) -> list[int]:
            await lock_account(tx, self.user)
            return await end(tx, self.user, [self.session])

        assert self.transact(work) == [self.session]
        self.ended = True

    @invariant()
    def at_most_one_token_is_unused(self) -> None:
        if not self.family:
            return

        async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
            return list(await tx.fetch("SELECT hash FROM refresh_tokens WHERE used_at IS NULL AND expires_at > now()"))

        unused = [one for one in self.family if one.used_at is None and one.expires_at > self.clock]
        assert len(unused) <= 1
        assert [row["hash"] for row in self.transact(work)] == [digest(read_token(one.token) or b"") for one in unused]

    def teardown(self) -> None:
        self.run(self.connection.close())
        self.loop.close()


def iter_random() -> Callable[[int], bytes]:
    """Different bytes at each call, the same in each run."""
    count = 0

    def draw(length: int) -> bytes:
        nonlocal count
        count += 1
        return digest(count.to_bytes(8, "big"))[:length]

    return draw


def test_a_family_has_one_living_leaf_whoever_presents_what_and_when(database: str) -> None:
    class Here(Family):
        pass

    Here.database = database
    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )

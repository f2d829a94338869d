"""Challenges against a model: whoever answers what, with whose proof, from where and when, is proven only where the model says so.

The clock of codes is the model's own (a code is its time step, written out), that of challenges and waits is moved by ageing rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from actors.accounts import Caller
from actors.mfa import (
    CHALLENGES_MAX,
    Matched,
    Method,
    MfaRules,
    PasskeyHeld,
    PasskeyMade,
    PasskeyProof,
    PasskeyUse,
    Proof,
    Proven,
    Purpose,
    RecoveryProof,
    Refusal,
    Refused,
    Standing,
    TotpProof,
    after_wrong,
    wait_of,
)
from persistence import mfa_factors
from persistence.mfa import put_challenge, second_step
from persistence.multi_factor import PostgresMultiFactor
from tests.persistence.test_accounts_refresh import iter_random

T = TypeVar("T")

RULES = MfaRules()
PLACES = ("192.0.2.1", "198.51.100.2")
PEOPLE = ("ada", "eve")
AGE = """
WITH a AS (UPDATE mfa_accounts SET blocked_until = blocked_until - make_interval(secs => $1))
UPDATE mfa_challenges SET expires_at = expires_at - make_interval(secs => $1)
"""


class Clockwork:
    """Codes as `user:step`, by a clock that the model moves. Implements `actors.mfa.Authenticators`."""

    key_name = "model"
    older_keys = ()

    def __init__(self) -> None:
        self.step = 1000

    def make(self, user: int) -> tuple[str, bytes]:
        return "", b"sealed"

    def match(self, user: int, sealed: bytes, code: str, now: float, after: int) -> Matched | None:
        owner, _, step = code.partition(":")
        right = owner == str(user) and abs(int(step) - self.step) <= 1 and int(step) > after
        return Matched(int(step)) if right else None

    def reseal(self, user: int, sealed: bytes) -> bytes | None:
        return sealed


class Signs:
    """Passkeys as `credential|challenge|verified`. Implements `actors.mfa.Passkeys`."""

    def credential_id(self, credential: bytes) -> bytes | None:
        return credential.split(b"|")[0]

    def check(self, credential: bytes, challenge: bytes, held: PasskeyHeld, *, alone: bool) -> PasskeyUse | None:
        _, signed, verified = credential.split(b"|")
        return PasskeyUse(0, False) if signed == challenge.hex().encode() and (verified == b"uv" or not alone) else None

    def read_new(self, credential: bytes, challenge: bytes) -> PasskeyMade | None:
        return None


@dataclass
class Question:
    """A challenge, as the specification sees it."""

    token: bytes
    purpose: Purpose
    owner: str | None
    place: str
    expires_at: float
    tries: int = 0
    over: bool = False


@dataclass
class Account:
    """A person's factors, as the specification sees them."""

    user: int
    codes: list[str]
    standing: Standing = field(default_factory=Standing)
    last_step: int = 0
    used: set[str] = field(default_factory=set)


class Questions(RuleBasedStateMachine):
    """Two people, two places, and every proof of either shown to every challenge."""

    database: str
    questions = Bundle("questions")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clockwork = Clockwork()
        self.random = iter_random()
        self.factors = PostgresMultiFactor(None, self.clockwork, Signs(), RULES, random_bytes=self.random)  # type: ignore[arg-type]
        self.clock = 0.0
        self.people: dict[str, Account] = {}
        self.put: list[Question] = []
        self.proven = 0
        self.connection: asyncpg.Connection = self.run(asyncpg.connect(self.database))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def transact(self, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        async def body() -> T:
            async with self.connection.transaction():
                return await work(self.connection)

        return self.run(body())

    @initialize()
    def set_up(self) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await tx.execute("TRUNCATE accounts CASCADE")  # and with them all factors and challenges
            for name in PEOPLE:
                user = await tx.fetchval("SELECT user_id FROM create_account($1, $2, 'h')", name, name)
                await mfa_factors.lock(tx, user, self.random)
                await tx.execute("INSERT INTO mfa_totp (user_id, sealed, sealed_by, confirmed_at) VALUES ($1, '', '', now())", user)
                await tx.execute(
                    "INSERT INTO passkeys (user_id, credential_id, public_key, sign_count, backup_eligible, backed_up, name)"
                    " VALUES ($1, $2, '', 0, false, false, '')",
                    user,
                    name.encode(),
                )
                self.people[name] = Account(user, list(await mfa_factors.renew_codes(tx, user, self.random)))

        self.transact(work)

    @rule(target=questions, name=st.sampled_from(PEOPLE), place=st.sampled_from(PLACES))
    def log_in(self, name: str, place: str) -> Question:
        challenge = self.transact(
            lambda tx: second_step(tx, self.people[name].user, 0, "", Caller(place), RULES, self.random)  # a right password
        )
        assert challenge is not None
        put = [one for one in self.put if one.owner == name and not one.over]
        for oldest in put[: max(0, len(put) - CHALLENGES_MAX + 1)]:
            oldest.over = True
        question = Question(challenge.token, Purpose.LOG_IN, name, place, self.clock + RULES.challenge_s)
        self.put.append(question)
        return question

    @rule(target=questions, place=st.sampled_from(PLACES))
    def begin_alone(self, place: str) -> Question:
        challenge = self.transact(lambda tx: put_challenge(tx, Purpose.PASSWORDLESS, None, Caller(place), RULES, self.random))
        return Question(challenge.token, Purpose.PASSWORDLESS, None, place, self.clock + RULES.challenge_s)

    @rule(question=questions, whose=st.sampled_from(PEOPLE), off=st.integers(-2, 2), place=st.sampled_from(PLACES))
    def show_code(self, question: Question, whose: str, off: int, place: str) -> None:
        step = self.clockwork.step + off
        owner = self.people.get(question.owner or "")
        right = owner is self.people[whose] and abs(off) <= 1 and step > self.people[whose].last_step
        if self.show(question, TotpProof(f"{self.people[whose].user}:{step}"), Method.TOTP, question.owner, right, place):
            self.people[whose].last_step = step

    @rule(question=questions, whose=st.sampled_from(PEOPLE), which=st.integers(0, 2), place=st.sampled_from(PLACES))
    def show_recovery(self, question: Question, whose: str, which: int, place: str) -> None:
        account = self.people[whose]
        right = question.owner == whose and account.codes[which] not in account.used
        if self.show(question, RecoveryProof(account.codes[which]), Method.RECOVERY, question.owner, right, place):
            account.used.add(account.codes[which])

    @rule(question=questions, signed=questions, whose=st.sampled_from((*PEOPLE, "nobody")), uv=st.booleans(), place=st.sampled_from(PLACES))
    def show_passkey(self, question: Question, signed: Question, whose: str, uv: bool, place: str) -> None:
        alone = question.purpose is Purpose.PASSWORDLESS
        right = signed is question and whose in self.people and (uv if alone else question.owner == whose)
        proof = PasskeyProof(b"|".join((whose.encode(), signed.token.hex().encode(), b"uv" if uv else b"-")))
        self.show(question, proof, Method.PASSKEY, whose if alone and whose in self.people else question.owner, right, place)

    @rule(question=questions, whose=st.sampled_from(PEOPLE))
    def answer_well_and_once_more(self, question: Question, whose: str) -> None:
        """What chance seldom draws: a good answer from the right place, and another good one behind it."""
        for _ in range(2):
            self.show_passkey(question, question, question.owner or whose, True, question.place)

    def show(self, question: Question, proof: Proof, method: Method, owner: str | None, right: bool, place: str) -> bool:
        """Shows a proof, and compares what is said of it with the model; whether it was taken."""
        answer = self.transact(lambda tx: self.factors.answer_in(tx, question.token, proof, Caller(place)))
        if question.over or self.clock >= question.expires_at or place != question.place:
            assert answer == Refused(Refusal.OVER)
            return False
        account = None if owner is None else self.people[owner]
        if method is Method.TOTP and account is not None and wait_of(account.standing, self.clock, RULES):
            assert isinstance(answer, Refused) and answer.refusal is Refusal.WAIT and answer.wait_s > 0
            return False
        if not right:
            question.tries += 1
            question.over = question.tries == RULES.challenge_tries
            assert answer == Refused(Refusal.WRONG, tries_left=RULES.challenge_tries - question.tries)
            if method is Method.TOTP and account is not None:
                account.standing = after_wrong(account.standing, self.clock, RULES)
            return False
        assert account is not None
        assert isinstance(answer, Proven) and (answer.user, answer.method, answer.purpose) == (account.user, method, question.purpose)
        question.over = True
        account.standing = Standing()
        self.proven += 1
        return True

    @rule(seconds=st.sampled_from([7, 31, 61, 301]))
    def let_pass(self, seconds: int) -> None:
        self.transact(lambda tx: tx.execute(AGE, float(seconds)))
        self.clock += seconds
        self.clockwork.step += seconds // 30

    @invariant()
    def whoever_was_proven_is_written_down_and_nobody_else_is(self) -> None:
        async def work(tx: asyncpg.Connection) -> tuple[int, list[asyncpg.Record]]:
            rows = await tx.fetch("SELECT user_id, failures FROM mfa_accounts")
            return await tx.fetchval("SELECT count(*) FROM mfa_recovery_codes WHERE used_at IS NOT NULL"), rows

        used, rows = self.transact(work)
        assert used == sum(len(account.used) for account in self.people.values())
        assert {row["user_id"]: row["failures"] for row in rows} == {one.user: one.standing.failures for one in self.people.values()}

    def teardown(self) -> None:
        self.run(self.connection.close())
        self.loop.close()


def test_a_challenge_proves_whom_it_was_put_to_once_whoever_shows_what_from_where_and_when(database: str) -> None:
    class Here(Questions):
        pass

    Here.database = database
    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )

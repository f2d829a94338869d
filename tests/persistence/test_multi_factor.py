"""Second factors against the real Postgres: who is proven, and every way around it that somebody might try."""

from __future__ import annotations

import base64
import math
from functools import partial

import msgspec
import pytest
import trio

from actors.accounts import Caller, Declined, Opened
from actors.mfa import (
    CHALLENGES_MAX,
    PASSKEYS_MAX,
    RECOVERY_CODES,
    Challenge,
    Enrolled,
    Method,
    MfaRules,
    Proven,
    Purpose,
    RecoveryProof,
    Refusal,
    Refused,
    TotpProof,
)
from gateway.seals import DERIVED_BYTES, Seals
from gateway.totp import TotpReader
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.identity.own import PostgresIdentity
from persistence.mfa import forget_challenges, methods_of, proven_within
from persistence.multi_factor import PostgresMultiFactor
from protocol.codes import Code
from tests.gateway.authenticator import Passkey
from tests.persistence.factors import ELSEWHERE, ORIGIN, READER, RP, Person, begin, let_wait, multi_factor, refusal, somebody
from tests.persistence.identity import CALLER, Listening, claims, code, credentials, overlap, query

RULES = MfaRules()


@pytest.fixture
def factors(bridge: Bridge) -> PostgresMultiFactor:
    return multi_factor(bridge)


@pytest.fixture
async def ada(bridge: Bridge, factors: PostgresMultiFactor) -> Person:
    """Somebody with an authenticator app, a passkey and ten codes."""
    person = await somebody(bridge, factors)
    await person.add_totp()
    await person.add_passkey()
    await person.forget_step()
    return person


async def methods(bridge: Bridge, user: int) -> tuple[Method, ...]:
    return await bridge.run(lambda tx: methods_of(tx, user), deadline_s=10.0)


async def actions(bridge: Bridge) -> list[str]:
    return [row["action"] for row in await query(bridge, "SELECT action FROM audit_log ORDER BY id")]


# The second step


async def test_without_a_second_factor_the_password_opens_a_session_and_with_one_it_opens_a_question(
    bridge: Bridge, factors: PostgresMultiFactor
) -> None:
    ada = await somebody(bridge, factors)
    accounts = PostgresAccounts(bridge, Listening())
    assert isinstance(await accounts.begin_log_in(await credentials(accounts, ada.user), 0, "", None, CALLER), Opened)
    await ada.add_totp()
    challenge = await begin(ada)
    assert challenge.methods == (Method.TOTP, Method.RECOVERY) and challenge.passkeys == ()


async def test_a_factor_that_was_shown_beside_a_password_opens_nothing_once_that_was_changed(bridge: Bridge, ada: Person) -> None:
    accounts, identity = PostgresAccounts(bridge, Listening()), PostgresIdentity(bridge, Listening())
    answer = await ada.factors.answer((await begin(ada)).token, RecoveryProof(ada.codes[0]), CALLER)
    assert isinstance(answer, Proven)
    assert await identity.change_password(ada.claims, (await credentials(accounts, ada.user)).password_hash, "new", CALLER) is None
    assert code(await accounts.log_in(answer.user, 0, "", answer.changed_at_us, CALLER)) == Code.UNAUTHENTICATED
    again = await ada.factors.answer((await begin(ada)).token, RecoveryProof(ada.codes[1]), CALLER)
    assert isinstance(again, Proven)
    assert isinstance(await accounts.log_in(again.user, 0, "", again.changed_at_us, CALLER), Opened)


async def test_each_method_answers_once_and_the_device_is_the_one_that_the_log_in_asked_for(ada: Person) -> None:
    challenge = await begin(ada)
    assert challenge.methods == (Method.PASSKEY, Method.TOTP, Method.RECOVERY)
    assert [one.credential_id for one in challenge.passkeys] == [ada.passkeys[0].credential_id]
    for proof, method in (
        (await ada.code(), Method.TOTP),
        (RecoveryProof(ada.codes[0]), Method.RECOVERY),
        (None, Method.PASSKEY),
    ):
        challenge = await begin(ada)
        shown = proof or ada.sign(challenge)
        answer = await ada.factors.answer(challenge.token, shown, CALLER)
        assert answer == Proven(ada.user, method, Purpose.LOG_IN, 0, "laptop")
        assert refusal(await ada.factors.answer(challenge.token, shown, CALLER)) is Refusal.OVER, "a challenge is answered once"


async def test_a_code_that_was_taken_is_not_taken_again_by_the_next_log_in_nor_is_an_older_one(ada: Person) -> None:
    code = await ada.code()
    assert isinstance(await ada.factors.answer((await begin(ada)).token, code, CALLER), Proven)
    assert refusal(await ada.factors.answer((await begin(ada)).token, code, CALLER)) is Refusal.WRONG
    assert refusal(await ada.factors.answer((await begin(ada)).token, await ada.code(-1), CALLER)) is Refusal.WRONG
    assert isinstance(await ada.factors.answer((await begin(ada)).token, await ada.code(+1), CALLER), Proven)


async def test_the_code_that_confirmed_an_authenticator_does_not_log_in_too(bridge: Bridge, factors: PostgresMultiFactor) -> None:
    ada = await somebody(bridge, factors)
    await ada.add_totp()
    (row,) = await query(bridge, "SELECT last_step FROM mfa_totp")
    assert refusal(await factors.answer((await begin(ada)).token, TotpProof(ada.code_at(row["last_step"])), CALLER)) is Refusal.WRONG


async def test_a_recovery_code_is_good_once_and_its_owner_is_told(bridge: Bridge, ada: Person) -> None:
    proof = RecoveryProof(ada.codes[3])
    assert isinstance(await ada.factors.answer((await begin(ada)).token, proof, CALLER), Proven)
    assert refusal(await ada.factors.answer((await begin(ada)).token, proof, CALLER)) is Refusal.WRONG
    assert (await ada.factors.list_factors(ada.claims)).recovery_left == RECOVERY_CODES - 1
    told = await query(bridge, "SELECT payload FROM outbox WHERE user_id = $1 ORDER BY id DESC LIMIT 1", ada.user)
    assert b"9 are left" in told[0]["payload"]


async def test_two_who_show_one_code_at_once_are_not_both_proven(database: str, bridge: Bridge, ada: Person) -> None:
    code = await ada.code()
    first, second = await begin(ada), await begin(ada)
    one, other = await trio.to_thread.run_sync(
        overlap,
        database,
        lambda tx: ada.factors.answer_in(tx, first.token, code, CALLER),
        lambda tx: ada.factors.answer_in(tx, second.token, code, CALLER),
    )
    assert isinstance(one, Proven) and refusal(other) is Refusal.WRONG


async def test_one_challenge_answered_by_two_at_once_proves_one_of_them(database: str, ada: Person) -> None:
    challenge = await begin(ada)
    one, other = await trio.to_thread.run_sync(
        overlap,
        database,
        lambda tx: ada.factors.answer_in(tx, challenge.token, RecoveryProof(ada.codes[0]), CALLER),
        lambda tx: ada.factors.answer_in(tx, challenge.token, RecoveryProof(ada.codes[1]), CALLER),
    )
    assert isinstance(one, Proven) and refusal(other) is Refusal.OVER


# Around it


async def test_a_challenge_is_of_its_account_and_nobody_elses_factor_answers_it(
    bridge: Bridge, factors: PostgresMultiFactor, ada: Person
) -> None:
    eve = await somebody(bridge, factors, "eve")
    await eve.add_totp()
    await eve.add_passkey()
    await eve.forget_step()
    for proof in (await eve.code(), RecoveryProof(eve.codes[0])):
        assert refusal(await factors.answer((await begin(ada)).token, proof, CALLER)) is Refusal.WRONG
    for tells in (True, False):  # an authenticator that was given a list may leave out whose passkey it is
        eve.passkeys[0].tells_handle = tells
        challenge = await begin(ada)
        assert refusal(await factors.answer(challenge.token, eve.sign(challenge), CALLER)) is Refusal.WRONG
    assert (await eve.factors.list_factors(eve.claims)).recovery_left == RECOVERY_CODES, "and hers are not used up by that"


async def test_a_challenge_is_answered_from_where_it_was_put_and_in_time(bridge: Bridge, ada: Person) -> None:
    challenge = await begin(ada)
    assert refusal(await ada.factors.answer(challenge.token, await ada.code(), ELSEWHERE)) is Refusal.OVER
    assert isinstance(await ada.factors.answer(challenge.token, await ada.code(), CALLER), Proven)
    challenge = await begin(ada)
    await let_wait(bridge, RULES.challenge_s + 1)
    assert refusal(await ada.factors.answer(challenge.token, RecoveryProof(ada.codes[0]), CALLER)) is Refusal.OVER
    assert (await ada.factors.list_factors(ada.claims)).recovery_left == RECOVERY_CODES


async def test_the_other_addresses_of_one_ipv6_network_are_the_same_place(ada: Person) -> None:
    there = [Caller(f"2001:db8::{number}", "", "2001:db8::/64") for number in (1, 2)]
    challenge = await begin(ada, there[0])
    assert isinstance(await ada.factors.answer(challenge.token, await ada.code(), there[1]), Proven)


async def test_a_challenge_for_one_thing_is_good_for_nothing_else(ada: Person) -> None:
    factors = ada.factors
    step_up = await factors.begin_step_up(ada.claims, CALLER)
    offer = await factors.offer_passkey(ada.claims, CALLER)
    assert isinstance(step_up, Challenge) and not isinstance(offer, Declined)
    for challenge in (step_up, offer.challenge):
        assert refusal(await factors.answer(challenge.token, ada.sign(challenge), CALLER)) is Refusal.OVER
        assert refusal(await factors.answer(challenge.token, RecoveryProof(ada.codes[0]), CALLER)) is Refusal.OVER
    log_in, alone = await begin(ada), await factors.begin_passwordless(0, "", CALLER)
    for challenge in (log_in, alone, offer.challenge):
        assert refusal(await factors.step_up(ada.claims, ada.sign(challenge), challenge.token, CALLER)) is Refusal.OVER
    for challenge in (log_in, alone, step_up):
        made = Passkey(RP, ORIGIN).make({"user": {"id": "AAAA"}, "challenge": ""})
        assert refusal(await factors.add_passkey(ada.claims, challenge.token, msgspec.json.encode(made), "", CALLER)) is Refusal.OVER


async def test_a_challenge_that_never_was_is_over_and_no_code_is_looked_at(ada: Person) -> None:
    for token in (b"", b"x" * 32, b"\0" * 32):
        assert refusal(await ada.factors.answer(token, RecoveryProof(ada.codes[0]), CALLER)) is Refusal.OVER
    assert (await ada.factors.list_factors(ada.claims)).recovery_left == RECOVERY_CODES


async def test_a_challenge_ends_with_its_fifth_wrong_answer(ada: Person) -> None:
    challenge = await begin(ada)
    wrong = RecoveryProof("aaaa-aaaa-aaaa-aaaa")
    lefts = []
    for _ in range(RULES.challenge_tries):
        answer = await ada.factors.answer(challenge.token, wrong, CALLER)
        assert isinstance(answer, Refused) and answer.refusal is Refusal.WRONG
        lefts.append(answer.tries_left)
    assert lefts == [4, 3, 2, 1, 0]
    assert refusal(await ada.factors.answer(challenge.token, RecoveryProof(ada.codes[0]), CALLER)) is Refusal.OVER


async def test_six_digits_are_guessed_at_a_bounded_rate_over_all_challenges_and_addresses(bridge: Bridge, ada: Person) -> None:
    looked_at = 0
    for number in range(30):
        caller = Caller(f"198.51.100.{number}")
        answer = await ada.factors.answer((await begin(ada, caller)).token, await ada.wrong_code(), caller)
        if refusal(answer) is Refusal.WRONG:
            looked_at += 1
    assert looked_at == RULES.guesses_free
    closed = await ada.factors.answer((await begin(ada)).token, await ada.code(), CALLER)
    assert isinstance(closed, Refused) and closed.refusal is Refusal.WAIT and 0 < closed.wait_s <= RULES.guess_wait_s
    told = [row["payload"] for row in await query(bridge, "SELECT payload FROM outbox WHERE user_id = $1", ada.user)]
    assert sum(b"Many wrong codes" in payload for payload in told) == 1, "told once, not once a guess"
    # Whoever guesses delays codes, and nothing else.
    challenge = await begin(ada)
    assert isinstance(await ada.factors.answer(challenge.token, ada.sign(challenge), CALLER), Proven)
    assert isinstance(await ada.factors.answer((await begin(ada)).token, await ada.code(), CALLER), Proven), "and that forgave them"


async def test_after_the_wait_one_more_guess_is_looked_at_and_the_wait_is_twice_as_long(bridge: Bridge, ada: Person) -> None:
    for _ in range(RULES.guesses_free):
        assert refusal(await ada.factors.answer((await begin(ada)).token, await ada.wrong_code(), CALLER)) is Refusal.WRONG
    await let_wait(bridge, RULES.guess_wait_s)
    assert refusal(await ada.factors.answer((await begin(ada)).token, await ada.wrong_code(), CALLER)) is Refusal.WRONG
    closed = await ada.factors.answer((await begin(ada)).token, await ada.code(), CALLER)
    assert isinstance(closed, Refused) and RULES.guess_wait_s < closed.wait_s <= 2 * RULES.guess_wait_s


async def test_after_too_many_guesses_only_what_cannot_be_guessed_opens_the_account(bridge: Bridge) -> None:
    factors = multi_factor(bridge, rules=MfaRules(guesses_max=7))
    ada = await somebody(bridge, factors)
    await ada.add_totp()
    await ada.forget_step()
    for _ in range(7):
        assert refusal(await factors.answer((await begin(ada)).token, await ada.wrong_code(), CALLER)) is Refusal.WRONG
        await let_wait(bridge, RULES.guess_wait_max_s)
    closed = await factors.answer((await begin(ada)).token, await ada.code(), CALLER)
    assert isinstance(closed, Refused) and math.isinf(closed.wait_s)
    assert isinstance(await factors.answer((await begin(ada)).token, RecoveryProof(ada.codes[0]), CALLER), Proven)
    assert isinstance(await factors.answer((await begin(ada)).token, await ada.code(), CALLER), Proven)


async def test_a_try_is_counted_when_the_challenge_was_put_by_whoever_knows_the_password_and_asks_again_and_again(ada: Person) -> None:
    for _ in range(3 * CHALLENGES_MAX):
        await begin(ada)
    (row,) = await query(ada.bridge, "SELECT count(*) FROM mfa_challenges WHERE user_id = $1", ada.user)
    assert row["count"] == CHALLENGES_MAX


async def test_another_password_ends_the_questions_that_the_old_one_led_to(bridge: Bridge, ada: Person) -> None:
    challenge = await begin(ada)
    await bridge.run(lambda tx: forget_challenges(tx, ada.user), deadline_s=10.0)
    assert refusal(await ada.factors.answer(challenge.token, await ada.code(), CALLER)) is Refusal.OVER


# A passkey alone


async def test_a_passkey_alone_names_its_owner_and_must_have_verified_them(ada: Person) -> None:
    challenge = await ada.factors.begin_passwordless(7, "tablet", CALLER)
    assert challenge.passkeys == () and challenge.methods == (Method.PASSKEY,)
    answer = await ada.factors.answer(challenge.token, ada.sign(challenge, alone=True), CALLER)
    assert answer == Proven(ada.user, Method.PASSKEY, Purpose.PASSWORDLESS, 7, "tablet")
    for attribute in ("verifies", "tells_handle"):
        challenge = await ada.factors.begin_passwordless(0, "", CALLER)
        setattr(ada.passkeys[0], attribute, False)
        assert refusal(await ada.factors.answer(challenge.token, ada.sign(challenge, alone=True), CALLER)) is Refusal.WRONG
        setattr(ada.passkeys[0], attribute, True)


async def test_nobodys_challenge_is_answered_by_no_code(ada: Person) -> None:
    for proof in (await ada.code(), RecoveryProof(ada.codes[0])):
        challenge = await ada.factors.begin_passwordless(0, "", CALLER)
        assert refusal(await ada.factors.answer(challenge.token, proof, CALLER)) is Refusal.WRONG
    assert (await ada.factors.list_factors(ada.claims)).recovery_left == RECOVERY_CODES


async def test_a_passkey_that_answers_as_its_copy_would_proves_nothing_and_its_owner_is_told(bridge: Bridge, ada: Person) -> None:
    challenge = await begin(ada)
    assert isinstance(await ada.factors.answer(challenge.token, ada.sign(challenge), CALLER), Proven)
    ada.passkeys[0].count -= 1
    challenge = await begin(ada)
    assert refusal(await ada.factors.answer(challenge.token, ada.sign(challenge), CALLER)) is Refusal.WRONG
    assert "mfa.passkey_copied" in await actions(bridge)


async def test_a_passkey_that_was_removed_proves_nobody(ada: Person) -> None:
    listed = (await ada.factors.list_factors(ada.claims)).methods
    number = next(one.number for one in listed if one.method is Method.PASSKEY)
    challenge, alone = await begin(ada), await ada.factors.begin_passwordless(0, "", CALLER)
    assert await ada.factors.remove(ada.claims, Method.PASSKEY, number, CALLER) is None
    assert refusal(await ada.factors.answer(challenge.token, ada.sign(challenge), CALLER)) is Refusal.WRONG
    assert refusal(await ada.factors.answer(alone.token, ada.sign(alone, alone=True), CALLER)) is Refusal.WRONG


async def test_a_passkey_is_renamed_by_its_owner_alone(bridge: Bridge, factors: PostgresMultiFactor, ada: Person) -> None:
    eve = await somebody(bridge, factors, "eve")
    listed = (await ada.factors.list_factors(ada.claims)).methods
    number = next(one.number for one in listed if one.method is Method.PASSKEY)
    assert code(await eve.factors.rename_passkey(eve.claims, number, "mine")) == Code.NOT_FOUND
    assert await ada.factors.rename_passkey(ada.claims, number, "the blue phone") is None
    renamed = (await ada.factors.list_factors(ada.claims)).methods
    assert [one.name for one in renamed if one.method is Method.PASSKEY] == ["the blue phone"]


# Step-up


async def test_whoever_has_a_second_factor_does_not_step_up_by_the_password(ada: Person) -> None:
    assert refusal(await ada.factors.may_step_up_by_password(ada.claims)) is Refusal.NOT_SET
    assert refusal(await ada.factors.step_up_by_password(ada.claims, True, CALLER)) is Refusal.NOT_SET


async def test_a_step_up_moves_when_this_session_was_proven_and_no_other(bridge: Bridge, ada: Person) -> None:
    accounts = PostgresAccounts(bridge, Listening())
    other = await accounts.log_in(ada.user, 0, "", None, CALLER)
    assert isinstance(other, Opened)
    await let_wait(bridge, 3600)
    before = await ada.factors.proven_s(ada.claims)
    assert before is not None and before >= 3600
    assert await ada.factors.step_up(ada.claims, await ada.code(), None, CALLER) is Method.TOTP
    now, others = await ada.factors.proven_s(ada.claims), await ada.factors.proven_s(claims(other))
    assert now is not None and now < 60 and others is not None and others >= 3600
    within = partial(proven_within, user=ada.user, within_s=600)
    assert await bridge.run(lambda tx: within(tx, session=ada.claims.session), deadline_s=10.0)
    assert not await bridge.run(lambda tx: within(tx, session=other.session), deadline_s=10.0)


async def test_a_step_up_uses_up_what_was_shown(ada: Person) -> None:
    proof = await ada.code()
    assert await ada.factors.step_up(ada.claims, proof, None, CALLER) is Method.TOTP
    assert refusal(await ada.factors.step_up(ada.claims, proof, None, CALLER)) is Refusal.WRONG
    assert refusal(await ada.factors.answer((await begin(ada)).token, proof, CALLER)) is Refusal.WRONG
    challenge = await ada.factors.begin_step_up(ada.claims, CALLER)
    assert isinstance(challenge, Challenge)
    signed = ada.sign(challenge)
    assert await ada.factors.step_up(ada.claims, signed, challenge.token, CALLER) is Method.PASSKEY
    assert refusal(await ada.factors.step_up(ada.claims, signed, challenge.token, CALLER)) is Refusal.OVER


async def test_a_step_up_is_of_the_session_that_it_was_put_to(bridge: Bridge, ada: Person) -> None:
    other = await PostgresAccounts(bridge, Listening()).log_in(ada.user, 0, "", None, CALLER)
    assert isinstance(other, Opened)
    challenge = await ada.factors.begin_step_up(claims(other), CALLER)
    assert isinstance(challenge, Challenge)
    assert refusal(await ada.factors.step_up(ada.claims, ada.sign(challenge), challenge.token, CALLER)) is Refusal.OVER


async def test_a_session_that_was_ended_proves_and_changes_nothing(bridge: Bridge, ada: Person) -> None:
    accounts, factors = PostgresAccounts(bridge, Listening()), ada.factors
    await accounts.end_session(ada.claims, ada.claims.session, CALLER)
    assert code(await factors.step_up(ada.claims, await ada.code(), None, CALLER)) == Code.REVOKED
    assert code(await factors.step_up_by_password(ada.claims, True, CALLER)) == Code.REVOKED
    assert code(await factors.begin_step_up(ada.claims, CALLER)) == Code.REVOKED
    assert code(await factors.offer_totp(ada.claims, CALLER)) == Code.REVOKED
    assert code(await factors.offer_passkey(ada.claims, CALLER)) == Code.REVOKED
    assert code(await factors.remove(ada.claims, Method.TOTP, 0, CALLER)) == Code.REVOKED
    assert code(await factors.renew_recovery_codes(ada.claims, CALLER)) == Code.REVOKED
    assert await factors.proven_s(ada.claims) is None


async def test_guessing_a_password_at_step_up_is_counted_as_codes_are(bridge: Bridge, factors: PostgresMultiFactor) -> None:
    ada = await somebody(bridge, factors)
    for _ in range(RULES.guesses_free):
        assert refusal(await factors.step_up_by_password(ada.claims, False, CALLER)) is Refusal.WRONG
    assert refusal(await factors.may_step_up_by_password(ada.claims)) is Refusal.WAIT
    assert refusal(await factors.step_up_by_password(ada.claims, True, CALLER)) is Refusal.WAIT
    await let_wait(bridge, RULES.guess_wait_s)
    assert await factors.step_up_by_password(ada.claims, True, CALLER) is None


# Setting up and taking away


async def test_the_first_method_comes_with_ten_codes_and_the_last_one_takes_them_along(
    bridge: Bridge, factors: PostgresMultiFactor
) -> None:
    ada = await somebody(bridge, factors)
    first, second = await ada.add_totp(), await ada.add_passkey()
    assert len(set(first.recovery_codes)) == RECOVERY_CODES and second.recovery_codes == ()
    assert await factors.remove(ada.claims, Method.TOTP, 0, CALLER) is None
    assert await methods(bridge, ada.user) == (Method.PASSKEY, Method.RECOVERY)
    assert await factors.remove(ada.claims, Method.PASSKEY, second.listed.number, CALLER) is None
    assert await methods(bridge, ada.user) == ()
    assert (await query(bridge, "SELECT count(*) FROM mfa_recovery_codes"))[0]["count"] == 0


async def test_an_offer_that_nobody_confirmed_proves_nothing_and_lasts_minutes(bridge: Bridge, factors: PostgresMultiFactor) -> None:
    ada = await somebody(bridge, factors)
    offer = await factors.offer_totp(ada.claims, CALLER)
    assert not isinstance(offer, Declined)
    assert await methods(bridge, ada.user) == ()
    ada.secret = base64.b32decode(offer.secret)
    assert refusal(await factors.step_up(ada.claims, await ada.code(), None, CALLER)) is Refusal.NOT_SET
    assert refusal(await factors.confirm_totp(ada.claims, (await ada.wrong_code()).code, CALLER)) is Refusal.WRONG
    await let_wait(bridge, RULES.enrol_s + 1)
    assert refusal(await factors.confirm_totp(ada.claims, (await ada.code()).code, CALLER)) is Refusal.NOT_SET


async def test_a_second_offer_replaces_the_first_and_a_set_authenticator_is_not_replaced(ada: Person, factors: PostgresMultiFactor) -> None:
    assert code(await factors.offer_totp(ada.claims, CALLER)) == Code.CONFLICT
    assert await factors.remove(ada.claims, Method.TOTP, 0, CALLER) is None
    assert not isinstance(await factors.offer_totp(ada.claims, CALLER), Declined)
    assert isinstance(await ada.add_totp(), Enrolled)


async def test_new_recovery_codes_make_the_earlier_ones_worthless(ada: Person) -> None:
    renewed = await ada.factors.renew_recovery_codes(ada.claims, CALLER)
    assert not isinstance(renewed, Declined) and len(renewed) == RECOVERY_CODES and not set(renewed) & set(ada.codes)
    assert refusal(await ada.factors.answer((await begin(ada)).token, RecoveryProof(ada.codes[0]), CALLER)) is Refusal.WRONG
    assert isinstance(await ada.factors.answer((await begin(ada)).token, RecoveryProof(renewed[0]), CALLER), Proven)


async def test_recovery_codes_without_anything_to_recover_are_not_made(bridge: Bridge, factors: PostgresMultiFactor) -> None:
    ada = await somebody(bridge, factors)
    assert code(await factors.renew_recovery_codes(ada.claims, CALLER)) == Code.NOT_FOUND


async def test_a_passkey_is_one_accounts_and_an_account_has_a_bounded_number(
    bridge: Bridge, factors: PostgresMultiFactor, ada: Person
) -> None:
    eve = await somebody(bridge, factors, "eve")
    assert code(await eve.make(ada.passkeys[0])) == Code.CONFLICT
    for _ in range(PASSKEYS_MAX - 1):
        await ada.add_passkey()
    assert code(await factors.offer_passkey(ada.claims, CALLER)) == Code.LIMIT


async def test_somebody_elses_passkey_is_not_removed_nor_told_from_one_that_never_was(
    bridge: Bridge, factors: PostgresMultiFactor, ada: Person
) -> None:
    eve = await somebody(bridge, factors, "eve")
    number = next(one.number for one in (await factors.list_factors(ada.claims)).methods if one.method is Method.PASSKEY)
    theirs = await factors.remove(eve.claims, Method.PASSKEY, number, CALLER)
    assert theirs == await factors.remove(eve.claims, Method.PASSKEY, 10**9, CALLER) and code(theirs) == Code.NOT_FOUND
    assert Method.PASSKEY in await methods(bridge, ada.user)


async def test_every_change_is_audited_and_told_and_no_secret_is_stored_as_it_is(bridge: Bridge, ada: Person) -> None:
    await ada.factors.renew_recovery_codes(ada.claims, CALLER)
    await ada.factors.remove(ada.claims, Method.TOTP, 0, CALLER)
    found = await actions(bridge)
    assert [action for action in found if action.startswith("mfa.")] == [
        "mfa.totp_offered",
        "mfa.added",
        "mfa.added",
        "mfa.recovery_renewed",
        "mfa.removed",
    ]
    told = await query(bridge, "SELECT count(*) FROM outbox WHERE user_id = $1", ada.user)
    assert told[0]["count"] >= 4
    challenge = await begin(ada)
    parts = []
    for table in ("mfa_accounts", "mfa_totp", "mfa_recovery_codes", "passkeys", "mfa_challenges", "audit_log", "outbox"):
        parts += [row[0] for row in await query(bridge, f"SELECT t::text FROM {table} t")]
    text = "\n".join(parts)
    for secret in (ada.secret.hex(), challenge.token.hex(), *ada.codes):
        assert secret not in text


async def test_secrets_of_an_older_key_are_sealed_anew_in_portions(bridge: Bridge, ada: Person) -> None:
    rotated = PostgresMultiFactor(bridge, TotpReader(Seals([b"n" * DERIVED_BYTES, b"k" * DERIVED_BYTES])), READER)
    assert await rotated.reseal() == 1
    assert await rotated.reseal() == 0
    only_new = PostgresMultiFactor(bridge, TotpReader(Seals([b"n" * DERIVED_BYTES])), READER)
    assert isinstance(await only_new.answer((await begin(ada)).token, await ada.code(), CALLER), Proven)


async def test_an_account_takes_its_factors_along(bridge: Bridge, ada: Person) -> None:
    await begin(ada)
    await query(bridge, "DELETE FROM accounts WHERE id = $1", ada.user)
    for table in ("mfa_accounts", "mfa_totp", "mfa_recovery_codes", "passkeys", "mfa_challenges"):
        assert (await query(bridge, f"SELECT count(*) FROM {table}"))[0]["count"] == 0


async def test_challenges_that_are_over_are_taken_along_by_new_ones(bridge: Bridge, factors: PostgresMultiFactor) -> None:
    for _ in range(20):
        await factors.begin_passwordless(0, "", CALLER)
    await let_wait(bridge, RULES.challenge_s + 1)
    for _ in range(10):
        await factors.begin_passwordless(0, "", CALLER)
    assert (await query(bridge, "SELECT count(*) FROM mfa_challenges"))[0]["count"] == 10


async def test_a_race_between_guesses_counts_each_of_them(database: str, ada: Person) -> None:
    first, second = await begin(ada), await begin(ada)
    wrong = await ada.wrong_code()
    await trio.to_thread.run_sync(
        overlap,
        database,
        lambda tx: ada.factors.answer_in(tx, first.token, wrong, CALLER),
        lambda tx: ada.factors.answer_in(tx, second.token, wrong, CALLER),
    )
    (row,) = await query(ada.bridge, "SELECT failures FROM mfa_accounts WHERE user_id = $1", ada.user)
    assert row["failures"] == 2

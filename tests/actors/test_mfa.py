"""How often one may guess, and recovery codes as people type them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from actors import recovery_codes
from actors.mfa import MfaRules, Standing, after_wrong, wait_of

RULES = MfaRules()
DAY_S = 86_400.0
rules = st.builds(
    MfaRules,
    guesses_free=st.integers(1, 10),
    guess_wait_s=st.floats(1, 600),
    guess_wait_max_s=st.floats(600, 86_400),
    guesses_max=st.integers(11, 200),
)


def guess(rule: MfaRules, pauses: list[float]) -> list[float]:
    """Somebody guesses wrongly after each of these pauses, as often as they are heard: at which times they were."""
    standing, now, heard = Standing(), 0.0, []
    for pause in pauses:
        now += pause
        if wait_of(standing, now, rule) == 0:
            heard.append(now)
            standing = after_wrong(standing, now, rule)
    return heard


@given(rules, st.lists(st.floats(0, 5000), max_size=150))
def test_however_one_guesses_the_waits_double_up_to_their_bound_and_end_in_silence(rule: MfaRules, pauses: list[float]) -> None:
    heard = guess(rule, pauses)
    assert len(heard) <= rule.guesses_max
    for place in range(rule.guesses_free, len(heard)):
        doubled = rule.guess_wait_s * 2.0 ** (place - rule.guesses_free)
        assert heard[place] - heard[place - 1] >= min(doubled, rule.guess_wait_max_s) - 1e-6


def test_the_most_patient_guesser_gets_a_hundred_codes_looked_at_and_none_more() -> None:
    assert len(guess(RULES, [RULES.guess_wait_max_s] * 500)) == RULES.guesses_max


def test_the_most_hurried_guesser_gets_few_codes_looked_at_in_a_day() -> None:
    heard = guess(RULES, [1.0] * int(DAY_S))
    # Five free ones, seven whose waits double from 30 s to an hour, and then one an hour.
    assert len(heard) == RULES.guesses_free + 7 + 22


def test_beyond_the_last_guess_there_is_no_wait_that_helps() -> None:
    standing = Standing()
    for _ in range(RULES.guesses_max):
        standing = after_wrong(standing, 0.0, RULES)
    assert math.isinf(wait_of(standing, 1e12, RULES))
    assert after_wrong(standing, 0.0, RULES).failures == RULES.guesses_max, "a smallint holds it"


@given(st.binary(min_size=10, max_size=10), st.data())
def test_a_recovery_code_is_the_same_however_it_is_typed(raw: bytes, data: st.DataObject) -> None:
    written = recovery_codes.write(raw)
    assert len(written) == 19 and written.count("-") == 3
    typed = data.draw(st.sampled_from([written, written.upper(), written.replace("-", ""), written.replace("-", " "), f" {written} "]))
    for letter, digit in (("o", "0"), ("i", "1"), ("b", "8")):
        typed = typed.replace(letter, data.draw(st.sampled_from([letter, digit])))
    assert recovery_codes.read(typed) == raw


@given(st.text(max_size=80))
def test_any_text_is_a_recovery_code_or_none_and_raises_nothing(text: str) -> None:
    raw = recovery_codes.read(text)
    assert raw is None or len(raw) == recovery_codes.RAW_BYTES


@given(st.binary(min_size=10, max_size=10), st.integers(1, 2**53 - 1), st.integers(1, 2**53 - 1))
def test_the_same_code_of_two_accounts_is_stored_as_two_hashes(raw: bytes, one: int, other: int) -> None:
    assert (recovery_codes.hash_of(one, raw) == recovery_codes.hash_of(other, raw)) == (one == other)

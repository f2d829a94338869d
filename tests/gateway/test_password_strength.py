"""How hard a password is to guess, and what finding out may cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from gateway.password_strength import JUDGED_MAX, SCORE_MAX, SUBSTITUTIONS_MAX, WORDS_MAX, bounded, measure, parts

DISGUISES = "".join(sorted({character for characters in L33T_TABLE.values() for character in characters}))


def readings(password: str) -> int:
    return len(list(enumerate_l33t_subs(relevant_l33t_subtable(password, L33T_TABLE))))


@pytest.mark.parametrize("password", ["password", "12345678", "qwertyuiop", "letmein123", "P@ssw0rd1", "aaaaaaaaaaaaaaa", "19841231"])
def test_what_everybody_thinks_of_first_is_easy_to_guess(password: str) -> None:
    assert measure(password, ()).score < 3


@pytest.mark.parametrize("password", ["a heron in the reeds", "kaltes klares wasser", "двенадцать зелёных коз", "xK7-pq2-Lm9"])
def test_a_few_words_that_do_not_belong_together_are_hard_to_guess(password: str) -> None:
    assert measure(password, ()).score >= 3


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("xanthoriae42", ("xanthoriae", "", "")),
        ("vandermeerschen", ("w", "Wilhelmina van-der-Meerschen", "")),
        ("meerschenwilhelmina", ("wilhelmina", "meerschen", "")),
        ("grootefontein1", ("w", "", "wilma@grootefontein.example")),
        ("educonnect2026", ("w", "", "", "educonnect")),
    ],
)
def test_a_password_of_ones_own_words_is_easier_to_guess_than_by_a_stranger(password: str, words: tuple[str, ...]) -> None:
    assert measure(password, words).score < measure(password, ()).score


def test_what_is_said_of_a_password_does_not_hold_it() -> None:
    found = measure("password1", ())
    assert found.warning and "password1" not in found.warning


@given(st.text(alphabet=DISGUISES + "aeiolstxz7", max_size=512))
def test_no_password_is_read_in_more_ways_than_the_bound(password: str) -> None:
    looked_at = bounded(password)
    assert len(looked_at) <= JUDGED_MAX
    assert readings(looked_at) <= SUBSTITUTIONS_MAX


def test_the_bound_is_needed_a_password_of_all_disguises_can_be_read_in_far_more_ways() -> None:
    assert readings(DISGUISES) > 10 * SUBSTITUTIONS_MAX


@given(st.text(max_size=40))
def test_any_text_has_a_score(password: str) -> None:
    assert 0 <= measure(password, ("ada",)).score <= SCORE_MAX


@given(st.lists(st.text(max_size=300), max_size=8))
def test_any_words_are_bounded(words: list[str]) -> None:
    found = parts(words)
    assert len(found) <= WORDS_MAX
    assert all(2 <= len(part) for part in found)


def test_an_address_is_taken_apart() -> None:
    assert {"ada", "lovelace", "ada.lovelace", "analytical", "analytical.example"} <= set(parts(["ada.lovelace@analytical.example"]))

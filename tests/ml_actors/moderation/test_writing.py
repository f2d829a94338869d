"""Texts are judged by what they say, not by how they are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inference import Harm
from ml_actors.moderation.rules import found_by_phrases
from ml_actors.moderation.writing import GROWTH_MAX, LENGTH_MAX, PIECES_MAX, PLAIN_MAX, WHOLE_MAX, folded, pieces, plain

DISGUISED = [
    ("RT @who: you are DUMB!!!! http://x.example/a", "you are dumb!"),
    ("f u c k you", "fuck you"),
    ("F.U.C.K. you", "fuck. you"),
    ("youuuuu fooool", "you fol"),
    ("sh1t and b!tch", "shit and bitch"),
    ("Du Id10t", "du idiot"),
    ("#StopBullying now", "stop bullying now"),
    ("fu\u200bck", "fuck"),
    ("&lt;b&gt; &amp;amp; c", "<b> & c"),
    ("ＦＵＬＬ width", "full width"),
]
LEFT_ALONE = ["covid19 was in 2020", "the 2nd of 3 birds", "b2b and 4you", "100% of 20,000", "hello, book and school", "i am a big fan"]


@pytest.mark.parametrize(("written", "said"), DISGUISED)
def test_a_disguise_is_taken_off(written: str, said: str) -> None:
    assert plain(written) == said


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_numbers_and_double_letters_are_left_alone(text: str) -> None:
    assert plain(text) == text


@given(st.text(max_size=300))
def test_a_plain_text_holds_no_address_and_is_bounded(text: str) -> None:
    assert "http" not in plain(f"{text} https://example.org/{'a' * 9}")
    assert len(plain(text * 90)) <= PLAIN_MAX


@pytest.mark.parametrize(
    "before", ["\ufdfa" * 1112, "\ufdfa" * 19_000, "\ufdf2" * 19_000, "\ufb03" * 19_000, "\u3300" * 19_000, "#aBcD" * 3800]
)
def test_what_grows_when_it_is_normalised_hides_nothing_that_comes_after_it(before: str) -> None:
    said = plain(f"{before} i will kill you")
    assert said.endswith("i will kill you") and len(said) <= PLAIN_MAX
    assert found_by_phrases(said)[Harm.THREAT] >= 0.9


def test_no_code_point_of_a_text_grows_beyond_its_bound() -> None:
    everything = map(chr, [*range(0xD800), *range(0xE000, 0x11_0000)])
    grown = [one for one in everything if len(unicodedata.normalize("NFKC", one)) > GROWTH_MAX]
    assert grown and not plain("".join(grown))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=2000))
def test_pieces_lose_no_word_and_are_bounded(text: str) -> None:
    said = plain(text)
    cut = pieces(said)
    assert 1 <= len(cut) <= PIECES_MAX and all(len(piece) <= WHOLE_MAX for piece in cut)
    assert "".join("".join(cut).split()) == "".join(said.split())


def test_the_longest_text_is_cut_into_no_more_pieces_than_the_bound() -> None:
    assert len(pieces(plain("wordy " * 4000))) <= PIECES_MAX
    assert len(pieces("x" * PLAIN_MAX)) <= PIECES_MAX
    assert len(pieces(("y" * 81 + ". ") * (LENGTH_MAX // 83))) <= PIECES_MAX


def test_diacritics_do_not_tell_words_apart() -> None:
    assert folded("für große café") == folded("fur grosse cafe")

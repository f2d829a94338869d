"""Excerpts: what is shown of a message that was found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persistence.excerpts import CHARS_MAX, READ_MAX, excerpt, find_marks, plain

LETTERS = st.text(alphabet=st.sampled_from("abcé ÀßŒكتابًأ😀ﬁ\n.'-"), max_size=400)
WORDS = st.lists(st.text(alphabet=st.sampled_from("abceكتاب"), min_size=1, max_size=6), max_size=4)


@given(LETTERS, WORDS)
def test_the_pieces_are_a_part_of_the_text_and_every_second_one_is_what_was_found(text: str, words: list[str]) -> None:
    pieces = excerpt(text, words)
    shown = "".join(pieces)
    inner = shown.removeprefix("…").removesuffix("…")
    assert inner in text.replace("\n", " ") and len(shown) <= CHARS_MAX + 2 and len(pieces) % 2 == 1
    assert all(plain(marked)[0] in words for marked in pieces[1::2])


@given(st.text(max_size=100), WORDS, st.text(max_size=100))
def test_a_word_that_stands_there_by_itself_is_marked(before: str, words: list[str], after: str) -> None:
    text = f"{before[:20]} {' '.join(words)} {after}"
    if words:
        assert len(find_marks(text, words)) >= len(words)
        assert len(excerpt(text, words)) > 1


def test_what_is_far_in_is_shown_with_what_surrounds_it() -> None:
    text = f"{'before ' * 100}tide {'after ' * 100}"
    before, marked, after = excerpt(text, ["tide"])
    assert marked == "tide" and before.startswith("…before ") and after.endswith("…")
    assert excerpt(text, []) == excerpt(text, ["nothing"]) and excerpt("", ["tide"]) == ("",)


def test_accents_and_vowel_signs_are_marked_with_their_letters() -> None:
    assert excerpt("Les élèves", ["eleves"]) == ("Les ", "élèves", "")
    assert excerpt("قالَ: أَهْلاً بكم", ["اهلا"]) == ("قالَ: ", "أَهْلاً", " بكم")
    assert excerpt("eﬃcient work", ["efficient"]) == ("", "eﬃcient", " work")


def test_a_letter_that_stands_for_many_does_not_make_a_message_long() -> None:
    """U+FDFA is eighteen letters: a page of messages of it was read for a second, in the thread that all reading goes through."""
    read, places = plain("\ufdfa" * 4000)
    assert len(read) < READ_MAX + 18 and len(places) == len(read) + 1 and places[-1] == places[-2] + 1
    assert find_marks("\ufdfa" * 4000 + " tide", ["tide"]) == []


def test_of_words_within_each_other_the_longer_one_is_marked() -> None:
    assert excerpt("see example.com now", ["example", "com", "example.com"]) == ("see ", "example.com", " now")
    assert excerpt("see example.org now", ["example", "com", "example.com"]) == ("see ", "example", ".org now")

"""Excerpts: what is shown of a message that was found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persistence.excerpts import CHARS_MAX, excerpt, find_marks, plain

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

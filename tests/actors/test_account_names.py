"""Names of accounts, and names that people read: what they become, and what is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.accounts import NAME_LENGTH_MAX, NAME_LENGTH_MIN, NameRefused, normalise_label, normalise_name


@given(st.text(max_size=60) | st.text("abcÅﬁ１_.-\u0301\u200d ", max_size=45))
def test_a_name_is_normal_once_and_for_all_or_refused(text: str) -> None:
    try:
        name = normalise_name(text)
    except NameRefused as refused:
        assert "allowed" in str(refused)
        return
    assert normalise_name(name) == name == unicodedata.normalize("NFKC", text)
    assert NAME_LENGTH_MIN <= len(name) <= NAME_LENGTH_MAX
    assert name.isprintable() and not any(character.isspace() for character in name)


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp", "Sm", "Sc", "Sk", "So"]), min_size=1, max_size=3))
def test_what_shows_nothing_or_is_no_letter_is_nowhere_in_a_name(text: str) -> None:
    for where in (f"ada{text}lovelace", f"{text}ada", f"ada{text}"):
        try:
            name = normalise_name(where)
        except NameRefused:
            continue
        # Some symbols mean letters (™ is TM); then those stand there instead.
        assert not set(text) & set(name)


@pytest.mark.parametrize("one", ["\u3164", "\uffa0", "\u115f", "\u1160", "\u034f", "\u17b4", "\ufe0f", "\u180b"])
def test_letters_and_marks_that_show_nothing_are_refused(one: str) -> None:
    with pytest.raises(NameRefused):
        normalise_name(f"ada{one}lovelace")


def test_a_label_loses_its_outer_and_double_spaces_and_keeps_its_joiners() -> None:
    assert normalise_label("  Ada \n  Lovelace ", "display name", 80) == "Ada Lovelace"
    assert normalise_label("می\u200cخواهم", "display name", 80) == "می\u200cخواهم"
    assert normalise_label("👩\u200d🏫", "display name", 80) == "👩\u200d🏫"
    assert normalise_label("", "display name", 80) == ""


@given(st.text(max_size=100))
def test_a_label_is_normal_once_and_for_all_or_refused(text: str) -> None:
    try:
        label = normalise_label(text, "device name", 80)
    except NameRefused as refused:
        assert "allowed" in str(refused) and "device name" in str(refused)
        return
    assert normalise_label(label, "device name", 80) == label
    assert len(label) <= 80 and "\0" not in label

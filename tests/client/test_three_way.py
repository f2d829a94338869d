"""Two people's texts: what merges, what clashes, and that nothing of either is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.three_way import Clash, Piece, has_marks, marked, merge_text, merge_view
from protocol.entities import Entity, Fields

lines = st.lists(st.sampled_from(["one two\n", "two\n", "three four five\n", "\n", "six"]), max_size=7).map("".join)
words = st.lists(st.sampled_from(["a", "b", "c", " ", ", ", "\n"]), max_size=10).map("".join)
texts = lines | words | st.text(max_size=12)


def side(pieces: tuple[Piece, ...], mine: bool) -> str:
    return "".join(piece if isinstance(piece, str) else piece.mine if mine else piece.theirs for piece in pieces)


def swapped(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    return tuple(Clash(piece.common, piece.theirs, piece.mine) if isinstance(piece, Clash) else piece for piece in pieces)


@given(texts, texts)
def test_merging_with_an_unchanged_side_gives_the_other(common: str, changed: str) -> None:
    assert "".join(map(str, merge_text(common, changed, common))) == changed
    assert "".join(map(str, merge_text(common, common, changed))) == changed
    assert "".join(map(str, merge_text(common, changed, changed))) == changed


@given(texts, texts, texts)
def test_swapping_the_sides_swaps_the_clashes_and_nothing_else(common: str, mine: str, theirs: str) -> None:
    assert merge_text(common, theirs, mine) == swapped(merge_text(common, mine, theirs))


@given(texts, texts, texts)
def test_a_clash_is_where_both_changed_differently(common: str, mine: str, theirs: str) -> None:
    pieces = merge_text(common, mine, theirs)
    for piece in pieces:
        if isinstance(piece, Clash):
            assert len({piece.common, piece.mine, piece.theirs}) == 3
    assert all(not (isinstance(one, str) and isinstance(other, str)) for one, other in itertools.pairwise(pieces))


@given(st.permutations(range(6)), st.text("xyz", min_size=1), st.text("uvw", min_size=1))
def test_what_two_people_put_into_different_lines_is_all_there(places: list[int], mine: str, theirs: str) -> None:
    """Lines that are all different, with an untouched one between the two changes."""
    common = [f"line {number}\n" for number in range(6)]
    at, other = places[:2]
    ours, others = list(common), list(common)
    ours[at], others[other] = f"{mine}\n", f"{theirs}\n"
    pieces = merge_text("".join(common), "".join(ours), "".join(others))
    if abs(at - other) > 1:
        both = list(ours)
        both[other] = others[other]
        assert pieces == ("".join(both),)
    else:
        assert mine in side(pieces, True) and theirs in side(pieces, False)


def test_two_words_of_one_line_merge_and_neighbouring_words_do_not() -> None:
    assert merge_text("the cat sat here", "the dog sat here", "the cat sat there") == ("the dog sat there",)
    pieces = merge_text("the black cat", "the white cat", "the black dog")
    assert pieces == ("the ", Clash("black cat", "white cat", "black dog"))


def test_marks_stand_on_lines_of_their_own_and_are_found_again() -> None:
    shown = marked(merge_text("a\nkeep\n", "b\nkeep\n", "c\nkeep\n"))
    assert shown == "<<<<<<< mine\nb\n=======\nc\n>>>>>>> theirs\nkeep\n"
    assert has_marks(shown) and not has_marks("a <<<<<<< mine\n=======\n")


def test_a_large_text_in_which_everything_repeats_is_not_compared_word_by_word() -> None:
    mine, theirs = "a " * 2000, "b " * 2000
    assert merge_text("c " * 2000, mine, theirs) == (Clash("c " * 2000, mine, theirs),)


def view(common: Fields, mine: Fields, theirs: Fields, entity: int = Entity.CONTENT) -> dict[str, tuple[bool, object]]:
    return {one.name: (one.same, one.proposal) for one in merge_view(entity, common, mine, theirs)}


def test_a_field_that_one_side_changed_is_proposed_as_that_side_has_it() -> None:
    common: Fields = {1: "Bread", 2: "Flour, water.", 3: 7}
    assert view(common, {1: "Bread", 2: "Flour, water, salt."}, {1: "Good bread", 2: "Flour, water.", 3: 7}) == {
        "title": (False, "Good bread"),
        "text": (False, "Flour, water, salt."),
        "lesson": (True, 7),
    }


def test_both_sides_words_are_proposed_together_and_a_clash_proposes_nothing() -> None:
    common: Fields = {2: "Flour and water make bread."}
    shown = merge_view(Entity.CONTENT, common, {2: "Rye flour and water make bread."}, {2: "Flour and water make good bread."})
    assert shown[0].proposal == "Rye flour and water make good bread."
    (clash,) = merge_view(Entity.CONTENT, {}, {1: "Mine"}, {1: "Theirs"})
    assert (clash.proposal, clash.same, clash.pieces) == (None, False, (Clash("", "Mine", "Theirs"),))


def test_numbers_that_both_changed_are_a_persons_choice() -> None:
    assert view({3: 1}, {3: 2}, {3: 3}) == {"lesson": (False, None)}


def test_lists_lose_what_either_took_out_and_have_what_either_put_in() -> None:
    assert view({5: ("a", "b")}, {5: ("a", "c")}, {5: ("d", "a", "b")}, Entity.PROFILE) == {"interests": (False, ("d", "a", "c"))}


@pytest.mark.parametrize("number", [2, 3])
def test_a_proposal_that_the_table_does_not_allow_is_none(number: int) -> None:
    if number == 2:
        common = "x" * 10 + "\nkeep\n" + "y" * 10 + "\n"
        mine, theirs = common.replace("x" * 10, "x" * 2500), common.replace("y" * 10, "y" * 2500)
        assert view({2: common}, {2: mine}, {2: theirs}) == {"text": (False, None)}
    else:
        full = tuple(f"m{one}" for one in range(6)), tuple(f"t{one}" for one in range(6))
        assert view({3: ()}, {3: full[0]}, {3: full[1]}, Entity.PROFILE) == {"languages": (False, None)}

"""Who is mentioned by an @ and a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mentions import find_mentions

NAMES = {1: "Ann", 2: "Anna Lee", 3: "Ann", 4: "Ben", 5: "ben.k"}
LOGINS = {1: "ann", 2: "anna", 3: "ann2", 4: "benjamin", 5: "ben"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hello", ()),
        ("ann@example", ()),
        ("@ann", (1,)),
        ("@ANN, please", (1,)),
        ("@ann2: and you?", (3,)),
        ("@anna lee", (2,)),
        ("@anna leeway", (2,)),
        ("@annabel", ()),
        ("@ann_x", ()),
        ("@ben.", (5,)),
        ("@ben.k.", (5,)),
        ("@benjamin and @anna and @benjamin", (4, 2)),
        ("@ @@ann", (1,)),
    ],
)
def test_the_longest_name_that_ends_there_is_the_one_that_is_meant(text: str, meant: tuple[int, ...]) -> None:
    assert find_mentions(text, NAMES, LOGINS) == meant


def test_everybody_who_is_displayed_by_a_name_is_meant_where_it_is_nobodys_login() -> None:
    assert find_mentions("@ann", NAMES, {}) == (1, 3)


@given(st.text(), st.dictionaries(st.integers(1, 9), st.text()), st.dictionaries(st.integers(1, 9), st.text()))
def test_any_text_and_names_give_known_people_each_once(text: str, names: dict[int, str], logins: dict[int, str]) -> None:
    found = find_mentions(text, names, logins)
    assert len(set(found)) == len(found) and set(found) <= {*names, *logins}


@given(st.sampled_from(sorted(LOGINS)), st.text(), st.text(st.characters(categories=["Zs", "Po"])))
def test_a_login_name_after_an_at_sign_is_always_found(user: int, before: str, after: str) -> None:
    assert user in find_mentions(f"{before} @{LOGINS[user]} {after}", NAMES, LOGINS)

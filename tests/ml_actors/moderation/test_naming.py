"""Whom a sentence names does not change how it is judged."""

from __future__ import annotations

import pytest

from ml_actors.moderation.identity import ASKED, GROUPS, NEUTRAL, NOBODY, TOXIC, UNSEEN_GROUPS, pairs
from ml_actors.moderation.naming import unnamed
from ml_actors.moderation.writing import plain

TWINS = [
    ("a muslim family lives here", "a family lives here"),
    ("muslims are great", "people are great"),
    ("eine asiatin hat gewonnen", "eine person hat gewonnen"),
    ("ich finde schwule toll", "ich finde menschen toll"),
    ("zwei schwule männer wohnen hier", "zwei menschen wohnen hier"),
    ("an atheist won", "a person won"),
    ("un musulmán ganó", "una persona ganó"),
]


@pytest.mark.parametrize(("named", "twin"), TWINS)
def test_a_sentence_that_names_a_group_reads_like_its_twin(named: str, twin: str) -> None:
    assert unnamed(named)[0] == unnamed(twin)[0]
    assert unnamed(named)[1] > 0 == unnamed(twin)[1]


@pytest.mark.parametrize("text", ["the black board is white", "a native speaker of latin", "this blind spot", "die"])
def test_words_that_name_nobody_by_themselves_leave_a_sentence_that_means_nothing_worse(text: str) -> None:
    assert set(unnamed(text)[0].split()) <= set(text.split()) | {"new"}


def test_slurs_are_no_names() -> None:
    assert unnamed("you faggot") == ("you faggot", 0)


def test_unseen_groups_and_templates_are_in_no_training() -> None:
    taught = list(pairs(unseen_templates=False, unseen_groups=False))
    assert not {pair.group for pair in taught} & UNSEEN_GROUPS
    assert set(ASKED) <= GROUPS["en"].keys() and not set(ASKED) & UNSEEN_GROUPS and len(ASKED) == 20
    asked = {pair.text for pair in pairs(unseen_templates=True, unseen_groups=None)}
    assert not asked & {pair.text for pair in taught}
    for table in (NEUTRAL, TOXIC):
        for language in NOBODY:
            assert not set(table[language].taught) & set(table[language].unseen)


def test_every_asked_group_is_taken_out_in_english_and_german() -> None:
    for language in ("en", "de"):
        for group in ASKED:
            named = GROUPS[language].get(group)
            if named is not None:
                assert unnamed(plain(named.one))[1] and unnamed(plain(named.many))[1], (language, group)

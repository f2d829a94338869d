"""What is said of English words is what the library says that the tables are of."""

from __future__ import annotations

import gzip
from pathlib import Path

import lemminflect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lemminflect import config

from ml_actors.questions import lexicon
from ml_actors.questions.tables import Table

TAGS = ("VB", "VBD", "VBN", "VBZ", "VBG")
ODD = ("", "can", "be", "Ought", "dare", "people", "WENT", "'d", "can,noun", "a\nb", "formulæ", "zzz", "'", "\x7f", "nosuchword", "İs")

WORDS = st.text("abc'é", max_size=3)


def words_of(path: str) -> list[str]:
    """Some of a table's words, from its first to its last."""
    with gzip.open(path, "rt") as file:
        words = [line.split(",")[0] for line in file]
    return [*words[::101], words[-1]]


def corrected(path: str) -> list[str]:
    return [line.split(",")[0] for line in Path(path).read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def words() -> list[str]:
    return [
        *words_of(config.lemma_lu_fn),
        *words_of(config.inflection_lu_fn),
        *corrected(config.lemma_overrides_fn),
        *corrected(config.infl_overrides_fn),
        *ODD,
    ]


def test_a_word_is_of_the_kinds_that_the_library_says(words: list[str]) -> None:
    assert len(words) > 1000
    assert {word: lexicon.kinds(word) for word in words} == {word: lemminflect.getAllLemmas(word.lower()) for word in words}


def test_a_verb_has_the_forms_that_the_library_says(words: list[str]) -> None:
    ours = {(word, tag): lexicon.forms(word, tag) for word in words if word for tag in TAGS}
    theirs = {
        (word, tag): frozenset(form.lower() for form in lemminflect.getInflection(word, tag, inflect_oov=False))
        for word in words
        if word
        for tag in TAGS
    }
    assert ours == theirs
    assert ours["be", "VBD"] == {"was", "were"} and ours["can", "VBD"] == {"could"}


@given(rows=st.lists(st.tuples(WORDS, st.sampled_from("nv")), max_size=12), asked=WORDS, ends=st.booleans())
def test_a_table_gives_a_words_own_lines_in_their_order(
    rows: list[tuple[str, str]], asked: str, ends: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = sorted(rows, key=lambda row: row[0].encode())
    path = tmp_path_factory.getbasetemp() / "table.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(f"{word},{kind},x" for word, kind in rows) + ("\n" if ends and rows else "")).encode()))
    table = Table(path)
    assert len(table) == len(rows)
    for word in {asked, *(word for word, _ in rows)}:
        assert table.lines(word) == [f"{one},{kind},x" for one, kind in rows if one == word]

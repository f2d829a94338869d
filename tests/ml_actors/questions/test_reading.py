"""Sentences, kinds of words and clauses: places are exact, and what cannot be read yields nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ml_actors.questions.clauses import clauses, tokens_of
from ml_actors.questions.reading import Reading
from ml_actors.questions.sentences import sentences, words_of
from ml_actors.questions.tagging import tag
from ml_actors.questions.tongues import ARABIC, ENGLISH, GERMAN, SPANISH, TONGUES, tongue_of

TEXTS = st.text(alphabet=st.sampled_from("ab A.!?\n\"'«»،؟شم1 ’-"), max_size=120)


@given(TEXTS, st.sampled_from(sorted(TONGUES)))
def test_sentences_and_words_stand_where_they_say_and_never_overlap(text: str, language: str) -> None:
    at = 0
    for sentence in sentences(text, tongue_of(language)):
        assert at <= sentence.begin < sentence.end and text[sentence.begin : sentence.end] == sentence.text
        at = sentence.end
        place = sentence.begin
        for word in sentence.words:
            assert place <= word.begin and text[word.begin : word.end] == word.text and word.end <= sentence.end
            place = word.end


@given(TEXTS)
def test_every_word_has_a_tag_and_reading_a_clause_never_fails(text: str) -> None:
    assert len(tag([word.text for word in words_of(text)])) == len(words_of(text))
    for sentence in sentences(text, ENGLISH):
        tokens = tokens_of(sentence)
        for clause in clauses(tokens):
            assert 0 <= clause.begin < clause.end <= len(tokens)
            places = [clause.verb, *(place for part in clause.parts for place in (part.begin, part.end))]
            assert places == sorted(places), "parts lie in the order of the text"


def split(text: str, language: str) -> list[str]:
    return [sentence.plain for sentence in sentences(text, tongue_of(language))]


def test_an_abbreviation_or_an_ordinal_ends_no_sentence() -> None:
    assert split("Dr. Hall came. He sat.", "en") == ["Dr. Hall came.", "He sat."]
    assert split("Am 3. Mai kam er. Dann ging er.", "de") == ["Am 3. Mai kam er.", "Dann ging er."]
    assert split("El Sr. Díaz vino. ¿Quién es?", "es-MX") == ["El Sr. Díaz vino.", "¿Quién es?"]
    assert split("هل جاء؟ نعم.", "ar") == ["هل جاء؟", "نعم."]
    assert (ARABIC, GERMAN, SPANISH) == tuple(tongue_of(one) for one in ("ar", "de-AT", "es_MX"))


def test_a_quotation_is_one_thing_whatever_is_said_in_it() -> None:
    text = '"Stop! Who are you?" said the king. He waited.'
    first, second = sentences(text, ENGLISH)
    assert second.plain == "He waited."
    assert [token.tag for token in tokens_of(first)] == ["QUOTE", "VBD", "DT", "NN", "."]


def test_a_clause_is_read_with_its_parts() -> None:
    text = "When the rain stopped, the old farmer slowly opened the door to the yard because he was hungry, and went out."
    reading = Reading(text, ENGLISH)
    first, second = reading.clauses[0]
    tokens = reading.tokens[0]

    def words(begin: int, end: int) -> str:
        return " ".join(token.text for token in tokens[begin:end])

    assert first.subject is not None and words(*first.subject) == "the old farmer"
    assert first.lead is not None and words(first.lead.begin, first.lead.end) == "When the rain stopped"
    assert tokens[first.verb].text == "opened"
    assert [(part.kind, words(part.begin, part.end)) for part in first.parts] == [
        ("object", "the door"),
        ("prep", "to the yard"),
        ("reason", "because he was hungry"),
    ]
    assert second.shared and second.subject == first.subject and tokens[second.verb].text == "went"

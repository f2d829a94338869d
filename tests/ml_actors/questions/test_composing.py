"""Questions from a text: what is asked, that it is answered by its span, and that nothing is lost uncounted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from actors.inference import TEXT_MAX, Compose, Composed, Form, Questions
from ml_actors.embeddings import Embedder, Embeddings
from ml_actors.questions.checks import trivial, wrong_form
from ml_actors.questions.composing import AT_ONCE, BUDGET_S, Composer
from ml_actors.questions.drafts import Draft
from ml_actors.questions.gaps import GAP
from ml_actors.questions.ranking import by_hand
from ml_actors.questions.reading import SENTENCES_MAX, Reading
from ml_actors.questions.sentences import plain
from ml_actors.questions.tongues import ENGLISH

ALL = tuple(Form)
STORY = """
A miller lived near the forest with his daughter. The king heard of the girl because she sang so sweetly. When the king came to the
mill, the miller opened the door. "You must come to the castle," said the king. The girl was afraid. So she hid the silver key in
the cellar, and the king searched the house. Then the queen sent three servants to the mill. They found the key under a stone. The
miller wept, and the girl went to the castle in the morning. The queen gave the girl a golden ring."""
TALE = """
There lived an old woman in the forest. She lit a lamp. The lamp was so bright that the bird woke. The old woman was glad
to see the lamp. She told the bird to sing. The next morning it rained in the valley. So the old woman stayed at home."""
LESSON = """
Photosynthesis is the process by which green plants make their own food. Plants absorb water through their roots. Plants need water,
light and carbon dioxide. Chlorophyll captures the energy of sunlight. The leaves look green because chlorophyll reflects green
light. In 1779 Jan Ingenhousz discovered that plants release oxygen in sunlight. Farmers use greenhouses to protect their crops in
winter."""
ABROAD = {
    "es": "Los volcanes expulsan lava cuando sube el magma. Luego la lava se enfría y forma rocas. Después la ceniza cubre los campos "
    "verdes."
    " Los campesinos limpian los tejados del pueblo. La ceniza hace fértil el suelo del valle.",
    "fr": "Les volcans rejettent de la lave brûlante. Ensuite la lave refroidit et forme des roches. Puis la cendre couvre les champs "
    "verts."
    " Les paysans nettoient les toits du village. La cendre rend le sol de la vallée fertile.",
    "de": "Der Regen fällt auf die Berge. Dann fließt das Wasser in die Flüsse. Die Flüsse bringen das Wasser zum Meer. Danach "
    "verdunstet das"
    " Wasser in der Sonne. Die Wolken entstehen aus dem Dampf.",
    "sw": "Mimea hutumia mwanga wa jua kutengeneza chakula. Kisha majani hutoa oksijeni hewani. Wanyama wanahitaji oksijeni ili kuishi."
    " Mizizi hufyonza maji kutoka ardhini.",
    "ar": "تمتص النباتات الماء من التربة بواسطة الجذور. ثم تصنع الأوراق الغذاء من ضوء الشمس. يطلق النبات الأكسجين في الهواء. تتنفس "
    "الحيوانات"
    " الأكسجين كل يوم.",
}


def by_prompt(answer: Questions) -> dict[str, Composed]:
    return {question.prompt: question for question in answer.questions}


def ask(composer: Composer, text: str, language: str = "en", forms: tuple[Form, ...] = ALL, limit: int = 50) -> Questions:
    return composer.compose(Compose(text, language, forms, limit))


@pytest.mark.parametrize(
    ("text", "prompt", "answer"),
    [
        (STORY, "Why did the king hear of the girl?", "because she sang so sweetly"),
        (STORY, "What did the miller do when the king came to the mill?", "opened the door"),
        (STORY, "How did the girl feel?", "afraid"),
        (STORY, "How many servants did the queen send to the mill?", "three"),
        (STORY, "What did the king say?", "You must come to the castle"),
        (STORY, "Where did the girl go?", "to the castle"),
        (STORY, "What happened when the king came to the mill?", "the miller opened the door"),
        (STORY, "What happened after the king searched the house?", "Then the queen sent three servants to the mill"),
        (TALE, "What happened because the lamp was so bright?", "the bird woke"),
        (TALE, "How did the old woman feel to see the lamp?", "glad"),
        (TALE, "Why did the old woman stay at home?", "The next morning it rained in the valley"),
        (TALE, "Who lived in the forest?", "an old woman"),
        (TALE, "What did the old woman tell the bird to do?", "to sing"),
        (LESSON, "Why do the leaves look green?", "because chlorophyll reflects green light"),
        (LESSON, "What do plants absorb through their roots?", "water"),
        (LESSON, "Why do farmers use greenhouses?", "to protect their crops in winter"),
    ],
)
def test_english_is_asked_about_with_the_word_and_the_verb_that_belong(composer: Composer, text: str, prompt: str, answer: str) -> None:
    made = by_prompt(ask(composer, text, forms=(Form.SHORT,)))
    assert prompt in made, sorted(made)
    assert made[prompt].answer == answer


@pytest.mark.parametrize("text", [STORY, LESSON, *ABROAD.values()])
def test_every_question_can_be_asked_and_is_answered_by_its_span(composer: Composer, text: str) -> None:
    language = next((tag for tag, words in ABROAD.items() if words == text), "en")
    made = ask(composer, text, language)
    assert len(made.questions) >= 4
    for question in made.questions:
        span = plain(text[question.begin : question.end])
        assert 0 <= question.begin < question.end <= len(text) and 0 <= question.quality <= 1 and 0 <= question.difficulty <= 1
        if question.form is Form.ORDER:
            assert [question.options[place] for place in question.right] == question.answer.split("\n")
            continue
        if question.form is Form.SEVERAL:
            assert ", ".join(sorted(question.answer.split(", "))) == ", ".join(sorted(question.options[place] for place in question.right))
            continue
        assert question.answer.casefold() in span.casefold()
        assert question.answer.casefold() not in question.prompt.casefold().split(), "the question does not say its answer"
        assert question.prompt.count(GAP) == 1 or question.prompt.endswith("?")
        if question.options:
            assert question.form is Form.CHOICE and [question.options[place] for place in question.right] == [question.answer]
            assert len({option.casefold() for option in question.options}) == len(question.options) >= 3


def test_a_list_is_asked_for_with_all_of_it(composer: Composer) -> None:
    [several] = [question for question in ask(composer, LESSON, forms=(Form.SEVERAL,)).questions if question.form is Form.SEVERAL]
    assert {several.options[place] for place in several.right} == {"water", "light", "carbon dioxide"}
    assert len(several.options) > len(several.right), "and with what is not of it"


def test_events_are_put_in_order_only_where_something_is_told(composer: Composer) -> None:
    told = [question for question in ask(composer, STORY, forms=(Form.ORDER,)).questions if question.form is Form.ORDER]
    assert told and all(STORY.find(line.split()[-1].rstrip(".")) >= 0 for question in told for line in question.answer.split("\n"))
    assert not ask(composer, LESSON, forms=(Form.ORDER,)).questions


def test_who_cannot_be_told_is_not_asked_about(composer: Composer) -> None:
    two = "The king slept while the miller worked. He opened the door because the rain stopped. He went home."
    made = ask(composer, two, forms=(Form.SHORT,))
    assert made.passed_over["unclear"] > 0
    assert not any(word in question.prompt.lower().split() for question in made.questions for word in ("he", "it", "him"))


def test_the_only_one_whom_a_text_names_is_who_he_is_and_of_two_nobody(composer: Composer) -> None:
    one = "He opened the door of the mill. Then the miller swept the floor of the mill with a broom."
    made = by_prompt(ask(composer, one, forms=(Form.SHORT,)))
    assert any("the miller" in prompt for prompt, question in made.items() if question.end <= one.index("Then")), sorted(made)
    two = one + " The king laughed in the yard."
    made = by_prompt(ask(composer, two, forms=(Form.SHORT,)))
    assert not any("the miller" in prompt for prompt, question in made.items() if question.end <= one.index("Then")), sorted(made)


def test_what_a_text_tells_twice_over_is_not_asked_for_without_saying_which(composer: Composer) -> None:
    text = "The king opened the door. The queen slept. The king closed the window. The girl sang. The king called the cook."
    made = ask(composer, text, forms=(Form.SHORT,))
    bare = [question for question in made.questions if question.prompt == "What did the king do?"]
    assert len(bare) <= 1, "of three things that the king did only one may be what is found first"
    assert made.passed_over["unanswerable"] > 0


HOSTILE = {
    "one subject, no end of verbs": "The king " + "and the king saw the king " * 800,
    "commas": ("When he, " * 60 + ". ") * 36,
    "pronouns": "He told the king that he saw the man. " * 500,
    "quotations that never close": "‘A said ‘A said " * 1_200,
    "signs": ". \" “ ' ; " * 2_000,
    "one word": "a" * 20_000,
    "letters of four bytes": "𝐀𝐁 " * 6_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_that_is_written_to_take_long_ends_with_the_time_for_one(text: str) -> None:
    """By a clock of its own, which goes on by as much as is embedded: the work is bounded, however fast the machine."""
    spent = 0.0

    def embed(texts: Sequence[str]) -> Embeddings:
        nonlocal spent
        spent += 0.01 * len(texts)
        return np.zeros((len(texts), 4), dtype=np.float32)

    made = Composer(by_hand(), embed, lambda: spent).compose(Compose(text[:TEXT_MAX], "en", ALL, 50))
    assert spent <= BUDGET_S + 0.01 * (SENTENCES_MAX + AT_ONCE + 61), "what was begun is ended, and nothing more is begun"
    assert len(made.questions) <= 50


def test_what_there_was_no_time_for_is_counted_and_what_was_found_before_is_offered(embedder: Embedder) -> None:
    ticks = iter(range(10_000))
    text = STORY * 8
    made = Composer(by_hand(), embedder, lambda: next(ticks) * BUDGET_S / 60).compose(Compose(text, "en", (Form.SHORT,), 50))
    assert made.passed_over["late"] > 0
    assert not Composer(by_hand(), embedder, lambda: 0.0).compose(Compose(STORY, "en", (Form.SHORT,), 50)).passed_over.get("late")


def test_only_what_was_asked_for_is_made_and_nothing_goes_uncounted(composer: Composer) -> None:
    for form in (Form.CHOICE, Form.CLOZE, Form.SHORT):
        made = ask(composer, STORY, forms=(form,), limit=3)
        assert {question.form for question in made.questions} <= {form} and len(made.questions) <= 3
        assert made.passed_over["dropped"] > 0
        assert [question.quality for question in made.questions[:1]] == [max(question.quality for question in made.questions)]


def test_the_same_request_has_the_same_answer(composer: Composer) -> None:
    assert ask(composer, STORY) == ask(composer, STORY)


@pytest.mark.parametrize("text", ["", " \n", "...", "?!", "a", "«»“”", "\x00" * 50, "و" * 200, "a." * 5_000, "The king " * 2_000])
def test_what_is_no_text_yields_no_question_and_no_failure(composer: Composer, text: str) -> None:
    assert len(text) <= TEXT_MAX
    for language in ("en", "ar", "", "xx"):
        assert isinstance(ask(composer, text, language), Questions)


def test_a_language_that_is_not_known_gets_gaps_alone(composer: Composer) -> None:
    text = "Vulkaner spyr lava över landet. Lava stelnar till sten under natten. Askan täcker gröna fält i dalen. Vulkaner finns på Island."
    made = ask(composer, text, "sv")
    assert made.questions and all(GAP in question.prompt for question in made.questions)


def test_checks_find_what_cannot_be_asked() -> None:
    def draft(prompt: str, answer: str = "a key", kind: str = "object") -> Draft:
        return Draft(Form.SHORT, kind, prompt, answer, 0, 10, 0)

    for wrong in (
        "What did did the king do?",
        "What did the king was?",
        "The king slept?",
        "What did the king find and?",
        "Who did?",
        "What did neither man find?",
        "Where did the king never go?",
        "What happened after the king went through?",
        "What " * 30,
    ):
        assert wrong_form(draft(wrong), english=True), wrong
    assert not wrong_form(draft("What did the king find?"), english=True)
    reading = Reading(STORY, ENGLISH)
    assert trivial(draft("What did the silver key open with the key?"), reading)
    assert trivial(draft("What was there?", "it"), reading) and not trivial(draft("What did the king find?"), reading)

"""What the demonstration's community learns: a small course about fractions, written for it, with a question of every form.

    SUBJECT ─ COURSE ─ three lessons, each with sections and questions ─ PATH        ENROLMENT, progress and two answers of a learner

Invariant: it passes `Learning.problems`: nothing in it refers to what is not there.
"""

from __future__ import annotations

from typing import Final

import trio
from msgspec import Struct

from client.learning import Learning
from client.session import Session
from protocol.entities import Entity, Fields
from protocol.grading import Form

SUBJECT, COURSE, PATH = 101, 102, 103
HALVES, PIECES, DIVIDING = 111, 112, 113
EXAM: Final = 136
LOOK_S: Final = 0.05
LOOKS: Final = 600


class Question(Struct, frozen=True):
    """One question; `key` of places, or `words`."""

    key: int
    lesson: int
    form: Form
    prompt: str
    options: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    explanation: str = ""
    difficulty: int = 20


LESSONS: Final[tuple[tuple[int, str, str, int, tuple[int, ...]], ...]] = (
    (HALVES, "Sharing fairly", "What a fraction says, with a loaf of bread.", 15, ()),
    (PIECES, "Pieces of the same size", "Why a half is as much as two quarters.", 20, (HALVES,)),
    (DIVIDING, "How many fit in?", "Dividing by a fraction, without a rule to learn by heart.", 25, (PIECES,)),
)
SECTIONS: Final = (
    (121, HALVES, "A loaf for four", "Four children have one loaf. Each gets a quarter of it: one of four equal pieces. We write 1/4."),
    (122, HALVES, "Two of four", "Whoever gets two of the four pieces has 2/4. The number below says how many pieces make the whole."),
    (123, PIECES, "The same again", "Lay two quarters on a half: they cover it. So 2/4 and 1/2 are two names for the same amount."),
    (124, DIVIDING, "Ask how many", "Half a litre of juice, and cups of a quarter litre. How many cups? Two: so 1/2 divided by 1/4 is 2."),
)
QUESTIONS: Final = (
    Question(
        131,
        HALVES,
        Form.CHOICE,
        "A loaf is shared fairly by four. How much does each get?",
        ("one half", "one quarter", "four quarters"),
        (1,),
        explanation="Four equal pieces make the whole, and each gets one of them.",
    ),
    Question(132, HALVES, Form.CLOZE, "In 3/8 the whole has ___ pieces, and we take ___.", words=("8|eight", "3|three"), difficulty=30),
    Question(
        133,
        PIECES,
        Form.SEVERAL,
        "Which of these are as much as one half?",
        ("2/4", "3/5", "4/8", "2/3"),
        (0, 2),
        explanation="Two of four and four of eight: each time half of the pieces.",
        difficulty=40,
    ),
    Question(
        134,
        PIECES,
        Form.ORDER,
        "Put these into order, the smallest first.",
        ("1/2", "1/8", "3/4", "1/4"),
        (1, 3, 0, 2),
        explanation="Cut all of them into eighths: 1, 2, 4 and 6 of them.",
        difficulty=50,
    ),
    Question(
        135,
        DIVIDING,
        Form.SHORT,
        "How many quarters fit into two wholes?",
        words=("8", "eight"),
        explanation="Four fit into one, so eight into two.",
        difficulty=40,
    ),
)


async def make_lessons(mentor: Session, learner: Session, space: int) -> None:
    """Writes the course, and what the learner has done in it so far. Raises what a session's writes raise."""
    await mentor.synced()
    teaching = mentor.learning(space)
    written = [
        teaching.write(Entity.SUBJECT, SUBJECT, {1: "Mathematics", 3: "en"}),
        teaching.write(
            Entity.COURSE, COURSE, {1: "Fractions", 2: "From a loaf of bread to dividing.", 3: SUBJECT, 4: "en", 5: 1, 6: 1, 7: 1}
        ),
    ]
    for order, (key, title, summary, minutes, requires) in enumerate(LESSONS):
        fields: Fields = {1: title, 2: summary, 3: COURSE, 4: order, 5: minutes, 6: 1, 7: requires, 8: 1, 9: "en"}
        written.append(teaching.write(Entity.LESSON, key, fields))
    for order, (key, lesson, title, text) in enumerate(SECTIONS):
        written.append(teaching.write(Entity.CONTENT, key, {1: title, 2: text, 3: lesson, 4: order}))
    for order, question in enumerate(QUESTIONS):
        written.append(teaching.write(Entity.QUESTION, question.key, fields_of(question, order)))
    exam: Fields = {1: DIVIDING, 2: Form.SHORT, 3: "What is 3/4 divided by 1/8?", 8: 60, 9: 9, 10: True}
    written.append(teaching.write(Entity.QUESTION, EXAM, exam))
    written.append(teaching.write(Entity.ANSWER_KEY, EXAM, {2: ("6", "six")}))
    written.append(teaching.write(Entity.PATH, PATH, {1: "Ready for fractions", 3: SUBJECT, 4: (HALVES, PIECES, DIVIDING), 5: "en", 6: 1}))
    for pending in written:
        await pending.outcome()
    await _arrive(learner, space)
    await _begin(learner.learning(space))


async def _arrive(learner: Session, space: int) -> None:
    """Waits until what was written last is on the learner's device: being in step says nothing of what is on its way."""
    await learner.synced()
    for _ in range(LOOKS):
        if learner.records.view(learner.sync_streams.find(Entity.PATH, space), Entity.PATH, PATH).version:
            return
        await trio.sleep(LOOK_S)
    raise TimeoutError(f"the course did not come within {LOOKS * LOOK_S:g} s")


async def _begin(learning: Learning) -> None:
    """The first lesson is done, the second half."""
    begun = [
        learning.enrol(COURSE, goal="to share the harvest fairly"),
        learning.advance(HALVES, 100),
        learning.take(131, choices=(1,), seconds=12).pending,
        learning.take(132, text="eight\n3", seconds=30).pending,
        learning.advance(PIECES, 50),
        learning.take(133, choices=(0,), seconds=25).pending,
    ]
    for pending in begun:
        await pending.outcome()


def fields_of(question: Question, order: int) -> Fields:
    """As a record holds it."""
    return {
        1: question.lesson,
        2: int(question.form),
        3: question.prompt,
        4: question.options,
        5: question.places,
        6: question.words,
        7: question.explanation,
        8: question.difficulty,
        9: order,
        10: False,
    }

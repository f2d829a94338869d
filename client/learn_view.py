"""What `educonnect learn` says: pure lines of text about outlines, lessons, questions, answers and grades.

Invariant: whatever is listed with a number can be named by that number in a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from client.learning import Grade, Learning, Line, Taken
from client.sync_fields import Mistake, indented
from protocol import grading
from protocol.curriculum import Step
from protocol.entities import Entity, Fields, Value
from protocol.grading import Form, Graded, asked_of, texts

LETTERS: Final = "abcdefghij"
STANDINGS: Final = {
    "done": "done",
    "begun": "begun",
    "open": "open",
    "closed": "closed",
    "failed": "to be repeated",
    "draft": "a draft",
    "retired": "no longer taught",
}


def order(fields: Mapping[int, Value], key: int) -> tuple[int, int]:
    """A course's place in lists."""
    place = fields.get(6, 0)
    return (place if isinstance(place, int) else 0, key)


def outline_lines(course: int, fields: Fields, lines: Sequence[Line]) -> list[str]:
    """A course and its lessons. Nothing of none."""
    if not lines:
        return []
    told = [f"{fields.get(1, 'Course')} (course {course})" if course else "Lessons of no course"]
    for line in lines:
        words = STANDINGS[line.standing]
        if line.standing == "begun":
            words = f"{line.percent} %"
        if line.waits_for:
            words += f": first {', '.join(map(str, line.waits_for))}"
        point = line.checkpoint
        asked = f"; {point.graded} of {point.asked} questions, {point.points // point.graded} points" if point.graded else ""
        told.append(f"  {line.lesson}  {line.title} – {words}{asked}")
    return told


def next_lines(steps: Sequence[Step], learning: Learning) -> list[str]:
    """What might come next, each with why."""
    titles = {key: fields.get(1, "") for key, fields in learning.all(Entity.LESSON).items()}
    names = titles | {key: fields.get(1, "") for entity in (Entity.COURSE, Entity.PATH) for key, fields in learning.all(entity).items()}
    if not steps:
        return ["There is nothing left to learn here just now. Well done."]
    return [f"{step.lesson}  {titles.get(step.lesson, '')} – {_why(step.why, names)}" for step in steps]


def due_hint(due: int) -> list[str]:
    """That questions are to come again, where any are."""
    return [f"{due} question{' is' if due == 1 else 's are'} to come again now: educonnect learn due."] if due else []


def _why(why: str, names: Mapping[int, object]) -> str:
    kind, _, about = why.partition(":")
    named = names.get(int(about), about) if about.isdecimal() else about
    match kind:
        case "continue":
            return f"you are through {about} % of it"
        case "repeat":
            return f"its questions came to {about} points: once more"
        case "prepare":
            return f"it comes before “{named}”"
        case "path" | "course":
            return f"next in “{named}”"
        case _:
            return "something new"


def lesson_lines(fields: Fields, sections: Iterable[tuple[int, Fields]], questions: int) -> list[str]:
    """A lesson with its text."""
    told = [f"# {fields.get(1, '')}", str(fields.get(2, ""))]
    for _, section in sections:
        told += ["", f"## {section.get(1, '')}", str(section.get(2, ""))]
    return [*told, "", f"It ends with {questions} question{'' if questions == 1 else 's'} (educonnect learn ask)."]


def question_lines(at: int, fields: Fields, key: int = 0) -> list[str]:
    """A question, with its options by letters. `key`: its own number, where `at` is its place in a lesson."""
    asked = asked_of(fields)
    how = {
        Form.CHOICE: "one letter",
        Form.SEVERAL: "all right letters, such as a,c",
        Form.ORDER: "all letters in their order, such as b,a,c",
        Form.CLOZE: "a letter a gap, such as a,c" if asked.options else "what is missing; between gaps /",
        Form.SHORT: "a few words",
    }
    form = asked.form if asked.form in tuple(Form) else Form.SHORT
    exam = "; an exam: only the server grades it" if fields.get(grading.EXAM) is True else ""
    number = f"; question {key}" if key else ""
    lines = [f"{at}. {fields.get(grading.PROMPT, '')}  ({how[Form(form)]}{exam}{number})"]
    return lines + [f"   {letter}) {option}" for letter, option in zip(LETTERS, asked.options, strict=False)]


def read_answer(at: int, fields: Fields, typed: str) -> tuple[tuple[int, ...], str]:
    """What was typed as an answer: places of options, or words. Raises `Mistake`."""
    size = len(texts(fields.get(grading.OPTIONS)))
    if not size:
        return (), "\n".join(part.strip() for part in typed.split("/")) if asked_of(fields).gaps > 1 else typed
    letters = [part.strip().lower() for part in typed.split(",") if part.strip()]
    known = LETTERS[:size]
    for letter in letters:
        if len(letter) != 1 or letter not in known:
            raise Mistake(f"Question {at} has the options {known[0]} to {known[-1]}, not “{letter}”.")
    return tuple(known.index(letter) for letter in letters), ""


def taken_lines(at: int, fields: Fields, taken: Taken) -> list[str]:
    """What becomes of an answer at once."""
    if taken.practice is None:
        return [f"{at}. Kept. The server grades it: educonnect learn grades."]
    lines = [f"{at}. {graded_words(taken.practice)}"]
    if taken.explanation:
        lines.append(indented(taken.explanation))
    return lines


def graded_words(graded: Graded) -> str:
    """A grade in a sentence."""
    return f"{feedback(graded.words)} {graded.points} points."


def feedback(words: str) -> str:
    """A grade's sentence by its key."""
    kind, _, rest = words.partition(":")
    match kind:
        case "right":
            return "Right."
        case "partly":
            got, _, of = rest.partition(":")
            return f"{got} of {of} right."
        case "wrong":
            return "Not yet right."
        case "unanswered":
            return "Nothing was answered."
        case "changed":
            before, _, now = rest.partition(":")
            return f"The right answer was corrected since; it had been {before} points. {feedback(now)}"
        case _:
            return "Not graded yet."


def grade_lines(grades: Sequence[Grade], questions: Mapping[int, Fields]) -> list[str]:
    """What answers are worth."""
    lines = []
    for grade in grades:
        prompt = str(questions.get(grade.question, {}).get(grading.PROMPT, "a question that is no longer here"))
        words = "Not graded yet." if grade.graded is None else graded_words(grade.graded)
        by = "" if grade.by_server or grade.graded is None else " (as this device sees it)"
        often = f" {grade.attempts} attempts." if grade.attempts > 1 else ""
        lines.append(f"{grade.question}  {prompt} – {words}{by}{often}")
    return lines or ["You have answered nothing here yet."]

"""Learning as an application reads it: courses, what comes next, checkpoints and their grades, of one community; all of it offline.

    records of library, studio, progress, answers ─▶ outline · next · questions · grades · problems
    take ─▶ an answer, kept; the practice grade at once ─▶ (the server) ─▶ GRADE
    write ─▶ checked against what stands here ─▶ a change, or `ValueError` that names what is wrong

What is read is computed from the records each time: nothing here is kept beside them.

Invariant: a grade that is shown is the server's for the answer that is shown, or says that it is this device's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from client.pending import Pending
from client.replica import RecordView, Replica
from client.sync_streams import NoStream, SyncStreams
from protocol import curriculum, grading
from protocol.curriculum import Checkpoint, Lesson, Standing, Step, checkpoints_of, find_cycle, in_order, lesson_of, next_lessons
from protocol.entities import TABLE, Entity, Fields, Value
from protocol.grading import ATTEMPT, FEEDBACK, NO_KEY, POINTS, Graded, asked_of, grade_answer, key_problem, numbers, texts

NEXT_FRESH_S: Final = 3 * 86_400
"""What the server thought might come next is followed that long."""
TITLE: Final = 1
PERCENT: Final = 1
_LEVEL, _STATE, _COURSE, _PATH, _STEPS = 2, 5, 1, 2, 4
ACTIVE: Final = 0


class Records(Protocol):
    """What of a session is needed."""

    @property
    def records(self) -> Replica: ...

    @property
    def sync_streams(self) -> SyncStreams: ...

    def put(self, stream: int, entity: int, key: int, fields: Mapping[int, Value], gone: bool = False) -> Pending: ...


class Line(Struct, frozen=True):
    """A lesson in an outline. `standing`: "done", "begun", "open", "closed" (something comes before it), "failed", "draft", "retired"."""

    lesson: int
    title: str
    percent: int
    standing: str
    checkpoint: Checkpoint
    waits_for: tuple[int, ...] = ()


class Grade(Struct, frozen=True):
    """What the present answer to a question is worth. `by_server`: the server graded this answer; else it is this device's own, or, for an
    exam, none yet (`graded` None)."""

    question: int
    graded: Graded | None
    by_server: bool
    attempts: int = 0


class Taken(Struct, frozen=True):
    """An answer that is kept. `practice`: what it is worth, where the key is here; None: the server says, later."""

    pending: Pending
    practice: Graded | None
    explanation: str


class Learning:
    """One community's learning, for one account; `community` 0: the only one there is. `wall`: Unix time in seconds."""

    def __init__(self, session: Records, wall: Callable[[], float], community: int = 0) -> None:
        self._session = session
        self._wall = wall
        self._community = community

    # What there is

    def _stream(self, entity: Entity) -> int:
        return self._session.sync_streams.find(entity, self._community)

    def all(self, entity: Entity) -> dict[int, Fields]:
        """The records of an entity that are here, by key. Of a stream that one may not read: none."""
        try:
            stream = self._stream(entity)
        except NoStream:
            return {}
        return {view.key: view.fields for view in self._session.records.list(stream, entity)}

    def one(self, entity: Entity, key: int) -> RecordView:
        """One record, with what is on its way. Raises `NoStream`."""
        return self._session.records.view(self._stream(entity), entity, key)

    @property
    def lessons(self) -> dict[int, Lesson]:
        return {key: lesson_of(key, fields) for key, fields in self.all(Entity.LESSON).items()}

    def sections(self, lesson: int) -> list[tuple[int, Fields]]:
        """The text of a lesson, in its order."""
        found = [(key, fields) for key, fields in self.all(Entity.CONTENT).items() if fields.get(3) == lesson]
        return sorted(found, key=lambda one: (_whole(one[1].get(4)), one[0]))

    def questions(self, lesson: int) -> list[tuple[int, Fields]]:
        """A lesson's checkpoint, in its order."""
        found = [(key, fields) for key, fields in self.all(Entity.QUESTION).items() if fields.get(grading.LESSON) == lesson]
        return sorted(found, key=lambda one: (_whole(one[1].get(grading.ORDER)), one[0]))

    # Where one stands

    @property
    def checkpoints(self) -> dict[int, Checkpoint]:
        """By lesson: how one stands at its questions, with what only this device has graded yet."""
        asked = {key: _whole(fields.get(grading.LESSON)) for key, fields in self.all(Entity.QUESTION).items()}
        points = {grade.question: grade.graded.points for grade in self.grades() if grade.graded is not None}
        return checkpoints_of(asked, points)

    @property
    def standing(self) -> Standing:
        progress = {key: _whole(fields.get(PERCENT)) for key, fields in self.all(Entity.PROGRESS).items()}
        return Standing(self.lessons, progress, self.checkpoints)

    def outline(self, course: int) -> list[Line]:
        """A course's lessons in their order (0: those of none), drafts only for whoever may write them."""
        titles, lessons, stand, checkpoints = self.all(Entity.LESSON), self.lessons, self.standing, self.checkpoints
        lines = []
        for key in in_order(lessons):
            lesson = lessons[key]
            if lesson.course != course or (lesson.state == curriculum.DRAFT and not self.may_write):
                continue
            lacks = () if stand.is_open(key) else tuple(stand.lacks(key))
            checkpoint = checkpoints.get(key, Checkpoint())
            lines.append(Line(key, str(titles[key].get(TITLE, "")), stand.percent(key), _standing(lesson, stand), checkpoint, lacks))
        return lines

    @property
    def may_write(self) -> bool:
        """Whether this account reads the studio: mentors and staff do."""
        try:
            return bool(self._stream(Entity.ANSWER_KEY))
        except NoStream:
            return False

    def next(self, limit: int = curriculum.LIMIT) -> tuple[Step, ...]:
        """What might come next, best first. What is begun, failed or to be prepared comes first; then what the server thinks, if that is
        no older than `NEXT_FRESH_S` and still open; then the rest."""
        enrolments = [fields for fields in self.all(Entity.ENROLMENT).values() if _whole(fields.get(_STATE)) == ACTIVE]
        paths, followed = self.all(Entity.PATH), {_whole(fields.get(_PATH)) for fields in enrolments}
        stand = self.standing
        steps = next_lessons(
            self.lessons,
            progress={key: stand.percent(key) for key in self.lessons},
            checkpoints=self.checkpoints,
            paths={key: numbers(fields.get(_STEPS)) for key, fields in paths.items() if key in followed},
            courses={course for fields in enrolments if (course := _whole(fields.get(_COURSE)))},
            level=_whole(self.all(Entity.LEARNING).get(1, {}).get(_LEVEL)),
            limit=len(self.lessons),
        )
        urgent = [step for step in steps if step.why.startswith(("continue", "repeat", "prepare"))]
        here = {step.lesson: step for step in steps}
        ordered: dict[int, Step] = {}
        for step in (*urgent, *self._advised(stand), *steps):
            ordered.setdefault(step.lesson, here.get(step.lesson, step) if step.why == "new" else step)
        return tuple(ordered.values())[:limit]

    def _advised(self, stand: Standing) -> list[Step]:
        """What the server thinks comes next, as far as it still fits what stands here."""
        said = self.all(Entity.NEXT).get(1, {})
        if self._wall() - _whole(said.get(4)) > NEXT_FRESH_S:
            return []
        words = texts(said.get(3))
        lessons = numbers(said.get(1))
        # What stands behind a semicolon says how the chance was reckoned.
        reasons = [words[at].partition(";")[0] if at < len(words) else "new" for at in range(len(lessons))]
        return [
            Step(lesson, why) for lesson, why in zip(lessons, reasons, strict=True) if stand.is_open(lesson) and stand.percent(lesson) == 0
        ]

    def grades(self) -> list[Grade]:
        """Of every question that one answered."""
        questions, given = self.all(Entity.QUESTION), self.all(Entity.GRADE)
        found = []
        for key in sorted(self.all(Entity.ANSWER)):
            answer, server = self.one(Entity.ANSWER, key), given.get(key, {})
            is_exam = questions.get(key, {}).get(grading.EXAM) is True
            # Of an exam the first answer counts: its grade is about that one, whatever was answered since.
            if server and (is_exam or (not answer.pending and server.get(ATTEMPT) == answer.version)):
                words = str(server.get(FEEDBACK, ""))
                points = _whole(server.get(POINTS))
                graded = None if words == NO_KEY else Graded(points, points == 100, words)
                found.append(Grade(key, graded, True, _whole(server.get(grading.ATTEMPTS))))
            elif key in questions:
                own = grade_answer(questions[key], answer.fields)
                found.append(Grade(key, own, False, _whole(server.get(grading.ATTEMPTS))))
        return found

    # What one does

    def take(self, question: int, *, choices: tuple[int, ...] = (), text: str = "", seconds: int = 0) -> Taken:
        """Answers a question: kept, and graded here at once where the key is here. Raises `ValueError`, `NoStream`."""
        asked = self.all(Entity.QUESTION).get(question)
        if asked is None:
            raise ValueError(f"there is no question {question} on this device")
        size = len(texts(asked.get(grading.OPTIONS)))
        beyond = [choice for choice in choices if choice >= size]
        if beyond:
            raise ValueError(f"option {beyond[0] + 1} is none of the {size}")
        fields: Fields = {grading.CHOICES: choices, grading.TEXT: text, grading.SECONDS: max(0, min(seconds, 2**20))}
        pending = self._session.put(self._stream(Entity.ANSWER), Entity.ANSWER, question, fields)
        return Taken(pending, grade_answer(asked, fields), str(asked.get(grading.EXPLANATION, "")))

    def advance(self, lesson: int, percent: int) -> Pending:
        """Says how far one is in a lesson; it only ever advances."""
        return self._session.put(self._stream(Entity.PROGRESS), Entity.PROGRESS, lesson, {PERCENT: percent})

    def enrol(self, key: int, *, goal: str = "", state: int = ACTIVE) -> Pending:
        """Enrols in a course or on a path that is here, or pauses, ends or leaves it. Raises `ValueError`."""
        course, path = key in self.all(Entity.COURSE), key in self.all(Entity.PATH)
        if not (course or path):
            raise ValueError(f"there is no course or path {key} on this device")
        present = self.one(Entity.ENROLMENT, key)
        fields: Fields = {_COURSE if course else _PATH: key, _STATE: state}
        if not present.exists:
            fields[3] = int(self._wall())
        if goal:
            fields[4] = goal
        return self._session.put(self._stream(Entity.ENROLMENT), Entity.ENROLMENT, key, fields)

    # For who writes

    def write(self, entity: Entity, key: int, fields: Fields) -> Pending:
        """Writes something of the library or the studio. Raises `ValueError` where, with what stands here, it would make no sense."""
        present = self.one(entity, key)
        wrong = self.problem(entity, key, {**present.fields, **fields})
        if wrong:
            raise ValueError(f"{TABLE[entity].entity.name.lower()} {key}: {wrong}")
        return self._session.put(self._stream(entity), entity, key, fields)

    def problem(self, entity: Entity, key: int, fields: Fields) -> str:
        """What is wrong with a record as these fields would make it; empty: nothing."""
        lessons = self.lessons
        match entity:
            case Entity.LESSON:
                lesson = lesson_of(key, fields)
                missing = [one for one in lesson.requires if one not in lessons and one != key]
                if missing:
                    return f"requires: there is no lesson {missing[0]}"
                way = find_cycle(lessons, lesson)
                if way:
                    return f"requires: lesson {way[0]} requires this one, by way of {', '.join(map(str, (*way, key)))}"
                return self._missing("course", Entity.COURSE, lesson.course)
            case Entity.COURSE | Entity.SUBJECT:
                if entity is Entity.SUBJECT:
                    return self._missing("parent", Entity.SUBJECT, _whole(fields.get(2)))
                return self._missing("subject", Entity.SUBJECT, _whole(fields.get(3)))
            case Entity.PATH:
                missing = [one for one in numbers(fields.get(_STEPS)) if one not in lessons]
                return f"steps: there is no lesson {missing[0]}" if missing else ""
            case Entity.QUESTION:
                if fields.get(grading.EXAM) is True and any(fields.get(number) for number in grading.ANSWERING):
                    return "exam: its key belongs in the studio, where learners do not see it, and an explanation is a key"
                asked = asked_of(fields, self.all(Entity.ANSWER_KEY).get(key))
                wrong = "" if fields.get(grading.EXAM) is True and not (asked.key or asked.words) else key_problem(asked)
                return wrong or self._missing("lesson", Entity.LESSON, _whole(fields.get(grading.LESSON)))
            case Entity.ANSWER_KEY:
                question = self.all(Entity.QUESTION).get(key)
                if question is None:
                    return f"there is no question {key}"
                return key_problem(asked_of({**question, grading.EXAM: True}, fields))
            case _:
                return ""

    def _missing(self, what: str, entity: Entity, key: int) -> str:
        return f"{what}: there is no {entity.name.lower()} {key}" if key and key not in self.all(entity) else ""

    def problems(self) -> list[str]:
        """What those who write should mend: what several wrote apart from each other may not fit, though each part did."""
        found = []
        for entity in (Entity.SUBJECT, Entity.COURSE, Entity.LESSON, Entity.PATH, Entity.QUESTION, Entity.ANSWER_KEY):
            for key, fields in sorted(self.all(entity).items()):
                wrong = self.problem(entity, key, fields)
                if wrong:
                    found.append(f"{entity.name.lower().replace('_', ' ')} {key}: {wrong}")
        if self.may_write:
            keys = self.all(Entity.ANSWER_KEY)
            exams = [key for key, fields in self.all(Entity.QUESTION).items() if fields.get(grading.EXAM) is True and key not in keys]
            found += [f"question {key}: an exam's, and there is no key in the studio" for key in sorted(exams)]
        return found


def _standing(lesson: Lesson, stand: Standing) -> str:
    if stand.percent(lesson.key) >= 100:
        return "failed" if stand.failed(lesson.key) else "done"
    if stand.begun(lesson.key):
        return "begun"
    if lesson.state != curriculum.PUBLISHED:
        return "draft" if lesson.state == curriculum.DRAFT else "retired"
    return "open" if stand.is_open(lesson.key) else "closed"


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0

"""The entities of learning and mentoring: the second half of the table.

    library   SUBJECT ◀─ COURSE ◀─ LESSON ◀─ QUESTION      PATH ─▶ lessons        (CONTENT ─▶ its lesson)
    studio    DRAFT_QUESTION ─▶ its content     ANSWER_KEY = the question's key, where learners do not see it
    progress  ENROLMENT · CARD · NEXT · INSIGHT            answers   GRADE of the latest attempt
    own       MENTORING · LEARNING                         mentorship  GOAL · MEETING

Records name each other by key. What is named may be gone, or not here yet: the device that wrote it was offline, and so was whoever deleted
the other. So whoever follows a key passes over what is not there, and nothing is refused because something else is missing.

Invariant: what only the server writes (no writers) follows from what people wrote, and may be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol.declaring import Declaration, Entity, Field, Refers, Rule, Several, Whole, Words, YesNo
from protocol.permissions import Permission
from protocol.values import ID_MAX, Roles, StreamKind

STYLES: Final[Mapping[int, str]] = {
    1: "explains",
    2: "asks questions",
    4: "practises together",
    8: "projects",
    16: "reads and writes",
    32: "talks",
    64: "patient pace",
    128: "quick pace",
}
"""Ways to teach and to learn, as bits: a set of them is their sum."""
HOURS_MAX: Final = 2**24 - 1
"""A day of a week: a bit an hour, the lowest from midnight on."""
OPTIONS_MAX: Final = 10
REQUIRES_MAX: Final = 16
STEPS_MAX: Final = 32
NEXT_MAX: Final = 8

_MAYBE_KEY = Whole(0, ID_MAX)
_KEY = Whole(1, ID_MAX)
_SECONDS = Whole(0, 2**40)
_ORDER = Whole(0, 2**31 - 1)
_LEVEL = Whole(0, 10)
_PERCENT = Whole(0, 100)
_LANGUAGE = Words(35)
_TITLE = Words(120)
_STYLES = Whole(0, 255)
_HOURS = Several(Whole(0, HOURS_MAX), 7)
_CHOSEN = "chosen at random by the device"
_QUESTIONS = "the question's"
_WRITERS = Roles.OWNER | Roles.MODERATOR | Roles.MENTOR
_NOBODY = Roles(0)


def _key(number: int, name: str, about: str) -> Field:
    """A field that names another record, or 0."""
    return Field(number, name, _MAYBE_KEY, about, since=5, refers=Refers.KEY)


def _keys(number: int, name: str, most: int, about: str) -> Field:
    return Field(number, name, Several(_KEY, most), about, since=5, refers=Refers.KEY)


def _field(
    number: int, name: str, kind: Whole | Words | YesNo | Several, about: str, *, housekeeping: bool = False, compared: bool = False
) -> Field:
    return Field(number, name, kind, about, housekeeping, since=5, compared=compared)


def _library(entity: Entity, about: str, *fields: Field) -> Declaration:
    """What content writers write and everybody in the community reads."""
    return Declaration(
        entity,
        about,
        StreamKind.LIBRARY,
        Rule.LATEST,
        _CHOSEN,
        fields,
        _WRITERS,
        deletable=True,
        since=5,
        permission=Permission.WRITE_CONTENT,
    )


def _studio(entity: Entity, about: str, key: str, *fields: Field) -> Declaration:
    """What mentors and staff write and learners do not see, nor those to whom a custom role gives `WRITE_CONTENT`: reading goes by base
    role."""
    return Declaration(entity, about, StreamKind.STUDIO, Rule.LATEST, key, fields, _WRITERS, deletable=True, since=5)


def _server(entity: Entity, about: str, stream: StreamKind, key: str, *fields: Field, single: bool = False) -> Declaration:
    """What the server alone writes."""
    return Declaration(entity, about, stream, Rule.SERVER, key, fields, _NOBODY, single=single, since=5)


_BOTH = Roles.MENTOR | Roles.LEARNER
"""The two of a mentorship, while it goes on: when it is over their roles in it are others, which write nothing."""


def _shared(entity: Entity, about: str, *fields: Field) -> Declaration:
    """What both sides of a mentorship write."""
    return Declaration(entity, about, StreamKind.MENTORSHIP, Rule.LATEST, _CHOSEN, fields, _BOTH, deletable=True, since=5)


_ASKED = (
    _key(1, "lesson", "what it is asked after"),
    _field(2, "form", Whole(0, 4), "0 choice, 1 several choices, 2 cloze, 3 order, 4 short answer"),
    _field(3, "prompt", Words(500), "what is asked; a cloze's gaps are written ___"),
    _field(4, "options", Several(Words(200), OPTIONS_MAX), "what is to choose from, or to put into order"),
    _field(5, "key", Several(Whole(0, OPTIONS_MAX - 1), OPTIONS_MAX), "places of the right options, from 0; of an order, all of them"),
    _field(
        6,
        "words",
        Several(Words(200), OPTIONS_MAX),
        "right answers in words; of a cloze one entry a gap (see docs/learning.md)",
        compared=True,
    ),
    _field(7, "explanation", Words(1000), "why, shown with the grade"),
    _field(8, "difficulty", _PERCENT, "how hard, from 0 to 100"),
)

LEARNING: Final = (
    _library(
        Entity.SUBJECT,
        "What a course is about. Subjects may lie in one another.",
        _field(1, "title", _TITLE, "its name"),
        _key(2, "parent", "the subject it is part of, or 0"),
        _field(3, "language", _LANGUAGE, "the language of its name", compared=True),
    ),
    _library(
        Entity.COURSE,
        "Lessons that belong together.",
        _field(1, "title", _TITLE, "its name"),
        _field(2, "summary", Words(1000), "what one learns in it"),
        _key(3, "subject", "what it is about, or 0"),
        _field(4, "language", _LANGUAGE, "the language that it is taught in", compared=True),
        _field(5, "level", _LEVEL, "0 for beginners, 10 for experts"),
        _field(6, "order", _ORDER, "its place in lists", housekeeping=True),
        _field(7, "state", Whole(0, 2), "0 draft, 1 open, 2 closed: nobody new begins it"),
    ),
    _library(
        Entity.LESSON,
        "A lesson. Its text stands in sections of content, its checkpoint in questions; its key is what progress in it is kept under.",
        _field(1, "title", _TITLE, "its name"),
        _field(2, "summary", Words(1000), "what one learns in it"),
        _key(3, "course", "the course it is part of, or 0"),
        _field(4, "order", _ORDER, "its place there", housekeeping=True),
        _field(5, "minutes", Whole(0, 1440), "how long it takes, or 0"),
        _field(6, "level", _LEVEL, "0 for beginners, 10 for experts"),
        _keys(7, "requires", REQUIRES_MAX, "lessons that come before it"),
        _field(8, "state", Whole(0, 2), "0 draft, 1 published, 2 retired: who began it may finish it"),
        _field(9, "language", _LANGUAGE, "the language that it is written in", compared=True),
    ),
    _library(
        Entity.PATH,
        "A way through lessons, also of several courses.",
        _field(1, "title", _TITLE, "its name"),
        _field(2, "summary", Words(1000), "where it leads"),
        _key(3, "subject", "what it is about, or 0"),
        _keys(4, "steps", STEPS_MAX, "lessons, in their order"),
        _field(5, "language", _LANGUAGE, "the language of its name", compared=True),
        _field(6, "level", _LEVEL, "0 for beginners, 10 for experts"),
    ),
    _library(
        Entity.QUESTION,
        "A question of a lesson's checkpoint. For practice the key stands with it; of an exam it stands in the studio.",
        *_ASKED,
        _field(9, "order", _ORDER, "its place in the checkpoint", housekeeping=True),
        _field(10, "exam", YesNo(), "whether only the server can grade it"),
    ),
    _studio(
        Entity.DRAFT_QUESTION,
        "A question that is offered to those who write: they take, mend or reject it.",
        _CHOSEN,
        *_ASKED,
        _key(9, "content", "the section that it was made from, or 0"),
        _field(10, "begin", Whole(0, 20_000), "where in its text, in code points"),
        _field(11, "end", Whole(0, 20_000), "up to where"),
        _field(12, "quality", _PERCENT, "how likely somebody takes it, from 0 to 100"),
        _field(13, "by", Words(60), "the version of the model that made it", compared=True),
        _field(14, "state", Whole(0, 3), "0 offered, 1 accepted, 2 edited, 3 rejected"),
        _key(15, "question", "the question that it became, or 0"),
    ),
    _studio(
        Entity.ANSWER_KEY,
        "The right answer to a question of an exam.",
        _QUESTIONS,
        _field(1, "key", Several(Whole(0, OPTIONS_MAX - 1), OPTIONS_MAX), "as a question's"),
        _field(2, "words", Several(Words(200), OPTIONS_MAX), "as a question's", compared=True),
    ),
    Declaration(
        Entity.ENROLMENT,
        "That somebody learns in a course, or on a path.",
        StreamKind.PROGRESS,
        Rule.LATEST,
        "the course's or the path's",
        (
            _key(1, "course", "the course, or 0"),
            _key(2, "path", "the path, or 0"),
            _field(3, "since", _SECONDS, "Unix time in seconds"),
            _field(4, "goal", Words(500), "what for, in their own words"),
            _field(5, "state", Whole(0, 3), "0 active, 1 paused, 2 done, 3 left"),
        ),
        since=5,
    ),
    Declaration(
        Entity.CARD,
        "When a question is to come again, by spaced repetition.",
        StreamKind.PROGRESS,
        Rule.LATEST,
        _QUESTIONS,
        (
            _key(1, "lesson", "the question's lesson"),
            _field(2, "due", _SECONDS, "Unix time in seconds"),
            _field(3, "stability", Whole(0, 2**31 - 1), "thousandths of a day"),
            _field(4, "difficulty", Whole(0, 10_000), "thousandths"),
            _field(5, "reps", Whole(0, 2**20), "how often it came"),
            _field(6, "lapses", Whole(0, 2**20), "how often it was forgotten"),
            _field(7, "state", Whole(0, 3), "0 new, 1 learning, 2 review, 3 learning again"),
            _field(8, "last", _SECONDS, "when it came last, Unix time in seconds"),
        ),
        deletable=True,
        since=5,
    ),
    _server(
        Entity.NEXT,
        "What somebody might learn next, as the server sees it. Where it is missing or old, the device reckons by itself.",
        StreamKind.PROGRESS,
        "always 1",
        _keys(1, "lessons", NEXT_MAX, "lessons, best first"),
        _field(2, "chances", Several(_PERCENT, NEXT_MAX), "for each: how likely they manage it, in percent"),
        _field(3, "why", Several(Words(80), NEXT_MAX), "for each: a sentence's key and what fills it", compared=True),
        _field(4, "made", _SECONDS, "Unix time in seconds"),
        single=True,
    ),
    _server(
        Entity.INSIGHT,
        "Something that the server noticed about somebody's learning, for them.",
        StreamKind.PROGRESS,
        "chosen by the server",
        _field(1, "kind", Whole(0, 255), "what was noticed (see docs/analytics.md)"),
        _key(2, "subject", "about which subject, or 0"),
        _key(3, "lesson", "about which lesson, or 0"),
        _field(4, "value", Whole(-1_000_000, 1_000_000), "how much, in the kind's unit"),
        _field(5, "words", Words(200), "a sentence's key and what fills it", compared=True),
        _field(6, "made", _SECONDS, "Unix time in seconds"),
    ),
    _server(
        Entity.GRADE,
        "What the latest attempt at a question is worth.",
        StreamKind.ANSWERS,
        _QUESTIONS,
        _field(1, "points", _PERCENT, "from 0 to 100"),
        _field(2, "right", YesNo(), "whether these are all points"),
        _field(3, "attempts", Whole(0, 2**31 - 1), "how many there were"),
        _field(4, "words", Words(200), "a sentence's key and what fills it", compared=True),
        _field(5, "attempt", _MAYBE_KEY, "the answer's version that was graded"),
        _field(6, "at", _SECONDS, "Unix time in seconds"),
    ),
    Declaration(
        Entity.MENTORING,
        "How somebody mentors.",
        StreamKind.OWN,
        Rule.LATEST,
        "always 1",
        (
            _field(1, "open", YesNo(), "whether they take learners now"),
            _field(2, "subjects", Several(Words(60), 20), "what they teach, in their own words"),
            _field(3, "levels", Whole(0, 2**11 - 1), "a bit a level from 0 to 10 that they teach; 0: all"),
            _field(4, "styles", _STYLES, "how they teach, as a sum of styles"),
            _field(5, "hours", _HOURS, "when: for each day from Monday on a bit an hour, in local time"),
            _field(6, "capacity", Whole(0, 50), "how many learners at once"),
            _field(7, "about", Words(500), "in their own words"),
            Field(8, "communities", Several(_KEY, 32), "where they mentor; none: everywhere", since=5, refers=Refers.SPACE),
        ),
        single=True,
        since=5,
    ),
    Declaration(
        Entity.LEARNING,
        "What somebody wants to learn, and how.",
        StreamKind.OWN,
        Rule.LATEST,
        "always 1",
        (
            _field(1, "subjects", Several(Words(60), 20), "what, most wanted first, in their own words"),
            _field(2, "level", _LEVEL, "0 for beginners, 10 for experts"),
            _field(3, "styles", _STYLES, "how they like to learn, as a sum of styles; 0: anyhow"),
            _field(4, "hours", _HOURS, "when: for each day from Monday on a bit an hour, in local time"),
            _field(5, "goal", Words(500), "what for, in their own words"),
        ),
        single=True,
        since=5,
    ),
    _shared(
        Entity.GOAL,
        "What a mentor and a learner want to reach.",
        _field(1, "title", _TITLE, "what"),
        _field(2, "detail", Words(1000), "how"),
        _field(3, "due", _SECONDS, "Unix time in seconds, or 0"),
        _field(4, "done", YesNo(), "whether it is reached"),
    ),
    _shared(
        Entity.MEETING,
        "When a mentor and a learner meet.",
        _field(1, "at", _SECONDS, "Unix time in seconds"),
        _field(2, "minutes", Whole(0, 1440), "how long"),
        _field(3, "where", Words(200), "where, or by what"),
        _field(4, "notes", Words(1000), "what they did, or want to do"),
        _field(5, "state", Whole(0, 3), "0 proposed, 1 agreed, 2 held, 3 cancelled"),
    ),
)
"""In the order of their numbers."""

"""Learning on a device without a network: what it shows follows from the records that are here, one's own changes over them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from client.learning import NEXT_FRESH_S, Learning
from client.session import Session
from client.sqlite_store import MemoryStore
from client.sync import offline_desk
from client.sync_streams import NoStream
from protocol.curriculum import Step
from protocol.entities import Entity, Fields, write_fields
from protocol.events import Changed, RecordItem
from protocol.frames import Spaces, SpaceState, StreamState
from protocol.grading import Graded
from protocol.values import Role, SpaceKind, StreamKind

LIBRARY, STUDIO, PROGRESS, ANSWERS, OWN = 26, 27, 30, 31, 3
NOW = 1_800_000_000
STREAM = {
    Entity.PROGRESS: PROGRESS,
    Entity.ENROLMENT: PROGRESS,
    Entity.NEXT: PROGRESS,
    Entity.CARD: PROGRESS,
    Entity.INSIGHT: PROGRESS,
    Entity.ANSWER: ANSWERS,
    Entity.GRADE: ANSWERS,
    Entity.ANSWER_KEY: STUDIO,
}


class Place:
    """A device that has been online once."""

    def __init__(self, session: Session, *, teaches: bool) -> None:
        self.session = session
        self.now = float(NOW)
        self.learning = Learning(session, lambda: self.now, 20)
        self._seqs: dict[int, int] = {}
        states = [StreamState(LIBRARY, StreamKind.LIBRARY, "", 0, 0, teaches)]
        if teaches:
            states.append(StreamState(STUDIO, StreamKind.STUDIO, "", 0, 0, True))
        own = tuple(
            StreamState(stream, kind, "", 0, 0, True) for stream, kind in ((PROGRESS, StreamKind.PROGRESS), (ANSWERS, StreamKind.ANSWERS))
        )
        community = SpaceState(20, SpaceKind.COMMUNITY, "Seven springs", Role.MENTOR if teaches else Role.LEARNER, tuple(states))
        home = SpaceState(10, SpaceKind.PERSONAL, "", Role.OWNER, (StreamState(OWN, StreamKind.OWN, "", 0, 0, True),))
        session.sync_streams.learn(Spaces(1, 0, (home, community, SpaceState(21, SpaceKind.ENROLMENT, "20", Role.OWNER, own))))

    def hear(self, entity: Entity, key: int, fields: Fields, version: int = 1, *, gone: bool = False) -> None:
        """The server tells of a record."""
        stream = STREAM.get(entity, LIBRARY)
        seq = self._seqs[stream] = self._seqs.get(stream, 0) + 1
        self.session.records.hear(stream, seq, Changed((RecordItem(entity, key, version, write_fields(fields), gone),)))


@pytest.fixture
def place() -> Iterator[Place]:
    """A course of three lessons, one after the other; the first has a question for practice and one of an exam."""
    with MemoryStore() as store:
        made = Place(offline_desk(store, lambda line: None).session, teaches=False)
        fill(made)
        yield made


@pytest.fixture
def desk() -> Iterator[Place]:
    """The same, as a mentor has it."""
    with MemoryStore() as store:
        made = Place(offline_desk(store, lambda line: None).session, teaches=True)
        fill(made)
        yield made


def fill(place: Place) -> None:
    place.hear(Entity.COURSE, 5, {1: "Water", 7: 1})
    for key, requires, state in ((11, (), 1), (12, (11,), 1), (13, (12,), 1), (14, (), 0)):
        place.hear(Entity.LESSON, key, {1: f"L{key}", 3: 5, 4: key, 7: requires, 8: state})
    place.hear(Entity.QUESTION, 71, {1: 11, 2: 0, 3: "Which?", 4: ("a", "b"), 5: (1,), 7: "Because.", 9: 1})
    place.hear(Entity.QUESTION, 72, {1: 11, 2: 4, 3: "Where?", 9: 0, 10: True})


def standings(place: Place) -> dict[int, str]:
    return {line.lesson: line.standing for line in place.learning.outline(5)}


def test_a_course_is_shown_in_its_order_and_without_drafts_to_who_learns(place: Place) -> None:
    assert standings(place) == {11: "open", 12: "closed", 13: "closed"}
    assert [line.waits_for for line in place.learning.outline(5)] == [(), (11,), (12,)]
    place.learning.advance(11, 100)
    place.learning.advance(12, 30)
    assert standings(place) == {11: "done", 12: "begun", 13: "closed"}


def test_a_checkpoint_is_graded_at_once_where_the_key_is_here(place: Place) -> None:
    assert [key for key, _ in place.learning.questions(11)] == [72, 71]
    taken = place.learning.take(71, choices=(0,))
    assert (taken.practice, taken.explanation) == (Graded(0, False, "wrong"), "Because.")
    assert place.learning.take(72, text="there").practice is None
    first, exam = place.learning.grades()
    assert (first.question, first.graded, first.by_server) == (71, Graded(0, False, "wrong"), False)
    assert (exam.question, exam.graded) == (72, None)
    place.learning.advance(11, 100)
    assert standings(place)[11] == "done", "not all of it is graded"


def test_an_answer_to_what_is_not_here_or_with_an_option_that_is_not_there_is_not_kept(place: Place) -> None:
    for question, choices, said in ((99, (0,), "no question 99"), (71, (2,), "option 3 is none of the 2")):
        with pytest.raises(ValueError, match=said):
            place.learning.take(question, choices=choices)
    assert place.learning.grades() == []


def test_the_servers_grade_counts_for_the_answer_that_it_saw_and_no_other(place: Place) -> None:
    place.hear(Entity.ANSWER, 71, {2: (1,)}, 4)
    place.hear(Entity.GRADE, 71, {1: 40, 2: False, 3: 2, 4: "changed:100:wrong", 5: 4})
    [grade] = place.learning.grades()
    assert (grade.graded, grade.by_server, grade.attempts) == (Graded(40, False, "changed:100:wrong"), True, 2)
    place.hear(Entity.ANSWER, 71, {2: (1,)}, 5)
    assert [(one.graded, one.by_server) for one in place.learning.grades()] == [(Graded(100, True, "right"), False)]
    place.hear(Entity.GRADE, 71, {1: 100, 2: True, 4: "ungraded", 5: 5}, 2)
    assert [(one.graded, one.by_server) for one in place.learning.grades()] == [(None, True)]


def test_a_failed_checkpoint_comes_before_what_the_server_thought_of_and_that_before_the_rest(place: Place) -> None:
    for key in (61, 62):
        place.hear(Entity.LESSON, key, {1: f"L{key}", 8: 1})
    place.learning.advance(11, 100)
    place.learning.take(71, choices=(0,))
    place.hear(Entity.QUESTION, 72, {}, 2, gone=True)
    place.hear(Entity.NEXT, 1, {1: (62, 13, 11), 2: (80, 60, 99), 3: ("due",), 4: NOW})
    assert place.learning.next()[:2] == (Step(11, "repeat:0"), Step(62, "due"))
    assert 13 not in [step.lesson for step in place.learning.next()], "what is closed here is not offered, whoever thought of it"
    place.now += NEXT_FRESH_S + 1
    assert [step.lesson for step in place.learning.next()][:3] == [11, 61, 62], "what the server thought is old"


def test_who_is_enrolled_is_led_through_their_course(place: Place) -> None:
    place.hear(Entity.LESSON, 61, {1: "L61", 8: 1})
    place.learning.enrol(5, goal="to swim")
    assert place.learning.next() == (Step(11, "course:5"),)
    assert place.learning.one(Entity.ENROLMENT, 5).fields == {1: 5, 3: NOW, 4: "to swim", 5: 0}
    place.learning.enrol(5, state=3)
    assert {step.lesson for step in place.learning.next()} == {11, 61}
    with pytest.raises(ValueError, match="no course or path 6"):
        place.learning.enrol(6)


@pytest.mark.parametrize(
    ("entity", "key", "fields", "said"),
    [
        (Entity.LESSON, 11, {7: (13,)}, "requires: lesson 13 requires this one, by way of 13, 12, 11"),
        (Entity.LESSON, 11, {7: (99,)}, "requires: there is no lesson 99"),
        (Entity.LESSON, 15, {3: 6}, "course: there is no course 6"),
        (Entity.COURSE, 5, {3: 8}, "subject: there is no subject 8"),
        (Entity.PATH, 9, {4: (11, 16)}, "steps: there is no lesson 16"),
        (Entity.QUESTION, 71, {4: ("a",)}, "options: at least 2 to choose from, not 1"),
        (Entity.QUESTION, 71, {5: (2,)}, "key: place 2 is beyond the 2 options"),
        (Entity.QUESTION, 71, {1: 19}, "lesson: there is no lesson 19"),
        (Entity.QUESTION, 71, {10: True}, "exam: its key belongs in the studio"),
        (Entity.QUESTION, 72, {7: "Because."}, "an explanation is a key"),
        (Entity.ANSWER_KEY, 72, {2: (" ",)}, "words: no accepted answer"),
        (Entity.ANSWER_KEY, 73, {2: ("x",)}, "there is no question 73"),
    ],
)
def test_what_would_not_fit_is_refused_by_name_before_it_is_kept(desk: Place, entity: Entity, key: int, fields: Fields, said: str) -> None:
    before = desk.learning.one(entity, key).fields
    with pytest.raises(ValueError) as refused:
        desk.learning.write(entity, key, fields)
    assert said in str(refused.value)
    assert desk.learning.one(entity, key).fields == before


def test_what_two_wrote_apart_and_does_not_fit_together_is_told_to_who_writes(desk: Place) -> None:
    assert desk.learning.problems() == ["question 72: an exam's, and there is no key in the studio"]
    desk.learning.write(Entity.ANSWER_KEY, 72, {2: ("there",)})
    assert desk.learning.problems() == []
    desk.hear(Entity.QUESTION, 71, {4: ("a",)}, 2)
    desk.hear(Entity.LESSON, 11, {}, 2, gone=True)
    assert desk.learning.problems() == [
        "lesson 12: requires: there is no lesson 11",
        "question 71: options: at least 2 to choose from, not 1",
        "question 72: lesson: there is no lesson 11",
    ]
    assert 12 in {step.lesson for step in desk.learning.next()}, "what is required and gone is passed over"


def test_a_learner_sees_no_studio_and_a_community_that_is_not_here_is_said_so(place: Place) -> None:
    assert not place.learning.may_write and place.learning.all(Entity.ANSWER_KEY) == {}
    with pytest.raises(NoStream, match="no lesson in community 77; it has some in 20"):
        Learning(place.session, lambda: 0.0, 77).one(Entity.LESSON, 11)


def test_a_device_that_was_never_connected_says_so_and_one_of_several_communities_which_there_are(place: Place) -> None:
    with MemoryStore() as store:
        fresh = offline_desk(store, lambda line: None).session
        with pytest.raises(NoStream, match="never been connected"):
            fresh.sync_streams.find(Entity.LESSON)
        libraries = [StreamState(stream, StreamKind.LIBRARY, "", 0, 0, False) for stream in (26, 27)]
        fresh.sync_streams.learn(
            Spaces(
                1,
                0,
                tuple(
                    SpaceState(space, SpaceKind.COMMUNITY, "x", Role.LEARNER, (one,))
                    for space, one in zip((20, 30), libraries, strict=True)
                ),
            )
        )
        with pytest.raises(NoStream, match=r"which community.*\(20, 30\)"):
            fresh.sync_streams.find(Entity.LESSON)

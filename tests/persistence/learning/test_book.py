"""What mentors and other systems read of learning: only what is theirs to see, and nobody by how good they are."""

from __future__ import annotations

from actors.learning_book import CourseInfo, GradeInfo, LearnerInfo, LessonInfo
from persistence.bridge import Bridge
from persistence.learning.book import PostgresLearning
from protocol.entities import Entity
from protocol.values import StreamKind
from tests.persistence.learning.school import Q, grade_all, school
from tests.persistence.records import change, enrolled
from tests.persistence.world import world


async def test_courses_are_told_with_their_lessons_in_order_and_without_drafts(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        place = await school(w, ann)
        await w.ok(ann, change(place.library, Entity.COURSE, 5, {1: "Water", 2: "All of it", 4: "en", 5: 2, 7: 1}))
        await w.ok(ann, change(place.library, Entity.COURSE, 6, {1: "Not yet", 7: 0}))
        for key, state, requires in ((11, 1, (12,)), (12, 1, ()), (13, 0, ()), (14, 2, ())):
            await w.ok(ann, change(place.library, Entity.LESSON, key, {1: f"L{key}", 3: 5, 4: key, 5: 30, 7: requires, 8: state, 9: "en"}))
        page = await PostgresLearning(bridge).courses(place.space, 0)
        lessons = [LessonInfo(key, f"L{key}", 30, 0, "en", requires, key == 14) for key, requires in ((12, ()), (11, (12,)), (14, ()))]
        assert page.courses == (CourseInfo(5, "Water", "All of it", 0, "en", 2, True, tuple(lessons)),) and page.after == 0
        assert (await PostgresLearning(bridge).courses(place.space, 5)).courses == ()


async def test_one_reads_ones_own_grades_and_mentors_how_somebody_comes_along(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        place = await school(w, ann, bob, cid)
        progress = await enrolled(w, place.space, bob, StreamKind.PROGRESS)
        await w.ok(bob, change(progress, Entity.PROGRESS, 11, {1: 100}))
        await w.ok(bob, change(progress, Entity.PROGRESS, 12, {1: 30}))
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,)}))
        await grade_all(w)
        book = PostgresLearning(bridge)
        [grade] = (await book.grades(place.space, bob.user, 0)).grades
        assert grade == GradeInfo(Q, 50, False, 1, "partly:1:2", grade.at) and grade.at > 0
        assert (await book.grades(place.space, cid.user, 0)).grades == ()
        page = await book.learners(place.space, ann.user, 0)
        assert [(one.user, one.name, one.begun, one.done, one.answered, one.points) for one in page.learners] == [
            (bob.user, "Bob", 1, 1, 1, None),
            (cid.user, "Cid", 0, 0, 0, None),
        ]
        assert page.learners[1] == LearnerInfo(cid.user, "Cid", 0, 0, 0, None, 0)


async def test_a_mean_is_told_in_bands_of_eight_answers_or_more_and_not_of_who_blocks_whoever_asks(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        place = await school(w, ann, bob, cid)
        book = PostgresLearning(bridge)
        for turn in range(8):
            [told, _] = (await book.learners(place.space, ann.user, 0)).learners
            assert told.points is None, "of a few answers the mean were the grades"
            await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1, 3) if turn % 4 else (1,)}, base=turn))
            await grade_all(w)
        [told, _] = (await book.learners(place.space, ann.user, 0)).learners
        assert told.points == 90, "the mean is 87.5"
        await w.rows("insert into blocks (user_id, blocked) values ($1, $2)", bob.user, ann.user)
        assert [one.user for one in (await book.learners(place.space, ann.user, 0)).learners] == [cid.user]


async def test_learners_come_in_pages_by_number(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann, *[await w.person(f"learner{n}") for n in range(21)])
        book = PostgresLearning(bridge)
        first = await book.learners(space, ann.user, 0)
        rest = await book.learners(space, ann.user, first.after)
        assert (len(first.learners), len(rest.learners), rest.after) == (20, 1, 0)
        users = [one.user for one in (*first.learners, *rest.learners)]
        assert users == sorted(users) and ann.user not in users

"""Sums over many: what is folded, what is told, and what is not told because somebody could be made out in it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

from msgspec.msgpack import decode

from actors.insight_book import LessonPage, QuestionSum
from actors.model_book import Answered, Mark
from persistence.analytics.book import PostgresInsights
from persistence.analytics.folding import fold, fold_days, read_waiting
from persistence.analytics.passing import forget_months, forget_what_is_off, pass_day, prepare_months
from persistence.analytics.rows import page
from persistence.bridge import Bridge
from protocol.entities import Entity
from protocol.operations import ChangeSettings
from protocol.values import StreamKind
from tests.persistence.analytics.school import DAY_S, School, found
from tests.persistence.records import NOW, change
from tests.persistence.world import Person, World, world

GROUP = 3


def month() -> str:
    return datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m")


async def told(w: World, school: School) -> LessonPage:
    answer = await PostgresInsights(w.bridge, group=GROUP).lessons(school.space, month(), 0)
    assert answer is not None
    return answer


async def classroom(w: World, count: int) -> tuple[School, list[Person]]:
    learners = [await w.person(f"learner{number}") for number in range(count)]
    return await found(w, *learners, lessons=1), learners


async def test_an_answer_that_is_folded_twice_or_graded_again_counts_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, [bob] = await classroom(w, 1)
        await school.answer(bob, 101, False)
        await school.answer(bob, 101, True)
        await school.settle(group=GROUP)
        await w.rows("insert into days_waiting (space_id, user_id, day) select space_id, user_id, day from learning_days")
        await w.rows("update attempts set points = 100")
        await school.settle(group=GROUP)
        [row] = await w.rows("select * from learning_days")
        assert (row["answers"], row["rights"], row["passed"], row["seconds"]) == (2, 2, 2, 20)
        assert [tuple(r) for r in await w.rows("select question, learners, passed from lesson_sums")] == [(101, 1, 2)]
        waiting = await w.bridge.run(read_waiting, deadline_s=30)
        assert (waiting.days, waiting.lessons) == (0, 0)


async def test_nothing_is_told_of_fewer_than_a_group_and_what_is_told_is_round(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 4)
        for person in learners[:2]:
            await school.answer(person, 101, False)
        await school.settle(group=GROUP)
        assert (await told(w, school)).lessons == ()
        for person in learners[2:]:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        [lesson] = (await told(w, school)).lessons
        assert lesson.questions == (QuestionSum(101, 3, 50, 50, 35, 10, 35),), "of four learners: at least three"


async def test_two_tellings_never_differ_by_fewer_than_a_group(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 6)
        for person in learners[:3]:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        before = await told(w, school)
        for person in learners[3:5]:
            await school.answer(person, 101, False)
            await school.settle(group=GROUP)
            assert await told(w, school) == before, "whoever looks twice learns nothing of who came in between"
        await school.answer(learners[5], 101, False)
        await school.settle(group=GROUP)
        assert (await told(w, school)).lessons[0].questions == (QuestionSum(101, 6, 50, 50, 20, 10, 20),)


async def test_what_is_hidden_cannot_be_found_by_subtracting_what_is_told(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 3)
        for person in learners:
            await school.answer(person, 101, True)
        await school.answer(learners[0], 102, False)
        await school.settle(group=GROUP)
        [lesson] = (await told(w, school)).lessons
        assert [one.question for one in lesson.questions] == [101]
        assert lesson.whole.passed_percent == 65, "the one wrong answer of one learner is in no sum that is told"


async def test_a_question_that_is_moved_to_another_lesson_is_not_told_anew(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 4)
        await school.lesson(2, 0)
        for person in learners[:3]:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        before = await told(w, school)
        await school.answer(learners[3], 101, False)
        await w.ok(school.teacher, change(school.library, Entity.QUESTION, 101, {1: 2}, base=1))
        for _ in range(3):
            await school.settle(group=GROUP)
        assert await w.column("select distinct lesson from attempts") == [2]
        assert before.lessons and await told(w, school) == before, "five before and six after were the sixth"


async def test_that_all_of_a_group_failed_is_not_told_apart_from_all_but_one(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 3)
        for person in learners:
            await school.answer(person, 101, False)
            await school.answer(person, 102, person is learners[0])
        await school.settle(group=GROUP)
        [lesson] = (await told(w, school)).lessons
        assert [(one.question, one.passed_percent, one.failing_percent) for one in lesson.questions] == [(101, 35, 65), (102, 35, 65)]
        await w.rows("update lesson_sums set seconds = 3 * 14, shown_of = 0")
        await w.rows("insert into lessons_waiting (space_id, lesson, month) select space_id, lesson, month from lesson_sums")
        await w.rows("update learning_days set seconds = 17")
        await school.settle(group=GROUP)
        assert {one.seconds for one in (await told(w, school)).lessons[0].questions} == {20}, "in steps of ten"


async def test_when_people_go_what_is_told_of_too_few_goes(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 3)
        for person in learners:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        assert (await told(w, school)).lessons
        await w.rows("delete from attempts where user_id = $1", learners[0].user)
        await w.rows("insert into days_waiting (space_id, user_id, day) select space_id, user_id, day from learning_days")
        await school.settle(group=GROUP)
        assert (await told(w, school)).lessons == ()


async def test_who_stopped_at_a_lesson_is_counted_after_two_weeks_and_not_before(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 3)
        for person in learners:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        assert await w.column("select stopped from lesson_sums where question = 0") == [0]
        await w.rows("update learners set active_day = active_day - 20, looked_day = current_date - 10")
        await w.bridge.run(lambda tx: tx.execute("delete from jobs"), deadline_s=30)
        assert await pass_day(w.bridge) == 3 and await pass_day(w.bridge) == 0
        await w.rows("update lessons_waiting set month = (select max(month) from lesson_sums)")
        await fold(w.bridge, group=GROUP)
        assert await w.column("select stopped from lesson_sums where question = 0") == [3]


async def test_a_community_without_analytics_has_none_and_what_it_had_goes(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 3)
        for person in learners:
            await school.answer(person, 101, True)
        await school.settle(group=GROUP)
        assert await school.next_of(learners[0]) != {}
        await w.ok(school.teacher, ChangeSettings(school.space, "quiet", False, '{"analytics": "off"}'))
        assert await PostgresInsights(w.bridge).lessons(school.space, month(), 0) is None
        await school.answer(learners[0], 102, True)
        await school.settle(group=GROUP)
        assert await w.rows("select from days_waiting") == []
        assert await forget_what_is_off(w.bridge, w.herald) == 3
        for table in ("learners", "learning_days", "lesson_sums", "lessons_waiting"):
            assert await w.rows(f"select from {table}") == [], table
        assert (await school.next_of(learners[0]))[1] == ()
        assert (await w.bridge.run(lambda tx: page(tx, ()), deadline_s=30)).rows == []
        assert (await PostgresInsights(w.bridge).own(learners[0].user)).communities == ()


async def test_one_who_mentors_somebody_hears_of_them_and_nobody_else_does(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, [bob, eve] = await classroom(w, 2)
        for turn in range(8):
            await school.answer(bob, 101, True, at=NOW - 100 + turn)
        await school.settle()
        book = PostgresInsights(w.bridge)
        [own] = (await book.own(bob.user)).communities
        assert [(one.kind, one.lesson, one.value) for one in own.insights] == [("strength", 1, 100)] and own.active_days == 1
        assert await book.learner(school.space, bob.user, school.teacher.user) is None, "being staff is not enough"
        await w.rows(
            "insert into mentorships (mentor, learner, community, subject, state) values ($1, $2, $3, 'x', 2), ($4, $2, $3, 'x', 1)",
            school.teacher.user,
            bob.user,
            school.space,
            eve.user,
        )
        assert await book.learner(school.space, bob.user, school.teacher.user) == own
        assert await book.learner(school.space, bob.user, eve.user) is None, "a proposal is no mentorship"
        assert await book.learner(school.space + 1, bob.user, school.teacher.user) is None
        await w.rows("update mentorships set learner_over_at = now() where mentor = $1", school.teacher.user)
        assert await book.learner(school.space, bob.user, school.teacher.user) is None, "the learner has said that it is over"
        await w.rows("update mentorships set learner_over_at = null, mentor_over_at = now() where mentor = $1", school.teacher.user)
        assert await book.learner(school.space, bob.user, school.teacher.user) == own
        await w.rows("insert into blocks (user_id, blocked) values ($1, $2)", bob.user, school.teacher.user)
        assert await book.learner(school.space, bob.user, school.teacher.user) is None


async def test_progress_is_activity_too_and_a_silent_learner_is_noticed_by_the_clock(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, [bob] = await classroom(w, 1)
        for ago in (30, 29, 28, 27, 26):
            await school.answer(bob, 101, True, at=NOW - ago * DAY_S)
        await school.settle()
        assert await w.column("select risk from learners") == [50], "silent for 26 days, by somebody who came every day"
        progress = await school.stream(bob, StreamKind.PROGRESS)
        await w.rows("update learners set looked_day = current_date - 1")
        await w.rows("insert into log (stream_id, seq, kind, author, at, body) values ($1, 1000, 30, $2, $3, '')", progress, bob.user, NOW)
        await pass_day(w.bridge)
        await school.settle()
        assert await w.column("select risk from learners") == [0]
        assert await w.column("select active & 1 from learners") == [1]


async def test_rows_of_training_name_nobody_and_come_in_pages(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, learners = await classroom(w, 2)
        for person in learners:
            await school.answer(person, 101, True)
            await school.answer(person, 102, False)
        await school.settle()
        rows: list[Answered] = []
        after: Mark = ()
        more = True
        while more:
            got = await w.bridge.run(partial(page, after=after, limit=3), deadline_s=30)
            rows += [decode(row, type=Answered) for row in got.rows]
            after, more = got.mark, got.more
        assert sorted((row.skill, row.right) for row in rows) == [(1, False), (1, False), (1, True), (1, True)]
        numbers = {row.learner for row in rows}
        assert len(numbers) == 2 and not numbers & {person.user for person in learners}
        assert not numbers & set(await w.column("select stream_id from attempts"))


async def test_months_are_made_ahead_and_let_go_and_a_month_that_nobody_made_loses_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, [bob] = await classroom(w, 1)
        await school.answer(bob, 101, True)
        await school.settle()
        assert await w.bridge.run(prepare_months, deadline_s=30) == 0
        await w.rows("insert into learning_days values ('2001-05-07', $1, $2, 1, 101, 1, 1, 1, 1)", school.space, bob.user)
        assert [row[0] for row in await w.rows("select day from learning_days_default")] == [date(2001, 5, 7)]
        this = f"learning_days_{month().replace('-', '_')}"
        assert await w.value(f"select count(*) from {this}") == 1, "today's lie in this month's"
        await w.bridge.run(forget_months, deadline_s=30)
        assert await w.value("select count(*) from learning_days") == 1


async def test_what_comes_while_days_are_folded_is_folded_next(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school, [bob] = await classroom(w, 1)
        await school.answer(bob, 101, True)
        await school.settle()
        day = await w.value("select day from learning_days")
        await w.rows(
            "insert into days_waiting (space_id, user_id, day) select $1, $2, $3 from generate_series(1, 3)", school.space, bob.user, day
        )
        assert await w.bridge.run(lambda tx: fold_days(tx, 2), deadline_s=30) == 2
        assert await w.value("select count(*) from days_waiting") == 1

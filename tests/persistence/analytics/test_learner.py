"""The job for one learner, with a real database: what comes next, what is noticed, cards that devices disagree about."""

from __future__ import annotations

from actors.inference import Answer, AnyRequest
from persistence.bridge import Bridge
from protocol.entities import Entity
from protocol.reviews import NEW, Rating, card_of, replay, review
from protocol.reviews import fields_of as card_fields
from protocol.values import StreamKind
from tests.persistence.analytics.school import DAY_S, FakeModels, found
from tests.persistence.records import NOW, another_device, change, fields_of, gone
from tests.persistence.world import world


async def test_grades_lead_to_what_comes_next_by_a_model_and_running_it_again_writes_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        await school.answer(bob, 101, True)
        await school.answer(bob, 102, False)
        models = await school.settle(FakeModels(0.6))
        said = await school.next_of(bob)
        assert (said[1], said[2], said[3]) == ((1, 2, 3), (60, 60, 60), ("new", "new", "new"))
        [asked] = models.asked
        assert sorted(step.right for step in asked.steps) == [False, True] and {step.skill for step in asked.steps} == {1}
        head = await w.value("select head from streams where id = $1", await school.stream(bob, StreamKind.PROGRESS))
        await w.rows("insert into days_waiting (space_id, user_id, day) select space_id, user_id, day from learning_days")
        await school.settle(FakeModels(0.6))
        assert head == await w.value("select head from streams where id = $1", await school.stream(bob, StreamKind.PROGRESS))


async def test_without_a_model_a_rule_says_it_and_that_is_said(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        await school.answer(bob, 101, True)
        await school.settle(FakeModels(None))
        said = await school.next_of(bob)
        assert said[3] == ("new;rule",) * 3 and (said[1], said[2]) == ((2, 3, 1), (58, 58, 67))


async def test_what_has_to_come_before_stands_in_front_of_where_practice_helps_most(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob, lessons=2)
        await school.lesson(3, requires=(1,))
        progress = await school.stream(bob, StreamKind.PROGRESS)
        await w.ok(bob, change(progress, Entity.PROGRESS, 2, {1: 40}))
        await school.answer(bob, 101, True)
        await school.settle(FakeModels(0.9))
        said = await school.next_of(bob)
        assert (said[1], said[3]) == ((2, 1), ("continue:40", "new")), "lesson 3 is closed before lesson 1 is done"


async def test_somebody_is_told_what_goes_well_and_where_they_are_stuck_until_it_is_so_no_more(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        for turn in range(8):
            await school.answer(bob, 101, True, at=NOW - 900 + turn)
        for turn in range(3):
            await school.answer(bob, 201, False, at=NOW - 500 + turn)
        await school.settle()
        assert await school.insights_of(bob) == [(1, 1, 100, "strength:100"), (2, 2, 3, "stuck:3")]
        await school.answer(bob, 201, True)
        await school.settle()
        assert await school.insights_of(bob) == [(1, 1, 100, "strength:100")]


async def test_what_is_noticed_names_the_subject_of_the_lessons_course_and_follows_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        await w.ok(school.teacher, change(school.library, Entity.COURSE, 5, {1: "Water", 3: 9}))
        await w.ok(school.teacher, change(school.library, Entity.LESSON, 1, {3: 5}, base=1))
        for turn in range(3):
            await school.answer(bob, 101, False, at=NOW - 500 + turn)
            await school.answer(bob, 201, False, at=NOW - 500 + turn)
        await school.settle()
        assert await school.subjects_of(bob) == {1: 9, 2: 0}
        await w.ok(school.teacher, change(school.library, Entity.COURSE, 5, {3: 8}, base=1))
        await school.answer(bob, 101, False)
        await school.settle()
        assert await school.subjects_of(bob) == {1: 8, 2: 0}


async def test_a_card_that_two_devices_reviewed_apart_becomes_what_one_device_would_have_made(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        phone, tablet = bob, await another_device(w, bob)
        answers, progress = await school.stream(bob), await school.stream(bob, StreamKind.PROGRESS)
        first = NOW - 20 * DAY_S
        history = [(first, Rating.GOOD), (first + 3 * DAY_S, Rating.WRONG), (first + 4 * DAY_S, Rating.GOOD)]
        both = review(NEW, Rating.GOOD, first)
        await w.ok(phone, change(answers, Entity.ANSWER, 101, {2: (0,), 5: 3}, at=first))
        await w.ok(phone, change(progress, Entity.CARD, 101, card_fields(both, 1), at=first))
        for device, (at, rating) in zip((phone, tablet), history[1:], strict=True):
            await w.ok(device, change(answers, Entity.ANSWER, 101, {2: (0,), 5: int(rating)}, at=at, base=1))
            await w.ok(device, change(progress, Entity.CARD, 101, card_fields(review(both, rating, at), 1), at=at, base=1))
        assert card_of(await fields_of(w, progress, Entity.CARD, 101) or {}).reps == 2, "the later one stands, whole"
        await school.settle()
        fields = await fields_of(w, progress, Entity.CARD, 101) or {}
        assert card_of(fields) == replay(history) and fields[1] == 1
        await school.answer(bob, 102, True)
        await school.settle()
        assert card_of(await fields_of(w, progress, Entity.CARD, 101) or {}) == replay(history)


async def test_a_card_of_a_clock_that_ran_a_year_ahead_becomes_what_its_reviews_make(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        progress = await school.stream(bob, StreamKind.PROGRESS)
        await school.answer(bob, 101, True, at=NOW + 365 * DAY_S, rating=3)
        await w.ok(bob, change(progress, Entity.CARD, 101, card_fields(review(NEW, Rating.GOOD, NOW + 365 * DAY_S), 1)))
        await school.settle()
        card = card_of(await fields_of(w, progress, Entity.CARD, 101) or {})
        assert card.reps == 1 and card.last < NOW + DAY_S and card.due < NOW + 10 * DAY_S


async def test_a_card_that_is_forgotten_while_the_model_is_asked_stays_forgotten(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        progress = await school.stream(bob, StreamKind.PROGRESS)
        for ago in (50, 20):
            await school.answer(bob, 101, True, at=NOW - ago, rating=3)
        await w.ok(bob, change(progress, Entity.CARD, 101, card_fields(review(NEW, Rating.GOOD, NOW - 50), 1)))

        class Slow(FakeModels):
            async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
                await w.ok(bob, gone(progress, Entity.CARD, 101, base=1))
                return await super().ask(request, within_s, key=key)

        models = await school.settle(Slow(0.5))
        assert models.asked and await fields_of(w, progress, Entity.CARD, 101) is None


async def test_an_answer_that_was_no_review_is_none(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        progress = await school.stream(bob, StreamKind.PROGRESS)
        card = review(NEW, Rating.GOOD, NOW - 50)
        await school.answer(bob, 101, True, at=NOW - 90)
        await school.answer(bob, 101, True, at=NOW - 50, rating=3)
        await w.ok(bob, change(progress, Entity.CARD, 101, card_fields(card, 1)))
        await school.settle()
        assert card_of(await fields_of(w, progress, Entity.CARD, 101) or {}) == card


async def test_nothing_is_reckoned_of_somebody_who_has_left(bridge: Bridge) -> None:
    async with world(bridge) as w:
        bob = await w.person("bob")
        school = await found(w, bob)
        await school.answer(bob, 101, True)
        await w.rows("delete from members where space_id = $1 and user_id = $2", school.space, bob.user)
        await school.settle()
        assert await school.next_of(bob) == {}

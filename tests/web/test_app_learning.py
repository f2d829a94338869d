"""Learning in a real browser: a lesson is read and its questions are answered without a network; what is not known yet comes back."""

from __future__ import annotations

import time

import pytest
import trio
from msgspec import Struct
from playwright.sync_api import Page, expect

from client import Account, Credentials, MutationRefused, connect
from client.learning import Grade
from protocol import grading
from protocol.entities import Entity, Fields
from protocol.operations import CreateCommunity, Invite, Join
from protocol.reviews import Card, Rating, card_of
from protocol.values import Role
from supervisors.demo_lessons import DIVIDING, EXAM, HALVES, PIECES, SECTIONS, make_lessons
from tests.system.running import PASSWORD, register
from tests.web.test_app_files import payload, photo
from tests.web.visitors import WAIT_MS, Visitor, beside, faults

FILES_KEPT = """() => new Promise(done => {
  const opened = indexedDB.open("educonnect");
  opened.onsuccess = () => {
    const names = opened.result.transaction("rows").objectStore("rows").getAllKeys();
    names.onsuccess = () => (opened.result.close(), done(names.result.includes("n/uploads")));
  };
})"""
"""Whether files that wait are on the disk: what a page has not written yet goes with it."""

CHOICE, CLOZE, SEVERAL, ORDER, SHORT = range(131, 136)


class Known(Struct, frozen=True):
    """What the server knows of a learner: answers, grades, cards, progress; by question, progress by lesson."""

    answers: dict[int, Fields]
    grades: dict[int, Grade]
    cards: dict[int, Card]
    progress: dict[int, int]


async def _log_in(url: str, name: str) -> Credentials:
    async with Account(url) as account:
        return await account.login(name, PASSWORD)


async def _school(url: str, mentor: str, learner: str) -> int:
    """A community with the demonstration's course, of `mentor`'s; `learner` is in it and has learnt nothing yet."""
    async with (
        connect(url, await _log_in(url, mentor)) as one,
        connect(url, await _log_in(url, learner)) as other,
        connect(url, await register(url)) as begun,
    ):
        space = await one.do(CreateCommunity("Seven springs school"))
        for session in (begun, other):
            await one.do(Invite(space, session.user, Role.LEARNER))
            await session.do(Join(space))
        await make_lessons(one, begun, space)
        return space


async def _known(url: str, name: str, space: int, questions: frozenset[int]) -> Known:
    """What there is as soon as all these questions are graded by the server."""
    async with connect(url, await _log_in(url, name)) as session:
        learning = session.learning(space)
        with trio.fail_after(WAIT_MS / 1000):
            while True:
                await session.synced()
                grades = {one.question: one for one in learning.grades() if one.by_server and one.graded is not None}
                if questions <= grades.keys():
                    break
                await trio.sleep(0.05)
        return Known(
            learning.all(Entity.ANSWER),
            grades,
            {key: card_of(fields) for key, fields in learning.all(Entity.CARD).items()},
            {key: int(str(fields.get(1, 0))) for key, fields in learning.all(Entity.PROGRESS).items()},
        )


async def _mentored(url: str, name: str) -> None:
    """Somebody begins to mentor `name`."""
    async with connect(url, await register(url)) as mentor, connect(url, await _log_in(url, name)) as learner:
        await mentor.synced()
        offer: Fields = {1: True, 2: ("fractions",), 6: 2}
        await mentor.put(mentor.sync_streams.find(Entity.MENTORING, 0), Entity.MENTORING, 1, offer).outcome()
        mentorship = 0
        with trio.fail_after(60):
            while not mentorship:
                try:
                    mentorship = await learner.propose(mentor.user, "Fractions").wait()
                except MutationRefused:
                    # What a mentor offers is looked at by a job.
                    await trio.sleep(0.5)
        await mentor.answer_proposal(mentorship, True).wait()


async def _written(url: str, name: str, space: int) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    """The options and the key of the question that is asked last after the first lesson, and what does not fit together."""
    async with connect(url, await _log_in(url, name)) as session:
        await session.synced()
        learning = session.learning(space)
        fields = learning.questions(HALVES)[-1][1]
        return grading.texts(fields.get(grading.OPTIONS)), grading.numbers(fields.get(grading.KEY)), learning.problems()


@pytest.fixture(scope="module")
def space(amina: Visitor, ben: Visitor, origin: str) -> int:
    return beside(_school, origin, amina.name, ben.name)


def opened(visitor: Visitor, path: str, heading: str) -> Page:
    """Goes there as somebody who follows a link."""
    visitor.page.evaluate("path => { location.hash = path; }", path)
    expect(visitor.page.locator("h1", has_text=heading)).to_be_visible(timeout=WAIT_MS)
    return visitor.page


def check(page: Page, says: str) -> None:
    """Hands an answer in, by the Enter key where there is a field for it."""
    page.locator(".asking > button.main").click()
    expect(page.locator(".judgement .verdict")).to_have_text(says, timeout=WAIT_MS)
    expect(page.locator(".judgement [role=status]")).to_have_text("Not sent yet", timeout=WAIT_MS)


def onward(page: Page) -> None:
    page.locator(".asking .buttons button.main").click()


def test_a_lesson_and_its_questions_need_no_network_and_the_server_grades_exactly_what_was_answered(
    ben: Visitor, space: int, origin: str
) -> None:
    page = opened(ben, f"#/lessons/{space}", "Lessons")
    expect(page.locator(".lesson-row")).to_have_count(3, timeout=WAIT_MS)
    expect(page.locator(".kept")).to_contain_text("work without a network", timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("navigator.serviceWorker.ready.then(() => !!navigator.serviceWorker.controller)")
    ben.shoot("lessons-phone")

    ben.context.set_offline(True)
    page.reload()
    expect(page.locator(".lesson-row").first).to_contain_text("open", timeout=WAIT_MS)
    page.locator(".today .button.main").click()
    expect(page.locator(".lesson-section")).to_have_count(2, timeout=WAIT_MS)
    ben.shoot("lesson-phone")
    page.locator(".end").scroll_into_view_if_needed()
    expect(page.locator(".end .unsent")).to_contain_text("not sent yet", timeout=WAIT_MS)
    page.locator(".end .button.main").click()

    # The keyboard is enough.
    page.locator(".option input").first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Check")).to_be_enabled(timeout=WAIT_MS)
    page.keyboard.press("Enter")
    expect(page.locator(".judgement .verdict")).to_have_text("Not yet right.", timeout=WAIT_MS)
    expect(page.locator(".judgement")).to_be_focused(timeout=WAIT_MS)
    expect(page.locator(".judgement")).to_contain_text("Four equal pieces")
    expect(page.locator(".judgement")).to_contain_text("comes back in 10 minutes")
    ben.shoot("checkpoint-wrong-phone")
    onward(page)
    page.get_by_label("Gap 1 of 2").fill("Eight")
    page.reload()
    expect(page.get_by_label("Gap 1 of 2")).to_have_value("Eight", timeout=WAIT_MS)
    page.get_by_label("Gap 2 of 2").fill("3")
    check(page, "Right.")
    onward(page)
    expect(page.locator(".result")).to_contain_text("1 of 2 is right.", timeout=WAIT_MS)
    expect(page.locator(".result .note")).to_contain_text("2 answers are not sent yet", timeout=WAIT_MS)
    expect(page.locator("a.row", has_text="A loaf for four")).to_be_visible()
    ben.shoot("result-phone")

    opened(ben, f"#/checkpoint/{space}/{PIECES}", "Pieces of the same size")
    for wanted in ("2/4", "3/5", "4/8"):
        page.locator(".option", has_text=wanted).click()
    check(page, "1 of 2 right.")
    onward(page)
    # 1/2, 1/8, 3/4, 1/4 come into 1/8, 1/4, 1/2, 3/4.
    for what, way, times in (("1/8", "up", 1), ("1/4", "up", 2)):
        for _ in range(times):
            page.get_by_label(f"Move {way}: {what}").press("Enter")
    expect(page.locator(".order li").nth(1)).to_contain_text("1/4")
    expect(page.get_by_label("Move up: 1/4")).to_be_focused()
    ben.shoot("order-phone")
    check(page, "Right.")
    opened(ben, f"#/checkpoint/{space}/{DIVIDING}", "How many fit in?")
    page.get_by_label("How many quarters").fill("eight ")
    check(page, "Right.")
    onward(page)
    page.get_by_label("What is 3/4").fill("6")
    check(page, "Kept. The server grades it.")
    onward(page)
    expect(page.locator(".result")).to_contain_text("1 answer waits for the server’s grade.", timeout=WAIT_MS)

    page.reload()
    expect(page.locator(".result .note")).to_contain_text("2 answers are not sent yet", timeout=WAIT_MS)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    # Another tab of theirs, which has no store of its own.
    beside_it = ben.context.new_page()
    beside_it.goto(f"{origin}/#/lessons/{space}")
    expect(beside_it.locator(".lesson-row .unsent")).to_have_count(3, timeout=WAIT_MS)
    expect(beside_it.locator(".lesson-row.is-done")).to_have_count(2, timeout=WAIT_MS)
    beside_it.close()
    ben.context.set_offline(False)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".results")).to_contain_text("Graded by the server.", timeout=WAIT_MS)
    known = beside(_known, origin, ben.name, space, frozenset({CHOICE, CLOZE, SEVERAL, ORDER, SHORT, EXAM}))
    given = {key: (fields.get(grading.CHOICES), fields.get(grading.TEXT)) for key, fields in known.answers.items()}
    assert given == {
        CHOICE: ((0,), ""),
        CLOZE: ((), "Eight\n3"),
        SEVERAL: ((0, 1, 2), ""),
        ORDER: ((1, 3, 0, 2), ""),
        SHORT: ((), "eight"),
        EXAM: ((), "6"),
    }
    points = {key: grade.graded.points for key, grade in known.grades.items() if grade.graded is not None}
    assert points == {CHOICE: 0, CLOZE: 100, SEVERAL: 50, ORDER: 100, SHORT: 100, EXAM: 100}
    assert all(grade.attempts == 1 for grade in known.grades.values())
    assert known.progress == {HALVES: 100, PIECES: 100, DIVIDING: 100}
    assert set(known.cards) == {CHOICE, SEVERAL}, "what was not all right comes back, and nothing else"
    assert ben.wrong == []


def test_a_wrong_answer_comes_back_when_its_time_has_come_and_goes_on_from_there(ben: Visitor, space: int, origin: str) -> None:
    page = opened(ben, f"#/progress/{space}", "How I am doing")
    expect(page.locator(".card", has_text="What comes back")).to_contain_text("The next question comes in", timeout=WAIT_MS)
    later = int(time.time()) + 700
    page.clock.set_fixed_time(later)
    opened(ben, f"#/lessons/{space}", "Lessons")
    expect(page.locator(".today a.button", has_text="2 questions have come back")).to_be_visible(timeout=WAIT_MS)
    opened(ben, f"#/progress/{space}", "How I am doing")
    ben.shoot("progress-phone")
    page.locator("a.button", has_text="Practise now").click()
    expect(page.locator(".asking h2")).to_have_text("2 questions today", timeout=WAIT_MS)
    page.locator(".option", has_text="one quarter").click()
    page.locator(".known label", has_text="With effort").click()
    page.locator(".asking > button.main").click()
    expect(page.locator(".judgement")).to_contain_text("comes back in 15 minutes", timeout=WAIT_MS)
    expect(page.locator(".judgement [role=status]")).to_have_text("Graded by the server.", timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("practice-phone")
    onward(page)
    expect(page.locator(".asking h2")).to_have_text("1 question today", timeout=WAIT_MS)
    known = beside(_known, origin, ben.name, space, frozenset({CHOICE}))
    card = known.cards[CHOICE]
    assert card.reps == 2 and card.last >= later and known.answers[CHOICE].get(5) == Rating.HARD
    assert ben.wrong == []


def test_goals_are_written_changed_and_finished(ben: Visitor, space: int, origin: str) -> None:
    beside(_mentored, origin, ben.name)
    page = opened(ben, f"#/lessons/{space}", "Lessons")
    page.locator("button", has_text="Follow this course").click()
    opened(ben, f"#/progress/{space}", "How I am doing")
    goals = page.locator(".goals")
    goals.get_by_label("Write it: What you want to learn for").click()
    goals.locator("#goal-own").fill("To share the harvest fairly.")
    goals.locator("#goal-own").press("Enter")
    expect(goals).to_contain_text("To share the harvest fairly.", timeout=WAIT_MS)
    course = goals.locator(".goal-of", has_text="Fractions")
    course.locator("button", has_text="Write it").click()
    course.locator("input").fill("Before the rains")
    course.locator("button", has_text="Save").click()
    expect(course).to_contain_text("Before the rains", timeout=WAIT_MS)
    course.locator("button", has_text="Finished").click()
    expect(course.locator("h3")).to_contain_text("finished", timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    shared = goals.locator(".goal-of", has_text="With your mentor")
    shared.get_by_label("New goal").fill("Divide by any fraction")
    shared.get_by_label("Until").fill("2026-12-24")
    shared.locator("button", has_text="Add").click()
    expect(shared.locator("li")).to_contain_text("until December 24, 2026", timeout=WAIT_MS)
    shared.locator("li input").check()
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    expect(shared.locator("li input")).to_be_checked(timeout=WAIT_MS)
    shared.scroll_into_view_if_needed()
    ben.shoot("goals-phone")
    shared.get_by_label("Remove the goal: Divide by any fraction").click()
    expect(shared.locator("li")).to_have_count(0, timeout=WAIT_MS)
    assert ben.wrong == []


def test_who_teaches_mends_a_lesson_and_who_learns_reads_it(amina: Visitor, ben: Visitor, space: int, origin: str) -> None:
    page = opened(amina, f"#/lessons/{space}", "Lessons")
    amina.shoot("lessons-desktop")
    opened(amina, f"#/lesson/{space}/{HALVES}/edit", "Edit this lesson")
    section = page.locator(".section-form").first
    listed = "- 1/4 is one piece\n- 2/4 are two"
    text = f"{SECTIONS[0][3]}\n\n{listed}\n\n<b>Ask</b> somebody.\n\n```\n1/4 + 1/4 = 2/4\n```"
    section.locator("textarea").fill(text)
    section.locator("button.main").click()
    expect(section.locator("[role=status]")).to_have_text("Saved.", timeout=WAIT_MS)
    amina.shoot("edit-desktop")
    page.locator("button", has_text="Add a question").click()
    question = page.locator(".section-form", has_text="Question 3")
    question.get_by_label("How it is answered").select_option(label="To be put into order")
    question.get_by_label("Question", exact=True).fill("From the least to the most.")
    question.locator("button.main").click()
    expect(question.locator("[role=alert]")).to_contain_text("say what is right", timeout=WAIT_MS)
    question.get_by_label("Options").fill("a crumb\na slice\na loaf")
    question.locator("button.main").click()
    expect(question.locator("[role=status]")).to_have_text("Saved.", timeout=WAIT_MS)
    question.scroll_into_view_if_needed()
    amina.shoot("questions-desktop")
    options, places, problems = beside(_written, origin, amina.name, space)
    assert [options[place] for place in places] == ["a crumb", "a slice", "a loaf"] != list(options) and problems == []
    opened(ben, f"#/lesson/{space}/{HALVES}", "Sharing fairly")
    expect(ben.page.locator(".end .quiet").first).to_contain_text("2 of 3 questions answered", timeout=WAIT_MS)
    expect(ben.page.locator(".lesson-text li")).to_have_count(2, timeout=WAIT_MS)
    expect(ben.page.locator(".lesson-text b")).to_have_count(0)
    expect(ben.page.locator(".lesson-text").first).to_contain_text("<b>Ask</b> somebody.")
    opened(amina, f"#/lesson/{space}/{HALVES}", "Sharing fairly")
    expect(page.locator(".lesson-text pre")).to_have_text("1/4 + 1/4 = 2/4", timeout=WAIT_MS)
    amina.shoot("lesson-desktop")
    opened(amina, f"#/progress/{space}", "How I am doing")
    learners = page.locator(".card", has_text="How learners are doing")
    expect(learners.locator("li", has_text="Ben Otieno")).to_contain_text("3 lessons done", timeout=WAIT_MS)
    learners.get_by_label("What Ben Otieno is told").click()
    expect(learners.locator(".told")).to_contain_text("Only those who mentor them", timeout=WAIT_MS)
    amina.shoot("progress-desktop")
    assert amina.wrong == [] and ben.wrong == []


def test_a_picture_that_a_lesson_gets_without_a_network_waits_over_a_reload_and_is_then_read_smaller(
    amina: Visitor, ben: Visitor, space: int
) -> None:
    page = opened(amina, f"#/lesson/{space}/{HALVES}/edit", "Edit this lesson")
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    amina.context.set_offline(True)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    section = page.locator(".section-form").first
    section.locator("input[type=file]").set_input_files([payload("the loaf.jpg", "image/jpeg", photo())])
    expect(section.locator(".file.waits")).to_contain_text("waits to be sent", timeout=WAIT_MS)
    page.wait_for_function(FILES_KEPT)
    page.reload()
    expect(section.locator(".file.waits")).to_contain_text("the loaf.jpg", timeout=WAIT_MS)
    amina.shoot("edit-waits-desktop")
    amina.context.set_offline(False)
    expect(section.locator(".file.waits")).to_have_count(0, timeout=WAIT_MS)
    opened(ben, f"#/lesson/{space}/{HALVES}", "Sharing fairly")
    picture = ben.page.locator(".lesson-picture img")

    def shown() -> bool:
        # It is made smaller by a job; who looks again a moment later sees it.
        ben.page.reload()
        ben.page.locator(".lesson-section .files").first.wait_for(timeout=WAIT_MS)
        return picture.count() == 1

    assert any(shown() for _ in range(30))
    expect(picture).to_have_attribute("alt", "the loaf.jpg", timeout=WAIT_MS)
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True, timeout=WAIT_MS)
    assert picture.evaluate("one => one.naturalWidth") > 0
    ben.shoot("lesson-picture-phone")
    assert amina.wrong == [] and ben.wrong == []


def test_in_arabic_the_pages_read_from_the_right_and_axe_finds_nothing_on_any(amina: Visitor, ben: Visitor, space: int) -> None:
    paths = {
        "lessons": f"#/lessons/{space}",
        "lesson": f"#/lesson/{space}/{HALVES}",
        "checkpoint": f"#/checkpoint/{space}/{HALVES}",
        "edit": f"#/lesson/{space}/{HALVES}/edit",
        "progress": f"#/progress/{space}",
    }
    found: dict[str, list[str]] = {}
    ben.page.evaluate("location.hash = '#/settings'")
    ben.page.locator("label", has_text="العربية").click()
    expect(ben.page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    amina.page.emulate_media(color_scheme="dark")
    for visitor in (amina, ben):
        for name, path in paths.items():
            page = visitor.page
            page.evaluate("path => { location.hash = path; }", path)
            expect(page.locator(f".on-{path.split('/')[1]} h1")).to_be_visible(timeout=WAIT_MS)
            if name == "checkpoint":
                expect(page.locator(".asking")).to_be_visible(timeout=WAIT_MS)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            found[f"{name} of {visitor.name}"] = faults(page)
            visitor.shoot(f"{name}-{'arabic-phone' if visitor is ben else 'dark-desktop'}")
    assert not any(found.values()), found
    assert amina.wrong == [] and ben.wrong == []

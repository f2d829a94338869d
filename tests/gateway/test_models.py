"""Asking models, in virtual time: each question ends once and in time, and nothing of it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.breaker import BreakerLimits, State
from actors.inference import Answer, Echo, Echoed, Unanswered, Why
from actors.model_line import LineAway, LineFull, Question, Reply
from gateway.models import LinedModels, ModelFigures

LIMITS = BreakerLimits(window=6, failures_min=3, open_s=1.0, probes=1)
RESULT = msgspec.Raw(msgspec.msgpack.encode(Echoed("x")))


class Line:
    """`actors.model_line.AskingLine`, whose other end is the test."""

    def __init__(self) -> None:
        self.up = True
        self.full = False
        self.sent: list[int] = []
        self.told: Callable[[Reply], None] = lambda reply: None

    def send(self, model: str, question: Question, left_s: float) -> None:
        if not self.up:
            raise LineAway("cut")
        if self.full:
            raise LineFull("full")
        self.sent.append(question.ticket)

    async def serve(self, told: Callable[[Reply], None], *, task_status: trio.TaskStatus[None]) -> NoReturn:
        self.told = told
        task_status.started()
        await trio.sleep_forever()

    def answer(self, ticket: int) -> None:
        self.told(Reply(ticket, by="echo@1", result=RESULT))


@asynccontextmanager
async def asking(line: Line | None, *, asking_max: int = 100) -> AsyncIterator[LinedModels]:
    models = LinedModels(line, limits=LIMITS, asking_max=asking_max)
    async with trio.open_nursery() as nursery:
        await nursery.start(models.serve)
        yield models
        nursery.cancel_scope.cancel()


async def refused(models: LinedModels, within_s: float = 1.0) -> Why:
    with pytest.raises(Unanswered) as unanswered:
        await models.ask(Echo("x"), within_s)
    return unanswered.value.why


async def test_a_question_that_nobody_answers_is_late_exactly_then(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    async with asking(line) as models:
        began = trio.current_time()
        assert await refused(models, 0.7) is Why.LATE
        assert trio.current_time() - began == pytest.approx(0.7)
        line.answer(line.sent[0])  # too late, and told to nobody
        assert models.asking == 0


async def test_an_answer_is_given_to_who_asked(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    async with asking(line) as models, trio.open_nursery() as nursery:
        nursery.start_soon(_answer_soon, line)
        answer = await models.ask(Echo("x"), 5.0)
        assert (answer.by, answer.result) == ("echo@1", Echoed("x"))
        assert models.counts["echo"].answered == 1


async def _answer_soon(line: Line) -> None:
    await trio.sleep(0.1)
    line.answer(line.sent[-1])


async def test_what_cannot_be_asked_is_said_at_once_and_says_why(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    async with asking(None) as models:
        assert await refused(models) is Why.AWAY
    async with asking(line, asking_max=2) as models, trio.open_nursery() as nursery:
        began = trio.current_time()
        line.up = False
        assert await refused(models) is Why.AWAY
        line.up, line.full = True, True
        assert await refused(models) is Why.SHED
        line.full = False
        assert await refused(models, 0.0) is Why.LATE
        for _ in range(2):
            nursery.start_soon(refused, models)
        await trio.testing.wait_all_tasks_blocked()
        assert await refused(models) is Why.SHED, "the bound of what is under way"
        assert trio.current_time() == began
        assert models.breakers["echo"].state is State.CLOSED, "none of it speaks against the model"


async def test_a_model_that_fails_again_and_again_is_left_alone_then_tried_then_trusted(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    async with asking(line) as models:
        for _ in range(LIMITS.failures_min):
            assert await refused(models, 0.1) is Why.LATE
        assert await refused(models) is Why.OPEN
        assert len(line.sent) == LIMITS.failures_min, "it is not even asked"
        await trio.sleep(LIMITS.open_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_answer_soon, line)
            await models.ask(Echo("x"), 5.0)
        assert models.breakers["echo"].state is State.CLOSED
        assert models.breakers["moderation"].state is State.CLOSED, "each model has its own"


async def test_operators_see_whether_a_model_is_asked_whether_it_fails_and_what_is_under_way(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def echo(models: LinedModels) -> ModelFigures:
        (figures,) = [one for one in models.figures() if one.name == "echo"]
        return figures

    line = Line()
    assert echo(LinedModels(None)).state == "off" and echo(LinedModels(line)).state == "away"
    async with asking(line) as models:
        assert echo(models) == ModelFigures("echo", "up", "closed", 0, 0, 0, 0, {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(models.ask, Echo("x"), 1.0)
            await trio.testing.wait_all_tasks_blocked()
            assert (echo(models).under_way, echo(models).asked, echo(models).answered) == (1, 1, 0)
            line.answer(line.sent[0])
        assert (echo(models).under_way, echo(models).answered) == (0, 1)
        for _ in range(LIMITS.failures_min):
            await refused(models, 0.1)
        failing = echo(models)
        assert failing.state == "fails" and failing.breaker.startswith("open for ") and failing.unanswered == {"late": LIMITS.failures_min}
        line.up = False
        assert echo(models).state == "away"


async def test_who_cannot_wait_is_told_once_and_never_in_the_middle_of_asking(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    told: list[object] = []
    async with asking(line, asking_max=1) as models:
        models.ask_nowait(Echo("x"), 0.5, told.append)
        models.ask_nowait(Echo("x"), 0.5, told.append)
        assert told == [], "whoever asks may be in the middle of a turn"
        await trio.testing.wait_all_tasks_blocked()
        assert [one.why for one in told if isinstance(one, Unanswered)] == [Why.SHED]
        line.answer(line.sent[0])
        assert isinstance(told[1], Answer)
        await trio.sleep(1)
        assert len(told) == 2
    models.ask_nowait(Echo("x"), 0.5, told.append)
    await trio.testing.wait_all_tasks_blocked()
    assert isinstance(told[2], Unanswered), "also where nothing serves any more"


async def test_who_gave_up_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    async with asking(line) as models:
        for _ in range(500):
            with trio.move_on_after(0.001):
                await models.ask(Echo("x"), 60.0)
        assert models.asking == 0 and len(models._deadlines) < 100


async def test_when_the_asking_stops_everybody_hears_of_it(autojump_clock: trio.testing.MockClock) -> None:
    told: list[object] = []
    async with asking(Line()) as models:
        for _ in range(3):
            models.ask_nowait(Echo("x"), 60.0, told.append)
    assert [one.why for one in told if isinstance(one, Unanswered)] == [Why.AWAY] * 3


async def test_what_is_no_answer_is_none(autojump_clock: trio.testing.MockClock) -> None:
    line = Line()
    told: list[object] = []
    async with asking(line) as models:
        models.ask_nowait(Echo("x"), 60.0, told.append)
        models.ask_nowait(Echo("x"), 60.0, told.append)
        line.told(Reply(line.sent[0], by="echo@1", result=msgspec.Raw(b"\x01")))
        line.told(Reply(line.sent[1], "a word of a later version"))
    assert [one.why for one in told if isinstance(one, Unanswered)] == [Why.BROKEN, Why.BROKEN]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 2.0), st.sampled_from(("answer", "fail", "twice", "never")), st.floats(0.0, 2.0)), max_size=25),
    st.sampled_from((3, 100)),
)
def test_whatever_the_line_does_each_question_ends_once_and_in_its_time(questions: list[tuple[float, str, float]], asking_max: int) -> None:
    ends: dict[int, list[float]] = {}

    async def story() -> None:
        line = Line()
        async with asking(line, asking_max=asking_max) as models, trio.open_nursery() as nursery:
            for number, (within_s, fate, after_s) in enumerate(questions):
                before, began = len(line.sent), trio.current_time()

                def then(outcome: object, number: int = number, began: float = began) -> None:
                    ends.setdefault(number, []).append(trio.current_time() - began)

                models.ask_nowait(Echo("x"), within_s, then)
                if len(line.sent) > before and fate != "never":
                    nursery.start_soon(_later, line, line.sent[-1], fate, after_s)
                await trio.sleep(0.05)
            await trio.sleep(5)
            assert models.asking == 0

    trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(ends) == list(range(len(questions)))
    for number, (within_s, _, _) in enumerate(questions):
        (took,) = ends[number]
        assert took <= within_s + 1e-6


async def _later(line: Line, ticket: int, fate: str, after_s: float) -> None:
    await trio.sleep(after_s)
    if fate == "fail":
        line.told(Reply(ticket, "broken", words="as it was told"))
    else:
        line.answer(ticket)
        if fate == "twice":
            line.answer(ticket)

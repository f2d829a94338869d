"""Asking models: the port `Models` of this process, over whichever line there is.

    ask(request, within_s) ─▶ breaker ─▶ pending (bounded; one clock) ─▶ line ═══▶ an ML process
                                 │            │ in time: Answer            ◀═══ reply
                          Unanswered(OPEN)    ╰ else: Unanswered(LATE), and a reply that comes then is counted and dropped

A process that stands still, a Redis that forgot and a pipe that broke look the same from here: the time is over. Nobody is asked again by
itself: who asked knows whether that is worth it.

Invariant: every question ends exactly once, within its time and a turn of the event loop, whatever the world does; what is kept of it goes
with it.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import msgspec
import trio
from msgspec import Raw, Struct

from actors.breaker import Breaker, BreakerLimits, Leave, State
from actors.histogram import SECONDS, Histogram
from actors.inference import RESULT_OF, Answer, AnyRequest, AnyResult, Result, Unanswered, Why
from actors.model_line import AskingLine, LineAway, LineFull, Question, Reply

Then = Callable[["Answer | Unanswered"], None]

ASKING_MAX: Final = 2000
"""Questions under way in one process. Each is held with its text, of 80 kB at most, until it is sent, and by a few hundred bytes then."""
_FAULTS: Final = frozenset({Why.LATE, Why.BROKEN})
"""What speaks against the model. `AWAY` and `SHED` are said at once and cost nobody anything: a breaker would only make it longer."""
_SPARE: Final = 64

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Result]] = {request: msgspec.msgpack.Decoder(result) for request, result in RESULT_OF.items()}


class ModelCounts:
    """What became of the questions to one model; read by the metrics."""

    __slots__ = ("answered", "asked", "degraded", "late_replies", "seconds", "unanswered")

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.degraded = 0
        """Of the answered."""
        self.unanswered = dict.fromkeys(Why, 0)
        self.late_replies = 0
        self.seconds = Histogram(SECONDS)
        """From the question to the answer, of those that were answered."""


class ModelFigures(Struct, frozen=True):
    """A model as this process asks it. `state`: `up`, `fails`, `away` or `off`; `breaker`: in words; `unanswered`: by why."""

    name: str
    state: str
    breaker: str
    under_way: int
    asked: int
    answered: int
    degraded: int
    unanswered: dict[str, int]


class _Pending(Struct):
    """A question under way. `then` is None once its end was told."""

    model: str
    kind: type
    leave: Leave
    then: Then
    began_s: float
    late_s: float


class LinedModels:
    """`actors.inference.Models`. Run `serve` under a supervisor; while it does not run, everything is `Unanswered(AWAY)` at once."""

    def __init__(
        self,
        line: AskingLine | None,
        *,
        limits: BreakerLimits | None = None,
        asking_max: int = ASKING_MAX,
    ) -> None:
        """`line` None: models are switched off."""
        self._line = line
        self._asking_max = asking_max
        names = [request.model for request in RESULT_OF]
        self.breakers = {name: Breaker(limits) for name in names}
        self.counts = {name: ModelCounts() for name in names}
        self._pending: dict[int, _Pending] = {}
        self._deadlines: list[tuple[float, int]] = []
        """A heap; what was answered stays in it until its time, or until such are the most of it."""
        self._last = 0
        self._refused: deque[tuple[Then, Unanswered]] = deque()
        self._bell = trio.Event()
        self._wakes_s = 0.0
        self._serving = False

    @property
    def on(self) -> bool:
        """Whether there is a line at all."""
        return self._line is not None

    @property
    def asking(self) -> int:
        """Questions under way."""
        return len(self._pending)

    @property
    def up(self) -> bool:
        """Whether a question can be sent now."""
        return self._serving and self._line is not None and self._line.up

    def figures(self) -> list[ModelFigures]:
        """Of every model, in the order of their names."""
        under_way = Counter(pending.model for pending in self._pending.values())
        now_s = trio.current_time()
        return [
            ModelFigures(
                name,
                self._state(self.breakers[name]),
                breaker_words(self.breakers[name], now_s),
                under_way[name],
                counts.asked,
                counts.answered,
                counts.degraded,
                {why.value: count for why, count in counts.unanswered.items() if count},
            )
            for name, counts in sorted(self.counts.items())
        ]

    def _state(self, breaker: Breaker) -> str:
        if not self.on:
            return "off"
        if not self.up:
            return "away"
        return "up" if breaker.state is State.CLOSED else "fails"

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        task = trio.lowlevel.current_task()
        said: list[Answer | Unanswered] = []

        def then(outcome: Answer | Unanswered) -> None:
            said.append(outcome)
            trio.lowlevel.reschedule(task)

        started = self._start(request, within_s, then, key)
        if isinstance(started, Unanswered):
            await trio.lowlevel.checkpoint()
            raise started

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget(started)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        (outcome,) = said
        if isinstance(outcome, Unanswered):
            raise outcome
        return outcome

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Then, *, key: int = 0) -> None:
        started = self._start(request, within_s, then, key)
        if isinstance(started, Unanswered):
            if self._serving:  # not from here: whoever asks may be in the middle of a turn
                self._refused.append((then, started))
                self._bell.set()
            else:
                trio.lowlevel.current_trio_token().run_sync_soon(then, started)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the line and the time, for ever."""
        self._serving = True
        try:
            async with trio.open_nursery() as nursery:
                if self._line is not None:
                    await nursery.start(self._line.serve, self._told)
                nursery.start_soon(self._keep_time)
                task_status.started()
        finally:
            self._serving = False
            self._tell_refused()
            for ticket in list(self._pending):
                self._end(ticket, Unanswered(Why.AWAY, "this process stops asking"))
            self._deadlines.clear()

    def _start(self, request: AnyRequest, within_s: float, then: Then, key: int) -> int | Unanswered:
        name, now_s = request.model, trio.current_time()
        counts, breaker = self.counts[name], self.breakers[name]
        counts.asked += 1
        line = self._line
        if line is None or not self._serving or not line.up:
            return self._refuse(name, Why.AWAY, "models are switched off" if line is None else "the line is not there")
        if within_s <= 0.0:
            return self._refuse(name, Why.LATE, "no time was given")
        if len(self._pending) >= self._asking_max:
            return self._refuse(name, Why.SHED, f"{self._asking_max} questions are under way")
        leave = breaker.admit(now_s)
        if leave is None:
            rests_s = breaker.rests_s(now_s)
            return self._refuse(name, Why.OPEN, f"left alone for {rests_s:.1f} s more" if rests_s else "one question at a time is tried")
        self._last += 1
        ticket = self._last
        try:
            line.send(name, Question(ticket, key, Raw(_encoder.encode(request))), within_s)
        except (LineAway, LineFull) as error:
            breaker.unasked(leave)
            return self._refuse(name, Why.SHED if isinstance(error, LineFull) else Why.AWAY, str(error))
        except ValueError:
            breaker.unasked(leave)
            raise
        late_s = now_s + within_s
        self._pending[ticket] = _Pending(name, type(request), leave, then, now_s, late_s)
        heapq.heappush(self._deadlines, (late_s, ticket))
        if late_s < self._wakes_s:
            self._bell.set()
        if len(self._deadlines) > 2 * len(self._pending) + _SPARE:
            self._deadlines = [(pending.late_s, ticket) for ticket, pending in self._pending.items()]
            heapq.heapify(self._deadlines)
        return ticket

    def _refuse(self, name: str, why: Why, words: str) -> Unanswered:
        self.counts[name].unanswered[why] += 1
        return Unanswered(why, f"{name}: {words}")

    def _told(self, reply: Reply) -> None:
        pending = self._pending.get(reply.ticket)
        if pending is None:
            return
        if reply.why:
            self._end(reply.ticket, Unanswered(_why(reply.why), f"{pending.model}: {reply.words}"))
            return
        try:
            result = _decoders[pending.kind].decode(reply.result)
        except msgspec.MsgspecError as error:
            self._end(reply.ticket, Unanswered(Why.BROKEN, f"{reply.by} answered what is no answer: {error}"))
            return
        self._end(reply.ticket, Answer(_known(result), reply.by, reply.words))

    def _end(self, ticket: int, outcome: Answer | Unanswered) -> None:
        pending = self._pending.pop(ticket)
        counts, breaker, now_s = self.counts[pending.model], self.breakers[pending.model], trio.current_time()
        if isinstance(outcome, Answer):
            counts.answered += 1
            counts.degraded += bool(outcome.degraded)
            counts.seconds.observe(now_s - pending.began_s)
            breaker.passed(pending.leave)
        else:
            counts.unanswered[outcome.why] += 1
            if outcome.why in _FAULTS:
                breaker.failed(pending.leave, now_s)
            else:
                breaker.unasked(pending.leave)
        pending.then(outcome)

    def _forget(self, ticket: int) -> None:
        """Who asked has gone."""
        pending = self._pending.pop(ticket, None)
        if pending is not None:
            self.breakers[pending.model].unasked(pending.leave)

    async def _keep_time(self) -> None:
        while True:
            self._bell = trio.Event()
            self._tell_refused()
            now_s = trio.current_time()
            while self._deadlines and self._deadlines[0][0] <= now_s:
                _, ticket = heapq.heappop(self._deadlines)
                if ticket in self._pending:
                    pending = self._pending[ticket]
                    self._end(ticket, Unanswered(Why.LATE, f"{pending.model}: not within {pending.late_s - pending.began_s:.3f} s"))
            self._wakes_s = self._deadlines[0][0] if self._deadlines else float("inf")
            with trio.move_on_at(self._wakes_s):
                await self._bell.wait()

    def _tell_refused(self) -> None:
        while self._refused:
            then, refusal = self._refused.popleft()
            then(refusal)


def breaker_words(breaker: Breaker, now_s: float) -> str:
    """What it is, for people."""
    rests_s = breaker.rests_s(now_s)
    return f"{breaker.state.value} for {rests_s:.1f} s more" if breaker.state is State.OPEN and rests_s else breaker.state.value


def _why(word: str) -> Why:
    try:
        return Why(word)
    except ValueError:  # a newer process has another word for it
        return Why.BROKEN


def _known(result: Result) -> AnyResult:
    assert isinstance(result, tuple(RESULT_OF.values()))
    return result  # type: ignore[return-value]

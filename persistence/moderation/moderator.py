"""The moderator: looks at everything that was said, after it was committed, or before anybody reads it where a community wants that.

    journal's commits ─told─▶ streams with news ─claim─▶ what was said ─▶ Models (or the lexicon) ─▶ decide ─▶ allowed: the cursor moves
    check first ─held────────▶ rows that wait ──claim─▶      ┆                                          ╰▶ rule: taken back, with a reason
    a sweep finds what a killed gateway left behind          ╰ flooding is asked for each

One in every gateway. Posting never waits for it and writes nothing for it: what this process committed is told in memory, and what is
forgotten here (a crash, a full memory) stands behind its stream's cursor, where the sweep of any gateway finds it. No connection is held
while a model thinks: claims are leases.

Invariant: a cursor passes an event only after it was judged, in the transaction of what was done about it. What waits in a stream that is
checked first leaves `held` by a verdict of a model or the decision of a person, or by courtesy that the lexicon knows; never by a time-out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import ceil
from typing import Final, Protocol, TypeVar

import asyncpg
import msgspec
import structlog
import trio
from msgspec import Struct

from actors import lexicon
from actors.flooding import Flooding
from actors.histogram import SECONDS, Histogram
from actors.inference import About, Answer, Judge, Models, Unanswered, Verdict, Why
from actors.moderation import Action, Outcome, Reason, covered_spans, decide, unjudged
from actors.storage import Fact, Herald
from actors.storage_port import OutcomeUnknown, StorageError, Unavailable
from persistence.append import AUTHORITY_MOVED, NewEvent, append_events, recall_heads
from persistence.bridge import Bridge
from persistence.journal import POISON, raise_if_ours
from persistence.moderation.rulings import Done, Ruling, put_off, rule, rule_first
from persistence.moderation.spoken import EVENTS_MAX, LEASE_S, Claimed, Spoken, advance, claim, claim_held, find_behind, set_aside
from protocol.values import Harm, HeldForm, SpaceKind

T = TypeVar("T")

log = structlog.get_logger("moderation")

TURN_CALLS: Final = 3
"""Calls that a lease has time for beside the model: the claim, one that does something, and once more where another stood in its way."""
ATTEMPTS_MAX: Final = 5
PASSING: Final = frozenset({"conflict", "timeout"})
"""Why the database could not do one thing and can do the next: somebody else held what it needs."""
STREAMS_MAX: Final = 10_000
"""Streams with news that are remembered; beyond them the sweep finds what is left."""
_JUDGED_TAGS: Final = frozenset((1, 2, 6, 10, 11, 14, 15, 16, 17, 30))


class ModeratorOptions(Struct, frozen=True):
    """Bounds. `answer_s`: how long a model has for what stands already; `first_s`: for what nobody sees until then."""

    workers: int = 3
    batch_streams: int = 8
    at_once: int = 16
    """Texts that are looked at before anything else of the process has its turn: a few milliseconds."""
    per_s: float = 300.0
    """Texts that stand already and are looked at by this process in a second; more wait behind their cursors. Each costs some 0.2 ms of
    the process that people's messages go through, so this is at most a fifteenth of it."""
    burst: float = 100.0
    flooding: bool = True
    answer_s: float = 0.7
    first_s: float = 3.0
    first_batch: int = 32
    first_poll_s: float = 1.0
    sweep_s: float = 5.0
    sweep_streams: int = 5_000
    busy_s: float = 0.05
    """When a stream that another gateway was at is asked for again."""
    away_s: float = 1.0
    put_off_s: float = 2.0
    put_off_max_s: float = 30.0
    lease_min_s: float = LEASE_S
    call_s: float = 5.0
    lexicon: bool = True
    """Whether what stands already is judged by the lexicon where no model answers."""

    @property
    def lease_s(self) -> float:
        """Of a claim of streams: as long as a turn may take at the most, its questions, its pace and its calls."""
        texts = self.batch_streams * EVENTS_MAX
        return max(self.lease_min_s, ceil(texts / self.at_once) * self.answer_s + texts / self.per_s + TURN_CALLS * self.call_s)

    @property
    def first_lease_s(self) -> float:
        """Of a claim of what nobody has seen: all its questions, and calls. What is not done when it ends is left to the next claim."""
        return max(self.lease_min_s, ceil(self.first_batch / self.at_once) * self.first_s + TURN_CALLS * self.call_s)


class ModeratorStats(Struct):
    """What it did since it was made."""

    judged: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    """By what was done, in lower case."""
    unanswered: dict[str, int] = msgspec.field(default_factory=dict)
    """By why no model answered: then it was the lexicon, or it waits."""
    released: int = 0
    put_off: int = 0
    swept: int = 0
    """Streams that the sweep found."""
    lost: int = 0
    """Claims that ended before they were used."""
    failed: int = 0
    verdict_s: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))
    """From when this gateway committed something until what follows from it is committed."""
    model_s: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))


class Moderator:
    """See the module. `serve` runs it; `told` and `held` may be called at any time and never wait."""

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        models: Models,
        options: ModeratorOptions = ModeratorOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._bridge = bridge
        self._herald = herald
        self._models = models
        self._options = options
        self._news: dict[int, float] = {}
        """Streams in which something was said, with when it was heard of first."""
        self._mine: set[int] = set()
        """Streams that a worker here is at."""
        self._said = trio.Event()
        self._waiting = trio.Event()
        self._flooding = Flooding()
        self._paid_until_s = 0.0
        self._away = False
        self.stats = ModeratorStats()

    @property
    def streams_waiting(self) -> int:
        return len(self._news)

    def told(self, facts: Sequence[Fact]) -> None:
        """The journal of this process has committed these."""
        news = self._news
        for fact in facts:
            body = fact.body
            if len(body) > 1 and body[1] in _JUDGED_TAGS and fact.author and len(news) < STREAMS_MAX:
                if fact.stream not in news:
                    news[fact.stream] = trio.current_time()
                self._said.set()

    def held(self) -> None:
        """Something waits to be judged before it is delivered."""
        self._waiting.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled."""
        self._mine.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(self._options.workers):
                nursery.start_soon(self._follow)
            nursery.start_soon(self._check_first)
            nursery.start_soon(self._sweep)
            task_status.started()

    # -- what stands already ------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            streams = [stream for stream in self._news if stream not in self._mine][: self._options.batch_streams]
            if not streams:
                # Only one that was set is replaced, or who waits for it would sleep for ever.
                if self._said.is_set():
                    self._said = trio.Event()
                await self._said.wait()
                continue
            heard = {stream: self._news.pop(stream) for stream in streams}
            self._mine.update(streams)
            left: dict[int, float] = dict(heard)
            try:
                left = await self._look(heard)
            except StorageError as error:
                self._note(str(error))
                await trio.sleep(self._options.away_s)
            except POISON as error:
                raise_if_ours(error)
                # Its claim ends by itself, and the sweep finds it again.
                left = {}
                self._fail(error)
            finally:
                self._mine.difference_update(streams)
            if left:
                await trio.sleep(self._options.busy_s)
                for stream, at in left.items():
                    self._news[stream] = min(at, self._news.get(stream, at))
            self._said.set()

    async def _look(self, heard: dict[int, float]) -> dict[int, float]:
        """Judges what was said in these streams; returns those in which there is more, or that somebody else is at."""
        options = self._options

        async def take(connection: asyncpg.Connection) -> list[Claimed]:
            return await claim(connection, list(heard), options.lease_s)

        parts: list[Claimed] = await self._bridge.run(take, deadline_s=options.call_s, isolation="none")
        self._note("")
        spoken = [one for part in parts for one in part.spoken]
        rulings = await self._judge(spoken, options.answer_s)
        by_stream: dict[int, list[Ruling]] = {}
        for ruling in rulings:
            if ruling.outcome.action is not Action.ALLOW or ruling.outcome.note:
                by_stream.setdefault(ruling.spoken.stream, []).append(ruling)
        quiet = [part for part in parts if part.claim and part.stream not in by_stream]
        if quiet:
            moved = [(part.stream, part.upto) for part in quiet]

            async def move(connection: asyncpg.Connection) -> set[int]:
                return await advance(connection, quiet[0].claim, moved)

            self.stats.lost += len(quiet) - len(await self._bridge.run(move, deadline_s=options.call_s, isolation="none"))
        for part in parts:
            if part.stream in by_stream:
                await self._act(part, by_stream[part.stream])
        now = trio.current_time()
        for part in parts:
            for _ in part.spoken:
                self.stats.verdict_s.observe(now - heard[part.stream])
        claimed = {part.stream: part for part in parts}
        return {stream: at for stream, at in heard.items() if stream not in claimed or claimed[stream].more}

    async def _act(self, part: Claimed, rulings: Sequence[Ruling]) -> None:
        """Does what follows for one stream and moves its cursor, in one transaction. Where that is not possible, each for itself: staff
        hear of what cannot be done, and the cursor moves on."""
        try:
            await self._carry_out(part, rulings, moves=True)
        except POISON as error:
            raise_if_ours(error)
            self._fail(error)
        else:
            return
        for ruling in rulings:
            for tried in (ruling, _for_a_person(ruling.spoken, "what was decided could not be done", first=False)):
                try:
                    await self._carry_out(part, (tried,), moves=False)
                    break
                except POISON as error:
                    raise_if_ours(error)
                    self._fail(error)
        await self._carry_out(part, (), moves=True)

    async def _carry_out(self, part: Claimed, rulings: Sequence[Ruling], *, moves: bool) -> None:
        async def work(tx: asyncpg.Connection) -> tuple[None, list[NewEvent]]:
            done = [await rule(tx, ruling) for ruling in rulings]
            if moves and not await advance(tx, part.claim, [(part.stream, part.upto)]):
                raise _Lost
            return None, [event for one in done for event in one.events]

        try:
            await self._commit(work)
        except _Lost:
            self.stats.lost += 1
            return
        for ruling in rulings:
            self._count(ruling.outcome)

    # -- what nobody has seen yet -------------------------------------------------------------------------------------

    async def _check_first(self) -> None:
        options = self._options
        while True:
            self._waiting = trio.Event()
            try:
                while await self._look_first():
                    pass
            except StorageError as error:
                self._note(str(error))
            except POISON as error:
                raise_if_ours(error)
                self._fail(error)
            with trio.move_on_after(options.first_poll_s):
                await self._waiting.wait()

    async def _look_first(self) -> bool:
        """Judges what waits longest; whether there may be more."""
        options = self._options

        async def take(connection: asyncpg.Connection) -> list[Spoken]:
            return await claim_held(connection, options.first_batch, options.first_lease_s)

        until_s = trio.current_time() + options.first_lease_s
        spoken: list[Spoken] = await self._bridge.run(take, deadline_s=options.call_s, isolation="none")
        for ruling in await self._judge(spoken, options.first_s, first=True):
            if trio.current_time() + 2 * options.call_s > until_s:
                # Somebody else may have it next; whoever it is judges it once more.
                self.stats.lost += 1
                break
            try:
                await self._act_first(ruling)
            except Unavailable as error:
                if error.reason not in PASSING:
                    raise
                # It comes again when its lease ends; those behind it do not wait for that.
                self.stats.lost += 1
        return len(spoken) >= options.first_batch

    async def _act_first(self, ruling: Ruling) -> None:
        """Does what follows for one. What cannot be done waits for a person, and for nobody else."""
        spoken = ruling.spoken
        why = spoken.fault or "what was decided could not be done"
        for tried in (ruling, _for_a_person(spoken, why, first=True)):
            try:
                await self._carry_out_first(tried)
                return
            except POISON as error:
                raise_if_ours(error)
                self._fail(error)

        async def work(tx: asyncpg.Connection) -> tuple[None, list[NewEvent]]:
            await set_aside(tx, spoken.held, why)
            return None, []

        await self._commit(work)

    async def _carry_out_first(self, ruling: Ruling) -> None:
        spoken, options = ruling.spoken, self._options
        nobody = not spoken.fault and bool(ruling.outcome.reasons[:1]) and ruling.outcome.why is Harm.OTHER
        wait_s = min(options.put_off_s * 2 ** min(spoken.attempts, 10), options.put_off_max_s)

        async def work(tx: asyncpg.Connection) -> tuple[Done, list[NewEvent]]:
            done = await put_off(tx, ruling, wait_s) if nobody else await rule_first(tx, ruling)
            return done, list(done.events)

        done = await self._commit(work)
        if nobody:
            self.stats.put_off += 1
        else:
            self._count(ruling.outcome)
            self.stats.released += done.became is not None

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _judge(self, spoken: Sequence[Spoken], within_s: float, *, first: bool = False) -> list[Ruling]:
        """What is to be done about each, in order. Asks for all at once: models answer in batches."""
        rulings: list[Ruling] = []
        for begin in range(0, len(spoken), self._options.at_once):
            some = spoken[begin : begin + self._options.at_once]
            judged: dict[int, Ruling] = {}

            async def one(at: int, it: Spoken, into: dict[int, Ruling] = judged) -> None:
                try:
                    into[at] = await self._judge_one(it, within_s, first)
                except POISON as error:
                    # Of this text alone: those beside it are judged, and a person looks at it.
                    self._fail(error)
                    into[at] = _for_a_person(it, f"judging it failed ({type(error).__name__})", first=first)

            async with trio.open_nursery() as nursery:
                for at, it in enumerate(some):
                    nursery.start_soon(one, at, it)
            rulings += [judged[at] for at in range(len(some))]
            self.stats.judged += len(some)
            if not first:
                await self._pay(len(some))
        return rulings

    async def _pay(self, texts: int) -> None:
        """Waits where more was looked at than the process has to spare."""
        now, options = trio.current_time(), self._options
        self._paid_until_s = max(self._paid_until_s, now - options.burst / options.per_s) + texts / options.per_s
        if self._paid_until_s > now:
            await trio.sleep_until(self._paid_until_s)

    async def _judge_one(self, spoken: Spoken, within_s: float, first: bool) -> Ruling:
        if spoken.fault:
            return _for_a_person(spoken, spoken.fault, first=first)
        began_s = trio.current_time()
        question = Judge(spoken.text, spoken.context.about, minors=spoken.space_kind is not SpaceKind.CONVERSATION)
        try:
            answer = await self._models.ask(question, within_s, key=spoken.stream)
        except Unanswered as error:
            return self._judge_alone(spoken, error.why, first)
        self.stats.model_s.observe(trio.current_time() - began_s)
        assert isinstance(answer.result, Verdict), answer
        verdict = self._flooded(spoken, answer.result)
        outcome = _decide(spoken, verdict)
        return Ruling(spoken, outcome, answer.by, answer.degraded, verdict.language)

    def _judge_alone(self, spoken: Spoken, why: Why, first: bool) -> Ruling:
        """Without a model."""
        unanswered = self.stats.unanswered
        unanswered[why.value] = unanswered.get(why.value, 0) + 1
        degraded = f"the model did not answer ({why.value}); the lexicon alone looked at it"
        if not self._options.lexicon and not first:
            return Ruling(spoken, Outcome(Action.ALLOW), lexicon.NAME, degraded)
        verdict = self._flooded(spoken, lexicon.judge(spoken.text))
        outcome = _decide(spoken, verdict)
        if first and not (outcome.action is Action.ALLOW and lexicon.clears(spoken.text)) and outcome.action is not Action.HIDE:
            return Ruling(spoken, unjudged(degraded), lexicon.NAME, degraded)
        return Ruling(spoken, outcome, lexicon.NAME, degraded)

    def _flooded(self, spoken: Spoken, verdict: Verdict) -> Verdict:
        # Who mends a message says nearly the same again, and only once for those who read it.
        if spoken.context.about is not About.MESSAGE or spoken.form is HeldForm.EDIT or not self._options.flooding:
            return verdict
        place = (spoken.stream, spoken.seq) if spoken.seq else (-spoken.stream, spoken.held)
        score = self._flooding.seen(spoken.author, spoken.text[: spoken.names_from], spoken.at_s, place)
        if score <= verdict.scores.get(Harm.SPAM, 0.0):
            return verdict
        return msgspec.structs.replace(verdict, scores={**verdict.scores, Harm.SPAM: score})

    async def _commit(self, work: Callable[[asyncpg.Connection], Awaitable[tuple[T, list[NewEvent]]]]) -> T:
        """Runs a transaction, appends what it gives at last, and tells of it. Again where another stood in its way, or where nobody knows
        whether it was committed: whatever is done here is done once. Raises `StorageError`, or what `work` raised."""
        touched: set[int] = set()

        async def whole(tx: asyncpg.Connection) -> tuple[T, list[Fact]]:
            done, events = await work(tx)
            touched.update(event.stream for event in events)
            return done, await append_events(tx, events) if events else []

        unknown = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                done, facts = await self._bridge.run(whole, deadline_s=self._options.call_s)
            except OutcomeUnknown:
                unknown = True
                if attempt == ATTEMPTS_MAX:
                    raise
            except Unavailable as error:
                # Deadlocks and failed serialisations, in the bridge's words.
                if error.reason != "conflict" or attempt == ATTEMPTS_MAX:
                    raise
            except asyncpg.PostgresError as error:
                if error.sqlstate != AUTHORITY_MOVED or attempt == ATTEMPTS_MAX:
                    raise
            else:
                if unknown and touched and not facts:
                    # It had been committed: followers are told of the last of each stream, and fetch what they miss before it.
                    find = partial(recall_heads, streams=sorted(touched))
                    facts = await self._bridge.run(find, deadline_s=self._options.call_s, readonly=True, isolation="none")
                if facts:
                    self._herald.committed(facts)
                return done
            await trio.sleep(self._options.busy_s)
        raise AssertionError("unreachable")

    def _count(self, outcome: Outcome) -> None:
        name = outcome.action.name.lower() if outcome.action or not outcome.note else "noted"
        self.stats.outcomes[name] = self.stats.outcomes.get(name, 0) + 1

    async def _sweep(self) -> None:
        """Finds streams that are behind and that nobody was told of: those of a gateway that was killed, and what was forgotten."""
        options = self._options
        after = 0
        while True:

            async def find(connection: asyncpg.Connection, after: int = after) -> tuple[list[int], int]:
                return await find_behind(connection, after, options.sweep_streams)

            try:
                behind, after = await self._bridge.run(find, deadline_s=options.call_s, readonly=True, isolation="none")
            except StorageError as error:
                self._note(str(error))
            else:
                for stream in behind:
                    if stream not in self._news and stream not in self._mine and len(self._news) < STREAMS_MAX:
                        self._news[stream] = trio.current_time()
                        self.stats.swept += 1
                self._said.set()
            await trio.sleep(options.sweep_s)

    def _fail(self, error: BaseException) -> None:
        self.stats.failed += 1
        log.error("moderation_failed", error=repr(error))

    def _note(self, trouble: str) -> None:
        if bool(trouble) is not self._away:
            self._away = bool(trouble)
            if trouble:
                log.warning("moderation_lost", error=trouble)
            else:
                log.info("moderation_recovered")


def _decide(spoken: Spoken, verdict: Verdict) -> Outcome:
    """What follows. A file's name is not covered in part: where that would be needed, a person looks at it all."""
    in_names = any(end > spoken.names_from for _, end in covered_spans(verdict))
    policy = msgspec.structs.replace(spoken.policy, mask=False) if in_names else spoken.policy
    outcome = decide(verdict, policy, spoken.context, spoken.text)
    return msgspec.structs.replace(outcome, text=outcome.text[: spoken.names_from])


def _for_a_person(spoken: Spoken, why: str, *, first: bool) -> Ruling:
    """Of what no model and no lexicon can judge: it waits where it is checked first, and else stands and is shown to staff."""
    outcome = unjudged(why) if first else Outcome(Action.ALLOW, (Reason(Harm.OTHER, 100),), note=True)
    return Ruling(msgspec.structs.replace(spoken, fault=why), outcome, "", why)


class _Lost(Exception):
    """The claim ended: another is at it, and this transaction is undone."""


class Absent:
    """Models that are nowhere: every question is unanswered at once. Until there is a line to them, and where there is none."""

    async def ask(self, request: object, within_s: float, *, key: int = 0) -> Answer:
        await trio.lowlevel.checkpoint()
        raise Unanswered(Why.AWAY, "no line to models")

    def ask_nowait(self, request: object, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        then(Unanswered(Why.AWAY, "no line to models"))


class Listener(Protocol):
    """Who hears of what was committed, and does what follows in its own time."""

    def told(self, facts: Sequence[Fact]) -> None: ...


class Overheard:
    """A herald of whose words others hear, too, before they are told to anybody else."""

    def __init__(self, herald: Herald, *listeners: Listener) -> None:
        self._herald = herald
        self._listeners = listeners

    def committed(self, facts: Sequence[Fact]) -> None:
        for listener in self._listeners:
            listener.told(facts)
        self._herald.committed(facts)

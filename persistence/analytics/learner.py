"""The job for one learner: what they might do next, what is noticed about their learning, cards that devices disagree about.

    job(stream of answers) ─▶ read: library (kept while its head stands), their records, their last answers
                           ─▶ Foresee ─▶ Models        Unanswered: a rule, and NEXT says so
                           ─▶ decide (actors.insights, protocol.curriculum, protocol.reviews)
                           ─▶ learners, NEXT, INSIGHT, CARD in one transaction, if anything of it is new

A card is made anew where more reviews of it were kept than it counts: two devices reviewed it without knowing of each other, and the later
one's card stood. Attempts are replayed in their order, which is what one device would have come to. So are they where a card was last
reviewed in the future: a clock that ran ahead wrote it, and the attempts' times are bounded. What is decided about a card is written if
that very card still stands then: one that was deleted or reviewed meanwhile is left alone.

Invariant: nothing here is kept that the learner's answers and the library do not say; run again, it writes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg
import trio
from msgspec import Struct

from actors.inference import Foresee, Foreseen, Models, Unanswered
from actors.inference import Step as Answer
from actors.insights import Activity, Chosen, Noticed, Reason, Tried, choose_next, notice, points_of, risk, rule_chance, stuck_in
from actors.jobs import Work
from actors.storage import Fact, Herald
from persistence.analytics.folding import LearnerOf
from persistence.append import AUTHORITY_MOVED
from persistence.bridge import Bridge
from persistence.records import NoRoom, Write, write_records
from protocol.curriculum import Lesson, Step, checkpoints_of, lesson_of, next_lessons
from protocol.entities import Entity, Fields, read_fields, upcast
from protocol.grading import LESSON, numbers
from protocol.merge import unpack_record
from protocol.reviews import RATING, Rating, card_of, fields_of, replay
from protocol.values import KeptAs, StreamKind

T = TypeVar("T")

CALL_S: Final = 30.0
ANSWER_S: Final = 5.0
"""For the model; then a rule says it."""
RECORDS_MAX: Final = 5_000
"""Of one kind in a library, that are looked at."""
TRIED_MAX: Final = 500
STEPS_MAX: Final = 40
"""Lessons that might come next, whose chances are asked."""
CARDS_MAX: Final = 200
AHEAD_S: Final = 3_600
"""A card whose last review is further ahead than this was written by a clock that was wrong."""
REVIEWS_MAX: Final = 500
"""Of one card; with more it is left as its device says."""
LIBRARIES_MAX: Final = 8
FRESH_S: Final = 86_400
"""What comes next is written again after a day, so that devices see that it is no older."""
TRIES_MAX: Final = 8
AGAIN_S: Final = 0.05
ACTIVE, _PERCENT, _LEVEL, _STATE, _COURSE, _PATH, _STEPS, _POINTS, _SUBJECT = 0, 1, 2, 5, 1, 2, 4, 1, 3
_CONTENDED: Final = (AUTHORITY_MOVED, asyncpg.UniqueViolationError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate)

_LEARNER: Final = """
select l.*, s.head as library_head, s.id as library, own.id as own, analytics_off(c.settings) as is_off,
    exists (select from members m where m.space_id = l.space_id and m.user_id = l.user_id) as is_member
from learners l join spaces c on c.id = l.space_id
left join lateral (select t.id, t.head from streams t where t.space_id = l.space_id and t.kind = $2 order by t.id limit 1) s on true
left join lateral (
    select t.id from streams t join accounts a on a.personal_space = t.space_id where a.id = l.user_id and t.kind = $3 limit 1
) own on true
where l.stream_id = $1"""
_RECORDS: Final = "select key, cells from records where stream_id = $1 and entity = $2 order by key limit $3"
_TRIED: Final = """
select lesson, points = 100 as is_right, at from attempts where user_id = $1 and space_id = $2 and points is not null
order by at desc, place desc limit $3"""
_REVIEWS: Final = """
select v.key, v.at, v.fields from entity_versions v where v.stream_id = $1 and v.entity = $2 and v.key = any($3::bigint[]) and v.kept = $4
order by v.key, v.place desc limit $5"""
_COUNTED: Final = "select question as key, count(*) as attempts from attempts where stream_id = $1 group by question"
_KEEP: Final = "update learners set risk = $2, reasons = $3, looked_day = $4 where stream_id = $1"


class Library(Struct, frozen=True):
    """What a community has to learn. `questions`: the lesson of each; `subjects`: the subject of each course that has one."""

    lessons: dict[int, Lesson]
    questions: dict[int, int]
    paths: dict[int, tuple[int, ...]]
    subjects: dict[int, int]

    def subject(self, lesson: int) -> int:
        """What a lesson is about, by its course; 0: nobody says so."""
        found = self.lessons.get(lesson)
        return self.subjects.get(found.course, 0) if found is not None else 0


class Learner(Struct, frozen=True):
    """Somebody as they stand: the row of `learners`, their records by entity and key, their latest answers, oldest first."""

    row: Any
    records: Mapping[Entity, Mapping[int, Fields]]
    tried: Sequence[Tried]
    library: Library
    writes: Sequence[Write]
    """Cards that are made anew."""

    def of(self, entity: Entity) -> Mapping[int, Fields]:
        return self.records.get(entity, {})


class Analyst:
    """Runs the job, and remembers a few libraries. `by_model`, `by_rule`: how often who foretold."""

    def __init__(self, bridge: Bridge, herald: Herald, models: Models) -> None:
        self._bridge = bridge
        self._herald = herald
        self._models = models
        self._libraries: OrderedDict[tuple[int, int], Library] = OrderedDict()
        self.by_model = 0
        self.by_rule = 0

    async def run(self, work: Work[LearnerOf]) -> None:
        """May raise `StorageError`; run it again then. What no model says is said by a rule."""
        learner = await self._bridge.run(partial(self._read, stream=work.payload.stream), deadline_s=CALL_S, readonly=True)
        if learner is None:
            return
        now = await self._bridge.run(_now, deadline_s=CALL_S, readonly=True)
        steps = open_steps(learner)
        chances, by_rule = await self._foresee(learner, steps)
        chosen = choose_next(steps, chances, by_rule=by_rule)
        reasons = reasons_of(learner, now)
        writes = [*next_writes(learner, chosen, now), *insight_writes(learner, notice(learner.tried, reasons), now), *learner.writes]
        facts = await self._until_alone(partial(_keep, stream=work.payload.stream, reasons=reasons, now=now, writes=writes))
        if facts:
            self._herald.committed(facts)
        work.report(len(facts), 0, "changes")

    async def _foresee(self, learner: Learner, steps: Sequence[Step]) -> tuple[dict[int, float], bool]:
        """The chance of each step's lesson, and whether a rule said it."""
        lessons = [step.lesson for step in steps]
        if not lessons:
            return {}, False
        answers, before = [], 0
        for one in learner.tried:
            answers.append(Answer(one.lesson, one.right, max(0, one.at - before) if before else 0))
            before = one.at
        try:
            answer = await self._models.ask(Foresee(tuple(answers), tuple(lessons)), ANSWER_S, key=learner.row["user_id"])
        except Unanswered:
            self.by_rule += 1
            return {lesson: rule_chance(learner.tried, lesson) for lesson in lessons}, True
        assert isinstance(answer.result, Foreseen)
        self.by_model += 1
        return dict(zip(lessons, answer.result.chances, strict=True)), bool(answer.degraded)

    async def _read(self, tx: asyncpg.Connection, *, stream: int) -> Learner | None:
        row = await tx.fetchrow(_LEARNER, stream, StreamKind.LIBRARY, StreamKind.OWN)
        if row is None or row["is_off"] or not row["is_member"] or row["library"] is None:
            return None
        library = await self._library(tx, row["library"], row["library_head"])
        records = {
            entity: await read_records(tx, source, entity)
            for entity, source in (
                (Entity.PROGRESS, row["progress_id"]),
                (Entity.ENROLMENT, row["progress_id"]),
                (Entity.NEXT, row["progress_id"]),
                (Entity.INSIGHT, row["progress_id"]),
                (Entity.GRADE, stream),
                (Entity.LEARNING, row["own"] or 0),
            )
        }
        tried = [Tried(*one) for one in reversed(await tx.fetch(_TRIED, row["user_id"], row["space_id"], TRIED_MAX))]
        writes = await card_writes(tx, stream, row["progress_id"])
        return Learner(row, records, tried, library, writes)

    async def _library(self, tx: asyncpg.Connection, stream: int, head: int) -> Library:
        kept = self._libraries.get((stream, head))
        if kept is None:
            kept = await read_library(tx, stream)
            self._libraries[stream, head] = kept
        self._libraries.move_to_end((stream, head))
        while len(self._libraries) > LIBRARIES_MAX:
            self._libraries.popitem(last=False)
        return kept

    async def _until_alone(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Again where another transaction came first."""
        for left in range(TRIES_MAX, -1, -1):
            try:
                return await self._bridge.run(work, deadline_s=CALL_S)
            except asyncpg.PostgresError as error:
                if error.sqlstate not in _CONTENDED or not left:
                    raise
                await trio.sleep(AGAIN_S)
        raise AssertionError("unreachable")


async def read_library(tx: asyncpg.Connection, stream: int) -> Library:
    """Lessons, paths, and which lesson each question is of."""
    lessons = await read_records(tx, stream, Entity.LESSON)
    questions = await read_records(tx, stream, Entity.QUESTION)
    paths = await read_records(tx, stream, Entity.PATH)
    courses = await read_records(tx, stream, Entity.COURSE)
    return Library(
        {key: lesson_of(key, fields) for key, fields in lessons.items()},
        {key: whole(fields.get(LESSON)) for key, fields in questions.items()},
        {key: numbers(fields.get(_STEPS)) for key, fields in paths.items()},
        {key: subject for key, fields in courses.items() if (subject := whole(fields.get(_SUBJECT)))},
    )


async def read_records(tx: asyncpg.Connection, stream: int, entity: Entity) -> dict[int, Fields]:
    """A stream's records of an entity, by key; at most `RECORDS_MAX`."""
    return {key: unpack_record(cells, entity).fields for key, cells in await tx.fetch(_RECORDS, stream, entity, RECORDS_MAX)}


def open_steps(learner: Learner) -> tuple[Step, ...]:
    """What might come next, in the curriculum's order."""
    enrolments = [fields for fields in learner.of(Entity.ENROLMENT).values() if whole(fields.get(_STATE)) == ACTIVE]
    library = learner.library
    followed = {whole(fields.get(_PATH)) for fields in enrolments}
    points = {key: whole(fields.get(_POINTS)) for key, fields in learner.of(Entity.GRADE).items()}
    return next_lessons(
        library.lessons,
        progress={key: whole(fields.get(_PERCENT)) for key, fields in learner.of(Entity.PROGRESS).items()},
        checkpoints=checkpoints_of(library.questions, points),
        paths={key: steps for key, steps in library.paths.items() if key in followed},
        courses={course for fields in enrolments if (course := whole(fields.get(_COURSE)))},
        level=whole(learner.of(Entity.LEARNING).get(1, {}).get(_LEVEL)),
        limit=STEPS_MAX,
    )


def reasons_of(learner: Learner, now: int) -> tuple[Reason, ...]:
    """The reasons of a drop-out risk. Whoever said that they pause, are done or left everything is not asked why."""
    row = learner.row
    states = [whole(fields.get(_STATE)) for fields in learner.of(Entity.ENROLMENT).values()]
    over = bool(states) and all(state != ACTIVE for state in states)
    activity = Activity(row["active"], row["active_day"], row["since"])
    today = datetime.fromtimestamp(now, UTC).date()
    return risk(activity, learner.tried, len(stuck_in(learner.tried)), today, over=over)


def next_writes(learner: Learner, chosen: Sequence[Chosen], now: int) -> list[Write]:
    """NEXT, if it says anything else than it does, or is a day old."""
    fields: Fields = {
        1: tuple(one.lesson for one in chosen),
        2: tuple(one.chance for one in chosen),
        3: tuple(one.why[:80] for one in chosen),
    }
    present = learner.of(Entity.NEXT).get(1, {})
    same = all(present.get(number, ()) == value for number, value in fields.items())
    if same and (not chosen or now - whole(present.get(4)) < FRESH_S):
        return []
    return [Write(learner.row["progress_id"], Entity.NEXT, 1, {**fields, 4: now})]


def insight_writes(learner: Learner, noticed: Sequence[Noticed], now: int) -> list[Write]:
    """INSIGHT records that are new, that changed, and that are so no more."""
    stream, present = learner.row["progress_id"], learner.of(Entity.INSIGHT)
    wanted = {one.key: one for one in noticed}
    writes = [Write(stream, Entity.INSIGHT, key, {}, gone=True) for key in present if key not in wanted]
    for key, one in wanted.items():
        fields: Fields = {1: int(one.kind), 2: learner.library.subject(one.lesson), 3: one.lesson, 4: one.value, 5: one.words}
        before = present.get(key, {})
        if any(before.get(number) != value for number, value in fields.items()):
            writes.append(Write(stream, Entity.INSIGHT, key, {**fields, 6: now}))
    return writes


async def card_writes(tx: asyncpg.Connection, answers: int, progress: int) -> list[Write]:
    """Cards of which more reviews were kept than they count, or that were last reviewed in the future; each as long as it stands so."""
    cards = {key: unpack_record(cells, Entity.CARD) for key, cells in await tx.fetch(_RECORDS, progress, Entity.CARD, RECORDS_MAX)}
    if not cards:
        return []
    latest = await _now(tx) + AHEAD_S
    ahead = {key for key, card in cards.items() if card_of(card.fields).last > latest}
    counted = await tx.fetch(_COUNTED, answers)
    more = [
        key
        for key, attempts in counted
        if key in cards and attempts <= REVIEWS_MAX and (key in ahead or card_of(cards[key].fields).reps < attempts)
    ][:CARDS_MAX]
    reviews: dict[int, list[tuple[int, Rating]]] = {}
    for key, at, packed in await tx.fetch(_REVIEWS, answers, Entity.ANSWER, more, KeptAs.ATTEMPT, CARDS_MAX * REVIEWS_MAX) if more else ():
        rating = whole(upcast(Entity.ANSWER, read_fields(packed)).get(RATING))
        if rating:
            reviews.setdefault(key, []).append((at, Rating(rating)))
    writes = []
    for key, found in reviews.items():
        present = cards[key]
        if key in ahead or len(found) > card_of(present.fields).reps:
            fields = fields_of(replay(found), whole(present.fields.get(1)))
            writes.append(Write(progress, Entity.CARD, key, fields, version=present.version))
    return writes


async def _now(tx: asyncpg.Connection) -> int:
    now: int = await tx.fetchval("select extract(epoch from clock_timestamp())::bigint")
    return now


async def _keep(tx: asyncpg.Connection, *, stream: int, reasons: Sequence[Reason], now: int, writes: Sequence[Write]) -> list[Fact]:
    words = ",".join(f"{reason.words}={reason.points}" for reason in reasons)
    await tx.execute(_KEEP, stream, points_of(reasons), words, datetime.fromtimestamp(now, UTC).date())
    try:
        return await write_records(tx, writes) if writes else []
    except NoRoom:
        # A learner with as many insights as a stream may hold has no use for another.
        return []


def whole(value: Any) -> int:
    return value if isinstance(value, int) else 0

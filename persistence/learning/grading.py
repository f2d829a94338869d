"""Grades: what waits in `ungraded` is graded, record by record, in the order in which it can never be lost.

    job(stream of answers)  ─▶ lock grades ─▶ delete what waits ─▶ read attempts, questions, keys ─▶ attempts, GRADE ─▶ commit, Facts
    job(library or studio)  ─▶ everybody who answered a question that changed waits now ─▶ a job for each of them

A merge that comes meanwhile waits at the row that is being deleted, or is seen: reading begins after the deletion.

Invariant: once nothing waits, every grade is what `protocol.grading` makes of the present answer (of an exam: of the first that came) and
of the present key; points that changed because the key did say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg
import trio
from msgspec import Struct

from actors.jobs import Order, Work, pack
from actors.storage import Fact, Herald
from persistence.append import AUTHORITY_MOVED
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.operations.ungraded import GRADE, GradeStream
from persistence.records import Write, write_records
from protocol.entities import Entity, Fields, read_fields, upcast
from protocol.grading import (
    AT,
    ATTEMPT,
    ATTEMPTS,
    EXAM,
    FEEDBACK,
    LESSON,
    NO_KEY,
    POINTS,
    RIGHT,
    SECONDS,
    Graded,
    grade_answer,
    is_covered,
)
from protocol.merge import unpack_record
from protocol.values import KeptAs, StreamKind

T = TypeVar("T")

QUESTIONS_MAX: Final = 20
"""Graded in one transaction: their rows are locked for some tens of milliseconds."""
ATTEMPTS_MAX: Final = 50
"""Of one person at one question: the newest are graded one by one; all are counted."""
LEARNERS_MAX: Final = 500
"""Whose answers to one question wait again, in one transaction."""
CALL_S: Final = 30.0
TRIES_MAX: Final = 8
AGAIN_S: Final = 0.05
KEPT_DAYS: Final = 730
"""Attempts are rows for analytics that long; the answers themselves stay in the learner's own records."""
SWEEP_MAX: Final = 10_000
_CONTENDED: Final = (AUTHORITY_MOVED, asyncpg.UniqueViolationError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate)
CHANGED: Final = "changed"

_PLACE: Final = """
select s.kind, c.id as community, p.created_by as person,
    (select t.id from streams t where t.space_id = c.id and t.kind = $2 order by t.id limit 1) as library,
    (select t.id from streams t where t.space_id = c.id and t.kind = $3 order by t.id limit 1) as studio
from streams s join spaces p on p.id = s.space_id
cross join lateral (select case p.kind when 1 then p.id else p.parent end as id) c
where s.id = $1 and p.kind in (1, 4)"""
_WAITING: Final = "select question from ungraded where stream_id = $1 order by question limit $2"
_CLAIM: Final = "delete from ungraded where stream_id = $1 and question = any($2) returning question"
_LOCK: Final = "select from lock_records($1, $2, $3)"
_RECORDS: Final = """
select r.entity, r.key, r.cells from unnest($1::bigint[], $2::smallint[]) as q (stream, entity)
join records r on r.stream_id = q.stream and r.entity = q.entity and r.key = any($3::bigint[])"""
_ATTEMPTS: Final = """
select q.key, v.place, v.at, v.version, v.fields,
    (select count(*) from entity_versions c where c.stream_id = $1 and c.entity = $2 and c.key = q.key and c.kept = $4) as attempts
from unnest($3::bigint[]) as q (key)
cross join lateral (
    (select o.place, o.at, o.version, o.fields from entity_versions o
    where o.stream_id = $1 and o.entity = $2 and o.key = q.key and o.kept = $4 order by o.place desc limit $5)
    union
    (select o.place, o.at, o.version, o.fields from entity_versions o
    where o.stream_id = $1 and o.entity = $2 and o.key = q.key and o.kept = $4 order by o.place limit 1)
) v order by q.key, v.place"""
_KEEP: Final = """
insert into attempts as a (stream_id, question, place, space_id, user_id, lesson, at, seconds, points)
select $1, w.question, w.place, $2, $3, w.lesson, w.at, w.seconds, w.points
from unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::integer[], $9::smallint[])
    as w (question, place, lesson, at, seconds, points)
on conflict (stream_id, question, place) do update set lesson = excluded.lesson, points = excluded.points
    where (a.lesson, a.points) is distinct from (excluded.lesson, excluded.points)"""
_ANSWERED: Final = f"""
select r.stream_id from records r join streams s on s.id = r.stream_id join spaces p on p.id = s.space_id
where r.entity = {int(Entity.ANSWER)} and r.key = $2 and r.stream_id > $3 and p.kind = 4 and p.parent = $1 order by r.stream_id limit $4"""
"""By the answers, not by what was graded of them: an answer is committed before anybody grades it, so none is overlooked that was graded by
what was there before, or not at all."""
_WAIT_AGAIN: Final = """
insert into ungraded as u (stream_id, question) select s, $2 from unnest($1::bigint[]) as s order by s
on conflict (stream_id, question) do update set times = least(u.times + 1, 1000000)"""
_STILL: Final = "select distinct stream_id from ungraded order by stream_id limit $1"
_SWEEP: Final = """
delete from attempts where ctid = any(array(
    select a.ctid from attempts a where a.at < extract(epoch from now())::bigint - $1 * 86400::bigint limit $2))"""


class Place(Struct, frozen=True):
    """A stream that has something to grade, and the streams of its community. 0: there is none."""

    kind: int
    community: int
    person: int
    library: int
    studio: int


class Grader:
    """Runs the job. `bridge` is used for transactions of some tens of milliseconds."""

    def __init__(self, bridge: Bridge, herald: Herald) -> None:
        self._bridge = bridge
        self._herald = herald

    async def run(self, work: Work[GradeStream]) -> None:
        """Grades what waits in one stream, until nothing does. May raise `StorageError`; run it again then."""
        stream = work.payload.stream
        place = await self._bridge.run(partial(find_place, stream=stream), deadline_s=CALL_S)
        if place is not None and place.kind in (StreamKind.LIBRARY, StreamKind.STUDIO):
            work.report(await self._grade_again(stream, place), 0, "learners")
            return
        done = 0
        while True:
            facts, claimed = await self._until_alone(partial(grade_some, stream=stream, place=place))
            if facts:
                self._herald.committed(facts)
            done += claimed
            work.report(done, 0, "questions")
            if claimed < QUESTIONS_MAX:
                return

    async def _grade_again(self, stream: int, place: Place) -> int:
        """Lets everybody's answers to the questions that changed wait to be graded."""
        total = 0
        while waiting := await self._bridge.run(partial(_find_changed, stream=stream), deadline_s=CALL_S):
            for question, times in waiting:
                after = 0
                while True:
                    streams = await self._until_alone(partial(_wait_again, place=place, question=question, after=after))
                    total += len(streams)
                    if len(streams) < LEARNERS_MAX:
                        break
                    after = streams[-1]
                # Changed once more meanwhile: from the beginning.
                await self._bridge.run(partial(_done_with, stream=stream, question=question, times=times), deadline_s=CALL_S)
        return total

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


async def find_place(tx: asyncpg.Connection, stream: int) -> Place | None:
    """None: there is no such stream, or none of a community."""
    row = await tx.fetchrow(_PLACE, stream, StreamKind.LIBRARY, StreamKind.STUDIO)
    return None if row is None else Place(row["kind"], row["community"] or 0, row["person"], row["library"] or 0, row["studio"] or 0)


async def grade_some(tx: asyncpg.Connection, stream: int, place: Place | None) -> tuple[list[Fact], int]:
    """Grades at most `QUESTIONS_MAX` of those that wait in a stream of answers; the facts, and how many."""
    waiting = [row[0] for row in await tx.fetch(_WAITING, stream, QUESTIONS_MAX)]
    if not waiting:
        return [], 0
    size = len(waiting)
    await tx.fetch(_LOCK, [stream] * size, [int(Entity.GRADE)] * size, waiting)
    questions = sorted(row[0] for row in await tx.fetch(_CLAIM, stream, waiting))
    if place is None or place.kind != StreamKind.ANSWERS or not questions:
        return [], size
    held = await _read(tx, stream, place, questions)
    writes: list[Write] = []
    rows: list[tuple[int, int, int, int, int, int | None]] = []
    now: int = await tx.fetchval("select extract(epoch from clock_timestamp())::bigint")
    for question in questions:
        asked = held.get((Entity.QUESTION, question))
        answer = held.get((Entity.ANSWER, question))
        if asked is None or answer is None:
            # What was asked is gone: the grade that there is stays.
            continue
        present = held.get((Entity.GRADE, question), (0, {}))[1]
        if is_covered(asked[1]) and present.get(FEEDBACK, NO_KEY) != NO_KEY:
            # What is asked was hidden: what was graded before stays, and all of it waits again once it is shown.
            continue
        key = held.get((Entity.ANSWER_KEY, question), (0, {}))[1]
        # Comparing words can cost a millisecond an attempt: others of the loop have their turn.
        await asyncio.sleep(0)
        attempts, tried = held.attempts.get(question, (0, []))
        lesson = asked[1].get(LESSON, 0)
        for at, said, _, fields in tried:
            graded = grade_answer(asked[1], fields, key)
            seconds = fields.get(SECONDS, 0)
            rows.append((question, at, _whole(lesson), said, _whole(seconds), None if graded is None else graded.points))
        version, counts = answer
        if asked[1].get(EXAM) is True and tried:
            # The first to come: whoever might answer again until it is right were told the key by their grade.
            _, _, version, counts = tried[0]
        fields = grade_fields(grade_answer(asked[1], counts, key), version, attempts, present)
        if fields:
            writes.append(Write(stream, Entity.GRADE, question, {**fields, AT: now}))
    if rows:
        await tx.execute(_KEEP, stream, place.community, place.person, *(list(column) for column in zip(*rows, strict=True)))
    return await write_records(tx, writes), size


def grade_fields(graded: Graded | None, version: int, attempts: int, present: Fields) -> Fields:
    """What a grade has to say now, of the answer's `version`; empty: it says so already. `graded` None: there is no usable key."""
    points, right, words = (0, False, NO_KEY) if graded is None else (graded.points, graded.right, graded.words)
    before = present.get(FEEDBACK, "")
    if present.get(ATTEMPT) == version and graded is not None and before not in ("", NO_KEY):
        if present.get(POINTS) == points:
            words = str(before)
        else:
            # Nobody answered anew: what was right is another thing now, and that is said.
            words = f"{CHANGED}:{present.get(POINTS, 0)}:{words}"
    fields: Fields = {POINTS: points, RIGHT: right, ATTEMPTS: attempts, FEEDBACK: words, ATTEMPT: version}
    return {} if all(present.get(number) == value for number, value in fields.items()) else fields


class _Held(dict[tuple[int, int], tuple[int, Fields]]):
    """Records by entity and key: version and fields. `attempts`: by question how many, and the first and the newest: place, time, version,
    fields."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: dict[int, tuple[int, list[tuple[int, int, int, Fields]]]] = {}


async def _read(tx: asyncpg.Connection, stream: int, place: Place, questions: Sequence[int]) -> _Held:
    held = _Held()
    wanted = ((stream, Entity.ANSWER), (stream, Entity.GRADE), (place.library, Entity.QUESTION), (place.studio, Entity.ANSWER_KEY))
    rows = await tx.fetch(_RECORDS, [stream for stream, _ in wanted], [int(entity) for _, entity in wanted], questions)
    for entity, key, cells in rows:
        record = unpack_record(cells, entity)
        held[entity, key] = (record.version, record.fields)
    for row in await tx.fetch(_ATTEMPTS, stream, Entity.ANSWER, questions, KeptAs.ATTEMPT, ATTEMPTS_MAX):
        _, tried = held.attempts.setdefault(row["key"], (row["attempts"], []))
        tried.append((row["place"], row["at"], row["version"], upcast(Entity.ANSWER, read_fields(row["fields"]))))
    return held


async def _find_changed(tx: asyncpg.Connection, stream: int) -> list[tuple[int, int]]:
    rows = await tx.fetch("select question, times from ungraded where stream_id = $1 order by question limit $2", stream, QUESTIONS_MAX)
    return [(row["question"], row["times"]) for row in rows]


async def _wait_again(tx: asyncpg.Connection, place: Place, question: int, after: int) -> list[int]:
    """Streams of answers that wait now, those after a stream."""
    streams = [row[0] for row in await tx.fetch(_ANSWERED, place.community, question, after, LEARNERS_MAX)]
    if streams:
        await tx.execute(_WAIT_AGAIN, streams, question)
        await order(tx, streams)
    return streams


async def _done_with(tx: asyncpg.Connection, stream: int, question: int, times: int) -> None:
    await tx.execute("delete from ungraded where stream_id = $1 and question = $2 and times = $3", stream, question, times)


async def order(tx: asyncpg.Connection, streams: Sequence[int]) -> int:
    """Orders the job for each of these streams; how many were not ordered yet."""
    orders = [Order(GRADE, pack(GradeStream(stream)), key=str(stream)) for stream in streams]
    return await enqueue(tx, *orders) if orders else 0


async def grade_all_again(tx: asyncpg.Connection, streams: Sequence[int]) -> int:
    """Lets every answer in these streams wait to be graded; how many streams have any. For a community that came from elsewhere."""
    rows = await tx.fetch(
        "insert into ungraded as u (stream_id, question) select r.stream_id, r.key from records r"
        " where r.stream_id = any($1) and r.entity = $2 order by 1, 2"
        " on conflict (stream_id, question) do update set times = least(u.times + 1, 1000000) returning stream_id",
        sorted(streams),
        Entity.ANSWER,
    )
    return await order(tx, sorted({row[0] for row in rows}))


async def order_what_waits(tx: asyncpg.Connection) -> int:
    """Orders what waits and is ordered no more, because its job was given up; how many streams."""
    return await order(tx, [row[0] for row in await tx.fetch(_STILL, SWEEP_MAX // 10)])


async def sweep_attempts(tx: asyncpg.Connection) -> int:
    """Deletes attempts that are older than what is kept; how many, some thousand at most."""
    status: str = await tx.execute(_SWEEP, KEPT_DAYS, SWEEP_MAX)
    return int(status.split()[-1])


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0

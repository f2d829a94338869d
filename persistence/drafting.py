"""Drafts of questions: asked for by who writes lessons, made by a model, offered in the studio.

    AskQuestions ─ may they, is there such a text? ─▶ job `questions.draft` ─▶ sections ─ Compose each ─▶ Models
                                                             ╰─▶ DRAFT_QUESTION records, which were not there ─▶ a notice to who asked

A draft's key follows from its section, its form and its words, so a job that is run again writes nothing twice, and what was once offered
and rejected is not offered again; nor is what was deleted, for as long as deletions are remembered (`horizon`). What becomes of a draft is
decided by people, on their devices: see docs/checkpoints.md.

Invariant: a draft that somebody has decided about, or deleted, is never written again by the server.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Final, TypeVar

import asyncpg
import msgspec
import trio
from msgspec import Meta, Struct

from actors.inference import Compose, Composed, Form, Models, Questions, Unanswered
from actors.jobs import Order, Work, pack
from actors.model_book import PAGE_ROWS_MAX, Drafted, Mark, Page
from actors.notices import Notice
from actors.storage import Entry, Fact, Herald
from persistence.append import AUTHORITY_MOVED, Effect, Refuse
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.seats import read_seat
from persistence.records import NoRoom, Write, write_records
from protocol.codes import Code
from protocol.entities import Entity, Fields
from protocol.merge import unpack_record
from protocol.operations import DRAFTS_MAX, AskQuestions
from protocol.values import ID_MAX, NoticeKind, Role, SpaceKind, StreamId, StreamKind, UserId

T = TypeVar("T")

DRAFT: Final = "questions.draft"
SECTIONS_MAX: Final = 40
"""Of one lesson; what comes after is not read."""
TEXT_MIN: Final = 40
"""Code points of a section: of less nothing can be asked."""
ANSWER_S: Final = 45.0
"""For one section. A long one takes about a second; the model may be busy with others."""
GIVEN_UP: Final = 5
"""The attempt after which who asked is told that it cannot be done now."""
CALL_S: Final = 30.0
TRIES_MAX: Final = 8
AGAIN_S: Final = 0.05
OPTION_LETTERS_MAX: Final = 200
BY_LETTERS_MAX: Final = 60
OFFERED, ACCEPTED, EDITED, REJECTED = range(4)
FORMS: Final = (Form.CHOICE, Form.SEVERAL, Form.CLOZE, Form.ORDER, Form.SHORT)
_CONTENDED: Final = (AUTHORITY_MOVED, asyncpg.UniqueViolationError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate)

# Fields by their numbers, as protocol/learning.py declares them.
CONTENT_TITLE, CONTENT_TEXT, CONTENT_LESSON, CONTENT_ORDER = 1, 2, 3, 4
LESSON_LANGUAGE: Final = 9
D_LESSON, D_FORM, D_PROMPT, D_OPTIONS, D_KEY, D_WORDS, D_EXPLANATION, D_DIFFICULTY = range(1, 9)
D_CONTENT, D_BEGIN, D_END, D_QUALITY, D_BY, D_STATE, D_QUESTION = range(9, 16)

_STUDIO: Final = """
select (select t.id from streams t where t.space_id = s.space_id and t.kind = $2 order by t.id limit 1)
from streams s where s.id = $1"""
_RECORD: Final = "select cells from records where stream_id = $1 and entity = $2 and key = $3"
_CONTENTS: Final = "select key, cells from records where stream_id = $1 and entity = $2 and key > $3 order by key limit $4"
_KNOWN: Final = """
select key from records where stream_id = $1 and entity = $2 and key = any($3::bigint[])
union all select key from tombstones where stream_id = $1 and entity = $2 and key = any($3::bigint[])"""
_DRAFTS: Final = """
select r.stream_id, r.key, r.cells,
    (select t.id from streams t where t.space_id = s.space_id and t.kind = $5 order by t.id limit 1) as library
from streams s join records r on r.stream_id = s.id and r.entity = $2
where s.kind = $1 and (r.stream_id, r.key) > ($3::bigint, $4::bigint) order by r.stream_id, r.key limit $6"""
_PAGE: Final = 500


class DraftQuestions(Struct, frozen=True):
    """Payload of the job."""

    stream: StreamId
    studio: StreamId
    space: int
    user: UserId
    lesson: int
    content: int
    language: str
    limit: Annotated[int, Meta(ge=1, le=DRAFTS_MAX)]


class Section(Struct, frozen=True):
    key: int
    lesson: int
    order: int
    text: str


async def ask_questions(tx: asyncpg.Connection, entry: Entry, operation: AskQuestions) -> Effect | Refuse:
    """Orders the job. Whoever does not see the library learns nothing."""
    seated = await read_seat(tx, operation.stream, entry.user)
    if seated is None or not seated.seat.role or seated.seat.kind is not StreamKind.LIBRARY:
        return rules.NOT_FOUND
    standing = rules.Standing(Role(seated.seat.role), seated.seat.custom)
    refusal = rules.need(SpaceKind.COMMUNITY, standing, operation.needs)
    if refusal is not None:
        return refusal
    if bool(operation.lesson) == bool(operation.content):
        return Refuse(Code.INVALID, "either a lesson or a section of content")
    if "\0" in operation.language:
        return Refuse(Code.INVALID, "text without U+0000")
    named, entity = (operation.lesson, Entity.LESSON) if operation.lesson else (operation.content, Entity.CONTENT)
    fields = await _read(tx, operation.stream, entity, named)
    if fields is None:
        return Refuse(Code.NOT_FOUND, "no such lesson or section")
    studio = await tx.fetchval(_STUDIO, operation.stream, StreamKind.STUDIO)
    if studio is None:
        return Refuse(Code.NOT_FOUND, "this community has no studio")
    wanted = DraftQuestions(
        operation.stream, studio, seated.space, entry.user, operation.lesson, operation.content, operation.language, operation.limit
    )
    await enqueue(tx, Order(DRAFT, pack(wanted), key=f"{studio}:{operation.lesson}:{operation.content}:{entry.user}", space=seated.space))
    return Effect(guards=(seated.guard,), value=studio)


class Drafter:
    """Runs the job."""

    def __init__(self, bridge: Bridge, herald: Herald, models: Models) -> None:
        self._bridge = bridge
        self._herald = herald
        self._models = models

    async def run(self, work: Work[DraftQuestions]) -> None:
        """Asks the model about each section and offers what it made. Raises `Unanswered`, `StorageError`: run it again then; who asked is
        told once that it cannot be done now."""
        wanted = work.payload
        sections, language = await self._bridge.run(partial(read_sections, wanted=wanted), deadline_s=CALL_S)
        passed: Counter[str] = Counter()
        writes: list[Write] = []
        for done, section in enumerate(sections):
            work.report(done, len(sections), "sections")
            limit = max(1, -(-wanted.limit // len(sections)))
            try:
                answer = await self._models.ask(Compose(section.text, language, FORMS, limit), ANSWER_S, key=wanted.space)
            except Unanswered:
                if work.attempt < GIVEN_UP:
                    raise
                await work.finish(partial(_tell, wanted=wanted, words="questions: no model answers at present; ask again later"))
                return
            assert isinstance(answer.result, Questions)
            passed.update(answer.result.passed_over)
            writes += [write for one in answer.result.questions if (write := offered(wanted, section, one, answer.by)) is not None]
        writes = writes[: wanted.limit]
        try:
            facts, new = await self._until_alone(partial(_offer, wanted=wanted, writes=writes, sections=len(sections)))
        except NoRoom:
            await work.finish(partial(_tell, wanted=wanted, words="questions: the studio is full; decide about the drafts that wait"))
            return
        if facts:
            self._herald.committed(facts)
        work.report(len(sections), len(sections), f"{new} drafts, passed over {sum(passed.values())}")
        if not new:
            words = "questions: the text is too short" if not sections else "questions: nothing new could be asked about this text"
            await work.finish(partial(_tell, wanted=wanted, words=words))

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


async def read_sections(tx: asyncpg.Connection, wanted: DraftQuestions) -> tuple[list[Section], str]:
    """What is to be asked about, in the lesson's order, and its language."""
    found: list[Section] = []
    lesson = wanted.lesson
    if wanted.content:
        fields = await _read(tx, wanted.stream, Entity.CONTENT, wanted.content)
        found = [] if fields is None else [_section(wanted.content, fields)]
        lesson = found[0].lesson if found else 0
    else:
        after = 0
        while len(rows := await tx.fetch(_CONTENTS, wanted.stream, Entity.CONTENT, after, _PAGE)):
            for key, cells in rows:
                record = unpack_record(cells, Entity.CONTENT)
                if not record.is_gone and record.fields.get(CONTENT_LESSON) == wanted.lesson:
                    found.append(_section(key, record.fields))
            after = rows[-1]["key"]
    language = wanted.language
    if not language and lesson:
        fields = await _read(tx, wanted.stream, Entity.LESSON, lesson)
        language = str((fields or {}).get(LESSON_LANGUAGE, ""))
    found = [section for section in found if len(section.text) >= TEXT_MIN]
    return sorted(found, key=lambda section: (section.order, section.key))[:SECTIONS_MAX], language


def offered(wanted: DraftQuestions, section: Section, made: Composed, by: str) -> Write | None:
    """A draft as a record; None for one that does not fit in one."""
    answers = () if made.options else (made.answer,)
    if any(len(words) > OPTION_LETTERS_MAX or "\0" in words for words in (*made.options, *answers)) or "\0" in made.prompt:
        return None
    fields: Fields = {
        D_LESSON: section.lesson,
        D_FORM: int(made.form),
        D_PROMPT: made.prompt,
        D_OPTIONS: made.options,
        D_KEY: made.right,
        D_WORDS: answers,
        D_DIFFICULTY: round(100 * made.difficulty),
        D_CONTENT: section.key,
        D_BEGIN: made.begin,
        D_END: made.end,
        D_QUALITY: round(100 * made.quality),
        D_BY: by[:BY_LETTERS_MAX],
        D_STATE: OFFERED,
    }
    return Write(wanted.studio, Entity.DRAFT_QUESTION, key_of(section.key, made), fields)


def key_of(section: int, made: Composed) -> int:
    """The same for the same question about the same section."""
    digest = hashlib.sha256(f"{section}\n{int(made.form)}\n{made.prompt}\n{made.answer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % ID_MAX + 1


async def _offer(tx: asyncpg.Connection, wanted: DraftQuestions, writes: Sequence[Write], sections: int) -> tuple[list[Fact], int]:
    """Writes those that were never there, and tells who asked; the facts, and how many."""
    known = {row[0] for row in await tx.fetch(_KNOWN, wanted.studio, Entity.DRAFT_QUESTION, [write.key for write in writes])}
    new = {write.key: write for write in writes if write.key not in known}
    if not new:
        return [], 0
    words = f"questions: {len(new)} drafts from {sections} section{'s' if sections != 1 else ''} wait for you"
    await _tell(tx, wanted, words)
    return await write_records(tx, new.values()), len(new)


async def _tell(tx: asyncpg.Connection, wanted: DraftQuestions, words: str) -> None:
    """Points to no stream: whoever writes by a custom role asks, too, and does not read the studio."""
    subject = wanted.lesson or wanted.content
    await notify(tx, Notice(wanted.user, NoticeKind.OTHER, space=wanted.space, subject=subject, words=words))


async def _read(tx: asyncpg.Connection, stream: int, entity: Entity, key: int) -> Fields | None:
    cells = await tx.fetchval(_RECORD, stream, entity, key)
    if cells is None:
        return None
    record = unpack_record(cells, entity)
    return None if record.is_gone else record.fields


def _section(key: int, fields: Fields) -> Section:
    lesson, order, text = fields.get(CONTENT_LESSON, 0), fields.get(CONTENT_ORDER, 0), fields.get(CONTENT_TEXT, "")
    assert isinstance(lesson, int) and isinstance(order, int) and isinstance(text, str)
    return Section(key, lesson, order, text)


_PACK: Final = msgspec.msgpack.Encoder()


async def page(connection: asyncpg.Connection, after: Mark, limit: int = PAGE_ROWS_MAX) -> Page:
    """Drafts that somebody decided about, with the text they came from as it is now: rows of the questions' training."""
    stream, key = after if after else (0, 0)
    rows = await connection.fetch(_DRAFTS, StreamKind.STUDIO, Entity.DRAFT_QUESTION, stream, key, StreamKind.LIBRARY, min(limit, _PAGE))
    found: list[bytes] = []
    for row in rows:
        record = unpack_record(row["cells"], Entity.DRAFT_QUESTION)
        fields = record.fields
        state = fields.get(D_STATE, OFFERED)
        content = fields.get(D_CONTENT, 0)
        if record.is_gone or state == OFFERED or not content or row["library"] is None:
            continue
        section = await _read(connection, row["library"], Entity.CONTENT, int(str(content)))
        if section is not None:
            found.append(_PACK.encode(_drafted(fields, section, int(str(state)))))
    mark = (rows[-1]["stream_id"], rows[-1]["key"]) if rows else after
    return Page(found, mark, len(rows) == min(limit, _PAGE))


def _drafted(fields: Fields, section: Fields, state: int) -> Drafted:
    form = Form(int(str(fields.get(D_FORM, 0))))
    options = tuple(str(one) for one in _several(fields.get(D_OPTIONS, ())))
    right = [int(str(one)) for one in _several(fields.get(D_KEY, ()))]
    words = [str(one) for one in _several(fields.get(D_WORDS, ()))]
    chosen = [options[place] for place in right if place < len(options)]
    answer = ("\n" if form is Form.ORDER else ", ").join(chosen or words[:1])
    text = str(section.get(CONTENT_TEXT, ""))
    begin, end = (min(int(str(fields.get(number, 0))), len(text)) for number in (D_BEGIN, D_END))
    return Drafted(text, "", int(form), str(fields.get(D_PROMPT, "")), answer, options, begin, end, state != REJECTED, state == EDITED)


def _several(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()

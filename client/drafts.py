"""Drafts of questions, as somebody who writes lessons sees to them; deciding works offline.

    ask ─▶ AskQuestions ─▶ (the server, a model) ─▶ DRAFT_QUESTION records in the studio, a notice
    offered ─▶ take ─▶ QUESTION in the library (an exam's key: ANSWER_KEY in the studio) ─▶ the draft: accepted or edited
            ─▶ reject ─▶ the draft: rejected                     what was decided is what the ranker learns from

A question has its draft's key. So taking a draft is three changes of records that may arrive twice, or from two devices, and it is the same
question each time; the draft's own change comes last, and what was taken on a train is kept until there is a network.

Invariant: the key of an exam is written where learners do not read, before its question is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from client.pending import Pending
from client.replica import RecordView, Replica
from client.sync_streams import SyncStreams
from protocol.entities import Entity, Fields, Value
from protocol.grading import (
    DIFFICULTY,
    EXAM,
    EXPLANATION,
    FORM,
    KEY,
    KEY_KEY,
    KEY_WORDS,
    LESSON,
    OPTIONS,
    ORDER,
    PROMPT,
    WORDS,
    asked_of,
    key_problem,
)

STATE, QUESTION, QUALITY, CONTENT = 14, 15, 12, 9
OFFERED, ACCEPTED, EDITED, REJECTED = range(4)
STATES: Final = ("offered", "accepted", "edited", "rejected")
ASKED: Final = (LESSON, FORM, PROMPT, OPTIONS, KEY, WORDS, EXPLANATION, DIFFICULTY)
"""What a draft and a question have in common, under the same numbers."""


class NoDraft(ValueError):
    """There is no such draft here, or it is decided already."""


class Session(Protocol):
    """What of a session is needed."""

    @property
    def records(self) -> Replica: ...

    @property
    def sync_streams(self) -> SyncStreams: ...

    def put(self, stream: int, entity: int, key: int, fields: Mapping[int, Value], gone: bool = False) -> Pending: ...

    def ask_questions(self, stream: int, lesson: int = 0, content: int = 0, language: str = "", limit: int = 10) -> Pending: ...


class Drafts:
    """One community's drafts; `community` 0: the only one there is."""

    def __init__(self, session: Session, community: int = 0) -> None:
        self._session = session
        self._community = community

    def _stream(self, entity: Entity) -> int:
        return self._session.sync_streams.find(entity, self._community)

    def ask(self, lesson: int = 0, content: int = 0, language: str = "", limit: int = 10) -> Pending:
        """Asks for drafts about a lesson, or about one of its sections; they come later, as records."""
        return self._session.ask_questions(self._stream(Entity.CONTENT), lesson, content, language, limit)

    def listed(self, lesson: int = 0, state: int = OFFERED) -> list[RecordView]:
        """Drafts that are here, the likeliest to be taken first. Raises `NoStream` where one may not read the studio."""
        found = self._session.records.list(self._stream(Entity.DRAFT_QUESTION), Entity.DRAFT_QUESTION)
        chosen = [view for view in found if _number(view.fields.get(STATE)) == state and lesson in (0, view.fields.get(LESSON, 0))]
        return sorted(chosen, key=lambda view: (-_number(view.fields.get(QUALITY)), view.key))

    def take(self, draft: int, changes: Mapping[int, Value] | None = None, *, exam: bool = False, order: int = 0) -> tuple[Pending, ...]:
        """Makes a draft a question of its lesson, as it is or with `changes` to its fields. The last of the pendings is the draft's own.

        `exam`: the key goes to the studio, and the explanation stays in the draft. Raises `NoDraft`, and `ValueError` for what could not be
        graded.
        """
        view = self._waiting(draft)
        fields: Fields = {number: view.fields[number] for number in ASKED if number in view.fields}
        edits = {number: value for number, value in (changes or {}).items() if number in ASKED and fields.get(number) != value}
        if unknown := sorted(set(changes or {}) - set(ASKED)):
            raise ValueError(f"a question has no field {unknown[0]} to change")
        fields |= edits
        if problem := key_problem(asked_of(fields)):
            raise ValueError(problem)
        pendings = []
        if exam:
            key: Fields = {KEY_KEY: fields.pop(KEY, ()), KEY_WORDS: fields.pop(WORDS, ())}
            pendings.append(self._session.put(self._stream(Entity.ANSWER_KEY), Entity.ANSWER_KEY, draft, key))
            # Said, not left out: another device may have taken the same draft for practice.
            fields |= {KEY: (), WORDS: (), EXPLANATION: ""}
        question: Fields = {**fields, ORDER: order, EXAM: exam}
        pendings.append(self._session.put(self._stream(Entity.QUESTION), Entity.QUESTION, draft, question))
        # The draft keeps what was offered: what was changed stands in the question.
        decided: Fields = {STATE: EDITED if edits else ACCEPTED, QUESTION: draft}
        pendings.append(self._session.put(self._stream(Entity.DRAFT_QUESTION), Entity.DRAFT_QUESTION, draft, decided))
        return tuple(pendings)

    def reject(self, draft: int) -> Pending:
        """Turns a draft down: it is not offered again. Raises `NoDraft`."""
        self._waiting(draft)
        return self._session.put(self._stream(Entity.DRAFT_QUESTION), Entity.DRAFT_QUESTION, draft, {STATE: REJECTED})

    def _waiting(self, draft: int) -> RecordView:
        view = self._session.records.view(self._stream(Entity.DRAFT_QUESTION), Entity.DRAFT_QUESTION, draft)
        if not view.exists:
            raise NoDraft(f"there is no draft {draft} on this device")
        state = _number(view.fields.get(STATE))
        if state != OFFERED:
            raise NoDraft(f"draft {draft} is {STATES[state]} already")
        return view


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

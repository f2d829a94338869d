"""Records as the application reads and writes them: at once, also offline; what becomes of it is heard later.

    put ─▶ Change, stamped, on the base that is known here ─▶ seen in `records` at once ─▶ Pending.outcome
    conflicts, resolve, claim, reopen · versions, restore · unapplied, discard, release · hold, holding · set_back

Invariant: nothing here waits for a socket but `versions`, `holding` and the lists that only the server has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from client.asking import Asking
from client.keeping import Keeping
from client.learning import Learning
from client.pending import Pending
from client.replica import Replica
from client.reviews import DueCard, Reviewed, Reviews
from client.store import Unapplied as Refused
from client.sync_streams import SyncStream, SyncStreams
from protocol.entities import TABLE, Fields, Value, read_fields, upcast, write_fields
from protocol.frames import (
    Conflict,
    ConflictPage,
    Conflicts,
    Holding,
    Holdings,
    KeptVersion,
    Unapplied,
    UnappliedPage,
    VersionPage,
    Versions,
)
from protocol.operations import AnyOperation, AskQuestions, Claim, Discard, Held, Hold, Release, Reopen, Resolve, SetBack
from protocol.reviews import Rating
from protocol.values import Choice


class Recording(Asking):
    """The part of a session that is about records."""

    # What one has

    @property
    def records(self) -> Replica:
        """The records that are here, one's own changes over them: `view`, `list`, `changes`."""
        return self._exchange.replica

    @property
    def sync_streams(self) -> SyncStreams:
        """Which streams of records there are; `find(entity, community)` names the one for an entity."""
        return self._exchange.sync_streams

    def put(self, stream: int, entity: int, key: int, fields: Mapping[int, Value], gone: bool = False) -> Pending:
        """Writes fields of a record, or deletes it (`gone`). Does not wait: it is kept, and seen in `records`.

        `await pending.outcome()` says what became of it. Raises `ValueError` for what the table of entities does not allow, `QueueFull`,
        `SessionEnded`.
        """
        return self._record(self.records.change(stream, entity, key, fields, gone=gone, at=self._now()))

    # Conflicts

    def conflicts(self) -> tuple[Conflict, ...]:
        """Those that wait for a decision, oldest first, as the server last told; also offline."""
        return self._exchange.conflicts.listed

    async def all_conflicts(self, *, after: int = 0, open_only: bool = False, limit: int = 50) -> ConflictPage:
        """A page of conflicts, decided ones too, from the server."""
        return await self._ask(lambda id: Conflicts(id, after, open_only, 0, limit), ConflictPage)

    async def conflict(self, conflict: int) -> Conflict | None:
        """One conflict as it stands at the server; None if there is none of that number for this account."""
        page = await self._ask(lambda id: Conflicts(id, 0, False, conflict), ConflictPage)
        return page.conflicts[0] if page.conflicts else None

    def claim(self, conflict: int, on: bool = True) -> Pending:
        """Says that one is deciding a conflict, or no longer."""
        return self._record(Claim(conflict, on))

    def resolve(self, conflict: Conflict, choice: Choice, fields: Mapping[int, Value] | None = None) -> Pending:
        """Decides a conflict as it was seen here: mine, theirs, or `fields` made of both. Raises `ValueError`.

        Where the record has changed meanwhile, the outcome is `REVIEW`, and the conflict stays with the newer value.
        """
        if (choice is Choice.MERGED) != bool(fields):
            raise ValueError("fields belong to a merged decision, and to no other")
        return self._record(Resolve(conflict.conflict, choice, conflict.version, self._now(), write_fields(fields or {})))

    def reopen(self, conflict: int) -> Pending:
        """Opens a decided conflict again; both values are still there."""
        return self._record(Reopen(conflict))

    # Earlier values

    async def versions(self, stream: int, entity: int, key: int, *, before: int = 0, limit: int = 20) -> VersionPage:
        """Values of a record that are kept beside the present one, newest first."""
        return await self._ask(lambda id: Versions(id, stream, entity, key, before, limit), VersionPage)

    def restore(self, stream: int, entity: int, key: int, version: KeptVersion) -> Pending:
        """Writes an earlier value again, as a change of now. Raises `ValueError` if the present schema knows none of its fields."""
        return self.put(stream, entity, key, present_fields(entity, version.fields))

    # Learning

    def learning(self, community: int = 0) -> Learning:
        """Courses, checkpoints, grades and what comes next in a community (0: the only one there is); all of it also offline."""
        return Learning(self, self._corrected, community)

    def ask_questions(self, stream: int, lesson: int = 0, content: int = 0, language: str = "", limit: int = 10) -> Pending:
        """Asks for drafts of questions about a lesson of a library, or one of its sections: for who writes. See `client.drafts`."""
        return self._record(AskQuestions(stream, lesson, content, language, limit))

    def due_cards(self, now: int = 0, *, community: int = 0) -> list[DueCard]:
        """Questions whose time has come again, the longest due first; also offline. `now`: Unix seconds; 0: now, by the server's clock as
        last measured."""
        return Reviews(self, self._corrected, community).due(now or self._corrected())

    def review(
        self,
        question: int,
        rating: Rating | None = None,
        *,
        choices: tuple[int, ...] = (),
        text: str = "",
        seconds: int = 0,
        community: int = 0,
    ) -> Reviewed:
        """Answers a question, and writes the answer and its card. Raises what `client.reviews.Reviews.review` does."""
        return Reviews(self, self._corrected, community).review(question, rating, choices=choices, text=text, seconds=seconds)

    def set_back(self, community: int, user: int, lesson: int, percent: int) -> Pending:
        """Sets a learner's progress back, in a new generation: for staff."""
        return self._record(SetBack(community, user, lesson, percent))

    # What was refused

    def unapplied(self) -> list[Refused]:
        """One's own mutations that were refused for good, with code and reason, oldest first; also offline."""
        return list(self._exchange.mutations.unapplied())

    def forget_unapplied(self, key: int) -> None:
        """The person has seen to a refused mutation: it is listed here no longer."""
        self._exchange.mutations.discard(key)
        self._exchange.tell_changed()

    async def kept_unapplied(self, *, space: int = 0, after: int = 0, limit: int = 20) -> UnappliedPage:
        """What the server keeps unapplied: one's own, or, for its staff, what was written for a space by those who had left it."""
        return await self._ask(lambda id: Unapplied(id, after, space, limit), UnappliedPage)

    def release(self, item: int) -> Pending:
        """Applies what the server keeps unapplied."""
        return self._record(Release(item))

    def discard(self, item: int) -> Pending:
        """Marks what the server keeps unapplied as looked at."""
        return self._record(Discard(item))

    # What is kept

    @property
    def keeping(self) -> Keeping:
        """The choice of what this device keeps, and the plan that follows from it."""
        return self._exchange.keeping

    def hold(self, streams: Sequence[Held | int | SyncStream], quota_bytes: int = 0) -> Pending:
        """Chooses what this device keeps for being offline, most wanted first, within a quota in bytes (0: no bound). The rest goes."""
        chosen: list[Held] = []
        for rank, one in enumerate(streams):
            stream = one.stream if isinstance(one, Held | SyncStream) else one
            chosen.append(one if isinstance(one, Held) else Held(stream, min(rank, 255)))
        pending = self._record(Hold(tuple(chosen), quota_bytes))
        self._exchange.keeping.choose(chosen, quota_bytes)
        self._exchange.upkeep.plan_again()
        return pending

    async def holding(self) -> Holdings:
        """What the server knows of this device's choice."""
        return await self._ask(Holding, Holdings)

    def _record(self, operation: AnyOperation) -> Pending:
        return self._exchange.submit(operation, None, None)

    def _now(self) -> int:
        """For stamps: the server adds the skew that it measured."""
        return max(0, int(self._world.wall()))

    def _corrected(self) -> int:
        """For times that stand in fields, which nobody corrects: by the server's clock, as far as this session has measured it."""
        return max(0, int(self._world.wall() + self._clock_ahead_s()))

    def _clock_ahead_s(self) -> float:
        """How far the server's clock is ahead of this device's; 0 where it was not measured yet."""
        return 0.0


def present_fields(entity: int, raw: bytes) -> Fields:
    """A kept value's fields, as far as the present schema has them."""
    declaration = TABLE.get(entity)
    fields = upcast(entity, read_fields(raw))
    if declaration is None:
        return {}
    return {number: value for number, value in fields.items() if (field := declaration.field(number)) is not None and not field.until}

"""A visit: the commands of one sync over HTTP, carried out in their order for a device that has no socket.

    Welcome ─▶ mutations in waves ─▶ journal ─▶ Done, DoneRun, Refused
               a question, a follow ─▶ store  ─▶ its frames                 ─▶ one answer

It borrows the device: the generation stays as it is, so a live socket of the same device goes on, and a socket that takes over ends the
visit's right to write. Whatever was not answered has an unknown outcome, and its number makes sending it again safe: on the socket, or
in the next visit.

Invariant: answers stand in the order of the commands, and nothing is answered as done that is not committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio
from msgspec import Struct

from actors import limits
from actors.answers import Answers
from actors.casting import cast_body
from actors.device import BUSY_WAIT_MS, DeviceLimits, make_entry
from actors.limits import REQUESTS, UNLIMITED, judge, wait_ms_of, words_of
from actors.messages import Submit
from actors.requests import RETRY_MS, AnyQuestion, answer, denied, question
from actors.session import SessionLimits
from actors.storage import Attached, Decided, Denied, Events, InheritedOutcomes, Journal, Query, ReadAfter, Result, Store
from actors.trust_gates import Thresholds
from gateway.mailbox import Mailbox, ask
from protocol.chunks import BadItem, expand
from protocol.codec import MESSAGE_BYTES_MAX, BadFrame, encode, encode_event
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.frames import (
    PAGE_EVENTS_MAX,
    VERSION,
    Chunk,
    Failed,
    Follow,
    Followed,
    Goodbye,
    Inherit,
    Limits,
    Mutate,
    Ping,
    Pong,
    Refresh,
    Refused,
    Sync,
    TakeTicket,
    Unfollow,
    Watch,
    Welcome,
)

SocketOnly = Refresh | Unfollow | Watch | TakeTicket
AnyStep = Mutate | Chunk | Follow | Ping | AnyQuestion | SocketOnly | BadFrame
"""What a visit carries out, or answers: `BadFrame` stands for what is no command but has an id or a number."""

ANSWER_BYTES_DEFAULT: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 256 * 1024
"""An answer is closed at the size that was wished for: one page more at most. 256 KiB are 42 s of a 50 kbit/s link."""
WAVE_MAX: Final = DeviceLimits().in_flight_max
"""Mutations under way at once, for the same reason as on the socket."""
NUMBERED: Final = (Mutate.__struct_config__.tag, Chunk.__struct_config__.tag)
REQUEST_ID_MAX: Final = 2**32 - 1


class Visitor(Struct, frozen=True):
    """Who visits: the account, its device as it was borrowed, and what `Sync` said."""

    user: int
    device: int
    session: int
    attached: Attached
    sync: Sync
    skew_s: int
    expires: int
    """Of the token, in Unix seconds."""
    thresholds: Thresholds = Thresholds()
    address: str = ""
    """Where the request came from."""


class Visit:
    """One request. `until` is trio's time at which it is answered with what there is; `overtake` is `Exchange.overtake`."""

    def __init__(
        self,
        visitor: Visitor,
        store: Store,
        journal: Journal,
        overtake: Callable[[int, int], None],
        wall: Callable[[], float],
        until: float,
        quotas: limits.Limits = UNLIMITED,
    ) -> None:
        self._visitor = visitor
        self._store = store
        self._journal = journal
        self._overtake = overtake
        self._wall = wall
        self._until = until
        self._quotas = quotas
        self._schema = min(SCHEMA, visitor.sync.schema)
        wished = visitor.sync.bytes_max or ANSWER_BYTES_DEFAULT
        self._room_bytes = min(wished, ANSWER_BYTES_MAX)
        self._answers = Answers()
        self._over = False

    async def run(self, steps: Sequence[AnyStep]) -> list[bytes]:
        """Carries them out; the answer's frames, encoded."""
        self._answers.say(self._welcome())
        epoch = self._visitor.sync.epoch
        if epoch not in (0, self._visitor.attached.epoch):
            # The database was restored: cursors and base versions are of another history, so nothing of this may be carried out.
            return self._answers.take()
        submits: list[Submit] = []
        for step in steps:
            if isinstance(step, Mutate | Chunk) or (isinstance(step, BadFrame) and step.tag in NUMBERED):
                submits.extend(self._submits(step))
                continue
            await self._mutate(submits)
            submits = []
            if self._over:
                break
            await self._answer(step)
        await self._mutate(submits)
        return self._answers.take()

    def _welcome(self) -> Welcome:
        visitor, attached = self._visitor, self._visitor.attached
        return Welcome(
            version=VERSION,
            session=visitor.session,
            user=visitor.user,
            inbox=attached.inbox,
            last_number=attached.last_number,
            epoch=attached.epoch,
            server_ms=int(self._wall() * 1000),
            heartbeat_s=0,
            expires=visitor.expires,
            limits=Limits(MESSAGE_BYTES_MAX, WAVE_MAX, SessionLimits().follows_max),
        )

    # Mutations

    def _submits(self, step: Mutate | Chunk | BadFrame) -> Iterator[Submit]:
        skew_s = self._visitor.skew_s
        match step:
            case Mutate():
                yield Submit(0, step.number, bytes(step.operation), skew_s)
            case Chunk():
                for number, change in enumerate(expand(step), step.number):
                    if isinstance(change, BadItem):
                        yield Submit(0, number, change.raw, skew_s, change.detail)
                    else:
                        yield Submit(0, number, change, skew_s)
            case BadFrame():
                yield Submit(0, step.id, b"", skew_s, step.detail)  # the journal refuses it, and so its number is consumed

    async def _mutate(self, submits: Sequence[Submit]) -> None:
        for start in range(0, len(submits), WAVE_MAX):
            if not self._over:
                await self._wave(submits[start : start + WAVE_MAX])

    async def _wave(self, submits: Sequence[Submit]) -> None:
        visitor = self._visitor
        mailbox: Mailbox[Decided] = Mailbox()
        under_way: dict[int, int] = {}
        refused: dict[int, Refused] = {}
        for submit in submits:
            number = submit.number
            entry = make_entry(
                visitor.user, visitor.device, visitor.attached.generation, submit, visitor.attached.trust, visitor.thresholds
            )
            if number in under_way:
                if under_way[number] != entry.digest:
                    refused[number] = Refused(number, Code.NUMBER_REUSED, "this number is under way with another payload")
            elif number not in refused:
                if self._journal.submit(judge(entry, self._quotas, self._wall()), mailbox):
                    under_way[number] = entry.digest
                else:
                    refused[number] = Refused(number, Code.BUSY, "the server has too much to store at the moment", BUSY_WAIT_MS)
        decided: dict[int, Decided] = {}
        with trio.move_on_at(self._until):
            while len(decided) < len(under_way):
                one = await mailbox.take()
                decided[one.number] = one
        for number in dict.fromkeys(submit.number for submit in submits):
            if not self._over:
                self._settle(number, decided.get(number), refused.get(number))

    def _settle(self, number: int, decided: Decided | None, refused: Refused | None) -> None:
        if decided is not None and decided.code is Code.TAKEN_OVER:
            self._answers.say(Goodbye(Code.TAKEN_OVER, "this device opened a socket meanwhile; what is not answered here goes there"))
            self._over = True
        elif decided is not None and decided.code is Code.OK:
            self._answers.done(number, decided.value)
        elif decided is not None:
            wait_ms = BUSY_WAIT_MS if decided.code in (Code.BUSY, Code.UNAVAILABLE) else 0
            wait_ms = wait_ms or wait_ms_of(decided, self._wall())
            self._answers.say(Refused(number, decided.code, words_of(decided, wait_ms), wait_ms))
        elif refused is None:
            self._answers.say(Refused(number, Code.UNAVAILABLE, "not decided in time; ask again with the same number", RETRY_MS))
        if refused is not None and not self._over:
            self._answers.say(refused)

    # Questions

    async def _answer(self, step: Follow | Ping | AnyQuestion | SocketOnly | BadFrame) -> None:
        match step:
            case BadFrame():
                self._answers.say(Failed(min(step.id, REQUEST_ID_MAX), step.code, step.detail))
            case Refresh() | Unfollow() | Watch() | TakeTicket():
                self._answers.say(Failed(step.id, Code.NOT_NOW, f"{type(step).__name__} is for the socket"))
            case Ping():
                self._answers.say(Pong(step.id, int(self._wall() * 1000)))
            case Follow():
                await self._follow(step)
            case _ if self._room_bytes <= 0:
                self._answers.say(Failed(step.id, Code.BUSY, "this answer is full; ask again in the next one"))
            case _:
                await self._ask(step)

    async def _ask(self, command: AnyQuestion) -> None:
        query = question(command, self._visitor.user, self._visitor.device)
        if isinstance(query, Failed):
            self._answers.say(query)
            return
        quota = REQUESTS.get(type(command))
        wait_s = 0.0 if quota is None else self._quotas.take(quota, self._visitor.user, self._visitor.address)
        if quota is not None and wait_s > 0.0:
            detail = f"too many of this kind ({quota.value}) in a while"
            self._answers.say(Failed(command.id, Code.RATE, detail, int(wait_s * 1000) + 1))
            return
        result = await self._query(query)
        if isinstance(command, Inherit) and isinstance(result, InheritedOutcomes):
            self._overtake(command.device, result.generation)
        self._add(encode(answer(command, result, self._schema)))

    async def _follow(self, command: Follow) -> None:
        """A page of what came after the cursor: never live, and empty once the answer is full."""
        stream = command.stream
        room_bytes = max(0, self._room_bytes)
        events_max = PAGE_EVENTS_MAX if room_bytes else 0
        result = await self._query(ReadAfter(stream, self._visitor.user, command.after, events_max, room_bytes))
        match result:
            case Events() if command.after > result.head:
                detail = f"the cursor {command.after} is beyond the end, {result.head}: a cursor of another history"
                self._answers.say(Failed(command.id, Code.CONFLICT, detail, 0, stream))
            case Events():
                for row in result.rows:
                    self._add(encode_event(stream, row.seq, row.author, row.at, cast_body(row.body, self._schema)))
                upto = result.rows[-1].seq if result.rows else command.after
                self._answers.say(Followed(command.id, stream, upto, live=False))
            case Denied():
                self._answers.say(denied(command.id, result, stream))
            case _:
                raise AssertionError(f"Follow was answered by {type(result).__name__}")

    async def _query(self, query: Query) -> Result:
        with trio.move_on_at(self._until):
            return await ask(self._store, query)
        return Denied(Code.UNAVAILABLE, "not answered in time; ask again")

    def _add(self, frame: bytes) -> None:
        self._room_bytes -= len(frame)
        self._answers.add(frame)

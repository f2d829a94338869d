"""Postgres, as a simulation has it: the rules of the append and of reading, over dictionaries, one transaction at a time.

    entries ─append─▶ number known? ─▶ messages · spaces · records · deciding ─▶ rows     queries ─query─▶ reading ─▶ results
                                                                                  │ back_up ─▶ … ─▶ restore: another epoch

It is the simplest thing that obeys `actors.storage`, and so the model that the real journal and store are compared with.

Invariant: a stream's log is numbered from 1 without gaps, and every decided number of a device has one outcome.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import msgspec

from actors.storage import (
    CONTROL_STREAM,
    Attach,
    Attached,
    Borrow,
    Decided,
    Denied,
    Entry,
    Fact,
    InheritDevice,
    InheritedOutcomes,
    Query,
    Refusal,
    Result,
    Row,
)
from proofs.simulation import people, spaces
from proofs.simulation.deciding import decide, keep_unapplied, see_to
from proofs.simulation.messages import talk
from proofs.simulation.reading import read
from proofs.simulation.records import apply_change, bounded, must_change, set_progress_back
from proofs.simulation.rows import NEVER, Answered, DeviceRow, Entered, Noted, Outcome, PutOut, Refused, Space, Stream, Tables, Telling
from protocol.codec import decode_body
from protocol.codes import TABLE as CODES
from protocol.codes import Code, Retry
from protocol.entities import RECORD_KINDS
from protocol.events import Body, Changed, ConflictNoted, Mentioned, Noticed, Posted, SessionRevoked, SpaceEntered, SpaceLeft, StreamInfo
from protocol.frames import Settlement
from protocol.merge import Stamp
from protocol.operations import (
    AnyOperation,
    Block,
    Change,
    Claim,
    Delete,
    Discard,
    Edit,
    Hold,
    Join,
    Leave,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Release,
    Remove,
    Reopen,
    Resolve,
    Say,
    SetBack,
    SetRole,
    SetSlowMode,
    Unblock,
)
from protocol.values import NoticeKind, Role, Roles, SpaceKind, StreamKind

OUTCOMES_KEPT = 256
HORIZON_S = 90 * 86_400
"""How long deletions, and events of record streams, are remembered."""


class Database:
    """See the module. `now` is Unix time in seconds."""

    def __init__(self, outcomes_kept: int = OUTCOMES_KEPT) -> None:
        """`outcomes_kept`: of each device, the newest: no device sends a number so far above one that is unanswered."""
        self._outcomes_kept = outcomes_kept
        self.tables = Tables()
        control = self.tables.create_space(SpaceKind.PERSONAL, "control")
        self.create_stream(control, StreamKind.CONTROL, "control", 0, 0)
        assert control.streams == [CONTROL_STREAM]

    @property
    def spaces(self) -> dict[int, Space]:
        return self.tables.spaces

    @property
    def streams(self) -> dict[int, Stream]:
        return self.tables.streams

    @property
    def devices(self) -> dict[int, DeviceRow]:
        return self.tables.devices

    @property
    def inboxes(self) -> dict[int, int]:
        return self.tables.inboxes

    @property
    def put_out(self) -> dict[tuple[int, int], int]:
        return self.tables.put_out

    def rows(self, stream: int) -> list[Row]:
        """The whole log of a stream: what every copy must equal in the end."""
        return self.streams[stream].log

    def may_read(self, stream: int, user: int) -> bool:
        return self.tables.may_read(stream, user)

    # Setting the scene. Identifiers are given out in turn, or chosen by whoever compares with another database.

    def create_user(self, name: str, id: int = 0, home: int = 0, inbox: int = 0, own: int = 0) -> int:
        return spaces.create_user(self.tables, name, id, home, inbox, own)

    def create_device(self, user: int, id: int = 0, session: int = 0, expires: int = NEVER) -> DeviceRow:
        id = id or len(self.devices) + 1
        row = self.devices[id] = DeviceRow(id, user, session or id + 1000, expires)
        return row

    def create_community(
        self,
        name: str,
        owner: int,
        id: int = 0,
        streams: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0),
        *,
        open_to_all: bool = True,
        now: int = 0,
    ) -> Space:
        """A community with its own stream, a first channel, a board, a library and a studio, which have these numbers (0: the next)."""
        return spaces.create_community(self.tables, name, owner, id, streams, open_to_all, now)

    def create_stream(
        self, space: Space, kind: StreamKind, name: str, read_roles: int = Roles.ALL, write_roles: int = Roles.ALL, id: int = 0
    ) -> Stream:
        return self.tables.create_stream(space, kind, name, read_roles, write_roles, id)

    def appoint(self, space: int, user: int, role: Role) -> None:
        """Makes somebody a member, without a word."""
        spaces.admit(self.tables, self.spaces[space], user, role)

    def revoke(self, device: DeviceRow, now: int) -> list[Fact]:
        """Ends a device's session."""
        if device.revoked:
            return []
        device.revoked = True
        device.generation += 1
        return [self.tables.append(CONTROL_STREAM, 0, now, SessionRevoked(device.user, device.session))]

    # Time, and what operators do

    def pass_horizon(self, now: int, horizon_s: int = HORIZON_S) -> None:
        """Forgets deletions and events of record streams that are older than the horizon."""
        tables = self.tables
        for place in [place for place, at in tables.deleted.items() if at < now - horizon_s]:
            stream = tables.streams[place[0]]
            stream.forgotten = max(stream.forgotten, tables.records[place].version)
            del tables.deleted[place], tables.records[place]
        for stream in tables.streams.values():
            if stream.kind in RECORD_KINDS:
                stream.floor = max([stream.floor, *(row.seq for row in stream.log if row.at < now - horizon_s)])

    def back_up(self) -> Tables:
        """Everything, as it is now."""
        return copy.deepcopy(self.tables)

    def restore(self, backup: Tables, epoch: int) -> None:
        """Everything as it was then; what happened since is another history's. Sessions go on, and no number is given twice."""
        self.tables = copy.deepcopy(backup)
        self.tables.epoch = epoch

    # The journal

    def append(self, entries: Sequence[Entry], now: int) -> tuple[list[Decided], list[Fact]]:
        """One transaction."""
        decided: list[Decided] = []
        facts: list[Fact] = []
        for entry in entries:
            decided.append(self._decide(entry, now, facts))
        facts += self._end(now)
        return decided, facts

    def deliver_outbox(self, now: int) -> list[Fact]:
        """What the outbox's reader does, in one transaction."""
        waiting, self.tables.outbox = self.tables.outbox, []
        facts = []
        # Replies come last: whom they are for is looked up for all of them at once.
        for user, telling in sorted(waiting, key=lambda one: isinstance(one[1], Answered)):
            if isinstance(telling, Answered):
                facts += self._tell_answered(telling, now)
                continue
            told = self._judge(user, telling)
            if told is not None:
                facts.append(self.tables.append(self.inboxes[user], told[0], now, told[1]))
        return facts

    def _tell_answered(self, telling: Answered, now: int) -> list[Fact]:
        """To the author of what is answered: not of one's own, not where a mention says so anyway, nor of what was taken back."""
        stream = self.streams[telling.stream]
        body = decode_body(stream.log[telling.seq - 1].body)
        if not isinstance(body, Posted) or not body.reply_to:
            return []
        author = stream.log[body.reply_to - 1].author
        if author in (0, telling.by, *body.mentions) or not self.may_read(stream.id, author):
            return []
        if self.tables.are_parted(telling.by, author):
            return []
        told = Noticed(NoticeKind.REPLY, telling.by, stream.space.id, stream.id, telling.seq, body.reply_to)
        return [self.tables.append(self.inboxes[author], telling.by, now, told)]

    def _judge(self, user: int, telling: Telling) -> tuple[int, Body] | None:
        """What an inbox is told, as things are now: any order of delivery ends in the truth."""
        match telling:
            case Mentioned():
                wanted = self.may_read(telling.stream, user) and not self.tables.are_parted(telling.author, user)
                return (telling.author, telling) if wanted else None
            case Entered():
                space = self.spaces[telling.space]
                if user not in space.members:
                    return None
                enrolment = self.tables.enrolment(space.id, user)
                entered = space.streams + (enrolment.streams if enrolment is not None else [])
                streams = tuple(StreamInfo(s, self.streams[s].kind, self.streams[s].name) for s in entered if self.may_read(s, user))
                return 0, SpaceEntered(space.id, space.kind, space.name, space.members[user], streams)
            case PutOut():
                return None if user in self.spaces[telling.space].members else (telling.by, SpaceLeft(telling.space))
            case Noted():
                row = self.tables.conflicts[telling.conflict]
                if not self.may_read(row.place[0], user):
                    return None
                return telling.by, ConflictNoted(row.id, *row.place, row.state, row.by)

    def _decide(self, entry: Entry, now: int, facts: list[Fact]) -> Decided:
        device = self.devices.get(entry.device)
        number = entry.number

        def answer(code: Code, value: int = 0, detail: str = "", replayed: bool = False) -> Decided:
            return Decided(number, code, value, detail, replayed, entry.generation)

        if device is None or device.user != entry.user or device.generation != entry.generation or device.revoked:
            return answer(Code.TAKEN_OVER)
        if number <= device.last_number:
            kept = device.outcomes.get(number)
            if kept is None:
                return answer(Code.TOO_OLD)
            if kept.digest != entry.digest:
                return answer(Code.NUMBER_REUSED)
            return answer(kept.code, kept.value, kept.detail, replayed=True)
        if number > device.last_number + 1:
            return answer(Code.GAP)
        try:
            value = self._carry_out(entry, device, now, facts)
            outcome = Outcome(entry.digest, Code.OK, value, "")
        except Refused as refused:
            assert CODES[refused.code].retry is Retry.NO
            outcome = Outcome(entry.digest, refused.code, refused.value, refused.detail)
            self._keep_refused(entry, refused, now)
        device.last_number = number
        device.outcomes[number] = outcome
        device.outcomes.pop(number - self._outcomes_kept, None)
        return answer(outcome.code, outcome.value, outcome.detail)

    def _carry_out(self, entry: Entry, device: DeviceRow, now: int, facts: list[Fact]) -> int:
        tables, user, operation = self.tables, entry.user, entry.operation
        match operation:
            case Refusal():
                raise Refused(operation.code, operation.detail, operation.until_ms)
            case Say() | Post() | Edit() | Delete() | React() | MarkRead():
                value, happened = talk(tables, user, operation, now)
            case Join() | Leave() | Remove() | SetRole():
                facts += self._end(now)
                value, happened = spaces.change_membership(tables, user, operation, now)
            case Block() | Unblock() | OpenConversation() | SetSlowMode():
                value, happened = people.carry_out(tables, user, operation, now)
            case Change():
                declaration = must_change(tables, user, operation)
                return apply_change(tables, declaration, user, operation, self._stamp(entry, operation.at, now), now)
            case SetBack():
                return set_progress_back(tables, user, operation, device.id, entry.number, now)
            case Claim() | Reopen():
                return decide(tables, user, operation, self._stamp(entry, now, now), now)
            case Resolve():
                return decide(tables, user, operation, self._stamp(entry, operation.at, now), now)
            case Release() | Discard():
                return see_to(tables, user, operation, now)
            case Hold():
                readable = [held for held in operation.streams if held.stream in self.streams and self.may_read(held.stream, user)]
                best = {held.stream: held for held in sorted(readable, key=lambda held: -held.rank)}
                device.held, device.quota_bytes = tuple(best.values()), operation.quota_bytes
                return len(best)
            case _:
                raise Refused(Code.UNKNOWN, f"{type(operation).__name__} is not simulated")
        facts += happened
        return value

    def _stamp(self, entry: Entry, at: int, now: int) -> Stamp:
        return Stamp(bounded(at, entry.skew_s, now), entry.device, entry.number)

    def _keep_refused(self, entry: Entry, refused: Refused, now: int) -> None:
        """A change that was refused is kept; of what could not be read, the bytes."""
        operation: AnyOperation | Refusal = entry.operation
        if isinstance(operation, Change):
            stream, payload, at = operation.stream, msgspec.msgpack.encode(operation), operation.at
        elif isinstance(operation, Refusal) and operation.payload:
            stream, payload, at = 0, operation.payload, now
        else:
            return
        keep_unapplied(self.tables, entry.user, stream, payload, self._stamp(entry, at, now), refused.code, refused.detail, now)

    def _end(self, now: int) -> list[Fact]:
        """The last call of a transaction: what it wrote of records becomes events."""
        told, self.tables.told = self.tables.told, []
        return [self.tables.append(one.stream, one.author, now, Changed(tuple(one.items.values()))) for one in told]

    # The store

    def query(self, query: Query, now: float) -> Result:
        """One snapshot (and for `Attach`, one transaction)."""
        match query:
            case Attach() | Borrow():
                return self._attach(query, now)
            case InheritDevice():
                return self._inherit(query)
            case _:
                return read(self.tables, query)

    def _attach(self, query: Attach | Borrow, now: float) -> Result:
        device = next((row for row in self.devices.values() if row.session == query.session), None)
        if device is None or device.user != query.user or device.revoked:
            return Denied(Code.REVOKED)
        if device.id != query.device:
            return Denied(Code.FORBIDDEN)
        if device.expires <= now:
            return Denied(Code.TOKEN_EXPIRED)
        previous = 0
        if isinstance(query, Attach):
            previous, device.gateway = device.gateway, query.gateway
            device.generation += 1
        name, epoch, inbox = self.tables.names[query.user], self.tables.epoch, self.inboxes[query.user]
        return Attached(device.generation, device.last_number, inbox, epoch, device.expires, name, previous)

    def _inherit(self, query: InheritDevice) -> Result:
        """From now on nothing of the inherited device can commit; what of `sent` did is told."""
        if query.device == query.inherited:
            return Denied(Code.INVALID)
        asking, other = self.devices.get(query.device), self.devices.get(query.inherited)
        if asking is None or other is None or {asking.user, other.user} != {query.user}:
            return Denied(Code.NOT_FOUND)
        other.generation += 1
        settled = []
        for number, digest in query.sent:
            kept = other.outcomes.get(number)
            if kept is not None and kept.digest == digest:
                settled.append(Settlement(number, kept.code, kept.value, kept.detail))
            elif kept is None and number <= other.last_number:
                settled.append(Settlement(number, Code.TOO_OLD, 0))
        return InheritedOutcomes(other.generation, tuple(settled))

"""The outbox: carries what crosses audiences from where it happened into other streams, each once.

    transaction leaves rows ─▶ filled() ─▶ claim ─▶ lock inboxes ─▶ judge ─▶ append ─▶ delete rows ─▶ commit ─▶ herald
    (journal)                  or a poll    skip      sorted          holds    └──── one transaction ────┘
                                            locked                    still?

A mention is written to its channel; the inbox entry follows from it here, so that no transaction of the hot path spans two audiences.
Each row is judged when it is delivered, under the lock of the inbox it is for: a mention reaches only who may read the stream now, and
whether somebody entered or left a space, or where a conflict stands, is told as it is then. So rows may be delivered in any order, by any
number of gateways at once. Who enters a community is told of the streams of their enrolment with the community's own.
Invariant: a row's event is appended in the transaction that deletes the row: never twice, and never lost. A row that cannot be
delivered is tried again ever more slowly, apart from the others, and kept for a person to look at in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import structlog
import trio
from msgspec import Struct

from actors.storage import Fact, Herald
from actors.storage_port import StorageError
from persistence.append import NewEvent, append_events, event, kind_of
from persistence.blocks import parted
from persistence.bridge import Bridge
from persistence.journal import POISON, raise_if_ours
from persistence.mentoring.closing import NOTED as _MENTORSHIP_NOTED
from persistence.mentoring.listing import read_noted
from persistence.notice_rows import BLOCKABLE, Row, find_answered, find_unwanted, keep, kind_told
from persistence.notices import NOTICED
from protocol import codec
from protocol.events import ConflictNoted, Invited, Mentioned, Renamed, SpaceEntered, SpaceLeft, StreamInfo
from protocol.values import ConflictState, Role, SpaceKind, StreamKind

log = structlog.get_logger()

_ENTERED: Final = kind_of(SpaceEntered)
_LEFT: Final = kind_of(SpaceLeft)
_MENTIONED: Final = kind_of(Mentioned)
_INVITED: Final = kind_of(Invited)
_RENAMED: Final = kind_of(Renamed)
_CONFLICT_NOTED: Final = kind_of(ConflictNoted)

_CLAIM: Final = """
select id, kind, user_id, space_id, stream_id, seq, author, payload from outbox
where not_before <= now() order by not_before, id limit $1 for update skip locked"""

_ENROLMENTS: Final = """
select e.parent, m.user_id, t.id, t.kind, t.name
from unnest($1::bigint[], $2::bigint[]) as q (space, user_id)
join spaces e on e.pair_key = 'enrolment:' || q.space || ':' || q.user_id
cross join lateral (select m.user_id, m.role from members m where m.space_id = e.id and m.user_id = q.user_id limit 1) m
join streams t on t.space_id = e.id and t.read_roles & m.role <> 0
order by e.parent, m.user_id, t.id"""

_CONFLICTS: Final = """
select q.pos, c.id, c.stream_id, c.entity, c.key, c.state, c.decided_by
from unnest($1::bigint[], $2::bigint[]) with ordinality as q (conflict, user_id, pos)
join sync_conflicts c on c.id = q.conflict
join accounts a on a.id = q.user_id and a.disabled_at is null
join streams s on s.id = c.stream_id
cross join lateral (
    select from members m where m.space_id = s.space_id and m.user_id = q.user_id and m.role & s.read_roles <> 0 limit 1
) m"""

_POSTPONE: Final = """
update outbox set attempts = attempts + 1,
    not_before = case when attempts + 1 >= $2 then 'infinity' else now() + make_interval(secs => least(power(2, attempts), 3600)) end
where id = $1 returning attempts"""

_VISIBLE: Final = """
select q.id from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as q (id, user_id, stream)
join accounts a on a.id = q.user_id and a.disabled_at is null
left join streams s on s.id = q.stream
left join lateral (
    select m.role & s.read_roles <> 0 as reads from members m where m.space_id = s.space_id and m.user_id = q.user_id limit 1
) m on true
where q.stream is null or m.reads"""


class OutboxOptions(Struct, frozen=True):
    """`poll_s` finds what other gateways left when they died, and what was postponed; `attempts_max` ends in `not_before = 'infinity'`."""

    batch_max: int = 200
    poll_s: float = 2.0
    call_s: float = 10.0
    attempts_max: int = 12


GIVEN_UP: Final = "select count(*)::int from outbox where not_before = 'infinity'"
"""Rows that stand for a person to look at, from whichever gateway gave them up."""


class Outbox:
    """`serve` runs it, on any number of gateways. `filled` may be called at any time: something may be waiting."""

    def __init__(self, bridge: Bridge, herald: Herald, options: OutboxOptions = OutboxOptions()) -> None:  # noqa: B008 (frozen)
        self._bridge = bridge
        self._herald = herald
        self._options = options
        self._filled = trio.Event()
        self.delivered = 0
        self.dropped = 0
        self.given_up = 0

    def filled(self) -> None:
        """Wakes the delivery. Never waits."""
        self._filled.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Delivers until cancelled."""
        task_status.started()
        while True:
            # A new event before draining: what is filled meanwhile is not missed.
            self._filled = trio.Event()
            await self.drain()
            with trio.move_on_after(self._options.poll_s):
                await self._filled.wait()

    async def drain(self) -> None:
        """Delivers what is due now; returns when nothing is left or the database is away."""
        size = self._options.batch_max
        while True:
            try:
                claimed = await self._deliver(size)
            except StorageError as error:
                log.info("outbox_delayed", error=str(error))
                return
            except POISON as error:
                raise_if_ours(error)
                # One of them cannot be delivered: find it by delivering one at a time, and set it aside.
                if size > 1:
                    size = 1
                    continue
                await self._postpone(error)
                size = self._options.batch_max
                continue
            if claimed < size:
                if size == self._options.batch_max:
                    return
                size = self._options.batch_max

    async def _deliver(self, limit: int) -> int:
        """Claims and delivers up to `limit` rows in one transaction; returns how many there were."""

        async def work(tx: asyncpg.Connection) -> tuple[int, int, list[Fact]]:
            rows = await tx.fetch(_CLAIM, limit)
            if not rows:
                return 0, 0, []
            # At most one event for a row: what is left out was dropped.
            events, owners = await _judge(tx, await find_answered(tx, rows))
            await tx.execute("delete from outbox where id = any($1)", [row["id"] for row in rows])
            facts = await append_events(tx, events) if events else []
            await keep(tx, facts, owners)
            return len(rows), len(events), facts

        claimed, delivered, facts = await self._bridge.run(work, deadline_s=self._options.call_s)
        self.delivered += delivered
        self.dropped += claimed - delivered
        if facts:
            self._herald.committed(facts)
        return claimed

    async def _postpone(self, error: BaseException) -> None:
        async def work(tx: asyncpg.Connection) -> tuple[int, int] | None:
            row = await tx.fetchrow(_CLAIM, 1)
            return None if row is None else (row["id"], await tx.fetchval(_POSTPONE, row["id"], self._options.attempts_max))

        postponed = await self._bridge.run(work, deadline_s=self._options.call_s)
        if postponed is not None:
            id, attempts = postponed
            given_up = attempts >= self._options.attempts_max
            self.given_up += given_up
            log.log(40 if given_up else 30, "outbox_postponed", id=id, attempts=attempts, given_up=given_up, error=repr(error))


async def _judge(tx: asyncpg.Connection, rows: Sequence[Row]) -> tuple[list[NewEvent], dict[int, int]]:
    """What is to be appended for these rows, decided under the locks of their inboxes; and by inbox, whose it is."""
    inboxes: dict[int, int] = dict(
        await tx.fetch("select id, inbox from accounts where id = any($1) and inbox is not null", [row["user_id"] for row in rows])
    )
    # Renamed goes into a space's own stream, which append_events locks too: all are locked here, in one sorted sweep.
    spoken = await tx.fetch(
        "select distinct on (space_id) space_id, id from streams where space_id = any($1) and kind in (2, 4) order by space_id, id",
        [row["space_id"] for row in rows if row["kind"] == _RENAMED],
    )
    main_streams: dict[int, int] = {row["space_id"]: row["id"] for row in spoken}
    await tx.execute("select from streams where id = any($1) order by id for update", [*inboxes.values(), *main_streams.values()])
    judged = await tx.fetch(
        "select * from judge_outbox($1, $2, $3, $4)",
        [row["kind"] for row in rows],
        [row["user_id"] for row in rows],
        [row["space_id"] for row in rows],
        [row["stream_id"] for row in rows],
    )
    enrolled = await _read_enrolments(tx, rows)
    noted = await _read_conflicts(tx, rows)
    mentorships = await read_noted(tx, rows)
    unwanted = await _read_blocked(tx, rows) | await find_unwanted(tx, rows)
    seen = await _read_notices(tx, rows)
    events: list[NewEvent] = []
    for row, verdict in zip(rows, judged, strict=True):
        kind, user, author = row["kind"], row["user_id"], row["author"]
        if kind == _CONFLICT_NOTED:
            if row["id"] in noted and user in inboxes:
                events.append(event(inboxes[user], author, noted[row["id"]]))
            continue
        if kind == _MENTORSHIP_NOTED:
            if row["payload"] is not None and user in inboxes:  # one of the two was erased since
                events.append(NewEvent(inboxes[user], author, kind, row["payload"]))
            elif row["id"] in mentorships and user in inboxes:
                events.append(event(inboxes[user], mentorships[row["id"]].by, mentorships[row["id"]]))
            continue
        if kind == NOTICED:
            if row["id"] in seen and row["id"] not in unwanted and user in inboxes:
                events.append(NewEvent(inboxes[user], author, kind, row["payload"]))
            continue
        if not verdict["deliver"] or row["id"] in unwanted:
            continue
        if kind == _MENTIONED:
            events.append(event(inboxes[user], author, Mentioned(row["stream_id"], row["seq"], author)))
        elif kind == _ENTERED:
            streams = zip(verdict["streams"] or (), verdict["stream_kinds"] or (), verdict["stream_names"] or (), strict=True)
            entered = SpaceEntered(
                row["space_id"],
                SpaceKind(verdict["kind"]),
                verdict["name"],
                Role(verdict["role"]),
                (
                    *(StreamInfo(stream, StreamKind(stream_kind), name) for stream, stream_kind, name in streams),
                    *enrolled.get((row["space_id"], user), ()),
                ),
            )
            events.append(event(inboxes[user], author, entered))
        elif kind in (_LEFT, _INVITED):
            events.append(NewEvent(inboxes[user], author, kind, row["payload"]))
        elif kind == _RENAMED and row["space_id"] in main_streams:
            events.append(NewEvent(main_streams[row["space_id"]], author, kind, row["payload"]))
    return events, {inbox: user for user, inbox in inboxes.items()}


async def _read_enrolments(tx: asyncpg.Connection, rows: Sequence[Row]) -> dict[tuple[int, int], list[StreamInfo]]:
    """By community and member: the streams that they have of their own there."""
    entered = [row for row in rows if row["kind"] == _ENTERED]
    enrolled: dict[tuple[int, int], list[StreamInfo]] = {}
    if entered:
        spaces, users = [row["space_id"] for row in entered], [row["user_id"] for row in entered]
        for space, user, stream, kind, name in await tx.fetch(_ENROLMENTS, spaces, users):
            told = enrolled.setdefault((space, user), [])
            if all(info.stream != stream for info in told):
                told.append(StreamInfo(stream, StreamKind(kind), name))
    return enrolled


async def _read_blocked(tx: asyncpg.Connection, rows: Sequence[Row]) -> set[int]:
    """The rows by which somebody would reach somebody while one of the two blocks the other."""
    reaching = [row for row in rows if row["kind"] == _INVITED or kind_told(row) in BLOCKABLE]
    found = await parted(tx, [(row["user_id"], row["author"]) for row in reaching])
    return {reaching[place]["id"] for place in found}


async def _read_conflicts(tx: asyncpg.Connection, rows: Sequence[Row]) -> dict[int, ConflictNoted]:
    """By row: where the conflict that it is about stands now. Left out where whom it is for may not read the stream any more."""
    about: dict[int, tuple[int, int]] = {}
    for row in rows:
        if row["kind"] == _CONFLICT_NOTED:
            body = codec.decode_body(row["payload"])
            assert isinstance(body, ConflictNoted), body
            about[row["id"]] = (body.conflict, row["user_id"])
    if not about:
        return {}
    ids = list(about)
    found = await tx.fetch(_CONFLICTS, [conflict for conflict, _ in about.values()], [user for _, user in about.values()])
    return {
        ids[pos - 1]: ConflictNoted(conflict, stream, entity, key, ConflictState(state), by)
        for pos, conflict, stream, entity, key, state, by in found
    }


async def _read_notices(tx: asyncpg.Connection, rows: Sequence[Row]) -> set[int]:
    """The rows whose notice is still for somebody: the account is there, and may read the stream that it points to, if it points to one."""
    notices = [row for row in rows if row["kind"] == NOTICED]
    if not notices:
        return set()
    found = await tx.fetch(
        _VISIBLE, [row["id"] for row in notices], [row["user_id"] for row in notices], [row["stream_id"] for row in notices]
    )
    return {row["id"] for row in found}

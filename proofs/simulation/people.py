"""What passes between people in a simulated database, and what does not: conversations, blocks, and how often a learner speaks.

    Block ─▶ the conversations of two that both are in: no writers ─▶ Unblock, the last between them ─▶ writers again

Invariant: a conversation that two people are in has no writers if, and only if, one of them blocks the other.
"""

from __future__ import annotations

from actors.storage import CONTROL_STREAM, Fact
from proofs.simulation.rows import STAFF, Entered, Refused, Space, Stream, Tables
from protocol.codes import Code
from protocol.events import AuthorityChanged, Joined, PersonBlocked, SlowModeSet
from protocol.operations import Block, OpenConversation, SetSlowMode, Unblock
from protocol.values import Role, Roles, SpaceKind, StreamKind

Between = Block | Unblock | OpenConversation | SetSlowMode


def carry_out(tables: Tables, user: int, operation: Between, now: int) -> tuple[int, list[Fact]]:
    """Carries one out; the value and what happened. Raises `Refused`."""
    match operation:
        case Block():
            if operation.user == user:
                raise Refused(Code.INVALID)
            if operation.user not in tables.inboxes:
                raise Refused(Code.NOT_FOUND)
            return _set_block(tables, user, operation.user, now, on=True)
        case Unblock():
            return _set_block(tables, user, operation.user, now, on=False)
        case OpenConversation():
            return _open(tables, user, frozenset((user, *operation.users)), now)
        case SetSlowMode():
            return _slow(tables, user, operation, now)


def judge_writers(tables: Tables, space: Space) -> None:
    """Who writes in a conversation, as its members and their blocks are now."""
    if space.kind is SpaceKind.CONVERSATION:
        closed = len(space.members) == 2 and tables.are_parted(*space.members)
        for stream in space.streams:
            tables.streams[stream].write_roles = 0 if closed else int(Roles.ALL)


def is_silent(stream: Stream) -> bool:
    """Whether it is a conversation of two, of whom one blocks the other."""
    return stream.kind is StreamKind.CONVERSATION and not stream.write_roles


def slow_until(tables: Tables, stream: Stream, user: int, now: int) -> int:
    """In Unix milliseconds, when somebody may speak again who may not now; 0: they may. Whoever may has spoken by it."""
    if not stream.slow_s or stream.space.members[user] is not Role.LEARNER:
        return 0
    until = tables.spoken.get((stream.id, user), -stream.slow_s) + stream.slow_s
    if until > now:
        return until * 1000
    tables.spoken[stream.id, user] = now
    return 0


def _set_block(tables: Tables, user: int, other: int, now: int, *, on: bool) -> tuple[int, list[Fact]]:
    if ((user, other) in tables.blocks) is on:
        return 0, []
    (tables.blocks.add if on else tables.blocks.discard)((user, other))
    told = [tables.append(tables.inboxes[user], user, now, PersonBlocked(other, on))]
    for space in tables.spaces.values():
        if space.kind is SpaceKind.CONVERSATION and set(space.members) == {user, other}:
            stream = tables.streams[space.streams[0]]
            before = stream.write_roles
            judge_writers(tables, space)
            if stream.write_roles != before:
                stream.audience_version += 1
                told.append(tables.append(CONTROL_STREAM, 0, now, AuthorityChanged(space.id, 0)))
    return 0, told


def _open(tables: Tables, user: int, people: frozenset[int], now: int) -> tuple[int, list[Fact]]:
    if len(people) < 2:
        raise Refused(Code.INVALID)
    if not people <= set(tables.inboxes):
        raise Refused(Code.NOT_FOUND)
    if any(tables.are_parted(one, other) for one in people for other in people):
        raise Refused(Code.BLOCKED)
    for space in tables.spaces.values():
        if space.kind is SpaceKind.CONVERSATION and space.whole and set(space.members) == people:
            return space.streams[0], []
    space = tables.create_space(SpaceKind.CONVERSATION, "")
    space.whole = True
    stream = tables.create_stream(space, StreamKind.CONVERSATION).id
    told = []
    for one in sorted(people):
        space.members[one] = Role.LEARNER
        tables.outbox.append((one, Entered(space.id)))
        told.append(tables.append(stream, user, now, Joined(one, Role.LEARNER, tables.names[one])))
    return stream, told


def _slow(tables: Tables, user: int, operation: SetSlowMode, now: int) -> tuple[int, list[Fact]]:
    stream = tables.streams.get(operation.stream)
    role = None if stream is None else stream.space.members.get(user)
    if stream is None or role is None:
        raise Refused(Code.NOT_FOUND)
    if stream.space.kind is not SpaceKind.COMMUNITY or role not in STAFF or stream.kind is not StreamKind.CHANNEL:
        raise Refused(Code.FORBIDDEN)
    if stream.slow_s == operation.seconds:
        return 0, []
    stream.slow_s = operation.seconds
    return 0, [tables.append(stream.space.streams[0], user, now, SlowModeSet(stream.id, operation.seconds))]

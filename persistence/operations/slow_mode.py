"""SetSlowMode: how many seconds lie at least between two messages of one learner in a channel.

The channel's row carries it, which every append has locked: it is checked there, in the order that all gateways and devices share, and a
channel without it costs nothing. Staff and mentors are exempt.
"""

from __future__ import annotations

import asyncpg

from actors.storage import Entry
from persistence.append import Effect, Refuse, StreamChange, event
from persistence.audit import Deed
from persistence.operations import rules
from persistence.operations.space import lock_space
from protocol.codes import Code
from protocol.events import SlowModeSet
from protocol.operations import SetSlowMode
from protocol.values import StreamKind


async def set_slow_mode(tx: asyncpg.Connection, entry: Entry, operation: SetSlowMode) -> Effect | Refuse:
    """Sets it; the same again changes nothing."""
    found: int | None = await tx.fetchval("select space_id from streams where id = $1", operation.stream)
    space = None if found is None else await lock_space(tx, found, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    if all(stream.stream != operation.stream or stream.kind is not StreamKind.CHANNEL for stream in space.streams):
        return Refuse(Code.FORBIDDEN, "only channels have a slow mode")
    # Stable: only this operation changes it, and it holds the space's lock.
    before: int = await tx.fetchval("select slow_s from streams where id = $1", operation.stream)
    if before == operation.seconds:
        return Effect()
    told = event(space.main_stream, entry.user, SlowModeSet(operation.stream, operation.seconds))
    detail = {"stream": operation.stream, "from": before, "to": operation.seconds}
    deed = Deed(entry.user, "slow_mode_set", space.id, detail=detail)
    return Effect((told,), changes=(StreamChange(operation.stream, slow_s=operation.seconds),), deeds=(deed,))

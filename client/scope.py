"""Which streams a device keeps for being offline: a pure plan from the person's choice, the quota and what there is.

    choice, quota ─┐                     ┌─▶ keep
    standings ─────┴─ in order, while ───┼─▶ fetch, in this order
    (size, pending)   there is room      ├─▶ give up, lowest first
                                         └─▶ leave out

Order: the class of the stream (`entities.PRIORITIES`), the rank that the person gave, the stream. What is kept is a beginning of that
order: the first stream that finds no room ends it, even if a smaller one behind it would fit. Otherwise two streams around the bound would
be dropped and fetched in turn, and what a person put higher would go before what they put lower.

Invariant: nothing with pending changes is given up; without those, what is kept never takes more than the quota.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from protocol.entities import PRIORITIES, Priority
from protocol.operations import Held
from protocol.values import StreamKind

ALWAYS = frozenset({StreamKind.INBOX, StreamKind.OWN})
"""Kinds that need no choosing: without them a device knows neither of its spaces nor how its person likes things."""
RANK_LAST = 256
"""Comes behind every rank that can be given."""


class Standing(Struct, frozen=True):
    """A stream that may be read, as it stands on this device.

    `held`: all its records are here. `size_bytes`: what it takes; where it is not held, what it took when it was (0: nobody knows).
    `pending`: it has changes that the server has not decided.
    """

    stream: int
    kind: StreamKind
    held: bool = False
    size_bytes: int = 0
    pending: bool = False


class Step(Struct, frozen=True):
    """A stream, and why it is where it is, in words for the person."""

    stream: int
    reason: str


class Plan(Struct, frozen=True):
    """What to do. Every stream is in exactly one of the four. `bytes_kept` is what `keep` and `fetch` take, as far as it is known."""

    keep: tuple[Step, ...]
    fetch: tuple[Step, ...]
    give_up: tuple[Step, ...]
    leave_out: tuple[Step, ...]
    bytes_kept: int


def priority(kind: StreamKind) -> Priority:
    """A stream's class. Of a kind that this client does not know it comes last."""
    return PRIORITIES.get(kind, Priority.ATTACHMENTS)


def in_order(standings: Iterable[Standing], ranks: Mapping[int, int]) -> list[Standing]:
    """First to last: as they are brought up to date, and, from the end, given up. `ranks` are by stream."""
    return sorted(standings, key=lambda one: (priority(one.kind), ranks.get(one.stream, RANK_LAST), one.stream))


def plan(chosen: Sequence[Held] | None, quota_bytes: int, standings: Sequence[Standing]) -> Plan:
    """Decides what is held. `chosen` None: the person never chose, and everything is wanted. `quota_bytes` 0: there is no bound."""
    ranks = {held.stream: held.rank for held in chosen or ()}
    keep: list[Step] = []
    fetch: list[Step] = []
    give_up: list[Step] = []
    leave_out: list[Step] = []
    # What cannot be given up takes its room before anything else, wherever it stands in the order.
    used = sum(one.size_bytes for one in standings if one.pending and one.held)
    full_at = 0
    for one in in_order(standings, ranks):
        if one.pending and one.held:
            keep.append(Step(one.stream, "has changes that the server has not decided"))
            continue
        wanted = chosen is None or one.stream in ranks or one.kind in ALWAYS
        if not wanted:
            (give_up if one.held else leave_out).append(Step(one.stream, "not chosen"))
            continue
        fits = not full_at and (not quota_bytes or used + one.size_bytes <= quota_bytes)
        # Of unknown size, it needs at least some room to be worth a try.
        if fits and not one.held and not one.size_bytes and quota_bytes:
            fits = used < quota_bytes
        if not fits:
            reason = f"the quota of {quota_bytes} bytes is used up"
            if full_at:
                reason += f", and stream {full_at} comes before it"
            full_at = full_at or one.stream
            (give_up if one.held else leave_out).append(Step(one.stream, reason))
            continue
        used += one.size_bytes
        if one.held:
            keep.append(Step(one.stream, "held"))
        else:
            fetch.append(Step(one.stream, f"next in order: {priority(one.kind).name.lower()}"))
    give_up.reverse()
    return Plan(tuple(keep), tuple(fetch), tuple(give_up), tuple(leave_out), used)

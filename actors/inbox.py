"""An inbox: what waits for one actor, in two lanes, bounded in items and in bytes.

    tell_control ─▶ ▐ control ▌ ─┐
                                 ├─▶ take: control first, each lane first in, first out
    tell ─────────▶ ▐ bulk    ▌ ─┘
             bound reached? the policy in the spec decides, and the drop is counted by reason

Invariant: what was accepted is taken exactly once, in order within its lane, unless the policy is to drop the oldest. The lanes
are built when first used: an empty `deque` takes 760 B (CPython 3.11), more than the rest of an idle actor together.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

M = TypeVar("M")


class Overflow(Enum):
    """What happens to a message that finds the bulk lane full."""

    REFUSE = "refuse"
    """The sender is told (False) and decides: answer `BUSY`, try later, close the socket."""

    DROP_OLDEST = "drop_oldest"
    """Room is made by forgetting what waited longest: for news that the next news replaces (presence, typing)."""

    DROP_NEWEST = "drop_newest"
    """The new message is forgotten and its sender is not bothered: for hints, where the first of many says enough."""


class InboxSpec(Struct, frozen=True):
    """The bounds of one kind of inbox, and what happens when they are reached."""

    items_max: Annotated[int, Meta(ge=1)] = 1024
    """Messages in the bulk lane."""

    bytes_max: Annotated[int, Meta(ge=0)] = 1 << 20
    """Sum of the sizes that senders gave for messages in the bulk lane."""

    overflow: Overflow = Overflow.REFUSE

    control_max: Annotated[int, Meta(ge=1)] = 16_384
    """Messages in the control lane. It is never refused, so reaching this bound is a fault of the actor or its ports, and crashes the
    actor: its lane is emptied and it starts again from its ports, as after any crash."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("items_max", self.items_max, 1),
            ("bytes_max", self.bytes_max, 0),
            ("control_max", self.control_max, 1),
        ):
            if value < least:
                raise ValueError(f"InboxSpec.{name} is {value}; allowed: {least} or more")


class Drops:
    """How many messages did not get through, by reason. One is shared by all inboxes of a kind."""

    __slots__ = ("control_flood", "over_bytes", "over_items", "too_large")

    def __init__(self) -> None:
        self.over_items = 0
        """Refused or forgotten, by the policy, because of `items_max`."""
        self.over_bytes = 0
        """Refused or forgotten, by the policy, because of `bytes_max`."""
        self.too_large = 0
        """Alone larger than `bytes_max`: refused whatever the policy, since no waiting and no dropping would let it in."""
        self.control_flood = 0
        """Lost with a control lane that reached `control_max`."""

    def by_reason(self) -> dict[str, int]:
        return {reason: getattr(self, reason) for reason in self.__slots__}

    def total(self) -> int:
        return self.over_items + self.over_bytes + self.too_large + self.control_flood


class Inbox(Generic[M]):
    """The two lanes of one actor. Not for use across threads."""

    __slots__ = ("_bulk", "_control", "_drops", "_spec", "size_bytes", "waiting")

    def __init__(self, spec: InboxSpec, drops: Drops) -> None:
        self._spec = spec
        self._drops = drops
        self._bulk: deque[tuple[M, int]] | None = None
        self._control: deque[M] | None = None
        self.size_bytes = 0
        """Sum of the sizes waiting in the bulk lane."""
        self.waiting = 0
        """Messages in both lanes. A plain attribute because it is read once a message: a `__len__` costs three times as much."""

    def put(self, message: M, size_bytes: int = 0) -> bool:
        """Adds to the bulk lane. False if it was refused, so that the sender must act; True otherwise, dropped by policy or not."""
        bulk = self._bulk
        if bulk is None:
            bulk = self._bulk = deque()
        held_bytes = self.size_bytes + size_bytes
        if len(bulk) >= self._spec.items_max or held_bytes > self._spec.bytes_max:
            return self._overflow(bulk, message, size_bytes)
        self.size_bytes = held_bytes
        self.waiting += 1
        bulk.append((message, size_bytes))
        return True

    def put_control(self, message: M) -> bool:
        """Adds to the control lane. False if the lane was at its bound: it is empty now, and the actor must be crashed.

        See `InboxSpec.control_max`.
        """
        control = self._control
        if control is None:
            control = self._control = deque()
        if len(control) >= self._spec.control_max:
            self._drops.control_flood += len(control) + 1
            self.waiting -= len(control)
            control.clear()
            return False
        self.waiting += 1
        control.append(message)
        return True

    def take(self) -> M:
        """Removes and returns the next message, control first. Raises `IndexError` if nothing waits."""
        control = self._control
        if control:
            self.waiting -= 1
            return control.popleft()
        bulk = self._bulk
        if not bulk:
            raise IndexError("nothing waits in this inbox")
        message, size_bytes = bulk.popleft()
        self.size_bytes -= size_bytes
        self.waiting -= 1
        return message

    def _overflow(self, bulk: deque[tuple[M, int]], message: M, size_bytes: int) -> bool:
        spec, drops = self._spec, self._drops
        if size_bytes > spec.bytes_max:
            drops.too_large += 1
            return False
        if spec.overflow is Overflow.DROP_OLDEST:
            while bulk and (len(bulk) >= spec.items_max or self.size_bytes + size_bytes > spec.bytes_max):
                self._count(len(bulk) >= spec.items_max)
                _, freed_bytes = bulk.popleft()
                self.size_bytes -= freed_bytes
                self.waiting -= 1
            self.waiting += 1
            self.size_bytes += size_bytes
            bulk.append((message, size_bytes))
            return True
        self._count(len(bulk) >= spec.items_max)
        return spec.overflow is Overflow.DROP_NEWEST

    def _count(self, by_items: bool) -> None:
        if by_items:
            self._drops.over_items += 1
        else:
            self._drops.over_bytes += 1

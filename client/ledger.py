"""The mutations that have no outcome yet, in the order in which they were asked for. Pure: no clock, no disk, no socket.

    append ─▶ waiting ─take─▶ sent ─Done, Refused for good─▶ gone
                 ▲              │ Refused "same" or "later": hold; once all that was sent is answered, back to the front
                 └──────────────┘ cut: back to the front at once

A number is given at the first sending, after the server has said (in `Welcome`) up to where it has decided, and never at an
earlier time: a store that lost its newest lines, or was begun anew for an old device, cannot reuse a number by that. From then on
number and bytes belong together. At `Welcome` the older socket's generation is over, so whatever lies above `last_number` is
undecided for good, and may be numbered anew without a gap: that happens when a restored database has forgotten decisions.

The window has two bounds, in mutations and in bytes: after a cut at any point no more than that is sent again.

Invariant: what is sent at once is in order and lies in a run of consecutive numbers that begins at the lowest unanswered one and is no
longer than the window. Some of the run may have been answered: the run counts all the same, for the server keeps the outcomes of the
newest numbers, and one number that comes back again and again must not be left behind by those after it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from client.errors import QueueFull

UNANSWERED_MAX = 50_000
"""Mutations without an outcome: days offline of a busy person (a few hundred a day) many times over, or a bulk import's backlog. A
bound, because each takes memory and disk, and a store that no server takes from must say so at last (`QueueFull`)."""
FRAME_BYTES = 12
"""What a `Mutate` frame adds to its operation: array head, tag, and a number of up to nine bytes."""
ANY_BYTES = 2**31
"""No bound in bytes."""


class Entry:
    """One mutation. `key` names it in the store, in order; `number` is 0 until it is first sent, `noted` once the store knows it.

    `weight` is how many bytes of the present socket it took.
    """

    __slots__ = ("key", "noted", "number", "operation", "weight")

    def __init__(self, key: int, operation: bytes, number: int = 0) -> None:
        self.key = key
        self.operation = operation
        self.number = number
        self.noted = number > 0
        self.weight = 0

    def __repr__(self) -> str:
        return f"Entry(key={self.key}, number={self.number})"


Weigh = Callable[[Entry, Entry | None], int]
"""How many bytes an entry adds to a message behind another one (None: it is the first)."""


def weigh_alone(entry: Entry, _: Entry | None) -> int:
    """As a frame of its own."""
    return len(entry.operation) + FRAME_BYTES


class Ledger:
    """What one device has asked for and not yet heard of."""

    def __init__(self, entries: Iterable[Entry] = (), unanswered_max: int = UNANSWERED_MAX) -> None:
        self._waiting: deque[Entry] = deque(entries)
        self._sent: OrderedDict[int, Entry] = OrderedDict()
        self._bounced: set[int] = set()
        self._sent_bytes = 0
        self._next_number = 0
        self._unanswered_max = unanswered_max

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    @property
    def in_flight(self) -> int:
        """Sent on the present socket and not answered."""
        return len(self._sent) - len(self._bounced)

    @property
    def in_flight_bytes(self) -> int:
        """What they weighed."""
        return self._sent_bytes

    @property
    def holding(self) -> bool:
        """Nothing more is sent until `rewind`: something came back unconsumed."""
        return bool(self._bounced)

    @property
    def may_rewind(self) -> bool:
        """All that was sent has been answered, and some of it has to be sent again."""
        return self.holding and self.in_flight == 0

    def check_room(self) -> None:
        """Raises `QueueFull` at the bound."""
        if len(self) >= self._unanswered_max:
            raise QueueFull(f"{len(self)} mutations have no outcome yet, and no more than {self._unanswered_max} are kept")

    def append(self, entry: Entry) -> None:
        """Puts a new mutation last. Raises `QueueFull` at the bound."""
        self.check_room()
        self._waiting.append(entry)

    @property
    def lowest(self) -> int:
        """The lowest unanswered number; 0 where nothing is numbered."""
        entry = next(iter(self._sent.values()), None) or (self._waiting[0] if self._waiting else None)
        return entry.number if entry is not None else 0

    def entries(self) -> list[Entry]:
        """Every mutation without an outcome, in order."""
        return [*self._sent.values(), *self._waiting]

    def put_back(self, forgotten: Iterable[Entry]) -> None:
        """Mutations that were settled and that a restored database has forgotten wait again, in the order in which all were asked for.

        They may be younger than some that wait: one that came back unconsumed does not hold up the outcomes of those behind it.
        """
        assert not self._sent, "only between sockets"
        self._waiting = deque(sorted((*forgotten, *self._waiting), key=lambda entry: entry.key))

    def drop(self, entries: Iterable[Entry]) -> None:
        """These will not be sent."""
        dropped = {entry.key for entry in entries}
        assert not self._sent, "only between sockets"
        self._waiting = deque(entry for entry in self._waiting if entry.key not in dropped)

    def welcomed(self, last_number: int) -> None:
        """The server has decided up to `last_number`; what was numbered above it is numbered on from there."""
        self.cut()
        number = last_number + 1
        fresh = False
        for entry in self._waiting:
            if 0 < entry.number <= last_number:
                continue
            fresh = fresh or entry.number == 0
            renumbered = 0 if fresh else number
            if entry.number != renumbered:
                entry.number = renumbered
                entry.noted = False
            number += not fresh
        self._next_number = number

    def take(self, window: int, bytes_max: int, entries_max: int, window_bytes: int = ANY_BYTES, weigh: Weigh = weigh_alone) -> list[Entry]:
        """What goes into the next message, in order; new ones get their numbers here. Afterwards no number is sent that is `window` or
        more above the lowest unanswered one, and what is unanswered does not weigh more than `window_bytes`.

        One entry is taken even if it alone has more than `bytes_max`, unless that is below zero: the bound is a goal for messages. One
        that alone weighs more than `window_bytes` is sent when nothing else is unanswered.
        """
        assert self._next_number, "nothing is sent before Welcome"
        taken: list[Entry] = []
        before: Entry | None = None
        lowest = next(iter(self._sent), 0)
        while self._waiting and bytes_max >= 0 and not self.holding and len(taken) < entries_max:
            entry = self._waiting[0]
            number = entry.number or self._next_number
            lowest = lowest or number
            if number >= lowest + window:
                break
            weight = weigh(entry, before)
            bytes_max -= weight
            if taken and bytes_max < 0:
                break
            if self._sent and self._sent_bytes + weight > window_bytes:
                break
            self._waiting.popleft()
            if entry.number == 0:
                entry.number = number
                self._next_number += 1
            entry.weight = weight
            self._sent[entry.number] = entry
            self._sent_bytes += weight
            taken.append(entry)
            before = entry
        return taken

    def settle(self, number: int) -> Entry | None:
        """The mutation has its outcome. None if it had one already."""
        entry = self._sent.pop(number, None)
        if entry is not None:
            self._bounced.discard(number)
            self._sent_bytes -= entry.weight
        return entry

    def bounce(self, number: int) -> None:
        """The server did not consume this number. What was sent behind it will come back too: nothing more goes out before `rewind`."""
        if number in self._sent:
            self._bounced.add(number)

    def rewind(self) -> None:
        """Puts all that was sent back in front, to be sent again in order."""
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()
        self._sent_bytes = 0
        self._bounced.clear()

    def cut(self) -> None:
        """The socket is gone: whatever was sent has an unknown outcome, and is asked for again under its number."""
        self.rewind()

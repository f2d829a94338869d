"""Where this device stands in each stream, and whether the server is sending what comes. Pure: no clock, no socket.

    ASLEEP ─want─▶ WANTED ─Follow, Hello─▶ ASKED ─Followed(live)─▶ LIVE
       ▲                                    ▲ │                      │ gap, Lagged
       └──────── rest, Unfollowed, Failed ──│─┴──────────────────────┤
                                            └────────────────────────┘

Push, reconnect, a gap and a slow reader are one thing here: ask for everything after the cursor. One question is open per
stream at a time, named by its request's id; answers to older questions are passed over. A server may say how far a page goes before it has
all arrived; then the next one is asked for from there at once, or each page would cost a slow link an idle round trip.

Invariant: the cursor moves by one, only together with the event of that number being applied; nothing is applied twice or skipped.
"""

from __future__ import annotations

from enum import Enum

from protocol.entities import Priority
from protocol.frames import CURSORS_MAX
from protocol.values import Cursor

STALLS_MAX = 8
"""Questions for one stream in a row that brought nothing although the server says there is more: then the socket is not believed."""


class Phase(Enum):
    """Whether a stream's events are coming."""

    ASLEEP = "asleep"
    WANTED = "wanted"
    ASKED = "asked"
    LIVE = "live"


class Verdict(Enum):
    """What to do with an event."""

    APPLY = "apply"
    DROP = "drop"
    ASK = "ask"


class Heard(Enum):
    """What an answer to `Follow` means."""

    NOTHING = "nothing"
    ASK = "ask"
    LIVE = "live"
    STALLED = "stalled"


class Position:
    """One stream."""

    __slots__ = ("ahead", "asked_after", "asked_id", "phase", "seq", "stalls", "stream", "torn")

    def __init__(self, stream: int, seq: int) -> None:
        self.stream = stream
        self.seq = seq
        self.phase = Phase.ASLEEP
        self.asked_id = 0
        self.asked_after = 0
        self.stalls = 0
        self.ahead = 0
        """Where the next question begins, while what comes before it is still under way; 0: nothing is to be asked ahead."""
        self.torn = False
        """An event was passed over that did not come next; none has been applied since."""

    def enter(self, phase: Phase) -> None:
        """Another phase: what was to be asked ahead is not."""
        self.phase = phase
        self.ahead = 0


class Positions:
    """All streams that this device knows a position in."""

    def __init__(self, cursors: dict[int, int] | None = None) -> None:
        self._streams = {stream: Position(stream, seq) for stream, seq in (cursors or {}).items()}
        self.priorities: dict[int, int] = {}
        """Lower comes first; a stream that is not here comes with the communities'."""
        self.polled = False
        """Nothing comes by itself here: who is told nothing new has everything."""
        self.full = False
        """The answer that is being read was as long as it may be: who was told nothing new in it may have had no room."""

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    def cursor(self, stream: int) -> int:
        """The last event applied; 0 before the first."""
        position = self._streams.get(stream)
        return position.seq if position is not None else 0

    def phase(self, stream: int) -> Phase:
        """Whether events are coming; `ASLEEP` for a stream nobody spoke of."""
        position = self._streams.get(stream)
        return position.phase if position is not None else Phase.ASLEEP

    def want(self, stream: int, after: int | None = None) -> bool:
        """Asks for a stream from its cursor on, or from `after` for one that is not known yet. True if there is something new to ask."""
        position = self._streams.get(stream)
        if position is None:
            position = self._streams[stream] = Position(stream, after or 0)
        if position.phase is not Phase.ASLEEP:
            return False
        position.phase = Phase.WANTED
        return True

    def rest(self, stream: int) -> bool:
        """Stops wanting a stream; its cursor stays. True if the server was asked for it."""
        position = self._streams.get(stream)
        if position is None or position.phase is Phase.ASLEEP:
            return False
        asked = position.phase is not Phase.WANTED
        position.enter(Phase.ASLEEP)
        return asked

    def forget(self, stream: int) -> None:
        """Drops even the cursor."""
        self._streams.pop(stream, None)

    def reset(self) -> list[int]:
        """Every cursor is void: all start from the beginning. Returns the streams that were not there already."""
        moved = [position.stream for position in self._streams.values() if position.seq]
        for position in self._streams.values():
            position.seq = 0
            position.stalls = 0
            if position.phase is not Phase.ASLEEP:
                position.enter(Phase.WANTED)
        return moved

    def hello(self) -> tuple[Cursor, ...]:
        """The cursors for `Hello`: everything that is wanted, up to the protocol's bound. What is left over stays `WANTED`."""
        cursors: list[Cursor] = []
        for position in sorted(self._streams.values(), key=self._priority):
            if position.phase is Phase.ASLEEP:
                continue
            position.enter(Phase.WANTED)
            position.stalls = 0
            if len(cursors) < CURSORS_MAX:
                cursors.append(Cursor(position.stream, self.asked(position.stream, 0)))
        return tuple(cursors)

    def ask_again(self) -> None:
        """Where nothing comes by itself, every stream that is wanted is asked for anew."""
        for position in self._streams.values():
            if position.phase is not Phase.ASLEEP:
                position.enter(Phase.WANTED)

    def unasked(self) -> list[int]:
        """The streams to send a `Follow` for, the most urgent first."""
        wanted = [position for position in self._streams.values() if position.phase is Phase.WANTED or position.ahead]
        return [position.stream for position in sorted(wanted, key=self._priority)]

    def missing(self) -> list[int]:
        """The streams that are wanted and not known to be complete."""
        return [position.stream for position in self._streams.values() if position.phase in (Phase.WANTED, Phase.ASKED)]

    def _priority(self, position: Position) -> int:
        return self.priorities.get(position.stream, Priority.COMMUNITY)

    def asked(self, stream: int, id: int) -> int:
        """Notes that `Follow` number `id` goes out; returns the position it asks from."""
        position = self._streams[stream]
        position.asked_after = position.seq if position.torn else max(position.seq, position.ahead)
        position.torn = False
        position.asked_id = id
        position.enter(Phase.ASKED)
        return position.asked_after

    def judge(self, stream: int, seq: int) -> Verdict:
        """What an event is worth. Does not move the cursor: `apply` does, once the event has been taken."""
        position = self._streams.get(stream)
        if position is None or position.phase in (Phase.ASLEEP, Phase.WANTED) or seq <= position.seq:
            return Verdict.DROP
        if seq == position.seq + 1:
            return Verdict.APPLY
        if position.phase is Phase.ASKED:
            position.torn = True
            return Verdict.DROP
        position.enter(Phase.WANTED)
        return Verdict.ASK

    def apply(self, stream: int, seq: int) -> None:
        """The event was taken."""
        position = self._streams[stream]
        assert seq == position.seq + 1, f"event {seq} of stream {stream} applied at {position.seq}"
        position.seq = seq
        position.stalls = 0
        position.torn = False

    def followed(self, stream: int, id: int, upto: int, live: bool) -> Heard:
        """The server has sent all up to `upto`. Asks on from the cursor where something is missing or more is to come."""
        position = self._streams.get(stream)
        if position is None or position.phase is not Phase.ASKED or position.asked_id != id:
            return Heard.NOTHING
        complete = live or (self.polled and not self.full and position.seq == position.asked_after)
        if complete and position.seq >= upto:
            position.enter(Phase.LIVE)
            return Heard.LIVE
        if not (live or self.polled or position.torn) and upto > position.seq:
            position.ahead = upto
            brought = False  # nothing since the last answer, unless an event comes in between
        else:
            position.enter(Phase.WANTED)
            brought = position.seq != position.asked_after or self.full
        if not brought:
            position.stalls += 1
            if position.stalls >= STALLS_MAX:
                return Heard.STALLED
        return Heard.ASK

    def lagged(self, stream: int) -> bool:
        """The server dropped some of it. True if it is to be asked for again."""
        position = self._streams.get(stream)
        if position is None or position.phase in (Phase.ASLEEP, Phase.WANTED):
            return False
        position.enter(Phase.WANTED)
        return True

    def failed(self, stream: int, id: int) -> bool:
        """The question `id` was refused. True if it was the open one; the stream is then asleep."""
        position = self._streams.get(stream)
        if position is None or position.phase is not Phase.ASKED or position.asked_id != id:
            return False
        position.enter(Phase.ASLEEP)
        return True

"""The shape of a Yjs update (encoding V1), walked through without building anything: who adds what, and that it is one at all.

    update = additions │ deletions          additions: clients × (client, clock, structs)          deletions: clients × ranges
                ╰─▶ Strokes(pen, start, end): one client's, without a gap; nothing but texts, maps and what they hold
                ╰─▶ needs: how far each pen has come before, by what it stands beside, what it stands in and what it deletes
    stands(strokes, needs, reach): everything that it refers to is there already

Everybody writes beside what they have, and that came before. So of updates each of which stands when it comes, none waits for another,
none stands in a circle, and nobody deletes what somebody has yet to write. What passes is well-formed, not harmless: whether what it stands
in is a text or a map is not looked up. It is opened by clients and in the sandbox.

Invariant: raises `ValueError` or returns, whatever the bytes, in time linear in their number; lengths are checked before they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

CLIENT_MAX: Final = 2**53 - 1
CLOCK_MAX: Final = 2**31 - 1
DEPTH_MAX: Final = 32
"""Of values in values."""

_GC, _DELETED, _BINARY, _STRING, _EMBED, _FORMAT, _TYPE, _ANY = 0, 1, 3, 4, 5, 6, 7, 8
_HAS_ORIGIN, _HAS_RIGHT, _HAS_KEY = 0x80, 0x40, 0x20
_TYPES: Final = frozenset((1, 2))
"""Map and Text. An array made pycrdt loop for ever, of 20,000 garbled updates five times; texts and maps never."""
_VALUES: Final = frozenset((_DELETED, _BINARY, _TYPE, _ANY))
"""What maps hold: one value under a key, beside nothing but the one before it. Of 100,000 made-up documents two in which several places
were one value made pycrdt loop for ever."""
_FIXED: Final = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}


class Strokes(NamedTuple):
    """What an update adds: `pen`'s structs from clock `start` up to and without `end`. Pen 0: it only deletes."""

    pen: int
    start: int
    end: int


ONLY_DELETES: Final = Strokes(0, 0, 0)


class Written(NamedTuple):
    """An update's shape. `needs`: by pen, the clock after the furthest thing of that pen's that has to be there before."""

    strokes: Strokes
    needs: Mapping[int, int]


def read_written(update: bytes) -> Written:
    """What the update adds, and what it refers to. Raises ValueError, in words for whoever wrote the client."""
    reader = _Reader(update)
    pens = reader.number()
    if pens > 1:
        raise ValueError(f"adds by {pens} clients; an update holds what its author added, by one")
    strokes = reader.structs() if pens else ONLY_DELETES
    reader.deletions(strokes)
    if reader.at != len(update):
        raise ValueError("goes on after its end")
    return Written(strokes, reader.needs)


def read_strokes(update: bytes) -> Strokes:
    """What the update adds. Raises ValueError, as `read_written` does."""
    return read_written(update).strokes


def stands(written: Written, reach: Mapping[int, int]) -> bool:
    """Whether all that the update goes on from and refers to is there already. `reach`: how far each pen has come."""
    pen, start, _ = written.strokes
    return start <= reach.get(pen, 0) and all(reach.get(other, 0) >= clock for other, clock in written.needs.items())


def read_reach(state: bytes) -> dict[int, int]:
    """How far each pen has come, of a state vector. Raises ValueError."""
    reader = _Reader(state)
    return {reader.number(): reader.number() for _ in range(reader.number())}


class _Reader:
    __slots__ = ("at", "data", "needs")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.needs: dict[int, int] = {}

    def structs(self) -> Strokes:
        count, pen, start = self.number(), self.number(), self.number()
        if not count or not 0 < pen <= CLIENT_MAX:
            raise ValueError("adds nothing, or by a client that is none")
        end = start
        for _ in range(count):
            end += self._struct(pen, end)
            if end > CLOCK_MAX:
                raise ValueError("counts further than a document may")
        return Strokes(pen, start, end)

    def deletions(self, strokes: Strokes) -> None:
        for _ in range(self.number()):
            pen = self.number()
            there = strokes.end if pen == strokes.pen else 0
            for _ in range(self.number()):
                clock, length = self.number(), self.number()
                if clock + length > CLOCK_MAX:
                    raise ValueError("deletes further than a document may go")
                if clock + length > there:
                    # Yjs keeps it in mind, and what comes at that place is gone as it comes.
                    self._need(pen, clock + length)

    def _struct(self, pen: int, clock: int) -> int:
        """One struct, of this pen's at this clock; how much it counts."""
        info = self._byte()
        kind = info & 0x1F
        if info == _GC:
            return self._length()
        if info & _HAS_ORIGIN:
            self._id(pen, clock)
        if info & _HAS_RIGHT:
            self._id(pen, clock)
        if not info & (_HAS_ORIGIN | _HAS_RIGHT):
            if self.number() == 1:
                self._text()
            else:
                self._id(pen, clock)
            if info & _HAS_KEY:
                self._text()
        length = self._content(kind)
        if info & _HAS_KEY and (info & _HAS_RIGHT or kind not in _VALUES or (length > 1 and kind != _DELETED)):
            raise ValueError("holds under a key what maps do not hold")
        return length

    def _content(self, kind: int) -> int:
        if kind == _STRING:
            # Counted as browsers count, in UTF-16.
            return len(self._text().encode("utf-16-le")) // 2 or _empty()
        if kind == _DELETED:
            return self._length()
        if kind == _FORMAT:
            self._text()
            self._text()
        elif kind == _EMBED:
            self._text()
        elif kind == _BINARY:
            self._skip(self.number())
        elif kind == _ANY:
            count = self.number()
            for _ in range(count):
                self._any(0)
            return count or _empty()
        elif kind == _TYPE:
            if self.number() not in _TYPES:
                raise ValueError("holds a type that is neither a text nor a map")
        else:
            raise ValueError(f"holds content of kind {kind}, which documents do not have")
        return 1

    def _any(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise ValueError(f"holds values more than {DEPTH_MAX} deep")
        kind = self._byte()
        fixed = _FIXED.get(kind)
        if fixed is not None:
            self._skip(fixed)
        elif kind == 125:
            # A signed number: a byte of six bits first, then of seven.
            while self._byte() & 0x80:
                pass
        elif kind == 119:
            self._text()
        elif kind == 118:
            for _ in range(self.number()):
                self._text()
                self._any(depth + 1)
        elif kind == 117:
            for _ in range(self.number()):
                self._any(depth + 1)
        elif kind == 116:
            self._skip(self.number())
        else:
            raise ValueError("holds a value of no known kind")

    def _id(self, pen: int, clock: int) -> None:
        """What something stands beside, or in. Nobody writes beside what they write later; Yjs does not look, and pycrdt then reads memory
        that is none."""
        client, place = self.number(), self.number()
        if client != pen:
            self._need(client, place + 1)
        elif place >= clock:
            raise ValueError("refers to what its author writes later")

    def _need(self, pen: int, clock: int) -> None:
        if clock > self.needs.get(pen, 0):
            self.needs[pen] = clock

    def _length(self) -> int:
        return self.number() or _empty()

    def _text(self) -> str:
        count = self.number()
        start = self.at
        self._skip(count)
        return str(self.data[start : self.at], "utf-8")

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("ends too early")

    def _byte(self) -> int:
        at = self.at
        if at >= len(self.data):
            raise ValueError("ends too early")
        self.at = at + 1
        return self.data[at]

    def number(self) -> int:
        """Seven bits a byte, the lowest first. Above what a client, a clock or a length can be it is none."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 49:
                raise ValueError("holds a number that is too large")
        return value


def _empty() -> int:
    raise ValueError("holds something of no length")

"""Made-up documents whose every update passes the door, opened in processes that may end: none may kill pycrdt, make it loop, or wait.

    Maker(luck) ─▶ updates by three pens, hostile within what the door takes ─▶ a process: sandbox.documents.compact, then what came of it
                                                                                  ╰─ ended, or too slow ─▶ halves ─▶ the document it is

What is made is not what anybody writes: letters beside what was deleted, things in what is no text, a place that is said twice, kinds
mixed at random. What the door refuses of it is not opened here, either.

    python -m proofs.document_search CHILD     reads documents from stdin, in msgpack; says on stdout how many it opened
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct
from pycrdt import Doc, Map, Text

from protocol.documents import written_of
from protocol.yjs import stands
from sandbox.child import fence
from sandbox.documents import compact

PENS: Final = (2, 7, 2**32 - 1)
UPDATES_MAX: Final = 9
STRUCTS_MAX: Final = 4
MEMORY_MIB: Final = 1024
CPU_S: Final = 120
BATCH: Final = 500
BATCH_S: Final = 60.0
"""Of documents that are opened in a fraction of a second together, on a machine that has other things to do."""
CHILD: Final = (sys.executable, "-m", "proofs.document_search", "child")
TEXT: Final = "text"
MAP: Final = "map"
_GC, _DELETED, _BINARY, _STRING, _EMBED, _FORMAT, _TYPE, _ANY = 0, 1, 3, 4, 5, 6, 7, 8
_ORIGIN, _RIGHT, _KEY = 0x80, 0x40, 0x20
_VALUES: Final = (_DELETED, _BINARY, _TYPE, _ANY)

Updates = tuple[bytes, ...]


class Found(Struct, frozen=True):
    """What came of a search. `culprits`: documents that ended a process, or were too slow."""

    documents: int
    taken: int
    refused: int
    culprits: tuple[Updates, ...]


class Maker:
    """One document, and what the door knows of it."""

    def __init__(self, luck: random.Random) -> None:
        self._luck = luck
        self.reach: dict[int, int] = {}
        self.updates: list[bytes] = []
        self.refused = 0

    def make(self) -> Updates:
        """A whole document: what the door took."""
        for _ in range(self._luck.randint(2, UPDATES_MAX)):
            raw = self.make_one()
            try:
                written = written_of(raw)
            except ValueError:
                self.refused += 1
                continue
            pen, start, end = written.strokes
            if not stands(written, self.reach) or (pen and start < self.reach.get(pen, 0)):
                self.refused += 1
                continue
            if pen:
                self.reach[pen] = max(self.reach.get(pen, 0), end)
            self.updates.append(raw)
        return tuple(self.updates)

    def make_one(self) -> bytes:
        """An update that may be refused; what is made next takes it as taken if `reach` says so."""
        luck = self._luck
        pen = luck.choice(PENS)
        reached = self.reach.get(pen, 0)
        # Now and then something is said twice, and differently: which pycrdt 0.14.13 does not survive.
        start = luck.randint(max(0, reached - 3), reached) if luck.random() < 0.1 else reached
        out, clock = bytearray(), start
        count = luck.randint(1, STRUCTS_MAX)
        for _ in range(count):
            raw, length = self._struct(pen, clock)
            out += raw
            clock += length
        added = b"\1" + number(count) + number(pen) + number(start) + bytes(out) if luck.random() < 0.9 else b"\0"
        return added + self._deletions(pen, clock)

    def _deletions(self, pen: int, end: int) -> bytes:
        luck = self._luck
        pens = luck.sample(PENS, luck.choice((0, 0, 1, 1, 2, 3)))
        out = bytearray(number(len(pens)))
        for one in pens:
            limit = max(self.reach.get(one, 0), end if one == pen else 0)
            ranges = luck.randint(0, 3)
            out += number(one) + number(ranges)
            for _ in range(ranges):
                at = luck.randint(0, limit)
                out += number(at) + number(luck.randint(0, limit - at))
        return bytes(out)

    def _place(self, pen: int, clock: int) -> bytes:
        """Something that is there already."""
        there = [(one, upto) for one, upto in {**self.reach, pen: clock}.items() if upto]
        if not there:
            return number(pen) + number(0)
        one, upto = self._luck.choice(there)
        return number(one) + number(self._luck.randrange(upto))

    def _struct(self, pen: int, clock: int) -> tuple[bytes, int]:
        luck = self._luck
        kind = luck.choice((_GC, _DELETED, _BINARY, _STRING, _STRING, _STRING, _EMBED, _FORMAT, _TYPE, _TYPE, _ANY))
        if kind == _GC:
            length = luck.randint(1, 6)
            return b"\0" + number(length), length
        is_value = kind in _VALUES and luck.random() < 0.4
        info = kind | luck.choice((0, 0, _ORIGIN, _ORIGIN, *(() if is_value else (_RIGHT, _ORIGIN | _RIGHT))))
        info |= _KEY if is_value else 0
        out = bytearray((info,))
        if info & _ORIGIN:
            out += self._place(pen, clock)
        if info & _RIGHT:
            out += self._place(pen, clock)
        if not info & (_ORIGIN | _RIGHT):
            if luck.random() < 0.5:
                out += b"\1" + text(luck.choice((TEXT, MAP)))
            else:
                out += b"\0" + self._place(pen, clock)
            if info & _KEY:
                out += text(luck.choice("ab"))
        raw, length = self._content(kind, 1 if is_value and kind == _ANY else luck.randint(1, 6))
        return bytes(out) + raw, length

    def _content(self, kind: int, length: int) -> tuple[bytes, int]:
        luck = self._luck
        if kind == _STRING:
            return text(luck.choice(("x" * length, "é" * length, "😀" * ((length + 1) // 2)))), length
        if kind == _DELETED:
            return number(length), length
        if kind == _BINARY:
            return text("b" * length), 1
        if kind == _EMBED:
            return text("{}"), 1
        if kind == _FORMAT:
            return text("bold") + text(luck.choice(("true", "null", "x"))), 1
        if kind == _TYPE:
            return number(luck.choice((1, 2))), 1
        return number(length) + b"".join(luck.choice((b"\x7e", b"\x7f", b"\x78", b"\x7d\5", b"\x77\1a")) for _ in range(length)), length


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(words: str) -> bytes:
    raw = words.encode()
    return number(len(raw)) + raw


def open_whole(updates: Sequence[bytes]) -> None:
    """What the sandbox does with a document, and then a reader with what came of it."""
    whole, *_ = msgspec.msgpack.decode(compact(msgspec.msgpack.encode([[], list(updates)])))
    doc: Doc[Any] = Doc()
    doc.apply_update(whole)
    str(doc.get(TEXT, type=Text))
    # A mark of a text, say, under a key of a map: it has that key and no value.
    with suppress(KeyError):
        doc.get(MAP, type=Map).to_py()


def child() -> None:
    fence(MEMORY_MIB, CPU_S)
    documents = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[list[bytes]])
    for updates in documents:
        open_whole(updates)
    print(len(documents))


async def opens(documents: Sequence[Updates]) -> bool:
    """Whether a process opens all of these and lives."""
    with trio.move_on_after(BATCH_S):
        payload = msgspec.msgpack.encode(documents)
        done = await trio.run_process(CHILD, stdin=payload, capture_stdout=True, capture_stderr=True, check=False)
        return done.returncode == 0 and done.stdout.strip() == str(len(documents)).encode()
    return False


async def search(seed: int, count: int) -> Found:
    """Opens so many documents, made from this seed."""
    luck = random.Random(seed)
    taken = refused = made = 0
    culprits: list[Updates] = []
    while made < count:
        batch = []
        for _ in range(min(BATCH, count - made)):
            maker = Maker(luck)
            batch.append(maker.make())
            taken += len(maker.updates)
            refused += maker.refused
        made += len(batch)
        if not await opens(batch):
            culprits.append(await _culprit(batch))
    return Found(made, taken, refused, tuple(culprits))


async def _culprit(batch: Sequence[Updates]) -> Updates:
    fine, fails = 0, len(batch)
    while fails - fine > 1:
        middle = (fine + fails) // 2
        if await opens(batch[fine:middle]):
            fine = middle
        else:
            fails = middle
    return batch[fine]


if __name__ == "__main__":
    child()

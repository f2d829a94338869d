"""Documents that people wrote together, opened: the one place of the product where pycrdt runs on what others sent.

    state + updates ─▶ one by one, each only if what it refers to is there ─▶ one update, how far each pen came, and what is no part of it
                                                                                 ╰─ opened once more: is it what was written?

Only this process is at risk: one update can make pycrdt loop for ever while it holds the interpreter. Roots are opened as texts alone, so
that nothing here walks through what a hostile update made of an array.

Invariant: what is answered can be loaded, and holds every update that is not named in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pycrdt import Doc, Text

from protocol.yjs import Written, read_reach, read_written, stands
from sandbox.child import Task

FAULTY_MAX: Final = 256
"""Of these a document is not mended: it is not what it says."""
TEXT: Final = "text"
"""What people read of a document."""
_SOURCES: Final = msgspec.msgpack.Decoder(tuple[list[bytes], list[bytes]])


class _Opened:
    """A document with its base and the first so many updates in it."""

    def __init__(self, base: Sequence[bytes]) -> None:
        self.doc: Doc[Any] = Doc()
        for state in base:
            self.doc.apply_update(state)
        self.reach = read_reach(self.doc.get_state())

    def take(self, update: bytes, written: Written) -> None:
        """Applies it. May raise anything, and leave anything behind."""
        self.doc.apply_update(update)
        pen, _, end = written.strokes
        if pen:
            self.reach[pen] = max(self.reach.get(pen, 0), end)

    def whole(self) -> bytes | None:
        """All of it as one update; None: what would be made of that is not what is here. An update that splits half a letter off has
        pycrdt write a state in which what comes after it counts otherwise, and nobody can load it."""
        made: bytes = self.doc.get_update()
        again: Doc[Any] = Doc()
        try:
            again.apply_update(made)
            if str(again.get(TEXT, type=Text)) != str(self.doc.get(TEXT, type=Text)):
                return None
        except BaseException:  # noqa: BLE001 - a panic of Rust is no Exception
            return None
        return made if read_reach(again.get_state()) == read_reach(self.doc.get_state()) == self.reach else None


def compact(payload: bytes) -> bytes:
    """`payload`: updates that make a state, and updates after it, in msgpack. The answer: one update that is all of them; the places of
    those that cannot be applied, and of those that refer to what is not there; and the state vector. Raises ValueError.

    After one that cannot be applied everything is begun again without it: nobody knows what it left behind.
    """
    base, updates = _SOURCES.decode(payload)
    shapes = [_shape_of(update) for update in updates]
    faulty = {place for place, shape in enumerate(shapes) if shape is None}
    while len(faulty) <= FAULTY_MAX:
        opened, waiting, place = _open(base, updates, shapes, faulty, len(updates))
        if place is None:
            whole = opened.whole()
            if whole is not None:
                return msgspec.msgpack.encode([whole, sorted(faulty | waiting), opened.doc.get_state()])
            place = _first_unsound(base, updates, shapes, faulty)
        faulty.add(place)
    raise ValueError(f"more than {FAULTY_MAX} updates cannot be applied")


def _shape_of(update: bytes) -> Written | None:
    """None: it is none, though it came past the door of some version."""
    try:
        return read_written(update)
    except ValueError:
        return None


def _open(
    base: Sequence[bytes], updates: Sequence[bytes], shapes: Sequence[Written | None], faulty: set[int], upto: int
) -> tuple[_Opened, set[int], int | None]:
    """The document with what comes before `upto`; what of it refers to what is not there; and the place of one that cannot be applied."""
    opened = _Opened(base)
    waiting: set[int] = set()
    for place in range(upto):
        shape = shapes[place]
        if shape is None or place in faulty:
            continue
        if not stands(shape, opened.reach):
            waiting.add(place)
            continue
        try:
            opened.take(updates[place], shape)
        except BaseException:  # noqa: BLE001 - a panic of Rust is no Exception
            return opened, waiting, place
    return opened, waiting, None


def _first_unsound(base: Sequence[bytes], updates: Sequence[bytes], shapes: Sequence[Written | None], faulty: set[int]) -> int:
    """The place of the update after which no whole can be made of the document."""
    sound, unsound = 0, len(updates)
    if _Opened(base).whole() is None:
        raise ValueError("the state itself is not what can be loaded")
    while unsound - sound > 1:
        middle = (sound + unsound) // 2
        opened, _, _ = _open(base, updates, shapes, faulty, middle)
        if opened.whole() is None:
            unsound = middle
        else:
            sound = middle
    return unsound - 1


TASKS: Final[Mapping[str, Task]] = {"compact": compact}

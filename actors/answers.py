"""Answers: what leaves together for one client, in the order in which it was said.

    frame ─say──────▶ ┐
    Done(7), Done(8) ─┴▶ [frame, DoneRun(7, …), …] ─take─▶ one message

Mutations that were decided one after the other are answered by one frame for a run of numbers, which costs two bytes each.

Invariant: frames leave in the order in which they were added; a run ends where another frame or another number begins.
"""

from __future__ import annotations

from protocol.codec import encode
from protocol.frames import Done, DoneRun, Frame


class Answers:
    """Made when there is something to say, and gone when it was said: an idle session has none."""

    __slots__ = ("_first", "_frames", "_values")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._first = 0
        self._values: list[int] = []

    def __len__(self) -> int:
        """Frames so far, with the run that is open."""
        return len(self._frames) + bool(self._values)

    def say(self, frame: Frame) -> None:
        """Adds a frame."""
        self.add(encode(frame))

    def add(self, frame: bytes) -> None:
        """Adds a frame that is encoded."""
        self._close_run()
        self._frames.append(frame)

    def done(self, number: int, value: int) -> None:
        """Adds that mutation `number` is committed."""
        if number != self._first + len(self._values):
            self._close_run()
        if not self._values:
            self._first = number
        self._values.append(value)

    def take(self) -> list[bytes]:
        """Everything that was added; nothing is left."""
        self._close_run()
        frames, self._frames = self._frames, []
        return frames

    def _close_run(self) -> None:
        values, self._values = self._values, []
        if values:
            self._frames.append(encode(Done(self._first, values[0]) if len(values) == 1 else DoneRun(self._first, tuple(values))))

"""The line between who asks models and the processes that have them: what goes over it, and the ports at its two ends.

    gateway, jobs ─ Question ─▶ AskingLine ═══ a Redis list, or a pipe ═══ AnsweringLine ─ Asked ─▶ ModelDesk     in the ML process
                  ◀─ Reply ───────────────                                              ◀─ Reply ──

A line may lose anything at any time. So each question has a ticket of who asked, who counts the time alone; the line carries how much of
it is left, so that nobody works for somebody who has gone.

Invariant: a question is answered at most once, and never looked at after its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import trio
from msgspec import Raw, Struct

from actors.inference import Why

PACKET_BYTES_MAX: Final = 512 * 1024
"""One question or reply: a text of 20,000 code points has at most 80 kB, fifty questions about it less than 200."""


class Question(Struct, frozen=True, array_like=True):
    """What is asked. `request`: the msgpack of one of `actors.inference.AnyRequest`."""

    ticket: int
    key: int
    request: Raw


class Reply(Struct, frozen=True, array_like=True):
    """What became of it: a result, or why there is none (`why`, one of `Why`; "": there is)."""

    ticket: int
    why: str = ""
    by: str = ""
    words: str = ""
    """What is less than it should be, or what went wrong."""
    result: Raw = Raw(b"\xc0")


class LineAway(Exception):
    """The line is not there now. Nothing was sent."""


class LineFull(Exception):
    """More waits on the line than will be read in time. Nothing was sent."""


class AskingLine(Protocol):
    """The end of who asks."""

    @property
    def up(self) -> bool:
        """Whether a question can be sent now, as far as is known."""
        ...

    def send(self, model: str, question: Question, left_s: float) -> None:
        """Sends it, without waiting. What went wrong later is told as a reply. Raises `LineAway`, `LineFull`."""
        ...

    async def serve(self, told: Callable[[Reply], None], *, task_status: trio.TaskStatus[None]) -> None:
        """Keeps the line, for ever, and tells replies. Starts without the world, and never raises for want of it."""
        ...


class Asked(Struct, frozen=True):
    """A question as the ML process gets it. `late_at`: in trio's time. `reply` is called once, or never after `late_at`."""

    model: str
    key: int
    request: bytes
    late_at: float
    reply: Callable[[Why | None, str, str, bytes], None]
    """(why, by, words, result)."""


class ModelDesk(Protocol):
    """Who takes questions in the ML process."""

    @property
    def models(self) -> Sequence[str]:
        """All that this process may serve."""
        ...

    def serves(self, model: str) -> bool:
        """Whether one asked now would be looked at."""
        ...

    def room(self, model: str) -> int:
        """How many more are wanted now: what waits elsewhere can be taken by another process, and what waits here cannot."""
        ...

    async def wait_room(self, model: str) -> None:
        """Waits until it serves the model and there is room."""
        ...

    def ask(self, asked: Asked) -> None:
        """Takes a question, or refuses it at once by its `reply`. Never waits."""
        ...


class AnsweringLine(Protocol):
    """The end of who answers."""

    async def serve(self, desk: ModelDesk, *, task_status: trio.TaskStatus[None]) -> None:
        """Takes questions to the desk, for ever. Never raises for want of the world."""
        ...


QUESTION: Final = msgspec.msgpack.Decoder(Question)
REPLY: Final = msgspec.msgpack.Decoder(Reply)
_ENCODER: Final = msgspec.msgpack.Encoder()


def pack(packet: Question | Reply) -> bytes:
    """Raises ValueError above `PACKET_BYTES_MAX`."""
    data = _ENCODER.encode(packet)
    if len(data) > PACKET_BYTES_MAX:
        raise ValueError(f"a packet of {len(data)} bytes; allowed: {PACKET_BYTES_MAX}")
    return data

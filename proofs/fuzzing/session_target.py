"""A socket's whole life, as a script: what is sent, when time passes, when the line breaks, when the database is away.

    script = (op, length, payload)*  ─▶ House: session, device, channels, communities ─▶ frames, close codes

Each script meets a house of its own, so that what fails once fails again. Numbers of mutations are filled in as a client would; that
an attacker gets them wrong, too, is in the raw messages.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from enum import IntEnum
from itertools import islice
from random import Random
from typing import Final

import msgspec

from proofs.fuzzing import script
from proofs.fuzzing.grammar import Grammar, encode_tree
from proofs.fuzzing.house import House, Line
from proofs.fuzzing.mutation import any_message, mutate_bytes, mutate_tree
from proofs.fuzzing.script import step, steps_of
from proofs.fuzzing.target import Target, Wrong
from proofs.fuzzing.verdict import ends_well
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import AnyFrame, Done, DoneRun, Failed, Goodbye, Mutate, Refused, TakeTicket, Ticket
from protocol.operations import Say

STEPS_MAX: Final = 32
LINES: Final = 2
PAUSES_S: Final = (0.05, 0.2, 1.0, 6.0, 12.0, 61.0, 200.0, 1_000.0)


class Op(IntEnum):
    """What a step does. Payloads are messages, operations, or one byte that chooses."""

    RAW = 0
    HELLO = 1
    MUTATE = 2
    CHUNK = 3
    PAUSE = 4
    CUT = 5
    DEAF = 6
    OTHER = 7
    NEIGHBOUR = 8
    WEATHER = 9
    TICKET = 10
    RESUME = 11
    RESTORE = 12


_OFTEN: Final = (Op.RAW,) * 8 + (Op.TICKET, Op.RESUME) + (Op.MUTATE,) * 5 + (Op.CHUNK,) * 2 + (Op.HELLO,) * 2 + tuple(Op)[4:]


class SessionTarget(Target):
    """See the module."""

    name = "session"
    share = 8
    cost_per_byte = 400
    cost_bytes = 3 * 1024 * 1024
    """A house with its actors, and a page of events for who asks for one."""

    def __init__(self) -> None:
        self._terrain = House().terrain

    def draw(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, self._terrain)
        steps = [step(Op.HELLO, chance.randbytes(1))] if chance.random() < 0.85 else []
        kind = "session:script"
        for _ in range(chance.choice((1, 2, 4, 8, 16))):
            more, kind = self._step(chance, grammar)
            steps.append(more)
        return b"".join(steps), kind

    def _step(self, chance: Random, grammar: Grammar) -> tuple[bytes, str]:
        match chance.choice(_OFTEN):
            case Op.RAW:
                data, kind = any_message(chance, grammar)
                if chance.random() < 0.3:
                    data, kind = encode_tree(grammar.command()), "valid:one"
                return step(Op.RAW, data), kind
            case Op.MUTATE:
                tree, kind = grammar.operation(), "valid:operation"
                if chance.random() < 0.5:
                    tree, kind = mutate_tree(chance, tree)
                try:
                    return step(Op.MUTATE, encode_tree(tree)), kind
                except (OverflowError, RecursionError):
                    return step(Op.MUTATE, b"\xc1"), "bytes:never used"
            case Op.CHUNK:
                tree = [[chance.choice(self._terrain.streams), chance.choice((1, 2, 3, 9)), grammar.changes()] for _ in range(2)]
                data = encode_tree(1_800_000_000) + encode_tree(tree)
                if chance.random() < 0.5:
                    data, _ = mutate_bytes(chance, data, data)
                return step(Op.CHUNK, data), "session:chunk"
            case op:
                return step(op, chance.randbytes(1)), f"session:{op.name.lower()}"

    def vary(self, chance: Random, data: bytes, other: bytes) -> bytes:
        return script.vary(chance, data, other, len(Op))

    def pieces(self, data: bytes) -> list[bytes]:
        return script.pieces(data, len(Op))

    def take(self, data: bytes) -> Iterable[Hashable]:
        house = House()
        lines: list[Line | None] = [None] * LINES
        here = 0
        before: Hashable = ""
        told: list[Hashable] = []
        for number, payload, _ in islice(steps_of(data, len(Op)), STEPS_MAX):
            op = Op(number)
            choice = payload[0] if payload else 0
            if op is Op.OTHER:
                here = choice % LINES
            elif op is Op.CUT:
                self._cut(house, lines, here)
            elif op is Op.NEIGHBOUR:
                house.neighbour_says(choice)
            elif op is Op.WEATHER:
                house.weather(choice)
            elif op is Op.RESTORE:
                house.restore()
            elif op is Op.PAUSE:
                house.pass_time(PAUSES_S[choice % len(PAUSES_S)])
            else:
                line = lines[here]
                if line is None:
                    line = lines[here] = house.open()
                self._send(house, line, op, payload, choice)
            house.settle()
            after = self._judge(house, lines)
            told.append((before, op, after))
            before = (op, after)
        self._leave(house, lines)
        return told

    @staticmethod
    def _send(house: House, line: Line, op: Op, payload: bytes, choice: int) -> None:
        number = house.device.last_number + 1
        if op is Op.HELLO:
            line.inlet.received(house.hello(choice))
        elif op is Op.TICKET:
            line.inlet.received(encode(TakeTicket(9)))
        elif op is Op.RESUME:
            line.inlet.received(house.resume(choice))
        elif op is Op.MUTATE:
            line.inlet.received(b"\x93\x06" + encode_tree(number) + (payload or b"\xc0"))
        elif op is Op.CHUNK:
            line.inlet.received(b"\x94\x0f" + encode_tree(number) + payload)
        elif op is Op.DEAF:
            line.outlet.deaf = not line.outlet.deaf
            if not line.outlet.deaf:
                line.inlet.drained()
        else:
            line.inlet.received(payload)

    @staticmethod
    def _cut(house: House, lines: list[Line | None], here: int) -> None:
        line, lines[here] = lines[here], None
        if line is not None:
            line.inlet.closed(1006, "")

    def _judge(self, house: House, lines: list[Line | None]) -> Hashable:
        if house.crashes:
            raise Wrong(house.crashes[0])
        return tuple(self._judge_line(house, lines, here) for here in range(LINES))

    @staticmethod
    def _judge_line(house: House, lines: list[Line | None], here: int) -> Hashable:
        line = lines[here]
        if line is None:
            return ()
        said: set[tuple[str, int]] = set()
        for frame in line.hear():
            if isinstance(frame, Failed | Refused) and frame.code is Code.OK:
                raise Wrong(f"a refusal that says OK: {frame}")
            if isinstance(frame, Ticket):
                house.ticket = frame.ticket
            said.add((type(frame).__name__, int(getattr(frame, "code", 0))))
        closed = line.outlet.closed
        if closed:
            lines[here] = None
            line.inlet.closed(closed, "")
            house.settle()
            goodbye = any(name == Goodbye.__name__ for name, _ in said)
            if not ends_well(closed) or not (goodbye or closed in (Code.BYE, Code.FLOOD)):
                raise Wrong(f"the socket ended with {closed} and{' ' if goodbye else ' no '}Goodbye")
        return (closed, *sorted(said))

    def _leave(self, house: House, lines: list[Line | None]) -> None:
        """When everything is well again: whatever was refused, the next number is free, and who has left is forgotten."""
        house.weather(0)
        for here in range(LINES):
            self._cut(house, lines, here)
        house.settle()
        house.pass_time(5.0)
        house.renew()
        line = house.open()
        line.inlet.received(house.hello(0))
        house.settle()
        number = house.device.last_number + 1
        line.inlet.received(encode(Mutate(number, msgspec.Raw(encode(Say(house.talk, "still there?"))))))
        house.settle()
        answers = list(line.hear())
        if house.crashes:
            raise Wrong(house.crashes[0])
        if not any(_decides(frame, number) for frame in answers):
            raise Wrong(f"mutation {number} of a good client is stuck behind something: {answers!r}"[:400])
        line.inlet.closed(1000, "")
        house.settle()
        if house.sessions:
            raise Wrong(f"{house.sessions} sessions are left when every socket is gone")


def _decides(frame: AnyFrame, number: int) -> bool:
    if isinstance(frame, DoneRun):
        return frame.first <= number < frame.first + len(frame.values)
    return isinstance(frame, Done | Refused) and frame.number == number

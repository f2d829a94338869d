"""Messages: the decoder, chunks of changes, the body of a request for sync.

codec    protocol.codec     values or BadFrame; what is legal survives encoding, and an independent msgpack reads the same
chunk    protocol.chunks    every change or a BadItem, as many as there are numbers; packing loses nothing
sync     gateway.web_sync   steps, each with an id or a number; or a Problem
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from random import Random
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from gateway.problems import Problem
from gateway.web_sync import read_steps
from proofs.fuzzing.grammar import TERRAIN, Grammar, encode_tree
from proofs.fuzzing.mutation import HOSTILE, any_message, bombs, mutate_bytes, mutate_tree
from proofs.fuzzing.target import Target, Wrong, plain
from protocol.chunks import BadItem, expand, pack
from protocol.codec import (
    MESSAGE_BYTES_MAX,
    BadFrame,
    UnknownEvent,
    UnknownFrame,
    decode_body,
    decode_command,
    decode_frame,
    decode_operation,
    encode,
    join,
    split,
)
from protocol.codes import Code
from protocol.frames import BATCH_FRAMES_MAX, CHUNK_CHANGES_MAX, Chunk, Mutate, Sync
from protocol.values import ID_MAX

MESSAGE_COST: Final = 24
"""Bytes of memory that decoding may take for each byte of a message. `protocol.codec` claims 19; an allocator's rounding comes on top."""
_CODES: Final = (Code.BAD_FRAME, Code.INVALID, Code.UNKNOWN)


def frames_of(data: bytes) -> list[bytes]:
    """A message's frames; the whole where it cannot be split."""
    try:
        return [bytes(raw) for raw in split(data)]
    except BadFrame:
        return [data]


class CodecTarget(Target):
    """One message, through every decoder."""

    name = "codec"
    share = 20
    cost_per_byte = MESSAGE_COST + 8
    """What is said of each frame comes on top of what the codec takes."""

    def draw(self, chance: Random) -> tuple[bytes, str]:
        return any_message(chance, Grammar(chance, TERRAIN))

    def pieces(self, data: bytes) -> list[bytes]:
        frames = frames_of(data)
        head = data[: len(data) - sum(map(len, frames))]
        return [head, *frames]

    def take(self, data: bytes) -> Iterable[Hashable]:
        told: set[Hashable] = set()
        try:
            frames = split(data)
        except BadFrame as bad:
            _check(bad)
            told.add(("split", plain(bad.detail)))
            frames = (data,)
        for raw in frames:
            told.add(_command(bytes(raw)))
            for decode in (decode_operation, decode_frame, decode_body):
                try:
                    value = decode(raw)
                except BadFrame as bad:
                    _check(bad)
                    told.add((decode.__name__, bad.tag if bad.code is not Code.UNKNOWN else 0, plain(bad.detail)))
                else:
                    if not isinstance(value, UnknownFrame | UnknownEvent):
                        told.add((type(value).__name__, min(len(raw), 64)))
        return told


def _command(raw: bytes) -> Hashable:
    try:
        command = decode_command(raw)
    except BadFrame as bad:
        _check(bad)
        return "command", bad.tag if bad.code is not Code.UNKNOWN else 0, bool(bad.id), plain(bad.detail)
    again = decode_command(encode(command))
    if again != command:
        raise Wrong(f"{command!r} is {again!r} when it is encoded and decoded"[:600])
    if not isinstance(command, Mutate | Chunk):  # their inner bytes are for later
        # Fields that only a newer version knows are passed over unread, so what is in their texts is nobody's concern yet.
        independent: Any = msgpack.unpackb(raw, strict_map_key=False, raw=False, unicode_errors="replace")
        if independent[0] != command.__struct_config__.tag:
            raise Wrong(f"an independent reader sees tag {independent[0]} where {command!r} was read"[:600])
    return type(command).__name__, min(len(raw), 64)


def _check(bad: BadFrame) -> None:
    if bad.code not in _CODES or not 0 <= bad.id <= ID_MAX or len(bad.detail) > 400:
        raise Wrong(f"refused with {bad.code!r}, id {bad.id} and {len(bad.detail)} characters")


class ChunkTarget(Target):
    """A chunk of changes: whole, or with wounds in its runs and items."""

    name = "chunk"
    share = 6
    cost_per_byte = 260
    """Each change becomes an operation of its own, with everything written that the chunk leaves out."""

    def draw(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        runs: list[Any] = [[1 + at, chance.choice((1, 2, 7, 255)), grammar.changes()] for at in range(chance.choice((1, 1, 2, 40)))]
        tree: Any = [15, chance.choice((1, 7, ID_MAX - CHUNK_CHANGES_MAX, ID_MAX)), chance.choice((0, 1_800_000_000, 2**40, 2**53)), runs]
        kind = "chunk:whole"
        drawn = chance.random()
        if drawn < 0.4:
            run = chance.choice(runs)
            at = chance.randrange(len(run[2]))
            run[2][at], word = mutate_tree(chance, run[2][at])
            kind = "chunk:" + word
        elif drawn < 0.6:
            tree, kind = mutate_tree(chance, tree)
        elif drawn < 0.65:
            return b"\x94\x0f\x01\x00" + chance.choice(
                (b"\xdc\xff\xff", b"\xdd\x7f\xff\xff\xff")
            ) + b"\x93\x01\x01\x91" * 9_000, "bomb:runs"
        elif drawn < 0.7:
            items = chance.choice((b"\x00", b"\xc0", b"\x90", b"\x80"))
            return b"\x94\x0f\x01\x00\x91\x93\x01\x01\xdc\x01\x00" + items * 256 + b"\xc0" * chance.choice((0, 9)), "bomb:items"
        try:
            data = encode_tree(tree)
        except (OverflowError, RecursionError):
            data = encode_tree([15, 1, 0, [[1, 1, [chance.choice(HOSTILE[:4])]]]])
        return mutate_bytes(chance, data, data) if chance.random() < 0.3 else (data, kind)

    def take(self, data: bytes) -> Iterable[Hashable]:
        try:
            chunk = decode_command(data)
        except BadFrame as bad:
            _check(bad)
            return [(bad.tag, bool(bad.id), plain(bad.detail))]
        if not isinstance(chunk, Chunk):
            return [type(chunk).__name__]
        return self._expanded(chunk)

    @staticmethod
    def _expanded(chunk: Chunk) -> list[Hashable]:
        told: list[Hashable] = [("runs", min(len(chunk.runs), 4))]
        changes = expand(chunk)
        if len(changes) != sum(len(run.changes) for run in chunk.runs) or not 0 < len(changes) <= CHUNK_CHANGES_MAX:
            raise Wrong(f"{len(changes)} changes came of the chunk")
        good = []
        for change in changes:
            if isinstance(change, BadItem):
                told.append(plain(change.detail))
                continue
            try:
                decode_operation(change)
            except BadFrame as bad:
                raise Wrong(f"a change that was expanded is refused: {bad.detail}") from None
            good.append(change)
        if good:
            packed = pack(chunk.number, good)
            if expand(packed) != good:
                raise Wrong("packing and expanding again lost something")
            again = decode_command(encode(packed))
            if isinstance(again, Chunk) and expand(again) != good:
                raise Wrong("crossing the wire lost something")
            told.append(("whole", min(len(good), 8)))
        return told


class SyncTarget(Target):
    """The body of a request for sync."""

    name = "sync"
    share = 10
    cost_per_byte = 2 * MESSAGE_COST

    def draw(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        data, kind = any_message(chance, grammar)
        if chance.random() < 0.7:
            begin = chance.choice((encode(Sync()), encode(Sync(clock_ms=chance.randrange(2**53))), encode_tree(grammar.command())))
            data = bytes((0x92,)) + begin + data
        elif chance.random() < 0.5:
            steps = [encode_tree(grammar.command()) for _ in range(chance.choice((1, 2, 30)))]
            data, kind = join([encode(Sync()), *steps][:BATCH_FRAMES_MAX]), "sync:whole"
        return data, kind

    def pieces(self, data: bytes) -> list[bytes]:
        frames = frames_of(data)
        return [data[: len(data) - sum(map(len, frames))], *frames]

    def take(self, data: bytes) -> Iterable[Hashable]:
        try:
            sync, steps = read_steps(data)
        except Problem as problem:
            if problem.status != 400:
                raise Wrong(f"refused with {problem.status}") from None
            return [plain(str(problem))]
        told: list[Hashable] = [(sync.schema > 1, bool(sync.epoch), min(len(steps), 8))]
        for step in steps:
            if isinstance(step, BadFrame):
                if not 0 < step.id <= ID_MAX:
                    raise Wrong(f"nobody could be answered by {step.id}")
                told.append((step.tag, plain(step.detail)))
            else:
                told.append(type(step).__name__)
        return told


def weigh_bombs(chance: Random, rounds: int, weigh: Callable[[Callable[[], object]], int]) -> tuple[float, list[tuple[bytes, str]]]:
    """The most bytes of memory for a byte of message that any bomb took in the codec, and those that took more than they may.

    `weigh(call)` returns the peak of the memory in bytes while `call` runs. The codec is called in the way a session calls it: one
    frame's values are gone before the next is decoded.
    """
    worst, guilty = 0.0, []
    for _ in range(rounds):
        data = bombs(chance)[0][:MESSAGE_BYTES_MAX]
        peak = weigh(partial(_as_a_session_would, data))
        if len(data) > 4_096:
            worst = max(worst, peak / len(data))
        if peak > MESSAGE_COST * len(data) + Target.cost_bytes:
            guilty.append((data, f"{peak} bytes of memory for {len(data)} bytes"))
    return worst, guilty


def _as_a_session_would(data: bytes) -> None:
    try:
        for raw in split(data):
            command = decode_command(raw)
            if isinstance(command, Mutate):
                decode_operation(bytes(command.operation))
            elif isinstance(command, Chunk):
                expand(command)
    except BadFrame:
        return

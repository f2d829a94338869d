"""Scripts: inputs for what has a life, as bytes that can be cut, mixed and damaged anywhere and still are a script.

    script = (op: 1 byte, length: 2 bytes, payload)*

Invariant: any bytes are a script; what is cut off at the end is a shorter payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proofs.fuzzing.mutation import mutate_bytes

HEAD_BYTES: Final = 3


def step(op: int, payload: bytes = b"") -> bytes:
    """One step; at most 65,535 bytes of `payload` are taken."""
    payload = payload[:0xFFFF]
    return bytes((op,)) + len(payload).to_bytes(2, "big") + payload


def steps_of(script: bytes, ops: int) -> Iterator[tuple[int, bytes, bytes]]:
    """The steps of any bytes: op (below `ops`), payload, and the step's own bytes."""
    at = 0
    while at + HEAD_BYTES <= len(script):
        end = at + HEAD_BYTES + int.from_bytes(script[at + 1 : at + HEAD_BYTES], "big")
        yield script[at] % ops, script[at + HEAD_BYTES : end], script[at:end]
        at = end


def pieces(script: bytes, ops: int) -> list[bytes]:
    """The steps' own bytes."""
    return [own for _, _, own in steps_of(script, ops)] or [script]


def vary(chance: Random, script: bytes, other: bytes, ops: int) -> bytes:
    """Steps of two scripts, mixed; or steps with damage inside."""
    mine, theirs = pieces(script, ops), pieces(other, ops)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(mine))
        match chance.randrange(6):
            case 0 if len(mine) > 1:
                del mine[at]
            case 1:
                mine.insert(at, chance.choice(theirs))
            case 2:
                mine.insert(at, chance.choice(mine))
            case 3:
                mine[at:] = theirs[chance.randrange(len(theirs)) :]
            case 4:
                mine.insert(at, step(chance.randrange(ops), chance.randbytes(1)))
            case _:
                payload, _ = mutate_bytes(chance, mine[at][HEAD_BYTES:], mine[at][HEAD_BYTES:] or b"\x00")
                mine[at] = step(mine[at][0] % ops, payload)
    return b"".join(mine)

"""What becomes of valid traffic: damage to trees, to bytes, to the wire; and bombs, which are valid up to the point where they hurt.

    tree ─mutate_tree─▶ tree ─encode─▶ bytes ─mutate_bytes─▶ payload ─mutate_wire─▶ what crosses the line

Each function takes the chance to draw from and says what it did by a word, which a finding repeats.
"""

from __future__ import annotations

from random import Random
from typing import Final

from gateway import rfc6455
from proofs.fuzzing.grammar import Grammar, Tree, encode_tree

NUMBERS: Final = (-1, 0, 1, 127, 128, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
NEGATIVE: Final = (-(2**31) - 1, -(2**53), -(2**63))
DECLARATIONS: Final = (
    b"\xdd\xff\xff\xff\xff",
    b"\xdc\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\x7f\xff\xff\xff",
)
"""Lengths of 4 GiB and less, with nothing behind them."""
ODD: Final = (b"\xc1", b"\xa2\xff\xfe", b"\xd4\x01\x00", b"\xc7\x00\x05", b"\xed\xa0\x80")
"""Never used; text that is no UTF-8; extensions; half a surrogate pair."""
HOSTILE: Final[tuple[Tree, ...]] = (
    *NUMBERS,
    *NEGATIVE,
    None,
    True,
    0.0,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "a\u0000b",
    "x" * 5000,
    b"",
    b"\xff\xfe",
    [],
    [[]],
    [[[[[[[[]]]]]]]],
    {},
    {"a": 1},
    {1: 2},
    [0] * 300,
    "1",
    "🦒" * 50,
)


def mutate_tree(chance: Random, tree: Tree) -> tuple[Tree, str]:
    """One to three wounds anywhere in the tree."""
    words = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        tree, word = _wound(chance, tree)
        words.append(word)
    return tree, "tree:" + "+".join(words)


def _wound(chance: Random, tree: Tree) -> tuple[Tree, str]:
    if not isinstance(tree, list) or not tree:
        return chance.choice(HOSTILE), "replace"
    at = chance.randrange(len(tree))
    if isinstance(tree[at], list) and tree[at] and chance.random() < 0.6:
        inner, word = _wound(chance, tree[at])
        return [*tree[:at], inner, *tree[at + 1 :]], word
    match chance.randrange(9):
        case 0:
            return [*tree[:at], *tree[at + 1 :]], "drop"
        case 1:
            return [*tree, chance.choice(HOSTILE)], "extra"
        case 2:
            return [*tree[: at + 1], *tree[at:]], "twice"
        case 3:
            return [*tree[:at], [tree[at]], *tree[at + 1 :]], "wrap"
        case 4:
            other = chance.randrange(len(tree))
            swapped = list(tree)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return swapped, "swap"
        case 5:
            return [chance.choice((0, 2, 15, 31, 32, 40, 48, 99, 255, 2**32, -1)), *tree[1:]], "tag"
        case 6 if isinstance(tree[at], int):
            return [*tree[:at], tree[at] + chance.choice((-1, 1, 2**31)), *tree[at + 1 :]], "shift"
        case _:
            return [*tree[:at], chance.choice(HOSTILE), *tree[at + 1 :]], "replace"


def mutate_bytes(chance: Random, data: bytes, other: bytes) -> tuple[bytes, str]:
    """Damage below the level of msgpack's structure. `other` is valid traffic to splice with."""
    if not data:
        return b"\xc1", "bytes:empty"
    at = chance.randrange(len(data))
    match chance.randrange(8):
        case 0:
            flipped = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 8))):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            return bytes(flipped), "bytes:flip"
        case 1:
            return data[:at], "bytes:truncate"
        case 2:
            return data + other[: chance.randint(1, 8)], "bytes:tail"
        case 3:
            return data[:at] + other[chance.randrange(len(other)) :], "bytes:splice"
        case 4:
            return data[:at] + chance.choice(DECLARATIONS) + data[at:], "bytes:declare"
        case 5:
            byte = data[at] if chance.random() < 0.5 else chance.randrange(256)
            return data[:at] + bytes((byte,)) * chance.choice((1, 2, 16, 300, 4_000)) + data[at:], "bytes:repeat"
        case 6:
            return data[:at] + chance.choice(ODD) + data[at:], "bytes:odd"
        case _:
            return chance.randbytes(chance.choice((1, 2, 8, 64, 512))), "bytes:noise"


def bombs(chance: Random) -> tuple[bytes, str]:
    """A message that is small to send and would be large, deep or slow to take apart."""
    deep = chance.choice((50, 500, 2_000, 60_000))
    wide = chance.choice((1_000, 16_000, 60_000))
    choices: tuple[tuple[bytes, str], ...] = (
        (b"\x91" * deep + b"\x00", "bomb:nested arrays"),
        (b"\x92\x04" * deep + b"\x00", "bomb:nested frames"),
        (b"\x81\x00" * min(deep, 30_000) + b"\x00", "bomb:nested maps"),
        (b"\x93\x06\x01" + b"\x91" * deep + b"\x00", "bomb:nested operation"),
        (b"\xdc" + wide.to_bytes(2, "big") + b"\x80" * wide, "bomb:empty maps"),
        (b"\xdc" + wide.to_bytes(2, "big") + b"\x90" * wide, "bomb:empty arrays"),
        (b"\x93\x06\x01\xdc" + wide.to_bytes(2, "big") + b"\x80" * wide, "bomb:operation of maps"),
        (b"\xdc\x01\x01" + b"\x91\x09" * 257, "bomb:257 frames"),
        (b"\xdc\x01\x00" + b"\x92\x04\x01" * 256, "bomb:256 pings"),
        (b"\x94\x06\x01\x90\xdb\xff\xff\xff\xff", "bomb:declared text"),
        (b"\xdd\xff\xff\xff\xff\x91\x01", "bomb:declared array"),
        (b"\x96\x01\x01\xa1x\x01\xdc\x10\x00" + b"\x92\x01\x00" * 4096, "bomb:cursors"),
        (b"\x93\x06\x01\x93\x11\x01\xda\xff\x00" + b"x" * 0xFF00, "bomb:long text"),
        (b"\x92\x04" + b"\xcf" + b"\xff" * 8, "bomb:64-bit id"),
        (b"\xc1" * wide, "bomb:never used"),
        (b"", "bomb:nothing"),
        (b"\x90", "bomb:empty array"),
        (b"\x91\x90", "bomb:empty frame"),
    )
    return chance.choice(choices)


def any_message(chance: Random, grammar: Grammar) -> tuple[bytes, str]:
    """One binary message: damaged, bombed, and sometimes whole."""
    drawn = chance.random()
    if drawn < 0.08:
        return bombs(chance)
    tree = grammar.mutate() if chance.random() < 0.3 else grammar.command()
    if drawn < 0.5:
        tree, kind = mutate_tree(chance, tree)
    else:
        kind = "valid:one"
    if chance.random() < 0.15:
        tree, kind = [tree, *(grammar.command() for _ in range(chance.choice((1, 2, 15, 40))))], kind + " in a batch"
    try:
        data = encode_tree(tree)
    except (OverflowError, RecursionError):
        return b"\xc1", "tree:unencodable"
    if 0.5 <= drawn < 0.9:
        return mutate_bytes(chance, data, encode_tree(grammar.command()))
    return data, kind


def mutate_wire(chance: Random, payload: bytes) -> tuple[bytes, str]:
    """The payload as WebSocket frames that break the rules of RFC 6455, or lean on them."""
    key = chance.randbytes(4)
    good = rfc6455.encode(rfc6455.BINARY, payload, key=key)
    kind = chance.randrange(17)
    match kind:
        case 0:
            return rfc6455.encode(rfc6455.BINARY, payload), "wire:no mask"
        case 1:
            return bytes((good[0] | chance.choice((0x10, 0x20, 0x40, 0x70)),)) + good[1:], "wire:reserved bits"
        case 2:
            return bytes((0x80 | chance.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),)) + good[1:], "wire:opcode"
        case 3:
            return rfc6455.encode(rfc6455.TEXT, payload, key=key), "wire:text"
        case 4:
            return rfc6455.encode(rfc6455.CONTINUATION, payload, key=key), "wire:nothing to continue"
        case 5:
            control = chance.choice((rfc6455.PING, rfc6455.PONG, rfc6455.CLOSE))
            return rfc6455.encode(control, b"x" * 126, key=key), "wire:long control"
        case 6:
            control = chance.choice((rfc6455.PING, rfc6455.PONG, rfc6455.CLOSE))
            return rfc6455.encode(control, b"", final=False, key=key), "wire:fragmented control"
        case 7:
            length = chance.choice((2**16, 2**20, 2**31, 2**62, 2**63, 2**64 - 1))
            return b"\x82\xff" + length.to_bytes(8, "big") + key + payload, "wire:declared length"
        case 8:
            return b"\x82\xfe" + len(payload[:100]).to_bytes(2, "big") + key + payload[:100], "wire:long form"
        case 9:
            cut = chance.randint(0, len(payload))
            first = rfc6455.encode(rfc6455.BINARY, payload[:cut], final=False, key=key)
            ping = rfc6455.encode(rfc6455.PING, b"between", key=key)
            return first + ping + rfc6455.encode(rfc6455.CONTINUATION, payload[cut:], key=key), "wire:fragments"
        case 10:
            tiny = b"".join(rfc6455.encode(rfc6455.CONTINUATION, b"x", final=False, key=key) for _ in range(40))
            return rfc6455.encode(rfc6455.BINARY, b"x", final=False, key=key) + tiny, "wire:tiny fragments"
        case 11:
            return rfc6455.encode(rfc6455.BINARY, b"x", final=False, key=key) + good, "wire:message inside a message"
        case 12:
            return rfc6455.encode(rfc6455.TEXT, chance.choice((b"\xff", b"\xed\xa0\x80", b"\xc0\xaf")), key=key), "wire:bad text"
        case 13:
            code = chance.choice((0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535))
            return rfc6455.encode(rfc6455.CLOSE, code.to_bytes(2, "big"), key=key), "wire:close code"
        case 14:
            body = chance.choice((b"\x03", b"\x03\xe8\xff\xff", b"\x03\xe8" + b"x" * 123))
            return rfc6455.encode(rfc6455.CLOSE, body, key=key), "wire:close body"
        case 15:
            return rfc6455.encode(rfc6455.PING, b"again", key=key) * chance.choice((2, 30)), "wire:pings"
        case _:
            damaged = bytearray(good)
            for _ in range(chance.choice((1, 2, 4))):
                damaged[chance.randrange(min(len(damaged), 14))] ^= 1 << chance.randrange(8)
            return bytes(damaged), "wire:flip"

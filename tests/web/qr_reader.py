"""Reads a QR code as a camera's program would after it found the squares (ISO/IEC 18004), written apart from what draws them.

    path of squares ─▶ format (level, mask) ─▶ codewords, unmasked ─▶ blocks, whose Reed-Solomon syndromes are nought ─▶ bytes

Codes of level M in mode "byte", as the app draws them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

_SQUARE = re.compile(r"M(\d+) (\d+)h1v1h-1z")
_BLOCKS_M = {  # version: (remainder codewords a block, ((blocks, data codewords), …)), table 9
    1: (10, ((1, 16),)),
    2: (16, ((1, 28),)),
    3: (26, ((1, 44),)),
    4: (18, ((2, 32),)),
    5: (24, ((2, 43),)),
    6: (16, ((4, 27),)),
    7: (18, ((4, 31),)),
    8: (22, ((2, 38), (2, 39))),
    9: (22, ((3, 36), (2, 37))),
    10: (26, ((4, 43), (1, 44))),
    11: (30, ((1, 50), (4, 51))),
    12: (22, ((6, 36), (2, 37))),
    13: (22, ((8, 37), (1, 38))),
    14: (24, ((4, 40), (5, 41))),
    15: (24, ((5, 41), (5, 42))),
    16: (28, ((7, 45), (3, 46))),
    17: (28, ((10, 46), (1, 47))),
    18: (26, ((9, 43), (4, 44))),
    19: (26, ((3, 44), (11, 45))),
    20: (26, ((3, 41), (13, 42))),
}
_MARKS: dict[int, tuple[int, ...]] = {
    1: (),
    2: (6, 18),
    3: (6, 22),
    4: (6, 26),
    5: (6, 30),
    6: (6, 34),
    7: (6, 22, 38),
    8: (6, 24, 42),
    9: (6, 26, 46),
    10: (6, 28, 50),
    11: (6, 30, 54),
    12: (6, 32, 58),
    13: (6, 34, 62),
    14: (6, 26, 46, 66),
    15: (6, 26, 48, 70),
    16: (6, 26, 50, 74),
    17: (6, 30, 54, 78),
    18: (6, 30, 56, 82),
    19: (6, 30, 58, 86),
    20: (6, 34, 62, 90),
}
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda i, j: (i + j) % 2 == 0,
    lambda i, j: i % 2 == 0,
    lambda i, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: i * j % 2 + i * j % 3 == 0,
    lambda i, j: (i * j % 2 + i * j % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0,
)


def read_qr(path: str) -> str:
    """The text of a picture. Raises `AssertionError` where anything is not as the standard has it."""
    dark = {(int(y), int(x)) for x, y in _SQUARE.findall(path)}
    size = 1 + max(max(at) for at in dark)
    version, odd = divmod(size - 17, 4)
    assert odd == 0 and version in _BLOCKS_M, size
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        ring = [(top + i, left + j) in dark for i, j in product(range(7), repeat=2)]
        assert ring == [max(abs(i - 3), abs(j - 3)) != 2 for i, j in product(range(7), repeat=2)], "a corner"
    mask = _read_format(dark, size)
    reserved = _patterns(version, size)
    bits: list[bool] = []
    for turn, right in enumerate(column for column in (*range(size - 1, 6, -2), *range(5, 0, -2))):
        for row in range(size - 1, -1, -1) if turn % 2 == 0 else range(size):
            for column in (right, right - 1):
                if (row, column) not in reserved:
                    bits.append(((row, column) in dark) ^ _MASKS[mask](row, column))
    words = [sum(bit << (7 - n) for n, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits) - len(bits) % 8, 8)]
    return _read_text(_deal(words, version), version)


def _read_format(dark: set[tuple[int, int]], size: int) -> int:
    along = [(8, j) for j in (0, 1, 2, 3, 4, 5, 7, 8)] + [(i, 8) for i in (7, 5, 4, 3, 2, 1, 0)]
    again = [(size - 1 - n, 8) for n in range(7)] + [(8, size - 8 + n) for n in range(8)]
    first, second = (sum((at in dark) << (14 - n) for n, at in enumerate(places)) for places in (along, again))
    assert first == second, "both copies of the format"
    value = first ^ 0b101010000010010
    rest = value
    for bit in range(14, 9, -1):
        if rest >> bit & 1:
            rest ^= 0b10100110111 << (bit - 10)
    assert rest == 0, "the format's own check"
    assert value >> 13 == 0b00, "level M"
    assert (size - 8, 8) in dark, "the dark module"
    return value >> 10 & 7


def _patterns(version: int, size: int) -> set[tuple[int, int]]:
    found = {(6, n) for n in range(size)} | {(n, 6) for n in range(size)}
    near, far = range(9), range(size - 8, size)
    found |= set(product(near, near)) | set(product(near, far)) | set(product(far, near))
    marks = _MARKS[version]
    for i, j in product(marks, repeat=2):
        if (i, j) not in {(6, 6), (6, marks[-1]), (marks[-1], 6)}:
            found |= {(i + di, j + dj) for di, dj in product(range(-2, 3), repeat=2)}
    if version >= 7:
        found |= set(product(range(6), range(size - 11, size - 8))) | set(product(range(size - 11, size - 8), range(6)))
    return found


def _deal(words: list[int], version: int) -> list[int]:
    rest, groups = _BLOCKS_M[version]
    lengths = [length for blocks, length in groups for _ in range(blocks)]
    blocks: list[list[int]] = [[] for _ in lengths]
    stream = iter(words)
    for n in range(max(lengths)):
        for block, length in zip(blocks, lengths, strict=True):
            if n < length:
                block.append(next(stream))
    data = [word for block in blocks for word in block]
    for _ in range(rest):
        for block in blocks:
            block.append(next(stream))
    power = [1]
    while len(power) < 255:
        power.append(power[-1] << 1 ^ (0x11D if power[-1] & 0x80 else 0))
    for block in blocks:
        for root in range(rest):
            value = 0
            for word in block:
                value = (power[(power.index(value) + root) % 255] if value else 0) ^ word
            assert value == 0, "a syndrome"
    return data


def _read_text(data: list[int], version: int) -> str:
    bits = "".join(f"{word:08b}" for word in data)
    assert bits[:4] == "0100", "bytes"
    count = 8 if version < 10 else 16
    length = int(bits[4 : 4 + count], 2)
    start = 4 + count
    return bytes(int(bits[at : at + 8], 2) for at in range(start, start + 8 * length, 8)).decode()

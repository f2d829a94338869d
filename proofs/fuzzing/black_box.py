"""The input that is being taken, where another process can read it when this one has ended without a word.

    hunter ─note─▶ file in shared memory ◀─read─ the process that started it

Costs a copy of the input. The counter says whether the hunter gets anywhere.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

SIZE: Final = 128 * 1024
_NAME_AT: Final = 8
_LENGTH_AT: Final = 40
_DATA_AT: Final = 44


class BlackBox:
    """One process notes, another reads. Made by whoever comes first; the file is the maker's."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)
        self._count = 0

    def note(self, name: str, data: bytes) -> None:
        """`data` is about to be taken by `name`."""
        self._count += 1
        box = self._map
        box[_LENGTH_AT:_DATA_AT] = len(data).to_bytes(4, "big")
        box[_DATA_AT : _DATA_AT + len(data)] = data
        box[_NAME_AT:_LENGTH_AT] = name.encode().ljust(_LENGTH_AT - _NAME_AT, b"\0")
        box[:_NAME_AT] = self._count.to_bytes(8, "big")

    def read(self) -> tuple[int, str, bytes]:
        """How many inputs were noted, and the last one with its target's name."""
        box = self._map
        length = int.from_bytes(box[_LENGTH_AT:_DATA_AT], "big")
        name = bytes(box[_NAME_AT:_LENGTH_AT]).rstrip(b"\0").decode()
        return int.from_bytes(box[:_NAME_AT], "big"), name, bytes(box[_DATA_AT : _DATA_AT + length])

    def close(self) -> None:
        self._map.close()

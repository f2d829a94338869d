"""Documents that people wrote together, opened: the one place of the product where pycrdt runs on what others sent.

    updates ─▶ applied one by one to an empty document ─▶ its state as one update, and which of them could not be applied

Only this process is at risk: one update can make pycrdt loop for ever while it holds the interpreter. Roots are opened as texts and maps
alone, so that nothing here walks through what a hostile update made of an array.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pycrdt import Doc

from sandbox.child import Task

FAULTY_MAX: Final = 256
"""Of these a document is not mended: it is not what it says."""
_UPDATES: Final = msgspec.msgpack.Decoder(list[bytes])


def compact(payload: bytes) -> bytes:
    """`payload`: updates, in msgpack. The answer: one update that is all of them, and the places of those that cannot be applied.

    After one that cannot, everything is begun again without it: nobody knows what it left behind.
    """
    updates = _UPDATES.decode(payload)
    faulty: list[int] = []
    while True:
        document: Doc[Any] = Doc()
        place = _first_faulty(document, updates, faulty)
        if place is None:
            return msgspec.msgpack.encode([document.get_update(), sorted(faulty)])
        faulty.append(place)
        if len(faulty) > FAULTY_MAX:
            raise ValueError(f"more than {FAULTY_MAX} updates cannot be applied")


def _first_faulty(document: Doc[Any], updates: list[bytes], passed_over: list[int]) -> int | None:
    for place, update in enumerate(updates):
        if place in passed_over:
            continue
        try:
            document.apply_update(update)
        except BaseException:  # noqa: BLE001 - a panic of Rust is no Exception
            return place
    return None


TASKS: Final[Mapping[str, Task]] = {"compact": compact}

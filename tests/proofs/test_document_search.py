"""Whatever the door takes of made-up documents, no process ends over it; and a search that cannot find anything is none."""

from __future__ import annotations

import sys

import pytest

from proofs import document_search
from proofs.document_search import search

DOCUMENTS = 2_000


async def test_nothing_that_the_door_takes_ends_a_process_or_keeps_it() -> None:
    found = await search(1, DOCUMENTS)
    assert (found.documents, found.culprits) == (DOCUMENTS, ())
    assert found.taken > 2 * DOCUMENTS and found.refused > DOCUMENTS, "something is tried"


DELICATE = """
import msgspec, os, sys
documents = msgspec.msgpack.decode(sys.stdin.buffer.read())
if any(len(one) >= 7 for one in documents):
    os.abort()
print(len(documents))
"""


async def test_a_document_that_ends_a_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process that does not survive documents of seven updates."""
    monkeypatch.setattr(document_search, "CHILD", (sys.executable, "-c", DELICATE))
    monkeypatch.setattr(document_search, "BATCH", 10)
    found = await search(1, 40)
    assert found.culprits and all(len(one) >= 7 for one in found.culprits)

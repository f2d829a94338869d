"""An order that looks like chance and is always the same for the same words, so that a question asked for again is the same question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def mixed(words: Sequence[str]) -> list[str]:
    salt = hashlib.sha256("\n".join(sorted(words)).encode()).digest()
    return sorted(words, key=lambda word: hashlib.sha256(salt + word.encode()).digest())

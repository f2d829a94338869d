"""The words that people use for subjects, and how near each is to what somebody wants.

    "Maths" ─▶ id 7 ─▶ a place among the embeddings: float32[word, dimension], unit length
    wanted words ─▶ nearness to every known word: float32[word], 0 to 1

Each distinct spelling is embedded once, however many mentors use it. Id 0 is no word, and near to nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors: float32[text, dimension]."""

FAR: Final = 0.52
"""Cosine at and below which two subjects have nothing to do with each other. Of the embedding that ships, unrelated school subjects lie at
0.2 to 0.5, related ones (farming and gardening, algebra and mathematics) at 0.56 to 0.76; `educonnect ml evaluate matching` prints them."""
NEAR: Final = 0.86
"""Cosine from which on they are the same in other words, or in another language (matemáticas and maths: 0.91)."""
TONGUES: Final = frozenset(
    "arabic bengali chinese dutch english french german greek hausa hebrew hindi italian japanese korean latin mandarin persian polish"
    " portuguese russian spanish swahili tamil turkish ukrainian urdu yoruba zulu amharic deutsch englisch français"
    " anglais espagnol español inglés francés kiswahili kiingereza".split()
)
"""Languages as subjects: all alike to the embedding (English and Spanish: 0.71), and nobody who wants the one is helped by the other."""
LESS_WANTED: Final = 0.92
"""What each further wanted subject counts beside the one before it."""
WORDS_MAX: Final = 200_000
"""Distinct spellings that are kept; what comes beyond them is near only to its own spelling."""


def plain(word: str) -> str:
    """One spelling for what differs by case, accents' composition and spaces alone."""
    return " ".join(unicodedata.normalize("NFKC", word).casefold().split())


class Vocabulary:
    """Ids and embeddings of all words seen. Grows; never forgets while the process lives."""

    def __init__(self, embed: Embed, words_max: int = WORDS_MAX) -> None:
        self._embed = embed
        self._words_max = words_max
        self._ids: dict[str, int] = {}
        self.words: list[str] = [""]
        self._rows: Floats = np.zeros((1, 1), np.float32)
        self._embedded = 1
        self._waiting: list[str] = []

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, words: Sequence[str]) -> list[int]:
        """An id for each word, new ones included; embedded when nearness is next asked for."""
        found = []
        for word in words:
            spelled = plain(word)
            if not spelled:
                continue
            known = self._ids.get(spelled)
            if known is None:
                if len(self.words) >= self._words_max:
                    continue
                known = self._ids[spelled] = len(self.words)
                self.words.append(spelled)
                self._waiting.append(spelled)
            found.append(known)
        return found

    def settle(self) -> None:
        """Embeds what waits: hundreds a second, so at warm-up and after a feed rather than under a question."""
        if not self._waiting:
            return
        made = self._embed(self._waiting)
        if self._rows.shape[1] != made.shape[1]:
            self._rows = np.zeros((1, made.shape[1]), np.float32)
        needed = self._embedded + len(made)
        if needed > len(self._rows):
            grown = np.zeros((max(needed, 2 * len(self._rows)), made.shape[1]), np.float32)
            grown[: self._embedded] = self._rows[: self._embedded]
            self._rows = grown
        self._rows[self._embedded : needed] = made
        self._embedded = needed
        self._waiting = []

    def nearness(self, wanted: Sequence[str]) -> Floats:
        """float32[word]: how near each known word is to the nearest of `wanted`, most wanted first: 1 the same, 0 another thing."""
        self.settle()
        near = np.zeros(len(self.words), np.float32)
        spelled = [word for word in map(plain, wanted) if word]
        if not spelled or len(self.words) == 1:
            return near
        unknown = [word for word in spelled if word not in self._ids]
        made = dict(zip(unknown, self._embed(unknown), strict=True)) if unknown else {}
        counts = np.float32(1.0)
        for word in spelled:
            known = self._ids.get(word)
            vector = made[word] if known is None else self._rows[known]
            cosine = self._rows[: len(self.words)] @ vector
            one = np.clip((cosine - FAR) / (NEAR - FAR), 0.0, 1.0).astype(np.float32)
            one[0] = 0.0
            if word in TONGUES:
                others = [self._ids[tongue] for tongue in TONGUES if tongue in self._ids]
                one[others] = one[others] >= 1.0
            if known is not None:
                one[known] = 1.0
            np.maximum(near, one * counts, out=near)
            counts *= np.float32(LESS_WANTED)
        return near

"""Where the folders of versions come from: the program's own, or the database, by hash, into a cache on this machine.

    Entry ─ shipped ─▶ ml_actors/shipped/NAME/VERSION
          ─ trained ─▶ cache/NAME@VERSION-<hash of its card>/  made beside it, verified, then renamed: it is whole, or it is not there

Invariant: a folder that is given out held what its card says when it was made; whoever loads it verifies it again.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from actors.model_book import Card, Entry, ModelBook, State
from ml_actors.kinds import KINDS, Unusable
from ml_actors.registry import CARD, SHIPPED, open_version, read_card, shipped_versions
from ml_actors.versions import newest, order

CACHED_MAX: Final = 24
"""Folders that are kept; the oldest go."""


class Library:
    """The versions that this process can have."""

    def __init__(self, cache: Path, book: ModelBook | None, *, shipped: Path = SHIPPED) -> None:
        self._cache = cache
        self._book = book
        self._shipped = {title: (folder, read_card(folder)) for title, folder in shipped_versions(shipped).items()}

    @property
    def shipped(self) -> list[Card]:
        """In the order of their versions."""
        return sorted((card for _, card in self._shipped.values()), key=lambda card: (card.name, order(card.version)))

    def as_shipped(self, names: Collection[str]) -> list[Entry]:
        """What there is where no database says more: the newest shipped version of each name is in use."""
        return [Entry(card, State.ACTIVE, shipped=True) for card in newest(self.shipped).values() if card.name in names]

    async def entries(self, names: Collection[str]) -> list[Entry]:
        """What the book says, and what is shipped for names that it does not know. Raises `StorageError`."""
        if self._book is None:
            return self.as_shipped(names)
        known = [entry for entry in await self._book.entries() if entry.card.name in names]
        active = {entry.card.name for entry in known if entry.state is State.ACTIVE}
        return [*known, *self.as_shipped([name for name in names if name not in active])]

    async def folder(self, entry: Entry) -> Path:
        """Where its files are. Raises `Unusable`, `StorageError`."""
        card = entry.card
        if card.kind not in KINDS:
            raise Unusable(f"{card.title} is of a kind that this program does not know: {card.kind}")
        if entry.shipped:
            found = self._shipped.get(card.title)
            if found is None:
                raise Unusable(f"{card.title} does not come with this program; it comes with another version of it")
            return found[0]
        assert self._book is not None
        text = msgspec.json.encode(card)
        place = self._cache / f"{card.title}-{hashlib.sha256(text).hexdigest()[:16]}"
        if await trio.to_thread.run_sync(_is_whole, place):
            return place
        contents: list[tuple[str, bytes]] = []
        for file in card.files:
            content = await self._book.file(file.sha256)
            if content is None:
                raise Unusable(f"{card.title}: {file.name} is not in the database")
            contents.append((file.name, content))
        await trio.to_thread.run_sync(_make, self._cache, place, text, contents)
        return place


def _is_whole(place: Path) -> bool:
    if not place.is_dir():
        return False
    try:
        open_version(place)
    except Unusable:
        shutil.rmtree(place)
        return False
    return True


def _make(cache: Path, place: Path, card: bytes, contents: Sequence[tuple[str, bytes]]) -> None:
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=cache, prefix=".making-"))
    try:
        for name, content in contents:
            (beside / name).write_bytes(content)
        (beside / CARD).write_bytes(card)
        open_version(beside)
        try:
            beside.rename(place)
        except OSError:
            if not place.is_dir():
                raise  # another process of ours made it meanwhile: then it is there
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    kept = sorted((one for one in cache.iterdir() if one.is_dir() and one != place), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in kept[CACHED_MAX:]:
        shutil.rmtree(old, ignore_errors=True)

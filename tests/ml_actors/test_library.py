"""Where versions come from: what is fetched is what was sealed, or it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from actors.model_book import Card, Entry, State
from ml_actors.kinds import Unusable
from ml_actors.library import Library
from ml_actors.registry import open_version, read_card, seal, shipped_versions


class Book:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched = 0

    async def entries(self) -> list[Entry]:
        return []

    async def file(self, sha256: str) -> bytes | None:
        self.fetched += 1
        return self.files.get(sha256)


def sealed(folder: Path, content: bytes = b"weights") -> Card:
    folder.mkdir()
    (folder / "weights.npz").write_bytes(content)
    return seal(folder, Card("echo", "7", "echo", "embedded", (), (), {}, "2026-11-23", "tests", "all else"))


async def test_a_trained_version_is_fetched_once_and_is_what_was_sealed(tmp_path: Path) -> None:
    book = Book()
    card = sealed(tmp_path / "made")
    book.files[card.files[0].sha256] = b"weights"
    library = Library(tmp_path / "cache", book, shipped=tmp_path / "none")
    folder = await library.folder(Entry(card, State.ACTIVE))
    assert open_version(folder) == card and (folder / "weights.npz").read_bytes() == b"weights"
    assert await library.folder(Entry(card, State.ACTIVE)) == folder and book.fetched == 1
    (folder / "weights.npz").write_bytes(b"changed")
    assert await library.folder(Entry(card, State.ACTIVE)) == folder and book.fetched == 2, "what was tampered with is fetched anew"
    assert open_version(folder) == card


@pytest.mark.parametrize("content", [None, b"something else"])
async def test_a_file_that_is_missing_or_another_one_is_refused_and_nothing_is_left(tmp_path: Path, content: bytes | None) -> None:
    book = Book()
    card = sealed(tmp_path / "made")
    if content is not None:
        book.files[card.files[0].sha256] = content
    with pytest.raises(Unusable, match=r"weights\.npz"):
        await Library(tmp_path / "cache", book, shipped=tmp_path / "none").folder(Entry(card, State.ACTIVE))
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_every_version_that_ships_is_what_its_card_says_and_holds_no_pickle() -> None:
    versions = shipped_versions()
    assert "echo@1" in versions
    for title, folder in versions.items():
        card = open_version(folder)
        assert card.title == title and card.intended and card.limits
        assert {path.name for path in folder.iterdir()} == {"card.json", *(file.name for file in card.files)}
        for file in card.files:
            assert file.name.rpartition(".")[2] in ("json", "npz", "safetensors", "txt", "npy"), file.name
            assert not (folder / file.name).read_bytes().startswith(b"\x80\x04"), "a pickle"


def test_a_card_that_lies_in_the_wrong_place_or_names_other_places_is_refused(tmp_path: Path) -> None:
    sealed(tmp_path / "made")
    card = tmp_path / "made" / "card.json"
    card.write_bytes(card.read_bytes().replace(b"weights.npz", b"../../secrets"))
    with pytest.raises(Unusable, match="the card is none"):
        read_card(tmp_path / "made")
    assert hashlib.sha256(b"weights").hexdigest() in card.read_text()

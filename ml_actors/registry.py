"""A version's folder: `NAME/VERSION/card.json` and the files that the card names by hash.

    training ─ seal(folder, card) ─▶ card.json with every file's size and hash
    serving  ─ open_version(folder) ─▶ the card, after every file was read and found to be what it says      else `Unusable`

Nothing is ever unpickled: files are arrays (.npz without objects, .safetensors), JSON and text.

Invariant: a folder whose card opens holds exactly what was sealed, and nothing beside it is read.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from actors.model_book import FILE_BYTES_MAX, Card, CardFile
from ml_actors.kinds import Unusable

CARD: Final = "card.json"
CARD_BYTES_MAX: Final = 256 * 1024
SHIPPED: Final = Path(__file__).parent / "shipped"
_CHUNK_BYTES: Final = 1 << 20


def seal(folder: Path, card: Card) -> Card:
    """Writes `card.json` for all files that lie in the folder, in the place of `card.files`. Returns the card. Raises ValueError for a
    folder within it, or a file above `FILE_BYTES_MAX`."""
    files = []
    for path in sorted(folder.iterdir()):
        if path.name == CARD:
            continue
        if not path.is_file() or path.is_symlink():
            raise ValueError(f"{path}: a version's folder holds files and nothing else")
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; allowed: up to {FILE_BYTES_MAX}")
        files.append(CardFile(path.name, path.stat().st_size, hash_file(path)))
    sealed = msgspec.structs.replace(card, files=tuple(files))
    text = msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n"
    sealed = decode_card(text)  # types are checked here, where a person sees it, and not in a server that loads it
    (folder / CARD).write_bytes(text)
    return sealed


def decode_card(text: bytes) -> Card:
    """Raises `Unusable`."""
    if len(text) > CARD_BYTES_MAX:
        raise Unusable(f"a card of {len(text)} bytes; allowed: {CARD_BYTES_MAX}")
    try:
        return msgspec.json.decode(text, type=Card)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Unusable(f"the card is none: {error}") from error


def read_card(folder: Path) -> Card:
    """The card alone; its files are not looked at. Raises `Unusable`."""
    try:
        return decode_card((folder / CARD).read_bytes())
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror or error}") from error


def open_version(folder: Path) -> Card:
    """The card, when every file is there and is what it says. Blocks while it reads them. Raises `Unusable`."""
    card = read_card(folder)
    for file in card.files:
        path = folder / file.name
        try:
            size, digest = path.stat().st_size, hash_file(path)
        except OSError as error:
            raise Unusable(f"{card.title}: {file.name}: {error.strerror or error}") from error
        if size != file.bytes or digest != file.sha256:
            raise Unusable(
                f"{card.title}: {file.name} has {size} bytes and hash {digest[:12]}…; its card says {file.bytes}, {file.sha256[:12]}…"
            )
    return card


def hash_file(path: Path) -> str:
    """SHA-256, as hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def shipped_versions(shipped: Path = SHIPPED) -> dict[str, Path]:
    """The folders of all versions that come with the program, by title (`moderation@1`)."""
    return {f"{folder.parent.name}@{folder.name}": folder for folder in sorted(shipped.glob("*/*")) if (folder / CARD).is_file()}

"""Labelled texts from files, and which of them are nearly the same.

    davidson.csv, germeval2018.training.txt, any table with a text and a label ─▶ Labelled rows ─▶ groups of near duplicates ─▶ folds

Near duplicates (a tweet and its retweets, an advertisement with another number) lie in one fold: a model that has seen one has seen all.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ml_actors.moderation.writing import plain

SHINGLE: Final = 6
"""Words. Two texts that share the lowest or the highest hash of their shingles are taken as one."""


class Unreadable(Exception):
    """A file is not what it was said to be. The text says what is in it, and what would do."""


class Labelled(Struct, frozen=True):
    """One text, and what people said of it. `hate`, `insult`: None where nobody was asked."""

    text: str
    toxic: bool
    language: str
    hate: bool | None = None
    insult: bool | None = None


def _opened(path: Path) -> io.TextIOBase:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from error
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise Unreadable(f"{path}: not a whole gzip file: {error}") from error
    try:
        return io.StringIO(raw.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError:
        return io.StringIO(raw.decode("cp1252", "replace"), newline="")


def read_davidson(path: Path) -> list[Labelled]:
    """t-davidson/hate-speech-and-offensive-language, `labeled_data.csv` (gz or not): classes 0 and 1 are toxic, 0 is hate."""
    rows, labels = read_table(path, "tweet", "class")
    strange = set(labels) - {"0", "1", "2"}
    if strange:
        raise Unreadable(f"{path}: column class has {sorted(strange)[:5]}; expected 0, 1 and 2")
    return [Labelled(text, label != "2", "en", hate=label == "0") for text, label in zip(rows, labels, strict=True)]


def read_germeval(path: Path) -> list[Labelled]:
    """uds-lsv/GermEval-2018-Data, `germeval2018.training.txt` (gz or not): text, OFFENSE or OTHER, and how."""
    found = []
    for number, line in enumerate(_opened(path), 1):
        fields = line.rstrip("\r\n").split("\t")
        if fields == [""]:
            continue
        if len(fields) != 3 or fields[1] not in ("OFFENSE", "OTHER"):
            raise Unreadable(f"{path}, line {number}: expected a text, OFFENSE or OTHER, and a finer label, with tabs between")
        # ABUSE is what is said against people for what they are: of all labels here the nearest to hate.
        found.append(
            Labelled(fields[0], fields[1] == "OFFENSE", "de", hate=fields[2] == "ABUSE", insult=fields[2] in ("INSULT", "PROFANITY"))
        )
    return found


def read_table(path: Path, text: str, label: str, delimiter: str = "") -> tuple[list[str], list[str]]:
    """Two columns of a table with a heading, as CSV or TSV, gz or not. `delimiter`: "" finds it in the heading. Rows without a text or a
    label are left out. Two numbers that are no headings are columns, from 1, of a table without a heading. Raises `Unreadable`, with the
    columns that there are."""
    csv.field_size_limit(min(sys.maxsize, 1 << 24))
    file = _opened(path)
    first = file.readline()
    if not delimiter:
        delimiter = max("\t,;|", key=first.count)
    if len(delimiter) != 1:
        raise Unreadable(f"a delimiter is one character, not {delimiter!r}")
    file.seek(0)
    # Tables with tabs are mostly written without quoting: a lone quotation mark in a tweet would swallow the rows up to the next one.
    bare = delimiter == "\t" and len({line.count("\t") for line in file if line.strip()}) == 1
    file.seek(0)
    reader = csv.DictReader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL)
    columns = [_unquoted(column.strip()) for column in reader.fieldnames or ()]
    if text.isdecimal() and label.isdecimal() and not {text, label} & set(columns):
        file.seek(0)
        columns = [str(place) for place in range(1, len(columns) + 1)]
    reader.fieldnames = columns
    for wanted in (text, label):
        if wanted not in columns:
            raise Unreadable(
                f"{path} has no column {wanted!r}; it has: {', '.join(map(repr, columns[:40])) or 'none'} (delimiter {delimiter!r})"
            )
    texts, labels = [], []
    try:
        for row in reader:
            said, called = row[text], row[label]
            if said is not None and called is not None and said.strip() and called.strip():
                texts.append(_unquoted(said) if bare else said)
                labels.append(_unquoted(called.strip()) if bare else called.strip())
    except csv.Error as error:
        raise Unreadable(f"{path}, line {reader.line_num}: {error}") from error
    if not texts:
        raise Unreadable(f"{path}: no row has both a {text!r} and a {label!r}")
    return texts, labels


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if len(field) > 1 and field[0] == field[-1] == '"' else field


_TOXIC_WORDS: Final = frozenset(
    "1 1.0 true yes y toxic hate hateful offensive offense off abusive abuse insult hof profane "
    "harassment positive bad hostile nag cag oag".split()
)
_FINE_WORDS: Final = frozenset(
    "0 0.0 false no n none other neutral normal not not_offensive nonoffensive non-offensive nothate not_hate non-hateful non-hate neither "
    "not_toxic non-toxic clean ok good negative nonhate noattack none-hate".split()
)


def positives(labels: Sequence[str], chosen: Collection[str]) -> NDArray[np.bool_]:
    """Which labels are toxic: those `chosen`; without a choice numbers from 0.5 on, or words whose sense is plain. Raises `Unreadable`."""
    there = sorted(set(labels))
    if chosen:
        missing = set(chosen) - set(there)
        if missing:
            raise Unreadable(f"no label is {', '.join(sorted(missing))}; there are: {', '.join(there[:40])}")
        found = np.array([label in chosen for label in labels])
    else:
        lowered = {label: label.casefold() for label in there}
        if all(word in _TOXIC_WORDS | _FINE_WORDS for word in lowered.values()):
            found = np.array([lowered[label] in _TOXIC_WORDS for label in labels])
        elif all(_number(label) is not None and 0 <= (_number(label) or 0) <= 1 for label in there):
            found = np.array([(_number(label) or 0) >= 0.5 for label in labels])
        else:
            raise Unreadable(f"which labels are toxic? say so with --positive; there are: {', '.join(there[:40])}")
    if found.all() or not found.any():
        raise Unreadable(f"all rows are {'toxic' if found.all() else 'harmless'}: nothing can be measured; labels: {', '.join(there[:40])}")
    return found


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def near_duplicates(texts: Sequence[str]) -> NDArray[np.int64]:
    """A number for each text; texts that are nearly the same share it. Stable over runs and machines."""
    parent = list(range(len(texts)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    seen: dict[bytes, int] = {}
    for place, text in enumerate(texts):
        words = re.findall(r"\w+", plain(text))
        shingles = [" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))]
        marks = [hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).digest() for shingle in shingles]
        for mark in (min(marks), max(marks)):  # in this order: that of a set is another in every process
            if mark in seen:
                parent[root(place)] = root(seen[mark])
            else:
                seen[mark] = place
    return np.array([root(place) for place in range(len(texts))], dtype=np.int64)


def folds(groups: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """For each row its fold, 0 to `count - 1`; rows of a group share one. Another seed, another dealing."""
    distinct, place = np.unique(groups, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(distinct)) % count
    return np.asarray(dealt[place], dtype=np.int64)

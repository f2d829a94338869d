"""The roster: every mentor that there is, as columns.

    Candidate ─put─▶ row n:  user[n] levels[n] styles[n] hours[3, n] offset[n] free[n] history[n] shown[n]
                             subjects, languages, spaces: lists, kept column by column (the 1st of all, the 2nd of all …)

A list of a few ids for each of 100,000 rows is asked "the best of each" and "does it hold this" by a handful of passes over whole columns;
ragged lists would be walked one by one. A row that was dropped is used again.

Invariant: `rows[user]` names the one row of a user; rows that are not alive have `free` 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from actors.inference import Candidate
from ml_actors.matching.vocabulary import Floats, Vocabulary

Scalar = TypeVar("Scalar", bound=np.generic)

FIRST_ROWS: Final = 1024
GOOD_PRIOR: Final = 3.0
HELD_PRIOR: Final = 4.0
"""A mentor without a past counts as one of whom 3 of 4 mentorships went well: unknown is neither bad nor better than proven."""
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168


def week(hours: Sequence[int]) -> tuple[int, int, int]:
    """Seven days of 24 bits as three words of 64: the first hour of Monday is the lowest bit of the first. () is all of the week."""
    if not hours:
        return (2**64 - 1, 2**64 - 1, 2 ** (WEEK_HOURS - 128) - 1)
    bits = 0
    for day, mask in enumerate(hours):
        bits |= mask << (DAY_HOURS * day)
    return (bits & (2**64 - 1), bits >> 64 & (2**64 - 1), bits >> 128)


def primary(tag: str) -> str:
    """The language of a tag, without region and script: who speaks pt-PT and who speaks pt-BR understand each other."""
    return tag.replace("_", "-").split("-", 1)[0].casefold()


class Lists:
    """A short list of ids a row. Id 0 is none."""

    def __init__(self) -> None:
        self._columns: list[NDArray[np.int32]] = []
        self._rows = 0

    def reserve(self, rows: int) -> None:
        self._rows = rows
        self._columns = [np.concatenate([column, np.zeros(rows - len(column), np.int32)]) for column in self._columns]

    def put(self, row: int, ids: Sequence[int]) -> None:
        while len(self._columns) < len(ids):
            self._columns.append(np.zeros(self._rows, np.int32))
        for place, column in enumerate(self._columns):
            column[row] = ids[place] if place < len(ids) else 0

    def best(self, values: Floats, rows: NDArray[np.intp] | slice) -> Floats:
        """float32[row]: the highest of `values` (by id) in each list; 0 for an empty one."""
        found: Floats | None = None
        for column in self._columns:
            taken = values.take(column[rows])
            found = taken if found is None else np.maximum(found, taken, out=found)
        return np.zeros(len(np.arange(self._rows)[rows]), np.float32) if found is None else found

    def holding(self, wanted: int) -> NDArray[np.bool_]:
        """bool[row]: whose list has this id."""
        found = np.zeros(self._rows, np.bool_)
        for column in self._columns:
            found |= column == wanted
        return found

    def of(self, row: int) -> list[int]:
        return [int(column[row]) for column in self._columns if column[row]]


class Names:
    """Ids for what is only ever equal or not: languages, communities."""

    def __init__(self) -> None:
        self._ids: dict[object, int] = {}
        self.names: list[object] = [None]

    def __len__(self) -> int:
        return len(self.names)

    def id(self, name: object) -> int:
        known = self._ids.get(name)
        if known is None:
            known = self._ids[name] = len(self.names)
            self.names.append(name)
        return known

    def known(self, name: object) -> int:
        """Its id, or 0."""
        return self._ids.get(name, 0)


class Roster:
    """All candidates. Not for threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.tongues = Names()
        self.communities = Names()
        self.rows: dict[int, int] = {}
        self.count = 0
        """Rows in use or freed: columns are read up to here."""
        self._free_rows: list[int] = []
        self.subjects, self.languages, self.spaces = Lists(), Lists(), Lists()
        self.user = np.zeros(0, np.int64)
        self.levels = np.zeros(0, np.uint16)
        self.styles = np.zeros(0, np.uint8)
        self.hours = np.zeros((3, 0), np.uint64)
        self.offset = np.zeros(0, np.int16)
        self.free = np.zeros(0, np.int16)
        self.history = np.zeros(0, np.float32)
        self.held = np.zeros(0, np.int32)
        self.shown = np.zeros(0, np.float32)
        self._reserve(FIRST_ROWS)

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, candidate: Candidate) -> None:
        """Takes a candidate in, or what is new about one."""
        row = self.rows.get(candidate.user)
        if row is None:
            row = self._new_row()
            self.rows[candidate.user] = row
        self.user[row] = candidate.user
        self.subjects.put(row, self.vocabulary.ids(candidate.subjects))
        self.languages.put(row, [self.tongues.id(tongue) for tongue in dict.fromkeys(map(primary, candidate.languages))])
        self.spaces.put(row, [self.communities.id(space) for space in candidate.spaces])
        self.levels[row] = candidate.levels & 0x7FF
        self.styles[row] = candidate.styles & 0xFF
        self.hours[:, row] = week(candidate.hours)
        self.offset[row] = candidate.utc_offset_min
        self.free[row] = max(0, min(candidate.free, 1000))
        self.history[row] = (candidate.good + GOOD_PRIOR) / (candidate.held + HELD_PRIOR)
        self.held[row] = candidate.held
        self.shown[row] = candidate.shown

    def drop(self, user: int) -> None:
        """Forgets a candidate; unknown ones are no error."""
        row = self.rows.pop(user, None)
        if row is not None:
            self.free[row] = 0
            self.user[row] = 0
            for lists in (self.subjects, self.languages, self.spaces):
                lists.put(row, ())
            self._free_rows.append(row)

    def _new_row(self) -> int:
        if self._free_rows:
            return self._free_rows.pop()
        if self.count == len(self.user):
            self._reserve(2 * self.count)
        self.count += 1
        return self.count - 1

    def _reserve(self, rows: int) -> None:
        more = rows - len(self.user)
        self.user, self.levels, self.styles = _grown(self.user, more), _grown(self.levels, more), _grown(self.styles, more)
        self.offset, self.free, self.held = _grown(self.offset, more), _grown(self.free, more), _grown(self.held, more)
        self.history, self.shown = _grown(self.history, more), _grown(self.shown, more)
        self.hours = np.concatenate([self.hours, np.zeros((3, more), np.uint64)], axis=1)
        for lists in (self.subjects, self.languages, self.spaces):
            lists.reserve(rows)


def _grown(column: NDArray[Scalar], more: int) -> NDArray[Scalar]:
    return np.concatenate([column, np.zeros(more, column.dtype)])

"""Two people changed one text: what both can have, and where somebody must choose. Pure.

    common ┬─ mine ───┐ parts both left alone hold the texts together; between them:
           └─ theirs ─┴─▶ one side changed ─▶ that side's · both the same ─▶ it · both differently ─▶ a `Clash`, retried word by word

Written here rather than taken: the small library for this (merge3) is under the GPL, and `difflib` does the hard part of it.

Invariant: merging with an unchanged side gives the other; swapping the sides swaps them in the clashes and changes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from msgspec import Struct

from protocol.entities import TABLE, BadFields, Fields, Several, Value, Words, check

MARKS = ("<<<<<<< mine", "=======", ">>>>>>> theirs")
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
WORDS_MAX = 1000
"""Clashes with more words than this a side are not retried word by word: comparing takes time with the square of them."""


class Clash(Struct, frozen=True):
    """Both sides changed this part, differently."""

    common: str
    mine: str
    theirs: str


Piece = str | Clash


class FieldView(Struct, frozen=True):
    """One field of a conflict. None: that side does not have it.

    `same`: there is nothing to decide. `proposal`: a value that loses nothing of either side, None if there is none; `pieces`: the merged
    text, where both are text and both changed it.
    """

    number: int
    name: str
    common: Value | None
    mine: Value | None
    theirs: Value | None
    same: bool
    proposal: Value | None
    pieces: tuple[Piece, ...] = ()


def merge_text(common: str, mine: str, theirs: str) -> tuple[Piece, ...]:
    """The three-way merge, by lines and, within a clash, by words. Neighbouring text is one piece."""
    pieces: list[Piece] = []
    for piece in _merge(common.splitlines(keepends=True), mine.splitlines(keepends=True), theirs.splitlines(keepends=True)):
        if isinstance(piece, Clash):
            words = [_WORD.findall(text) for text in (piece.common, piece.mine, piece.theirs)]
            small = max(map(len, words)) <= WORDS_MAX
            for part in _merge(*words) if small else (piece,):
                _put(pieces, part)
        else:
            _put(pieces, piece)
    return tuple(pieces)


def _put(pieces: list[Piece], piece: Piece) -> None:
    if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
        pieces[-1] += piece
    elif piece:
        pieces.append(piece)


def _merge(common: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Iterator[Piece]:
    """Pieces between and in the parts that neither side touched."""
    at = at_mine = at_theirs = 0
    for begin, begin_mine, begin_theirs, length in _untouched(common, mine, theirs):
        yield _decide("".join(common[at:begin]), "".join(mine[at_mine:begin_mine]), "".join(theirs[at_theirs:begin_theirs]))
        yield "".join(common[begin : begin + length])
        at, at_mine, at_theirs = begin + length, begin_mine + length, begin_theirs + length


def _decide(common: str, mine: str, theirs: str) -> Piece:
    if mine in (theirs, common):
        return theirs
    return mine if theirs == common else Clash(common, mine, theirs)


def _untouched(common: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where all three have the same, in order: begin in each, and length. The last one is empty, at the end of all."""
    ours, others = _matches(common, mine), _matches(common, theirs)
    i = j = 0
    while i < len(ours) and j < len(others):
        begin_a, at_a, length_a = ours[i]
        begin_b, at_b, length_b = others[j]
        begin, end = max(begin_a, begin_b), min(begin_a + length_a, begin_b + length_b)
        # Blank space alone holds nothing together: words on both sides of it were changed by two people, who had better look.
        if begin < end and any(not token.isspace() for token in common[begin:end]):
            yield begin, at_a + begin - begin_a, at_b + begin - begin_b, end - begin
        if begin_a + length_a < begin_b + length_b:
            i += 1
        else:
            j += 1
    yield len(common), len(mine), len(theirs), 0


def _matches(common: Sequence[str], side: Sequence[str]) -> list[tuple[int, int, int]]:
    """Runs of tokens that a side left alone. Equal texts match as a whole, whatever repeats in them."""
    if common == side:
        return [(0, 0, len(common))] if common else []
    return [
        (at, at_side, length) for at, at_side, length in SequenceMatcher(None, common, side, autojunk=False).get_matching_blocks() if length
    ]


def marked(pieces: Sequence[Piece]) -> str:
    """The merged text with the clashes between marks on lines of their own, as programmers know them."""
    lines: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            lines.append(piece)
            continue
        before = "" if not lines or lines[-1].endswith("\n") else "\n"
        lines.append(f"{before}{MARKS[0]}\n{_line(piece.mine)}{MARKS[1]}\n{_line(piece.theirs)}{MARKS[2]}\n")
    return "".join(lines)


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def has_marks(text: str) -> bool:
    """Whether a text still has a mark in it, on a line of its own."""
    return any(line in (MARKS[0], MARKS[2]) for line in text.splitlines())


def merge_view(entity: int, common: Fields, mine: Fields, theirs: Fields) -> list[FieldView]:
    """Every field that either side has, by number. `mine` may hold only what was written; `theirs` is the record."""
    declaration = TABLE.get(entity)
    views = []
    for number in sorted({*mine, *theirs}):
        field = declaration.field(number) if declaration is not None else None
        before, ours, others = common.get(number), mine.get(number), theirs.get(number)
        pieces: tuple[Piece, ...] = ()
        proposal = _proposal(before, ours, others)
        if proposal is None and field is not None:
            if isinstance(field.kind, Words):
                pieces = merge_text(str(before or ""), str(ours), str(others))
                proposal = "".join(map(str, pieces)) if not any(isinstance(piece, Clash) for piece in pieces) else None
            elif isinstance(field.kind, Several) and isinstance(before, tuple) and isinstance(ours, tuple) and isinstance(others, tuple):
                proposal = _merged_list(before, ours, others)
            if proposal is not None and not _is_allowed(entity, {number: proposal}):
                proposal = None
        same = ours is None or ours == others
        views.append(FieldView(number, field.name if field is not None else "", before, ours, others, same, proposal, pieces))
    return views


def _proposal(common: Value | None, mine: Value | None, theirs: Value | None) -> Value | None:
    if mine is None or mine in (theirs, common):
        return theirs
    return mine if theirs is None or theirs == common else None


def _merged_list(common: Sequence[int | str], mine: Sequence[int | str], theirs: Sequence[int | str]) -> Value:
    """Without what either took out, with what either put in."""
    kept = [one for one in theirs if one in mine or one not in common]
    return tuple(kept + [one for one in mine if one not in common and one not in kept])


def _is_allowed(entity: int, fields: Mapping[int, Value]) -> bool:
    try:
        check(TABLE[entity], fields)
    except BadFields:
        return False
    return True

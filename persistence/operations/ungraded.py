"""What a merge leaves to be graded: answers that came, and questions or keys that changed.

    Merging ─▶ find_ungraded ─▶ order_grading: rows of `ungraded`, a job for each stream ─▶ in the merge's own transaction

Invariant: an attempt that is kept has its row of `ungraded`, or a grade that saw it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from actors.jobs import ORDERED, pack
from actors.merging import Merging
from protocol.entities import Entity
from protocol.grading import grades_alike, is_covered
from protocol.merge import Record
from protocol.values import KeptAs, StreamId

GRADE: Final = "learning.grade"
"""The job's kind; `order_grading` of the database says it too. Its key is the stream: while one waits, a further order changes nothing."""


class GradeStream(Struct, frozen=True):
    """Grades what waits in one stream of answers; of a library or a studio: lets everybody's answers to what changed wait."""

    stream: StreamId


def find_ungraded(merging: Merging) -> list[tuple[int, int]]:
    """Streams with questions, sorted."""
    found = {(one.place.stream, one.place.key) for one in merging.kept if one.kept is KeptAs.ATTEMPT and one.place.entity == Entity.ANSWER}
    for place, record in merging.written.items():
        if place.entity == Entity.ANSWER_KEY or (place.entity == Entity.QUESTION and _regrades(merging.found(place), record)):
            found.add((place.stream, place.key))
    return sorted(found)


def _regrades(before: Record, after: Record) -> bool:
    """Whether answers to a question are to be looked at again. A new one may have been answered before: the server was restored, or its
    author's device came later than the learner's."""
    if after.is_gone or is_covered(after.fields):
        # Grades stay as they are, until it is there again.
        return False
    return before.is_gone or not before.cells or not grades_alike(before.fields, after.fields)


def order_arguments(ungraded: list[tuple[int, int]]) -> tuple[list[Any], ...]:
    """What `order_grading` takes. Workers hear of it when the transaction has committed."""
    ORDERED.set(True)
    streams = sorted({stream for stream, _ in ungraded})
    return (
        [stream for stream, _ in ungraded],
        [question for _, question in ungraded],
        streams,
        [bytes(pack(GradeStream(stream))) for stream in streams],
    )

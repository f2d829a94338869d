"""The search for a mentor: what is asked of the database around the question to the model, and what is said of it.

    FindMatches ─▶ MatchBook.prepare ─▶ Seeker, without ─▶ Models.ask ─▶ Matches ─▶ MatchBook.show ─▶ MatchList
                   one crossing         who they are,       the model    who fits    one crossing: names, and who may be
                                        whom not                                     shown now
                                                            └─ Unanswered ─▶ MatchBook.by_rules ─▶ MatchList, degraded

The model knows people by number alone and is fed a second late; whoever must not be shown is taken out here, by what stands in the database
at that moment.

Invariant: nobody is shown who is blocked either way, asked already, full, below the gate, or mentors elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from actors.inference import Matched, Seeker
from actors.storage import Denied, FindMatches, MatchList

SLACK: Final = 10
"""So many more than were asked for are taken from the model, for those who may not be shown any more."""
ROUNDS_MAX: Final = 3
"""Times that the model is asked again without those who were taken out."""
WITHOUT_MAX: Final = 2000
DEGRADED: Final = "the matching model is away: up to 200 mentors of the same community, subject or language were compared by fixed weights"
RULES: Final = "rules"
"""Who judged, where no model did."""


class Prepared(Struct, frozen=True):
    """What the database says before the model is asked. `without`: whom it must not show, the latest."""

    seeker: Seeker
    without: tuple[int, ...]


class Showing(Struct, frozen=True):
    """Somebody was shown to somebody, at which place (from 1), by which version, and how well they fitted: `actors.inference.FACTORS`."""

    seeker: int
    mentor: int
    place: int
    by: str
    score: float
    factors: tuple[float, ...]


class MatchBook(Protocol):
    """What a search asks of the database; `persistence.mentoring.book`. All may raise `StorageError`."""

    async def prepare(self, asked: FindMatches) -> Prepared | Denied:
        """The seeker, from what was asked and their own records."""
        ...

    async def show(self, seeker: Seeker, matched: Sequence[Matched], limit: int) -> MatchList:
        """Those of them who may be shown, with their names, at most `limit`, in the same order; nothing else of the list is filled in."""
        ...

    async def by_rules(self, prepared: Prepared, limit: int) -> MatchList:
        """What fixed weights find among few mentors, in one statement. It says that it is degraded."""
        ...

    async def expose(self, showings: Sequence[Showing]) -> None:
        """Counts who was shown, and keeps how well they fitted."""
        ...

    async def promise(self, ticket: int, user: int) -> None:
        """Keeps a ticket, as yet without its answer."""
        ...

    async def keep(self, ticket: int, user: int, found: MatchList) -> None:
        """Keeps a ticket's answer, for ten minutes."""
        ...

    async def find(self, ticket: int, user: int) -> MatchList | bool:
        """What a ticket of this user's stands for; True: it is not answered yet; False: there is none."""
        ...


def goodness(reached: Sequence[bool | None], ratings: Sequence[int | None]) -> float | None:
    """How well a mentorship went, 0 to 1, by what was said: half for having reached its goal, half for the rating of 1 to 5, the mean of
    both sides; None where neither said anything."""
    said = [
        (0.5 if one else 0.0) + (rating - 1) / 8
        for one, rating in zip(reached, ratings, strict=True)
        if one is not None and rating is not None
    ]
    return sum(said) / len(said) if said else None

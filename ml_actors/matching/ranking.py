"""From factors to the few who are shown: weights, fairness of exposure, and one sentence why.

    score = Σ weight · factor                       what somebody is shown as
    place by score · (1 - EVENING · shown / (shown + typical)) + a hair that differs for each pair

Without the second line a few mentors are shown to everybody and are full at once, while others of the same worth are never seen. It
moves people among those who are nearly as good: who is `EVENING` better stays in front however often they were shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from actors.inference import Matched, Seeker
from ml_actors.matching.factors import Fitting
from ml_actors.matching.roster import Roster, primary, week
from ml_actors.matching.vocabulary import Floats, plain

EVENING: Final = 0.12
"""How much of a score having been shown again and again costs at most. `educonnect ml evaluate matching` prints what it gains and costs."""
HAIR: Final = 1e-4
"""Two of the same worth are not always shown in the order of their numbers."""
PLACE_WORTH: Final = 0.8
"""Each further place is looked at so much less than the one before it: what being shown there counts as exposure."""


class Ranked(Struct, frozen=True):
    """The best of those that fit, best first: their places in `Fitting`, and their scores."""

    places: tuple[int, ...]
    scores: tuple[float, ...]


def score(fitting: Fitting, weights: Sequence[float]) -> Floats:
    """float32[fit]. `weights` are not negative and sum to 1, so that a score lies between 0 and 1."""
    scores: Floats = np.asarray(weights, np.float32) @ fitting.factors
    return scores


def rank(roster: Roster, fitting: Fitting, seeker: Seeker, weights: Sequence[float], limit: int, evening: float = EVENING) -> Ranked:
    """The best `limit`."""
    if not len(fitting.rows):
        return Ranked((), ())
    scores = score(fitting, weights)
    shown = roster.shown[fitting.rows]
    typical = np.float32(max(1.0, float(shown.mean())))
    placed = scores * (1.0 - np.float32(evening) * shown / (shown + typical))
    # Knuth's multiplicative hash of both numbers: the same for the same pair, so that asking twice shows the same.
    mixed = (roster.user[fitting.rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(seeker.user * 0x9E3779B1 % 2**64)
    placed += (mixed >> np.uint64(40)).astype(np.float32) * np.float32(HAIR / 2**24)
    if limit < len(placed):
        best = np.argpartition(-placed, limit)[:limit]
    else:
        best = np.arange(len(placed))
    best = best[np.argsort(-placed[best], kind="stable")]
    return Ranked(tuple(best.tolist()), tuple(scores[best].tolist()))


def note_shown(roster: Roster, fitting: Fitting, ranked: Ranked) -> None:
    """Counts what this answer shows at once; the feed brings what was counted for good later."""
    worth = 1.0
    for place in ranked.places:
        roster.shown[fitting.rows[place]] += worth
        worth *= PLACE_WORTH


def tell(roster: Roster, fitting: Fitting, ranked: Ranked, seeker: Seeker, weights: Sequence[float]) -> tuple[Matched, ...]:
    """The answer, with each one's factors and why."""
    usual = fitting.factors.mean(axis=1) if len(fitting.rows) else np.zeros(len(weights), np.float32)
    told = []
    for place, worth in zip(ranked.places, ranked.scores, strict=True):
        factors = fitting.factors[:, place]
        row = int(fitting.rows[place])
        told.append(
            Matched(
                user=int(roster.user[row]),
                score=round(min(1.0, max(0.0, worth)), 4),
                factors=tuple(round(float(factor), 3) for factor in factors),
                why=_why(roster, row, seeker, factors, np.asarray(weights, np.float32) * (factors - usual)),
            )
        )
    return tuple(told)


def _why(roster: Roster, row: int, seeker: Seeker, factors: Floats, above: Floats) -> str:
    """The key of the sentence that says what sets this mentor apart: a subject of the learner's own words first, then whatever lifts them
    most above the others that fit."""
    wanted = {plain(word): word for word in reversed(seeker.subjects)}
    taught = [roster.vocabulary.words[word] for word in roster.subjects.of(row)]
    exact = next((word for word in wanted if word in taught), "")
    order = [int(place) for place in np.argsort(-above, kind="stable")]
    if seeker.subjects and factors[0] >= 0.5:
        order = [0, *(place for place in order if place)]
    for place in order:
        if place == 0 and seeker.subjects and factors[0] > 0:
            return f"subject:{exact}" if exact else f"subject-near:{taught[0] if taught else ''}"
        if place == 1 and seeker.styles and factors[1] > 0:
            return f"style:{int(roster.styles[row]) & seeker.styles}"
        if place == 2 and seeker.languages and factors[2] > 0:
            spoken = {str(roster.tongues.names[tongue]) for tongue in roster.languages.of(row)}
            return "language:" + next(tongue for tongue in map(primary, seeker.languages) if tongue in spoken)
        if place == 3 and seeker.hours and factors[3] > 0:
            mine = week(seeker.hours)
            return f"hours:{sum((int(roster.hours[word, row]) & mine[word]).bit_count() for word in range(3))}"
        if place == 4 and factors[4] >= 0.75:
            return "near"
        if place == 5 and roster.held[row]:
            return f"history:{int(roster.held[row])}"
    return "open"

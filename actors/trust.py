"""Trust: how far a person is trusted by now, from 0 to 1, as a sum of parts that can each be explained to them.

    start ─ address ─ time here ─ who vouches ─ what was done     ─sum─▶  × what is kept after harm  ─▶  0.000 … 1.000
     0.20     0.05       0.10         0.40           0.25                  each upheld report halves it; it heals by half in 180 days

It only opens doors (`actors.trust_gates`): nobody is listed by it, and nobody sees another's. Whoever is new may do whatever is ordinary.
Pure: facts and the day come in. docs/trust.md has each figure with its reason.

Invariant: the score lies in [0, 1]; without facts it only grows with time; no fact about one person lowers another's score but by what the
other's word is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct

from actors.trust_flow import UNIT

START: Final = 0.20
"""Everybody has this. Above nought, so that there is something to lose at once, and something to fall below for who did harm."""
ADDRESS: Final = 0.05
"""For a proven e-mail address: it costs next to nothing, so it gives little; but what is sent out can be answered."""
TIME_MOST: Final = 0.10
TIME_HALF_DAYS: Final = 90
"""Half of it after three months: as long as it takes to see how somebody is. Waiting alone never opens what can hurt others."""
VOUCHED_MOST: Final = 0.40
"""The largest part: it is the one that cannot be had alone."""
VOUCHED_HALF: Final = UNIT // 2
"""Standing at which half of that part is reached: two teachers' full words. It counts by the square, so that what is spread thinly
is worth less than the same for one: it is no use to buy a word and share it."""
DEEDS_MOST: Final = 0.25
DEEDS_HALF: Final = 3.0
"""Three completed mentorings reach half of that part."""
DEED_HALF_DAYS: Final = 365
REPORT_DEED: Final = 0.25
"""A report that was right is worth a quarter of a mentoring: looking after the place counts, hunting does not."""
HARM_HALF_DAYS: Final = 180
"""A person who was found to do harm is half forgiven after half a year, and nearly all (94 %) after two."""
COMMUNITY_HARM_MAX: Final = 1.0
"""What the staff of one community can find against a person, all together: one upheld report. Beyond that it takes the platform's staff."""
UNFOUNDED_HALF_DAYS: Final = 90
UNFOUNDED_FREE: Final = 2.0
UNFOUNDED_HARM: Final = 0.1
"""To be wrong twice in a season costs nothing: nobody is to be afraid of reporting. Beyond it each costs a tenth of an upheld report."""
SAYS_MIN: Final = UNIT // 2
"""What a community's staff decides, and what a learner confirms, counts by the standing of whoever says so, fully from this on: else
somebody would found a community in order to judge others in it."""
STEP_DAYS: Final = 7
"""Everything fades and grows in steps of a week, so that on one day only a seventh of all people move."""
FACTS_MAX: Final = 500
"""Of one person, the latest, that are looked at."""
FACTS_KEPT_DAYS: Final = 4 * 365
"""After four years the slowest fact is worth a sixteenth, and one of harm less than half a percent: then it is deleted."""


class FactKind(IntEnum):
    """What happened. Values are stored, and never used again."""

    ENDORSED = 1
    """`actor` vouched for `user` in `space`."""
    WITHDRAWN = 2
    """`actor` no longer does."""
    MENTORED = 3
    """`user` completed a mentoring with the learner `actor`; `weight` is how far the learner was vouched for by others."""
    REPORT_UPHELD = 4
    """A report about `user` was upheld."""
    REPORT_REJECTED = 5
    """A report about `user` was rejected: kept, and costs nothing."""
    REPORT_CONFIRMED = 6
    """A report that `user` made was upheld."""
    REPORT_UNFOUNDED = 7
    """A report that `user` made was rejected."""
    EMAIL_VERIFIED = 8
    """`user` proved an address (weight 1), or has none any more (0). The database notes it; the account says which."""
    SEED_NAMED = 9
    """The platform's staff named `user` as somebody whose word others build on."""
    SEED_UNNAMED = 10


class TrustEvent(Struct, frozen=True):
    """A fact to be noted. `subject`: what it is about (a report, a mentoring; 0: nothing), noted once for each kind and person.

    `actor`: who says so (who decided the report, the learner). `space`: the community it happened in, or whose staff decided it; 0: none,
    or the platform's own.
    """

    user: int
    kind: FactKind
    actor: int = 0
    space: int = 0
    subject: int = 0
    weight: float = 1.0


class Fact(Struct, frozen=True, gc=False):
    """A noted fact, as the score needs it. `day`: in days since 1970."""

    kind: int
    day: int
    weight: float = 1.0
    space: int = 0


class History(Struct, frozen=True):
    """All that one person's score is made of. `standing`: what reached them by others' words (`trust_flow`), of `UNIT` for a whole word."""

    joined: int
    """The day on which the account was made."""
    verified: bool = False
    standing: int = 0
    facts: Sequence[Fact] = ()


class Parts(Struct, frozen=True):
    """The score's parts, each in [0, its most]; `kept`, in (0, 1], is what their sum is multiplied by."""

    start: float
    address: float
    time: float
    vouched: float
    deeds: float
    kept: float

    @property
    def score(self) -> float:
        """In [0, 1], in thousandths."""
        return round(max(0.0, min(1.0, (self.start + self.address + self.time + self.vouched + self.deeds) * self.kept)), 3)


def faded(fact: Fact, day: int, half_days: int) -> float:
    """What is left of a fact's weight by now."""
    steps = max(0, day - fact.day) // STEP_DAYS
    return float(fact.weight * 2.0 ** (-steps * STEP_DAYS / half_days))


def harm(facts: Sequence[Fact], day: int) -> float:
    """What somebody was found to have done to others, in upheld reports of today; at least 0."""
    # Sorted, since sums of fractions depend on their order, and the database promises none.
    by_space: dict[int, float] = {}
    for weight, space in sorted((faded(fact, day, HARM_HALF_DAYS), fact.space) for fact in facts if fact.kind == FactKind.REPORT_UPHELD):
        by_space[space] = by_space.get(space, 0.0) + weight
    upheld = sum(weight if space == 0 else min(COMMUNITY_HARM_MAX, weight) for space, weight in sorted(by_space.items()))
    unfounded = sum(sorted(faded(fact, day, UNFOUNDED_HALF_DAYS) for fact in facts if fact.kind == FactKind.REPORT_UNFOUNDED))
    return float(upheld + UNFOUNDED_HARM * max(0.0, unfounded - UNFOUNDED_FREE))


def kept_share(facts: Sequence[Fact], day: int) -> float:
    """What somebody keeps of their score, and of what their word gives others, in (0, 1]."""
    return float(2.0 ** -min(60.0, harm(facts, day)))


def parts(history: History, day: int) -> Parts:
    """The score's parts on that day."""
    weeks = max(0, day - history.joined) // STEP_DAYS
    standing = max(0, history.standing)
    done = sum(sorted(_deed(fact, day) for fact in history.facts))
    return Parts(
        start=START,
        address=ADDRESS if history.verified else 0.0,
        time=TIME_MOST * (1.0 - 2.0 ** (-weeks * STEP_DAYS / TIME_HALF_DAYS)),
        vouched=VOUCHED_MOST * standing**2 / (standing**2 + VOUCHED_HALF**2),
        deeds=DEEDS_MOST * (1.0 - 2.0 ** (-done / DEEDS_HALF)),
        kept=kept_share(history.facts, day),
    )


def says(standing: int) -> float:
    """What somebody's saying so counts, in [0, 1], by their standing."""
    return min(1.0, standing / SAYS_MIN)


def score(history: History, day: int) -> float:
    """How far a person is trusted on that day: in [0, 1], in thousandths."""
    return parts(history, day).score


def _deed(fact: Fact, day: int) -> float:
    if fact.kind == FactKind.MENTORED:
        return faded(fact, day, DEED_HALF_DAYS)
    if fact.kind == FactKind.REPORT_CONFIRMED:
        return REPORT_DEED * faded(fact, day, DEED_HALF_DAYS)
    return 0.0

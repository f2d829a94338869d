"""Mentors, learners and outcomes that are made up, from a seed: what the evaluation, the benchmark and the tests work on.

Subjects and languages are as unequal as among people (few are wanted by most), mentors are awake in the zone where they live, and an
outcome is drawn from a known truth, so that what was learned can be compared with it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from actors.inference import FACTORS, Candidate, Seeker

SUBJECTS: Final = tuple(
    "mathematics,algebra,geometry,statistics,physics,chemistry,biology,history,geography,economics,accounting,English,Spanish,French,Swahili,"
    "Arabic,reading,writing,programming,computer science,web design,farming,gardening,nursing,first aid,nutrition,music,guitar,drawing,"
    "photography,carpentry,sewing,football,chess,law,civics,philosophy,astronomy,electronics,mechanics".split(",")
)
LANGUAGES: Final = ("en", "es", "fr", "sw", "ar", "pt", "hi", "bn", "de", "am")
OFFSETS_MIN: Final = (-480, -300, -180, 0, 60, 120, 180, 330, 360, 480)


class Truth(Struct, frozen=True):
    """How outcomes come about: the chance of a good end is logistic in `gain · (Σ weight · factor - middle)`."""

    weights: tuple[float, ...] = (0.34, 0.10, 0.24, 0.18, 0.04, 0.10)
    gain: float = 9.0
    middle: float = 0.55

    def chances(self, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """`factors`: float64[case, 6]; float64[case]."""
        good: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-self.gain * (factors @ np.asarray(self.weights) - self.middle)))
        return good


def _hours(random: np.random.Generator, offset_min: int) -> tuple[int, ...]:
    """Some evenings and a weekend day, in UTC."""
    week = 0
    for day in range(7):
        if random.random() < (0.45 if day < 5 else 0.7):
            begin = int(random.integers(16, 20)) if day < 5 else int(random.integers(9, 18))
            for hour in range(begin, begin + int(random.integers(2, 5))):
                week |= 1 << (24 * day + hour - offset_min // 60) % 168
    return tuple(week >> 24 * day & 0xFFFFFF for day in range(7))


def _some(random: np.random.Generator, of: tuple[str, ...], most: int, skew: float) -> tuple[str, ...]:
    odds = 1.0 / np.arange(1, len(of) + 1) ** skew
    count = int(random.integers(1, most + 1))
    return tuple(of[place] for place in random.choice(len(of), size=count, replace=False, p=odds / odds.sum()))


def candidates(count: int, seed: int = 1, *, spaces: int = 0, first: int = 1) -> list[Candidate]:
    """`count` mentors with users from `first` on, in one of `spaces` communities each (0: none)."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        offset = int(random.choice(OFFSETS_MIN))
        held = int(random.poisson(2.0))
        made.append(
            Candidate(
                user=first + number,
                subjects=_some(random, SUBJECTS, 5, 0.6),
                levels=int(random.integers(0, 2**11)),
                styles=int(random.integers(0, 256)),
                languages=_some(random, LANGUAGES, 3, 1.0),
                hours=_hours(random, offset),
                utc_offset_min=offset,
                spaces=(1 + int(random.integers(spaces)),) if spaces else (),
                free=int(random.integers(0, 6)),
                held=held,
                good=float(random.binomial(held, 0.75)),
            )
        )
    return made


def seekers(count: int, seed: int = 2, *, first: int = 10_000_000) -> list[Seeker]:
    """`count` learners."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        offset = int(random.choice(OFFSETS_MIN))
        made.append(
            Seeker(
                user=first + number,
                subjects=_some(random, SUBJECTS, 2, 0.6),
                level=int(random.integers(1, 11)),
                styles=int(random.integers(1, 256)),
                languages=_some(random, LANGUAGES, 2, 1.0),
                hours=_hours(random, offset),
                utc_offset_min=offset,
            )
        )
    return made


def outcomes(factors: NDArray[np.float64], truth: Truth, seed: int = 3) -> NDArray[np.int8]:
    """int8[case]: 1 where it ended well."""
    random = np.random.default_rng(seed)
    return (random.random(len(factors)) < truth.chances(factors)).astype(np.int8)


def factor_sample(count: int, seed: int = 4) -> NDArray[np.float64]:
    """float64[case, 6]: factors as pairs that were proposed have them: mostly fitting, each in its own way."""
    random = np.random.default_rng(seed)
    shapes = ((2.5, 1.2), (1.5, 1.5), (6.0, 1.0), (1.2, 1.2), (2.0, 1.0), (6.0, 2.0))
    return np.column_stack([random.beta(a, b, count) for a, b in shapes[: len(FACTORS)]])

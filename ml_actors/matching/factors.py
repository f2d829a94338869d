"""The six factors of a match, for all rows at once, and which rows fit at all.

    seeker + roster ─▶ fits: bool[row]      constraints: nothing that was learned outweighs them
                    ─▶ factors: float32[6, row], each 0 to 1, in the order of `actors.inference.FACTORS`

Where the seeker left something open, the factor is the same for everybody, and so decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from actors.inference import FACTORS, Seeker
from ml_actors.matching.roster import Roster, primary, week
from ml_actors.matching.vocabulary import Floats

OPEN: Final = np.float32(0.5)
"""A factor about which the seeker says nothing."""
HOURS_ENOUGH: Final = 4
"""Hours a week that both have, from which on more make no difference."""
LESS_FLUENT: Final = 0.85
"""What each further language of a learner counts beside the one before it."""
OTHER_LEVEL: Final = np.float32(0.6)
"""What a subject counts of a mentor who teaches it on other levels."""
FARTHEST_MIN: Final = 12 * 60
_STYLES: Final = np.array([bin(bits).count("1") for bits in range(256)], np.float32)


class Fitting(Struct, frozen=True):
    """`rows`: intp[fit], the roster's rows that fit; `factors`: float32[6, fit]; `considered`: how many there were."""

    rows: NDArray[np.intp]
    factors: Floats
    considered: int


def fit(roster: Roster, seeker: Seeker, without: Sequence[int] = ()) -> Fitting:
    """Who fits, and how well, each by each factor. Takes a few milliseconds for 100,000 rows."""
    count = roster.count
    alive = roster.free[:count] > 0
    if seeker.space:
        alive &= roster.spaces.holding(roster.communities.known(seeker.space))[:count] if roster.communities.known(seeker.space) else False
    considered = int(np.count_nonzero(alive))
    for user in (*without, seeker.user):
        row = roster.rows.get(user)
        if row is not None:
            alive[row] = False
    rows: NDArray[np.intp] | slice = slice(0, count)
    if np.count_nonzero(alive) * 4 < count:  # few are left: look at these alone
        rows = np.flatnonzero(alive)
        alive = alive[rows]

    language = _language(roster, seeker, rows)
    if seeker.languages:
        alive = alive & (language > 0)
    subject = _subject(roster, seeker, rows)
    taught = alive & (subject > 0)
    if seeker.subjects and taught.any():
        alive = taught
    kept = np.flatnonzero(alive)
    rows = kept if isinstance(rows, slice) else rows[kept]
    factors = np.empty((len(FACTORS), len(rows)), np.float32)
    factors[0] = subject[kept]
    factors[1] = _style(roster, seeker, rows)
    factors[2] = language[kept]
    factors[3] = _availability(roster, seeker, rows)
    factors[4] = _time_zone(roster, seeker, rows)
    factors[5] = roster.history[rows]
    return Fitting(rows, factors, considered)


def _subject(roster: Roster, seeker: Seeker, rows: NDArray[np.intp] | slice) -> Floats:
    length = len(roster.user[rows])
    if not seeker.subjects:
        return np.full(length, OPEN)
    near = roster.subjects.best(roster.vocabulary.nearness(seeker.subjects), rows)
    if seeker.level:
        levels = roster.levels[rows]
        other = (levels != 0) & (levels & np.uint16(1 << seeker.level) == 0)
        near[other] *= OTHER_LEVEL
    return near


def _language(roster: Roster, seeker: Seeker, rows: NDArray[np.intp] | slice) -> Floats:
    length = len(roster.user[rows])
    if not seeker.languages:
        return np.full(length, OPEN)
    worth = np.zeros(len(roster.tongues), np.float32)
    for place, tongue in enumerate(dict.fromkeys(map(primary, seeker.languages))):
        worth[roster.tongues.known(tongue)] = LESS_FLUENT**place
    worth[0] = 0.0
    return roster.languages.best(worth, rows)


def _style(roster: Roster, seeker: Seeker, rows: NDArray[np.intp]) -> Floats:
    wanted = seeker.styles & 0xFF
    if not wanted:
        return np.full(len(rows), OPEN)
    shared: Floats = _STYLES[roster.styles[rows] & np.uint8(wanted)] / np.float32(bin(wanted).count("1"))
    return shared


def _availability(roster: Roster, seeker: Seeker, rows: NDArray[np.intp]) -> Floats:
    if not seeker.hours:
        return np.full(len(rows), OPEN)
    common = np.zeros(len(rows), np.uint8)
    for word, mine in zip(roster.hours, week(seeker.hours), strict=True):
        common += np.bitwise_count(word[rows] & np.uint64(mine))
    enough = max(1, min(HOURS_ENOUGH, sum(bin(day).count("1") for day in seeker.hours)))
    shared: Floats = np.minimum(common.astype(np.float32) / np.float32(enough), np.float32(1.0))
    return shared


def _time_zone(roster: Roster, seeker: Seeker, rows: NDArray[np.intp]) -> Floats:
    apart = np.abs(roster.offset[rows].astype(np.int32) - seeker.utc_offset_min)
    apart = np.minimum(apart, np.abs(24 * 60 - apart))
    near: Floats = (1.0 - np.minimum(apart, FARTHEST_MIN) / np.float32(FARTHEST_MIN)).astype(np.float32)
    return near

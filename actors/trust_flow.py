"""Standing: how much of the word of people who are trusted already reaches somebody, by who vouches for whom.

    seeds ──20 words──▶ a ──▶ b ──▶ c          what one passes on is half of what one received, shared among all whom one vouches for
              shared     ╲──▶ d ◀──▶ e         a word that comes straight back, or goes round in a circle, counts less
    ring: x ◀──▶ y ◀──▶ z                      nothing flows in, so nothing goes round, however many they are

Standing is counted in ten-thousandths of a whole word, in whole numbers, over walks of at most `LEVELS` steps from a seed. Every sum is of
whole numbers, so it has no order, and a change that is too small to count moves nobody further on.

Invariant: for one day, what is worked out again after any changes, of those alone whom they can move, is what everything worked out anew
gives, to the last digit. And together, all whom no seed vouches for receive no more than twice what reaches them from outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

UNIT: Final = 10_000
"""A whole word, in the whole numbers that standing is counted in."""
LEVELS: Final = 6
"""Steps from a seed that are counted. A step passes on half at most, so what lies beyond is below 2 % of what was given."""
PASSED_ON: Final = 0.5
"""Of what one received. Below one, and so a circle loses half a round: that is what bounds a ring. One half is where a friend of a friend
still matters, and what goes round and round adds as much again at most."""
SEED_UNITS: Final = 20 * UNIT
"""What a seed gives away. Whoever is named is a teacher or organiser who knows a few classes: eighty people fully, at `WORD_MAX` each."""
PERSON_UNITS_MAX: Final = UNIT
"""What anybody else gives away at most, however well known they are: what an account that turns, or is stolen, can do."""
WORD_MAX: Final = UNIT // 4
"""What one person's word for one other counts at most: nobody is made by a single voice."""
COMMUNITY_MAX: Final = UNIT
"""What all words given in one community count at most for one person: a community that was taken over is one community."""
SHARED_MIN: Final = 5.0
"""What one gives is shared as if one vouched for five people at least: the first person one vouches for does not get everything."""
RETURNED: Final = 0.5
"""What a word still counts that the other returns. Friends do vouch for each other; so half, and not nothing."""
CIRCLED: Final = 0.75
"""What a word loses if all whom the other vouches for are those who stand behind the one who gave it."""
CIRCLED_MIN: Final = 4
"""As if they vouched for four people at least: two who know a third are no closed group."""
STEP_DAYS: Final = 30
"""Words fade in steps of a month, so that on one day only a thirtieth of them changes."""
HALF_LIFE_DAYS: Final = 365
"""After a year without being said again a word counts half: a school year, after which most groups are other groups."""


class Word(Struct, frozen=True, gc=False):
    """One person's standing endorsement of another, in one community. `day`: when it was said last, in days since 1970."""

    endorser: int
    endorsed: int
    space: int
    day: int
    weight: float = 1.0


class Missing(Exception):
    """More of the web is needed: whom these vouch for (`outs`), and who vouches for those (`ins`)."""

    def __init__(self, outs: Collection[int], ins: Collection[int]) -> None:
        super().__init__(f"{len(outs)} and {len(ins)} lists are not loaded")
        self.outs = frozenset(outs)
        self.ins = frozenset(ins)


Levels = tuple[int, ...]
"""What reached somebody by walks of at most 1, 2, … `LEVELS` steps; the last is their standing."""
NOTHING: Final[Levels] = (0,) * LEVELS


class Web:
    """Who vouches for whom, and what came of it: all of it (`whole`), or what was loaded so far.

    `kept` is the share of their word that people keep who were found to do harm (1 where nobody is named).
    """

    __slots__ = ("ins", "kept", "known_ins", "known_outs", "levels", "outs", "seeds", "whole")

    def __init__(self, *, whole: bool = True) -> None:
        self.whole = whole
        self.outs: dict[int, dict[int, dict[int, Word]]] = {}
        """By endorser, endorsed and community."""
        self.ins: dict[int, set[int]] = {}
        self.seeds: set[int] = set()
        self.kept: dict[int, float] = {}
        self.levels: dict[int, Levels] = {}
        self.known_outs: set[int] = set()
        self.known_ins: set[int] = set()

    def add(self, word: Word) -> None:
        """Says a word, or says it again."""
        assert word.endorser != word.endorsed, "nobody vouches for themselves"
        self.outs.setdefault(word.endorser, {}).setdefault(word.endorsed, {})[word.space] = word
        self.ins.setdefault(word.endorsed, set()).add(word.endorser)

    def withdraw(self, endorser: int, endorsed: int, space: int) -> None:
        """Takes a word back; of one that was never said, nothing."""
        by_person = self.outs.get(endorser, {})
        words = by_person.get(endorsed, {})
        words.pop(space, None)
        if not words and endorsed in by_person:
            del by_person[endorsed]
            self.ins[endorsed].discard(endorser)

    def people(self) -> set[int]:
        """Everybody who gave or received a word, or was named."""
        return self.outs.keys() | self.ins.keys() | self.seeds

    def require(self, outs: Iterable[int], ins: Iterable[int]) -> None:
        """Raises `Missing` unless these lists are loaded."""
        if self.whole:
            return
        absent_outs = set(outs) - self.known_outs
        absent_ins = set(ins) - self.known_ins
        if absent_outs or absent_ins:
            raise Missing(absent_outs, absent_ins)


def vigour(word: Word, day: int) -> float:
    """What is left of a word by now, of its weight."""
    steps = max(0, day - word.day) // STEP_DAYS
    return float(word.weight * 2.0 ** (-steps * STEP_DAYS / HALF_LIFE_DAYS))


def strongest(words: Mapping[int, Word], day: int) -> tuple[float, int]:
    """One's word for another is one word, wherever it was said: the strongest counts. Its vigour and community."""
    return max((vigour(word, day), -space) for space, word in words.items())


Share = tuple[int, int, float]
"""The endorser, the community, and the share of what the endorser gives away."""


def shares_of(web: Web, user: int, day: int, totals: dict[int, float] | None = None) -> list[Share]:
    """Who vouches for `user`, with the share that each gives. `totals` keeps what endorsers share by, where many are worked out."""
    endorsers = web.ins.get(user)
    if not endorsers:
        return []
    outs = web.outs
    own = outs.get(user, {})
    back: dict[int, int] = {}
    for other in own:
        if other in endorsers:
            back[other] = back.get(other, 0) + 1
        for behind in outs.get(other, {}).keys() & endorsers:
            back[behind] = back.get(behind, 0) + 1
    circle = max(len(own), CIRCLED_MIN)
    shares: list[Share] = []
    for endorser in sorted(endorsers):
        given = outs[endorser]
        strength, space = strongest(given[user], day)
        total = totals.get(endorser) if totals is not None else None
        if total is None:
            total = max(SHARED_MIN, sum(sorted(strongest(words, day)[0] for words in given.values())))
            if totals is not None:
                totals[endorser] = total
        strength /= total
        if endorser in own:
            strength *= RETURNED
        # Whom one vouches for is counted once, though it may be both an endorser and stand behind one: never more than all.
        strength *= 1.0 - CIRCLED * min(1.0, back.get(endorser, 0) / circle)
        shares.append((endorser, -space, strength))
    return shares


def given_units(received: int, *, seed: bool, kept: float) -> int:
    """What somebody gives away, who received so much."""
    units = SEED_UNITS if seed else min(PERSON_UNITS_MAX, int(received * PASSED_ON))
    return int(units * kept)


def received_units(shares: Sequence[Share], given: Mapping[int, int]) -> int:
    """What reaches somebody in one step, from what each endorser gives away."""
    by_space: dict[int, int] = {}
    for endorser, space, strength in shares:
        units = given.get(endorser, 0)
        if units:
            by_space[space] = by_space.get(space, 0) + min(WORD_MAX, int(units * strength))
    return sum(min(COMMUNITY_MAX, units) for units in by_space.values())


def settle_all(web: Web, day: int) -> set[int]:
    """Works everybody's standing out anew. Returns whose changed. Needs the whole web."""
    assert web.whole
    totals: dict[int, float] = {}
    shares = {user: shares_of(web, user, day, totals) for user in web.ins if web.ins[user]}
    given = {user: given_units(0, seed=True, kept=web.kept.get(user, 1.0)) for user in web.seeds}
    sown = dict(given)
    found: dict[int, list[int]] = {user: [] for user in shares}
    for _ in range(LEVELS):
        received = {user: received_units(of, given) for user, of in shares.items()}
        for user, units in received.items():
            found[user].append(units)
        given = {
            user: given_units(units, seed=False, kept=web.kept.get(user, 1.0))
            for user, units in received.items()
            if units and user not in sown
        }
        given.update(sown)
    settled = {user: tuple(units) for user, units in found.items() if units[-1]}
    moved = {user for user in settled.keys() | web.levels.keys() if settled.get(user, NOTHING) != web.levels.get(user, NOTHING)}
    web.levels = settled
    return moved


def unsettled_by(web: Web, pairs: Iterable[tuple[int, int]]) -> set[int]:
    """Whose shares may have changed where these endorsers' words for these people were said, said again or withdrawn.

    The two; all whom the endorser vouches for, since what one gives is shared among them; and all whom the endorsed vouches for, since
    whether a word goes round in a circle depends on who stands behind the one who gives it.
    """
    pairs = tuple(pairs)
    ends = {user for pair in pairs for user in pair}
    web.require(ends, ())
    return ends.union(*(web.outs.get(user, {}) for user in ends))


def settle(web: Web, day: int, unsettled: Collection[int], changed: Collection[int] = ()) -> set[int]:
    """Works the standing out of those whom something can have moved; the levels of all others are taken as they are.

    `unsettled`: whose shares may have changed (`unsettled_by`). `changed`: who became or ceased to be a seed, or keeps another share of
    their word. Returns whose levels changed. Raises `Missing`, and has changed nothing then.
    """
    before = web.levels
    now: dict[int, list[int]] = {}
    shares: dict[int, list[Share]] = {}
    totals: dict[int, float] = {}
    moved: set[int] = set()
    touched: set[int] = set()

    def units_at(user: int, level: int) -> int:
        """What somebody received within so many steps: as worked out now, or as it stands."""
        if level < 0:
            return 0
        fresh = now.get(user)
        return fresh[level] if fresh is not None else before.get(user, NOTHING)[level]

    for level in range(LEVELS):
        movers = moved.union(changed)
        web.require(movers, ())
        due = set(unsettled).union(*(web.outs.get(user, {}) for user in movers))
        fresh = [user for user in due if user not in shares]
        web.require(fresh, fresh)
        web.require({e for user in fresh for e in (*web.ins.get(user, ()), *web.outs.get(user, {}))}, ())
        for user in fresh:
            shares[user] = shares_of(web, user, day, totals)
        found: dict[int, int] = {}
        for user in due:
            given = {
                endorser: given_units(units_at(endorser, level - 1), seed=endorser in web.seeds, kept=web.kept.get(endorser, 1.0))
                for endorser, _, _ in shares[user]
            }
            found[user] = received_units(shares[user], given)
        moved = set()
        for user, units in found.items():
            if units != units_at(user, level):
                now.setdefault(user, list(before.get(user, NOTHING)))[level] = units
                moved.add(user)
        touched |= moved
    result = dict(before) if web.whole else before
    for user in touched:
        result[user] = tuple(now[user])
        if not any(result[user]):
            del result[user]
    web.levels = result
    return touched

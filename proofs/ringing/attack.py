"""Attacks on a population: rings of made-up accounts that vouch for each other, and the ways in which real words reach them.

    shape: everybody for everybody · a circle · each pair one way · a star · a tree          size: 2 … 200
    way in: none · words bought from members · a member who turned · a seed who turned       and words for members, as camouflage

Invariant: what is measured is what the product would work out: the words are added to the web, and `settle` works out who moves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from itertools import combinations, permutations
from typing import Final

from msgspec import Struct

from actors.trust import History, parts, score
from actors.trust_flow import (
    LEVELS,
    NOTHING,
    WORD_MAX,
    Word,
    given_units,
    settle,
    settle_all,
    shares_of,
    unsettled_by,
)
from actors.trust_gates import Thresholds
from proofs.ringing.population import DAY, Population


class WayIn(Enum):
    """How words of real people reach the ring."""

    NONE = "no way in"
    BOUGHT_1 = "one word bought"
    BOUGHT_3 = "three bought"
    BOUGHT_10 = "ten bought"
    MEMBER = "a member turned"
    SEED = "a seed turned"


DOOR: Final = Thresholds().mentoring
BOUGHT: Final[Mapping[WayIn, int]] = {WayIn.NONE: 0, WayIn.BOUGHT_1: 1, WayIn.BOUGHT_3: 3, WayIn.BOUGHT_10: 10}


class Result(Struct, frozen=True):
    """What an attack gained. Standing is in `trust_flow` units.

    `inflow`: what real people's words give the ring. `mentors`: accounts that could be proposed as mentors, and with a plain count.
    `honest_loss`: the most that anybody lost, but for those with whom it shares what the seller of a word gives. `agrees`: working out
    those who move is what working out all gives.
    """

    way: WayIn
    shape: str
    size: int
    before: float
    best: float
    mean: float
    gained: float
    standing: int
    inflow: int
    mentors: int
    plain_mentors: int
    plain_best: float
    plain_mean: float
    honest_loss: float
    agrees: bool


def complete(ring: list[int]) -> Iterator[tuple[int, int]]:
    return permutations(ring, 2)


def circle(ring: list[int]) -> Iterator[tuple[int, int]]:
    return ((ring[at], ring[(at + 1) % len(ring)]) for at in range(len(ring)))


def one_way(ring: list[int]) -> Iterator[tuple[int, int]]:
    """Each pair in one direction, so that no word is returned: nothing but circles of three and more."""
    chance = random.Random(len(ring))
    return (pair if chance.random() < 0.5 else pair[::-1] for pair in combinations(ring, 2))


def star(ring: list[int]) -> Iterator[tuple[int, int]]:
    """All for the first, who vouches for all."""
    return (pair for one in ring[1:] for pair in ((one, ring[0]), (ring[0], one)))


def tree(ring: list[int]) -> Iterator[tuple[int, int]]:
    """Each for two more."""
    return ((ring[(at - 1) // 2], ring[at]) for at in range(1, len(ring)))


SHAPES: Final[Mapping[str, Callable[[list[int]], Iterator[tuple[int, int]]]]] = {
    "all for all": complete,
    "circle": circle,
    "one way": one_way,
    "star": star,
    "tree": tree,
}


def attack(population: Population, way: WayIn, shape: str, size: int, seed: int) -> Result:
    """Carries one out and takes it back; the population is settled before and after."""
    web = population.web
    chance = random.Random(f"{seed} {way} {shape} {size}")
    ring = list(range(population.beyond, population.beyond + size))
    space = len(population.communities) + 1
    known = [user for user, levels in web.levels.items() if levels[-1] and user not in web.seeds]
    before = dict(web.levels)
    words = [Word(one, two, space, DAY) for one, two in SHAPES[shape](ring)]
    # Camouflage: everybody in the ring vouches for a few real people, who know nothing of it.
    words += [Word(one, other, space, DAY) for one in ring for other in chance.sample(known, min(3, len(known)))]
    taken: list[Word] = []
    turned = 0
    if way in (WayIn.MEMBER, WayIn.SEED):
        turned = max(web.seeds) if way is WayIn.SEED else max(known, key=lambda user: (web.levels[user][-1], user))
        taken = [word for spaces in web.outs.get(turned, {}).values() for word in spaces.values()]
        words += [Word(turned, one, space, DAY) for one in ring]
    else:
        # Words are bought of those who are trusted most; the first of the ring gets them, or each another one.
        sellers = sorted(known, key=lambda user: web.levels[user][-1], reverse=True)[: BOUGHT[way]]
        words += [Word(seller, ring[at % len(ring)], space, DAY) for at, seller in enumerate(sellers)]
    # Who turns takes their words back: what that costs people is no part of what the ring does.
    _change(population, add=[], drop=taken)
    without = dict(web.levels)
    shared = {user for word in words if word.endorser not in ring for user in web.outs.get(word.endorser, {})}
    _change(population, add=words, drop=[])
    result = _measure(population, way, shape, ring, without, shared)
    _change(population, add=taken, drop=words)
    assert web.levels == before, "an attack that is over leaves nothing behind"
    return result


def _change(population: Population, *, add: list[Word], drop: list[Word]) -> None:
    web = population.web
    pairs = [(word.endorser, word.endorsed) for word in (*add, *drop)]
    unsettled = unsettled_by(web, pairs)
    for word in drop:
        web.withdraw(word.endorser, word.endorsed, word.space)
    for word in add:
        web.add(word)
    settle(web, DAY, unsettled | unsettled_by(web, pairs))


def _measure(
    population: Population, way: WayIn, shape: str, ring: list[int], before: Mapping[int, tuple[int, ...]], shared: set[int]
) -> Result:
    web = population.web
    members = set(ring)
    after = dict(web.levels)
    web.levels = {}
    settle_all(web, DAY)
    agrees = web.levels == after
    web.levels = after
    inflow = 0
    totals: dict[int, float] = {}
    for user in ring:
        for endorser, _, strength in shares_of(web, user, DAY, totals):
            if endorser not in members:
                given = given_units(after.get(endorser, NOTHING)[LEVELS - 1], seed=endorser in web.seeds, kept=1.0)
                inflow += min(WORD_MAX, int(given * strength))
    scores = [newcomer(after.get(user, NOTHING)[-1]) for user in ring]
    plain = [plain_count(len(web.ins.get(user, ()))) for user in ring]
    fresh = newcomer(0)
    loss = max(
        (newcomer(levels[-1]) - newcomer(after.get(user, NOTHING)[-1]) for user, levels in before.items() if user not in shared),
        default=0.0,
    )
    return Result(
        way,
        shape,
        len(ring),
        fresh,
        max(scores),
        sum(scores) / len(scores),
        sum(scores) - fresh * len(scores),
        sum(after.get(user, NOTHING)[-1] for user in ring),
        inflow,
        sum(value >= DOOR for value in scores),
        sum(value >= DOOR for value in plain),
        max(plain),
        sum(plain) / len(plain),
        round(loss, 3),
        agrees,
    )


def newcomer(standing: int) -> float:
    """The score of a fresh account with a proven address and this standing."""
    return score(History(DAY, verified=True, standing=standing), DAY)


def plain_count(endorsements: int) -> float:
    """The same with the usual count in the place of standing: a word is a word, ten are all that counts."""
    without = parts(History(DAY, verified=True), DAY)
    return round(without.score + 0.40 * min(1.0, endorsements / 10), 3)

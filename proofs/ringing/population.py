"""A platform's people and whom they vouch for, made from a seed: communities of very different sizes, a few who are known by many.

    communities ─ sizes by a power law ─▶ members ─ whom to vouch for: by how many do so already, plus one ─▶ words, some of them returned
              ╰─ teachers in most of them ─▶ seeds

How many people one vouches for is log-normal, who is vouched for grows by preferential attachment: both have heavy tails, as such graphs
have. Time is days, of which some words are old.
"""

from __future__ import annotations

import random
from typing import Final

from msgspec import Struct

from actors.trust_flow import Web, Word
from persistence.operations.trust import STANDING_MAX

DAY: Final = 20_000
"""Today."""
COMMUNITY_MIN: Final = 8
COMMUNITY_MAX: Final = 2_000
RETURNED: Final = 0.25
"""Of words that are returned; in what is known of such networks a fifth to a half."""
SILENT: Final = 0.30
"""Of people who vouch for nobody."""
WITH_TEACHERS: Final = 0.7
"""Of communities whose teachers the platform's staff have named."""
PEOPLE_PER_TEACHER: Final = 60


class Population(Struct, frozen=True):
    """The web, who is in it, and in which communities. Accounts count from 1; `beyond` is the first number that is free."""

    web: Web
    people: tuple[int, ...]
    communities: tuple[tuple[int, ...], ...]
    beyond: int

    @property
    def words(self) -> int:
        """How many words stand."""
        return sum(len(spaces) for by_person in self.web.outs.values() for spaces in by_person.values())


def populate(people: int, seed: int) -> Population:
    """Makes `people` people, some in two communities."""
    chance = random.Random(seed)
    web = Web()
    communities: list[tuple[int, ...]] = []
    following = 1
    while following <= people:
        size = min(int(COMMUNITY_MIN * chance.paretovariate(1.1)), COMMUNITY_MAX, people + 1 - following)
        members = list(range(following, following + size))
        following += size
        if following > people // 10:
            members += [guest for guest in chance.sample(range(1, following), size // 10) if guest not in members[:1]]
        members = list(dict.fromkeys(members))
        communities.append(tuple(members))
        _vouch(chance, web, members, space=len(communities))
        if chance.random() < WITH_TEACHERS:
            web.seeds.update(members[: max(1, size // PEOPLE_PER_TEACHER)])
    return Population(web, tuple(range(1, people + 1)), tuple(communities), people + 1)


def _vouch(chance: random.Random, web: Web, members: list[int], space: int) -> None:
    if len(members) < 2:
        return
    urn = list(members)
    """Everybody once, and again for each word for them: who is drawn from it is drawn by how well known they are."""
    teachers = set(members[: max(1, len(members) // PEOPLE_PER_TEACHER)])
    for endorser in members:
        if endorser in teachers:
            wanted = min(len(members) - 1, 50)
        elif chance.random() < SILENT:
            continue
        else:
            wanted = min(len(members) - 1, STANDING_MAX, int(chance.lognormvariate(1.2, 0.9)))
        for _ in range(wanted):
            endorsed = chance.choice(urn)
            if endorsed == endorser:
                continue
            web.add(Word(endorser, endorsed, space, DAY - int(chance.expovariate(1 / 250))))
            urn.append(endorsed)
            if chance.random() < RETURNED:
                web.add(Word(endorsed, endorser, space, DAY - int(chance.expovariate(1 / 250))))
                urn.append(endorser)

"""Standing: what flows from seeds, what a ring gains, and that working out those who move is working out all."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.trust_flow import (
    CIRCLED,
    COMMUNITY_MAX,
    HALF_LIFE_DAYS,
    LEVELS,
    NOTHING,
    PERSON_UNITS_MAX,
    RETURNED,
    SEED_UNITS,
    UNIT,
    WORD_MAX,
    Missing,
    Web,
    Word,
    given_units,
    received_units,
    settle,
    settle_all,
    shares_of,
    unsettled_by,
    vigour,
)

DAY = 20_000
PEOPLE = st.integers(1, 9)
SAY = st.tuples(st.just("say"), PEOPLE, PEOPLE, st.integers(1, 3), st.integers(0, 800))
WITHDRAW = st.tuples(st.just("withdraw"), PEOPLE, PEOPLE, st.integers(1, 3), st.just(0))
NAME = st.tuples(st.just("name"), PEOPLE, st.just(0), st.just(0), st.just(0))
HARM = st.tuples(st.just("harm"), PEOPLE, st.just(0), st.just(0), st.integers(0, 100))
Change = tuple[str, int, int, int, int]
CHANGES = st.lists(st.one_of(SAY, SAY, SAY, WITHDRAW, NAME, HARM), max_size=25)


def standing(web: Web, user: int) -> int:
    return web.levels.get(user, NOTHING)[-1]


def carry_out(web: Web, changes: list[Change]) -> tuple[list[tuple[int, int]], set[int]]:
    """Changes the web; the pairs and people that are concerned."""
    pairs: list[tuple[int, int]] = []
    changed: set[int] = set()
    for kind, one, two, space, figure in changes:
        if kind == "say" and one != two:
            web.add(Word(one, two, space, DAY - figure))
            pairs.append((one, two))
        elif kind == "withdraw" and one != two:
            web.withdraw(one, two, space)
            pairs.append((one, two))
        elif kind == "name":
            web.seeds ^= {one}
            changed.add(one)
        elif kind == "harm":
            web.kept[one] = figure / 100
            changed.add(one)
    return pairs, changed


@settings(max_examples=300, deadline=None)
@given(CHANGES, st.lists(CHANGES, max_size=4))
def test_working_out_those_who_move_is_working_out_all_to_the_last_digit(first: list[Change], then: list[list[Change]]) -> None:
    web = Web()
    carry_out(web, first)
    settle_all(web, DAY)
    for changes in then:
        before = dict(web.levels)
        pairs, changed = carry_out(web, changes)
        moved = settle(web, DAY, unsettled_by(web, pairs), changed)
        found = dict(web.levels)
        web.levels = dict(before)
        assert settle_all(web, DAY) == moved
        assert web.levels == found


@settings(max_examples=150, deadline=None)
@given(CHANGES, CHANGES)
def test_a_part_of_the_web_is_enough_to_work_out_those_who_move(first: list[Change], then: list[Change]) -> None:
    """As the database loads it: whatever is asked for, and nothing else."""
    whole = Web()
    carry_out(whole, first)
    settle_all(whole, DAY)
    part = Web(whole=False)
    levels = dict(whole.levels)
    pairs, changed = carry_out(whole, then)

    def load(outs: frozenset[int] | set[int], ins: frozenset[int] | set[int]) -> None:
        for endorser, by_person in whole.outs.items():
            for endorsed, spaces in by_person.items():
                if endorser in outs or endorsed in ins:
                    for word in spaces.values():
                        part.add(word)
        part.known_outs |= outs
        part.known_ins |= ins
        for user in outs | ins:
            if user in levels:
                part.levels[user] = levels[user]
            if user in whole.kept:
                part.kept[user] = whole.kept[user]
            part.seeds |= {user} & whole.seeds

    load(changed, set())
    for _ in range(50):
        try:
            moved = settle(part, DAY, unsettled_by(part, pairs), changed)
            break
        except Missing as missing:
            load(missing.outs, missing.ins)
    else:
        pytest.fail("asked for more and more")
    assert settle(whole, DAY, unsettled_by(whole, pairs), changed) == moved
    assert {user: part.levels.get(user) for user in moved} == {user: whole.levels.get(user) for user in moved}


@settings(max_examples=200, deadline=None)
@given(CHANGES, st.sets(PEOPLE, min_size=1, max_size=6))
def test_people_whom_no_seed_vouches_for_have_at_most_twice_what_comes_in(changes: list[Change], ring: set[int]) -> None:
    web = Web()
    carry_out(web, changes)
    web.seeds -= ring
    settle_all(web, DAY)
    inflow = sum(
        min(WORD_MAX, int(given_units(standing(web, e), seed=e in web.seeds, kept=web.kept.get(e, 1.0)) * share))
        for user in ring
        for e, _, share in shares_of(web, user, DAY)
        if e not in ring
    )
    assert sum(standing(web, user) for user in ring) <= 2 * inflow


@settings(max_examples=100, deadline=None)
@given(CHANGES, st.sets(PEOPLE, min_size=1))
def test_whoever_gets_a_word_more_from_a_stranger_loses_nothing(changes: list[Change], endorsed: set[int]) -> None:
    """Nor does anybody else: the words of whom nobody vouches for move nobody, up or down."""
    web = Web()
    carry_out(web, changes)
    settle_all(web, DAY)
    for user in endorsed:
        web.add(Word(99, user, 1, DAY))
    assert settle_all(web, DAY) == set()


@pytest.mark.parametrize("size", [2, 3, 10, 60])
def test_a_ring_alone_gains_nothing_whatever_its_size(size: int) -> None:
    web = Web()
    web.seeds = {1}
    web.add(Word(1, 2, 1, DAY))
    for one, two in permutations(range(100, 100 + size), 2):
        web.add(Word(one, two, 1, DAY))
    settle_all(web, DAY)
    assert set(web.levels) == {2}


def test_a_ring_with_one_word_bought_does_not_gain_more_by_growing() -> None:
    gained = []
    for size in (2, 5, 20, 60):
        web = Web()
        web.seeds = {1}
        web.add(Word(1, 2, 1, DAY))
        web.add(Word(2, 100, 1, DAY))
        for one, two in permutations(range(100, 100 + size), 2):
            web.add(Word(one, two, 1, DAY))
        settle_all(web, DAY)
        gained.append(sum(standing(web, user) for user in range(100, 100 + size)))
    came_in = WORD_MAX // 2 // 5
    assert came_in <= min(gained) <= max(gained) <= 2 * came_in
    assert max(gained[1:]) <= 1.05 * gained[0]


def test_one_voice_makes_nobody_and_one_community_does_not_make_everything() -> None:
    web = Web()
    web.seeds = set(range(1, 11))
    web.add(Word(1, 50, 1, DAY))
    for seed in web.seeds:
        web.add(Word(seed, 51, 1, DAY))
    settle_all(web, DAY)
    assert standing(web, 50) == WORD_MAX
    assert standing(web, 51) == COMMUNITY_MAX < 10 * WORD_MAX


def test_the_same_word_in_many_communities_is_one_word() -> None:
    web = Web()
    web.seeds = {1}
    for space in range(1, 8):
        web.add(Word(1, 50, space, DAY))
    settle_all(web, DAY)
    assert standing(web, 50) == WORD_MAX


def test_a_word_fades_by_half_in_a_year_and_is_fresh_when_it_is_said_again() -> None:
    old = Word(1, 2, 1, DAY - HALF_LIFE_DAYS)
    assert vigour(old, DAY) == pytest.approx(0.5, abs=0.02)
    web = Web()
    web.seeds = {1}
    for endorsed in range(2, 90):
        web.add(Word(1, endorsed, 1, DAY - 2 * HALF_LIFE_DAYS))
    settle_all(web, DAY)
    before = standing(web, 2)
    web.add(Word(1, 2, 1, DAY))
    settle(web, DAY, unsettled_by(web, [(1, 2)]))
    assert standing(web, 2) > before


def test_what_one_gives_is_bounded_however_well_known_one_is() -> None:
    assert given_units(100 * UNIT, seed=False, kept=1.0) == PERSON_UNITS_MAX
    assert given_units(0, seed=True, kept=1.0) == SEED_UNITS
    assert given_units(UNIT, seed=False, kept=0.5) == UNIT // 4


def test_a_word_that_comes_back_counts_less_and_one_that_goes_round_in_a_circle_too() -> None:
    def share(*words: tuple[int, int]) -> float:
        web = Web()
        for one, two in ((1, 2), *words):
            web.add(Word(one, two, 1, DAY))
        return next(strength for endorser, _, strength in shares_of(web, 2, DAY) if endorser == 1)

    plain = share()
    assert share((2, 1)) == pytest.approx(plain * RETURNED * (1 - CIRCLED / 4))
    assert share((2, 3), (3, 1)) == pytest.approx(plain * (1 - CIRCLED / 4))
    assert share((2, 3), (2, 4), (2, 5), (2, 6)) == plain


@given(st.lists(st.tuples(PEOPLE, st.integers(1, 3), st.floats(0, 1)), max_size=12))
def test_nobody_receives_more_than_each_community_may_give(shares: list[tuple[int, int, float]]) -> None:
    received = received_units(shares, dict.fromkeys(range(1, 10), SEED_UNITS))
    assert 0 <= received <= COMMUNITY_MAX * len({space for _, space, _ in shares})


def test_who_is_far_from_every_seed_has_nothing() -> None:
    web = Web()
    web.seeds = {1}
    for one in range(1, LEVELS + 4):
        web.add(Word(one, one + 1, 1, DAY))
    settle_all(web, DAY)
    assert standing(web, 2) == WORD_MAX
    assert standing(web, LEVELS + 2) == 0

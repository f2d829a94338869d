"""`python -m proofs rings [--seed N] [--people N]`: what do rings of made-up accounts gain that vouch for each other?

Makes a population with heavy-tailed communities and words, works out everybody's standing, and attacks it with rings of 2 to 200
accounts in five shapes: without a way in, with words bought of the most trusted, with a member and with a seed who turned. Each account of
a ring has a proven address, vouches for real people as camouflage, and is a day old. Beside it: what the same attack gains where words
are counted.

Exit status 1 if a ring without a way in gains anything; if one with a way in gains more standing than twice what real people's words bring
in, or more score than that standing can; if anybody honest loses more than a hundredth by it; or if working out those who move is not what
working out all gives.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from actors.trust import VOUCHED_HALF, VOUCHED_MOST
from actors.trust_flow import LEVELS, NOTHING, settle_all
from proofs.numbers import at_least_one
from proofs.ringing.attack import DOOR, SHAPES, Result, WayIn, attack, newcomer
from proofs.ringing.population import DAY, Population, populate

SIZES: Final = (2, 5, 10, 20, 50, 100, 200)
OTHER_SIZE: Final = 50
POINTS_PER_UNIT: Final = VOUCHED_MOST / (2 * VOUCHED_HALF)
"""The most score that one unit of standing gives, wherever it is put: the steepest line from nought to the curve."""
ROUNDED: Final = 0.0005
"""Scores are in thousandths."""
HONEST_LOSS_MAX: Final = 0.01


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs rings", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="for the population and the choices")
    parser.add_argument("--people", type=at_least_one, default=10_000, help="how many real people there are")
    parser.add_argument("--quick", action="store_true", help="three sizes and one shape")
    arguments = parser.parse_args(argv)
    population = populate(arguments.people, arguments.seed)
    began = time.monotonic()
    settle_all(population.web, DAY)
    print(describe(population, time.monotonic() - began))
    results: list[Result] = []
    print(_HEAD)
    for way, shape, size in plan(quick=arguments.quick):
        result = attack(population, way, shape, size, arguments.seed)
        results.append(result)
        print(row(result))
    faults = [fault for result in results for fault in faults_of(result)]
    for fault in faults:
        print(f"BROKEN: {fault}", file=sys.stderr)
    print(summary(results))
    return 1 if faults else 0


def plan(*, quick: bool) -> list[tuple[WayIn, str, int]]:
    """Which attacks there are."""
    first = next(iter(SHAPES))
    chosen = [(way, first, size) for way in WayIn for size in (SIZES[:5:2] if quick else SIZES)]
    if not quick:
        chosen += [(way, shape, OTHER_SIZE) for shape in SHAPES if shape != first for way in WayIn]
    return chosen


def faults_of(result: Result) -> list[str]:
    """What an attack broke of what is promised."""
    what = f"{result.way.value}, {result.shape}, {result.size} accounts"
    faults: list[str] = []
    if result.way is WayIn.NONE and (result.standing or result.gained):
        faults.append(f"{what}: {result.standing} units and {result.gained:.3f} points from nothing")
    if result.standing > 2 * result.inflow:
        faults.append(f"{what}: {result.standing} units of standing, of {result.inflow} that came in")
    if result.gained > score_bound(result):
        faults.append(f"{what}: {result.gained:.3f} points, more than {score_bound(result):.3f}")
    if result.honest_loss > HONEST_LOSS_MAX:
        faults.append(f"{what}: somebody honest lost {result.honest_loss:.3f}")
    if not result.agrees:
        faults.append(f"{what}: those who moved were worked out otherwise than all")
    return faults


def score_bound(result: Result) -> float:
    """The most that all accounts of a ring can gain together by what came in."""
    return 2 * result.inflow * POINTS_PER_UNIT + ROUNDED * result.size


def describe(population: Population, took_s: float) -> str:
    """The population, and how its real people stand."""
    web = population.web
    standing = sorted(web.levels.get(user, NOTHING)[LEVELS - 1] for user in population.people if user not in web.seeds)
    degrees = sorted((len(endorsers) for endorsers in web.ins.values()), reverse=True)
    gains = [newcomer(units) - newcomer(0) for units in standing]
    words = population.words
    return (
        f"{len(population.people)} people in {len(population.communities)} communities, the largest of"
        f" {max(map(len, population.communities))}; {words} words, of which the best known has {degrees[0]} and the median"
        f" {degrees[len(degrees) // 2]}; {len(web.seeds)} seeds\n"
        f"standing worked out for all in {took_s:.2f} s; of the others {sum(units > 0 for units in standing) / len(standing):.0%} have"
        f" some: the part of the score that is others' words is {gains[len(gains) // 2]:.3f} at the median,"
        f" {gains[len(gains) * 3 // 4]:.3f} at the upper quartile, {gains[-1]:.3f} at most"
    )


def row(result: Result) -> str:
    """One attack, in a line."""
    return (
        f"{result.way.value:16} {result.shape:12} {result.size:5} | {result.before:.3f}  {result.best:.3f}  {result.mean:.3f}"
        f" | {result.gained:7.3f} of {score_bound(result):7.3f} | {result.mentors:4} | {result.plain_best:.3f}  {result.plain_mean:.3f}"
        f" {result.plain_mentors:5} | {result.honest_loss:.3f}"
    )


def summary(results: Sequence[Result]) -> str:
    """What it comes to, in three lines."""
    worst = max((result for result in results if result.way is not WayIn.SEED), key=lambda result: result.gained)
    alone = [result for result in results if result.way is WayIn.NONE]
    opened = sum(result.mentors for result in alone)
    plain = sum(result.plain_mentors for result in alone)
    return (
        f"{len(results)} attacks. Without a way in: {max(result.gained for result in alone):.3f} points gained by the best ring, and"
        f" {opened} of {sum(result.size for result in alone)} accounts reach the {DOOR:.2f} of a mentor; where words are counted,"
        f" {plain}.\n"
        f"With a way in, but no seed: at most {worst.gained:.3f} points for all its accounts together ({worst.way.value}, {worst.shape},"
        f" {worst.size} accounts, {worst.mentors} of them mentors; where words are counted, {worst.plain_mentors}).\n"
        f"Nobody honest lost more than {max(result.honest_loss for result in results):.3f};"
        f" working out those who moved was what working out all gives in {sum(result.agrees for result in results)} of {len(results)}."
    )


_HEAD: Final = (
    "way in           shape         size | score: before, best, mean | gained by all, bound | mentors |"
    " by count: best, mean, mentors | honest loss"
)

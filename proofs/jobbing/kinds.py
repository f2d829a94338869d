"""The kinds of jobs that are attacked, each for one promise, and the tables in which their effects can be counted.

    effect    a row for its number, in the end's transaction; fails by chance, and takes its time      none lost, none twice
    told      tells a table outside that transaction, under its effect key                             at least once, recognisable
    level     writes down how far its key was asked for, when it ran                                   one that waits stands for all orders
    doomed    always fails                                                                             a dead letter, no effect
    tick      by the clock, every second                                                               one job a tick

No table has a key: what happens twice must be seen, not prevented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import asyncpg
import trio
from msgspec import Struct

from actors.jobs import Cron, JobKind, Way, Work
from persistence.bridge import Bridge

TABLES: Final = """
create table effects (n bigint not null, attempt integer not null);
create table told (n bigint not null, effect text not null);
create table asked (key text primary key, n bigint not null);
create table levels (key text not null, n bigint not null);
create table ticks (effect text not null);
"""
TICK_S: Final = 1.0
SLOW_S: Final = 0.1
"""A run takes a random time up to this: long enough that a kill finds some under way."""
FAILS: Final = 0.1
QUICK: Final = Way(first_s=0.05, most_s=0.5, at_once_max=32)


class Numbered(Struct, frozen=True):
    n: int


class Keyed(Struct, frozen=True):
    key: str


class Nothing(Struct, frozen=True):
    pass


class ByChance(Exception):
    """A run that was to fail."""


def kinds(bridge: Bridge, chance: Random, *, fenced: bool) -> tuple[JobKind, ...]:
    """All of them. `fenced=False`: effects are committed before the end, as a queue without `finish` would have it, and come twice."""

    async def effect(work: Work[Numbered]) -> None:
        await trio.sleep(chance.random() * SLOW_S)
        if chance.random() < FAILS:
            raise ByChance
        write = _inserting("insert into effects (n, attempt) values ($1, $2)", work.payload.n, work.attempt)
        if fenced:
            await work.finish(write)
        else:
            await bridge.run(write, deadline_s=10)
            await trio.sleep(chance.random() * SLOW_S)

    async def told(work: Work[Numbered]) -> None:
        await bridge.run(_inserting("insert into told (n, effect) values ($1, $2)", work.payload.n, work.effect_key), deadline_s=10)
        await trio.sleep(chance.random() * SLOW_S)

    async def level(work: Work[Keyed]) -> None:
        key = work.payload.key

        async def look(tx: asyncpg.Connection) -> int:
            n: int = await tx.fetchval("select n from asked where key = $1", key)
            return n

        n = await bridge.run(look, deadline_s=10, readonly=True)
        await trio.sleep(chance.random() * SLOW_S)
        await work.finish(_inserting("insert into levels (key, n) values ($1, $2)", key, n))

    async def doomed(work: Work[Numbered]) -> None:
        raise ByChance

    async def tick(work: Work[Nothing]) -> None:
        await work.finish(_inserting("insert into ticks (effect) values ($1)", work.effect_key))

    return (
        JobKind("effect", Numbered, effect, attempts_max=100, way=QUICK),
        JobKind("told", Numbered, told, attempts_max=100, way=QUICK),
        JobKind("level", Keyed, level, attempts_max=100, way=QUICK),
        JobKind("doomed", Numbered, doomed, attempts_max=3, way=QUICK),
        JobKind("tick", Nothing, tick, attempts_max=100, way=QUICK),
    )


CRONS: Final = (Cron("tick", "tick", Nothing(), every_s=TICK_S),)


def _inserting(statement: str, *values: object) -> Callable[[asyncpg.Connection], Awaitable[Any]]:
    return lambda tx: tx.execute(statement, *values)

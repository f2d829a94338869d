"""What a log-in costs, and what two hundred of them at once cost those who chat meanwhile.

    200 log-ins, known devices ─▶ 2 gateways: one hash at a time each, a bounded queue ─▶ 200 │ 503 with Retry-After ─▶ come back then
    1,000 sockets in rooms of 20, a hundred posts a second, meanwhile and before ─▶ p50, p99 from post to delivery, in the same run

A log-in is one whole request on a connection of its own: limits in Valkey, argon2id at the default cost (19 MiB, two passes), one
transaction, a signed token. Its CPU is that of every process of ours, asked one after the other.

Everybody who is told to wait comes back when told; whoever would be refused for ever fails the run, as does a chat delivery that is lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Final

import asyncpg
import msgspec
import trio

from bench.crowd import seated
from bench.crowd_generator import CrowdReport
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.knock import knock
from bench.ours import Ours
from bench.population import Person
from bench.stage import Options, open_stage, spent_s
from gateway.passwords import Passwords

PASSWORD: Final = "seven herons over cold water"
GATEWAYS: Final = 2
SOURCES: Final = 100
"""Addresses that log-ins come from: 127.0.0.60 and on. A handful at once from one address is a classroom, not an attack."""
FIRST_SOURCE: Final = 60
STEP: Final = 13
"""How far somebody's address moves from one round to the next. Who logs in ten times within minutes, from one address, into one account is
told to wait as somebody who guesses; here nobody guesses, and what is measured is the queue for a hash. Coprime to `SOURCES`."""
TOLD_TO_WAIT: Final = frozenset({429, 503})
TRIES_MAX: Final = 20
GOALS: Final = {"cpu": Goal(figure_max=60.0), "p99": Goal(figure_max=50.0)}


class Size(msgspec.Struct, frozen=True):
    """How many log in one after the other, how many at once; how many chat, in rooms of how many, posts a second, for how long."""

    alone: int
    at_once: int
    rooms: int
    members: int
    per_s: float
    run_s: float


WHOLE: Final = Size(40, 200, 50, 20, 100.0, 8.0)
QUICK: Final = Size(5, 20, 4, 10, 20.0, 2.0)


class Known(msgspec.Struct, frozen=True):
    """Somebody who logs in, by name and password, on the device they had."""

    name: str
    device: int

    @property
    def body(self) -> dict[str, object]:
        return {"name": self.name, "password": PASSWORD, "device": self.device}


class Storm(msgspec.Struct, frozen=True):
    """Two hundred log-ins at once. Times are seconds; `asked` counts requests, those after a wait too."""

    people: int
    asked: int
    refused: int
    """Told to wait for a hash (503)."""
    limited: int
    """Told to wait for a limit (429)."""
    waits_s: tuple[int, ...]
    first_s: float
    """Of those that were let in at once: the slowest."""
    whole_s: float


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Medians of the rounds. There is no peer: none of them has accounts."""
    size = QUICK if options.quick else WHOLE
    chatters = size.rooms * size.members
    calm: list[CrowdReport] = []
    loud: list[CrowdReport] = []
    storms: list[Storm] = []
    costs_ms: list[float] = []
    async with open_stage(servers=GATEWAYS, people=chatters + size.at_once, peers=False) as stage:
        ours = stage.ours
        rooms = await ours.rooms(size.rooms, size.members)
        people = await _give_passwords(ours, ours.people[chatters:])
        async with seated(ours, rooms, stage.folder, inbox=False) as crowd:
            await crowd.connect(chatters)
            await crowd.post_at(size.per_s, size.run_s / 2, chatters)  # the first one only warms up
            await _one_by_one(ours, people[: size.alone], 0)
            for number in range(options.rounds):
                # Turns of asking: each finds its people at other addresses than the last one did.
                costs_ms.append(await _one_by_one(ours, people[: size.alone], 1 + 2 * number))
                calm.append(await crowd.post_at(size.per_s, size.run_s, chatters))
                report, storm = await _both(lambda: crowd.post_at(size.per_s, size.run_s, chatters), ours, people, number)
                loud.append(report)
                storms.append(storm)
                say(
                    f"login: {costs_ms[-1]:.1f} ms CPU each; {storm.people} at once: {storm.refused} times told to wait "
                    f"{min(storm.waits_s, default=0)} to {max(storm.waits_s, default=0)} s, the first ones in after at most "
                    f"{storm.first_s:.1f} s, {storm.limited} refused by limits, all after {storm.whole_s:.1f} s; "
                    f"chat p99 {report.p99_ms:.1f} ms meanwhile (p50 {report.p50_ms:.1f}, most {report.max_ms:.0f}), "
                    f"{calm[-1].p99_ms:.1f} ms before"
                )
    goals = {} if options.quick else GOALS
    at = f"{size.at_once} log-ins at once at {GATEWAYS} gateways"
    chat = f"{size.per_s:g} posts/s in rooms of {size.members}"
    return [
        Measured("CPU of a log-in, all processes", median(costs_ms), "ms", goal=goals.get("cpu"), note="argon2id, 19 MiB, two passes"),
        Measured(
            f"{at}: chat p99 meanwhile, {chat}",
            median(one.p99_ms for one in loud),
            "ms",
            goal=goals.get("p99"),
            note=f"{median(one.p99_ms for one in calm):.1f} ms before",
        ),
        Measured(f"{at}: requests told to wait", median(one.refused for one in storms), "requests", note="503 with Retry-After"),
        Measured(f"{at}: until everybody is in", median(one.whole_s for one in storms), "s"),
    ]


async def _both(chat: Callable[[], Awaitable[CrowdReport]], ours: Ours, people: Sequence[Known], number: int) -> tuple[CrowdReport, Storm]:
    reports: list[CrowdReport] = []
    storms: list[Storm] = []

    async def talk() -> None:
        reports.append(await chat())

    async def storm() -> None:
        storms.append(await _storm(ours, people, number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        nursery.start_soon(storm)
    return reports[0], storms[0]


async def _one_by_one(ours: Ours, people: Sequence[Known], turn: int) -> float:
    """Milliseconds of CPU a log-in."""
    before_s = sum(spent_s(ours).values())
    for place, person in enumerate(people):
        answer = await knock(ours.ports[place % len(ours.ports)], "POST", "/api/v1/auth/login", person.body, source=source_of(place, turn))
        if answer.status != 200:
            raise GeneratorFailed(f"a log-in was answered {answer.status}: {answer.body[:200]!r}")
    return (sum(spent_s(ours).values()) - before_s) / len(people) * 1e3


async def _storm(ours: Ours, people: Sequence[Known], number: int) -> Storm:
    chance = random.Random(number)
    began = time.monotonic()
    asked = refused = limited = 0
    waits: list[int] = []
    firsts: list[float] = []

    async def log_in(place: int, person: Known) -> None:
        nonlocal asked, refused, limited
        port = ours.ports[place % len(ours.ports)]
        for attempt in range(TRIES_MAX):
            asked += 1
            answer = await knock(port, "POST", "/api/v1/auth/login", person.body, source=source_of(place, 2 + 2 * number))
            if answer.status == 200:
                if not attempt:
                    firsts.append(time.monotonic() - began)
                return
            if answer.status not in TOLD_TO_WAIT:
                raise GeneratorFailed(f"a log-in was answered {answer.status}: {answer.body[:200]!r}")
            if not answer.retry_after_s:
                raise GeneratorFailed(f"a log-in was answered {answer.status} without a time to wait: {answer.body[:200]!r}")
            if answer.status == 503:
                refused += 1
            else:
                limited += 1
            waits.append(answer.retry_after_s)
            await trio.sleep(answer.retry_after_s + chance.random())
        raise GeneratorFailed(f"somebody was told to wait {TRIES_MAX} times")

    async with trio.open_nursery() as nursery:
        for place, person in enumerate(people):
            nursery.start_soon(log_in, place, person)
    return Storm(len(people), asked, refused, limited, tuple(waits), max(firsts, default=0.0), time.monotonic() - began)


async def _give_passwords(ours: Ours, people: Sequence[Person]) -> list[Known]:
    """One hash for all: what it costs to compare does not depend on whose it is."""
    stored = await Passwords().hash(PASSWORD)

    async def work(tx: asyncpg.Connection) -> list[Known]:
        users = [person.user for person in people]
        rows = await tx.fetch("UPDATE accounts SET password_hash = $2 WHERE id = any($1) RETURNING id, name::text", users, stored)
        names = {row["id"]: row["name"] for row in rows}
        return [Known(names[person.user], person.device) for person in people]

    return await ours.ask(work)


def source_of(place: int, turn: int) -> str:
    """The address that the person at this place asks from, in this turn."""
    return f"127.0.0.{FIRST_SOURCE + (place + turn * STEP) % SOURCES}"

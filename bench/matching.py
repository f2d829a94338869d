"""How soon a mentor is found among 100,000: over the socket, from the question to the list with names, with the model in its process.

    mentors (seeded) ─▶ accounts and records in Postgres ─ settled ─▶ fed to the model, page by page
    a learner ─FindMentors─▶ gateway ─ prepare ─▶ model: exact, over all of them ─▶ names, who may be shown ─▶ MentorsFound
    32 learners at once, each asking again as soon as it is answered
    the ML process is killed: how soon fixed weights answer, and when the model does again, over all of them

Everything is as people have it: each search asks in other words, of other hours and languages, and each learner is another account. Where
the model does not answer, the run says nothing about it and fails.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import asyncpg
import trio

from actors.match_rules import HOURS_ENOUGH
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.moderation import token_of
from bench.ours import ENVIRONMENT, Ours, open_ours
from bench.stage import Options, spent_s
from bench.usage import resident_tree_kib
from client import Session, connect
from persistence.mentoring.feed import page
from persistence.mentoring.settling import CLAIM_MAX, settle_some
from protocol.entities import Entity, Fields
from protocol.frames import MentorsFound
from protocol.merge import Cell, Record, Stamp, pack_record

MENTORS: Final = 100_000
QUICK_MENTORS: Final = 2_000
LEARNERS: Final = 32
ALONE: Final = 400
TOGETHER: Final = 1_600
QUICK: Final = 64
STEP: Final = 5_000
READY_S: Final = 240.0
LOOK_S: Final = 0.05
TRUST: Final = 0.6
GOALS: Final = {"p50": Goal(figure_max=25.0), "p99": Goal(figure_max=60.0)}
SUBJECTS: Final = (
    "algebra,geometry,statistics,physics,chemistry,biology,history,geography,economics,accounting,English,Spanish,French,Swahili,Arabic,"
    "reading,writing,programming,web design,farming,nursing,first aid,music,guitar,drawing,carpentry,sewing,football,chess,law"
).split(",")
LANGUAGES: Final = ("en", "es", "fr", "sw", "ar", "pt", "hi", "de")
ZONES: Final = ("Africa/Nairobi", "America/Bogota", "Asia/Kolkata", "Europe/Madrid", "America/Sao_Paulo", "Asia/Manila")
UNBOUNDED: Final = {
    **ENVIRONMENT,
    "EDUCONNECT_QUOTAS_MATCHES_BURST": "100000",
    "EDUCONNECT_QUOTAS_MATCHES_PER_MINUTE": "100000",
}

_MENTORS: Final = """
with made as materialized (
    select n, a.user_id from generate_series($1::integer, $2::integer) n
    cross join lateral create_account(('mentor-' || n)::citext, 'Mentor ' || n, 'none: nobody logs in with it') a
),
trusted as (select user_id, row_number() over (order by n) as place from made)
select t.user_id, t.place from trusted t order by t.place"""
_RECORDS: Final = """
insert into records (stream_id, entity, key, version, cells)
select s.id, q.entity, 1, 1, q.cells from unnest($1::bigint[], $2::smallint[], $3::bytea[]) as q (user_id, entity, cells)
join accounts a on a.id = q.user_id join streams s on s.space_id = a.personal_space and s.kind = 8"""


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """There is no peer: none of them looks for anybody."""
    mentors = QUICK_MENTORS if options.quick else MENTORS
    alone, together = (QUICK, QUICK) if options.quick else (ALONE, TOGETHER)
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        async with open_ours(Path(name), gateways=1, people=LEARNERS, environment=UNBOUNDED, ml=True) as ours, AsyncExitStack() as stack:
            url = f"http://127.0.0.1:{ours.ports[0]}"
            learners = [await stack.enter_async_context(connect(url, token_of(person))) for person in ours.people]
            for learner in learners:
                await learner.online()
            await _fill(ours, mentors, chance)
            pages_s = await _read_pages(ours)
            by = (await _wait_until_fed(learners[0], mentors, [])).by
            await _search(learners[:1], 20, chance)  # warm
            one, _ = await _search(learners[:1], alone, chance)
            cpu_s, began_s = sum(spent_s(ours).values()), trio.current_time()
            many, _ = await _search(learners, together, chance)
            cost_ms = (sum(spent_s(ours).values()) - cpu_s) / together * 1000
            per_s = together / (trio.current_time() - began_s)
            model_mib = resident_tree_kib(ours.parts()["models"]) / 1024
            degraded: list[float] = []
            began_s = trio.current_time()
            os.kill(ours.parts()["models"][0], signal.SIGKILL)
            await _wait_until_fed(learners[0], mentors, degraded)
            fed_s = trio.current_time() - began_s
    say(
        f"matching: {mentors:,} mentors, by {by}: one at a time p50 {_percentile(one, 50):.1f} ms, p99 {_percentile(one, 99):.1f} ms; "
        f"{LEARNERS} at once p50 {_percentile(many, 50):.1f} ms, p99 {_percentile(many, 99):.1f} ms, {per_s:.0f} a second, "
        f"{cost_ms:.1f} ms of CPU each; pages of the feed {pages_s:.1f} s; killed, the model is back over all of them after {fed_s:.1f} s, "
        f"and {len(degraded)} searches meanwhile were answered by fixed weights, p50 {_percentile(degraded, 50):.1f} ms, "
        f"p99 {_percentile(degraded, 99):.1f} ms; the models take {model_mib:.0f} MiB"
    )
    goals = {} if options.quick else GOALS
    of = f"a mentor found among {mentors:,}, over the socket"
    return [
        Measured(f"{of}, one at a time, p50", _percentile(one, 50), "ms", goal=goals.get("p50")),
        Measured(f"{of}, one at a time, p99", _percentile(one, 99), "ms", goal=goals.get("p99")),
        Measured(f"{of}, {LEARNERS} at once, p50", _percentile(many, 50), "ms"),
        Measured(f"{of}, {LEARNERS} at once, p99", _percentile(many, 99), "ms"),
        Measured(f"searches a second, {LEARNERS} at once", per_s, "/s"),
        Measured("server CPU a search", cost_ms, "ms", note="gateway, Postgres, Valkey, model and jobs"),
        Measured(f"all of {mentors:,} mentors read from Postgres, as the model is fed", pages_s, "s"),
        Measured(f"the ML process is killed: until the model answers over all {mentors:,} again", fed_s, "s"),
        Measured("meanwhile, by fixed weights over 200 at most, one at a time, p50", _percentile(degraded, 50), "ms"),
        Measured("meanwhile, by fixed weights over 200 at most, one at a time, p99", _percentile(degraded, 99), "ms"),
        Measured("memory of the processes of all models", model_mib, "MiB"),
    ]


async def _fill(ours: Ours, mentors: int, chance: random.Random) -> None:
    """Accounts with records, settled: by the ML process every second, and here."""
    for done in range(0, mentors, STEP):
        count = min(STEP, mentors - done)
        await ours.ask(partial(_make, first=done + 1, count=count, chance=chance))
    await ours.ask(_analyze)
    claimed = CLAIM_MAX
    while claimed == CLAIM_MAX or await ours.ask(_unsettled):
        claimed = await ours.ask(partial(settle_some, trust_min=0.45))


async def _make(tx: asyncpg.Connection, *, first: int, count: int, chance: random.Random) -> None:
    users = [row["user_id"] for row in await tx.fetch(_MENTORS, first, first + count - 1)]
    await tx.execute("update accounts set trust = $2 where id = any($1)", users, TRUST)
    rows = [(user, entity, cells) for user in users for entity, cells in _records(chance)]
    await tx.execute(_RECORDS, *(list(column) for column in zip(*rows, strict=True)))


def _records(chance: random.Random) -> list[tuple[int, bytes]]:
    mentoring: Fields = {
        1: True,
        2: tuple(dict.fromkeys(chance.choices(SUBJECTS, k=chance.randint(1, 3)))),
        3: chance.getrandbits(11),
        4: chance.getrandbits(8),
        5: _hours(chance),
        6: chance.randint(1, 5),
        7: "I like to see how others come to understand something.",
    }
    profile: Fields = {3: tuple(dict.fromkeys(chance.choices(LANGUAGES, k=2))), 4: chance.choice(ZONES)}
    return [(int(Entity.MENTORING), _packed(mentoring)), (int(Entity.PROFILE), _packed(profile))]


def _hours(chance: random.Random) -> tuple[int, ...]:
    """Some hours of most evenings."""
    return tuple((2**HOURS_ENOUGH - 1) << chance.randint(8, 19) if chance.random() < 0.6 else 0 for _ in range(7))


def _packed(fields: Fields) -> bytes:
    return pack_record(Record(1, {number: Cell(value, 1, Stamp(1, 0, 1)) for number, value in fields.items()}))


async def _analyze(tx: asyncpg.Connection) -> None:
    # As autovacuum would have found soon after.
    for table in ("accounts", "spaces", "members", "streams", "records"):
        await tx.execute(f"analyze {table}")


async def _unsettled(tx: asyncpg.Connection) -> bool:
    waiting: bool = await tx.fetchval("select exists (select from mentor_unsettled)")
    return waiting


async def _read_pages(ours: Ours) -> float:
    began_s, after, more = trio.current_time(), (), True
    while more:
        read: Any = await ours.ask(partial(page, after=after))
        after, more = read.mark, read.more
    return trio.current_time() - began_s


async def _wait_until_fed(learner: Session, mentors: int, degraded: list[float]) -> MentorsFound:
    """Asks until the model has looked at all of them. `degraded`: gets the milliseconds of what was answered without it."""
    with trio.move_on_after(READY_S):
        while True:
            began_s = trio.current_time()
            found = await learner.find_mentors("algebra")
            if not found.degraded and found.considered >= mentors:
                return found
            if found.degraded:
                degraded.append((trio.current_time() - began_s) * 1000)
            await trio.sleep(LOOK_S)
    raise GeneratorFailed(f"the model has not heard of all mentors within {READY_S:g} s: {found.considered} of {mentors}, {found.degraded}")


async def _search(learners: list[Session], searches: int, chance: random.Random) -> tuple[list[float], int]:
    """Milliseconds of each search; and how many mentors were shown in all."""
    times_ms: list[float] = []
    shown = 0
    asks = iter([_asks(chance) for _ in range(searches)])

    async def learn(learner: Session) -> None:
        nonlocal shown
        for ask in asks:
            began_s = trio.current_time()
            found: MentorsFound = await learner.find_mentors(*ask["subjects"], **ask["others"])
            times_ms.append((trio.current_time() - began_s) * 1000)
            if found.degraded or not found.mentors:
                raise GeneratorFailed(f"a search found {len(found.mentors)} mentors: {found.degraded}")
            shown += len(found.mentors)

    async with trio.open_nursery() as nursery:
        for learner in learners:
            nursery.start_soon(learn, learner)
    return times_ms, shown


def _asks(chance: random.Random) -> dict[str, Any]:
    return {
        "subjects": tuple(dict.fromkeys(chance.choices(SUBJECTS, k=2))),
        "others": {"level": chance.randint(0, 10), "languages": (chance.choice(LANGUAGES),), "hours": _hours(chance), "limit": 10},
    }


def _percentile(values: list[float], share: int) -> float:
    return quantiles(values, n=100, method="inclusive")[share - 1] if len(values) > 1 else sum(values)

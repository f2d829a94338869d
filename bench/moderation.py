"""What is said, judged: how soon after a post its verdict is there, how soon others see it taken back, and how much a second.

    writers ─ 50 posts/s, each tenth an insult ─▶ two gateways ─▶ committed, delivered ─▶ moderator ─▶ model ─▶ taken back
    a reader at each gateway ◀─ deliveries (chat beside) ◀──────────────────────────────────────────────────────╯
    a backlog ─▶ one gateway that may look at as much as it can ─▶ texts a second, CPU a text

The figure of the verdict is read from the gateways' own histograms: the bound below which 99 % are. The model is the shipped one, in its
own process; where it does not answer the rows say that it was the lexicon.
"""

from __future__ import annotations

import re
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Final

import asyncpg
import msgspec
import trio

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed, open_generator
from bench.ours import ENVIRONMENT, Ours, open_ours
from bench.population import Person, Room
from bench.stage import Options, spent_s
from client import Session, connect
from protocol.events import Said, TakenBack
from protocol.frames import Event
from protocol.operations import Say

ROOMS: Final = 20
MEMBERS: Final = 3
PER_S: Final = 50.0
RUN_S: Final = 20.0
QUICK_S: Final = 4.0
INSULTS: Final = 10
"""Each such is one."""
BACKLOG: Final = 4_000
QUICK_BACKLOG: Final = 400
READY_S: Final = 30.0
GIVE_UP_S: Final = 120.0
LOOK_S: Final = 0.05
GOALS: Final = {"verdict": Goal(figure_max=150.0), "taken": Goal(figure_max=1_000.0), "texts": Goal(figure_min=500)}
HARMLESS: Final = (
    "has anybody understood the second exercise, number {n}",
    "I think that {n} is the right answer, because both sides are equal",
    "wir treffen uns morgen um {n} Uhr in der Bibliothek",
    "photosynthesis needs light, water and carbon dioxide ({n})",
    "thank you, that helped me a lot with part {n}",
)
HARMFUL: Final = "you are a stupid worthless idiot and everybody hates you {n}"


class Token(msgspec.Struct, frozen=True):
    """What `connect` needs of somebody who is logged in already (`client.settings.Grant`)."""

    user: int
    device: int
    access_token: str
    inbox: int = 0
    expires_at: float = 2.0**40

    async def renew(self) -> None:
        """It lasts for longer than the measure."""


def token_of(person: Person) -> Token:
    """Somebody's right to open a socket."""
    return Token(person.user, person.device, person.token)


class Times(msgspec.Struct):
    """Seconds from when a post was due."""

    due_s: dict[str, float] = {}
    delivered: list[float] = []
    taken: list[float] = []
    answered: list[float] = []


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """There is no peer: none of them judges anything."""
    run_s = QUICK_S if options.quick else RUN_S
    async with _opened(2, ENVIRONMENT) as (ours, _):
        rooms = await ours.rooms(ROOMS, MEMBERS)
        async with _seated(ours, rooms) as (writers, readers):
            by = await _wait_for_model(ours, writers[0], rooms[0].stream)
            before, cpu_s = await _verdicts(ours), sum(spent_s(ours).values())
            times = await _talk(writers, readers, rooms, run_s)
            cores = (sum(spent_s(ours).values()) - cpu_s) / run_s
            verdict_ms = 1000 * _quantile(before, await _verdicts(ours), 0.99)
    p50, p99 = (_percentile(times.taken, share) * 1000 for share in (50, 99))
    chat = _percentile(times.delivered, 99) * 1000
    say(
        f"moderation: by {by}, {PER_S:g} posts/s: verdict p99 ≤ {verdict_ms:g} ms, {len(times.taken)} taken back: "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms; delivered p99 {chat:.1f} ms; {cores:.2f} cores of server CPU"
    )
    per_s, cost_us = await _backlog(options, say)
    at = f"{PER_S:g} posts/s at two gateways, by {by}"
    return [
        Measured(f"from commit to verdict, {at}, p99 (upper bound)", verdict_ms, "ms", goal=GOALS["verdict"]),
        Measured(f"from post to seeing it taken back, {at}, p50", p50, "ms"),
        Measured(f"from post to seeing it taken back, {at}, p99", p99, "ms", goal=GOALS["taken"]),
        Measured(f"from post to delivery beside that, {at}, p99", chat, "ms"),
        Measured(f"texts judged, one gateway, by {by}", per_s, "/s", goal=GOALS["texts"]),
        Measured(f"server CPU a text judged, by {by}", cost_us, "µs", note="gateway, Postgres, Valkey and model; posting included"),
    ]


@asynccontextmanager
async def _opened(gateways: int, environment: Mapping[str, str]) -> AsyncIterator[tuple[Ours, Path]]:
    """The whole system, with its models."""
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        folder = Path(name)
        async with open_ours(folder, gateways=gateways, people=ROOMS * MEMBERS, environment=environment, ml=True) as ours:
            yield ours, folder


@asynccontextmanager
async def _seated(ours: Ours, rooms: list[Room]) -> AsyncIterator[tuple[list[Session], list[Session]]]:
    """A writer for each room, taking turns at the gateways, and for each room a reader at the other."""
    urls = [f"http://127.0.0.1:{port}" for port in ours.ports]
    async with AsyncExitStack() as stack:
        writers, readers = [], []
        for place, room in enumerate(rooms):
            writers.append(await stack.enter_async_context(connect(urls[place % 2], token_of(room.people[1]))))
            readers.append(await stack.enter_async_context(connect(urls[(place + 1) % 2], token_of(room.people[2]))))
        for session in (*writers, *readers):
            await session.online()
        for room, reader in zip(rooms, readers, strict=True):
            reader.follow(room.stream)
            await reader.ping()
        yield writers, readers


async def _talk(writers: list[Session], readers: list[Session], rooms: list[Room], run_s: float) -> Times:
    times = Times()
    posts = int(run_s * PER_S)
    harmful: dict[tuple[int, int], float] = {}
    expected = len(range(0, posts, INSULTS))

    async def read(reader: Session, stream: int) -> None:
        async for event in reader.events(stream):
            now = trio.current_time()
            if isinstance(event, Event) and isinstance(event.body, Said) and event.body.text in times.due_s:
                due_s = times.due_s[event.body.text]
                times.delivered.append(now - due_s)
                harmful[stream, event.seq] = due_s
            elif isinstance(event, Event) and isinstance(event.body, TakenBack):
                times.taken.append(now - harmful.pop((stream, event.body.target)))

    async def post(number: int, due_s: float) -> None:
        text = (HARMFUL if number % INSULTS == 0 else HARMLESS[number % len(HARMLESS)]).format(n=number)
        times.due_s[text] = due_s
        room = number % len(rooms)
        await writers[room].do(Say(rooms[room].stream, text))
        times.answered.append(trio.current_time() - due_s)

    async with trio.open_nursery() as reading:
        for reader, room in zip(readers, rooms, strict=True):
            reading.start_soon(read, reader, room.stream)
        begin_s = trio.current_time() + 0.5
        async with trio.open_nursery() as posting:
            for number in range(posts):
                due_s = begin_s + number / PER_S
                await trio.sleep_until(due_s)
                posting.start_soon(post, number, due_s)
        with trio.move_on_after(10):
            while len(times.taken) < expected or len(times.delivered) < posts:  # noqa: ASYNC110 (two counts that others raise)
                await trio.sleep(LOOK_S)
        reading.cancel_scope.cancel()
    if len(times.delivered) < posts:
        raise GeneratorFailed(f"{posts - len(times.delivered)} of {posts} posts were not delivered")
    if len(times.taken) < expected:
        raise GeneratorFailed(f"{expected - len(times.taken)} of {expected} insults were not taken back")
    return times


async def _backlog(options: Options, say: Callable[[str], None]) -> tuple[float, float]:
    """Texts a second, and µs of CPU each: one gateway that looks at as much as it can."""
    texts = QUICK_BACKLOG if options.quick else BACKLOG
    environment = {**ENVIRONMENT, "EDUCONNECT_MODERATION_PER_S": "10000"}
    async with _opened(1, environment) as (ours, folder):
        rooms = await ours.rooms(ROOMS, MEMBERS)
        async with connect(f"http://127.0.0.1:{ours.ports[0]}", token_of(rooms[0].people[1])) as session:
            by = await _wait_for_model(ours, session, rooms[0].stream)
        plan = await ours.plan(rooms, follows=False)
        async with open_generator(plan, folder) as generator:
            await generator.connect(len(plan.seats))
            began_s, cpu_s = trio.current_time(), sum(spent_s(ours).values())
            await generator.post(texts, 4)
            with trio.fail_after(GIVE_UP_S):
                while await ours.ask(_behind):  # noqa: ASYNC110 (it is asked of the database)
                    await trio.sleep(LOOK_S)
            wall_s, cpu_s = trio.current_time() - began_s, sum(spent_s(ours).values()) - cpu_s
    cost_us = cpu_s / texts * 1e6
    say(f"moderation: by {by}: {texts:,} texts in {wall_s:.1f} s, {texts / wall_s:,.0f} a second, {cost_us:,.0f} µs of CPU each")
    return texts / wall_s, cost_us


async def _behind(connection: asyncpg.Connection) -> int:
    behind: int = await connection.fetchval(
        "select count(*) from streams s left join moderation_cursors c on c.stream_id = s.id"
        " where s.kind = 3 and s.head > coalesce(c.upto, 0)"
    )
    return behind


async def _wait_for_model(ours: Ours, session: Session, stream: int) -> str:
    """Who judges: the model, as soon as it does; else the lexicon."""
    with trio.move_on_after(READY_S):
        while True:
            await session.do(Say(stream, "is anybody there"))
            await trio.sleep(0.5)
            if sum(count for _, count in await _buckets(ours, "educonnect_moderation_model_seconds")):
                return "the model"
    return "the lexicon"


async def _verdicts(ours: Ours) -> list[tuple[float, float]]:
    return await _buckets(ours, "educonnect_moderation_verdict_seconds")


async def _buckets(ours: Ours, name: str) -> list[tuple[float, float]]:
    """A histogram of all gateways together: bounds and how many were below each."""
    total: dict[float, float] = {}
    for port in ours.ports:
        text = await trio.to_thread.run_sync(_read, f"http://127.0.0.1:{port}/metrics")
        for bound, count in re.findall(rf'^{name}_bucket{{.*?le="([^"]+)".*?}} (\S+)', text, re.MULTILINE):
            total[float(bound)] = total.get(float(bound), 0.0) + float(count)
    return sorted(total.items())


def _read(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        text: bytes = answer.read()
    return text.decode()


def _quantile(before: list[tuple[float, float]], after: list[tuple[float, float]], share: float) -> float:
    then = dict(before)
    counts = [(bound, count - then.get(bound, 0.0)) for bound, count in after]
    return next(bound for bound, count in counts if count >= share * counts[-1][1])


def _percentile(values: list[float], share: int) -> float:
    return quantiles(values, n=100, method="inclusive")[share - 1] if len(values) > 1 else values[0]

"""A run: the stage, the crews, round after round, and rest at the end.

    stage ─▶ people ─▶ crews ─▶ rest? ─▶ ┌ talk, strike, heal, converge, probe, judge ┐ × rounds ─▶ all leave ─▶ rest?
                                          └────────────────────────────────────────────┘

Choices follow the seed; what they meet is the real world's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import asyncpg
import trio
from msgspec import Struct, field

from actors.storage_port import StorageError
from persistence.bridge import Bridge
from proofs.faulting import crew
from proofs.faulting.catalogue import Strike, draw
from proofs.faulting.copies import Post, digest_raw
from proofs.faulting.people import Numbers, make_members
from proofs.faulting.rest import leaks, look_at_rest
from proofs.faulting.stage import HEARTBEAT_S, Stage, open_bridge, open_stage
from proofs.faulting.steering import helper
from proofs.faulting.striking import Crew, Hand, Mark
from proofs.faulting.verdict import Ledger, Row
from protocol.codec import decode_body
from protocol.events import Said

CONVERGE_S = 10.0
PATIENCE_S = 40.0
"""How long a run waits to see whether what is late comes at all."""
DEAF_S = 5.0
NEIGHBOUR_P99_S = 1.0
PROBE_S = 1.0
LOOK_S = 0.1
READ_S = 30.0
NUMBERS_A_CREW = 10_000_000


class Options(Struct, frozen=True):
    """What is asked for. `only`: the kinds of faults to draw from, all if empty; `first`: the round to begin with."""

    rounds: int = 100
    seed: int = 1
    first: int = 1
    gateways: int = 2
    real: int = 30
    light: int = 270
    poor: int = 0
    communities: int = 15
    rate_per_s: float = 30.0
    only: tuple[str, ...] = ()
    verbose: bool = False


class Outcome(Struct):
    """One round. `slowest_s`: from healing to the last device that had everything; below 0: not within the patience."""

    number: int
    strikes: tuple[Strike, ...]
    marks: list[Mark]
    posts: int = 0
    events: int = 0
    copies: int = 0
    slowest_s: float = 0.0
    slowest: str = ""
    p99_ms: int = 0
    neighbours_ms: int = -1
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Result(Struct):
    """All of it."""

    rounds: list[Outcome] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What is wrong beyond the rounds: leaks."""
    posts: int = 0
    rest: list[str] = field(default_factory=list)

    @property
    def violations(self) -> int:
        return len(self.wrong) + sum(len(outcome.wrong) for outcome in self.rounds)


Say = Callable[[str], None]


async def run_all(options: Options, folder: Path, say: Say) -> Result:
    """The whole run, with everything in `folder`, which is to be empty."""
    chance = Random(options.seed)
    numbers = Numbers(options.real, options.light, options.poor, options.communities)
    result = Result()
    async with open_stage(folder, options.gateways, verbose=options.verbose) as stage, AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(open_bridge(stage.dsn))
        say(f"the house stands: {options.gateways} gateways, heartbeat {HEARTBEAT_S} s" + ("" if stage.has_disk else "; no disk to fill"))
        urls = [f"http://{host}:{port}" for host, port in stage.places]
        members = await make_members(numbers, urls, chance)
        before = await look_at_rest(stage, bridge)
        crews = []
        shares = (members[: options.real], members[options.real : options.real + options.light])
        for number, share in enumerate(shares):
            if share:
                name = ("real", "light")[number]
                one: Crew = await stack.enter_async_context(helper(name, "proofs.faulting.crew", crew.Answer, folder))
                first = (number + 1) * NUMBERS_A_CREW
                await one.ask(crew.Order(enter=crew.Entry(tuple(share), stage.places, HEARTBEAT_S, chance.randrange(1 << 30), first)))
                crews.append(one)
        have = frozenset({"disk"} if stage.has_disk else ())
        rounds = Rounds(options, stage, crews, members, bridge, have)
        await rounds.gather()
        say(f"{len(members)} devices are in, {options.real} of them the real client")
        for number in range(options.first, options.first + options.rounds):
            outcome = await rounds.play(number)
            result.rounds.append(outcome)
            say(line(outcome))
            for wrong in outcome.wrong:
                say(f"  ! {wrong}")
            if outcome.slowest_s < 0:
                say(f"  a run cannot go on from here; again: --seed {options.seed} --from {number} --rounds 1")
                break
        result.posts = rounds.ledger.acknowledged
        await _leave(crews)
        after = await look_at_rest(stage, bridge, like=before)
        result.wrong += leaks(before, after)
        result.rest = [str(rest) for rest in after]
    return result


async def _leave(crews: Sequence[Crew]) -> None:
    for one in crews:
        await one.ask(crew.Order(act="stop"))


class Rounds:
    """What is known from round to round."""

    def __init__(
        self, options: Options, stage: Stage, crews: Sequence[Crew], members: Sequence[crew.Member], bridge: Bridge, have: frozenset[str]
    ) -> None:
        self._options = options
        self._stage = stage
        self._crews = crews
        self._bridge = bridge
        self._have = have
        self.ledger = Ledger()
        self._streams = sorted({stream for member in members for stream in member.streams})
        self._read = dict.fromkeys(self._streams, 0)
        self.hand = Hand(stage, crews, [member.login.device for member in members], bridge)
        self._faults: list[str] = []
        self._latest_posts: list[Post] = []

    async def gather(self) -> None:
        """Waits until everybody is there and has everything, before anything is broken."""
        with trio.fail_after(60):
            while await self._whole():  # noqa: ASYNC110 (helpers answer, and never call)
                await trio.sleep(LOOK_S)
        outcome = Outcome(0, (), [])
        await self._judge(outcome, ())
        if outcome.wrong:
            raise AssertionError(f"wrong before anything was broken: {outcome.wrong[:3]}")

    async def play(self, number: int) -> Outcome:
        """One round."""
        options = self._options
        began = time.monotonic()
        strikes = draw(options.seed, number, options.gateways, self._have, options.only)
        outcome = Outcome(number, strikes, [])
        await self._talk(options.rate_per_s)
        healed_at = await self.hand.play(strikes, Random(f"{options.seed} play {number}"))
        outcome.marks = list(self.hand.marks)
        await self._talk(0.0)
        await self._converge(outcome, healed_at)
        windows = tuple(self.hand.windows)
        if outcome.slowest_s >= 0:
            probe_at = time.monotonic()
            await self._talk(options.rate_per_s)
            await trio.sleep(PROBE_S)
            await self._talk(0.0)
            probe = Outcome(number, (), [])
            await self._converge(probe, time.monotonic(), DEAF_S)
            outcome.wrong += [f"after healing: {wrong}" for wrong in probe.wrong]
            assert probe_at
        await self._judge(outcome, windows)
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _talk(self, per_s: float) -> None:
        await self._tell(crew.Order(talk_per_s=per_s / len(self._crews)))

    async def _tell(self, order: crew.Order) -> list[crew.Answer]:
        return [await one.ask(order) for one in self._crews]

    async def _converge(self, outcome: Outcome, healed_at: float, allowed_s: float = CONVERGE_S) -> None:
        """Waits until everybody has everything; notes how long that took and who was last."""
        last = ""
        while time.monotonic() < healed_at + PATIENCE_S:
            missing = await self._whole()
            if not missing:
                outcome.slowest_s = max(0.0, time.monotonic() - healed_at)
                outcome.slowest = last
                break
            last = missing
            await trio.sleep(LOOK_S)
        else:
            outcome.slowest_s = -1.0
            outcome.slowest = last
        if not 0 <= outcome.slowest_s <= allowed_s:
            took = f"{outcome.slowest_s:.1f} s" if outcome.slowest_s >= 0 else f"more than {PATIENCE_S:.0f} s"
            outcome.wrong.append(f"late: it took {took} after healing until every client had everything; last: {last}")

    async def _whole(self) -> str:
        """What is still missing; empty if nothing is."""
        answers = await self._tell(crew.Order(look=True))
        for answer in answers:
            self._take(answer)
        for answer in answers:
            if answer.online < answer.members:
                return f"{answer.members - answer.online} devices are offline, such as {answer.offline[:3]}"
            if answer.open_posts:
                return f"{answer.open_posts} posts without an outcome"
        heads = await self._heads()
        if heads is None:
            return "Postgres does not answer"
        for answer in await self._tell(crew.Order(heads=heads)):
            if answer.behind_count:
                return f"{answer.behind_count} copies are behind, such as (device, stream, has, of) {answer.behind[:2]}"
        return ""

    def _take(self, answer: crew.Answer) -> None:
        self.ledger.said(answer.posts)
        self._latest_posts += answer.posts
        self._faults += answer.faults

    async def _heads(self) -> dict[int, int] | None:
        async def work(connection: asyncpg.Connection) -> dict[int, int]:
            return dict(await connection.fetch("select id, head from streams where id = any ($1)", self._streams))

        try:
            return await self._bridge.run(work, deadline_s=2.0, readonly=True)
        except StorageError:
            return None

    async def _judge(self, outcome: Outcome, windows: tuple[crew.Window, ...]) -> None:
        """Reads what the log has beyond the last round, and compares everybody with it."""
        for answer in await self._tell(crew.Order(look=True)):
            self._take(answer)
        rows = await self._log()
        outcome.events = len(rows)
        outcome.posts = len(self._latest_posts)
        acknowledged = {(post.stream, post.seq): post.acknowledged_at for post in self._latest_posts if post.seq}
        truths: dict[int, crew.Truth] = {}
        said = []
        for stream, seq, author, at, body in rows:
            truth = truths.setdefault(stream, crew.Truth(stream, seq, [], []))
            truth.digests.append(digest_raw(author, at, body))
            truth.acknowledged.append(acknowledged.get((stream, seq), 0.0))
            decoded = decode_body(body)
            said.append(Row(stream, seq, author, decoded.text if isinstance(decoded, Said) else ""))
            self._read[stream] = seq
        outcome.wrong += self.ledger.logged(said)
        outcome.wrong += self.ledger.judge()
        if outcome.slowest_s >= 0:
            outcome.wrong += self.ledger.strangers(0)
        order = crew.Order(truth=tuple(truths.values()), windows=windows, deaf_s=DEAF_S)
        latencies: list[int] = []
        neighbours: list[int] = []
        for answer in await self._tell(order):
            outcome.copies += answer.compared
            outcome.wrong += [f"differs: {difference}" for difference in answer.differing]
            outcome.wrong += [
                f"deaf: event {late.seq} of stream {late.stream} came to device {late.device} over gateway {late.gateway + 1}"
                f" {late.late_s} s after anything was in its way"
                for late in answer.late
            ]
            latencies += answer.latencies_ms
            neighbours += answer.latencies_ms
        outcome.p99_ms = _p99(latencies)
        if self.hand.quiet_windows:
            outcome.neighbours_ms = _p99(neighbours)
            if outcome.neighbours_ms > NEIGHBOUR_P99_S * 1000:
                outcome.wrong.append(f"waited: p99 of those who read is {outcome.neighbours_ms} ms while others did not")
        outcome.wrong += self._faults
        self._faults = []
        self._latest_posts = []

    async def _log(self) -> list[tuple[int, int, int, int, bytes]]:
        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            sql = (
                "select l.stream_id, l.seq, l.author, l.at, l.body from unnest($1::bigint[], $2::bigint[]) q (stream, after)"
                " join log l on l.stream_id = q.stream and l.seq > q.after order by 1, 2"
            )
            rows: list[asyncpg.Record] = await connection.fetch(sql, list(self._read), list(self._read.values()))
            return rows

        return [tuple(row) for row in await self._bridge.run(work, deadline_s=READ_S, readonly=True)]


def _p99(values: list[int]) -> int:
    return sorted(values)[int(0.99 * len(values))] if values else 0


def line(outcome: Outcome) -> str:
    """One round, for people."""
    notes = "; ".join(f"{mark.strike}" + (f" ({mark.note})" if mark.note else "") for mark in outcome.marks)
    healed = f"whole after {outcome.slowest_s:.1f} s" if outcome.slowest_s >= 0 else "NEVER whole"
    waited = f" (last: {outcome.slowest})" if outcome.slowest else ""
    neighbours = f", neighbours' p99 {outcome.neighbours_ms} ms" if outcome.neighbours_ms >= 0 else ""
    counts = f"{outcome.posts} posts, {outcome.events} events, {outcome.copies} copies compared"
    verdict = "ok" if not outcome.wrong else f"{len(outcome.wrong)} VIOLATIONS"
    times = f"{healed}{waited}, p99 {outcome.p99_ms} ms{neighbours} │ {outcome.seconds:.0f} s"
    return f"{outcome.number:4}  {notes} │ {counts} │ {times} │ {verdict}"

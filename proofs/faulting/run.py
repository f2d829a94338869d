"""A run: the stage, the crews, round after round, and rest at the end.

    stage ─▶ people ─▶ crews ─▶ rest? ─▶ ┌ talk, strike, heal, converge, probe, judge ┐ × rounds ─▶ all leave ─▶ rest?
                                          └────────────────────────────────────────────┘

Choices follow the seed; what they meet is the real world's.
"""

from __future__ import annotations

import time
from collections import defaultdict
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
from proofs.faulting.poor import Poor, open_poor
from proofs.faulting.rest import leaks, look, look_at_rest
from proofs.faulting.stage import HEARTBEAT_S, Stage, open_bridge, open_stage
from proofs.faulting.steering import steered
from proofs.faulting.striking import Crew, Hand, Mark
from proofs.faulting.verdict import Ledger, Row
from proofs.faulting.witness import SHOWN_FROM, Witness
from protocol.codec import decode_body
from protocol.events import Said

CONVERGE_S = 10.0
POOR_CONVERGE_S = 20.0
"""The same behind the 2G link. To connect takes three round trips there, 2.4 s; a packet that is lost (one in fifty) is sent again after
1.6 s, and after 3.2 s and 6.4 s more: a post that is lost there and its event that is lost on the way to another have a right to this."""
PATIENCE_S = 40.0
"""How long a run waits to see whether what is late comes at all."""
DEAF_S = 5.0
NEIGHBOUR_MS = 250
NEIGHBOUR_RATIO = 3
"""How much later, at p99, an event may come to those who read while others do not: this much, or so many times what it took before."""
GROWTH_EVERY = 10
"""After so many rounds it is said what each gateway holds."""
LONG_REST_ROUNDS = 20
"""From so many rounds on actors are given the time to be passivated, too."""
PROBE_S = 1.0
TAIL_S = 2.0
"""So long all go on talking after the last fault is healed, or struck where it is a kill; it counts towards their time."""
SPREAD_S = 1.0
SPREAD_MIN = 0.25
"""The share of all sockets that each gateway is to have when a round begins, of what would be even."""
LOOK_S = 0.1
READ_S = 30.0
NUMBERS_A_CREW = 10_000_000
WRONG_SHOWN_MAX = 10
ROOM_MIN = 10
"""Who follow a room that is worth a flood."""


class Options(Struct, frozen=True):
    """What is asked for. `only`: the kinds of faults to draw from, all if empty; `first`: the round to begin with."""

    rounds: int = 100
    seed: int = 1
    first: int = 1
    gateways: int = 2
    real: int = 30
    light: int = 264
    poor: int = 6
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
    sound_s: float = 0.0
    """The same for the last device that is not behind the poor link."""
    slowest_s: float = 0.0
    slowest: str = ""
    p99_ms: int = 0
    neighbours_ms: tuple[int, int] | None = None
    """p99 in a flood that everybody reads, and in one that some do not."""
    seconds: float = 0.0
    others_cores: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Missing(Struct, frozen=True):
    """What keeps a run from being whole, and who."""

    what: str
    devices: list[int] = []
    poor: bool = False
    """Whether it concerns nobody but those behind the poor link."""

    def __str__(self) -> str:
        return f"{self.what}, device {', '.join(map(str, self.devices[:3]))}" if self.devices else self.what


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
    result = Result()
    async with open_stage(folder, options.gateways, verbose=options.verbose) as stage, AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(open_bridge(stage.dsn))
        poor = await stack.enter_async_context(open_poor(stage.poor_doors, folder, options.seed)) if options.poor else "not asked for"
        without = ([] if stage.has_disk else ["no disk that may be filled"]) + ([f"no poor link: {poor}"] if isinstance(poor, str) else [])
        say("; ".join((f"the house stands: {options.gateways} gateways, heartbeat {HEARTBEAT_S} s", *without)))
        urls = [f"http://{host}:{port}" for host, port in stage.places]
        lines = options.poor if isinstance(poor, Poor) else 0
        numbers = Numbers(options.real, options.light + options.poor - lines, lines, options.communities)
        members = await make_members(numbers, urls, chance)
        before = await look_at_rest(stage)
        parties = [
            Party("real", members[: numbers.real], stage.places),
            Party("light", members[numbers.real : numbers.real + numbers.light], stage.places),
        ]
        if isinstance(poor, Poor):
            parties.append(Party("poor", members[numbers.real + numbers.light :], poor.places, poor.before))
        crews = [await _enter(party, number, folder, chance, stack) for number, party in enumerate(parties, 1) if party.members]
        background = await stack.enter_async_context(trio.open_nursery())
        rounds = Rounds(options, stage, crews, parties, bridge, poor if isinstance(poor, Poor) else None, background)
        await rounds.gather()
        counts = ", ".join(f"{len(party.members)} {party.name}" for party in parties)
        say(f"{len(members)} devices are in: {counts}")
        for number in range(options.first, options.first + options.rounds):
            outcome = await rounds.play(number)
            result.rounds.append(outcome)
            say(line(outcome))
            for wrong in outcome.wrong[:WRONG_SHOWN_MAX]:
                say(f"  ! {wrong}")
            if number % GROWTH_EVERY == 0:
                say("      " + "; ".join([str(await look(stage, gateway)) for gateway in range(options.gateways)]))
            if outcome.slowest_s < 0:
                say(f"  a run cannot go on from here; again: --seed {options.seed} --from {number} --rounds 1")
                break
        result.posts = rounds.ledger.acknowledged
        for one in crews:
            await one.ask(crew.Order(act="stop"))
        thorough = len(result.rounds) >= LONG_REST_ROUNDS
        after = await look_at_rest(stage, like=before, thorough=thorough)
        result.wrong += leaks(before, after, thorough=thorough)
        result.rest = [str(rest) for rest in after]
    return result


class Party(Struct, frozen=True):
    """Devices of one kind, in a process of their own. `before`: what its command begins with."""

    name: str
    members: list[crew.Member]
    places: tuple[tuple[str, int], ...]
    before: list[str] = []


async def _enter(party: Party, number: int, folder: Path, chance: Random, stack: AsyncExitStack) -> Crew:
    one: Crew = await stack.enter_async_context(steered(party.name, "proofs.faulting.crew", crew.Answer, folder, before=party.before))
    entry = crew.Entry(tuple(party.members), party.places, HEARTBEAT_S, chance.randrange(1 << 30), number * NUMBERS_A_CREW)
    await one.ask(crew.Order(enter=entry))
    return one


class Rounds:
    """What is known from round to round."""

    now = staticmethod(time.monotonic)

    def __init__(
        self,
        options: Options,
        stage: Stage,
        crews: Sequence[Crew],
        parties: Sequence[Party],
        bridge: Bridge,
        poor: Poor | None,
        background: trio.Nursery,
    ) -> None:
        self._options = options
        self._stage = stage
        self._crews = crews
        self._parties = [party for party in parties if party.members]
        self._bridge = bridge
        self._have = frozenset(name for name, has in (("disk", stage.has_disk), ("poor", poor is not None)) if has)
        self.ledger = Ledger()
        members = [member for party in parties for member in party.members]
        self._streams = sorted({stream for member in members for stream in member.streams})
        self._read = dict.fromkeys(self._streams, 0)
        devices = [member.login.device for party in parties if party.name != "poor" for member in party.members]
        self.hand = Hand(stage, crews, _rooms(parties), devices, bridge, poor.cut if poor is not None else None)
        self._background = background
        self._crashed: dict[int, dict[str, int]] = {}
        self._told: set[str] = set()
        """What is wrong with the log stays wrong; it is said in the round in which it came to light."""
        self._faults: list[str] = []
        self._latest_posts: list[Post] = []

    async def gather(self) -> None:
        """Waits until everybody is there and has everything, before anything is broken."""
        with trio.fail_after(60):
            while await self._whole():  # noqa: ASYNC110 (they answer, and never call)
                await trio.sleep(LOOK_S)
        outcome = Outcome(0, (), [])
        await self._judge(outcome, ())
        if outcome.wrong:
            raise AssertionError(f"wrong before anything was broken: {outcome.wrong[:3]}")

    async def play(self, number: int) -> Outcome:
        """One round."""
        options = self._options
        began = time.monotonic()
        witness = Witness()
        witness.begin()
        strikes = draw(options.seed, number, options.gateways, self._have, options.only)
        outcome = Outcome(number, strikes, [])
        await self._spread(Random(f"{options.seed} spread {number}"))
        await self._talk(options.rate_per_s)
        healed_at = await self.hand.play(strikes, Random(f"{options.seed} play {number}"), self._background)
        outcome.marks = list(self.hand.marks)
        if not self.hand.spans:  # whoever flooded has stopped, and it is to be seen how soon all have everything
            await trio.sleep(TAIL_S)
        await self._talk(0.0)
        await self._converge(outcome, healed_at)
        await self.hand.settle()
        windows = tuple(self.hand.windows)
        if outcome.slowest_s >= 0:
            await self._talk(options.rate_per_s)
            await trio.sleep(PROBE_S)
            await self._talk(0.0)
            probe = Outcome(number, (), [])
            await self._converge(probe, time.monotonic())
            outcome.wrong += [f"after healing: {wrong}" for wrong in probe.wrong]
        await self._judge(outcome, windows)
        outcome.wrong += await self._crashes()
        outcome.seconds = time.monotonic() - began
        outcome.others_cores = witness.others_cores()
        return outcome

    async def _spread(self, chance: Random) -> None:
        """Where a gateway was away, all are at the others now: half of them lose their lines, and come back anywhere."""
        answers = await self._tell(crew.Order(look=True))
        at: defaultdict[int, int] = defaultdict(int)
        for answer in answers:
            self._take(answer)
            for place, count in answer.places.items():
                at[place] += count
        even = sum(at.values()) / self._options.gateways
        if all(at[place] >= SPREAD_MIN * even for place in range(self._options.gateways)):
            return
        devices = [member.login.device for party in self._parties for member in party.members if party.name != "poor"]
        await self._tell(crew.Order(act="drop", devices=tuple(chance.sample(devices, len(devices) // 2))))
        with trio.move_on_after(PATIENCE_S):
            await trio.sleep(SPREAD_S)
            while await self._whole():  # noqa: ASYNC110 (they answer, and never call)
                await trio.sleep(LOOK_S)

    async def _talk(self, per_s: float) -> None:
        await self._tell(crew.Order(talk_per_s=per_s / len(self._crews)))

    async def _tell(self, order: crew.Order) -> list[crew.Answer]:
        return [await one.ask(order) for one in self._crews]

    async def _converge(self, outcome: Outcome, healed_at: float) -> None:
        """Waits until everybody has everything; notes how long that took, and who was last: of those on sound lines, and of all."""
        last = Missing("")
        sound_s = -1.0
        while self.now() < healed_at + PATIENCE_S:
            missing = await self._whole()
            since_s = max(0.0, self.now() - healed_at)
            if sound_s < 0 and (missing is None or missing.poor):
                sound_s = since_s
                self._judge_time(outcome, last, sound_s, CONVERGE_S)
            if missing is None:
                outcome.slowest_s, outcome.slowest = since_s, str(last)
                break
            last = missing
            await trio.sleep(LOOK_S)
        else:
            outcome.slowest_s, outcome.slowest = -1.0, str(last)
        outcome.sound_s = sound_s
        if last.poor or sound_s < 0:
            self._judge_time(outcome, last, outcome.slowest_s, POOR_CONVERGE_S if last.poor else CONVERGE_S)
        if any(wrong.startswith("late") for wrong in outcome.wrong):
            for answer in await self._tell(crew.Order(act="story", devices=tuple(last.devices[:3]), value=healed_at)):
                outcome.wrong += [f"  {story}" for story in answer.stories]

    def _judge_time(self, outcome: Outcome, last: Missing, took_s: float, allowed_s: float) -> None:
        if not 0 <= took_s <= allowed_s:
            took = f"{took_s:.1f} s" if took_s >= 0 else f"more than {PATIENCE_S:.0f} s"
            who = "every client behind the 2G link" if last.poor else "every client"
            outcome.wrong.append(f"late: it took {took} after healing until {who} had everything; last: {last}")

    async def _whole(self) -> Missing | None:
        """What is still missing, if anything is: on a sound line rather than behind the poor one."""
        answers = await self._tell(crew.Order(look=True))
        for answer in answers:
            self._take(answer)
        heads = await self._heads()
        if heads is None:
            return Missing("Postgres does not answer")
        behind = await self._tell(crew.Order(heads=heads))
        found = [_missing(*one) for one in zip(self._parties, answers, behind, strict=True)]
        return min((missing for missing in found if missing is not None), key=lambda missing: missing.poor, default=None)

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
        found = [*self.ledger.logged(said), *self.ledger.judge()]
        if outcome.slowest_s >= 0:
            found += self.ledger.strangers(0)
        outcome.wrong += [wrong for wrong in found if wrong not in self._told]
        self._told.update(found)
        whole = tuple(truths.values())
        latencies: list[int] = []
        spans: list[list[int]] = [[] for _ in self.hand.spans]
        for party, one in zip(self._parties, self._crews, strict=True):
            poor = party.name == "poor"  # what comes late there is late on its own line
            deaf_s = 0.0 if poor else DEAF_S
            answer = await one.ask(crew.Order(truth=whole, windows=windows, deaf_s=deaf_s, spans=tuple(self.hand.spans)))
            outcome.copies += answer.compared
            outcome.wrong += [f"differs: {difference}" for difference in answer.differing]
            outcome.wrong += [
                f"deaf: event {late.seq} of stream {late.stream} came to device {late.device} over gateway {late.gateway + 1}"
                f" {late.late_s} s after anything was in its way"
                for late in answer.late
            ]
            if poor:
                continue
            latencies += answer.latencies_ms
            for span, more in zip(spans, answer.spans_ms, strict=True):
                span += more
        outcome.p99_ms = _p99(latencies)
        if spans:
            otherwise_ms, meanwhile_ms = outcome.neighbours_ms = _p99(spans[0] + spans[2]), _p99(spans[1])
            if meanwhile_ms > max(NEIGHBOUR_MS, NEIGHBOUR_RATIO * otherwise_ms):
                outcome.wrong.append(
                    f"waited: p99 of those who read is {meanwhile_ms} ms while others do not, and {otherwise_ms} ms otherwise"
                )
        outcome.wrong += self._faults
        self._faults = []
        self._latest_posts = []

    async def _crashes(self) -> list[str]:
        """What crashed in gateways since the last round, though nothing of the world may bring it down."""
        wrong = []
        for gateway in range(self._options.gateways):
            rest = await look(self._stage, gateway)
            before = self._crashed.get(rest.pid, {})
            for what, count in rest.crashes.items():
                if count > before.get(what, 0):
                    wrong.append(f"crashed: gateway {gateway + 1}: {count - before.get(what, 0)} × {what}")
            self._crashed[rest.pid] = rest.crashes
        return wrong

    async def _log(self) -> list[tuple[int, int, int, int, bytes]]:
        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            sql = (
                "select l.stream_id, l.seq, l.author, l.at, l.body from unnest($1::bigint[], $2::bigint[]) q (stream, after)"
                " join log l on l.stream_id = q.stream and l.seq > q.after order by 1, 2"
            )
            rows: list[asyncpg.Record] = await connection.fetch(sql, list(self._read), list(self._read.values()))
            return rows

        return [tuple(row) for row in await self._bridge.run(work, deadline_s=READ_S, readonly=True)]


def _missing(party: Party, looked: crew.Answer, behind: crew.Answer) -> Missing | None:
    """What a party still misses, if anything."""
    poor = party.name == "poor"
    if looked.online < looked.members:
        return Missing(f"{looked.members - looked.online} devices are offline", looked.offline, poor)
    if looked.open_posts:
        return Missing(f"{looked.open_posts} posts without an outcome", looked.open_devices, poor)
    if behind.behind_count:
        _, stream, has, head = behind.behind[0]
        what = f"{behind.behind_count} copies are behind, such as that of stream {stream} with {has} of {head}"
        return Missing(what, list(dict.fromkeys(device for device, *_ in behind.behind)), poor)
    return None


def _rooms(parties: Sequence[Party]) -> dict[int, list[int]]:
    """Channels that bear a flood, by who follows them and can be told to stop reading: none that a poor line would have to carry."""
    poor = {stream for party in parties if party.name == "poor" for member in party.members for stream in member.streams}
    rooms: defaultdict[int, list[int]] = defaultdict(list)
    for party in parties:
        for member in party.members:
            for channel in member.channels:
                if channel not in poor and not member.real:
                    rooms[channel].append(member.login.device)
    return {room: devices for room, devices in rooms.items() if len(devices) >= ROOM_MIN} or dict(rooms)


def _p99(values: list[int]) -> int:
    return sorted(values)[int(0.99 * len(values))] if values else 0


def line(outcome: Outcome) -> str:
    """One round, for people."""
    notes = "; ".join(f"{mark.strike}" + (f" ({mark.note})" if mark.note else "") for mark in outcome.marks)
    poor = f", behind 2G {outcome.slowest_s:.1f} s" if outcome.slowest_s > outcome.sound_s + LOOK_S else ""
    healed = f"whole after {outcome.sound_s:.1f} s{poor}" if outcome.slowest_s >= 0 else "NEVER whole"
    waited = f" (last: {outcome.slowest})" if outcome.slowest else ""
    neighbours = ", p99 of those who read {} ms, otherwise {} ms".format(*reversed(outcome.neighbours_ms)) if outcome.neighbours_ms else ""
    counts = f"{outcome.posts} posts, {outcome.events} events, {outcome.copies} copies compared"
    verdict = "ok" if not outcome.wrong else f"{len(outcome.wrong)} VIOLATIONS"
    others = f", others took {outcome.others_cores:.1f} cores" if outcome.others_cores >= SHOWN_FROM else ""
    times = f"{healed}{waited}, p99 {outcome.p99_ms} ms{neighbours} │ {outcome.seconds:.0f} s{others}"
    return f"{outcome.number:4}  {notes} │ {counts} │ {times} │ {verdict}"

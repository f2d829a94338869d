"""Documents that people write together: two public editing traces, typed again key by key through real sockets.

    sequential trace ─▶ one writer, 50 keys a second, then as fast as the client goes ─▶ gateway 1 ═ gateway 2 ─▶ a reader's screen
    concurrent trace ─▶ two writers, each what its person wrote when they had read what they had ─▶ lines cut at random, keys delayed
    then: compacted in the sandbox, loaded by somebody new

The traces are those of github.com/josephg/editing-traces (`--traces FOLDER`): `sequential_traces_sveltecomponent.json.gz` and
`concurrent_traces_friendsforever.json.gz`. Everybody's text at the end is compared with the trace's, letter by letter: a run in which one
differs has no figure. A key is on the other's screen when the reader's document has its letter; keys that only delete are not timed.
"""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import asyncpg
import msgspec
import trio
from pycrdt import Doc, Text

from actors.documents import Compact
from actors.jobs import Order, pack
from bench.byte_relay import Relay, open_relay
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.moderation import token_of
from bench.ours import Ours, open_ours
from bench.peer import PeerMissing
from bench.stage import Options
from client import Session, connect
from client.documents import TEXT, Document, open_document
from persistence.documents.compaction import JOB
from persistence.jobs.enqueue import enqueue
from protocol.operations import CreateCommunity, CreateDocument, Join
from protocol.yjs import read_strokes

SEQUENTIAL: Final = "sequential_traces_sveltecomponent.json.gz"
CONCURRENT: Final = "concurrent_traces_friendsforever.json.gz"
PACE_S: Final = 0.02
"""Between two keys of the paced part: three people at once who type well."""
PACED: Final = 2_000
QUICK_KEYS: Final = 300
UNSENT_MAX: Final = 200
CUT_EVERY_S: Final = (0.5, 3.0)
DELAY_MAX_S: Final = 0.02
DONE_S: Final = 300.0
GOALS: Final = {"screen": Goal(figure_max=100.0), "state": Goal(ratio_max=1.2)}

Patch = tuple[int, int, str]


class Transaction(msgspec.Struct):
    patches: list[Patch]
    parents: list[int] = []
    agent: int = 0


class Trace(msgspec.Struct, rename={"end_content": "endContent"}):
    end_content: str
    txns: list[Transaction]


class Key(msgspec.Struct, frozen=True):
    """What one person did at one moment: an update, and how much of the other's text they had read."""

    update: bytes
    needs: int


def read_trace(folder: str, name: str, keys_max: int) -> Trace:
    """The trace, or its beginning. Raises PeerMissing."""
    path = Path(folder) / name
    if not folder or not path.is_file():
        raise PeerMissing(f"{name} of the editing traces: give their folder with --traces")
    trace = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Trace)
    if len(trace.txns) > keys_max:
        trace.txns = trace.txns[:keys_max]
        trace.end_content = ""
    return trace


def edit(text: Text, patches: Sequence[Patch]) -> None:
    """Types one transaction. The traces count letters and pycrdt bytes of UTF-8: of these two traces that is the same."""
    for position, deleted, inserted in patches:
        assert inserted.isascii()
        if deleted:
            del text[position : position + deleted]
        if inserted:
            text.insert(position, inserted)


def play_alone(trace: Trace) -> Doc[Any]:
    """A sequential trace in one document, without anybody else."""
    doc: Doc[Any] = Doc()
    text = doc.get(TEXT, type=Text)
    for one in trace.txns:
        edit(text, one.patches)
    return doc


def part(trace: Trace) -> tuple[list[list[Key]], str]:
    """A concurrent trace as what each of the two wrote, and the text in the end."""
    docs: list[Doc[Any]] = [Doc(client_id=pen) for pen in (1001, 1002)]
    keys: list[list[Key]] = [[], []]
    upto = [0, 0]  # of the other's keys, how many are in each one's document
    place: list[int] = []  # of each transaction among its agent's
    clocks: list[list[int]] = [[], []]
    for one in trace.txns:
        me, other = one.agent, 1 - one.agent
        for parent in one.parents:
            if trace.txns[parent].agent == other:
                for key in keys[other][upto[me] : place[parent] + 1]:
                    docs[me].apply_update(key.update)
                upto[me] = max(upto[me], place[parent] + 1)
        before = docs[me].get_state()
        edit(docs[me].get(TEXT, type=Text), one.patches)
        update = docs[me].get_update(before)
        place.append(len(keys[me]))
        if not one.patches:
            continue
        keys[me].append(Key(update, clocks[other][upto[me] - 1] if upto[me] else 0))
        end = read_strokes(update).end
        clocks[me].append(max(end, clocks[me][-1] if clocks[me] else 0))
    for key in keys[0]:
        docs[1].apply_update(key.update)
    return keys, str(docs[1].get(TEXT, type=Text))


def reach(doc: Doc[Any], pen: int) -> int:
    """How much of a pen's text is in a document."""
    state, at, numbers = doc.get_state(), 0, []
    while at < len(state):
        value = shift = 0
        while True:
            byte = state[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers.append(value)
    return dict(zip(numbers[1::2], numbers[2::2], strict=True)).get(pen, 0)


def encoded(updates: Sequence[bytes]) -> int:
    """The size that Yjs gives to a document of these updates, loaded and encoded."""
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return len(doc.get_update())


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """The peer of the state's size is Yjs' own: one document in one process, loaded and encoded. For the rest there is none here."""
    keys_max = QUICK_KEYS if options.quick else 10**9
    sequential = read_trace(options.traces, SEQUENTIAL, keys_max)
    concurrent = read_trace(options.traces, CONCURRENT, keys_max)
    alone = play_alone(sequential)
    apart, together = part(concurrent)
    expected = sequential.end_content or str(alone.get(TEXT, type=Text))
    if concurrent.end_content and concurrent.end_content != together:
        raise GeneratorFailed("the concurrent trace does not come to its own end")
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        async with open_ours(Path(name), gateways=2, people=3) as ours, AsyncExitStack() as stack:
            relays = [await stack.enter_async_context(open_relay(port)) for port in ours.ports]
            sessions = [
                await stack.enter_async_context(connect(relay.url, token_of(person)))
                for relay, person in zip((*relays, relays[1]), ours.people, strict=True)
            ]
            space = await sessions[0].do(CreateCommunity("writing"))
            for session in sessions[1:]:
                await session.do(Join(space))
            typed = await _type(sessions, relays, space, sequential, expected)
            state = await _compact(ours, typed.stream)
            loaded = await _loads(sessions[2], typed.stream, expected)
            cuts, stream, healed_s = await _write_apart(sessions, relays, space, apart, together)
            both_state = await _compact(ours, stream)
            await _loads(sessions[2], stream, together)
    own = encoded([alone.get_update()])
    both_own = encoded([key.update for key in (*apart[0], *apart[1])])
    times = typed.screen_ms
    p50, p99 = quantiles(times, n=100, method="inclusive")[49], quantiles(times, n=100, method="inclusive")[98]
    say(
        f"documents: {len(sequential.txns):,} keys by one writer: on the other's screen p50 {p50:.1f} ms, p99 {p99:.1f} ms at 50 a second; "
        f"{typed.up_bytes:.0f} B up and {typed.down_bytes:.0f} B down a key; the rest at {typed.keys_s:.0f} keys a second; "
        f"{len(concurrent.txns):,} keys by two writers, cut {cuts} times, alike after {healed_s:.0f} s; states {state:,} and "
        f"{both_state:,} B, Yjs' own {own:,} and {both_own:,} B; loaded in {loaded * 1000:.0f} ms; every text as it should be"
    )
    goals = {} if options.quick else GOALS
    return [
        Measured("a key on the other's screen, two gateways, p50", p50, "ms"),
        Measured("a key on the other's screen, two gateways, p99", p99, "ms", goal=goals.get("screen")),
        Measured("bytes from the writer a key", typed.up_bytes, "B", note="above TCP, answers and heartbeats of the session included"),
        Measured("bytes to a reader a key", typed.down_bytes, "B", note="the same"),
        Measured("keys a second, one writer, as fast as the client goes", typed.keys_s, "/s"),
        Measured(f"the state of {len(sequential.txns):,} keys, compacted", state, "B", "Yjs' own", own, state / own, goals.get("state")),
        Measured(
            f"the state of {len(concurrent.txns):,} keys of two, compacted", both_state, "B", "Yjs' own", both_own, both_state / both_own
        ),
        Measured("a compacted document loaded by somebody new", loaded * 1000, "ms"),
        Measured(f"two writers, cut {cuts} times: from the first key to the same text", healed_s, "s"),
    ]


class Typed(msgspec.Struct, frozen=True):
    """What the first trace showed."""

    stream: int
    screen_ms: list[float]
    up_bytes: float
    down_bytes: float
    keys_s: float


async def _type(sessions: Sequence[Session], relays: Sequence[Relay], space: int, trace: Trace, expected: str) -> Typed:
    """One writes the first trace; the other's document is watched."""
    stream = await sessions[0].do(CreateDocument(space, "sequential"))
    draw = random.Random(1).random
    async with open_document(sessions[0], stream, draw) as mine, open_document(sessions[1], stream, draw) as theirs:
        edit(mine.text, trace.txns[0].patches)
        await _alike(mine, theirs)
        paced = trace.txns[1 : min(PACED, len(trace.txns))]
        screen_ms: list[float] = []
        before = [relay.read() for relay in relays]
        async with trio.open_nursery() as nursery:
            due: list[tuple[int, float]] = []
            nursery.start_soon(_watch, theirs, mine.doc.client_id, due, screen_ms)
            next_s = trio.current_time()
            for one in paced:
                await trio.sleep_until(next_s)
                next_s += PACE_S
                began_s = trio.current_time()
                edit(mine.text, one.patches)
                if any(inserted for _, _, inserted in one.patches):
                    due.append((reach(mine.doc, mine.doc.client_id), began_s))
            await _alike(mine, theirs)
            nursery.cancel_scope.cancel()
        counted = [relay.read().since(earlier) for relay, earlier in zip(relays, before, strict=True)]
        rest, began_s = trace.txns[1 + len(paced) :], trio.current_time()
        for one in rest:
            edit(mine.text, one.patches)
            await trio.lowlevel.checkpoint()
            while mine.unsent > UNSENT_MAX:
                await mine.changed()
        if await _alike(mine, theirs) != expected:
            raise GeneratorFailed("the sequential trace came to another text")
        keys_s = len(rest) / max(trio.current_time() - began_s, 1e-9)
    return Typed(stream, screen_ms, counted[0].up_bytes / len(paced), counted[1].down_bytes / len(paced), keys_s)


async def _watch(document: Document, pen: int, due: list[tuple[int, float]], screen_ms: list[float]) -> None:
    while True:
        await document.changed()
        shown, now_s = reach(document.doc, pen), trio.current_time()
        while due and due[0][0] <= shown:
            screen_ms.append((now_s - due.pop(0)[1]) * 1000)


async def _write_apart(
    sessions: Sequence[Session], relays: Sequence[Relay], space: int, apart: Sequence[Sequence[Key]], expected: str
) -> tuple[int, int, float]:
    """Two write the second trace while their lines are cut; how often, in which document, and for how long."""
    stream = await sessions[0].do(CreateDocument(space, "concurrent"))
    chance = random.Random(2)
    began_s, cuts = trio.current_time(), 0
    async with open_document(sessions[0], stream, chance.random) as a, open_document(sessions[1], stream, chance.random) as b:

        async def cut() -> None:
            nonlocal cuts
            while True:
                await trio.sleep(chance.uniform(*CUT_EVERY_S))
                chance.choice(relays).cut()
                cuts += 1

        with trio.fail_after(DONE_S):
            async with trio.open_nursery() as cutting:
                cutting.start_soon(cut)
                async with trio.open_nursery() as writing:
                    writing.start_soon(_write, a, apart[0], 1002, random.Random(3))
                    writing.start_soon(_write, b, apart[1], 1001, random.Random(4))
                cutting.cancel_scope.cancel()
            if await _alike(a, b) != expected:
                raise GeneratorFailed("the concurrent trace came to another text")
    return cuts, stream, trio.current_time() - began_s


async def _write(document: Document, keys: Sequence[Key], other: int, chance: random.Random) -> None:
    """What one of them wrote, each key once what they had read by then is here."""
    for key in keys:
        while reach(document.doc, other) < key.needs:
            await document.changed()
        document.doc.apply_update(key.update)
        if chance.random() < 0.01:
            await trio.sleep(chance.uniform(0.0, DELAY_MAX_S))
        await trio.lowlevel.checkpoint()
        while document.unsent > UNSENT_MAX:
            await document.changed()


async def _alike(a: Document, b: Document) -> str:
    with trio.fail_after(DONE_S):
        await a.settled()
        await b.settled()
        while str(a.text) != str(b.text):
            with trio.move_on_after(0.2):
                await a.changed()
    return str(a.text)


async def _loads(session: Session, stream: int, expected: str) -> float:
    """How long somebody new waits for the text, in seconds."""
    began_s = trio.current_time()
    async with open_document(session, stream, random.Random(5).random) as document:
        loaded_s = trio.current_time() - began_s
        if str(document.text) != expected:
            raise GeneratorFailed("who loads the document reads another text")
    return loaded_s


async def _compact(ours: Ours, stream: int) -> int:
    """Has the jobs' process make a state of all that there is; its size."""
    await ours.ask(partial(_order, stream=stream))
    with trio.fail_after(DONE_S):
        while (size := await ours.ask(partial(_state_size, stream=stream))) is None:  # noqa: ASYNC110 (another process does it)
            await trio.sleep(0.1)
    return size


async def _order(tx: asyncpg.Connection, *, stream: int) -> None:
    await enqueue(tx, Order(JOB, pack(Compact(stream))))


async def _state_size(tx: asyncpg.Connection, *, stream: int) -> int | None:
    size: int | None = await tx.fetchval(
        "select octet_length(d.state) from documents d join streams s on s.id = d.stream_id where d.stream_id = $1 and d.upto = s.head",
        stream,
    )
    return size

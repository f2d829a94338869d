"""What tracing costs a command: `python -m bench.trace_probe [--commands 20000] [--rounds 15]`.

    without   the same actors with every line about traces cut out of them, by their syntax trees
    off       as it runs where no `traces.endpoint` is named
    on        share 0, 0.001 and 1 of all commands followed (spans made, none sent)

One durable message, from the bytes of a frame to one follower's socket and the answer to its author: session, device, exchange,
channel, real; journal, link and sockets answer at once and do nothing. Real ones take as long again and more, so the shares here are the
most that it can be. CPU of the process; rounds interleaved; the least of the rounds, since other work on the machine only adds.
"""

from __future__ import annotations
import __future__

import argparse
import ast
import inspect
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from actors import device
from actors.accounts import Claims
from actors.cell import Ref
from actors.channel import Channel
from actors.exchange import Exchange
from actors.neighbourhood import Neighbourhood
from actors.session import Session
from actors.socket_port import Batch, Peer
from actors.storage import Answered, Attach, Attached, Decided, Denied, Entry, Events, Fact, Query, ReadAfter
from actors.tracing import Tracer
from persistence.journal import Journal as RealJournal
from protocol.codec import encode
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.events import Said
from protocol.frames import VERSION, Hello, Mutate
from protocol.operations import Say
from protocol.values import Cursor
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.tracing import OtlpTracer
from supervisors.turns import Turns

USER, DEVICE, SESSION, STREAM, SPACE, EPOCH = 1, 2, 3, 4, 5, 6
BURST = 200
TRACES = frozenset({"trace", "traced", "tracer", "followed", "_expected"})
PLACES: tuple[tuple[Any, str], ...] = (
    (Session, "_submit"),
    (device, "make_entry"),
    (Exchange, "committed"),
    (Exchange, "heard"),
    (Channel, "_heard"),
    (Channel, "_flush_events"),
    (RealJournal, "submit"),
    (RealJournal, "_answer"),
)
"""Where a command meets a line about traces."""


class Cut(ast.NodeTransformer):
    """Takes out what mentions traces: conditions with their bodies, assignments, arguments."""

    def __init__(self) -> None:
        self.cut = 0

    def _mentions(self, node: ast.AST) -> bool:
        return any(
            (isinstance(part, ast.Name) and part.id in TRACES) or (isinstance(part, ast.Attribute) and part.attr in TRACES)
            for part in ast.walk(node)
        )

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if self._mentions(node.test):
            self.cut += 1
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if any(self._mentions(target) for target in node.targets):
            self.cut += 1
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        kept = [given for given in node.args if not (isinstance(given, ast.Name | ast.Attribute) and self._mentions(given))]
        self.cut += len(node.args) - len(kept)
        node.args = kept
        return self.generic_visit(node)


@contextmanager
def without_traces() -> Iterator[None]:
    """The places as they would be if nobody had ever thought of traces."""
    kept = {(place, name): getattr(place, name) for place, name in PLACES}
    try:
        for (place, name), function in kept.items():
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
            cut = Cut()
            tree = ast.fix_missing_locations(cut.visit(tree))
            assert cut.cut, f"{name} says nothing of traces any more"
            scope: dict[str, Any] = {}
            flags = __future__.annotations.compiler_flag
            exec(compile(tree, f"<{name} without traces>", "exec", flags=flags), function.__globals__, scope)
            setattr(place, name, scope[name])
        yield
    finally:
        for (place, name), function in kept.items():
            setattr(place, name, function)


class World:
    """Ports that answer at once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._seq = 0
        self.followed = None

    # Store

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        match query:
            case Attach():
                result: Any = Attached(1, 0, 9, EPOCH, int(time.time()) + 3600, "Ada", 0)
            case ReadAfter():
                result = Events(SPACE, self._seq, 1, (), False)
            case _:
                result = Denied(Code.UNAVAILABLE)
        reply_to.tell_control(Answered(ticket, result))

    # Journal

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        self._seq += 1
        body = encode(Said(entry.operation.text))  # type: ignore[union-attr]
        self._exchange.committed([Fact(STREAM, self._seq, entry.user, 0, body, 1, entry.trace)])
        reply_to.tell_control(Decided(entry.number, Code.OK, self._seq, generation=entry.generation))
        return True

    # Link

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None: ...

    def subscribe(self, stream: int) -> None: ...

    def unsubscribe(self, stream: int) -> None: ...

    def announce(self, topic: str, payload: bytes) -> None: ...

    # Tokens

    def verify(self, token: str, now: float) -> Claims | Code:
        return Claims(USER, DEVICE, SESSION, int(now), int(now) + 3600)

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        return b""

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> None: ...


class Line:
    """A socket that takes everything."""

    peer = Peer("127.0.0.1")
    heartbeat_s = 45.0
    queued_bytes = 0
    sums = None

    def __init__(self) -> None:
        self.pushed = 0
        self.answers = 0

    def push(self, batch: Batch) -> bool:
        self.pushed += 1
        return True

    def send(self, payload: bytes) -> None:
        self.answers += 1

    def close(self, code: int, reason: str) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Stage:
    """One device that talks in a stream that it follows."""

    def __init__(self, tracer: Tracer | None) -> None:
        near = Neighbourhood()
        near.tracer = tracer
        exchange = Exchange(near)
        world = World(exchange)
        clock = time.monotonic
        self._crashes: list[Exception] = []
        self._turns = Turns(clock=clock, wall=time.time, random=lambda: 0.5, on_crash=self._crashed)
        limits = CastLimits()
        endless = msgspec.structs.replace(limits.session, commands=msgspec.structs.replace(limits.session.commands, per_s=1e9, burst=1e9))
        cast = assemble(self._turns, near, exchange, Ports(1, world, world, world, world), msgspec.structs.replace(limits, session=endless))
        exchange.settle(world, lambda: None)
        self.line = Line()
        self._inlet = cast.entrance.accept(self.line, self.line.peer)
        self._number = 0
        self._inlet.received(encode(Hello(VERSION, "token", DEVICE, (Cursor(STREAM, 0),), EPOCH, schema=SCHEMA)))
        self._run()

    def _run(self) -> None:
        self._turns.advance()
        while self._turns.ready:
            self._turns.run_ready(10_000)
        if self._crashes:
            raise self._crashes[0]

    def _crashed(self, pool: str, key: object, cause: Exception) -> None:
        self._crashes.append(cause)

    def talk(self, commands: int) -> float:
        """CPU seconds a command."""
        operation = msgspec.Raw(encode(Say(STREAM, "and so on")))
        payloads = [encode(Mutate(self._number + at, operation)) for at in range(1, commands + 1)]
        self._number += commands
        answered, received = self.line.answers, self._inlet.received
        began = time.process_time()
        for start in range(0, commands, BURST):
            for payload in payloads[start : start + BURST]:
                received(payload)
            self._run()
        spent = time.process_time() - began
        assert self.line.answers > answered and self.line.pushed
        return spent / commands


def main() -> None:
    """Prints the least of the rounds, and what each costs beyond `without`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    least = measure(given.commands, given.rounds)
    base = least["without"]
    for name, spent in least.items():
        print(f"{name:>12}  {spent * 1e6:7.2f} µs a command  {(spent - base) * 1e9:+7.0f} ns  {(spent - base) / base:+6.1%}")


def measure(commands: int, rounds: int) -> dict[str, float]:
    """CPU seconds a command, by variant: the least of the rounds."""
    variants: dict[str, Callable[[], float]] = {"without": partial(_without, commands), "off": lambda: Stage(None).talk(commands)}
    for share in (0.0, 0.001, 1.0):
        variants[f"on {share:g}"] = partial(_on, share, commands)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, talk in variants.items():
            times[name].append(talk())
    return {name: min(spent) for name, spent in times.items()}


def _without(commands: int) -> float:
    with without_traces():
        return Stage(None).talk(commands)


def _on(share: float, commands: int) -> float:
    return Stage(OtlpTracer("http://127.0.0.1:9", share, 1)).talk(commands)


if __name__ == "__main__":
    main()

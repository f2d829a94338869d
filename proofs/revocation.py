"""`python -m proofs revocation`: from the call that ends a session to its closed socket, over two gateways, with Redis and without it.

    two gateways, a Postgres and a Valkey of its own ─▶ a live socket for everybody, at one gateway or the other
    call (log out │ end one from another session │ end all │ revoke an API key) at either gateway ─▶ the socket is closed: how long?
    then at both gateways: is the token refused, and a new socket?
    with Redis ─▶ SIGKILL to Valkey: without it, from that moment on ─▶ with Redis again

Starts servers of its own in a temporary folder, ends them, and touches no process but its own. Exit status 1 if the p99 of any of the three
is above a second, if a socket was not closed as REVOKED, or if a session that was ended came back by any way.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import trio
import trio_websocket
from msgspec import Struct

from bench.knock import knock
from bench.ours import ENVIRONMENT
from gateway.tokens import KeySet, load_pem
from persistence.bridge import Bridge, BridgeOptions
from proofs.numbers import at_least_one, some_time
from protocol.codec import decode_frame, encode
from protocol.codes import Code
from protocol.frames import VERSION, Goodbye, Hello, Welcome
from supervisors.dev import Installation
from supervisors.embedded_valkey import ValkeyOptions, start_valkey, stop_valkey
from supervisors.process import set_up_log
from supervisors.tree import running

GATEWAYS: Final = 2
P99_S_MAX: Final = 1.0
PATIENCE_S: Final = 15.0
CONNECT_AT_ONCE: Final = 50
WAYS: Final = ("log out", "end one", "end all")
BY_KEY: Final = "revoke the key"
KEYED: Final = 4
"""Every so manieth is a service, whose session was opened with an API key that an operator revokes."""
SHORT: Final = ("--sockets", "24", "--calls", "8", "--per-s", "20")


class Options(Struct, frozen=True):
    """How many live sockets, how many of them end in each of the three parts, how many calls a second."""

    sockets: int = 1200
    calls: int = 300
    per_s: float = 30.0


DEFAULTS: Final = Options()


class Person(Struct, frozen=True):
    """Somebody with two sessions: `token` is of the one whose socket is watched, `other_token` of the one that ends it. `key`: of a
    service, whose other token is an operator's."""

    user: int
    device: int
    session: int
    token: str
    other_token: str
    key: int = 0


class Ended(Struct, frozen=True):
    """One call. `took_s`: until its socket was closed; `code`: as what. `came_back`: by which ways it was let in afterwards."""

    way: str
    across: bool
    took_s: float
    code: int
    came_back: tuple[str, ...]


class Part(Struct, frozen=True):
    """What happened with Redis, without it, or with it again."""

    name: str
    ended: tuple[Ended, ...]

    @property
    def violations(self) -> list[str]:
        """What must not be; empty: all is well."""
        wrong = [f"{self.name}: a socket ended with {one.code} after: {one.way}" for one in self.ended if one.code != Code.REVOKED]
        wrong += [f"{self.name}: {way} after: {one.way}" for one in self.ended for way in one.came_back]
        p99_s = quantile([one.took_s for one in self.ended], 0.99)
        return wrong + ([f"{self.name}: p99 is {p99_s * 1000:.0f} ms"] if p99_s > P99_S_MAX else [])


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by more than the rest; infinite of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


class Socket:
    """A live socket, and when and as what it was closed."""

    def __init__(self, socket: trio_websocket.WebSocketConnection, port: int) -> None:
        self._socket = socket
        self.port = port
        self.closed = trio.Event()
        self.closed_at = 0.0
        self.code = 0

    async def watch(self) -> None:
        """Reads until it is closed."""
        try:
            while True:
                await self._socket.get_message()
        except trio_websocket.ConnectionClosed as end:
            self.closed_at = time.monotonic()
            self.code = end.reason.code if end.reason is not None else 0
        self.closed.set()


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m proofs revocation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a small one, for every day")
    parser.add_argument("--sockets", type=at_least_one, default=DEFAULTS.sockets, help="live sockets (default: %(default)s)")
    parser.add_argument("--calls", type=at_least_one, default=DEFAULTS.calls, help="in each of the three parts (default: %(default)s)")
    parser.add_argument("--per-s", type=some_time, default=DEFAULTS.per_s, help="calls a second (default: %(default)g)")
    arguments = parser.parse_args([*SHORT, *argv] if "--short" in argv else argv)
    options = Options(arguments.sockets, arguments.calls, arguments.per_s)
    if options.sockets < 3 * options.calls:
        parser.error(f"--sockets is {options.sockets}; needed: three times --calls, since each call ends one")
    set_up_log("error", "console")
    # A short path: a Unix socket's has a bound.
    folder = Path(tempfile.mkdtemp(prefix="educonnect-revocation-"))
    try:
        parts = trio.run(run, options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    violations = [violation for part in parts for violation in part.violations]
    print(describe(options, parts, violations))
    return 1 if violations else 0


def describe(options: Options, parts: Sequence[Part], violations: Sequence[str]) -> str:
    """The figures, by part and way."""
    lines = [
        f"revocation: {options.sockets} live sockets at {GATEWAYS} gateways, {options.calls} calls in each part, {options.per_s:g} a second"
    ]
    for part in parts:
        for name, some in _groups(part):
            took = [one.took_s * 1000 for one in some]
            figures = f"p50 {quantile(took, 0.5):6.0f} ms   p99 {quantile(took, 0.99):6.0f} ms   most {max(took):6.0f} ms"
            lines.append(f"  {name:34} {len(some):5}   {figures}")
    return "\n".join([*lines, *violations, f"{len(violations)} violations"])


def _groups(part: Part) -> Iterator[tuple[str, list[Ended]]]:
    yield part.name, list(part.ended)
    for across, where in ((False, "at the same gateway"), (True, "at the other one")):
        if some := [one for one in part.ended if one.across is across]:
            yield f"  called {where}", some
    if some := [one for one in part.ended if one.way == BY_KEY]:
        yield "  of them: an API key was revoked", some


async def run(options: Options, folder: Path) -> list[Part]:
    """The three parts, on servers of its own."""
    # Not the installation's own Valkey, which its tree would start again.
    settings = ValkeyOptions(folder / "redis")
    valkey = start_valkey(settings)
    environment = {**ENVIRONMENT, "EDUCONNECT_REDIS_URL": valkey.address.url}
    try:
        installation = Installation(folder, port=0, gateways=GATEWAYS, environment=environment)
        async with running(installation.spec()):
            people = iter(await _populate(installation, options.sockets))
            ports = [int(url.rpartition(":")[2]) for url in installation.urls]
            async with trio.open_nursery() as nursery:
                sockets = await _connect(nursery, list(people), ports)
                left = iter(sockets)
                parts = [await _part("with Redis", left, ports, options)]
                valkey.process.kill()
                parts.append(await _part("Redis killed, from then on", left, ports, options))
                stop_valkey(valkey)
                valkey = start_valkey(settings)
                parts.append(await _part("with Redis again", left, ports, options))
                nursery.cancel_scope.cancel()
        return parts
    finally:
        stop_valkey(valkey)


async def _part(name: str, left: Iterator[tuple[Person, Socket]], ports: Sequence[int], options: Options) -> Part:
    ended: list[Ended] = []
    async with trio.open_nursery() as nursery:
        for number in range(options.calls):
            person, socket = next(left)
            across = number % 2 == 1
            port = next(other for other in ports if (other != socket.port) is across)
            way = BY_KEY if person.key else WAYS[number // 2 % len(WAYS)]
            nursery.start_soon(_end, person, socket, way, port, across, ports, ended)
            await trio.sleep(1.0 / options.per_s)
    return Part(name, tuple(ended))


async def _end(person: Person, socket: Socket, way: str, port: int, across: bool, ports: Sequence[int], ended: list[Ended]) -> None:
    called_at = time.monotonic()
    match way:
        case "log out":
            answer = await knock(port, "POST", "/api/v1/auth/logout", token=person.token)
        case "end one":
            answer = await knock(port, "DELETE", f"/api/v1/auth/sessions/{person.session}", token=person.other_token)
        case "revoke the key":
            answer = await knock(port, "DELETE", f"/api/v1/platform/keys/{person.key}", token=person.other_token)
        case _:
            answer = await knock(port, "POST", "/api/v1/auth/logout-everywhere", token=person.other_token)
    if answer.status != 204:
        raise RuntimeError(f"{way} was answered {answer.status}: {answer.body[:200]!r}")
    with trio.move_on_after(PATIENCE_S):
        await socket.closed.wait()
    took_s = (socket.closed_at or time.monotonic()) - called_at
    came_back = [way for port in ports for way in await _ways_back(person, port)]
    ended.append(Ended(way, across, took_s, socket.code, tuple(came_back)))


async def _ways_back(person: Person, port: int) -> list[str]:
    """By which ways a session that was ended is let in at this gateway."""
    ways = []
    if (await knock(port, "GET", "/api/v1/auth/me", token=person.token)).status != 401:
        ways.append("HTTP took the token")
    async with _opened(person, port) as socket:
        frame = await _first(socket)
        if not isinstance(frame, Goodbye) or frame.code != Code.REVOKED:
            ways.append(f"a new socket was answered {type(frame).__name__}")
    return ways


async def _connect(nursery: trio.Nursery, people: Sequence[Person], ports: Sequence[int]) -> list[tuple[Person, Socket]]:
    """Everybody's socket, welcomed; they take turns at the gateways."""
    made: dict[int, Socket] = {}
    turns = trio.Semaphore(CONNECT_AT_ONCE)
    all_there = trio.Event()

    async def hold(place: int, person: Person) -> None:
        port = ports[place // 2 % len(ports)]
        await turns.acquire()
        async with _opened(person, port) as socket:
            frame = await _first(socket)
            if not isinstance(frame, Welcome):
                raise RuntimeError(f"a good token was answered {frame}")
            turns.release()
            made[place] = Socket(socket, port)
            if len(made) == len(people):
                all_there.set()
            await made[place].watch()

    for place, person in enumerate(people):
        nursery.start_soon(hold, place, person)
    await all_there.wait()
    return [(person, made[place]) for place, person in enumerate(people)]


@asynccontextmanager
async def _opened(person: Person, port: int) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A socket that said Hello with the watched session's token. Its end waits for nobody."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        socket = await trio_websocket.wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", "/socket")
        await socket.send_message(encode(Hello(VERSION, person.token, person.device)))
        yield socket
        nursery.cancel_scope.cancel()


async def _first(socket: trio_websocket.WebSocketConnection) -> object:
    with trio.fail_after(PATIENCE_S):
        message = await socket.get_message()
    assert isinstance(message, bytes)
    return decode_frame(message)


async def _populate(installation: Installation, count: int) -> list[Person]:
    async def work(tx: asyncpg.Connection) -> tuple[list[asyncpg.Record], list[asyncpg.Record], dict[int, int]]:
        rows = list(await tx.fetch(_PEOPLE, count))
        services = rows[::KEYED]
        keys = await tx.fetch(_KEYS, [row["user_id"] for row in services], [row["sessions"][0] for row in services])
        return rows, list(await tx.fetch(_OPERATORS, len(services))), {key["user_id"]: key["id"] for key in keys}

    bridge = Bridge(BridgeOptions(installation.dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        rows, operators, keyed = await bridge.run(work, deadline_s=60)
        nursery.cancel_scope.cancel()
    keys, now = KeySet(load_pem(installation.key_file)), time.time()

    def token(row: asyncpg.Record, which: int) -> str:
        return keys.issue(row["user_id"], row["devices"][which], row["sessions"][which], now)[0]

    # One operator a key: how often one person may change keys is bounded, too.
    operator = {row["user_id"]: one for row, one in zip(rows[::KEYED], operators, strict=True)}
    people = [
        Person(
            row["user_id"],
            row["devices"][0],
            row["sessions"][0],
            token(row, 0),
            token(operator[row["user_id"]], 0) if row["user_id"] in keyed else token(row, 1),
            keyed.get(row["user_id"], 0),
        )
        for row in rows
    ]
    secrets.SystemRandom().shuffle(people)
    return people


_PEOPLE: Final = """
with made as materialized (
    select a.user_id from generate_series(1, $1::integer) n
    cross join lateral create_account(('proof-' || n)::citext, 'Proof ' || n, 'none: nobody logs in with it') a
),
device as (insert into devices (user_id, name) select user_id, 'proof' from made cross join generate_series(1, 2) returning id, user_id),
opened as (
    insert into sessions (user_id, device_id, expires_at)
    select user_id, id, now() + interval '1 day' from device returning id, user_id, device_id
)
select user_id, array_agg(device_id order by id) as devices, array_agg(id order by id) as sessions from opened group by user_id"""

_OPERATORS: Final = """
with made as materialized (
    select a.user_id from generate_series(1, $1::integer) n
    cross join lateral create_account(('operator-' || n)::citext, 'Operator ' || n, 'none: nobody logs in with it') a
),
device as (insert into devices (user_id, name) select user_id, 'proof' from made returning id, user_id),
given as (
    insert into user_roles (user_id, role_id, given_by)
    select m.user_id, r.id, 0 from made m, roles r where r.space_id is null and r.name = 'account manager'
)
insert into sessions (user_id, device_id, expires_at, proven_at)
select user_id, id, now() + interval '1 day', now() from device
returning user_id, array[device_id] as devices, array[id] as sessions"""

_KEYS: Final = """
with keyed as (
    insert into api_keys (prefix, hash, user_id, name, scopes, created_by, expires_at)
    select 'proof-' || u, sha256(u::text::bytea), u, 'proof', 1, u, now() + interval '1 day' from unnest($1::bigint[]) u
    returning id, user_id
),
opened as (
    update sessions s set api_key = k.id from keyed k join unnest($1::bigint[], $2::bigint[]) q (user_id, session) using (user_id)
    where s.id = q.session
),
service as (update accounts a set kind = 1, password_hash = '', email = null from keyed k where a.id = k.user_id)
select id, user_id from keyed"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

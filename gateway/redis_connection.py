"""One connection to Redis or Valkey on a trio stream: where it is, how it is opened, and when to try again.

    redis://user:secret@host:6379/0   rediss://…   unix:///run/valkey.sock?db=1
        │ parse
        ▼
    RedisAddress ─ open_connection ─▶ Connection (stream + hiredis.Reader), after AUTH, SELECT, CLIENT SETNAME

Commands (`gateway.resp`) and pub/sub (`gateway.link`) have a connection each and share what is here. RESP2: its replies are
plain bytes, integers and lists, and a subscribed connection needs no telling push from answer.

Invariant: everything that the world can do wrong while opening comes out as `RedisAway`, within a bounded time.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis
import msgspec
import structlog
import trio

log = structlog.get_logger(__name__)

READ_BYTES = 65_536
"""One read: some hundred messages, so that a busy connection is read in batches and not one wake-up (11 µs) a message."""

Reply: TypeAlias = Any
"""What Redis answers, in RESP2: bytes, int, None, or a list of them. Its shape follows from the command, so it is checked there."""

Part: TypeAlias = str | bytes | int | float
pack = cast("Callable[[tuple[Part, ...]], bytes]", hiredis.pack_command)
"""One command as bytes; in C, 0.5 µs. (Its published type takes tuples of one.)"""


class RedisError(Exception):
    """Redis did not do, or may not have done, what was asked."""


class RedisAway(RedisError):
    """There is no connection. Nothing was sent."""


class RedisBusy(RedisError):
    """A bound was reached. Nothing was sent."""


class OutcomeUnknown(RedisError):
    """The connection was lost, or the deadline passed, after the command may have been sent. It is never sent again by itself."""


class RedisRefused(RedisError):
    """Redis answered with an error. The text begins with its code (`NOSCRIPT`, `WRONGTYPE`, `NOAUTH` …)."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class _NotYet:
    """What the reader gives when no whole reply is there; `None` and `False` are replies."""


NOT_YET = _NotYet()


class ConnectionLost(Exception):
    """Reading or writing found the connection gone. Stays in this layer: callers see OutcomeUnknown, listeners `down`."""


WORLD_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, hiredis.ProtocolError)
"""How a stream says that its connection is gone, or speaks no RESP."""


class RedisAddress(msgspec.Struct, frozen=True):
    """Where a server is and as whom to speak to it."""

    host: str = "127.0.0.1"
    port: int = 6379
    socket_path: str | None = None
    """A unix socket; then host and port mean nothing."""
    tls: bool = False
    user: str | None = None
    secret: str | None = None
    database: int = 0

    def __repr__(self) -> str:
        return f"RedisAddress({self})"

    def __str__(self) -> str:
        """For people and logs: without the secret."""
        where = f"unix://{self.socket_path}" if self.socket_path else f"redis{'s' * self.tls}://{self.host}:{self.port}"
        return f"{where} db {self.database}"


def parse_address(url: str) -> RedisAddress:
    """Reads `redis://[user:secret@]host[:port][/db]`, `rediss://…` or `unix://[user:secret@]/path[?db=n]`. Raises ValueError."""
    parts = urlsplit(url)
    user = unquote(parts.username) if parts.username else None
    secret = unquote(parts.password) if parts.password else None
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("a unix:// address needs the socket's path, as in unix:///run/valkey.sock")
        database = parse_qs(parts.query).get("db", ["0"])[0]
        address = RedisAddress(socket_path=unquote(parts.path), user=user, secret=secret)
    elif parts.scheme in ("redis", "rediss"):
        database = parts.path.lstrip("/") or parse_qs(parts.query).get("db", ["0"])[0]
        address = RedisAddress(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            tls=parts.scheme == "rediss",
            user=user,
            secret=secret,
        )
    else:
        raise ValueError(f"{parts.scheme!r} is no scheme of Redis; legal here: redis, rediss, unix")
    if not database.isdecimal():
        raise ValueError(f"{database!r} is no number of a database")
    return msgspec.structs.replace(address, database=int(database))


class Way(msgspec.Struct, frozen=True):
    """How to get to a server: its address, the name that `CLIENT LIST` shows there, and whom to trust."""

    address: RedisAddress
    name: str
    connect_s: float = 2.0
    """The most that connecting and authenticating may take."""
    tls: ssl.SSLContext | None = None
    """For rediss://; None: the system's trust."""


class Connection:
    """An open connection: bytes out, replies in. One task reads, one writes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._reader = hiredis.Reader(replyError=RedisRefused, notEnoughData=NOT_YET)
        self.gets: Callable[[], Reply] = self._reader.gets
        """The next whole reply of what was fed, or NOT_YET. Raises hiredis.ProtocolError."""

    async def feed(self) -> None:
        """Waits for bytes and gives them to the reader. Raises ConnectionLost."""
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except WORLD_ERRORS as error:
            raise ConnectionLost(repr(error.__cause__ or error)) from error  # trio names the cause, TLS above all, only there
        if not data:
            raise ConnectionLost("closed by the server")
        self._reader.feed(bytes(data))  # no copy: a socket gives bytes

    async def write(self, data: bytes) -> None:
        """Waits until the kernel has taken `data`. Raises ConnectionLost."""
        try:
            await self.stream.send_all(data)
        except WORLD_ERRORS as error:
            raise ConnectionLost(repr(error.__cause__ or error)) from error  # trio names the cause, TLS above all, only there

    async def ask(self, *parts: Part) -> Reply:
        """One command and its reply, for the opening only. Raises RedisRefused, ConnectionLost, hiredis.ProtocolError."""
        await self.write(pack(parts))
        while (reply := self.gets()) is NOT_YET:
            await self.feed()
        if isinstance(reply, RedisRefused):
            raise reply
        return reply

    async def share(self, *parts: Callable[[Connection], Awaitable[None]]) -> None:
        """Runs `parts` side by side until one of them returns or finds the connection lost; then the others are cancelled."""
        async with trio.open_nursery() as nursery:

            async def until_over(part: Callable[[Connection], Awaitable[None]]) -> None:
                with contextlib.suppress(ConnectionLost, hiredis.ProtocolError):
                    await part(self)
                nursery.cancel_scope.cancel()

            for part in parts:
                nursery.start_soon(until_over, part)

    async def close(self) -> None:
        """Closes at once, without a TLS goodbye, which a dead peer would never answer."""
        await trio.aclose_forcefully(self.stream)


async def open_connection(way: Way) -> Connection:
    """Connects, authenticates, selects the database and sets the connection's name. Raises RedisAway within `connect_s`."""
    address = way.address
    connection: Connection | None = None
    try:
        with trio.fail_after(way.connect_s):
            connection = Connection(await _open_stream(way))
            if address.secret is not None:
                await connection.ask("AUTH", *([address.user] if address.user else []), address.secret)
            if address.database:
                await connection.ask("SELECT", address.database)
            await connection.ask("CLIENT", "SETNAME", way.name)
    except BaseException as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, (*WORLD_ERRORS, ConnectionLost, RedisRefused, trio.TooSlowError)):
            raise RedisAway(f"{address}: {type(error).__name__}: {error}") from error
        raise
    return connection


async def _open_stream(way: Way) -> trio.abc.Stream:
    address = way.address
    if address.socket_path is not None:
        return await trio.open_unix_socket(address.socket_path)
    plain = await trio.open_tcp_stream(address.host, address.port)
    if not address.tls:
        return plain
    trust = way.tls or ssl.create_default_context()
    secured: trio.abc.Stream = trio.SSLStream(plain, trust, server_hostname=address.host, https_compatible=True)
    return secured


class Backoff:
    """How long to wait before the next attempt: uniform below a doubling bound ("full jitter"), so gateways do not come in step."""

    def __init__(self, random: Callable[[], float], *, first_s: float = 0.05, last_s: float = 2.0) -> None:
        self._random = random
        self._first_s = first_s
        self._last_s = last_s
        self._bound_s = first_s

    def next_s(self) -> float:
        delay_s = self._random() * self._bound_s
        self._bound_s = min(self._bound_s * 2, self._last_s)
        return delay_s

    def held(self, seconds: float) -> None:
        """Told how long a connection lasted. One that is cut at once counts as a failed attempt, not as a success."""
        if seconds > self._last_s:
            self._bound_s = self._first_s


async def keep_connected(way: Way, random: Callable[[], float], serve: Callable[[Connection], Awaitable[None]]) -> NoReturn:
    """Opens a connection, gives it to `serve` until that returns (the connection is over), backs off, and so on for ever."""
    backoff = Backoff(random)
    away = False
    while True:
        try:
            connection = await open_connection(way)
        except RedisAway as error:
            if not away:  # once, not once an attempt
                away = True
                log.warning("redis_not_reached", connection=way.name, reason=str(error))
            await trio.sleep(backoff.next_s())
            continue
        away = False
        began = trio.current_time()
        log.info("redis_connected", connection=way.name, server=str(way.address))
        try:
            await serve(connection)
        finally:
            held_s = trio.current_time() - began
            await connection.close()
        log.warning("redis_connection_lost", connection=way.name, held_s=round(held_s, 3))
        backoff.held(held_s)
        await trio.sleep(backoff.next_s())

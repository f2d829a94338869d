"""Commands to Redis from many tasks over one connection, pipelined by themselves.

    call() ─┐                                                ┌─▶ caller wakes with its reply
    call() ─┼─▶ bytes gathered ─▶ one write a tick or round ─▶ Redis ─▶ replies in order
    post() ─┘   bounded                                      └─▶ counted, nobody waits

Redis answers in the order of asking, so what is in flight is one deque and a reply belongs to its left end. There is no
connection pool: a second connection would only buy a second order.

A gateway posts one frame for each event of its members. Waking a task to write it, and another to read an answer that nobody waits for,
cost more than all else about it, so a round of actors (`cork`, `uncork`) writes by itself, and answers to posts are left lying until
somebody wants one behind them, there are many, or a while has passed.

Invariant: a command is sent at most once. What was in flight when a connection was lost, or was not answered in time, fails
as `OutcomeUnknown`; whoever asked knows whether asking again is safe. While there is no connection everything is refused
at once (`RedisAway`), because every caller has something better to do than to wait: read Postgres, count locally.

Blocking commands (BLPOP, XREAD BLOCK) and subscriptions do not belong here: one would hold up everybody.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import trio

from gateway.redis_connection import (
    NOT_YET,
    Connection,
    OutcomeUnknown,
    Part,
    RedisAway,
    RedisBusy,
    RedisError,
    RedisRefused,
    Reply,
    Way,
    keep_connected,
    pack,
)

UNREAD_POSTS_MAX = 1024
"""Answers to posts that may lie unread: some KiB of the kernel's buffers."""


class CommandLimits(msgspec.Struct, frozen=True):
    """The bounds of one command connection."""

    in_flight_max: int = 10_000
    """Calls that wait for a reply; at ~10 µs each the last one waits 0.1 s. About 200 B each."""
    unsent_bytes_max: int = 8 * 1024 * 1024
    """Bytes that the kernel has not taken yet: some seconds of a slow server, and small beside a gateway's sockets."""
    deadline_s: float = 2.0
    """After this a call fails as OutcomeUnknown; a connection that is silent for so long with calls in flight is replaced."""


class CommandCounts(msgspec.Struct):
    """What happened since the start; read by the metrics."""

    calls: int = 0
    posts: int = 0
    writes: int = 0
    connects: int = 0
    losses: int = 0
    stalls: int = 0
    """Connections given up because nothing came for `deadline_s` (part of `losses`)."""
    refused_away: int = 0
    refused_busy: int = 0
    unknown: int = 0
    posts_refused: int = 0
    """Posts that Redis answered with an error. Nobody waits for these answers, so they are only counted."""


class Script(msgspec.Struct, frozen=True):
    """A Lua script, sent by its digest."""

    source: str
    sha: str

    @classmethod
    def of(cls, source: str) -> Script:
        # Redis names scripts by SHA-1; nothing secret depends on it.
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class _Call:
    """One command in flight. `task` is None once its caller has gone; its reply is then dropped."""

    __slots__ = ("deadline", "reply", "task")

    def __init__(self, task: trio.lowlevel.Task, deadline: float) -> None:
        self.task: trio.lowlevel.Task | None = task
        self.deadline = deadline
        self.reply: Reply = None

    def abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def settle(self, reply: Reply) -> None:
        task, self.task = self.task, None
        if task is not None:
            self.reply = reply
            trio.lowlevel.reschedule(task)


class Commands:
    """The command connection of one process. Run `serve` under a supervisor; everything else may be called from any task."""

    def __init__(
        self,
        way: Way,
        *,
        random: Callable[[], float],
        limits: CommandLimits | None = None,
    ) -> None:
        """`random` is uniform in [0, 1), for the backoff."""
        self.counts = CommandCounts()
        self.limits = limits or CommandLimits()
        self._way = way
        self._random = random
        self._up = False
        self._changed = trio.Event()
        # In order of sending: a _Call, or the number of posts in a row, so that a thousand posts cost one integer.
        self._in_flight: deque[_Call | int] = deque()
        self._calls = 0
        self._posts = 0
        """Of what is in flight, the posts."""
        self._out: list[bytes] = []
        self._unsent_bytes = 0
        self._corks = 0
        self._descriptor: int | None = None
        """Of a connection that may be written to without its stream: plain, and its writer has nothing under way."""
        self._writer = trio.lowlevel.ParkingLot()
        self._reader = trio.lowlevel.ParkingLot()
        self._progress_at = 0.0

    @property
    def up(self) -> bool:
        """Whether there is a connection now."""
        return self._up

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the kernel."""
        return self._unsent_bytes

    async def wait_up(self) -> None:
        """Waits until there is a connection."""
        await self._wait(True)

    async def wait_down(self) -> None:
        """Waits until there is none."""
        await self._wait(False)

    async def call(self, *parts: Part) -> Reply:
        """Sends one command and waits for its reply. A cancelled call may still take effect.

        Raises RedisAway and RedisBusy (not sent), OutcomeUnknown (perhaps sent), RedisRefused (answered with an error).
        """
        if self._calls >= self.limits.in_flight_max:
            self.counts.refused_busy += 1
            raise RedisBusy(f"{self._calls} calls are in flight")
        self._send(pack(parts))
        call = _Call(trio.lowlevel.current_task(), trio.current_time() + self.limits.deadline_s)
        self._in_flight.append(call)
        self._calls += 1
        self.counts.calls += 1
        self._reader.unpark()
        await trio.lowlevel.wait_task_rescheduled(call.abort)
        if isinstance(call.reply, RedisError):
            raise call.reply
        return call.reply

    async def run_script(self, script: Script, keys: Sequence[Part], arguments: Sequence[Part] = ()) -> Reply:
        """Runs `script`, loading it first where the server has not seen it (a new server, a flush). Raises as `call`."""
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except RedisRefused as refused:
            if refused.code != "NOSCRIPT":  # it ran not at all, so running it again is safe
                raise
        return await self.call("EVAL", script.source, len(keys), *keys, *arguments)

    def post(self, packed: bytes, commands: int = 1) -> None:
        """Sends `commands` commands, packed by `pack`, and waits for nothing. Raises RedisAway and RedisBusy (not sent)."""
        self._send(packed)
        self.counts.posts += commands
        in_flight = self._in_flight
        if in_flight and isinstance(in_flight[-1], int):
            in_flight[-1] += commands
        else:
            in_flight.append(commands)
        self._posts += commands
        if self._posts >= UNREAD_POSTS_MAX:
            self._reader.unpark()

    def cork(self) -> None:
        """From here to `uncork`, which must come before the next checkpoint, commands gather for one write. Nests."""
        self._corks += 1

    def uncork(self) -> None:
        """Writes at once what was gathered, as far as the kernel takes it; the writer does the rest."""
        self._corks -= 1
        if self._corks or not self._out:
            return
        if self._descriptor is not None:
            data = b"".join(self._out)
            try:
                written = os.write(self._descriptor, data)
            except OSError:
                written = 0  # full, or broken: the writer finds out which
            self.counts.writes += 1
            self._unsent_bytes -= written
            if written == len(data):
                self._out.clear()
                return
            self._out[:] = [data[written:]]
        self._writer.unpark()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the connection, for ever. Starts without one, and never raises for want of one."""
        task_status.started()
        await keep_connected(self._way, self._random, self._serve_connection)

    async def _serve_connection(self, connection: Connection) -> None:
        self.counts.connects += 1
        self._progress_at = trio.current_time()
        self._set_up(True)
        try:
            await connection.share(self._read, self._write, self._watch)
        finally:
            self._lose()

    async def _read(self, connection: Connection) -> None:
        gets, in_flight = connection.gets, self._in_flight
        while True:
            await connection.feed()
            self._progress_at = trio.current_time()
            called = self._calls
            while (reply := gets()) is not NOT_YET:
                first = in_flight[0]
                if isinstance(first, int):
                    if isinstance(reply, RedisRefused):
                        self.counts.posts_refused += 1
                    self._posts -= 1
                    if first == 1:
                        in_flight.popleft()
                    else:
                        in_flight[0] = first - 1
                else:
                    in_flight.popleft()
                    self._calls -= 1
                    first.settle(reply)
            if not called and self._posts < UNREAD_POSTS_MAX:
                await self._reader.park()  # until a call, many posts, or the next look of `_watch`

    async def _write(self, connection: Connection) -> None:
        stream = connection.stream
        while True:
            if not self._out:
                self._descriptor = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None
                await self._writer.park()
                self._descriptor = None
            # Whoever called in this tick is in here; whoever calls during the write is in the next one.
            data = b"".join(self._out)
            self._out.clear()
            self.counts.writes += 1
            await connection.write(data)
            self._unsent_bytes -= len(data)

    async def _watch(self, connection: Connection) -> None:
        """Fails calls whose time is over, and returns when the connection has been silent for too long."""
        deadline_s = self.limits.deadline_s
        while True:
            due = trio.current_time() + deadline_s / 4
            await trio.sleep_until(due)
            now = trio.current_time()
            self._reader.unpark()
            if now - due > deadline_s / 4:
                continue  # this process itself was stopped: the replies may be here already, unread
            for call in self._in_flight:
                if isinstance(call, _Call):
                    if call.deadline > now:
                        break
                    if call.task is not None:
                        self.counts.unknown += 1
                        call.settle(OutcomeUnknown(f"{self._way.address}: no reply within {deadline_s} s"))
            if not self._in_flight:
                self._progress_at = now
            elif now - self._progress_at > deadline_s:
                self.counts.stalls += 1
                return

    def _send(self, packed: bytes) -> None:
        if not self._up:
            self.counts.refused_away += 1
            raise RedisAway(f"{self._way.address}: no connection")
        if self._unsent_bytes + len(packed) > self.limits.unsent_bytes_max:
            self.counts.refused_busy += 1
            raise RedisBusy(f"{self._unsent_bytes} bytes are unsent")
        self._unsent_bytes += len(packed)
        self._out.append(packed)
        if not self._corks:
            self._writer.unpark()

    def _lose(self) -> None:
        self.counts.losses += 1
        in_flight, self._in_flight = self._in_flight, deque()
        self._calls = self._posts = 0
        self._descriptor = None
        self._out.clear()
        self._unsent_bytes = 0
        for call in in_flight:
            if isinstance(call, _Call) and call.task is not None:
                self.counts.unknown += 1
                call.settle(OutcomeUnknown(f"{self._way.address}: the connection was lost"))
        self._set_up(False)

    def _set_up(self, up: bool) -> None:
        self._up = up
        self._changed.set()
        self._changed = trio.Event()

    async def _wait(self, up: bool) -> None:
        while self._up is not up:
            await self._changed.wait()

"""Sessions close at hand: a small table in this process, then Redis, then whoever knows (Postgres).

    get ─▶ L1 (one dict, some seconds) ─▶ Redis session:v1:{id} (some minutes) ─▶ load
                     ▲                            ▲
                     └── announced, on every ─────┴── invalidate: tombstone here, announcement there
                         other gateway

Many tasks that ask for the same session while it is being fetched share one fetch.

Invariant: what was loaded before an invalidation is never cached after it. In this process the flight is marked stale; in Redis
a tombstone stands for longer than any load may take, and a load fills only an empty key (NX). A tombstone that Redis could
not take is owed, and paid before Redis is read again. An announcement may be lost: then a stale value lives on in other
processes for at most `l1_s`, and whoever promises less polls the revocation head and calls `invalidate` for what it finds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Generic, TypeVar

import msgspec
import trio

from gateway.redis_connection import RedisError, pack
from gateway.resp import Commands, Script

V = TypeVar("V")

SESSIONS_TOPIC = "sessions"
"""The link's topic on which invalidations are announced; the payload is `announcement(session_id)`."""
TOMBSTONE = b""
OWED_MAX = 10_000
"""Tombstones that Redis could not take; then the oldest is dropped, and its session may be read there for up to `redis_s`."""
PAID_AT_ONCE_MAX = 1000

PAY = Script.of("for _, key in ipairs(KEYS) do redis.call('SET', key, '', 'EX', ARGV[1]) end")


class CacheLimits(msgspec.Struct, frozen=True):
    """The bounds of one cache."""

    entries_max: int = 20_000
    """One for each socket that a process may hold; about 0.5 KiB each. Then the one used least recently goes."""
    l1_s: float = 5.0
    redis_s: int = 300
    tombstone_s: int = 30
    """Longer than `load_s`, so that no load from before an invalidation finds the key empty."""
    load_s: float = 10.0


class CacheCounts(msgspec.Struct):
    """Where answers came from since the start; read by the metrics."""

    from_l1: int = 0
    from_redis: int = 0
    loaded: int = 0
    shared: int = 0
    """Answers that came from somebody else's fetch."""
    unreadable: int = 0
    """Values in Redis that this version cannot read; loaded again instead."""


def announcement(session_id: int) -> bytes:
    """What `invalidate` announces."""
    return b"%d" % session_id


class _Flight(Generic[V]):
    """One fetch in progress, and who waits for it."""

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.outcome: tuple[V | None] | Exception | None = None
        """What came, wrapped; why nothing came; None: whoever fetched was cancelled, and somebody else must."""
        self.stale = False


class SessionCache(Generic[V]):
    """A cache of values of one msgspec type by session number."""

    def __init__(
        self,
        commands: Commands,
        announce: Callable[[bytes], None],
        kind: type[V],
        load: Callable[[int], Awaitable[V | None]],
        *,
        limits: CacheLimits | None = None,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        """`announce` sends bytes to the `heard` of every other gateway (topic SESSIONS_TOPIC); `load` asks Postgres, None: no such."""
        self.counts = CacheCounts()
        self.limits = limits or CacheLimits()
        assert self.limits.tombstone_s > self.limits.load_s, "else a load may outlive the tombstone that refuses it"
        self._commands = commands
        self._announce = announce
        self._load = load
        self._now = now
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._near: OrderedDict[int, tuple[V, float]] = OrderedDict()
        self._flights: dict[int, _Flight[V]] = {}
        self._owed: OrderedDict[int, None] = OrderedDict()

    def peek(self, session_id: int) -> V | None:
        """The value, if it is in this process and fresh. Never waits."""
        entry = self._near.get(session_id)
        if entry is None or entry[1] <= self._now():
            return None
        self._near.move_to_end(session_id)
        self.counts.from_l1 += 1
        return entry[0]

    async def get(self, session_id: int) -> V | None:
        """The value from wherever it is nearest; None if there is none. Raises what `load` raises, and trio.TooSlowError."""
        while True:
            value = self.peek(session_id)
            if value is not None:
                return value
            flight = self._flights.get(session_id)
            if flight is None:
                return await self._fetch(session_id)
            await flight.landed.wait()
            match flight.outcome:
                case (shared,):
                    self.counts.shared += 1
                    return shared
                case Exception() as error:
                    raise error

    async def invalidate(self, session_id: int) -> None:
        """After a change that is committed: nobody caches the old value from now on, other gateways as soon as they hear of it.

        Raises nothing for want of Redis.
        """
        self.owe(session_id)
        try:
            await self._pay()
        except RedisError:
            pass  # still owed
        finally:
            # After the tombstone, so that whoever hears it does not find the old value in Redis.
            self._announce(announcement(session_id))

    def owe(self, session_id: int) -> None:
        """The part of `invalidate` that cannot wait: from now on this process reads nothing older, neither here nor in Redis."""
        self.forget(session_id)
        self._owed[session_id] = None
        if len(self._owed) > OWED_MAX:
            self._owed.popitem(last=False)

    def heard(self, payload: bytes) -> None:
        """Another gateway's announcement. What is no number is ignored."""
        if payload.isdigit():
            self.forget(int(payload))

    def forget(self, session_id: int) -> None:
        """Drops the value from this process; a fetch under way is not kept and not joined by later callers."""
        self._near.pop(session_id, None)
        flight = self._flights.pop(session_id, None)
        if flight is not None:
            flight.stale = True

    def forget_all(self) -> None:
        """Drops everything from this process: announcements may have been missed (the link came up again)."""
        self._near.clear()
        for flight in self._flights.values():
            flight.stale = True
        self._flights.clear()

    async def _fetch(self, session_id: int) -> V | None:
        flight: _Flight[V] = _Flight()
        self._flights[session_id] = flight
        try:
            value = await self._read(session_id)
            if value is None:
                with trio.fail_after(self.limits.load_s):
                    value = await self._load(session_id)
                self.counts.loaded += 1
                if value is not None and not flight.stale:
                    self._fill(session_id, value)
            if value is not None and not flight.stale:
                self._keep(session_id, value)
            flight.outcome = (value,)
            return value
        except Exception as error:  # not swallowed: raised here, and by everybody who shares the fetch
            flight.outcome = error
            raise
        finally:
            if self._flights.get(session_id) is flight:
                del self._flights[session_id]
            flight.landed.set()

    async def _read(self, session_id: int) -> V | None:
        try:
            await self._pay()
            packed = await self._commands.call("GET", self._key(session_id))
        except RedisError:
            return None
        if packed is None or packed == TOMBSTONE:
            return None
        try:
            value = self._decode(packed)
        except msgspec.DecodeError:
            self.counts.unreadable += 1
            return None
        self.counts.from_redis += 1
        return value

    async def _pay(self) -> None:
        """Puts up the tombstones that are owed. Raises RedisError; what was not confirmed is still owed."""
        while self._owed and self._commands.up:
            some = list(islice(self._owed, PAID_AT_ONCE_MAX))
            await self._commands.run_script(PAY, [self._key(session_id) for session_id in some], (self.limits.tombstone_s,))
            for session_id in some:
                self._owed.pop(session_id, None)

    def _fill(self, session_id: int, value: V) -> None:
        try:
            self._commands.post(pack(("SET", self._key(session_id), self._encode(value), "NX", "EX", self.limits.redis_s)))
        except RedisError:
            pass  # the next one loads again

    def _keep(self, session_id: int, value: V) -> None:
        self._near[session_id] = (value, self._now() + self.limits.l1_s)
        self._near.move_to_end(session_id)
        if len(self._near) > self.limits.entries_max:
            self._near.popitem(last=False)

    @staticmethod
    def _key(session_id: int) -> str:
        return f"session:v1:{session_id}"

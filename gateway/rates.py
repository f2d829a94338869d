"""Rate limits: so many at once, so many a second, per address, user and command.

    take(name, key, limit) ─▶ Redis: one script, its clock, every gateway counts together
                           └─▶ without Redis: a bounded table in this process, the same rule

The rule is a token bucket, kept as one number: the time at which the bucket will be full again (GCRA, the "virtual scheduling"
form of ITU-T I.371). A bucket that is full needs no row, so an idle key costs nothing.

Invariant: over any t seconds one key is allowed at most `burst + per_s · t`. Without Redis each gateway grants that by itself.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable

import msgspec
import trio

from gateway.redis_connection import RedisError
from gateway.resp import Commands, Script


class Limit(msgspec.Struct, frozen=True):
    """At most `burst` at once, and `per_s` a second for ever."""

    burst: int
    per_s: float

    def __post_init__(self) -> None:
        if self.burst < 1 or not self.per_s > 0 or not math.isfinite(self.per_s):
            raise ValueError(f"a limit needs burst ≥ 1 and a finite per_s > 0, not {self.burst} and {self.per_s}")


class Decision(msgspec.Struct, frozen=True):
    """Whether to go on, and if not, how many seconds until it would be allowed if nobody else asks."""

    allowed: bool
    retry_after_s: float = 0.0


ALLOWED = Decision(True)

FALLBACK_KEYS_MAX = 50_000
"""Keys counted locally while Redis is away: about 200 B each."""

TAKE = Script.of("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost * interval
local wait = full - burst * interval - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], full, 'PX', math.ceil((full - now) / 1000) + 1)
return 0
""")
"""In microseconds since 1970: a double holds them exactly until 2255, and Redis writes a script's numbers with 17 digits."""


class Buckets:
    """Token buckets in this process, at most `keys_max` of them. Pure: time is passed in and must not run backwards.

    At the bound the key that asked longest ago is forgotten, and with it what it had used up: a flood of new keys is let
    through rather than one of memory. Keys whose number is bounded (a socket's own) are never forgotten if `keys_max` covers them.
    """

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, limit: Limit, now: float, cost: int = 1) -> Decision:
        """Takes `cost` tokens (1 to `limit.burst`) from the bucket of `key` at `now` seconds, or takes none and says when it could."""
        assert 1 <= cost <= limit.burst, "what costs more than the burst would never be allowed"
        interval_s = 1.0 / limit.per_s
        full_at = max(self._full_at.get(key, now), now) + cost * interval_s
        wait_s = full_at - limit.burst * interval_s - now
        # Sums of intervals are off by some 1e-16 of `now`; what is allowed exactly now must not wait for a rounding error.
        if wait_s > 1e-9 + now * 1e-14:
            self._full_at.move_to_end(key)  # there is one, or the bucket would have been full; who keeps asking is not forgotten
            return Decision(False, wait_s)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys_max:
            self._full_at.popitem(last=False)
        return ALLOWED

    def forget(self, key: Hashable) -> None:
        """Drops the bucket of `key`; the next one is full."""
        self._full_at.pop(key, None)


class Rates:
    """Rate limits that all gateways share through Redis."""

    def __init__(
        self,
        commands: Commands,
        *,
        keys_max: int = FALLBACK_KEYS_MAX,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.local_decisions = 0
        """How often Redis did not answer and this process decided alone; read by the metrics."""
        self._commands = commands
        self._fallback = Buckets(keys_max)
        self._now = now

    async def take(self, name: str, key: str | int, limit: Limit, cost: int = 1) -> Decision:
        """Takes `cost` tokens (1 to `limit.burst`) from the bucket `name`:`key`. Raises nothing for want of Redis.

        `name` says what is limited (`login`, `address`); one name has one limit. Waits at most the command deadline, once: while
        Redis is known to be away it decides at once.
        """
        assert 1 <= cost <= limit.burst, "what costs more than the burst would never be allowed"
        try:
            wait_us = await self._commands.run_script(TAKE, (f"rate:v1:{name}:{key}",), (1e6 / limit.per_s, limit.burst, cost))
        except RedisError:
            self.local_decisions += 1
            return self._fallback.take((name, key), limit, self._now(), cost)
        return Decision(False, wait_us / 1e6) if wait_us else ALLOWED

"""Limits that all gateways share, taken without waiting.

    take ─▶ closed by what Redis said? ─▶ bucket of this process ─▶ allowed, and owed
                                                                       │ in `serve`: one script for each account and kind
    closed until … ◀── what all gateways together have let through ◀───┴──▶ Redis

An actor cannot wait for Redis without holding up what its client sent after it, so a gateway decides at once by what it knows, and says
afterwards what it let through. Redis adds that up, also beyond the limit: what was let through too much is owed, and delays what comes
next. So a person with devices on k gateways gets at most what k buckets hold at the first moment, and the rate of one from then on.

Without Redis each gateway grants its own bucket, as `gateway.rates` does.

Invariant: `take` never waits and keeps at most `keys_max` keys; what is not said to Redis yet is bounded by the same.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from actors.limits import Quota, Quotas
from gateway.client_address import network_key
from gateway.rates import FALLBACK_KEYS_MAX, Buckets, Limit
from gateway.redis_connection import RedisError
from gateway.resp import Commands, Script

ADDRESS_SHARE: Final = 30
"""One address may ask as often as so many accounts: a school sits behind one."""
AT_ONCE_MAX: Final = 64
"""Scripts under way at a time."""
SETTLE_S: Final = 0.005
"""Between two rounds: what one account asks for meanwhile is one call, and so long it may ask more of another gateway."""

CHARGE: Final = Script.of("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + cost * interval
full = math.min(full, now + 2 * burst * interval)
redis.call('SET', KEYS[1], full, 'PX', math.ceil((full - now) / 1000) + 1)
return math.max(0, math.ceil(full + interval - burst * interval - now))
""")
"""The same number as `gateway.rates.TAKE` keeps, but it is never refused: it has happened. Debts end at a second burst. Answers how long it
is until the next one would be allowed, in microseconds."""

Key = tuple[str, int | str]


class SharedLimits:
    """Implements `actors.limits.Limits`. `serve` runs it; before and after that each `take` decides alone."""

    def __init__(
        self,
        commands: Commands,
        quotas: Quotas,
        *,
        keys_max: int = FALLBACK_KEYS_MAX,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._commands = commands
        self._limits = {quota: _limit(quotas, quota, 1) for quota in Quota}
        self._address_limits = {quota: _limit(quotas, quota, ADDRESS_SHARE) for quota in Quota}
        self._buckets = Buckets(keys_max)
        self._keys_max = keys_max
        self._now = now
        self._closed: OrderedDict[Key, float] = OrderedDict()
        self._owed: dict[Key, tuple[Limit, int]] = {}
        self._news = trio.Event()
        self.refused = 0
        """How often somebody was told to wait."""
        self.alone = 0
        """What was let through and Redis did not hear of."""

    def take(self, quota: Quota, user: int, address: str = "") -> float:
        """Takes one, of the account's and of its address's; see `actors.limits.Limits`."""
        now = self._now()
        keys: list[tuple[Key, Limit]] = [((quota.value, user), self._limits[quota])]
        if address:
            keys.append(((f"{quota.value}-address", network_key(address)), self._address_limits[quota]))
        wait_s = max(self._take(key, limit, now) for key, limit in keys)
        self.refused += wait_s > 0.0
        return wait_s

    def _take(self, key: Key, limit: Limit, now: float) -> float:
        closed = self._closed.get(key)
        if closed is not None:
            if closed > now:
                return closed - now
            del self._closed[key]
        decision = self._buckets.take(key, limit, now)
        if not decision.allowed:
            return decision.retry_after_s
        if key in self._owed or len(self._owed) < self._keys_max:
            self._owed[key] = (limit, self._owed.get(key, (limit, 0))[1] + 1)
            self._news.set()
        else:
            self.alone += 1
        return 0.0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tells Redis what was let through, until cancelled."""
        task_status.started()
        while True:
            self._news = trio.Event()
            await self.settle()
            await self._news.wait()
            await trio.sleep(SETTLE_S)

    async def settle(self) -> None:
        """Tells Redis of all that is owed by now, and closes what is used up."""
        owed, self._owed = self._owed, {}
        waiting = iter(owed.items())

        async def charge() -> None:
            for key, (limit, cost) in waiting:
                await self._charge(key, limit, cost)

        async with trio.open_nursery() as nursery:
            for _ in range(min(AT_ONCE_MAX, len(owed))):
                nursery.start_soon(charge)

    async def _charge(self, key: Key, limit: Limit, cost: int) -> None:
        run = partial(self._commands.run_script, CHARGE, (f"rate:v1:{key[0]}:{key[1]}",))
        try:
            wait_us = await run((1e6 / limit.per_s, limit.burst, cost))
        except RedisError:
            self.alone += cost
            return
        assert isinstance(wait_us, int)
        if wait_us:
            self._closed[key] = self._now() + wait_us / 1e6
            self._closed.move_to_end(key)
            if len(self._closed) > self._keys_max:
                self._closed.popitem(last=False)


def _limit(quotas: Quotas, quota: Quota, share: int) -> Limit:
    rate = quotas.of(quota)
    return Limit(share * math.ceil(rate.burst), share * rate.per_s)

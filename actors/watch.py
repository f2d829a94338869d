"""Comparing, again and again, what this gateway believes with what Postgres says: the net under everything that pub/sub may lose.

    every interval ─▶ keys that matter here ─▶ one query ─▶ whoever is concerned is told

What is compared: where the followed streams end (the last event of a stream has no later one to show that it was lost), and the
generations of the devices here (a takeover elsewhere whose announcement was lost). Without a link this is how news arrives at all, so
the interval is short then.

Invariant: every key is asked for, `KEYS_MAX` an interval, before any is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.cell import Context
from actors.messages import Alarm
from actors.storage import Answered, Query, Result, Store

KEYS_MAX = 4_000
"""In one query. Heads of 10,000 streams take 25 ms of Postgres."""
LOOK = Alarm("look")

WatchMessage = Alarm | Answered


class Watch:
    """One comparison. `ask` makes the query for some keys; `compare` takes what came back."""

    def __init__(
        self,
        ctx: Context[WatchMessage],
        store: Store,
        *,
        keys: Callable[[], Sequence[int]],
        ask: Callable[[tuple[int, ...]], Query],
        compare: Callable[[Result], None],
        interval_s: Callable[[], float],
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._keys = keys
        self._ask = ask
        self._compare = compare
        self._interval_s = interval_s
        self._to_ask: list[int] = []
        self._ticket = 0
        ctx.after(interval_s(), LOOK)

    def receive(self, message: WatchMessage) -> None:
        if isinstance(message, Answered):
            if message.ticket != self._ticket:
                return  # asked before a crash: two rounds side by side would never end
            self._compare(message.result)
            self._ctx.after(self._interval_s(), LOOK)
            return
        assert isinstance(message, Alarm), f"{message!r} is no message of a watch"
        if not self._to_ask:
            self._to_ask = list(self._keys())
        asked, self._to_ask = self._to_ask[:KEYS_MAX], self._to_ask[KEYS_MAX:]
        if asked:
            self._ticket = self._ctx.ticket()
            self._store.ask(self._ask(tuple(asked)), self._ticket, self._ctx.self)
        else:
            self._ctx.after(self._interval_s(), LOOK)

    def passivate(self) -> bool:
        return False

    def stopped(self) -> None:
        """Nothing is held."""

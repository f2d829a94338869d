"""The control stream's reader: what every gateway must know within a second, whether or not pub/sub delivers.

    poll twice a second ─▶ head above the cursor? ─▶ events after the cursor ─▶ listener
    one statement          no: nothing                in order, each once

It starts at the head: a gateway that starts holds no socket and no permission that could be outdated. Facts that came by pub/sub may be
told twice; they are to be idempotent.

Invariant: every event of the control stream after the start reaches the listener, in order, at most `poll_s` and one round trip after
the database could be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import structlog
import trio
from msgspec import Struct

from actors.storage import CONTROL_STREAM, Fact
from actors.storage_port import StorageError
from persistence.bridge import Bridge

log = structlog.get_logger()

Listener = Callable[[Sequence[Fact]], None]

POKE_EVERY_S: Final = 0.02
"""Between two looks, however often it is poked: a storm of revocations is read in pages."""

_READ: Final = """
select s.head, s.audience_version, l.seq, l.author, l.at, l.body
from streams s left join log l on l.stream_id = s.id and l.seq > $2
where s.id = $1 order by l.seq limit $3"""


class ControlOptions(Struct, frozen=True):
    """`silent_s`: how long the database may be away before that is an error in the log: promises with a deadline rest on this."""

    poll_s: float = 0.5
    page_max: int = 1_000
    call_s: float = 3.0
    silent_s: float = 5.0


class ControlReader:
    """`serve` runs it. `after` is its cursor, -1 before the first answer; `fresh_s` tells how old what it knows is."""

    def __init__(self, bridge: Bridge, listener: Listener, options: ControlOptions = ControlOptions()) -> None:  # noqa: B008 (frozen)
        self._lane = bridge.dedicated("control")  # of its own: a busy pool must not make it wait
        self._listener = listener
        self._options = options
        self.after = -1
        self._answered_s: float | None = None
        self._poked = trio.Event()

    def poke(self) -> None:
        """Somebody heard that there is something new: look at once. Never waits; the poll goes on whether or not this is called."""
        self._poked.set()

    @property
    def fresh_s(self) -> float | None:
        """Seconds since the database last answered; None before it first did."""
        return None if self._answered_s is None else trio.current_time() - self._answered_s

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Polls until cancelled. `started()` once the head is known, so that no socket is taken before. Goes on from its cursor after
        a restart of its own.
        """
        silent_since_s = trio.current_time()
        told = False
        started = False
        while True:
            began_s = trio.current_time()
            try:
                more = await self._poll()
            except StorageError as error:
                more = False
                if trio.current_time() - silent_since_s >= self._options.silent_s and not told:
                    log.error("control_fell_silent", seconds=round(trio.current_time() - silent_since_s, 1), error=str(error))
                    told = True
            else:
                silent_since_s, told = trio.current_time(), False
                if not started:
                    started = True
                    task_status.started()
            if not more:
                with trio.move_on_at(began_s + self._options.poll_s):
                    await self._poked.wait()
                await trio.sleep_until(began_s + POKE_EVERY_S)
                self._poked = trio.Event()

    async def _poll(self) -> bool:
        """Reads a page; True when there may be another at once."""
        began_s = trio.current_time()
        if self.after < 0:

            async def head(connection: asyncpg.Connection) -> int:
                value: int = await connection.fetchval("select head from streams where id = $1", CONTROL_STREAM)
                return value

            self.after = await self._lane.run(head, deadline_s=self._options.call_s, readonly=True, isolation="none")
            self._answered_s = began_s
            return False

        async def page(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(_READ, CONTROL_STREAM, self.after, self._options.page_max)
            return rows

        rows = await self._lane.run(page, deadline_s=self._options.call_s, readonly=True, isolation="none")
        self._answered_s = began_s
        if rows and rows[-1]["seq"] is not None:
            self._listener([Fact(CONTROL_STREAM, seq, author, at, body, version) for _, version, seq, author, at, body in rows])
            self.after = rows[-1]["seq"]
        elif rows and rows[0]["head"] < self.after:
            # Another history of the database (a restore): waiting for its head to pass ours would be deaf for as long.
            log.error("control_rewound", after=self.after, head=rows[0]["head"])
            self.after = rows[0]["head"]
        return len(rows) == self._options.page_max

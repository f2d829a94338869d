"""Who still has a session: asked on every request that carries an access token, answered close at hand.

    request ─▶ admit ─▶ cache: L1 ─▶ Redis ─▶ Postgres        a token lives 15 minutes, its session may end sooner
    control stream ─▶ revoked ─▶ owe, now ─▶ invalidate, in `serve`
    other gateways ─▶ announced ─▶ forget

The control stream is read twice a second whatever else is lost, so an ended session is refused everywhere within a second, without
Redis too. The announcements only make it sooner.

Invariant: once `revoked` has returned, this process admits nothing in that session's name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from actors.accounts import Claims, SessionState
from actors.storage_port import StorageError
from gateway.session_cache import SESSIONS_TOPIC, SessionCache
from protocol.codes import Code

log = structlog.get_logger()

PENDING_MAX: Final = 10_000
"""Revocations that wait for Redis' tombstones. Beyond it the oldest is dropped, whose tombstone the next reading pays all the same."""
RETRY_S: Final = 0.5


class SessionGate:
    """`serve` runs it; `admit` is for the HTTP side, the rest for the exchange. `sessions_of` lists an account's sessions."""

    def __init__(self, cache: SessionCache[SessionState], sessions_of: Callable[[int], Awaitable[tuple[int, ...]]]) -> None:
        self._cache = cache
        self._sessions_of = sessions_of
        self._pending: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._news = trio.Event()
        self._everybody: set[int] = set()
        self.counts = cache.counts
        self.refused = 0

    async def admit(self, claims: Claims, now: float) -> Code:
        """`OK`, or `REVOKED`: the session is over, or was never there. `now` is Unix time in seconds. Raises `StorageError`."""
        if claims.user in self._everybody:
            # All of this account's sessions end, and which they are is not known yet: only the database can tell.
            for session in await self._sessions_of(claims.user):
                self._cache.owe(session)
        state = await self._cache.get(claims.session)
        if state is not None and state.expires_at <= now and not state.ended:
            # A refresh may have moved its end since that was read.
            await self._cache.invalidate(claims.session)
            state = await self._cache.get(claims.session)
        good = (
            state is not None and not state.ended and state.expires_at > now and (state.user, state.device) == (claims.user, claims.device)
        )
        self.refused += not good
        return Code.OK if good else Code.REVOKED

    def revoked(self, user: int, session: int) -> None:
        """A session of `user` is over (0: all of them). Never waits."""
        if session:
            self._cache.owe(session)
        else:
            self._everybody.add(user)
            self._cache.forget_all()
        self._pending[user, session] = None
        if len(self._pending) > PENDING_MAX:
            (dropped, all_of_them), _ = self._pending.popitem(last=False)
            if not all_of_them:
                self._everybody.discard(dropped)
        self._news.set()

    def announced(self, topic: str, payload: bytes) -> None:
        """Another gateway says that a session changed."""
        if topic == SESSIONS_TOPIC:
            self._cache.heard(payload)

    def link_up(self) -> None:
        """Announcements may have been missed."""
        self._cache.forget_all()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Puts up the tombstones and tells the other gateways, until cancelled."""
        task_status.started()
        while True:
            self._news = trio.Event()
            while self._pending:
                user, session = next(iter(self._pending))
                try:
                    ended = (session,) if session else await self._sessions_of(user)
                except StorageError as error:
                    log.info("revocation_delayed", user=user, error=str(error))
                    await trio.sleep(RETRY_S)
                    continue
                for one in ended:
                    await self._cache.invalidate(one)
                self._pending.pop((user, session), None)
                if not session:
                    self._everybody.discard(user)
            await self._news.wait()

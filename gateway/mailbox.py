"""Where actors' ports answer to a task: what a request asks of the store and the journal comes back to it here.

    route ─ask──────▶ store   ─Answered─▶ mailbox ─take─▶ route        the ports speak to actors: they tell, and nobody waits
          ─submit n─▶ journal ─Decided──▶ mailbox ─take─▶ route

A request that gave up waiting leaves its mailbox, and an answer that comes later is lost with it.

Invariant: a mailbox holds at most as many messages as its owner asked questions, each of which is answered once.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

from actors.storage import Answered, Query, Result, Store

M = TypeVar("M")


class Mailbox(Generic[M]):
    """`actors.cell.Ref` for one task, which takes what was told in its order."""

    def __init__(self) -> None:
        self._waiting: deque[M] = deque()
        self._news = trio.Event()

    def tell(self, message: M, size_bytes: int = 0) -> bool:
        self._waiting.append(message)
        self._news.set()
        return True

    def tell_control(self, message: M) -> None:
        self.tell(message)

    async def take(self) -> M:
        """The next message, as soon as there is one."""
        while not self._waiting:
            self._news = trio.Event()
            await self._news.wait()
        return self._waiting.popleft()


async def ask(store: Store, query: Query) -> Result:
    """The store's answer, which comes within the store's own deadline."""
    mailbox: Mailbox[Answered] = Mailbox()
    store.ask(query, 0, mailbox)
    return (await mailbox.take()).result

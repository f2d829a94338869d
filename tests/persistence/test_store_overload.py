"""Claims about a store that is asked for more than its database can answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from trio.testing import MockClock

from actors.storage import Answered, Denied, Head, Heads, ReadHeads
from actors.storage_port import Unavailable
from persistence.bridge import Bridge
from persistence.store import Store, StoreOptions
from tests.persistence.world import Mailbox

BATCH_S = 0.5


class SlowBridge:
    """Every batch takes `BATCH_S`, whatever its size; one that is given less is cancelled, and was for nothing."""

    async def run(self, work: Callable[[Any], Awaitable[Any]], *, deadline_s: float, **_: object) -> Any:
        await trio.sleep(min(deadline_s, BATCH_S))
        if deadline_s < BATCH_S:
            raise Unavailable("timeout", "not finished in time")
        return await work(HeadsOnly())


class HeadsOnly:
    async def fetch(self, sql: str, streams: list[int]) -> list[tuple[int, int, int]]:
        return [(stream, 7, 1) for stream in streams]


async def test_what_the_database_can_answer_is_answered_however_much_more_is_asked(autojump_clock: MockClock) -> None:
    options = StoreOptions(batch_wide_max=10, workers=1)  # twenty a second
    store = Store(cast("Bridge", SlowBridge()), options)
    answers: Mailbox[Answered] = Mailbox()
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        for ticket in range(2_000):  # fifty a second, for forty seconds
            store.ask(ReadHeads((ticket,)), ticket, answers)
            await trio.sleep(0.02)
        await answers.wait(2_000)
        nursery.cancel_scope.cancel()
    answered = [answer for answer in answers.told if isinstance(answer.result, Heads)]
    assert all(isinstance(answer.result, Heads | Denied) for answer in answers.told)
    assert len(answered) >= 700, "nearly all of the 800 that there was time for"
    assert answered[0].result == Heads((Head(0, 7, 1),))

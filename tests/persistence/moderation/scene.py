"""A gateway's moderation for tests: a journal, a moderator beside it, and models that say what a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from actors.inference import Answer, Judge, Unanswered, Verdict, Why
from actors.storage import Fact
from persistence.bridge import Bridge
from persistence.moderation.moderator import Moderator, ModeratorOptions
from protocol import codec
from protocol.values import Harm
from tests.persistence.world import World, fetch, world

QUICK = ModeratorOptions(first_poll_s=0.05, sweep_s=0.1, put_off_s=0.05, put_off_max_s=0.1, busy_s=0.01, away_s=0.05)
NEVER_SWEEPS = ModeratorOptions(first_poll_s=60.0, sweep_s=3600.0, put_off_s=0.05, put_off_max_s=0.1, busy_s=0.01)


class FakeModels:
    """Says that a text with "bad" in it is an insult, with "foul" a threat, with "call" personal data, with "sad" somebody in need.
    `why`: says nothing instead. `gate`: waits for it."""

    def __init__(self, why: Why | None = None) -> None:
        self.why = why
        self.gate: trio.Event | None = None
        self.asked: list[str] = []

    async def ask(self, request: Any, within_s: float, *, key: int = 0) -> Answer:
        assert isinstance(request, Judge)
        self.asked.append(request.text)
        if self.gate is not None:
            with trio.move_on_after(within_s):
                await self.gate.wait()
            if not self.gate.is_set():
                raise Unanswered(Why.LATE)
        await trio.lowlevel.checkpoint()
        if self.why is not None:
            raise Unanswered(self.why)
        text = request.text
        scores = {Harm.TOXIC: 0.02}
        for word, harm, score in (
            ("bad", Harm.INSULT, 0.97),
            ("hm", Harm.INSULT, 0.8),
            ("foul", Harm.THREAT, 0.99),
            ("sad", Harm.SELF_HARM, 0.9),
        ):
            if word in text:
                scores[harm] = score
        return Answer(Verdict(scores, "en", 0.99), "fake@1")

    def ask_nowait(self, request: Any, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        raise NotImplementedError


@asynccontextmanager
async def moderated(bridge: Bridge, models: FakeModels, options: ModeratorOptions = QUICK) -> AsyncIterator[tuple[World, Moderator]]:
    """A gateway: what its journal commits, its moderator looks at."""
    async with world(bridge) as w:
        moderator = Moderator(bridge, w.herald, models, options)
        committed = w.herald.committed

        def tell(facts: Sequence[Fact]) -> None:
            committed(facts)
            moderator.told(facts)

        w.herald.committed = tell  # type: ignore[method-assign]
        w.journal.held_back = moderator.held
        async with trio.open_nursery() as nursery:
            await nursery.start(moderator.serve)
            yield w, moderator
            nursery.cancel_scope.cancel()


async def bodies(bridge: Bridge, stream: int) -> list[object]:
    """What stands in a stream's log."""
    return [codec.decode_body(row["body"]) for row in await fetch(bridge, "select body from log where stream_id = $1 order by seq", stream)]


async def reviewer(bridge: Bridge, user: int) -> None:
    """Lets somebody decide what is the platform's."""
    await fetch(
        bridge,
        "insert into user_roles (user_id, role_id, given_by) select $1, id, 0 from roles where space_id is null and name = 'reviewer'",
        user,
    )


async def come(true: Callable[[], bool]) -> None:
    """Waits until it is so."""
    with trio.fail_after(20):
        while not true():  # noqa: ASYNC110 (what it waits for has no event)
            await trio.sleep(0.01)


async def until(bridge: Bridge, sql: str, *arguments: object, count: int = 1) -> list[Any]:
    """Rows, once there are as many."""
    with trio.fail_after(20):
        while True:
            rows = await fetch(bridge, sql, *arguments)
            if len(rows) >= count:
                return rows
            await trio.sleep(0.01)

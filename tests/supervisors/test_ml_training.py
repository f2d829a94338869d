"""A training from rows to a version in use: in a process of its own, kept, and used only if it is better."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import trio

from actors.jobs import Hopeless
from actors.model_book import Mark, Met, Page, State
from ml_actors.library import Library
from persistence.bridge import Bridge, BridgeOptions
from persistence.models import PostgresModels, entries
from supervisors.ml_training import Train, Trainings


class Work:
    """`actors.jobs.Work`, whose end is a transaction."""

    effect_key = ""
    attempt = 1
    space = 0

    def __init__(self, bridge: Bridge, model: str) -> None:
        self.payload = Train(model)
        self.said: list[str] = []
        self._bridge = bridge

    async def finish(self, effect: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self._bridge.run(effect, deadline_s=10.0)

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        self.said.append(words)


def met(chance: random.Random) -> bytes:
    """Only the last factor counts, which the rule gives a tenth."""
    factors = tuple(chance.random() for _ in range(6))
    return msgspec.msgpack.encode(Met(factors, factors[5] > 0.5, 0.5, "en"))


async def test_what_learned_from_outcomes_is_promoted_when_it_is_better_and_a_model_without_rows_is_not(
    database: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    rows = [met(chance) for _ in range(600)]
    kept = rows

    async def page(tx: asyncpg.Connection, after: Mark, limit: int) -> Page:
        begin = after[0] if after else 0
        return Page(kept[begin : begin + 250], (begin + 250,), begin + 250 < len(kept))

    bridge = Bridge(BridgeOptions(database))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        trainings = Trainings(bridge, tmp_path, {"matching": page})
        work = Work(bridge, "matching")
        await trainings.run(work)
        assert "promoted" in work.said[-1]
        found = await bridge.run(entries, deadline_s=5.0)
        (active,) = [entry for entry in found if entry.state is State.ACTIVE]
        assert active.card.parent == "matching@1" and not active.shipped
        folder = await Library(tmp_path / "elsewhere", PostgresModels(bridge)).folder(active)
        assert {path.name for path in folder.iterdir()} == {"card.json", *(file.name for file in active.card.files)}

        kept = rows[:20]
        few = Work(bridge, "matching")
        await trainings.run(few)
        assert "too few" in few.said[-1]
        assert await bridge.run(entries, deadline_s=5.0) == found
        with pytest.raises(Hopeless, match="trained are matching"):
            await trainings.run(Work(bridge, "tracing"))
        nursery.cancel_scope.cancel()

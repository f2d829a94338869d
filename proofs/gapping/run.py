"""Twelve writers whose commits come late, and readers who never wait for them.

    writer   begin ─▶ append: positions are given ─▶ pg_sleep, of random length ─▶ commit, or now and then rollback
    reader   read after its cursors ─▶ move them ─▶ read …, until the writers are done and one more round brought nothing

Everyone has a connection of their own. Readers are told nothing but what their reads return.

Invariant: what counts as committed is what a commit was confirmed for; nothing here can lose an outcome, since nothing is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import msgspec

from proofs.gapping.cursors import Cursors, Numbered, Serial
from proofs.gapping.verdict import Delivered, Verdict, judge
from proofs.gapping.world import World, Writer, open_world

DELAY_S: Final = 0.02
"""Mean time between the numbering and the commit; exponentially distributed, so that now and then one is very late."""
DELAY_MAX_S: Final = 0.4
ROLLBACK_SHARE: Final = 0.05
STREAMS_MAX: Final = 4
"""How many streams one transaction writes into, at most."""
PAUSE_S: Final = 0.002
"""Between a reader's rounds: two cores serve everybody."""


class Options(msgspec.Struct, frozen=True):
    """How much of it. `serial`: over the cursor that loses."""

    serial: bool = False
    seconds: float = 10.0
    seed: int = 1
    writers: int = 12
    communities: int = 50
    readers: int = 3


async def run(options: Options, folder: Path) -> Verdict:
    """Writes and reads for a while on a server of its own in `folder`, and judges."""
    async with open_world(folder, writers=options.writers, communities=options.communities) as world:
        cursors: Cursors = Serial() if options.serial else Numbered(world.writers[0].user, world.boards)
        await _prepare(world, cursors)
        committed: dict[int, dict[int, bytes]] = {stream: {} for stream in world.streams}
        deadline = asyncio.get_running_loop().time() + options.seconds
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(_read(world, cursors, done)) for _ in range(options.readers)]
            writers = [
                tasks.create_task(_write(world, cursors, writer, Random(f"{options.seed} {n}"), deadline, committed))
                for n, writer in enumerate(world.writers)
            ]
            rolled_back = sum([await writer for writer in writers])
            done.set()
        return judge(committed, [reader.result() for reader in readers], rolled_back)


async def _prepare(world: World, cursors: Cursors) -> None:
    connection = await asyncpg.connect(world.dsn)
    try:
        await cursors.prepare(connection)
        assert not await connection.fetchval("select count(*) from log where stream_id = any($1::bigint[])", world.streams)
    finally:
        await connection.close()


async def _write(
    world: World, cursors: Cursors, writer: Writer, rng: Random, deadline: float, committed: dict[int, dict[int, bytes]]
) -> int:
    """Transactions until the deadline (of the loop's clock); how many events were rolled back."""
    loop = asyncio.get_running_loop()
    connection = await asyncpg.connect(world.dsn)
    rolled_back = attempt = 0
    try:
        while loop.time() < deadline:
            attempt += 1
            transaction = connection.transaction(isolation="read_committed")
            await transaction.start()
            streams = rng.sample(rng.choice((world.channels, world.boards)), rng.randint(1, STREAMS_MAX))
            written, numbers = await cursors.write(connection, writer, streams, f"{writer.user}:{attempt}")
            await connection.execute("select pg_sleep($1)", min(rng.expovariate(1 / DELAY_S), DELAY_MAX_S))
            if rng.random() < ROLLBACK_SHARE:
                await transaction.rollback()
                rolled_back += len(written)
                continue
            await transaction.commit()
            writer.number += numbers
            cursors.committed(writer, written)
            for stream, position, body in written:
                assert position not in committed[stream], f"position {position} of stream {stream} was given twice"
                committed[stream][position] = body
    finally:
        await connection.close()
    return rolled_back


async def _read(world: World, cursors: Cursors, done: asyncio.Event) -> dict[int, Sequence[Delivered]]:
    """Reads on from its cursors until nothing can come any more; everything that it was handed."""
    copy: dict[int, list[Delivered]] = {stream: [] for stream in world.streams}
    after = dict.fromkeys(world.streams, 0)
    connection = await asyncpg.connect(world.dsn)
    try:
        while True:
            last_round = done.is_set()
            pages = await cursors.read(connection, after)
            for stream, page in pages.items():
                copy[stream] += page
                if page:
                    after[stream] = page[-1][0]
            if last_round and not any(pages.values()):
                return dict(copy)
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close()

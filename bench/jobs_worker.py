"""One process of jobs for `bench.jobs`: `python -m bench.jobs_worker DSN`. It is the product's foreman, with two small kinds.

It says `ready` when it has its connection, works from the next line of its input on, and goes on until it is ended. Orders are not
announced to it (there is no Redis beside), so it polls more often than the product's default.
"""

from __future__ import annotations

import sys
from random import random
from typing import Any, Final

import structlog
import trio
from msgspec import Struct

from actors.jobs import JobKind, Way, Work
from persistence.bridge import Bridge, BridgeOptions
from supervisors.job_foreman import Foreman, ForemanOptions

OPTIONS: Final = ForemanOptions(poll_s=0.02)
MANY: Final = Way(at_once_max=OPTIONS.at_once_max)


class Small(Struct, frozen=True):
    """A payload as most are: a number, and a word."""

    n: int
    word: str


def kinds() -> tuple[JobKind, ...]:
    """`row` writes one row in the transaction of its end; `none` has no effect in the database."""

    async def row(work: Work[Small]) -> None:
        async def effect(tx: Any) -> None:
            await tx.execute("insert into effects (n, word) values ($1, $2)", work.payload.n, work.payload.word)

        await work.finish(effect)

    async def none(work: Work[Small]) -> None: ...

    return JobKind("row", Small, row, way=MANY), JobKind("none", Small, none, way=MANY)


async def serve(dsn: str) -> None:
    """Until it is cancelled."""
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.wait_ready(10)
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        await nursery.start(Foreman(bridge, kinds(), name="bench", random=random, options=OPTIONS).serve)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    trio.run(serve, sys.argv[1])

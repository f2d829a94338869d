"""Threads that give way: work that takes a core for 40 ms at a time goes on when nothing else wants that core.

    run(job) ─▶ one of `count` threads, at a lower priority of the scheduler ─▶ answer, back in trio

On two cores two gateways that hash leave none to who chats. Linux gives each thread a priority of its own; a thread that gave its own up
cannot have it back, so these are no threads of trio's, which serve everybody. Elsewhere they are threads like others.

Invariant: a job that was begun is finished, also when nobody waits for its answer any more; `run` returns no sooner.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import trio

T = TypeVar("T")

NICENESS: Final = 10
"""A tenth of the weight of who serves sockets, on a core that both want; all of the core, if nobody else does."""

NICENESS_MAX: Final = 19


class HashThreads:
    """See the module. Threads are made when they are needed."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, "hash", initializer=_give_way)

    async def run(self, job: Callable[[], T]) -> T:
        """What `job` returned, or raised. Cannot be cancelled once it was begun."""
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        future: Future[T] = self._threads.submit(job)
        future.add_done_callback(lambda _: token.run_sync_soon(done.set))
        with trio.CancelScope(shield=True):
            await done.wait()
        return future.result()


def _give_way() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never to a higher priority than the process has, which takes a privilege.
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + NICENESS, NICENESS_MAX))

"""The parent process: a whole installation, as `educonnect dev` runs it, in a process of its own that may be stopped and killed.

    Plan (JSON, first argument) ─▶ Installation ─▶ a line of JSON when it is up ─▶ … until SIGTERM, SIGKILL or the end of standard input

Every program is told another way to Postgres and to Redis: through the seams.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

from proofs.rehearsal.run import unreported
from supervisors.dev import Installation
from supervisors.process import set_up_log
from supervisors.tree import Tree


class Plan(Struct, frozen=True):
    """What to run. `own`: by program's name, what that one is told beside `environment`."""

    folder: str
    port: int
    gateways: int
    environment: dict[str, str]
    own: dict[str, dict[str, str]]
    postgres: dict[str, str]


class Up(Struct, frozen=True):
    """Where it is."""

    urls: list[str]
    dsn: str
    redis: str


async def run(plan: Plan) -> None:
    installation = Installation(
        Path(plan.folder),
        port=plan.port,
        gateways=plan.gateways,
        environment=plan.environment,
        environments=plan.own,
        postgres_settings=plan.postgres,
    )
    tree = Tree(installation.spec(), report=_say if "--verbose" in sys.argv else unreported)
    async with trio.open_nursery() as nursery:

        async def stop_on_signal() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    tree.stop()

        nursery.start_soon(stop_on_signal)
        await nursery.start(partial(_run_tree, tree, nursery.cancel_scope))
        assert installation.redis is not None
        sys.stdout.buffer.write(msgspec.json.encode(Up(installation.urls, installation.dsn, installation.redis.url)) + b"\n")
        sys.stdout.flush()


async def _run_tree(tree: Tree, everything: trio.CancelScope, *, task_status: trio.TaskStatus[Tree] = trio.TASK_STATUS_IGNORED) -> None:
    await tree.run(task_status=task_status)
    everything.cancel()


def _say(event: str, path: str, cause: Exception | None) -> None:
    print(event, path, repr(cause)[:500] if cause is not None else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    set_up_log("warning", "console")
    trio.run(run, msgspec.json.decode(sys.argv[1], type=Plan))

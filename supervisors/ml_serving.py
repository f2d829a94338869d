"""`educonnect serve --role ml`: one ML process, run until it is told to stop. As `serving.py` runs the other roles."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog
import trio

from supervisors.ml_looking import look_at_models
from supervisors.ml_node import MlNode
from supervisors.porthole import serve_view
from supervisors.process import calm_collector, return_large_blocks, stop_on_signal
from supervisors.settings import Settings
from supervisors.told import Told
from supervisors.tree import SupervisorGaveUp, Tree
from supervisors.tree_state import describe

log = structlog.get_logger("serving")


async def serve_models(settings: Settings, *, name: str = "", portholes: Path, ready_fd: int | None = None) -> int:
    """Runs an ML process, drawn under `name`. Returns the exit status: 0 after a stop, 1 after its tree gave up.

    When its models are ready, a line is written to the descriptor `ready_fd`, if there is one.
    """
    return_large_blocks()
    node = MlNode(settings)

    async def view() -> bytes:
        return msgspec.json.encode(await look_at_models(node))

    def ready(_: Tree | None) -> None:
        calm_collector()
        if ready_fd is not None:
            os.write(ready_fd, b"\n")
        log.info("models_started", number=f"{node.number:08x}", versions=sorted(node.serving.places))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, node.tree, nursery.cancel_scope)
        await nursery.start(node.pulse.run)
        await nursery.start(serve_view, portholes, name or "ml", view)
        try:
            await node.tree.run(task_status=Told(ready))
        except SupervisorGaveUp as gave_up:
            log.error("models_gave_up", cause=describe(gave_up))
            return 1
        finally:
            nursery.cancel_scope.cancel()
    return 0

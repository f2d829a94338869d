"""`educonnect serve --role …`: one node, run until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from supervisors.looking import look_at_node
from supervisors.node import Node
from supervisors.porthole import serve_view
from supervisors.process import calm_collector, return_large_blocks, stop_on_signal
from supervisors.settings import Settings
from supervisors.told import Told
from supervisors.tree import SupervisorGaveUp, Tree
from supervisors.tree_state import describe

log = structlog.get_logger("serving")


ROLES: Final = ("gateway", "jobs", "ml")


async def serve(settings: Settings, role: str, *, name: str = "", portholes: Path, ready_fd: int | None = None) -> int:
    """Runs a node, drawn under `name`. Returns the exit status: 0 after a stop, 1 after its tree gave up.

    When everything is up, a line with the bound addresses is written to the descriptor `ready_fd`, if there is one.
    """
    return_large_blocks()
    addresses: list[str] = []
    node = Node(settings, on_listening=addresses.extend)
    tree = node.tree = Tree(node.spec(role), report=node.troubles.in_tree)

    async def view() -> bytes:
        return msgspec.json.encode(await look_at_node(node, tree, role))

    def ready(_: Tree | None) -> None:
        calm_collector()
        if ready_fd is not None:
            os.write(ready_fd, (" ".join(addresses) + "\n").encode())
        log.info("node_started", role=role, number=f"{node.number:08x}", addresses=addresses)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, tree, nursery.cancel_scope)
        await nursery.start(node.pulse.run)
        if node.tracer is not None:
            await nursery.start(node.tracer.serve)
        await nursery.start(serve_view, portholes, name or role, view)
        try:
            await tree.run(task_status=Told(ready))
        except SupervisorGaveUp as gave_up:
            log.error("node_gave_up", cause=describe(gave_up))
            return 1
        finally:
            nursery.cancel_scope.cancel()
    return 0

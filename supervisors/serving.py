"""`educonnect serve --role …`: one node, run until it is told to stop.

SIGTERM, SIGINT ─▶ stop the tree: the listener drains, then everything else in reverse order
a second one    ─▶ at once
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from supervisors.looking import look_at_node
from supervisors.node import Node
from supervisors.porthole import serve_view
from supervisors.settings import Settings
from supervisors.told import Told
from supervisors.tree import SupervisorGaveUp, Tree
from supervisors.tree_state import describe

log = structlog.get_logger("serving")

_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

ROLES: Final = ("gateway", "jobs", "ml")
_M_MMAP_THRESHOLD: Final = -3
LARGE_BLOCK_BYTES: Final = 1024 * 1024
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up_log(level: str, format: str) -> None:
    """One line an event on standard error, for people or for machines. Called once, by the root."""
    renderer: structlog.typing.Processor
    renderer = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # without local variables: they may hold secrets
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([_TRACEBACKS] if format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def return_large_blocks() -> None:
    """Has the C library give blocks above `LARGE_BLOCK_BYTES` back to the system as soon as they are freed. glibc only; elsewhere nothing.

    By default it learns from the first large block that was freed to keep such blocks: each thread that ever hashed a password
    then holds argon2's 19 MiB for good (measured: 39 MiB of a gateway's 121 after a few log-ins).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def calm_collector() -> None:
    """What is there now stays for ever and need not be looked at again; and young garbage is collected less often.

    A gateway makes few cycles and many short-lived objects: with Python's defaults the collector took 18 % of a busy gateway's main
    thread, and with 20,000 sockets a full collection takes tens of milliseconds. 50,000 objects are some MiB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


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


async def stop_on_signal(tree: Tree, everything: trio.CancelScope) -> None:
    """SIGTERM or SIGINT stops the tree; the second one cancels everything."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        stopping = False
        async for number in signals:
            log.info("stop_asked", signal=signal.Signals(number).name, again=stopping)
            if stopping:
                everything.cancel()
                return
            stopping = True
            tree.stop()

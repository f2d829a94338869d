"""What every process of ours does around its tree: its log, its memory, and what signals mean.

SIGTERM, SIGINT ─▶ stop the tree: the listener drains, then everything else in reverse order
a second one    ─▶ at once

It imports nothing of what runs in the tree, so that a process of one role does not load what the others need.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import sys
from typing import Final

import structlog
import trio

from supervisors.tree import Tree

log = structlog.get_logger("serving")

_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
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
        # Not PrintLogger: with its end apart from its line, lines of processes that share one standard error run into one another.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
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

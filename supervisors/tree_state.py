"""The state of a tree as a value: what `Tree.state` gives, the drawing draws, and a live view sends to another terminal.

    Tree (running) ─ state() ─▶ TreeState (frozen) ─▶ drawing, JSON, metrics

Invariant: its shape is that of the spec, whatever runs, so a drawing never jumps.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from msgspec import Struct


class Phase(Enum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    ENDED = "ended"
    FAILED = "failed"
    STOPPED = "stopped"
    STUCK = "stuck"


class TreeState(Struct, frozen=True):
    """A node and those below it, at one moment."""

    name: str
    kind: str
    """`worker`, or a supervisor's strategy."""
    phase: Phase
    restarts: int
    last_cause: str | None
    uptime_s: float
    """Since its last start; 0 if it does not run."""
    hosts: tuple[str, ...] = ()
    """Names of the actor pools that live in it."""
    children: tuple[TreeState, ...] = ()


def places(state: TreeState, above: str = "") -> Iterator[tuple[str, TreeState]]:
    """Every node with its path, `gateway/redis/link`, as its supervisors report it."""
    path = f"{above}/{state.name}" if above else state.name
    yield path, state
    for child in state.children:
        yield from places(child, path)


def describe(cause: BaseException) -> str:
    """One line for an operator: the type and text of a cause, and of what it is a group of."""
    text = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    if isinstance(cause, BaseExceptionGroup):
        text = f"{type(cause).__name__}: {cause.message} [{'; '.join(describe(inner) for inner in cause.exceptions)}]"
    return text

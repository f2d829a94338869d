"""Counts: what a pool of actors tells those who watch it.

    pool ─ counts ─▶ Counts (running numbers) ─▶ metrics, whenever they are scraped
         ─ state ──▶ PoolState (one moment)    ─▶ the drawing of the tree

Invariant: `told` is the sum of what became of the messages (handled, failed, dead letters, drops) and of those still waiting.
"""

from __future__ import annotations

from msgspec import Struct


class Counts:
    """What happened in a pool since it was made. Plain numbers that only grow: a metrics adapter reads them when asked."""

    __slots__ = ("activations", "crashes", "dead_letters", "failed", "give_ups", "handled", "passivations", "restarts", "told")

    def __init__(self) -> None:
        self.told = 0
        """Messages sent to this kind of actor: handled + failed + dead_letters + drops + those still waiting."""
        self.handled = 0
        self.failed = 0
        """Messages whose handling raised."""
        self.dead_letters = 0
        """Messages that found, or were left behind by, an actor that had stopped."""
        self.activations = 0
        """Actors built because their key was addressed."""
        self.crashes = 0
        self.restarts = 0
        """Crashes after which the actor was built anew."""
        self.give_ups = 0
        """Crashes after which the cell was stopped for good."""
        self.passivations = 0


class PoolState(Struct, frozen=True):
    """What an operator sees of a pool at one moment."""

    name: str
    cells: int
    deepest: int
    """Messages in the fullest inbox."""
    deepest_key: str
    handled: int
    restarts: int
    give_ups: int
    dead_letters: int
    drops: int
    waiting: int = 0
    """Messages in all its inboxes."""
    drops_by_reason: dict[str, int] = {}
    """`actors.inbox.Drops`, by name."""

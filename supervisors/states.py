"""How each thing that a node depends on is doing, in a word: what a circuit breaker would show, had it been asked.

    control stream, journal, store, replica, redis, link, models, door, password hashes ─▶ `up`, or what is wrong

Invariant: reading asks nobody; it says what this process knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from actors.breaker import State

if TYPE_CHECKING:
    from supervisors.node import Node

SOUND: Final = "up"
FRESH_S: Final = 5.0
"""After this without an answer the database is taken for gone."""


def states_of(node: Node) -> dict[str, str]:
    """By name, the same names at all times."""
    return {
        "database": _database(node),
        "journal": "cannot commit" if node.journal.troubled else SOUND,
        "store": "cannot read" if node.store.troubled else SOUND,
        "replica": _replica(node),
        "redis": SOUND if node.commands.up else "no connection",
        "link": SOUND if node.link.up else "hears nothing: heads are polled",
        "models": _models(node),
        "door": _door(node),
        "passwords": f"{node.passwords.waiting} wait for a hash" if node.passwords.waiting else SOUND,
    }


def _database(node: Node) -> str:
    fresh_s = node.control.fresh_s
    if fresh_s is None:
        return "not reached yet"
    return SOUND if fresh_s <= FRESH_S else f"silent for {fresh_s:.0f} s"


def _replica(node: Node) -> str:
    rests_s = node.bridge.replica_down_until - trio.current_time()
    return SOUND if rests_s <= 0.0 else f"left alone for {rests_s:.0f} s more"


def _models(node: Node) -> str:
    models = node.models
    if not models.on:
        return SOUND  # switched off by somebody who knows
    open_ = [f"{name} fails" for name, breaker in models.breakers.items() if breaker.state is not State.CLOSED]
    return ", ".join(open_) or (SOUND if models.up else "no way to them")


def _door(node: Node) -> str:
    listener = node.listener
    if listener is None:
        return SOUND
    if listener.draining:
        return "draining"
    if listener.resting:
        return "out of descriptors"
    return f"{listener.waiting} handshakes wait" if listener.waiting else SOUND

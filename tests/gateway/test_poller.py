"""Rounds of the poller: begun and ended in pairs, whatever happens in between."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from gateway.poller import READ, Poller


class Broken:
    """Somebody who fails whenever called."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.wheel_tick = -1

    def ready(self, mask: int) -> None:
        raise RuntimeError("ready")

    def expired(self) -> None:
        raise RuntimeError("expired")


def serve(poller: Poller) -> None:
    poller.serve_ready()


def pass_time(poller: Poller) -> None:
    poller.now += 10.0
    poller.turn()


@pytest.mark.parametrize("give_round", [serve, pass_time])
async def test_a_round_that_breaks_is_ended_as_it_was_begun(give_round: Callable[[Poller], None]) -> None:
    """Whoever holds something back during a round holds it for ever otherwise: the dispatcher its wake-ups, sockets their sends."""
    near, far = socket.socketpair()
    calls: list[str] = []
    poller = Poller()
    with near, far:
        for name in ("outer", "inner"):
            poller.each_round(lambda name=name: calls.append(f"{name} begins"), lambda name=name: calls.append(f"{name} ends"))  # type: ignore[misc]
        broken = Broken(near)
        poller.watch(broken, READ)
        poller.wheel.set(broken, poller.now + 1.0)
        far.send(b"x")
        with pytest.raises(RuntimeError):
            give_round(poller)
        poller.close()
    assert calls == ["outer begins", "inner begins", "inner ends", "outer ends"]

"""Devices that were told to wait before they come back, and are held to it.

    a session ends with FLOOD and "wait 5 s" ─▶ begin ─▶ Hello within that time ─ left ─▶ FLOOD again, with what is left of it

A new session has a new burst, so that a device which was away for days sends its queue at once. Who comes back at once for the next burst
would have as many as it opens sockets: what it may send is then what its connections cost, and not what a device may.

Invariant: of one gateway, bounded; a device that waits as it was told is never refused by it.
"""

from __future__ import annotations

from typing import Final

DEVICES_MAX: Final = 10_000
"""Beyond that the oldest is let off."""


class Cooldowns:
    """Times by the actors' clock, in seconds."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def begin(self, device: int, until: float) -> None:
        """It is to stay away until then."""
        self._until.pop(device, None)
        if len(self._until) >= DEVICES_MAX:
            del self._until[next(iter(self._until))]
        self._until[device] = until

    def left(self, device: int, now: float) -> float:
        """Seconds that it is still to stay away; 0.0: none."""
        until = self._until.get(device)
        if until is None:
            return 0.0
        if until <= now:
            del self._until[device]
            return 0.0
        return until - now

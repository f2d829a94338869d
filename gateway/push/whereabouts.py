"""Which devices have a socket, asked of all gateways at once.

    asker ─announce "who": question, devices─▶ every gateway ─"here": question, those it holds─▶ asker, for a quarter of a second

Nothing is stored: what a gateway says is what it holds now. What may be wrong: a phone that vanished is held until its heartbeat is missed,
and a gateway that is slow or cut off does not answer. The first is why whoever seems online is looked at again
(`actors.notices.decide`); the second makes a device seem to be away that is not, and costs a sound.

Invariant: an answer comes after `wait_s`, whatever the gateways and the link do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Sequence
from typing import Final

import trio

from actors.link_port import Link
from actors.push import HERE_TOPIC, WHO_TOPIC

WAIT_S: Final = 0.25
"""A round over Redis takes a few milliseconds; a gateway in the middle of a reconnect storm some tens."""
DEVICES_MAX: Final = 1000
_QUESTION: Final = struct.Struct("!Q")


class AskedWhereabouts:
    """Fits `actors.push.Whereabouts`, and answers others: give it what is announced. `held`: the devices with a socket here."""

    def __init__(self, link: Link, held: Container[int], random: Callable[[], float], wait_s: float = WAIT_S) -> None:
        self._link = link
        self._held = held
        self._random = random
        self._wait_s = wait_s
        self._open: dict[int, set[int]] = {}

    async def online(self, devices: Sequence[int]) -> frozenset[int]:
        if not devices:
            return frozenset()
        asked = list(devices)[:DEVICES_MAX]
        found = {device for device in asked if device in self._held}
        question = int(self._random() * 2**53)
        self._open[question] = found
        try:
            self._link.announce(WHO_TOPIC, _pack(question, asked))
            await trio.sleep(self._wait_s)
        finally:
            del self._open[question]
        return frozenset(found & set(asked))

    def announced(self, topic: str, payload: bytes) -> None:
        """Somebody asks, or answers. Never waits, never raises."""
        read = _unpack(payload)
        if read is None:
            return
        question, devices = read
        if topic == WHO_TOPIC:
            here = [device for device in devices if device in self._held]
            if here:
                self._link.announce(HERE_TOPIC, _pack(question, here))
        elif question in self._open:
            self._open[question].update(devices)


def _pack(question: int, devices: Sequence[int]) -> bytes:
    return _QUESTION.pack(question) + struct.pack(f"!{len(devices)}Q", *devices)


def _unpack(payload: bytes) -> tuple[int, tuple[int, ...]] | None:
    count, rest = divmod(len(payload) - _QUESTION.size, 8)
    if count < 0 or rest or count > DEVICES_MAX:
        return None
    return _QUESTION.unpack_from(payload)[0], struct.unpack_from(f"!{count}Q", payload, _QUESTION.size)

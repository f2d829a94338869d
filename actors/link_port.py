"""What actors need of the link between gateways: say something to the other gateways, and hear what they say.

    actor ─ publish ─▶ Link ─▶ … another gateway … ─▶ Link ─ heard ─▶ LinkListener ─▶ actor

The link may lose, delay and repeat anything. Nothing durable rests on it: a stream's next number shows the gap, `linked`
and `up` say when to compare heads, and what was missed is read from Postgres.

Invariant: no method here waits or raises for want of a link.
"""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """The way to the other gateways."""

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None:
        """Sends `frame`, exactly as sockets get it, to every other gateway that subscribed to `stream`.

        `seq` is the last event's number in the frame, 0 for what is ephemeral; `audience_version` (0 to 2³² - 1) is that of
        the stream when the frame was made. Dropped and counted when the link is away or its bound in bytes is reached.
        """
        ...

    def subscribe(self, stream: int) -> None:
        """Hears `stream` from now on, through every reconnect; `linked` tells when it holds. Twice is once."""
        ...

    def unsubscribe(self, stream: int) -> None:
        """Hears `stream` no longer. Nothing of it is told after this returns."""
        ...

    def announce(self, topic: str, payload: bytes) -> None:
        """Sends `payload` to every other gateway that listens to `topic`. Dropped and counted as `publish` is."""
        ...


class LinkListener(Protocol):
    """Who is told what the link hears. Called from the link's own task: must not block, and an exception ends the link."""

    def heard(self, stream: int, origin: int, seq: int, audience_version: int, frame: bytes) -> None:
        """Another gateway (`origin`) published `frame` in `stream`. Own publications are not told."""
        ...

    def linked(self, stream: int) -> None:
        """From here on `stream` is heard; what came before may have been missed: compare its head. Told again after every reconnect."""
        ...

    def announced(self, topic: str, payload: bytes) -> None:
        """Another gateway announced `payload`."""
        ...

    def up(self) -> None:
        """The link hears again; announcements may have been missed until now, and `linked` follows for every stream."""
        ...

    def down(self) -> None:
        """The link hears nothing: poll instead."""
        ...

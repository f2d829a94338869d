"""Redis between simulated gateways: it drops, doubles, delays and reorders, and now and then is not there at all."""

from __future__ import annotations

from collections.abc import Callable

from actors.link_port import LinkListener
from proofs.simulation.faults import Faults
from proofs.simulation.world import REDIS, World, lane_of_gateway

SUBSCRIBE_DELAY_S = 0.01
LIVES_MAX = 1_000
"""An origin is its gateway's number times this, and which life of it this is."""


def column_of(origin: int) -> str:
    return lane_of_gateway(origin // LIVES_MAX)


class Hub:
    """What all gateways' links share."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.links: list[SimulatedLink] = []

    def spread(self, sender: SimulatedLink, tell: Callable[[SimulatedLink], None], what: str = "", streams: tuple[int, ...] = ()) -> None:
        """Brings something to every other gateway, or not, or twice."""
        world, faults = self.world, self.faults
        if world.story is not None:
            world.tell_sent(sender.column, REDIS, what, streams=streams, sent_s=world.now, lost=faults.link_away, fault=faults.link_away)
        for link in self.links:
            if link is sender or faults.link_away:
                continue
            if world.happens(faults.link_drop):
                world.tell_sent(REDIS, link.column, what, streams=streams, sent_s=world.now, lost=True, fault=True)
                continue
            for _ in range(2 if world.happens(faults.link_double) else 1):
                sent_at = world.now

                def arrive(link: SimulatedLink = link, sent_at: float = sent_at) -> None:
                    if world.story is not None:
                        world.tell_sent(REDIS, link.column, what, streams=streams, sent_s=sent_at, lost=link.dead)
                    link.hear(tell)

                world.after(world.between(0.0, faults.link_delay_s), arrive)

    def fall(self) -> None:
        """Redis is gone, and every gateway notices."""
        for link in self.links:
            link.lose()

    def heal(self) -> None:
        """Redis is back: every gateway is told that it hears again, stream by stream."""
        for link in self.links:
            link.reconnect()


class SimulatedLink:
    """`actors.link_port.Link` of one gateway."""

    def __init__(self, hub: Hub, origin: int, listener: LinkListener, pump: Callable[[], None]) -> None:
        self._hub = hub
        self.origin = origin
        self.column = column_of(origin)
        self._listener = listener
        self._pump = pump
        self._streams: set[int] = set()
        self.dead = False
        hub.links.append(self)

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None:
        def tell(link: SimulatedLink) -> None:
            if stream in link._streams:
                link._listener.heard(stream, self.origin, seq, audience_version, frame)

        self._hub.spread(self, tell, f"publish {stream}#{seq}" if seq else f"whisper {stream}", (stream,))

    def subscribe(self, stream: int) -> None:
        self._hub.world.after(SUBSCRIBE_DELAY_S, lambda: self._linked(stream))
        self._streams.add(stream)

    def unsubscribe(self, stream: int) -> None:
        self._streams.discard(stream)

    def announce(self, topic: str, payload: bytes) -> None:
        self._hub.spread(self, lambda link: link._listener.announced(topic, payload), f"announce {topic}")

    def hear(self, tell: Callable[[SimulatedLink], None]) -> None:
        if not self.dead:
            tell(self)
            self._pump()

    def lose(self) -> None:
        if not self.dead:
            self._listener.down()

    def reconnect(self) -> None:
        if not self.dead:
            self._listener.up()
            for stream in sorted(self._streams):
                self._linked(stream)

    def close(self) -> None:
        self.dead = True
        self._hub.links.remove(self)

    def _linked(self, stream: int) -> None:
        if not self.dead and stream in self._streams:
            self._listener.linked(stream)
            self._pump()

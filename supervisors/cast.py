"""The actors of one gateway: which pools there are, with what bounds, and how they come to know each other.

    Ports + CastLimits ─assemble─▶ Cast: entrance (for the transport), exchange (for journal, link, control), pools (for the tree)

The same function casts a live gateway and a simulated one; only the ports and the clock differ.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from actors.accounts import Tokens
from actors.cell import Actor, Context
from actors.channel import Channel, ChannelLimits, refuse_follow
from actors.community import Community, CommunityLimits, refuse_watch
from actors.device import Device, DeviceLimits
from actors.exchange import Entrance, Exchange
from actors.inbox import InboxSpec, Overflow
from actors.link_port import Link
from actors.messages import ChannelMessage, CommunityMessage, DeviceMessage, SessionMessage, UserMessage
from actors.neighbourhood import Neighbourhood
from actors.session import Session, SessionLimits
from actors.socket_port import Outlet
from actors.storage import Journal, ReadGenerations, ReadHeads, Store
from actors.user import User
from actors.watch import Watch, WatchMessage
from supervisors.turns import Turns

SESSION_INBOX = InboxSpec(items_max=512, bytes_max=512 * 1024)
"""What a client can have sent before its session's next turn, some ms later; beyond it the socket ends with FLOOD."""
DEVICE_INBOX = InboxSpec(items_max=512, bytes_max=1024 * 1024)
USER_INBOX = InboxSpec(items_max=64)
CHANNEL_INBOX = InboxSpec(items_max=65_536, bytes_max=16 * 1024 * 1024, overflow=Overflow.REFUSE, control_max=65_536)
"""A storm of joins, or a burst of events. What is refused of the events is a gap, and read from Postgres."""
COMMUNITY_INBOX = InboxSpec(items_max=65_536)

POOLS = ("session", "device", "user", "channel", "community", "headwatch", "devicewatch")
"""The names of the pools, in the drawing and in the metrics."""


class CastLimits(Struct, frozen=True):
    """The bounds and times of a gateway's actors."""

    session: SessionLimits = SessionLimits()
    device: DeviceLimits = DeviceLimits()
    channel: ChannelLimits = ChannelLimits()
    community: CommunityLimits = CommunityLimits()
    head_interval_s: float = 2.0
    """Between two comparisons of heads with Postgres: how long the loss of a stream's last event can stay unseen."""
    head_interval_alone_s: float = 0.25
    """The same while there is no link to the other gateways: then this is how their events arrive."""
    device_interval_s: float = 10.0
    """Between two comparisons of devices' generations: how long a socket can outlive a takeover whose announcement was lost."""
    device_interval_alone_s: float = 1.0
    """The same while there is no link, and so no announcement."""
    idle_s: float = 60.0
    """After this an actor with nothing to lose leaves memory."""


class Ports(Struct, frozen=True):
    """What the actors of a gateway are lent."""

    gateway: int
    """This gateway's number: 31 bits, another one in every process."""
    store: Store
    journal: Journal
    link: Link
    tokens: Tokens


class Cast(Struct, frozen=True):
    """The actors of a gateway, and the ways in."""

    near: Neighbourhood
    entrance: Entrance
    exchange: Exchange
    wake: Callable[[], None]
    """Activates what must be there without being addressed; again after the turns were reset."""


def assemble(turns: Turns, near: Neighbourhood, exchange: Exchange, ports: Ports, limits: CastLimits) -> Cast:
    """Makes the pools of a gateway on `turns`. `exchange.settle` is the caller's, who has the link and the control stream."""

    def open_session(key: int, ctx: Context[SessionMessage], outlet: Outlet) -> Actor[SessionMessage]:
        return Session(key, ctx, outlet, ports.store, ports.tokens, near, limits.session, exchange.overtake)

    def device(key: int, ctx: Context[DeviceMessage]) -> Actor[DeviceMessage]:
        return Device(key, ctx, ports.store, ports.journal, ports.link, ports.gateway, limits.device, near.held, near.limits)

    def user(key: int, ctx: Context[UserMessage]) -> Actor[UserMessage]:
        return User()

    def channel(key: int, ctx: Context[ChannelMessage]) -> Actor[ChannelMessage]:
        return Channel(key, ctx, ports.store, ports.link, near, limits.channel)

    def community(key: int, ctx: Context[CommunityMessage]) -> Actor[CommunityMessage]:
        return Community(key, ctx, ports.store, ports.link, ports.gateway, limits.community)

    entrance = Entrance(near, open_session)
    channels = turns.pool("channel", channel, inbox=CHANNEL_INBOX, passivate_after_s=limits.idle_s, on_lost=refuse_follow)
    devices = turns.pool("device", device, inbox=DEVICE_INBOX, passivate_after_s=limits.idle_s)
    near.settle(
        sessions=turns.pool("session", entrance.build, inbox=SESSION_INBOX),
        devices=devices,
        users=turns.pool("user", user, inbox=USER_INBOX, passivate_after_s=limits.idle_s),
        channels=channels,
        communities=turns.pool("community", community, inbox=COMMUNITY_INBOX, passivate_after_s=limits.idle_s, on_lost=refuse_watch),
    )

    def interval_s(linked_s: float, alone_s: float) -> Callable[[], float]:
        return lambda: linked_s if exchange.linked_up else alone_s

    def watch_heads(key: int, ctx: Context[WatchMessage]) -> Actor[WatchMessage]:
        return Watch(
            ctx,
            ports.store,
            keys=lambda: tuple(near.followed),
            ask=ReadHeads,
            compare=exchange.heads_are,
            interval_s=interval_s(limits.head_interval_s, limits.head_interval_alone_s),
        )

    def watch_devices(key: int, ctx: Context[WatchMessage]) -> Actor[WatchMessage]:
        return Watch(
            ctx,
            ports.store,
            keys=lambda: tuple(near.held),
            ask=ReadGenerations,
            compare=exchange.generations_are,
            interval_s=interval_s(limits.device_interval_s, limits.device_interval_alone_s),
        )

    # Nobody addresses them, so nobody would build them again after their quarantine: where one cannot go on, nothing may.
    watches = [turns.pool("headwatch", watch_heads, pool_intensity=3), turns.pool("devicewatch", watch_devices, pool_intensity=3)]

    def wake() -> None:
        for watch in watches:
            watch.get(0)

    return Cast(near, entrance, exchange, wake)

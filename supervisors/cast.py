"""The actors of one gateway: which pools there are, with what bounds, and how they come to know each other.

    Ports + CastLimits ─assemble─▶ Cast: entrance (for the transport), exchange (for journal, link, control), pools (for the tree)

The same function casts a live gateway and a simulated one; only the ports and the clock differ.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from actors.accounts import Tokens
from actors.cell import Actor, Context
from actors.channel import Channel, ChannelLimits
from actors.community import Community, CommunityLimits
from actors.device import Device, DeviceLimits
from actors.exchange import Entrance, Exchange, HeadWatch, HeadWatchMessage
from actors.inbox import InboxSpec, Overflow
from actors.link_port import Link
from actors.messages import ChannelMessage, CommunityMessage, DeviceMessage, SessionMessage, UserMessage
from actors.neighbourhood import Neighbourhood
from actors.session import Session, SessionLimits
from actors.socket_port import Outlet
from actors.storage import Journal, Store
from actors.user import User
from supervisors.pool import CellPool
from supervisors.turns import Turns

SESSION_INBOX = InboxSpec(items_max=512, bytes_max=512 * 1024)
"""What a client can have sent before its session's next turn, some ms later; beyond it the socket ends with FLOOD."""
DEVICE_INBOX = InboxSpec(items_max=512, bytes_max=1024 * 1024)
USER_INBOX = InboxSpec(items_max=64)
CHANNEL_INBOX = InboxSpec(items_max=65_536, bytes_max=16 * 1024 * 1024, overflow=Overflow.REFUSE, control_max=65_536)
"""A storm of joins, or a burst of events. What is refused of the events is a gap, and read from Postgres."""
COMMUNITY_INBOX = InboxSpec(items_max=65_536)

POOLS = ("session", "device", "user", "channel", "community", "headwatch")
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
        return Session(key, ctx, outlet, ports.store, ports.tokens, near, limits.session)

    def device(key: int, ctx: Context[DeviceMessage]) -> Actor[DeviceMessage]:
        return Device(key, ctx, ports.store, ports.journal, ports.link, ports.gateway, limits.device)

    def user(key: int, ctx: Context[UserMessage]) -> Actor[UserMessage]:
        return User()

    def channel(key: int, ctx: Context[ChannelMessage]) -> Actor[ChannelMessage]:
        return Channel(key, ctx, ports.store, ports.link, near, limits.channel)

    def community(key: int, ctx: Context[CommunityMessage]) -> Actor[CommunityMessage]:
        return Community(key, ctx, ports.store, ports.link, ports.gateway, limits.community)

    entrance = Entrance(near, open_session)
    channels = turns.pool("channel", channel, inbox=CHANNEL_INBOX, passivate_after_s=limits.idle_s)
    near.settle(
        sessions=turns.pool("session", entrance.build, inbox=SESSION_INBOX),
        devices=turns.pool("device", device, inbox=DEVICE_INBOX, passivate_after_s=limits.idle_s),
        users=turns.pool("user", user, inbox=USER_INBOX, passivate_after_s=limits.idle_s),
        channels=channels,
        communities=turns.pool("community", community, inbox=COMMUNITY_INBOX, passivate_after_s=limits.idle_s),
    )

    def watch_heads(key: int, ctx: Context[HeadWatchMessage]) -> Actor[HeadWatchMessage]:
        return HeadWatch(ctx, ports.store, near, lambda: tuple(near.followed), head_interval_s)

    def head_interval_s() -> float:
        return limits.head_interval_s if exchange.linked_up else limits.head_interval_alone_s

    # Nobody addresses it, so nobody would build it again after its quarantine: where it cannot go on, nothing may.
    headwatch = turns.pool("headwatch", watch_heads, pool_intensity=3)
    return Cast(near, entrance, exchange, lambda: _activate(headwatch))


def _activate(pool: CellPool[int, HeadWatchMessage]) -> None:
    pool.get(0)

"""Which actors there are beside one: the pools of a gateway, filled in once by whoever composes it.

Pools are built from factories and factories need pools, so the circle is closed here and nowhere else: the composition root makes
one `Neighbourhood`, builds the pools, and calls `settle`. Until then nothing may be addressed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actors.cell import Pool
from actors.cooldowns import Cooldowns
from actors.limits import UNLIMITED, Limits
from actors.messages import ChannelMessage, CommunityMessage, DeviceMessage, SessionMessage, UserMessage
from actors.tallies import Farewell, Tallies, ignore
from actors.tracing import Tracer


class Reached(Protocol):
    """How far a followed stream is here. Anybody may look, since looking changes nothing and there is one thread."""

    def has_reached(self, head: int, audience_version: int) -> bool:
        """Whether the stream's end and audience, as somebody read them, are no news here."""
        ...


class Neighbourhood:
    """The pools of one gateway, by what they hold."""

    __slots__ = (
        "channels",
        "communities",
        "cooldowns",
        "devices",
        "farewell",
        "followed",
        "held",
        "limits",
        "sessions",
        "tallies",
        "tracer",
        "users",
    )

    def __init__(self) -> None:
        self.followed: dict[int, Reached] = {}
        """The streams with a live follower here, kept by their channels. Fewer than the channels: those are made for whatever stream a
        client names, also one that it may not read or that does not exist, and stay for a minute."""
        self.held: dict[int, int] = {}
        """The devices with a socket here, each with the generation that its socket was given; kept by the devices."""
        self.cooldowns = Cooldowns()
        """The devices that were told to wait before they come back."""
        self.tallies = Tallies()
        self.farewell: Callable[[Farewell], None] = ignore
        """Told of every session that ends."""
        self.limits: Limits = UNLIMITED
        """Counts what accounts ask for; until it is replaced nobody does."""
        self.tracer: Tracer | None = None
        """Follows some of the commands; None: nobody does."""

    sessions: Pool[int, SessionMessage]
    devices: Pool[int, DeviceMessage]
    users: Pool[int, UserMessage]
    channels: Pool[int, ChannelMessage]
    communities: Pool[int, CommunityMessage]

    def settle(
        self,
        *,
        sessions: Pool[int, SessionMessage],
        devices: Pool[int, DeviceMessage],
        users: Pool[int, UserMessage],
        channels: Pool[int, ChannelMessage],
        communities: Pool[int, CommunityMessage],
    ) -> None:
        """Closes the circle."""
        self.sessions = sessions
        self.devices = devices
        self.users = users
        self.channels = channels
        self.communities = communities

"""Which actors there are beside one: the pools of a gateway, filled in once by whoever composes it.

Pools are built from factories and factories need pools, so the circle is closed here and nowhere else: the composition root makes
one `Neighbourhood`, builds the pools, and calls `settle`. Until then nothing may be addressed.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.cell import Pool
from actors.messages import ChannelMessage, CommunityMessage, DeviceMessage, SessionMessage, UserMessage
from actors.tallies import Farewell, Tallies, ignore


class Neighbourhood:
    """The pools of one gateway, by what they hold."""

    __slots__ = ("channels", "communities", "devices", "farewell", "followed", "sessions", "tallies", "users")

    def __init__(self) -> None:
        self.followed: set[int] = set()
        """The streams with a live follower here, kept by their channels. Fewer than the channels: those are made for whatever stream a
        client names, also one that it may not read or that does not exist, and stay for a minute."""
        self.tallies = Tallies()
        self.farewell: Callable[[Farewell], None] = ignore
        """Told of every session that ends."""

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

"""Webhooks: what happens in a community, told to another system. The values and the two ports, for who manages them and who delivers.

    streams of the community ─▶ "what came after my cursor, of the kinds I want?" ─▶ one delivery at a time ─▶ cursor + 1
                                                                                         │ refused, or no answer
                                                                                         ╰─▶ the same again, ever later; at last paused

A subscription has no queue: it is a reader of the streams like any device, with a cursor for each. So nothing is lost while the receiver is
away, a replay is a cursor that is set back, and what was redacted meanwhile is told as redacted.

Invariant: a subscription has one delivery under way at most; the cursor moves when a delivery was taken, so each event is told at least
once, under one `webhook-id`, and those of a stream in its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims, Declined
from protocol.events import (
    Body,
    Changed,
    ChannelChanged,
    ChannelOpened,
    CommunityFounded,
    Deleted,
    Edited,
    Joined,
    Left,
    Posted,
    Reacted,
    Redacted,
    Renamed,
    RoleSet,
    Said,
    SettingsChanged,
)
from protocol.values import Role

WEBHOOKS_PER_COMMUNITY_MAX: Final = 10
DELIVERIES_PAGE_MAX: Final = 100

KINDS: Final[Mapping[str, tuple[type[Body], ...]]] = {
    "message.posted": (Said, Posted),
    "message.edited": (Edited,),
    "message.deleted": (Deleted,),
    "message.redacted": (Redacted,),
    "message.reacted": (Reacted,),
    "community.founded": (CommunityFounded,),
    "community.settings_changed": (SettingsChanged,),
    "channel.opened": (ChannelOpened,),
    "channel.changed": (ChannelChanged,),
    "member.joined": (Joined,),
    "member.left": (Left,),
    "member.role_set": (RoleSet,),
    "member.renamed": (Renamed,),
    "records.changed": (Changed,),
}
"""What can be subscribed to, and the events behind each name."""


def tag_of(body: type[Body]) -> int:
    """The tag of an event, as it stands in the log."""
    tag = body.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


NAMES: Final[Mapping[int, str]] = {tag_of(body): name for name, bodies in KINDS.items() for body in bodies}
"""The name of each event that can be subscribed to, by its tag."""


class WebhookState(IntEnum):
    """How a subscription is."""

    ACTIVE = 1
    PAUSED = 2
    """Somebody paused it."""
    GIVEN_UP = 3
    """It failed for too long; whoever owns the community was told."""


class Subscription(Struct, frozen=True):
    """What somebody wants told: the tags of events, as a member of `role` would see them."""

    name: str
    url: str
    kinds: tuple[int, ...]
    role: Role


class Position(Struct, frozen=True):
    """How far a subscription has come in one stream, of how many events."""

    stream: int
    after: int
    head: int


class WebhookInfo(Struct, frozen=True):
    """A subscription as its owners see it. Times are Unix seconds; 0: never."""

    id: int
    name: str
    url: str
    kinds: tuple[int, ...]
    role: int
    state: WebhookState
    reason: str
    attempts: int
    """Failed ones of the event that is next."""
    due_at: int
    delivered: int
    delivered_at: int
    created_by: int
    created_at: int
    positions: tuple[Position, ...] = ()


class DeliveryInfo(Struct, frozen=True):
    """One attempt. `status` is HTTP's; 0: no answer, and `answer` says why."""

    id: int
    stream: int
    seq: int
    attempt: int
    at: int
    status: int
    took_ms: int
    answer: str


class Due(Struct, frozen=True):
    """What is to be sent now, by whoever holds `lease`. Secrets are sealed; `body` is the event as it stands in the log."""

    webhook: int
    lease: int
    space: int
    url: str
    secret: bytes
    former_secret: bytes | None
    attempts: int
    failing_s: int
    """Since the first failure of this event; 0: none yet."""
    stream: int
    seq: int
    kind: int
    author: int
    at: int
    body: bytes
    replays: int

    @property
    def message_id(self) -> str:
        """The same whenever this event is sent to this subscription."""
        return f"evt_{self.webhook}_{self.stream}_{self.seq}"


class SealedSecret(Struct, frozen=True):
    """A subscription's secret, as it is kept."""

    webhook: int
    space: int
    secret: bytes


class Settled(Struct, frozen=True):
    """What became of an attempt. `retry_s`: when to try again; None: it was taken. `give_up`: why it is tried no more; empty: it is."""

    status: int
    took_ms: int
    answer: str
    retry_s: float | None = None
    give_up: str = ""


class Tally(Struct, frozen=True):
    """All subscriptions in figures. `lag_s`: how old the oldest event is that an active one has not been told."""

    active: int = 0
    failing: int = 0
    paused: int = 0
    given_up: int = 0
    lag_s: int = 0


class Webhooks(Protocol):
    """Subscriptions as a community's staff manage them. Who may is decided before; `space` bounds every method.

    Every method may raise `StorageError`.
    """

    async def list(self, space: int) -> tuple[WebhookInfo, ...]: ...

    async def make(self, claims: Claims, space: int, wanted: Subscription, sealed: bytes, caller: Caller) -> WebhookInfo | Declined:
        """Makes one that begins at the streams' heads. `sealed`: its secret. Declined: `LIMIT`; `FORBIDDEN`, its role would see more than
        its maker."""
        ...

    async def set_secret(self, claims: Claims, space: int, webhook: int, sealed: bytes, former_s: int, caller: Caller) -> Declined | None:
        """Another secret; the one before signs beside it for `former_s` seconds. Declined: `NOT_FOUND`."""
        ...

    async def change(self, claims: Claims, space: int, webhook: int, wanted: Subscription, caller: Caller) -> WebhookInfo | Declined:
        """Another name, destination, kinds or role. Declined: `NOT_FOUND`, `FORBIDDEN`."""
        ...

    async def pause(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None: ...

    async def resume(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None:
        """Lets it go on from where it stood, with its attempts counted anew."""
        ...

    async def replay(self, claims: Claims, space: int, webhook: int, stream: int, after: int, caller: Caller) -> Declined | None:
        """Sets it back in one stream of its community. Declined: `NOT_FOUND`; `INVALID`, beyond the head."""
        ...

    async def delete(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None: ...

    async def deliveries(self, space: int, webhook: int, before: int, limit: int) -> tuple[DeliveryInfo, ...] | Declined:
        """Attempts, the latest first; those before the number `before` (0: the latest of all)."""
        ...


class Deliveries(Protocol):
    """What whoever delivers asks of storage. May raise `StorageError`."""

    async def take(self, webhook: int, lease_s: float) -> Due | bool:
        """The next event to send, leased; else whether there may be one at once (the log was long, and held nothing wanted so far)."""
        ...

    async def settle(self, due: Due, settled: Settled) -> bool:
        """Writes the attempt down, moves the cursor if it was taken, and gives the lease back. False: the lease was lost meanwhile, and
        only the log of attempts was written."""
        ...

    async def replace_seal(self, webhook: int, before: bytes, after: bytes) -> None:
        """The same secret, sealed by the present key, unless it was changed meanwhile."""
        ...

    async def sealed_by_others(self, key: bytes, limit: int) -> tuple[SealedSecret, ...]:
        """Present secrets whose seal does not begin with the name of this key."""
        ...

"""Push: waking a device that has no socket, through the service of its maker.

    browser ─subscribe─▶ Subscription(service, address, keys) ─▶ Postgres
    job `push.send` ─▶ a sender for each service ─▶ Pushed: taken, gone (forget it), refused for now (come back)

Invariant: what is pushed points to a notice in the inbox, and carries its number, by which a repeat is recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

PUSH_SEND: Final = "push.send"
SUBSCRIPTIONS_MAX: Final = 20
ADDRESS_LENGTH_MAX: Final = 2048
SEQS_MAX: Final = 50


class Service(IntEnum):
    """Who carries a push."""

    WEB = 1
    FCM = 2
    APNS = 3


class Urgency(IntEnum):
    """How soon a device that saves its battery is to be woken."""

    LOW = 1
    NORMAL = 2
    HIGH = 3


class Subscription(Struct, frozen=True):
    """Where one device is pushed to. `address`: an endpoint (web push) or a token; `p256dh` and `auth`: the browser's keys (RFC 8291).

    It is secret enough not to be logged: who knows it may not push without our key, but can recognise the device by it.
    """

    service: Service
    address: str
    p256dh: bytes = b""
    auth: bytes = b""

    def __repr__(self) -> str:
        return f"Subscription(service={self.service.name})"


class Push(Struct, frozen=True):
    """Asks for one push to one subscription about these notices of `user`, ascending."""

    subscription: Annotated[int, Meta(ge=1)]
    user: Annotated[int, Meta(ge=1)]
    seqs: Annotated[tuple[int, ...], Meta(min_length=1, max_length=SEQS_MAX)]
    until: int
    """Unix seconds; later it says nothing any more."""


class Parcel(Struct, frozen=True):
    """What is pushed: a line for people, the notice's number, where it leads. `id` names it for good; `topic`: a later one with the same
    takes its place while it has not been delivered. `ttl_s`: how long the service keeps it for a device that is away."""

    id: str
    title: str
    body: str
    notice: int
    stream: int = 0
    seq: int = 0
    count: int = 1
    topic: str = ""
    urgency: Urgency = Urgency.NORMAL
    ttl_s: int = 24 * 3600


class Pushed(Struct, frozen=True):
    """What a service answered. `taken`: it has it. `gone`: the subscription is over. `retry_after_s`: not before, where it said so.

    `status`: its HTTP status, 0 for no answer; `words` are for logs, without addresses.
    """

    taken: bool = False
    gone: bool = False
    hopeless: bool = False
    """It will never take this, whoever asks again."""
    retry_after_s: float = 0.0
    status: int = 0
    words: str = ""


class PushSender(Protocol):
    """Speaks to one service."""

    async def send(self, to: Subscription, parcel: Parcel) -> Pushed:
        """Raises nothing for what the world does."""
        ...


class Subscribed(Struct, frozen=True):
    """A subscription in a list. `at`: Unix seconds."""

    id: int
    service: int
    device: int
    at: int


class SubscriptionSeals(Protocol):
    """Keeps subscriptions from whoever reads the database alone; `gateway.push.sealing`. Sealed for one account, it opens for no other."""

    @property
    def key_name(self) -> str:
        """Of the key that seals now."""
        ...

    @property
    def older_keys(self) -> tuple[str, ...]:
        """Of the keys that open what they sealed before."""
        ...

    def seal(self, user: int, subscription: Subscription) -> bytes: ...

    def open(self, user: int, sealed: bytes) -> Subscription | None:
        """None: its key has gone, or it is not this account's."""
        ...


class Subscriptions(Protocol):
    """Which devices of a person are pushed to; `persistence.push_subscriptions`. All may raise `StorageError`."""

    async def subscribe(self, user: int, device: int, subscription: Subscription) -> int:
        """Its id. The same address again is the same subscription, now of this device; beyond `SUBSCRIPTIONS_MAX` the oldest goes."""
        ...

    async def subscriptions(self, user: int) -> tuple[Subscribed, ...]: ...

    async def unsubscribe(self, user: int, id: int) -> bool: ...


class Whereabouts(Protocol):
    """Which devices have a socket, anywhere."""

    async def online(self, devices: Sequence[int]) -> frozenset[int]:
        """Those of `devices` that some gateway holds a socket of, as far as gateways answer within a fraction of a second. Without a link
        nobody does, and all seem to be offline: then a device that is online is pushed to as well, which costs a sound."""
        ...


WHO_TOPIC: Final = "who"
HERE_TOPIC: Final = "here"

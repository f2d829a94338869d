"""What the actors of a gateway say to each other. One struct a fact; each actor's messages are a union below.

    socket ──▶ session ──▶ device ──▶ journal          who may, what order: decided in Postgres
                  │  ╲──▶ user                         what of this account is connected here
                  │──▶ channel ◀── herald, link        a stream's live tail, and who follows it here
                  ╰──▶ community ◀── channels          who is present, and whose authority changed

Structs with `gc=False` hold nothing that could be part of a cycle, so that the collector does not visit them.
"""

from __future__ import annotations

from msgspec import Struct

from actors.cell import Ref
from actors.greeting import Greeting
from actors.socket_port import Outlet
from actors.storage import Answered, Attached, Decided
from actors.tracing import Trace
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.values import LinkQuality

# To a session


class Arrived(Struct, frozen=True, gc=False):
    """One message from the client."""

    payload: bytes


class Drained(Struct, frozen=True, gc=False):
    """The socket's queue is empty again after it had refused a push."""


class LineClosed(Struct, frozen=True, gc=False):
    """The socket is gone."""

    code: int
    reason: str


class DrainSoon(Struct, frozen=True, gc=False):
    """This process goes away in `grace_s` seconds."""

    grace_s: float


class DeviceAttached(Struct, frozen=True):
    """The device is this session's."""

    attached: Attached


class Kick(Struct, frozen=True, gc=False):
    """End the session with this code, and say so."""

    code: Code
    detail: str = ""
    wait_ms: int = 0


class Settled(Struct, frozen=True, gc=False):
    """What became of a mutation."""

    number: int
    code: Code
    value: int
    detail: str
    wait_ms: int = 0


class FollowEnded(Struct, frozen=True, gc=False):
    """The channel of `stream` no longer sends to this session what its `Follow` number `id` asked for (0: its Hello). A later `Follow` may
    be on its way already. `lagged`: because the socket was too slow."""

    stream: int
    id: int
    lagged: bool


class PeopleLost(Struct, frozen=True, gc=False):
    """The user's or a community's actor was rebuilt: say again what it should know. `space` 0: the user's. `id`: of the `Watch` that it had
    not answered, or 0."""

    space: int
    id: int = 0


class WatchAnswered(Struct, frozen=True, gc=False):
    """Whether presence of `space` is now watched."""

    id: int
    space: int
    code: Code


class Alarm(Struct, frozen=True, gc=False):
    """A timer of the actor's own; `name` says which."""

    name: str


class TrustIs(Struct, frozen=True, gc=False):
    """How far the account is trusted now, in [0, 1]; for its user, its sessions, and their devices."""

    trust: float


SessionMessage = (
    Arrived
    | Drained
    | LineClosed
    | DrainSoon
    | DeviceAttached
    | Kick
    | Settled
    | FollowEnded
    | PeopleLost
    | WatchAnswered
    | TrustIs
    | Alarm
    | Answered
)

# To a device


class AttachSocket(Struct, frozen=True):
    """A session asks for its device."""

    session_key: int
    session: Ref[SessionMessage]
    session_id: int
    user: int


class DetachSocket(Struct, frozen=True, gc=False):
    """The session's socket is gone."""

    session_key: int


class Submit(Struct, frozen=True, gc=False):
    """A mutation from the session's client; `operation` is its frozen bytes.

    `unreadable` says why they are not: a part of a chunk that nobody can read, which has its number all the same.
    """

    session_key: int
    number: int
    operation: bytes
    skew_s: int = 0
    unreadable: str = ""
    trace: Trace | None = None


class TakenOver(Struct, frozen=True, gc=False):
    """Another gateway holds the device since `generation`, or nobody: its mutations go on under another device, or (`ended`) its session
    is over."""

    generation: int
    ended: bool = False


DeviceMessage = AttachSocket | DetachSocket | Submit | TakenOver | TrustIs | Decided | Answered

# To a user


class Enter(Struct, frozen=True):
    """A session of this account is open here."""

    session_key: int
    session: Ref[SessionMessage]
    session_id: int


class Depart(Struct, frozen=True, gc=False):
    """It is over."""

    session_key: int


class Revoke(Struct, frozen=True, gc=False):
    """The session `session_id` was revoked (0: all of this account's)."""

    session_id: int


UserMessage = Enter | Depart | Revoke | TrustIs

# To a channel


class Subscribe(Struct, frozen=True):
    """A session asks for what came after `after`, and for what comes. `id` is the client's request, 0 for a cursor of `Hello`; `schema` the
    one of entities that it was built for. With a `greeting` nothing may be sent before that is said, and where nothing was missed it is
    the answer."""

    session_key: int
    session: Ref[SessionMessage]
    outlet: Outlet
    user: int
    id: int
    after: int
    quality: LinkQuality
    schema: int = SCHEMA
    greeting: Greeting | None = None


class Unsubscribe(Struct, frozen=True, gc=False):
    """The session no longer follows."""

    session_key: int


class Heard(Struct, frozen=True, gc=False):
    """A committed event, encoded: from this gateway's journal, or from another's over the link."""

    seq: int
    audience_version: int
    frame: bytes
    trace: Trace | None = None


class Ephemeral(Struct, frozen=True, gc=False):
    """Something for those who follow now; never stored."""

    frame: bytes


class TypingBy(Struct, frozen=True, gc=False):
    """A session's user is typing."""

    session_key: int
    user: int


class AwareBy(Struct, frozen=True, gc=False):
    """Where a session's user is in a document."""

    session_key: int
    user: int
    data: bytes


class Linked(Struct, frozen=True, gc=False):
    """The link hears this stream from now on; what came before may have been missed."""


class HeadIs(Struct, frozen=True, gc=False):
    """Where Postgres says the stream ends."""

    head: int
    audience_version: int


class Recheck(Struct, frozen=True, gc=False):
    """Somebody's authority changed (0: everybody's)."""

    user: int


class CommunityLost(Struct, frozen=True, gc=False):
    """The community's actor was rebuilt: register again."""


ChannelMessage = (
    Subscribe | Unsubscribe | Heard | Ephemeral | TypingBy | AwareBy | Linked | HeadIs | Recheck | CommunityLost | Alarm | Answered
)

# To a community


class ChannelHere(Struct, frozen=True):
    """A channel of this space is live on this gateway."""

    stream: int
    channel: Ref[ChannelMessage]


class ChannelAway(Struct, frozen=True, gc=False):
    """It no longer is."""

    stream: int


class Present(Struct, frozen=True, gc=False):
    """`user` follows a channel of this space, `count` times more (or fewer, below zero) than before."""

    user: int
    count: int


class WatchOn(Struct, frozen=True):
    """A session wants to know who is present."""

    session_key: int
    session: Ref[SessionMessage]
    outlet: Outlet
    user: int
    id: int
    quality: LinkQuality


class WatchOff(Struct, frozen=True, gc=False):
    """It no longer does."""

    session_key: int


class PresentElsewhere(Struct, frozen=True, gc=False):
    """Who is present on another gateway; `users` is cut at a bound, `online` is not. `wanted`: it asks the same in return."""

    origin: int
    online: int
    users: tuple[int, ...]
    wanted: bool


CommunityMessage = ChannelHere | ChannelAway | Present | WatchOn | WatchOff | PresentElsewhere | Recheck | Alarm | Answered

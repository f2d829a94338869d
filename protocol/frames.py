"""Frames: everything that crosses the socket, in both directions.

    message = frame | array of frames             one binary WebSocket message
    frame   = [tag, field, field, ...]            a msgpack array; trailing fields with a default may be left out

    client ──Hello──────────────▶ server          ◀── Welcome, then what was missed, a Followed per cursor
           ──Mutate(number, op)─▶                 ◀── Done / DoneRun / Refused, by number: committed, or never
           ──request(id, …)─────▶                 ◀── an answer with the same id, or Failed
                                                  ◀── Event(stream, seq, …): facts, in order, without gaps

Commands are strict: an unknown field is refused. What the server sends may grow at the end of a frame and by new tags in a later
minor version; a client passes over what it does not know.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from protocol.codes import Code
from protocol.events import AnyBody
from protocol.values import (
    ID_MAX,
    After,
    AuthorId,
    Cursor,
    Detail,
    DeviceId,
    LinkQuality,
    Milliseconds,
    Number,
    RequestId,
    Role,
    Seconds,
    Seq,
    SpaceId,
    SpaceKind,
    StreamId,
    StreamKind,
    Token,
    UserId,
)

VERSION = 1
"""The protocol's major version. A server speaks a range of them and agrees on one per session."""
VERSION_MIN = 1
CURSORS_MAX = 256
PAGE_EVENTS_MAX = 256
BATCH_FRAMES_MAX = 256

Cursors = Annotated[tuple[Cursor, ...], Meta(max_length=CURSORS_MAX)]
Version = Annotated[int, Meta(ge=1, le=255)]
Epoch = Annotated[int, Meta(ge=0, le=ID_MAX, description="names one history of the database; 0 is unknown")]


class Command(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of what a client sends."""


class Frame(Struct, frozen=True, array_like=True):
    """Root of what a server sends."""


# Client to server: the session itself


class Hello(Command, frozen=True, forbid_unknown_fields=False, tag=1):
    """Opens the session; the first frame on a socket. Answered by `Welcome`, or the socket ends with a code.

    The one command that may be longer than the server knows it: a newer client meets an older server here, which passes over what it
    does not know and answers with the version that both speak.

    Each cursor is followed as if by `Follow` with id 0. The inbox needs no cursor at first: `Welcome` names it.
    """

    version: Version
    token: Token
    device: DeviceId
    cursors: Cursors = ()
    epoch: Epoch = 0
    clock_ms: Milliseconds = 0
    heartbeat_s: Annotated[int, Meta(ge=0, le=3600, description="wished silence between pings; 0 leaves it to the server")] = 0
    link: LinkQuality = LinkQuality.UNKNOWN
    software: Annotated[str, Meta(max_length=64)] = ""


class Bye(Command, frozen=True, tag=3):
    """Ends the session in good order. What is in flight is still committed, but no longer answered."""


class Ping(Command, frozen=True, tag=4):
    """Asks for a `Pong`: finds a dead link, measures the round trip and the clock."""

    id: RequestId
    clock_ms: Milliseconds = 0


class Refresh(Command, frozen=True, tag=5):
    """Puts a newer token on the live socket. Answered by `Granted`; a bad token is `Failed` and changes nothing."""

    id: RequestId
    token: Token


class Mutate(Command, frozen=True, tag=6):
    """Asks for a durable effect, once. Answered by `Done`, `DoneRun` or `Refused` with the same number.

    The operation's bytes are frozen at the first sending: a retry sends the same number with the same bytes.
    """

    number: Number
    operation: Raw


# Client to server: requests


class Follow(Command, frozen=True, tag=7):
    """Asks for everything in `stream` after `after`, and what comes. Answered by events, then `Followed`; or `Failed`.

    At most a page comes at once: `Followed` with `live` false means: ask again from the last event on.
    """

    id: RequestId
    stream: StreamId
    after: After


class Unfollow(Command, frozen=True, tag=8):
    """Ends following. Answered by `Granted`; events already under way may still arrive."""

    id: RequestId
    stream: StreamId


class Overview(Command, frozen=True, tag=9):
    """Asks for the spaces, streams, heads and read markers of this account, in one snapshot. Answered by `Spaces`."""

    id: RequestId


class History(Command, frozen=True, tag=10):
    """Asks for up to `limit` events next to a position: those before `before`, newest first cut, or those after `after`.

    Exactly one of the two is above 0. Answered by `Page` (events ascending) or `Failed`.
    """

    id: RequestId
    stream: StreamId
    before: After = 0
    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_EVENTS_MAX)] = 50


class Typing(Command, frozen=True, tag=11):
    """Tells the others who follow `stream` that one is typing. Not answered, not stored, dropped under load."""

    stream: StreamId


class Watch(Command, frozen=True, tag=12):
    """Turns presence of a space on or off for this socket. Answered by `Granted`, then `Presence` when it changes."""

    id: RequestId
    space: SpaceId
    on: bool


class Members(Command, frozen=True, tag=13):
    """Asks for the members of a space, by ascending user, after user `after`. Answered by `MemberPage`."""

    id: RequestId
    space: SpaceId
    after: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class Search(Command, frozen=True, tag=14):
    """Finds an account by its exact name, to invite it or to write to it. Answered by `Person`, or `Failed` with `NOT_FOUND`."""

    id: RequestId
    name: Annotated[str, Meta(min_length=1, max_length=40)]


# Server to client: the session itself


class Limits(Struct, frozen=True, array_like=True):
    """What this server takes."""

    message_bytes_max: int
    in_flight_max: Annotated[int, Meta(description="mutations sent and not yet answered")]
    follows_max: Annotated[int, Meta(description="streams followed at once")]


class Welcome(Frame, frozen=True, tag=32):
    """The session is open. `last_number` is the highest mutation number that has been decided for this device.

    An `epoch` other than the client's means that the database was restored: cursors are void, and acknowledged mutations that were
    not yet reported as backed up are sent again.
    """

    version: Version
    session: int
    user: UserId
    inbox: StreamId
    last_number: Annotated[int, Meta(ge=0)]
    epoch: Epoch
    server_ms: Milliseconds
    heartbeat_s: int
    expires: Seconds
    limits: Limits


class Done(Frame, frozen=True, tag=33):
    """Mutation `number` is committed. `value` is what its operation says: a sequence number, a space, a stream, or 0."""

    number: Number
    value: int


class DoneRun(Frame, frozen=True, tag=34):
    """The mutations from `first` on, one for each value, are committed."""

    first: Number
    values: tuple[int, ...]


class Refused(Frame, frozen=True, tag=35):
    """Mutation `number` has no effect, because of `code`. Whether the number is consumed stands in the table of codes."""

    number: Number
    code: Code
    detail: Detail = ""
    wait_ms: int = 0


class Granted(Frame, frozen=True, tag=36):
    """The request `id` is carried out."""

    id: RequestId


class Failed(Frame, frozen=True, tag=37):
    """The request `id` is not carried out, because of `code`. Follows that came with Hello have id 0; `stream` names them."""

    id: Annotated[int, Meta(ge=0)]
    code: Code
    detail: Detail = ""
    wait_ms: int = 0
    stream: Annotated[int, Meta(ge=0)] = 0


class Pong(Frame, frozen=True, tag=38):
    """Answers `Ping`."""

    id: RequestId
    server_ms: Milliseconds


class Draining(Frame, frozen=True, tag=39):
    """This server goes away soon: come back (to another) after `delay_ms`, which is this client's own."""

    delay_ms: int


class Goodbye(Frame, frozen=True, tag=40):
    """The socket ends now with `code`; come back no sooner than after `wait_ms`."""

    code: Code
    detail: Detail = ""
    wait_ms: int = 0


# Server to client: streams


class Event(Frame, frozen=True, tag=48):
    """A fact. Durable, numbered in its stream without gaps; the same bytes for everybody who follows it."""

    stream: StreamId
    seq: Seq
    author: AuthorId
    at: Seconds
    body: AnyBody


class Followed(Frame, frozen=True, tag=49):
    """Everything up to `upto` has been sent. `live`: what comes will follow by itself; otherwise ask for the next page."""

    id: Annotated[int, Meta(ge=0)]
    stream: StreamId
    upto: After
    live: bool


class Lagged(Frame, frozen=True, tag=50):
    """This socket was too slow for `stream`: events were dropped and it is no longer followed. Follow it again from the cursor."""

    stream: StreamId


class Unfollowed(Frame, frozen=True, tag=51):
    """`stream` is no longer followed, for example because the account may no longer read it."""

    stream: StreamId
    code: Code


class PageEvent(Struct, frozen=True, array_like=True):
    """An event inside a page. `body` is one of the event bodies, as in `Event`."""

    seq: Seq
    author: AuthorId
    at: Seconds
    body: Raw


class Page(Frame, frozen=True, tag=52):
    """Answers `History`: events in ascending order. `more` says whether there are others beyond, in the direction asked for."""

    id: RequestId
    stream: StreamId
    events: tuple[PageEvent, ...]
    more: bool


# Server to client: answers and ephemeral frames


class StreamState(Struct, frozen=True, array_like=True):
    """A stream as one account sees it."""

    stream: StreamId
    kind: StreamKind
    name: str
    head: After
    read_upto: After
    may_write: bool


class SpaceState(Struct, frozen=True, array_like=True):
    """A space as one account sees it."""

    space: SpaceId
    kind: SpaceKind
    name: str
    role: Role
    streams: tuple[StreamState, ...]


class Invitation(Struct, frozen=True, array_like=True):
    """A standing invitation: one may join `space` in `role`. `by_name` is the display name of who invited, whom one may not know yet."""

    space: SpaceId
    name: str
    role: Role
    by: UserId
    by_name: str = ""


class Spaces(Frame, frozen=True, tag=53):
    """Answers `Overview`. `inbox_upto` is the inbox's head in the same snapshot: apply the inbox's later events to this.

    `invitations` are the newest, at most 100, latest first.
    """

    id: RequestId
    inbox_upto: After
    spaces: tuple[SpaceState, ...]
    invitations: tuple[Invitation, ...] = ()


class Member(Struct, frozen=True, array_like=True):
    """Somebody in a space. `name` is the unique one, by which `Search` finds them; an older server leaves it out."""

    user: UserId
    role: Role
    display_name: str
    name: str = ""


class MemberPage(Frame, frozen=True, tag=54):
    """Answers `Members`."""

    id: RequestId
    space: SpaceId
    members: tuple[Member, ...]
    more: bool


class Person(Frame, frozen=True, tag=55):
    """Answers `Search`."""

    id: RequestId
    user: UserId
    name: str
    display_name: str


class IsTyping(Frame, frozen=True, tag=56):
    """`user` is typing in `stream`; forget it after six seconds."""

    stream: StreamId
    user: UserId


class Presence(Frame, frozen=True, tag=57):
    """How many members of a space are online, and who they are unless there are too many or the link is poor."""

    space: SpaceId
    online: int
    users: tuple[UserId, ...] = ()


AnyCommand = Hello | Bye | Ping | Refresh | Mutate | Follow | Unfollow | Overview | History | Typing | Watch | Members | Search
AnyRequest = Ping | Refresh | Follow | Unfollow | Overview | History | Watch | Members | Search
AnyFrame = (
    Welcome
    | Done
    | DoneRun
    | Refused
    | Granted
    | Failed
    | Pong
    | Draining
    | Goodbye
    | Event
    | Followed
    | Lagged
    | Unfollowed
    | Page
    | Spaces
    | MemberPage
    | Person
    | IsTyping
    | Presence
)

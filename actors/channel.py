"""A channel: one stream's live tail on one gateway, and the sessions here that follow it.

    Subscribe ─▶ store: events after the cursor, if this user may ─▶ page ─▶ Followed, live once the page meets the tail
    Heard ─────▶ tail: in order? ─▶ one batch a turn ─▶ every follower, the same bytes, never waiting
                   ╰ a gap: wait a moment, then read what is missing from Postgres

What is heard may be lost, late, doubled or reordered; the numbers tell, and Postgres repairs. A follower that cannot take a batch
is dropped and told to follow again from its cursor (`Lagged`): the same path as a reconnect, so a slow reader delays nobody.
When the stream's audience has changed, nothing is delivered until it is known again who may read.

Invariant: a live follower has been sent every event up to the last flushed one, in order, each once; nobody is sent an event
of an audience that this actor has not checked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct

from actors.casting import cast_events
from actors.cell import Context, Ref, Timer
from actors.documents import Awareness
from actors.greeting import Greeting
from actors.link_port import Link
from actors.messages import (
    Alarm,
    AwareBy,
    ChannelAway,
    ChannelHere,
    ChannelMessage,
    CommunityLost,
    Ephemeral,
    FollowEnded,
    HeadIs,
    Heard,
    Linked,
    Present,
    Recheck,
    SessionMessage,
    Subscribe,
    TypingBy,
    Unsubscribe,
)
from actors.neighbourhood import Neighbourhood
from actors.socket_port import Batch, Outlet
from actors.storage import Answered, Audience, CheckAudience, Denied, Events, Head, Heads, ReadAfter, ReadHeads, Row, Store
from actors.tail import Tail
from actors.tracing import Trace
from protocol.codec import decode_frame, encode, encode_event, join
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.frames import BATCH_FRAMES_MAX, DOWN_BYTES_GOAL, Failed, Followed, IsAware, IsTyping, Lagged, Unfollowed
from protocol.values import LinkQuality

FLUSH = Alarm("flush")
FLUSH_COST_S = 8e-6
"""What one follower's share of a flush costs, about: a send takes the kernel 4 to 7 µs, whether it carries one event or five."""
BUSY_FLUSHES = 10
"""A channel that flushed less than so many times a flush's cost ago is busy; in a calm one nothing waits."""
HOLD_FLUSHES = 3
"""In a busy channel the first event waits so many times a flush's cost for others to leave with it. Flushing so takes a quarter of a
process at most, and the busier it is, the more leaves together: with four posts under way in a room of 1,000 over two gateways a delivery
cost 7.0 µs without waiting, and 3.7 µs with it.
"""
HOLD_MAX_S = 0.025
"""The longest of these waits, reached with 1,000 followers on one gateway."""
ARRAY_BYTES = 3
"""What an array of frames begins with, at most."""
REPAIR = Alarm("repair")
RETRY = Alarm("retry")
WHERE = Alarm("where")
WHERE_LATER = Alarm("where_later")
_AWARE = encode(IsAware(1, 1, b""))[1:2]
"""The tag of such a frame, as it stands in its bytes."""
SYSTEM = 0
TRACED_MAX = 256
"""Followed events that wait for their flush, of one channel; of more than these nothing is told."""


class ChannelLimits(Struct, frozen=True):
    """The bounds and times of one channel."""

    page_events_max: int = 256
    page_bytes_max: int = 32 * 1024
    """A page of catch-up: 5 s of a 50 kbit/s link."""
    thrifty_page_bytes_max: int = 16 * 1024
    """The same for a fair link and worse, two messages: less to wait for before anything else can be said, and less that a cut finds on its
    way. While the second is under way the client asks for the next page (`_send_page`)."""
    message_bytes_goal: int = DOWN_BYTES_GOAL
    """A message of catch-up is closed before it passes this size; one event alone may be longer."""
    soft_bytes: int = 64 * 1024
    """A follower's queue at which catch-up pages come empty, so that it reads what it has before it asks again."""
    joining_max: int = 20_000
    """Follows that wait for Postgres; beyond it they are refused with BUSY."""
    gap_wait_s: float = 0.05
    """How long a missing event may still arrive over the link before it is read: two gateways' publishes cross within a few ms."""
    retry_s: float = 0.5
    """After Postgres could not answer."""
    held_bytes_max: int = 1024 * 1024
    """Events held back while the audience is not known. Beyond it everybody is told to follow again from their cursors: it may be
    long until the database answers, and other gateways go on."""
    typing_every_s: float = 2.0
    """One user's typing is passed on at most this often."""
    aware_every_s: float = 0.1
    """Who is where in a document is passed on at most this often: each time one word a person, the last."""
    aware_slowly_s: float = 1.0
    """The same for a fair link. A poorer one hears nothing of it."""
    whispers_max: int = 64
    """Ephemeral frames that wait for a flush; more are dropped."""
    typists_max: int = 32
    """Typing users remembered; in a busier channel the news is worth nothing."""


class Follower:
    """One session that follows, or is about to."""

    __slots__ = ("after", "greeting", "id", "key", "outlet", "quality", "schema", "session", "user")

    def __init__(self, ask: Subscribe) -> None:
        self.key = ask.session_key
        self.session: Ref[SessionMessage] = ask.session
        self.outlet: Outlet = ask.outlet
        self.user = ask.user
        self.id = ask.id
        self.after = ask.after
        self.quality = ask.quality
        self.schema = ask.schema
        self.greeting = ask.greeting
        """What its client is told before anything else; None once that is seen to."""


class Channel:
    """See the module."""

    __slots__ = (
        "_ctx",
        "_limits",
        "_link",
        "_near",
        "_store",
        "_stream",
        "asking",
        "audience_version",
        "aware",
        "behind_since",
        "checking",
        "events",
        "flushed_at",
        "flushing",
        "greetings",
        "held_bytes",
        "joining",
        "live",
        "meeting",
        "older",
        "outgoing",
        "pushed",
        "reading",
        "repair",
        "retry",
        "silent",
        "since",
        "space",
        "stale",
        "tail",
        "traced",
        "typists",
        "waiting",
        "whispers",
    )

    def __init__(
        self, stream: int, ctx: Context[ChannelMessage], store: Store, link: Link, near: Neighbourhood, limits: ChannelLimits
    ) -> None:
        self._stream = stream
        self._ctx = ctx
        self._store = store
        self._link = link
        self._near = near
        self._limits = limits
        self.tail = Tail()
        self.live: dict[int, Follower] = {}
        self.older = 0
        """How many of them were built for an older schema; where there are none, nothing is ever cast."""
        self.joining: dict[int, Follower] = {}
        """By the ticket of their read."""
        self.asking: dict[int, int] = {}
        """Those tickets, by session."""
        self.waiting: list[Follower] = []
        """Those whose page reached beyond this gateway's tail, or came while the audience is not known: live as soon as may be."""
        self.meeting: Sequence[Follower] = ()
        """Those of them that are being met now, so that a crash over one is told to all."""
        self.outgoing: list[bytes] = []
        self.held_bytes = 0
        """Of `outgoing`, what came while it could not go."""
        self.whispers: list[bytes] = []
        """Ephemeral frames for the next flush."""
        self.flushing = False
        self.flushed_at = 0.0
        self.since = 0.0
        """When the first event that waits for a flush came."""
        self.events = 0
        """Flushed since this actor was built; and `pushed`, to how many followers each."""
        self.pushed = 0
        self.behind_since = 0.0
        """When something was found to be missing, or the audience not to be known; 0: followers have all there is."""
        self.audience_version = 0
        self.stale = False
        """The audience has changed and is not known yet: nothing is flushed."""
        self.silent = False
        """Of a conversation of two of whom one blocks the other: nobody speaks, so nobody is typing, and nobody is there."""
        self.checking = 0
        self.reading = 0
        self.repair: Timer | None = None
        self.retry: Timer | None = None
        self.space = 0
        self.typists: dict[int, float] = {}
        self.aware: Awareness | None = None
        self.traced: dict[int, tuple[Trace, float]] | None = None
        """Events that somebody follows and that wait for their flush, by number: since when."""
        self.greetings: deque[Greeting] | None = None
        """Of followers that are live by them, until they are said: before anything goes to the live ones."""

    def receive(self, message: ChannelMessage) -> None:
        match message:
            case Heard():
                self._heard(message)
            case Subscribe():
                self._subscribe(message)
            case Unsubscribe():
                self._forget(message.session_key)
            case Answered():
                self._answered(message)
            case Ephemeral():
                self._overheard(message.frame)
            case AwareBy():
                if message.session_key in self.live and not self.silent:
                    self._say_where(message.user, encode(IsAware(self._stream, message.user, message.data)), mine=True)
            case TypingBy():
                self._typing(message)
            case Alarm():
                self._alarm(message)
            case Linked():
                self._store.ask(ReadHeads((self._stream,)), self._ctx.ticket(), self._ctx.self)
            case HeadIs():
                self._head_is(message.head, message.audience_version)
            case Recheck():
                if message.user == SYSTEM or any(f.user == message.user for f in (*self.live.values(), *self.waiting)):
                    self._check_audience()
            case CommunityLost():
                self._register()
            case _:
                assert_never(message)

    def behind_s(self, now_s: float) -> float:
        """How long its followers have been without something that exists; 0 where nothing is known to be missing."""
        return now_s - self.behind_since if self.behind_since else 0.0

    def passivate(self) -> bool:
        return not (self.live or self.joining or self.waiting or self.outgoing)

    def stopped(self) -> None:
        self._link.unsubscribe(self._stream)
        self._near.followed.pop(self._stream, None)
        community = self._near.communities.find(self.space) if self.space else None
        if community is not None:
            community.tell_control(ChannelAway(self._stream))
            for follower in () if self.silent else self.live.values():
                community.tell(Present(follower.user, -1))
        self._greet()
        for follower in dict.fromkeys((*self.live.values(), *self.joining.values(), *self.meeting, *self.waiting)):
            self._greet_first(follower)
            follower.outlet.send(encode(Lagged(self._stream)))
            follower.session.tell_control(FollowEnded(self._stream, follower.id, lagged=False))

    def has_reached(self, head: int, audience_version: int) -> bool:
        """See `actors.neighbourhood.Reached`."""
        return self.tail.head is not None and head <= self.tail.head and audience_version <= self.audience_version

    # What comes in

    def _heard(self, event: Heard) -> None:
        self._learn_version(event.audience_version)
        if event.trace is not None:
            self._note_trace(event.seq, event.trace)
        self._ready(self.tail.hear(event.seq, event.frame))
        self._mind_the_gap()

    def _head_is(self, head: int, audience_version: int) -> None:
        self._learn_version(audience_version)
        if self.tail.head is None:
            self._ready(self.tail.start(head))
        elif head > self.tail.head:
            if not (self.tail.gap or self.reading):
                self._near.tallies.tails_lost += 1
            self._fall_behind()
            self._read_missing()

    def _ready(self, frames: Sequence[bytes]) -> None:
        if not frames:
            return
        if self.live:
            if not self.outgoing:
                self.since = self._ctx.now()
            self.outgoing.extend(frames)
            if self.stale:
                self._hold(frames)
            else:
                self._flush_soon()
        self._meet_waiting()

    def _hold(self, frames: Sequence[bytes]) -> None:
        self.held_bytes += sum(map(len, frames))
        if self.held_bytes <= self._limits.held_bytes_max:
            return
        self.outgoing, self.held_bytes, self.traced = [], 0, None
        self._near.tallies.audience_held += len(self.live)
        self._greet()
        for follower in list(self.live.values()):
            self._forget(follower.key)
            follower.outlet.send(encode(Lagged(self._stream)))
            follower.session.tell_control(FollowEnded(self._stream, follower.id, lagged=False))

    def _meet_waiting(self) -> None:
        if self.waiting and not self.stale:
            self.meeting, self.waiting = self.waiting, []
            for follower in self.meeting:
                self._meet(follower, follower.after)
            self.meeting = ()

    def _mind_the_gap(self) -> None:
        if self.tail.gap and self.repair is None and not self.reading and self.tail.head is not None:
            self.repair = self._ctx.after(self._limits.gap_wait_s, REPAIR)
            self._near.tallies.gaps += 1
            self._fall_behind()

    def _fall_behind(self) -> None:
        self.behind_since = self.behind_since or self._ctx.now()

    def _catch_up(self) -> None:
        """Notes that nothing is missing any more, if that is so."""
        if self.behind_since and not (self.stale or self.reading or self.tail.gap):
            self._near.tallies.behind_s.observe(self._ctx.now() - self.behind_since)
            self.behind_since = 0.0

    def _read_missing(self) -> None:
        if self.reading or self.tail.head is None:
            return
        self.reading = self._ctx.ticket()
        limits = self._limits
        query = ReadAfter(self._stream, SYSTEM, self.tail.head, limits.page_events_max, limits.page_bytes_max)
        self._store.ask(query, self.reading, self._ctx.self)

    # Who follows

    def _subscribe(self, ask: Subscribe) -> None:
        follower = Follower(ask)
        if len(self.joining) >= self._limits.joining_max:
            self._fail(follower, Code.BUSY, "too many are joining this stream at once")
            return
        self._forget(ask.session_key)
        self._read_for(follower)

    def _read_for(self, follower: Follower) -> None:
        ticket = self._ctx.ticket()
        self.joining[ticket] = follower
        self.asking[follower.key] = ticket
        limits = self._limits
        page_bytes_max = limits.thrifty_page_bytes_max if follower.quality >= LinkQuality.FAIR else limits.page_bytes_max
        room_bytes = max(0, min(page_bytes_max, limits.soft_bytes - follower.outlet.queued_bytes))
        events_max = limits.page_events_max if room_bytes else 0
        query = ReadAfter(self._stream, follower.user, follower.after, events_max, room_bytes)
        self._store.ask(query, ticket, self._ctx.self)

    def _joined(self, follower: Follower, events: Events) -> None:
        """A page for one who wants to follow. It tells this actor where the stream is, too."""
        self._enter_space(events.space)
        self._fall_silent(events.silent)
        self._learn_version(events.audience_version)
        if events.audience_version < self.audience_version:
            self._read_for(follower)
            return
        if follower.after > events.head:
            self._fail(
                follower, Code.CONFLICT, f"the cursor {follower.after} is beyond the end, {events.head}: a cursor of another history"
            )
            return
        frames = self._frames(events.rows)
        if self.tail.head is None:
            self._ready(self.tail.start(events.head))
        for row, frame in zip(events.rows, frames, strict=True):
            self._ready(self.tail.hear(row.seq, frame))
        upto = events.rows[-1].seq if events.rows else follower.after
        if events.more or (not events.rows and follower.after < events.head):
            self._send_page(follower, frames, upto)
        else:
            self._send_frames(follower, frames)
            self._meet(follower, upto)
        self._mind_the_gap()

    def _meet(self, follower: Follower, upto: int) -> None:
        """Brings a follower that has everything up to `upto` to the tail, if the way is short enough to be in memory."""
        head = self.tail.head
        assert head is not None
        if upto > head or self.stale:
            follower.after = upto
            self.waiting.append(follower)
            if upto > head:
                self._read_missing()
            return
        frames = self.tail.after(upto)
        if frames is None:
            self._answer(follower, upto, live=False)
            return
        self._flush()
        if frames:
            self._send_frames(follower, frames)
        self.live[follower.key] = follower
        self.older += follower.schema < SCHEMA
        self._near.followed[self._stream] = self
        self._answer(follower, head, live=True)
        self._count_present(follower, 1)

    def _forget(self, session_key: int) -> None:
        follower = self.live.pop(session_key, None)
        if follower is not None:
            self.older -= follower.schema < SCHEMA
        if not self.live:
            self._near.followed.pop(self._stream, None)
        if follower is not None:
            self._count_present(follower, -1)
        ticket = self.asking.pop(session_key, 0)
        if ticket:
            del self.joining[ticket]
        if self.waiting:
            self.waiting = [f for f in self.waiting if f.key != session_key]

    def _enter_space(self, space: int) -> None:
        """The stream exists, and somebody here may read it: from now on it is heard. `Linked` will compare its head, so nothing of the
        time before is missed. A number that a client made up costs no subscription.
        """
        if self.space == 0:
            self.space = space
            self._link.subscribe(self._stream)
            self._register()

    def _register(self) -> None:
        if self.space:
            community = self._near.communities.get(self.space)
            community.tell_control(ChannelHere(self._stream, self._ctx.self))
            for follower in () if self.silent else self.live.values():
                community.tell(Present(follower.user, 1))

    def _count_present(self, follower: Follower, more: int) -> None:
        if self.space and not self.silent:
            self._near.communities.get(self.space).tell(Present(follower.user, more))

    def _fall_silent(self, silent: bool) -> None:
        """Two people block each other, or do no longer: neither sees the other type or be there."""
        if silent is not self.silent:
            for follower in self.live.values() if silent else ():
                self._count_present(follower, -1)
            self.silent = silent
            for follower in () if silent else self.live.values():
                self._count_present(follower, 1)

    # Who may

    def _learn_version(self, version: int) -> None:
        if version > self.audience_version:
            self.audience_version = version
            if self.live or self.waiting:
                self._check_audience()

    def _check_audience(self) -> None:
        self.stale = True
        self._fall_behind()
        self.checking = self._ctx.ticket()
        users = tuple({follower.user for follower in (*self.live.values(), *self.waiting)})
        self._store.ask(CheckAudience(self._stream, users), self.checking, self._ctx.self)

    def _checked(self, audience: Audience) -> None:
        if audience.audience_version < self.audience_version:
            self._check_audience()
            return
        self.audience_version = audience.audience_version
        self._fall_silent(audience.silent)
        self.stale = False
        self._catch_up()
        self._greet()
        for follower in [f for f in self.live.values() if f.user not in audience.users]:
            self._forget(follower.key)
            follower.outlet.send(encode(Unfollowed(self._stream, Code.FORBIDDEN)))
            follower.session.tell_control(FollowEnded(self._stream, follower.id, lagged=False))
        self._flush()
        self._admit(audience)

    def _admit(self, audience: Audience) -> None:
        """Those who came while the audience was not known: the ones it was asked about are let in or not, later ones are read for again."""
        self.meeting, self.waiting = self.waiting, []
        for follower in self.meeting:
            if follower.user in audience.users:
                self._meet(follower, follower.after)
            else:
                self._read_for(follower)
        self.meeting = ()

    # What Postgres answers

    def _answered(self, message: Answered) -> None:
        ticket, result = message.ticket, message.result
        if ticket in self.joining:
            follower = self.joining[ticket]
            del self.asking[follower.key]
            if isinstance(result, Events):
                self._joined(follower, result)
            else:
                assert isinstance(result, Denied)
                self._fail(follower, result.code, result.detail)
            del self.joining[ticket]  # not before: a crash over its page sends this one back to its cursor, too
        elif ticket == self.reading:
            self.reading = 0
            self._repaired(result)
        elif ticket == self.checking:
            self.checking = 0
            if isinstance(result, Audience):
                self._checked(result)
            else:
                self._retry_soon()
        elif isinstance(result, Heads):
            for head in result.heads:
                assert isinstance(head, Head)
                self._head_is(head.head, head.audience_version)

    def _repaired(self, result: object) -> None:
        if not isinstance(result, Events):
            self._retry_soon()
            return
        self._learn_version(result.audience_version)
        for row, frame in zip(result.rows, self._frames(result.rows), strict=True):
            self._ready(self.tail.hear(row.seq, frame))
        if result.more:
            self._read_missing()
        elif self.tail.gap or self.waiting:
            self._retry_soon()
        self._catch_up()

    def _retry_soon(self) -> None:
        if self.retry is None:
            self.retry = self._ctx.after(self._limits.retry_s, RETRY)

    def _alarm(self, alarm: Alarm) -> None:
        if alarm is FLUSH:
            self.flushing = False
            self._flush()
        elif alarm is REPAIR:
            self.repair = None
            if self.tail.gap:
                self._near.tallies.repairs += 1
                self._read_missing()
            self._catch_up()
        elif alarm is WHERE:
            self._pass_where()
        elif alarm is WHERE_LATER:
            self._pass_where_later()
        elif alarm is RETRY:
            self.retry = None
            if self.stale:
                self._check_audience()
            if self.tail.gap or self.waiting:
                self._read_missing()

    # What goes out

    def _flush_soon(self) -> None:
        """After what waits in the inbox now, so that one burst of events is one message to each follower; later while it is busy."""
        if self.flushing:
            return
        cost_s = len(self.live) * FLUSH_COST_S
        busy = self._ctx.now() - self.flushed_at < BUSY_FLUSHES * cost_s
        wait_s = min(HOLD_FLUSHES * cost_s, HOLD_MAX_S) if busy else 0.0
        if wait_s > 0.0:
            self.flushing = True
            self._ctx.after(wait_s, FLUSH)
        else:
            self.flushing = self._ctx.self.tell(FLUSH)
            if not self.flushing:
                self._flush()

    def _flush(self) -> None:
        if self.stale:
            self.whispers.clear()
            return
        if self.outgoing or self.whispers:
            self.flushed_at = self._ctx.now()
            self._greet()
            self._flush_events()
            self._flush_whispers()

    def _flush_events(self) -> None:
        frames, self.outgoing, self.held_bytes = self.outgoing, [], 0
        if frames:
            self._count(len(frames))
        for start in range(0, len(frames), BATCH_FRAMES_MAX):
            some = frames[start : start + BATCH_FRAMES_MAX]
            batch = Batch(join(some))
            if self.older:
                slow = self._push_cast(some, batch)
            else:
                slow = [follower for follower in self.live.values() if not follower.outlet.push(batch)]
            self._near.tallies.deliveries += len(self.live) - len(slow)
            self._near.tallies.lagged += len(slow)
            for follower in slow:
                self._forget(follower.key)
                follower.outlet.send(encode(Lagged(self._stream)))
                follower.session.tell_control(FollowEnded(self._stream, follower.id, lagged=True))
        if self.traced:
            self._say_flushed(len(frames))

    def _note_trace(self, seq: int, trace: Trace) -> None:
        """Somebody follows an event that is about to leave; one that left before it was heard, in a page that was read, is no news."""
        if self.live and (self.tail.head is None or seq > self.tail.head):
            if self.traced is None:
                self.traced = {}
            if len(self.traced) < TRACED_MAX:
                self.traced[seq] = (trace, self._ctx.now())

    def _say_flushed(self, events: int) -> None:
        """Tells who follows them that events have left for the sockets; what is missing one before it has not."""
        traced, tracer, head = self.traced or {}, self._near.tracer, self.tail.head or 0
        self.traced = {seq: waiting for seq, waiting in traced.items() if seq > head} or None
        for seq, (trace, since) in traced.items():
            if seq <= head and tracer is not None:
                ago_s = self._ctx.now() - since
                tracer.ended("flush", trace, ago_s, stream=self._stream, seq=seq, followers=len(self.live), events=events)

    def _count(self, events: int) -> None:
        """What is about to leave, for those who watch; once a flush."""
        tallies, followers = self._near.tallies, len(self.live)
        self.events += events
        self.pushed += followers
        tallies.events += events
        tallies.flush_events.observe(events)
        tallies.flush_wait_s.observe(self.flushed_at - self.since)

    def _push_cast(self, frames: Sequence[bytes], batch: Batch) -> list[Follower]:
        """As it is for those of the present schema, cast once for each older one. Returns those that could not take it."""
        batches = {SCHEMA: batch}
        slow: list[Follower] = []
        for follower in self.live.values():
            theirs = batches.get(follower.schema)
            if theirs is None:
                cast = cast_events(frames, follower.schema)
                theirs = batches[follower.schema] = batch if cast is frames else Batch(join(cast))
            if not follower.outlet.push(theirs):
                slow.append(follower)
        return slow

    def _typing(self, message: TypingBy) -> None:
        now = self._ctx.now()
        if self.silent or message.session_key not in self.live or now - self.typists.get(message.user, -1e9) < self._limits.typing_every_s:
            return
        if len(self.typists) >= self._limits.typists_max:
            self.typists = {user: at for user, at in self.typists.items() if now - at < self._limits.typing_every_s}
            if len(self.typists) >= self._limits.typists_max:
                return
        self.typists[message.user] = now
        frame = encode(IsTyping(self._stream, message.user))
        self._link.publish(self._stream, 0, self.audience_version, frame)
        self._shout(frame)

    def _overheard(self, frame: bytes) -> None:
        """Something ephemeral of another gateway's."""
        if frame[1:2] == _AWARE:
            aware = decode_frame(frame)
            assert isinstance(aware, IsAware)
            self._say_where(aware.user, frame, mine=False)
        else:
            self._shout(frame)

    def _say_where(self, user: int, frame: bytes, *, mine: bool) -> None:
        if self.aware is None:
            self.aware = Awareness()
        self.aware.say(user, frame, mine=mine)
        if self.aware.soon_at is None:
            self._pass_where()

    def _pass_where(self) -> None:
        """The last word of each, to those with good links; the next ones wait for a moment."""
        aware = self.aware
        assert aware is not None
        fair = [follower for follower in self.live.values() if follower.quality == LinkQuality.FAIR]
        frames, mine = aware.take(keeps=bool(fair))
        aware.soon_at = None
        if not frames:
            return
        aware.soon_at = self._ctx.now() + self._limits.aware_every_s
        self._ctx.after(self._limits.aware_every_s, WHERE)
        for frame in mine:
            self._link.publish(self._stream, 0, self.audience_version, frame)
        self._whisper(frames, [follower for follower in self.live.values() if follower.quality < LinkQuality.FAIR])
        if fair and aware.later_at is None:
            aware.later_at = self._ctx.now() + self._limits.aware_slowly_s
            self._ctx.after(self._limits.aware_slowly_s, WHERE_LATER)

    def _pass_where_later(self) -> None:
        aware = self.aware
        assert aware is not None
        aware.later_at = None
        self._whisper(aware.take_later(), [follower for follower in self.live.values() if follower.quality == LinkQuality.FAIR])

    def _whisper(self, frames: Sequence[bytes], followers: Sequence[Follower]) -> None:
        if frames and followers and not self.stale:
            self._near.tallies.whispers += len(frames)
            self._greet()
            batch = Batch(join(frames))
            for follower in followers:
                follower.outlet.push(batch)

    def _shout(self, frame: bytes) -> None:
        """Something ephemeral, with the next flush."""
        if self.live and not self.stale:
            if len(self.whispers) < self._limits.whispers_max:
                self.whispers.append(frame)
                self._near.tallies.whispers += 1
                self._flush_soon()
            else:
                self._near.tallies.whispers_over += 1

    def _flush_whispers(self) -> None:
        """To those who follow now, have room for it and a link that is worth it."""
        if self.whispers:
            whispers, self.whispers = self.whispers, []
            self.events += len(whispers)
            self.pushed += len(self.live)
            batch = Batch(join(whispers))
            for follower in self.live.values():
                if follower.quality < LinkQuality.POOR:
                    follower.outlet.push(batch)

    def _frames(self, rows: Sequence[Row]) -> list[bytes]:
        return [encode_event(self._stream, row.seq, row.author, row.at, row.body) for row in rows]

    def _send_frames(self, follower: Follower, frames: Sequence[bytes]) -> None:
        self._near.tallies.page_events += len(frames)
        if frames:
            self._greet_first(follower)
        for message in self._messages(follower, frames):
            follower.outlet.send(message)

    def _send_page(self, follower: Follower, frames: Sequence[bytes], upto: int) -> None:
        """A page behind which there is more. On a link with a long way the answer goes before the last message, so that the next page is
        asked for while that one is under way: asked for after it, each page cost a 2G link a round trip of silence, and a loss in its last
        packets the time-out that nothing behind it could shorten (2.4 s of a day's 13). Older clients take an answer for the page's end.
        """
        self._near.tallies.page_events += len(frames)
        self._greet_first(follower)
        *first, last = self._messages(follower, frames) or (b"",)
        early = bool(first) and follower.quality >= LinkQuality.FAIR and follower.schema >= SCHEMA
        for message in first:
            follower.outlet.send(message)
        if early:
            self._answer(follower, upto, live=False)
        if last:
            follower.outlet.send(last)
        if not early:
            self._answer(follower, upto, live=False)

    def _messages(self, follower: Follower, frames: Sequence[bytes]) -> list[bytes]:
        """Messages of a size that a slow link can finish: what a cut leaves unfinished is all that is sent again."""
        if follower.schema < SCHEMA:
            frames = cast_events(frames, follower.schema)
        messages: list[bytes] = []
        message: list[bytes] = []
        size_bytes = ARRAY_BYTES
        for frame in frames:
            if message and (size_bytes + len(frame) > self._limits.message_bytes_goal or len(message) == BATCH_FRAMES_MAX):
                messages.append(join(message))
                message, size_bytes = [], ARRAY_BYTES
            message.append(frame)
            size_bytes += len(frame)
        if message:
            messages.append(join(message))
        return messages

    def _greet_first(self, follower: Follower) -> None:
        if follower.greeting is not None:
            follower.greeting.say()
            follower.greeting = None

    def _greet(self) -> None:
        if self.greetings is not None:
            for greeting in self.greetings:
                greeting.say()
            self.greetings = None

    def _let_greet(self, follower: Follower) -> bool:
        """A follower that has missed nothing is live: true if the one answer to its client's cursors says so."""
        greeting, follower.greeting = follower.greeting, None
        if greeting is None or not greeting.met(self._stream):
            return False
        if not greeting.said:
            greetings = self.greetings
            if greetings is None:
                greetings = self.greetings = deque()
            while greetings and greetings[0].said:
                greetings.popleft()
            greetings.append(greeting)
        return True

    def _answer(self, follower: Follower, upto: int, *, live: bool) -> None:
        if live and self._let_greet(follower):
            return
        self._greet_first(follower)
        follower.outlet.send(encode(Followed(follower.id, self._stream, upto, live)))

    def _fail(self, follower: Follower, code: Code, detail: str) -> None:
        self._greet_first(follower)
        wait_ms = 500 if code in (Code.BUSY, Code.UNAVAILABLE) else 0
        follower.outlet.send(encode(Failed(follower.id, code, detail, wait_ms, self._stream)))
        follower.session.tell_control(FollowEnded(self._stream, follower.id, lagged=False))


def refuse_follow(stream: int, message: ChannelMessage) -> None:
    """Answers a question that no channel will: it was given up while the question waited for it."""
    if isinstance(message, Subscribe):
        if message.greeting is not None:
            message.greeting.say()
        message.outlet.send(encode(Failed(message.id, Code.BUSY, "this stream is out of order for a while", 500, stream)))
        message.session.tell_control(FollowEnded(stream, message.id, lagged=False))

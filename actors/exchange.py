"""Where what happens outside becomes messages to the actors here: the socket, the journal, the link, the control stream.

    transport ─accept──────▶ Entrance    ─▶ a session for each socket
    journal ──committed────▶ Exchange    ─▶ the link, and the channel here
    link ─────heard────────▶ Exchange    ─▶ the channel here
    control ──facts────────▶ Exchange    ─▶ users and communities here
    watches ──what is────▶ Exchange    ─▶ channels and devices here

These objects hold no state of the domain: they address actors. A stream that nobody follows here has no channel, and costs nothing.

Invariant: what the journal committed reaches the link exactly once from here, in the order of its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from actors.cell import Actor, Context, Ref
from actors.community import PRESENCE_TOPIC, PresenceReport
from actors.device import TAKEOVER_TOPIC, read_takeover, takeover_payload
from actors.expected import ExpectedTraces
from actors.jobs import JOBS_TOPIC
from actors.link_port import Link
from actors.messages import (
    Arrived,
    Drained,
    DrainSoon,
    Ephemeral,
    HeadIs,
    Heard,
    LineClosed,
    Linked,
    PresentElsewhere,
    Recheck,
    Revoke,
    SessionMessage,
    TakenOver,
    TrustIs,
)
from actors.neighbourhood import Neighbourhood
from actors.push import HERE_TOPIC, WHO_TOPIC
from actors.socket_port import Outlet, Peer
from actors.storage import CONTROL_STREAM, Fact, Generations, Heads, Result
from actors.tracing import TRACE_TOPIC, Trace, pack_trace
from protocol.codec import decode_body, encode_event
from protocol.codes import Code
from protocol.events import AuthorityChanged, SessionRevoked, TrustChanged

CONTROL_TOPIC = "control"
TOPICS = (CONTROL_TOPIC, HERE_TOPIC, JOBS_TOPIC, PRESENCE_TOPIC, TAKEOVER_TOPIC, WHO_TOPIC)


class SessionInlet:
    """One socket's inward side: notes what came in its session's inbox."""

    __slots__ = ("_outlet", "_session")

    def __init__(self, outlet: Outlet, session: Ref[SessionMessage]) -> None:
        self._outlet = outlet
        self._session = session

    def received(self, payload: bytes) -> None:
        if not self._session.tell(Arrived(payload), len(payload)):
            self._outlet.close(int(Code.FLOOD), Code.FLOOD.name)

    def drained(self) -> None:
        self._session.tell_control(Drained())

    def draining(self, grace_s: float) -> None:
        self._session.tell_control(DrainSoon(grace_s))

    def closed(self, code: int, reason: str) -> None:
        """Comes after what was received before it: a client's last words before it closes are heard."""
        message = LineClosed(code, reason)
        if not self._session.tell(message):
            self._session.tell_control(message)


class Ended:
    """Stands where a session crashed: its socket is closed already, so there is nothing to rebuild."""

    def __init__(self, ctx: Context[SessionMessage]) -> None:
        ctx.stop()

    def receive(self, message: SessionMessage) -> None:
        """Nobody is here any more."""

    def passivate(self) -> bool:
        return True

    def stopped(self) -> None:
        """Nothing is held."""


class Entrance:
    """Makes a session of every socket. `open_session` builds the actor for a key, a context and an outlet."""

    def __init__(self, near: Neighbourhood, open_session: Callable[[int, Context[SessionMessage], Outlet], Actor[SessionMessage]]) -> None:
        self._near = near
        self._open_session = open_session
        self._arriving: dict[int, Outlet] = {}
        self._last_key = 0

    def accept(self, outlet: Outlet, peer: Peer) -> SessionInlet:
        """A socket has completed its handshake."""
        self._last_key += 1
        key = self._last_key
        self._arriving[key] = outlet
        return SessionInlet(outlet, self._near.sessions.get(key))

    def build(self, key: int, ctx: Context[SessionMessage]) -> Actor[SessionMessage]:
        """The factory of the sessions' pool. A session that crashed has closed its socket, and is not built twice."""
        outlet = self._arriving.pop(key, None)
        return Ended(ctx) if outlet is None else self._open_session(key, ctx, outlet)


class SessionWatch(Protocol):
    """Who beside the actors must know at once which sessions end: the HTTP side's gate. Called from the same tasks: must not wait."""

    def revoked(self, user: int, session: int) -> None:
        """A session of `user` is over (0: all of them). Told at least once, often twice."""
        ...

    def announced(self, topic: str, payload: bytes) -> None:
        """Another gateway announced something on a topic that no actor here listens to."""
        ...

    def link_up(self) -> None:
        """Announcements may have been missed until now."""
        ...


class Nobody:
    """Where nothing beside the actors keeps sessions."""

    def revoked(self, user: int, session: int) -> None: ...

    def announced(self, topic: str, payload: bytes) -> None: ...

    def link_up(self) -> None: ...


class Exchange:
    """See the module. The journal and the link need it before they exist, so it is told of them by `settle`."""

    def __init__(self, near: Neighbourhood) -> None:
        self._near = near
        self.linked_up = False
        """Whether the link hears; while it does not, heads are compared more often."""
        self._expected = ExpectedTraces()
        self.poke_jobs: Callable[[], None] = lambda: None
        """Where this process works: look at once."""
        self.asked_where: Callable[[str, bytes], None] = lambda topic, payload: None
        """Told when another process asks which devices are here, or answers that."""

    def settle(self, link: Link, poke_control: Callable[[], None], sessions: SessionWatch | None = None) -> None:
        """`poke_control` asks the control stream's reader to look at once."""
        self._link = link
        self._poke_control = poke_control
        self._sessions = sessions or Nobody()

    def jobs_ordered(self) -> None:
        """Jobs were ordered here, or one was cancelled: whoever works, here or elsewhere, looks at once."""
        self._link.announce(JOBS_TOPIC, b"")
        self.poke_jobs()

    # From a session

    def overtake(self, device: int, generation: int) -> None:
        """A device's generation was raised by somebody who is no socket of it: whoever holds it, here or elsewhere, has lost it."""
        self._link.announce(TAKEOVER_TOPIC, takeover_payload(device, generation))
        held = self._near.devices.find(device)
        if held is not None:
            held.tell_control(TakenOver(generation))

    # From the journal

    def committed(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if fact.stream == CONTROL_STREAM:
                self._link.announce(CONTROL_TOPIC, b"")
                self._poke_control()
                self._tell_sessions(decode_body(fact.body))  # before whoever ended it hears that it is done
                continue
            frame = encode_event(fact.stream, fact.seq, fact.author, fact.at, fact.body)
            if fact.trace is not None:
                self._say_published(fact.stream, fact.seq, fact.trace)
            self._link.publish(fact.stream, fact.seq, fact.audience_version, frame)
            self._tell(fact.stream, Heard(fact.seq, fact.audience_version, frame, fact.trace))

    # From the control stream

    def controlled(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            body = decode_body(fact.body)
            self._tell_sessions(body)
            match body:
                case SessionRevoked() as revoked:
                    user = self._near.users.find(revoked.user)
                    if user is not None:
                        user.tell_control(Revoke(revoked.session))
                case AuthorityChanged() as changed:
                    community = self._near.communities.find(changed.space)
                    if community is not None:
                        community.tell_control(Recheck(changed.user))
                case TrustChanged() as told:
                    for person in told.people:
                        user = self._near.users.find(person.user)
                        if user is not None:
                            user.tell_control(TrustIs(person.trust / 1000))
                case _:
                    pass  # a newer gateway's kind: what it asks for is checked in the append all the same

    # From the watches

    def heads_are(self, result: Result) -> None:
        """Where streams end, as Postgres says. Of most it is no news: telling thousands of channels so took 1.5 % of a core a gateway."""
        if isinstance(result, Heads):
            followed = self._near.followed
            for head in result.heads:
                here = followed.get(head.stream)
                if here is not None and here.has_reached(head.head, head.audience_version):
                    continue
                channel = self._near.channels.find(head.stream)
                if channel is not None:
                    channel.tell_control(HeadIs(head.head, head.audience_version))

    def generations_are(self, result: Result) -> None:
        """Whose devices these are by now; almost always still whose they were."""
        if isinstance(result, Generations):
            held = self._near.held
            for id, generation in result.generations:
                if generation <= held.get(id, -1):
                    continue
                device = self._near.devices.find(id)
                if device is not None:
                    device.tell_control(TakenOver(generation, id in result.ended))

    # From the link

    def heard(self, stream: int, origin: int, seq: int, audience_version: int, frame: bytes) -> None:
        trace = self._expected_trace(stream, seq) if self._expected else None
        self._tell(stream, Heard(seq, audience_version, frame, trace) if seq else Ephemeral(frame))

    def linked(self, stream: int) -> None:
        channel = self._near.channels.find(stream)
        if channel is not None:
            channel.tell_control(Linked())

    def announced(self, topic: str, payload: bytes) -> None:
        if topic == TAKEOVER_TOPIC:
            taken = read_takeover(payload)
            device = self._near.devices.find(taken[0]) if taken else None
            if taken and device is not None:
                device.tell_control(TakenOver(taken[1]))
        elif topic == CONTROL_TOPIC:
            self._poke_control()
        elif topic == JOBS_TOPIC:
            self.poke_jobs()
        elif topic in (WHO_TOPIC, HERE_TOPIC):
            self.asked_where(topic, payload)
        elif topic == PRESENCE_TOPIC:
            self._present_elsewhere(payload)
        elif topic == TRACE_TOPIC:
            self._expected.expect(payload)
        else:
            self._sessions.announced(topic, payload)

    def up(self) -> None:
        self.linked_up = True
        self._poke_control()
        self._sessions.link_up()

    def down(self) -> None:
        self.linked_up = False

    def _say_published(self, stream: int, seq: int, trace: Trace) -> None:
        """Tells the other gateways, before they hear the event, whose it is; over the same connection, so in this order."""
        tracer = self._near.tracer
        if tracer is not None:
            span = tracer.begin(trace)
            self._link.announce(TRACE_TOPIC, pack_trace(stream, seq, span))
            tracer.end("publish", span, trace, stream=stream, seq=seq)

    def _expected_trace(self, stream: int, seq: int) -> Trace | None:
        published, tracer = self._expected.pop((stream, seq), None), self._near.tracer
        if published is None or tracer is None:
            return None
        span = tracer.begin(published)
        tracer.end("hear", span, published, stream=stream, seq=seq)
        return span

    def _tell_sessions(self, body: object) -> None:
        if isinstance(body, SessionRevoked):
            self._sessions.revoked(body.user, body.session)

    def _present_elsewhere(self, payload: bytes) -> None:
        try:
            report = _REPORT.decode(payload)
        except msgspec.MsgspecError:
            return
        # Whoever comes here later is news to somebody who watches now: the space is kept in mind also where nobody of it is.
        community = self._near.communities.get(report.space) if report.wanted else self._near.communities.find(report.space)
        if community is not None:
            community.tell(PresentElsewhere(report.origin, report.online, report.users, report.wanted))

    def _tell(self, stream: int, message: Heard | Ephemeral) -> None:
        channel = self._near.channels.find(stream)
        if channel is not None:
            channel.tell(message, len(message.frame))


_REPORT = msgspec.msgpack.Decoder(PresenceReport)

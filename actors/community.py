"""A community (or any space) on one gateway: who of it is present, who watches that, and word of changed authority.

    channels ─Present─▶ counts by user ─▶ somebody watches? once an interval: watchers here, and the other gateways over the link
    first watcher ─report, wanted─▶ every gateway ─▶ those with people there report, at once and whenever that changes
    control stream ─Recheck─▶ every channel of this space here

Presence is soft: counted from who follows a channel of the space, coalesced, told to those who asked, and forgotten with the
gateway that said it. Nobody asks about most spaces, and everybody's inbox is one: so what is not watched is only counted. (Each of
them reporting every 20 s took 12 % of a core for 10,000 sockets that said nothing.) Who *may* do something is never decided here.

Invariants: at most one presence frame an interval goes to each watcher and to the link, however much comes and goes; a space that
nobody watches on any gateway has no timer and says nothing.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.cell import Context, Ref
from actors.link_port import Link
from actors.messages import (
    Alarm,
    ChannelAway,
    ChannelHere,
    ChannelMessage,
    CommunityLost,
    CommunityMessage,
    PeopleLost,
    Present,
    PresentElsewhere,
    Recheck,
    WatchAnswered,
    WatchOff,
    WatchOn,
)
from actors.socket_port import Batch
from actors.storage import Answered, ListMembers, MemberList, Store
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Presence
from protocol.values import LinkQuality

PRESENCE_TOPIC = "presence"
TICK = Alarm("tick")


class CommunityLimits(Struct, frozen=True):
    """The bounds and times of presence."""

    interval_s: float = 2.0
    """Between two presence frames: a radio that wakes more often costs a phone's battery."""
    repeat_s: float = 20.0
    """How often a gateway repeats what it said, and that it wants to know, for those who missed it."""
    forget_s: float = 50.0
    """After this, a silent gateway's people are gone, and what it wanted to know is not wanted any more."""
    named_max: int = 50
    """Users named in a frame; beyond it only their number."""
    watchers_max: int = 5_000
    gateways_max: int = 256


class PresenceReport(Struct, frozen=True, array_like=True):
    """What one gateway announces about one space."""

    space: int
    origin: int
    online: int
    users: tuple[int, ...]
    wanted: bool = True
    """Whether somebody there watches, and so wants the others' reports. The previous version leaves it out, and always does."""


class Elsewhere(Struct):
    """The last report of another gateway."""

    online: int
    users: tuple[int, ...]
    at: float


class Community:
    """See the module."""

    __slots__ = (
        "_asked",
        "_ctx",
        "_gateway",
        "_limits",
        "_link",
        "_space",
        "_store",
        "changed",
        "channels",
        "elsewhere",
        "present",
        "reported_at",
        "ticking",
        "told",
        "wanted_until",
        "watchers",
    )

    def __init__(self, space: int, ctx: Context[CommunityMessage], store: Store, link: Link, gateway: int, limits: CommunityLimits) -> None:
        self._space = space
        self._ctx = ctx
        self._store = store
        self._link = link
        self._gateway = gateway
        self._limits = limits
        self._asked: dict[int, WatchOn] = {}
        self.channels: dict[int, Ref[ChannelMessage]] = {}
        self.present: dict[int, int] = {}
        self.elsewhere: dict[int, Elsewhere] = {}
        self.watchers: dict[int, WatchOn] = {}
        self.changed = False
        self.ticking = False
        self.reported_at = -1e9
        self.told: tuple[int, tuple[int, ...]] | None = None
        self.wanted_until = -1e9
        """Until when another gateway wants to know who is present here."""

    def receive(self, message: CommunityMessage) -> None:
        match message:
            case Present():
                self._count(message.user, message.count)
            case ChannelHere():
                self.channels[message.stream] = message.channel
            case ChannelAway():
                self.channels.pop(message.stream, None)
            case Recheck():
                self._recheck(message)
            case WatchOn():
                self._watch(message)
            case WatchOff():
                self._unwatch(message.session_key)
            case PresentElsewhere():
                self._elsewhere(message)
            case Alarm():
                self.ticking = False
                self._tick()
            case Answered():
                self._answered(message)
            case _:
                assert_never(message)

    def passivate(self) -> bool:
        idle = not (self.channels or self.watchers or self.present or self._asked)
        return idle and not self._is_wanted()

    def stopped(self) -> None:
        for channel in self.channels.values():
            channel.tell_control(CommunityLost())
        for watcher in (*self.watchers.values(), *self._asked.values()):
            watcher.session.tell_control(PeopleLost(self._space, watcher.id))

    def _count(self, user: int, more: int) -> None:
        count = self.present.get(user, 0) + more
        if count > 0:
            self.changed |= user not in self.present
            self.present[user] = count
        elif self.present.pop(user, None) is not None:
            self.changed = True
        self._tick_soon()

    def _recheck(self, message: Recheck) -> None:
        for channel in self.channels.values():
            channel.tell_control(message)
        if message.user:
            for key in [key for key, watcher in self.watchers.items() if watcher.user == message.user]:
                self._ask(self.watchers.pop(key))

    def _watch(self, message: WatchOn) -> None:
        if len(self.watchers) + len(self._asked) >= self._limits.watchers_max:
            message.session.tell_control(WatchAnswered(message.id, self._space, Code.LIMIT))
        else:
            self._ask(message)

    def _unwatch(self, session_key: int) -> None:
        """Also where the answer that would let it watch is still out: nobody else would ever take out a session that is gone."""
        self.watchers.pop(session_key, None)
        for ticket in [ticket for ticket, watcher in self._asked.items() if watcher.session_key == session_key]:
            watcher = self._asked.pop(ticket)
            if watcher.id:  # that it is off again is answered by itself; this request has its own answer, if there is somebody to hear it
                watcher.session.tell_control(WatchAnswered(watcher.id, self._space, Code.OK))
        if not self.watchers:
            self.elsewhere.clear()

    def _ask(self, watcher: WatchOn) -> None:
        ticket = self._ctx.ticket()
        self._asked[ticket] = watcher
        self._store.ask(ListMembers(self._space, watcher.user, 0, 1), ticket, self._ctx.self)

    def _answered(self, message: Answered) -> None:
        watcher = self._asked.pop(message.ticket, None)
        if watcher is None:
            return
        if isinstance(message.result, MemberList):
            self.watchers[watcher.session_key] = replace(watcher, id=0)  # its request has its answer now, whatever is asked again
            watcher.session.tell_control(WatchAnswered(watcher.id, self._space, Code.OK))
            self.told = None
            self._tick_soon()
            if len(self.watchers) == 1:
                self._report_early()
        else:
            code = getattr(message.result, "code", Code.FORBIDDEN)
            watcher.session.tell_control(WatchAnswered(watcher.id, self._space, code))

    def _elsewhere(self, message: PresentElsewhere) -> None:
        now = self._ctx.now()
        if message.wanted:
            news = not self._is_wanted()
            self.wanted_until = now + self._limits.forget_s
            if news and self.present:
                self._report_early()
        if not self.watchers or (message.origin not in self.elsewhere and len(self.elsewhere) >= self._limits.gateways_max):
            return
        self.elsewhere[message.origin] = Elsewhere(message.online, message.users, now)
        self._tick_soon()

    def _is_wanted(self) -> bool:
        return self._ctx.now() < self.wanted_until

    def _tick_soon(self) -> None:
        if not self.ticking and (self.watchers or self._is_wanted()):
            self.ticking = True
            self._ctx.after(self._limits.interval_s, TICK)

    def _tick(self) -> None:
        now = self._ctx.now()
        limits = self._limits
        self.elsewhere = {origin: report for origin, report in self.elsewhere.items() if now - report.at < limits.forget_s}
        wanted = self._is_wanted()
        if (self.watchers or wanted) and (self.changed or now - self.reported_at >= limits.repeat_s):
            self._report()
        self._tell_watchers()
        if self.watchers or (wanted and self.present):
            self._tick_soon()

    def _report_early(self) -> None:
        """Not at the next tick but now, unless something was said just before: a first watcher would wait for two ticks."""
        if self._ctx.now() - self.reported_at >= self._limits.interval_s:
            self._report()
        else:
            self.changed = True
            self._tick_soon()

    def _report(self) -> None:
        """Tells the other gateways who is present here, and whether that is wanted to be known of them."""
        self.changed = False
        self.reported_at = self._ctx.now()
        here = tuple(sorted(self.present)[: self._limits.named_max])
        report = PresenceReport(self._space, self._gateway, len(self.present), here, wanted=bool(self.watchers))
        self._link.announce(PRESENCE_TOPIC, msgspec.msgpack.encode(report))

    def _tell_watchers(self) -> None:
        if not self.watchers:
            return
        users = set(self.present).union(*(report.users for report in self.elsewhere.values()))
        hidden = sum(report.online - len(report.users) for report in self.elsewhere.values())
        online = len(users) + hidden
        named = tuple(sorted(users)) if online <= self._limits.named_max else ()
        if (online, named) == self.told:
            return
        self.told = (online, named)
        full = Batch(encode(Presence(self._space, online, named)))
        count = Batch(encode(Presence(self._space, online)))
        for watcher in self.watchers.values():
            watcher.outlet.push(full if watcher.quality < LinkQuality.POOR else count)


def refuse_watch(space: int, message: CommunityMessage) -> None:
    """Answers a request that no community will: it was given up while the request waited for it."""
    if isinstance(message, WatchOn):
        message.session.tell_control(WatchAnswered(message.id, space, Code.BUSY))

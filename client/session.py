"""A device's session as the application uses it.

    application ─submit, say, follow, history…─▶ Session ─▶ Exchange ─▶ Runner ─▶ sockets, one after the other
                ◀─events, outcomes, statuses────

`say` and `submit` work offline: the mutation is in the store when they have been called, whatever becomes of the caller or the socket.
Requests wait for a socket and are asked again on the next one; whoever does not want to wait puts a `trio.move_on_after` around them.

Invariant: cancelling anything here loses nothing that was submitted and applies nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec import Struct

from client.asking import World
from client.errors import SessionEnded
from client.exchange import Exchange
from client.pending import Pending
from client.recording import Recording
from client.store import Bookmark
from client.subscription import Events
from client.sync_status import SyncStatus, SyncStatuses
from protocol.frames import (
    DocumentPart,
    DocumentVersionPage,
    DocumentVersions,
    Event,
    Find,
    FindMentors,
    Found,
    Granted,
    HeldItems,
    HeldPage,
    History,
    LoadDocument,
    MemberPage,
    Members,
    MentorsFound,
    MentorshipPage,
    Mentorships,
    Overview,
    Page,
    Person,
    Ping,
    Pong,
    Refresh,
    ReportPage,
    Reports,
    Search,
    Spaces,
    Watch,
)
from protocol.operations import (
    AnswerMentorship,
    AnyOperation,
    EndMentorship,
    Post,
    ProposeMentorship,
    Say,
    WithdrawProposal,
)

__all__ = ["LinkReport", "Session", "Status", "Statuses", "World"]


PART_BYTES = 16 * 1024
"""Of a document's state that is asked for at once: 2.6 s of a 50 kbit/s link."""


class Status(Struct, frozen=True):
    """How the session stands: `state` is connecting, online, waiting or ended. All but online are offline.

    While waiting, `wait_s` is the time to the next attempt; offline, `code` and `detail` say why the last socket or the session ended.
    """

    state: str
    wait_s: float = 0.0
    code: int = 0
    detail: str = ""


class LinkReport(Struct, frozen=True):
    """The link as measured: the last round trip, and how far the server's clock is ahead of ours (by the shortest round trip)."""

    round_trip_s: float = 0.0
    clock_ahead_s: float = 0.0
    shortest_s: float = float("inf")


class Session(Recording):
    """What `client.connect` gives. `user` is 0 until the first `Welcome`, unless the credentials said."""

    def __init__(self, exchange: Exchange, world: World, user: int, inbox: int) -> None:
        super().__init__(exchange, world)
        self._status = Status("connecting")
        self._status_changed = trio.Event()
        self._hurry: Callable[[], None] = lambda: None
        self.user = user
        self.inbox = inbox
        self.link = LinkReport()

    def _clock_ahead_s(self) -> float:
        return self.link.clock_ahead_s

    @property
    def device(self) -> int:
        """The device it speaks for: another one than it began as, if its store was copied."""
        return self._exchange.device

    # Mutations

    def submit(self, operation: AnyOperation, *, cause: Event | None = None, bookmark: Bookmark | None = None) -> Pending:
        """Keeps a mutation and sends it as soon as there is a socket; does not wait. `wait()` on the result gives the outcome's value.

        `cause` is an event that this follows from: with a durable store, event and mutation take effect once together, even if the
        process is killed. `bookmark` likewise moves a position in something outside, for example a line of a file.
        Raises `ValueError` for an operation that no server would take, `QueueFull` at the store's bound, `SessionEnded`.
        """
        return self._exchange.submit(operation, cause, bookmark)

    async def say(self, stream: int, text: str, *, reply_to: int = 0, mentions: tuple[int, ...] = ()) -> int:
        """Adds a message; returns its number in the stream once it is committed. Cancelled, it is still sent."""
        plain = not reply_to and not mentions
        return await self.submit(Say(stream, text) if plain else Post(stream, text, reply_to, mentions)).wait()

    async def do(self, operation: AnyOperation) -> int:
        """Submits any operation and waits for its outcome's value."""
        return await self.submit(operation).wait()

    @property
    def unanswered(self) -> list[Pending]:
        """Every mutation without an outcome, oldest first; after a restart those that the store kept."""
        return self._exchange.mutations.unanswered

    async def settled(self) -> None:
        """Waits until every mutation has its outcome. Raises `SessionEnded`."""
        await self._exchange.mutations.wait_quiet()

    def bookmark(self, name: str) -> int:
        """The position last kept by `submit(..., bookmark=)`; 0 before the first."""
        return self._exchange.bookmark(name)

    # Streams

    def events(self, *streams: int) -> Events:
        """Opens a subscription to these streams, which are then followed, or to everything that is followed, the inbox included.

        Use it as `with session.events() as events: async for item in events`. Items are `Event` (gapless and in order per stream),
        `CaughtUp`, `Unreadable`, `Restarted`, `IsTyping`, `Presence`, `UnknownEvent`. A slow reader delays its streams, never the socket.
        """
        return self._exchange.streams.events(frozenset(streams) if streams else None)

    def follow(self, stream: int, after: int | None = None) -> None:
        """Wants a stream's events: from the cursor on, or from `after` if this store knows none. Does not wait: `CaughtUp` tells."""
        self._exchange.streams.follow(stream, after)

    def unfollow(self, stream: int, *, forget: bool = False) -> None:
        """Stops a stream's events; its cursor stays unless it is to be forgotten."""
        self._exchange.streams.unfollow(stream, forget)

    def cursor(self, stream: int) -> int:
        """The number of the last event taken from a stream."""
        return self._exchange.streams.positions.cursor(stream)

    def typing(self, stream: int) -> None:
        """Tells the others that one is typing; forgotten while offline."""
        self._exchange.type(stream)

    # Requests

    async def history(self, stream: int, *, before: int = 0, after: int = 0, limit: int = 50) -> Page:
        """A page of events before or after a position. With neither, the newest: pass `before` as the head plus one for those."""
        if not before and not after:
            before = 2**53 - 1
        return await self._ask(lambda id: History(id, stream, before, after, limit), Page)

    async def overview(self) -> Spaces:
        """Spaces, streams, heads and read markers in one snapshot."""
        return await self._ask(Overview, Spaces)

    async def members(self, space: int, *, after: int = 0, limit: int = 100) -> MemberPage:
        """A page of a space's members."""
        return await self._ask(lambda id: Members(id, space, after, limit), MemberPage)

    async def search(self, name: str) -> Person:
        """The account of exactly this name. Raises `RequestFailed` with `NOT_FOUND`."""
        return await self._ask(lambda id: Search(id, name), Person)

    async def find(self, words: str, *, space: int = 0, stream: int = 0, place: bytes = b"", limit: int = 20) -> Found:
        """A page of messages with these words, those that have all of them whole first, newest first. `place`: `Found.next` of the page
        before. Raises `RequestFailed`: `NOT_FOUND` where one does not read, `RATE`, `LIMIT` where it would take too long."""
        return await self._ask(lambda id: Find(id, words, space, stream, place, limit), Found)

    async def reports(
        self, *, space: int = 0, platform: bool = False, after: int = 0, open_only: bool = True, limit: int = 20
    ) -> ReportPage:
        """One's own reports, or those that are decided in `space`, or by the platform's reviewers."""
        return await self._ask(lambda id: Reports(id, after, space, platform, open_only, limit), ReportPage)

    async def held(self, *, space: int = 0, platform: bool = False, after: int = 0, open_only: bool = True, limit: int = 20) -> HeldPage:
        """What moderation holds of one's own, or what is decided in `space`, or by the platform's reviewers."""
        return await self._ask(lambda id: HeldItems(id, after, space, platform, open_only, limit), HeldPage)

    # Documents; see `client.documents` for one that is open

    async def load_document(
        self, document: int, *, version: int = 0, generation: int = 0, upto: int = 0, offset: int = 0, bytes_max: int = PART_BYTES
    ) -> DocumentPart:
        """A part of a document's state, or of a version's."""
        return await self._ask(lambda id: LoadDocument(id, document, version, generation, upto, offset, bytes_max), DocumentPart)

    async def document_versions(self, document: int, *, before: int = 0, limit: int = 50) -> DocumentVersionPage:
        """A page of a document's named versions, newest first."""
        return await self._ask(lambda id: DocumentVersions(id, document, before, limit), DocumentVersionPage)

    def be_aware(self, document: int, data: bytes) -> None:
        """Tells the others where one is in a document; forgotten while offline."""
        self._exchange.be_aware(document, data)

    # Mentors

    async def find_mentors(
        self,
        *subjects: str,
        level: int = 0,
        styles: int = 0,
        languages: tuple[str, ...] = (),
        hours: tuple[int, ...] = (),
        space: int = 0,
        limit: int = 10,
    ) -> MentorsFound:
        """Mentors who fit, best first, however long it takes; what is left empty is taken from one's own records. `hours`: 24 bits for each
        day from Monday on, in one's own time zone. Raises `RequestFailed`."""
        return await self._ask_long(lambda id: FindMentors(id, subjects, level, styles, languages, hours, space, limit))

    async def mentorships(self, *, after: int = 0, open_only: bool = True, limit: int = 50) -> MentorshipPage:
        """A page of one's own mentorships and proposals."""
        return await self._ask(lambda id: Mentorships(id, after, open_only, limit), MentorshipPage)

    def propose(self, mentor: int, subject: str, words: str = "", *, space: int = 0) -> Pending:
        """Asks somebody to be one's mentor, in a community or (0) without one; also offline. The value is the mentorship."""
        return self.submit(ProposeMentorship(mentor, space, subject, words))

    def answer_proposal(self, mentorship: int, accept: bool, words: str = "") -> Pending:
        """As a mentor. The value is the space in which both are now."""
        return self.submit(AnswerMentorship(mentorship, accept, words))

    def end_mentorship(self, mentorship: int, *, reached: bool, rating: int, words: str = "") -> Pending:
        """Says that it is over for oneself, and how it was, 1 to 5."""
        return self.submit(EndMentorship(mentorship, reached, rating, words))

    def withdraw_proposal(self, mentorship: int) -> Pending:
        """Takes one's own proposal back."""
        return self.submit(WithdrawProposal(mentorship))

    # What is shown while one looks

    async def watch(self, space: int, on: bool = True) -> None:
        """Turns presence of a space on or off; it stays on over reconnects."""
        await self._ask(lambda id: Watch(id, space, on), Granted)
        self._exchange.questions.watch(space, on)

    async def ping(self) -> float:
        """Measures the round trip, in seconds."""
        while True:
            asked = await self._ask_once(lambda id: Ping(id, max(0, int(self._world.wall() * 1000))), socket_bound=True)
            if isinstance(asked.answer, Pong):
                round_trip_s = trio.current_time() - asked.sent_at
                self.measured(round_trip_s, asked.answer.server_ms, self._world.wall())
                return round_trip_s

    async def put_token(self, token: str) -> bool:
        """Puts a newer token on the live socket; False if the socket was cut before the answer (the next one gets it anyway)."""
        asked = await self._ask_once(lambda id: Refresh(id, token), socket_bound=True)
        if not isinstance(asked.answer, Granted):
            return False
        self._exchange.take_ticket()
        return True

    def measured(self, round_trip_s: float, server_ms: int, wall_s: float) -> None:
        """Takes a sample of the link: the server's clock was read half a round trip ago. The shortest one is the most exact."""
        if round_trip_s <= self.link.shortest_s:
            self.link = LinkReport(round_trip_s, server_ms / 1000 + round_trip_s / 2 - wall_s, round_trip_s)
        else:
            self.link = LinkReport(round_trip_s, self.link.clock_ahead_s, self.link.shortest_s)

    # Status

    @property
    def status(self) -> Status:
        """How the session stands now."""
        return self._status

    def statuses(self) -> Statuses:
        """The present status, then each change. A slow reader misses what was over before it looked; the last is `ended`."""
        return Statuses(self)

    async def status_after(self, seen: Status | None) -> Status:
        """Waits until the status is another than `seen`."""
        while self._status is seen:
            await self._status_changed.wait()
        return self._status

    @property
    def sync_status(self) -> SyncStatus:
        """How far this device and the server agree, now; known without a socket."""
        exchange = self._exchange
        upload = exchange.mutations.upload
        return SyncStatus(
            upload.pending,
            upload.pending_bytes,
            upload.in_flight,
            upload.sent,
            upload.total,
            exchange.upkeep.behind(),
            exchange.succeeded_at,
            tuple(exchange.mutations.unapplied()),
            len(exchange.conflicts.listed),
            self._status.state,
        )

    def sync_statuses(self) -> SyncStatuses:
        """The present status, then each change, until the session has ended."""
        return SyncStatuses(lambda: self.sync_status, lambda: self._exchange.changed, lambda: self._status.state == "ended")

    async def synced(self) -> None:
        """Waits until everything is up and everything that is wanted is here. Raises `SessionEnded`."""
        while not self._exchange.is_in_step:
            if self._status.state == "ended":
                raise SessionEnded(self._status.code, self._status.detail)
            await self._exchange.changed.wait()

    async def online(self) -> None:
        """Waits until a socket is open and welcomed. Raises `SessionEnded`."""
        async for status in self.statuses():
            if status.state == "online":
                return
        raise SessionEnded(self._status.code, self._status.detail)

    def hurry(self) -> None:
        """Says that there is reason to try now: the network is back, or somebody is looking. Ends a wait, but never what the server asked
        for, nor the first second; does not wait, and does nothing where there is a socket already."""
        self._hurry()

    def when_hurried(self, act: Callable[[], None]) -> None:
        """What `hurry` does (for whoever runs the session)."""
        self._hurry = act

    def set_status(self, status: Status) -> None:
        """Tells everybody (for whoever runs the session)."""
        if status != self._status:
            self._status = status
            changed, self._status_changed = self._status_changed, trio.Event()
            changed.set()
            self._exchange.tell_changed()


class Statuses:
    """An async iterator over a session's statuses; simply stop asking when you have seen enough."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: Status | None = None

    def __aiter__(self) -> Statuses:
        return self

    async def __anext__(self) -> Status:
        if self._seen is not None and self._seen.state == "ended":
            raise StopAsyncIteration
        self._seen = await self._session.status_after(self._seen)
        return self._seen

"""A device that costs little and forgives nothing: the library's own machines (session, ledger, positions) over a wire of its own.

    machine ─Connect─▶ wire, Hello ─▶ frames ─▶ positions ─▶ copies
    say ─▶ ledger ─Mutate─▶ ·· Done ─▶ the post's outcome

Every second one comes back by ticket, the others by their token. What the library would silently mend is written down here: an event that
skips a number on a stream that is live, or comes twice.

Invariant: a post is in the ledger until the server has decided it; a copy grows by the next number alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from random import Random

import trio
from msgspec import Raw

from client import AccountError, Unreachable
from client.errors import LinkClosed
from client.ledger import Entry, Ledger
from client.positions import Heard, Phase, Positions, Verdict
from client.runner import ANSWER_S, GREETING_S, HEARTBEAT_DEFAULT_S, PATIENCE, PONG_S
from client.tickets import VOID
from proofs.faulting.copies import Copy, Diary, Post, digest
from proofs.faulting.lightwire import LightLink, open_light
from proofs.rehearsal.device import Badge
from protocol import client_session as machine
from protocol.client_session import State, backoff_ms
from protocol.codec import decode_frame, encode, join, split
from protocol.codes import TABLE, Code, Retry
from protocol.cursors import pack
from protocol.entities import SCHEMA
from protocol.frames import (
    VERSION,
    Bye,
    Done,
    DoneRun,
    Draining,
    Event,
    Failed,
    Follow,
    Followed,
    Goodbye,
    Hello,
    Lagged,
    Mutate,
    Ping,
    Refused,
    Resume,
    Resumed,
    TakeTicket,
    Ticket,
    Unfollowed,
    Welcome,
)
from protocol.operations import Say
from protocol.values import Cursor

WINDOW = 16
"""Mutations under way."""
BATCH_BYTES = 8 * 1024
FOLLOWS_OPEN_MAX = 32


class LightDevice:
    """See the module. `places` are the gateways' addresses, in order; `place` is where it is connected, -1 where it is not."""

    def __init__(self, badge: Badge, places: Sequence[tuple[str, int]], streams: Sequence[int], heartbeat_s: int, chance: Random) -> None:
        self.badge = badge
        self._places = places
        self._chance = chance
        self._heartbeat_s = heartbeat_s
        self.copies: dict[int, Copy] = {stream: Copy() for stream in streams}
        self._positions = Positions()
        for stream in streams:
            self._positions.want(stream)
        self._ledger = Ledger()
        self._posts: dict[int, Post] = {}
        self._machine = machine.Session()
        self._todo: deque[machine.Action] = deque()
        self._link: LightLink | None = None
        self._scope = trio.CancelScope()
        self._wake = trio.Event()
        self._cut = machine.Cut()
        self._question = 1_000
        self._hold_ms = 0
        self._answered_at = 0.0
        self._heartbeat = HEARTBEAT_DEFAULT_S
        self._nursery: trio.Nursery | None = None
        self._leaving = False
        self._draining_at = 0.0
        self._asks_ticket = False
        self._ticket: Ticket | None = None
        self._by_ticket = chance.random() < 0.5
        self._cursors: tuple[Cursor, ...] = ()
        self._next_place = chance.randrange(len(places))
        """Where no gateway answers the next is tried, as a balancer would; otherwise any."""
        self.place = -1
        self.open_since = 0.0
        self.clock_offset_s = 0.0
        self.faults: list[str] = []
        self.diary = Diary()
        self.lags = 0
        """Times that a gateway told it that it was too slow."""
        self.ends: dict[int, int] = {}
        """Ends of sockets, by code."""

    # What the crew asks

    @property
    def device(self) -> int:
        return self.badge.device

    @property
    def online(self) -> bool:
        return self.place >= 0

    @property
    def open_posts(self) -> int:
        return len(self._posts)

    @property
    def settled(self) -> bool:
        """Every stream is live as far as this socket knows."""
        return self.online and not self._positions.missing()

    def say(self, post: Post) -> None:
        key = post.number
        self._posts[key] = post
        self._ledger.append(Entry(key, encode(Say(post.stream, post.text))))
        self._wake.set()

    def stall(self) -> None:
        """Stops reading, if there is a socket."""
        if self._link is not None:
            self._link.stall()

    def go_on(self) -> None:
        if self._link is not None:
            self._link.go_on()

    def drop(self) -> None:
        """Closes the socket without a word."""
        if self._link is not None:
            self._link.drop()

    def stop(self) -> None:
        self._feed(machine.Stopped())
        if self._link is None:
            self._scope.cancel()

    # Its life

    async def live(self) -> None:
        """Runs until `stop`, or until the server ends the session for good, which is a fault."""
        self._feed(machine.Began())
        while self._todo and self._machine.state is not State.ENDED:
            action = self._todo.popleft()
            self._scope = trio.CancelScope()
            with self._scope:
                match action:
                    case machine.Connect():
                        await self._connect()
                    case machine.Wait(ms):
                        self.diary.note(f"waits {ms / 1000:.1f} s")
                        await trio.sleep(ms / 1000)
                        self._feed(machine.Waited())
                    case machine.Renew():
                        await self._renew()
                    case _:
                        pass
        end = self._machine.end
        if end is None or end.code:
            self.faults.append(f"its session ended for good: {end}")

    def _feed(self, happened: object) -> None:
        step = machine.step(self._machine, happened, self._chance.random())  # type: ignore[arg-type]
        self._machine = step.session
        for action in step.actions:
            match action:
                case machine.Connect() | machine.Wait() | machine.Renew():
                    self._todo.append(action)
                case machine.LeaveAfter(ms):
                    self._draining_at = time.monotonic()
                    if self._nursery is not None:
                        self._nursery.start_soon(self._leave_after, ms / 1000)
                case machine.Leave():
                    self._leaving = True
                    self._wake.set()
                case machine.Close():
                    self._end(0, "")
                case _:
                    pass

    async def _leave_after(self, delay_s: float) -> None:
        await trio.sleep(delay_s)
        self._feed(machine.Waited())

    async def _renew(self) -> None:
        try:
            await self.badge.renew()
        except (AccountError, Unreachable) as error:
            refused = isinstance(error, AccountError) and error.final
            self._feed(machine.TokenRefused(str(error)) if refused else machine.RenewFailed(str(error)))
        else:
            self._feed(machine.Renewed())

    async def _connect(self) -> None:
        place = self._next_place
        self._next_place = (place + 1) % len(self._places)
        try:
            link = await open_light(*self._places[place])
        except Unreachable as error:
            self.diary.note(f"gateway {place + 1} is unreachable: {error}")
            self._feed(machine.ConnectFailed(str(error)))
            return
        self._next_place = self._chance.randrange(len(self._places))
        self._cut = machine.Cut()
        self._leaving = False
        self._draining_at = 0.0
        self._link = link
        self.diary.note(f"connected to gateway {place + 1}")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._read, link, place)
        finally:
            self._nursery = None
            self._link = None
            self.place = -1
            link.drop()
            self._ledger.cut()
            self._hold_ms = 0
        self.ends[self._cut.code] = self.ends.get(self._cut.code, 0) + 1
        self.diary.note(f"cut: {self._cut.code} {self._cut.detail}")
        if self._cut.code in VOID:
            self._ticket = None
        self._feed(self._cut)

    def _end(self, code: int, detail: str) -> None:
        """The first reason counts."""
        nursery = self._nursery
        if nursery is None or nursery.cancel_scope.cancel_called:
            return
        now = time.monotonic()
        online_ms = int((now - self.open_since) * 1000) if self.online else 0
        waited_ms = int((now - self._draining_at) * 1000) if self._draining_at else 0
        self._cut = machine.Cut(code, detail, online_ms, waited_ms)
        nursery.cancel_scope.cancel()

    async def _read(self, link: LightLink, place: int) -> None:
        try:
            resuming = self._by_ticket and self._ticket is not None
            self._feed(machine.Connected(resuming))
            with trio.fail_after(GREETING_S):
                await link.send(encode(self._resume() if resuming else self._hello()))
                self._hear(await link.receive(), link, place)
                if resuming and self._ticket is None:
                    await link.send(encode(self._hello()))
                    self._hear(await link.receive(), link, place)
            while True:
                self._hear(await link.receive(), link, place)
        except LinkClosed as closed:
            self._end(closed.code, closed.detail)
        except trio.TooSlowError:
            self._end(Code.DEAD, "no welcome from the server")

    def _hello(self) -> Hello:
        wall = time.time() + self.clock_offset_s
        cursors = self._positions.hello()
        epoch = self._machine.epoch
        return Hello(
            VERSION,
            self.badge.access_token,
            self.badge.device,
            cursors,
            epoch,
            max(0, int(wall * 1000)),
            self._heartbeat_s,
            software="faults",
            schema=SCHEMA,
        )

    def _resume(self) -> Resume:
        assert self._ticket is not None
        self._cursors = self._positions.hello()
        left_ms = int(1000 * (self._ticket.expires - time.time() - self.clock_offset_s))
        return Resume(self._ticket.ticket, left_ms, pack(self._cursors), heartbeat_s=self._heartbeat_s, schema=SCHEMA)

    def _hear(self, message: bytes, link: LightLink, place: int) -> None:
        for raw in split(message):
            frame = decode_frame(raw)
            match frame:
                case Welcome():
                    if self._machine.epoch not in (0, frame.epoch):
                        self.faults.append(f"another epoch, {frame.epoch} after {self._machine.epoch}, although nothing was restored")
                    self._open(frame, link, place)
                    if self._by_ticket:
                        self._asks_ticket = True
                case Resumed():
                    self._open(frame, link, place)
                    for number, cursor in enumerate(self._cursors):
                        if number not in frame.rest:
                            self._positions.followed(cursor.stream, 0, cursor.seq, True)
                case Ticket():
                    self._ticket = frame
                case Failed(code=Code.TICKET) if not self.online:
                    self._ticket = None
                    self._feed(machine.TicketRefused())
                case Draining() | Goodbye():
                    if isinstance(frame, Draining):  # no balancer sends anybody there now
                        self._next_place = (place + 1) % len(self._places)
                    self._feed(frame)
                case Event(stream, seq, author, at, body):
                    self._take(stream, seq, digest(author, at, body))
                case Done(number, value):
                    self._settle(number, value)
                case DoneRun(first, values):
                    for number, value in enumerate(values, first):
                        self._settle(number, value)
                case Refused():
                    self._refuse(frame)
                case Followed(id, stream, upto, live):
                    if self._positions.followed(stream, id, upto, live) is Heard.STALLED:
                        self.faults.append(f"stream {stream} is said to have more, and nothing comes")
                    if not self._positions.missing():
                        self.diary.note("every stream is live")
                    self._wake.set()
                case Lagged(stream):
                    self.lags += 1
                    self._positions.lagged(stream)
                    self._wake.set()
                case Unfollowed(stream, code):
                    self.faults.append(f"stream {stream} is no longer followed: {code}")
                case Failed(id, code, detail, wait_ms, stream):
                    self._failed(id, stream, code, detail, wait_ms)
                case _:
                    pass

    def _open(self, welcome: Welcome | Resumed, link: LightLink, place: int) -> None:
        self._feed(welcome)
        self.diary.note(type(welcome).__name__)
        self._ledger.welcomed(welcome.last_number)
        self._heartbeat = float(welcome.heartbeat_s or HEARTBEAT_DEFAULT_S)
        self.place = place
        self.open_since = time.monotonic()
        assert self._nursery is not None
        self._nursery.start_soon(self._write, link)
        self._nursery.start_soon(self._keep_heart, link)

    def _take(self, stream: int, seq: int, of_it: int) -> None:
        position = self._positions.cursor(stream)
        copy = self.copies.get(stream)
        if copy is None:
            self.faults.append(f"event {seq} of stream {stream}, which it never asked for")
            return
        live = self._positions.phase(stream) is Phase.LIVE
        match self._positions.judge(stream, seq):
            case Verdict.APPLY:
                self._positions.apply(stream, seq)
                copy.add(seq, of_it, time.monotonic(), self.place, self.open_since)
            case Verdict.ASK:
                self.faults.append(f"event {seq} of stream {stream} came after {position} on a live socket")
                self._wake.set()
            case Verdict.DROP:
                if live:
                    self.faults.append(f"event {seq} of stream {stream} came again at {position} on a live socket")
                elif seq <= position and copy.digests[seq - 1] != of_it:
                    self.faults.append(f"event {seq} of stream {stream} came again with another content")

    def _settle(self, number: int, value: int) -> None:
        entry = self._ledger.settle(number)
        if entry is None:
            return
        post = self._posts.pop(entry.key)
        post.seq, post.acknowledged_at = value, time.monotonic()
        self._answered()

    def _refuse(self, refused: Refused) -> None:
        retry = TABLE[refused.code].retry
        self.diary.note(f"number {refused.number}: {refused.code.name} {refused.detail}")
        if retry is Retry.NO:
            entry = self._ledger.settle(refused.number)
            if entry is not None:
                self._posts.pop(entry.key).refusal = f"{refused.code.name} {refused.detail}"
        else:
            self._ledger.bounce(refused.number)
            self._hold_ms = max(self._hold_ms, refused.wait_ms, backoff_ms(1, self._chance.random()))
        self._answered()

    def _answered(self) -> None:
        self._answered_at = time.monotonic()
        if self._ledger.may_rewind:
            assert self._nursery is not None
            self._nursery.start_soon(self._rewind_after, self._hold_ms / 1000)
            self._hold_ms = 0
        self._wake.set()

    async def _rewind_after(self, delay_s: float) -> None:
        await trio.sleep(delay_s)
        if self._ledger.may_rewind:
            self._ledger.rewind()
            self._wake.set()

    def _failed(self, id: int, stream: int, code: Code, detail: str, wait_ms: int) -> None:
        self.diary.note(f"stream {stream}: {code.name} {detail}")
        if not self._positions.failed(stream, id):
            return
        if TABLE[code].retry in (Retry.LATER, Retry.SAME):
            assert self._nursery is not None
            self._nursery.start_soon(self._follow_after, stream, max(wait_ms, backoff_ms(1, self._chance.random())) / 1000)
        else:
            self.faults.append(f"stream {stream} may not be followed: {code.name} {detail}")

    async def _follow_after(self, stream: int, delay_s: float) -> None:
        try:
            await trio.sleep(delay_s)
        finally:
            self._positions.want(stream)
        self._wake.set()

    async def _write(self, link: LightLink) -> None:
        try:
            while True:
                self._wake = trio.Event()
                frames = self._collect()
                if frames:
                    await link.send(join(frames))
                elif self._leaving:
                    await link.send(encode(Bye()))
                    self._end(Code.BYE, "")
                    return
                else:
                    await self._wake.wait()
        except LinkClosed as closed:
            self._end(closed.code, closed.detail)

    def _collect(self) -> list[bytes]:
        frames = []
        if self._asks_ticket:
            self._asks_ticket = False
            self._question += 1
            frames.append(encode(TakeTicket(self._question)))
        asking = sum(self._positions.phase(stream) is Phase.ASKED for stream in self.copies)
        for stream in self._positions.unasked()[: max(0, FOLLOWS_OPEN_MAX - asking)]:
            self._question += 1
            frames.append(encode(Follow(self._question, stream, self._positions.asked(stream, self._question))))
        entries = self._ledger.take(WINDOW, BATCH_BYTES, WINDOW)
        return frames + [encode(Mutate(entry.number, Raw(entry.operation))) for entry in entries]

    async def _keep_heart(self, link: LightLink) -> None:
        silence_s = self._heartbeat * PATIENCE
        self._answered_at = time.monotonic()
        while True:
            now = time.monotonic()
            if not self._ledger.in_flight:
                self._answered_at = now
            elif now - self._answered_at >= ANSWER_S:
                self._end(Code.DEAD, "mutations unanswered")
                return
            silent_s = now - link.heard_at()
            if silent_s < silence_s:
                await trio.sleep(max(0.05, silence_s - silent_s))
                continue
            self._question += 1
            try:
                await link.send(encode(Ping(self._question)))
            except LinkClosed as closed:
                self._end(closed.code, closed.detail)
                return
            with trio.move_on_after(PONG_S):
                while link.heard_at() <= now:  # noqa: ASYNC110 (a time that the reader sets)
                    await trio.sleep(0.1)
            if link.heard_at() <= now:
                self._end(Code.DEAD, f"nothing heard for {time.monotonic() - link.heard_at():.0f} s")
                return

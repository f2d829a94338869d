"""Sync where sockets are blocked: the same exchange, with a request and its answer in the place of a socket.

    visit:  Sync ─▶ Welcome,  then rounds:  Sync, Chunk, Follow, Snapshot … ─▶ Welcome, DoneRun, Event, Followed, RecordPage …
            until nothing is pending and nothing is behind;   run: a visit, a while, a visit …

Ledger, replica and streams are those of a socket. Nothing comes by itself: a stream of which a question brings nothing new is complete,
unless the answer was full before its turn came. A round that was not answered to the end is a cut: what was open on it is asked again.

Invariant: a number is only sent after the server has said, in this visit, up to where it has decided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import trio
from msgspec import Raw

from client.asking import World
from client.errors import AccountError, DeviceCopied, ServerFault, SessionEnded, Unreachable
from client.exchange import BAD_LINKS, Exchange
from client.session import Session, Status
from client.settings import Forking, Grant, Settings, Syncing
from client.store import Store
from client.sync_status import SyncStatus
from protocol.client_session import backoff_ms
from protocol.codec import BadFrame, decode_frame, encode, join
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.frames import BATCH_FRAMES_MAX, Goodbye, Sync, Welcome

ROUNDS_MAX: Final = 2000
"""Rounds of one visit: at 8 kB up and 64 kB down each far more than any device has to say."""
FUTILE_MAX: Final = 20
"""Rounds in a row that were answered in part only; then the visit is given up."""
ANSWER_BYTES: Final = 64 * 1024
ANSWER_BYTES_POOR: Final = 24 * 1024
"""How long an answer may be: on a bad link as long as a page, because a cut loses the whole answer."""
EVERY_S: Final = 30.0
"""From one visit to the next while nothing is asked for."""
CLOCK_SLACK_S: Final = 5.0
"""A token with less time than this left is renewed first."""

_FRAMES: Final = msgspec.msgpack.Decoder(list[Raw])


class SyncGrant(Grant, Syncing, Protocol):
    """The right to sync over HTTP; `client.account.Credentials` is one."""


class HttpDoor:
    """Runs a session over HTTP: `visit` once, or `run` until it is stopped."""

    def __init__(self, session: Session, exchange: Exchange, grant: SyncGrant, settings: Settings, world: World) -> None:
        self._session = session
        self._exchange = exchange
        self._grant = grant
        self._settings = settings
        self._world = world
        self._stopped = False
        self._hurried = trio.Event()
        self._due: list[tuple[float, Callable[[], None]]] = []
        session.when_hurried(self.hurry)
        exchange.streams.positions.polled = True

    # Until it is stopped

    async def run(self) -> None:
        """Visits the server again and again until `stop`, or until it says that there is no coming back."""
        end = SessionEnded(0)
        failures = 0
        try:
            while not self._stopped:
                self._hurried = trio.Event()
                wait_s = EVERY_S
                try:
                    await self.visit()
                    failures = 0
                except (AccountError, Unreachable) as error:
                    if isinstance(error, AccountError) and error.final:
                        end = SessionEnded(Code.UNAUTHENTICATED, str(error))
                        return
                    failures += 1
                    wait_s = max(getattr(error, "retry_after_s", 0.0), backoff_ms(failures, self._world.spread()) / 1000)
                    self._session.set_status(Status("waiting", wait_s, 0, str(error)))
                await self._wait(wait_s, failures == 0)
        except SessionEnded as ended:
            end = ended
        finally:
            self._session.set_status(Status("ended", 0.0, end.code, end.detail))
            self._exchange.finish(end)

    async def _wait(self, wait_s: float, wakeable: bool) -> None:
        """Until the time is over, somebody is in a hurry, or, after a good visit, there is something to send."""
        with trio.move_on_after(wait_s):
            async with trio.open_nursery() as nursery:

                async def until(event: trio.Event) -> None:
                    await event.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(until, self._hurried)
                if wakeable:
                    while not self._exchange.has_something:
                        self._exchange.collect()
                        await self._exchange.wait_something()
                    nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """The owner is done. `run` returns soon: after the visit that is under way."""
        self._stopped = True
        self.hurry()

    def hurry(self) -> None:
        """Ends a wait."""
        self._hurried.set()

    # One visit

    async def visit(self) -> None:
        """Sends and fetches until nothing is pending and nothing behind. Raises `AccountError`, `Unreachable`, `SessionEnded`."""
        self._session.set_status(Status("connecting"))
        try:
            for _ in range(1 + FUTILE_MAX):
                try:
                    if await self._visit_once():
                        return
                except DeviceCopied as copied:
                    if not isinstance(self._grant, Forking):
                        raise
                    self._exchange.cut()
                    self._session.set_status(Status("connecting", 0.0, Code.NUMBER_REUSED, f"this store was copied: {copied.detail}"))
                    await self._grant.fork_device()
                    self._exchange.become(self._grant.device)
                except (BadFrame, ServerFault, msgspec.MsgspecError) as fault:
                    raise Unreachable(f"the server does not keep to the protocol: {fault}") from None
                self._exchange.cut()
                self._due.clear()  # questions of before the cut: whoever asked them asks anew
            raise Unreachable("the server answers in part only, again and again")
        finally:
            self._exchange.cut()
            self._due.clear()

    async def _visit_once(self) -> bool:
        """From a welcome on, for as long as every round is answered to its end. True when all is done."""
        exchange = self._exchange
        began = trio.current_time()
        welcome, _ = await self._round([])
        self._session.user, self._session.inbox = welcome.user, welcome.inbox
        self._session.measured(trio.current_time() - began, welcome.server_ms, self._world.wall())
        exchange.hello_cursors()
        exchange.streams.positions.ask_again()
        exchange.later = self._later
        exchange.welcome(welcome, exchange.epoch not in (0, welcome.epoch), self._settings.link)
        self._session.set_status(Status("online"))
        asked_at = exchange.answers
        for _ in range(ROUNDS_MAX):
            frames = exchange.collect(BATCH_FRAMES_MAX - 1)
            if not frames and self._due:
                await self._wait_due()
                continue
            if not frames and exchange.answers != asked_at:
                # What was sent since the streams were asked for has made events of its own.
                asked_at = exchange.answers
                exchange.streams.positions.ask_again()
                continue
            if not frames:
                return exchange.is_complete
            again, answers = await self._round(frames)
            if again.epoch != welcome.epoch:
                return False
            if not self._hear(answers) or exchange.is_waiting:
                return False
        return exchange.is_complete

    async def _round(self, frames: list[bytes]) -> tuple[Welcome, list[Raw]]:
        """One request; returns the welcome and the other answers."""
        left_s = self._grant.expires_at - self._world.wall() - self._session.link.clock_ahead_s
        if left_s < CLOCK_SLACK_S:
            await self._grant.renew()
        clock_ms = max(0, int(self._world.wall() * 1000))
        sync = Sync(self._exchange.epoch, clock_ms, SCHEMA, self._answer_bytes)
        body = join([encode(sync), *frames])
        try:
            answer = await self._grant.sync(body)
        except AccountError as error:
            if error.status != 401:
                raise
            await self._grant.renew()
            answer = await self._grant.sync(body)
        answers = [Raw(answer)] if not _is_several(answer) else _FRAMES.decode(answer)
        welcome = decode_frame(answers[0]) if answers else None
        if not isinstance(welcome, Welcome):
            raise ServerFault(f"{type(welcome).__name__} where Welcome belongs")
        return welcome, answers[1:]

    def _hear(self, answers: list[Raw]) -> bool:
        """Takes a round's answers; false if the server broke off."""
        taken_bytes = 0
        for raw in answers:
            frame = decode_frame(raw)
            if isinstance(frame, Goodbye):
                return False
            taken_bytes += len(raw)
            self._exchange.streams.positions.full = taken_bytes >= self._answer_bytes
            self._exchange.hear(frame)
        return True

    @property
    def _answer_bytes(self) -> int:
        return ANSWER_BYTES_POOR if self._settings.link in BAD_LINKS else ANSWER_BYTES

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._due.append((trio.current_time() + delay_s, act))

    async def _wait_due(self) -> None:
        """Waits for the first of what was put off, and does it."""
        first = min(self._due, key=lambda due: due[0])
        self._due.remove(first)
        await trio.sleep_until(first[0])
        first[1]()


async def sync_once(grant: SyncGrant, store: Store, world: World, settings: Settings | None = None) -> SyncStatus:
    """One visit for a store: everything up, everything down. Returns how it stands then.

    Raises `AccountError`, `Unreachable` (the store keeps what has no outcome), `DeviceCopied` where the grant cannot become another device.
    """
    settings = settings or Settings()
    exchange = Exchange(store, grant.device, world.wall, world.spread, settings.events_max, settings.records)
    session = Session(exchange, world, grant.user, grant.inbox)
    if grant.inbox:
        exchange.follow_inbox(grant.inbox)
    try:
        await HttpDoor(session, exchange, grant, settings, world).visit()
        return session.sync_status
    finally:
        exchange.finish(SessionEnded(0))


def _is_several(message: bytes) -> bool:
    """Whether a message is an array of frames; a frame begins with its tag, a number."""
    head = message[:1]
    at = 3 if head == b"\xdc" else 5 if head == b"\xdd" else 1
    return 0x90 <= int.from_bytes(message[at : at + 1], "big") <= 0x9F or message[at : at + 1] in (b"\xdc", b"\xdd")

"""What a simulated device has been told, and what it makes of each frame: the checker asks for all of it in the end.

    frame ─▶ Event: is it next, and may this account see it?      answer: was it asked for, and is it of the right kind?
             Done, Refused: the outcome of a mutation, once

Invariant: whatever here surprises the device is a `Violation` at once, with the device and the stream that it is about.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.device import digest_of
from client.ledger import Entry, Ledger
from client.positions import Heard, Phase, Positions, Verdict
from proofs.simulation.database import Database
from proofs.simulation.rows import DeviceRow
from proofs.simulation.world import Violation, World
from protocol.codec import encode
from protocol.codes import TABLE, Code, Retry
from protocol.events import AnyBody, Changed
from protocol.frames import (
    AnyRequest,
    Command,
    ConflictPage,
    Conflicts,
    Done,
    DoneRun,
    Event,
    Failed,
    Follow,
    Followed,
    Frame,
    Granted,
    History,
    Holding,
    Holdings,
    Inherit,
    Inherited,
    Lagged,
    MemberPage,
    Members,
    Overview,
    Page,
    Person,
    Ping,
    Pong,
    RecordPage,
    Refresh,
    Refused,
    Search,
    Snapshot,
    Spaces,
    TakeTicket,
    Ticket,
    Unapplied,
    UnappliedPage,
    Unfollow,
    Unfollowed,
    VersionPage,
    Versions,
    Watch,
)
from protocol.operations import Operation

RETRY_S = 0.3
ANSWERED_BY: dict[type[Command], type[Frame]] = {
    Ping: Pong,
    Refresh: Granted,
    Unfollow: Granted,
    Watch: Granted,
    Overview: Spaces,
    History: Page,
    Members: MemberPage,
    Search: Person,
    Snapshot: RecordPage,
    Conflicts: ConflictPage,
    Unapplied: UnappliedPage,
    Versions: VersionPage,
    Inherit: Inherited,
    Holding: Holdings,
    TakeTicket: Ticket,
}
"""Every request but `Follow`, which positions know about. Each may be answered by `Failed` too."""
ANSWERS = tuple(set(ANSWERED_BY.values()))


class StoreCopied(Exception):
    """A number of this device's was used by somebody else."""


class Notebook:
    """See the module. `again` is called when something is to be sent after all; `copied`: this device's store was copied."""

    def __init__(self, world: World, row: DeviceRow, database: Database, again: Callable[[], None]) -> None:
        self._world = world
        self._device = row.id
        self._user = row.user
        self.name = f"device {row.id}"
        self._database = database
        self._again = again
        self.copied = False
        self.shared: frozenset[bytes] = frozenset()
        """What two stores ask for. Only a database that was restored, and has forgotten the number, does it twice."""
        self.ledger = Ledger()
        self.positions = Positions({database.inboxes[row.user]: 0})
        self.copies: dict[int, dict[int, tuple[int, AnyBody]]] = {}
        self.versions: dict[tuple[int, int, int], int] = {}
        """Of records, as far as this device has heard."""
        self.acknowledged: list[tuple[Operation, int]] = []
        self.refused: list[tuple[Operation, Code]] = []
        self.operations: dict[int, Operation] = {}
        self.asked: dict[int, tuple[AnyRequest, float]] = {}
        """Requests without an answer on the present socket, and when they were sent."""
        self._follows: dict[int, int] = {}
        """Which stream each `Follow` on the present socket was for."""
        self.wonders: list[AnyRequest] = []
        """Questions that this device has to ask of itself, when it can."""
        self.begins: dict[int, int] = {}
        """Streams that are read from a snapshot on, and up to where that goes."""
        self.wait_s = RETRY_S
        """How long the server asks to wait before what it did not take is sent again."""
        self._keys = 0
        self._request = 0

    # What goes out

    def next_request(self) -> int:
        self._request += 1
        return self._request

    def asks(self, command: AnyRequest) -> None:
        """It goes out now."""
        if isinstance(command, Follow):
            self._follows[command.id] = command.stream
        else:
            self.asked[command.id] = command, self._world.now

    def passed_over(self) -> None:
        """The server did not take the ticket, and nothing that was sent behind it."""
        self.asked.clear()
        self._follows.clear()

    def append(self, operation: Operation) -> None:
        """Something durable is wished."""
        self._keys += 1
        self.operations[self._keys] = operation
        self.ledger.append(Entry(self._keys, encode(operation)))

    def cut(self) -> None:
        """The socket is gone, and with it what was asked on it."""
        self.ledger.cut()
        self.passed_over()

    def begin_anew(self) -> None:
        """The database is another history's: everything that was read is void."""
        self.positions.reset()
        self.copies.clear()
        self.versions.clear()
        self.begins.clear()

    def copy_from(self, other: Notebook) -> None:
        """As somebody who copies a store's file, while nothing is sent. What has no number yet would get one from each of the two, and
        happen twice: that much a copied store may do, so it is left out here."""
        self.ledger = Ledger([Entry(entry.key, entry.operation, entry.number) for entry in other.ledger.entries() if entry.number])
        self.shared = other.shared = other.shared | self.operations_waiting()
        self.operations = dict(other.operations)
        self._keys = other._keys
        self.copied = other.copied = True

    def operations_waiting(self) -> frozenset[bytes]:
        """Of mutations without an outcome, the bytes."""
        return frozenset(entry.operation for entry in self.ledger.entries())

    # What comes in

    def take(self, frame: Frame) -> None:
        """One frame that is not about the session. Raises `Violation`, and `StoreCopied`."""
        match frame:
            case Event():
                self._event(frame)
            case Followed():
                if self.positions.followed(frame.stream, frame.id, frame.upto, frame.live) is Heard.STALLED:
                    raise self._violation(f"is not brought further in stream {frame.stream}", frame.stream)
            case Lagged():
                self.positions.lagged(frame.stream)
            case Unfollowed():
                self.positions.rest(frame.stream)
            case Failed() if frame.id in self._follows or frame.id == 0:
                stream = self._follows.pop(frame.id, frame.stream)
                if self.positions.failed(stream, frame.id):
                    if frame.code is Code.RESET:
                        self._snapshot(stream)
                    elif TABLE[frame.code].retry is Retry.LATER:
                        self._world.after(RETRY_S, lambda: self._follow_again(stream))
            case Done():
                self.settled(frame.number, Code.OK, frame.value)
            case DoneRun():
                for offset, value in enumerate(frame.values):
                    self.settled(frame.first + offset, Code.OK, value)
            case Refused():
                if TABLE[frame.code].retry is Retry.NO:
                    self.settled(frame.number, frame.code, 0)
                else:
                    self.ledger.bounce(frame.number)
                    self.wait_s = max(self.wait_s, RETRY_S, frame.wait_ms / 1000)
            case _ if isinstance(frame, (*ANSWERS, Failed)):
                self._answer(frame)
            case _:
                pass

    def _snapshot(self, stream: int) -> None:
        """What it would read is forgotten: it begins anew from what there is now."""
        self.positions.forget(stream)
        self.copies.pop(stream, None)
        self.wonders.append(Snapshot(self.next_request(), stream))
        self._again()

    def _follow_again(self, stream: int) -> None:
        if self.positions.want(stream, 0):
            self._again()

    def _answer(self, frame: Frame) -> None:
        id: int = frame.id  # type: ignore[attr-defined]
        command, _ = self.asked.pop(id, (None, 0.0))
        if command is None:
            raise self._violation(f"was given {type(frame).__name__} {id}, which answers nothing that is open")
        if not isinstance(frame, Failed | ANSWERED_BY[type(command)]):
            raise self._violation(f"asked {type(command).__name__} and was answered {type(frame).__name__}")
        if isinstance(frame, Page):
            self._read_page(frame)
        elif isinstance(frame, RecordPage) and frame.stream not in self.positions:
            # The rest of a longer one would be asked for now; what follows from the first page's head comes twice at most.
            self.begins[frame.stream] = frame.head
            self.positions.want(frame.stream, frame.head)

    def _read_page(self, page: Page) -> None:
        rows = self._database.rows(page.stream)
        numbers = [event.seq for event in page.events]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers)) if numbers else []) or (numbers and numbers[-1] > len(rows)):
            raise self._violation(f"was given a page {numbers} of stream {page.stream}, which ends at {len(rows)}", page.stream)

    def _event(self, event: Event) -> None:
        verdict = self.positions.judge(event.stream, event.seq)
        self._may_see(event.stream, event.seq)
        if verdict is Verdict.ASK:
            at = self.positions.cursor(event.stream)
            raise self._violation(f"was sent event {event.seq} of stream {event.stream} after {at}: the server skipped some", event.stream)
        if verdict is Verdict.DROP and self.positions.phase(event.stream) is Phase.LIVE:
            raise self._violation(
                f"was sent event {event.seq} of stream {event.stream} again, live after {self.positions.cursor(event.stream)}", event.stream
            )
        if verdict is Verdict.APPLY:
            self.copies.setdefault(event.stream, {})[event.seq] = (event.author, event.body)
            self.positions.apply(event.stream, event.seq)
            if isinstance(event.body, Changed):
                for record in event.body.records:
                    self.versions[event.stream, record.entity, record.key] = record.version

    def _may_see(self, stream: int, seq: int) -> None:
        """Nobody is sent what happened after they were put out of a stream's audience."""
        since = self._database.put_out.get((stream, self._user))
        if since is not None and seq > since and not self._database.may_read(stream, self._user):
            raise self._violation(f"was sent event {seq} of stream {stream}, which it may not read since {since}", stream)

    def settled(self, number: int, code: Code, value: int) -> None:
        """A mutation has its outcome, if it had none. Raises `StoreCopied`."""
        if self.copied and code in (Code.TOO_OLD, Code.NUMBER_REUSED):
            raise StoreCopied
        entry = self.ledger.settle(number)
        if entry is None:
            return
        operation = self.operations[entry.key]
        if code is Code.OK:
            self.acknowledged.append((operation, value))
            return
        if code in (Code.TOO_OLD, Code.NUMBER_REUSED):
            digest = digest_of(entry.operation)
            raise self._violation(f"mutation {number} ({operation}) was refused with {code.name}; {digest}")
        self.refused.append((operation, code))

    def _violation(self, what: str, stream: int = 0) -> Violation:
        return Violation(f"{self.name} {what}", device=self._device, stream=stream)

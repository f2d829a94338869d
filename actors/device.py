"""A device: one account on one phone, its one live socket, and the mutations it has under way.

    session ─AttachSocket─▶ store: generation + 1 ─▶ DeviceAttached        the older socket is kicked, wherever it is
    session ─Submit(n)────▶ journal ─Decided(n)───▶ Settled(n)             at most `in_flight_max` unanswered
               ╰─ more than the account's trust allows: its refusal takes its place

The generation is the device's authority to write: the append checks it, so a socket that was taken over or whose session was
revoked cannot commit anything, whatever this actor believes. A mutation that is already under way and is sent again is not
queued twice; one that was decided before is answered by its stored outcome.

Invariant: every `Submit` is answered by exactly one `Settled` while its session lives, unless its generation was overtaken.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import assert_never

from msgspec import Struct

from actors.cell import Context, Ref
from actors.limits import Limits, judge, wait_ms_of, words_of
from actors.link_port import Link
from actors.messages import (
    AttachSocket,
    DetachSocket,
    DeviceAttached,
    DeviceMessage,
    Kick,
    SessionMessage,
    Settled,
    Submit,
    TakenOver,
    TrustIs,
)
from actors.storage import Answered, Attach, Attached, Decided, Denied, Entry, Journal, Refusal, Result, Store
from actors.trust import START
from actors.trust_gates import Thresholds, refuse
from protocol.codec import BadFrame, decode_operation
from protocol.codes import Code
from protocol.documents import fault_of
from protocol.operations import AnyOperation, Change, Update

TAKEOVER_TOPIC = "takeover"
BUSY_WAIT_MS = 250
"""How long a client waits after `BUSY`: about as long as a full journal takes to empty (10,000 entries at 40,000 a second)."""


class DeviceLimits(Struct, frozen=True):
    """The bounds of one device."""

    in_flight_max: int = 256
    """Mutations submitted and not yet decided: as many as outcomes are kept, so that no retry ever finds its outcome gone. While n is
    unanswered a client sends none beyond n + 255, and the outcomes of the last 256 numbers include that of n. So a whole chunk fits."""
    thresholds: Thresholds = Thresholds()
    """The trust that some of what is asked for needs."""


class Holder(Struct, frozen=True):
    """The session that has, or asks for, this device."""

    key: int
    session: Ref[SessionMessage]
    session_id: int
    user: int


def digest_of(operation: bytes) -> int:
    """64 bits over an operation's frozen bytes, as Postgres' signed integer: tells a retry from another payload."""
    return int.from_bytes(blake2b(operation, digest_size=8).digest(), "big", signed=True)


def read_operation(operation: bytes, unreadable: str = "") -> AnyOperation | Refusal:
    """The operation, or the refusal that will take its place in the journal and consume its number.

    What was to change a record is kept with the refusal: somebody wrote it, perhaps days ago, and it may be all that there is of it.
    """
    if unreadable:
        return Refusal(Code.INVALID, unreadable[:_DETAIL_MAX], operation)
    try:
        read = decode_operation(operation)
        fault = fault_of(read) if isinstance(read, Update) else ""
        return Refusal(Code.INVALID, fault) if fault else read
    except BadFrame as bad:
        # The detail counts places from the operation's own beginning; without the word they would be looked for in `Mutate`.
        code = Code.INVALID if bad.code is Code.BAD_FRAME else bad.code
        return Refusal(code, f"operation: {bad.detail}"[:_DETAIL_MAX], operation if bad.tag == _CHANGE_TAG else b"")


def make_entry(user: int, device: int, generation: int, submit: Submit, trust: float, thresholds: Thresholds) -> Entry:
    """The journal's entry for a mutation. What asks for more than `trust` becomes its own refusal, and what was written is kept with it."""
    # Of what nobody can read, the bytes depend on how the chunk was cut, and a retry may be cut otherwise: it has the digest of nothing.
    digest = digest_of(b"" if submit.unreadable else submit.operation)
    operation = read_operation(submit.operation, submit.unreadable)
    if trust < thresholds.highest and not isinstance(operation, Refusal):
        detail = refuse(operation, trust, thresholds)
        if detail:
            operation = Refusal(Code.TRUST, detail[:_DETAIL_MAX], submit.operation if isinstance(operation, Change) else b"")
    return Entry(user, device, generation, submit.number, digest, operation, submit.skew_s, submit.trace)


def takeover_payload(device: int, generation: int) -> bytes:
    """What the other gateways are told when a device attaches here."""
    return struct.pack("!QI", device, generation)


def read_takeover(payload: bytes) -> tuple[int, int] | None:
    """The device and generation in a takeover announcement; None if it is not one."""
    if len(payload) != 12:
        return None
    device, generation = struct.unpack("!QI", payload)
    return device, generation


class Device:
    """See the module."""

    __slots__ = (
        "_ctx",
        "_gateway",
        "_held",
        "_id",
        "_journal",
        "_limits",
        "_link",
        "_quotas",
        "_store",
        "asking",
        "generation",
        "holder",
        "in_flight",
        "overtaken",
        "told",
        "trust",
    )

    def __init__(
        self,
        id: int,
        ctx: Context[DeviceMessage],
        store: Store,
        journal: Journal,
        link: Link,
        gateway: int,
        limits: DeviceLimits,
        held: dict[int, int],
        quotas: Limits,
    ) -> None:
        """`held` and `quotas` are those of the `Neighbourhood`."""
        self._id = id
        self._ctx = ctx
        self._store = store
        self._journal = journal
        self._link = link
        self._gateway = gateway
        self._limits = limits
        self._held = held
        self._quotas = quotas
        self.generation = 0
        self.overtaken = 0
        """The highest generation heard of from elsewhere: an attachment whose answer comes after that news may be older than it."""
        self.holder: Holder | None = None
        self.asking: tuple[Holder, ...] = ()
        self.in_flight: dict[int, int] | None = None
        self.trust = START
        """As it was read when the socket attached, or told since."""
        self.told: float | None = None
        """What was told of it while a socket attached: that may be newer than what the attachment read."""

    def receive(self, message: DeviceMessage) -> None:
        match message:
            case Submit():
                self._submit(message)
            case Decided():
                self._decided(message)
            case AttachSocket():
                self._ask(message)
            case Answered():
                self._answered(message)
            case DetachSocket():
                self._detach(message.session_key)
            case TakenOver():
                self._taken_over(message.generation, message.ended)
            case TrustIs():
                self.trust = message.trust
                if self.asking:
                    self.told = message.trust
            case _:
                assert_never(message)

    def passivate(self) -> bool:
        return self.holder is None and not self.asking and not self.in_flight

    def stopped(self) -> None:
        self._held.pop(self._id, None)
        for holder in (*self.asking, *((self.holder,) if self.holder else ())):
            holder.session.tell_control(Kick(Code.FAULT, "the server restarts this device's part", 0))

    def _ask(self, message: AttachSocket) -> None:
        holder = Holder(message.session_key, message.session, message.session_id, message.user)
        if not self.asking:
            self.told = None
        self.asking = (*self.asking, holder)
        self._store.ask(Attach(holder.session_id, holder.user, self._id, self._gateway), holder.key, self._ctx.self)

    def _answered(self, message: Answered) -> None:
        asked = next((holder for holder in self.asking if holder.key == message.ticket), None)
        if asked is None:
            self._vacant(message.result)
            return
        self.asking = tuple(holder for holder in self.asking if holder is not asked)
        match message.result:
            case Attached() as attached if attached.generation > self.generation and attached.generation >= self.overtaken:
                if self.holder is not None:
                    self.holder.session.tell_control(Kick(Code.TAKEN_OVER, "this device opened another socket"))
                self.holder = asked
                self.generation = self._held[self._id] = attached.generation
                self.in_flight = None
                self.trust = attached.trust if self.told is None else self.told
                if attached.previous_gateway not in (0, self._gateway):
                    self._link.announce(TAKEOVER_TOPIC, takeover_payload(self._id, attached.generation))
                asked.session.tell_control(DeviceAttached(attached))
            case Attached():
                asked.session.tell_control(Kick(Code.TAKEN_OVER, "this device opened another socket"))
            case Denied() as denied:
                code = denied.code if denied.code >= Code.BAD_FRAME else _END_FOR.get(denied.code, Code.FAULT)
                asked.session.tell_control(Kick(code, denied.detail, BUSY_WAIT_MS if code is Code.OVERLOAD else 0))
            case _:
                raise AssertionError(f"Attach was answered by {type(message.result).__name__}")

    def _vacant(self, result: Result) -> None:
        """A socket that ended while it attached got the device after all. A later one that was quicker has lost the right to write by
        that: it is told to come back now, rather than that it was taken over for good, at its next mutation, by nobody.
        """
        if not isinstance(result, Attached) or result.generation <= self.generation:
            return
        if result.previous_gateway not in (0, self._gateway):
            self._link.announce(TAKEOVER_TOPIC, takeover_payload(self._id, result.generation))
        if self.holder is not None:
            self.holder.session.tell_control(Kick(Code.OVERLOAD, "another socket of this device attached late; come back", BUSY_WAIT_MS))
            self._let_go()

    def _detach(self, session_key: int) -> None:
        self.asking = tuple(holder for holder in self.asking if holder.key != session_key)
        if self.holder is not None and self.holder.key == session_key:
            self._let_go()

    def _let_go(self) -> None:
        self.holder = None
        self._held.pop(self._id, None)

    def _taken_over(self, generation: int, ended: bool = False) -> None:
        if generation <= self.generation:
            return
        self.overtaken = max(self.overtaken, generation)
        if self.holder is not None:
            # Without the link the comparison may find a revocation before the control stream tells of it. Whoever is told that it was
            # another socket would not log in again.
            kick = (
                Kick(Code.REVOKED, "this session was ended; log in again")
                if ended
                else Kick(Code.TAKEN_OVER, "this device opened another socket")
            )
            self.holder.session.tell_control(kick)
            self._let_go()

    def _submit(self, message: Submit) -> None:
        holder = self.holder
        if holder is None or holder.key != message.session_key:
            return
        number = message.number
        in_flight = self.in_flight
        if in_flight is None:
            in_flight = self.in_flight = {}
        entry = make_entry(holder.user, self._id, self.generation, message, self.trust, self._limits.thresholds)
        known = in_flight.get(number)
        if known is not None:
            if known != entry.digest:
                self._settle(number, Code.NUMBER_REUSED, detail="this number is under way with another payload")
            return
        if len(in_flight) >= self._limits.in_flight_max:
            self._settle(
                number, Code.BUSY, detail=f"at most {self._limits.in_flight_max} mutations may be unanswered", wait_ms=BUSY_WAIT_MS
            )
            return
        if self._journal.submit(judge(entry, self._quotas, self._ctx.wall()), self._ctx.self):
            in_flight[number] = entry.digest
        else:
            self._settle(number, Code.BUSY, detail="the server has too much to store at the moment", wait_ms=BUSY_WAIT_MS)

    def _decided(self, message: Decided) -> None:
        if message.generation != self.generation:
            return
        if self.in_flight is not None:
            self.in_flight.pop(message.number, None)
            if not self.in_flight:
                self.in_flight = None
        if message.code is Code.TAKEN_OVER:
            self._taken_over(self.generation + 1)
        else:
            wait_ms = BUSY_WAIT_MS if message.code in (Code.BUSY, Code.UNAVAILABLE) else 0
            wait_ms = wait_ms or wait_ms_of(message, self._ctx.wall())
            self._settle(message.number, message.code, message.value, words_of(message, wait_ms), wait_ms)

    def _settle(self, number: int, code: Code, value: int = 0, detail: str = "", wait_ms: int = 0) -> None:
        if self.holder is not None:
            self.holder.session.tell_control(Settled(number, code, value, detail, wait_ms))


_CHANGE_TAG = Change.__struct_config__.tag
_DETAIL_MAX = 400
"""As `protocol.values.Detail`; what a client wrote may be part of what was wrong with it."""
_END_FOR = {
    Code.UNAVAILABLE: Code.OVERLOAD,
    Code.BUSY: Code.OVERLOAD,
    Code.NOT_FOUND: Code.UNAUTHENTICATED,
    Code.FORBIDDEN: Code.UNAUTHENTICATED,
}
"""With which code a socket ends whose device could not be attached, where the refusal's own code does not end sockets."""

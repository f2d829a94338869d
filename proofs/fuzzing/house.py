"""A gateway's actors with in-memory ports, for hostile sockets: the session machine and everything behind it.

    payload ─▶ Session ─▶ device, channel, community ─▶ ports of the simulator, calm until `weather` says otherwise
            ◀─ frames, or a close code                  time passes only when `settle` and `pass_time` let it

The tokens are real (`gateway.tokens`), because a forged one is half of the attack. Every house is the same, to the last identifier.

Invariant: whatever arrived, after `settle` no actor has crashed, and the socket is alive or was told why it is not.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Final

import msgspec

from actors.exchange import Exchange, SessionInlet
from actors.neighbourhood import Neighbourhood
from actors.socket_port import Batch, Peer
from actors.storage import Entry
from gateway.tokens import KeySet, generate_pem
from proofs.fuzzing.grammar import Terrain
from proofs.fuzzing.target import Wrong
from proofs.fuzzing.verdict import Impossible, read_frames
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.link import Hub, SimulatedLink
from proofs.simulation.rows import EPOCH
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import START_WALL_S, World
from protocol.codec import encode
from protocol.cursors import pack
from protocol.frames import AnyFrame, Hello, Resume
from protocol.operations import Say
from protocol.values import Cursor, Role
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

SETTLE_S: Final = 0.2
"""How long one exchange may take in simulated time: a disk, a link and a flush, each of some milliseconds."""
SEED: Final = 1
_EPOCH_NOW: Final = [EPOCH]
"""Of the house that is in use: one at a time."""
KEYS: Final = KeySet(generate_pem(), epoch=lambda: _EPOCH_NOW[0])
QUEUE_BYTES: Final = 64 * 1024


@functools.cache
def _token(user: int, device: int, session: int, now_s: int) -> str:
    """Signing takes longer than most scripts."""
    return KEYS.issue(user, device, session, now_s)[0]


class Outlet:
    """The hostile client's end: remembers what it was told. `deaf`: what is pushed finds no room."""

    def __init__(self) -> None:
        self.peer = Peer("127.0.0.1")
        self.heartbeat_s = 45.0
        self.heard: list[bytes] = []
        self.closed = 0
        self.deaf = False

    @property
    def queued_bytes(self) -> int:
        return QUEUE_BYTES if self.deaf else 0

    @property
    def sums(self) -> None:
        """No kernel keeps account of it."""

    def push(self, batch: Batch) -> bool:
        if self.closed or self.deaf:
            return False
        self.heard.append(batch.payload)
        return True

    def send(self, payload: bytes) -> None:
        if not self.closed:
            self.heard.append(payload)

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or code

    def pause_reading(self) -> None:
        """A client that sends one message at a time is never too fast."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


class Line(msgspec.Struct, frozen=True):
    """A socket that completed its handshake."""

    outlet: Outlet
    inlet: SessionInlet

    def hear(self) -> list[AnyFrame]:
        """What the server said since the last time. Raises `Wrong` for what it must never say."""
        heard, self.outlet.heard = self.outlet.heard, []
        try:
            return [frame for payload in heard for frame in read_frames(payload)]
        except Impossible as impossible:
            raise Wrong(str(impossible)) from None


class House:
    """See the module. `crashes` names every actor that fell; `talk` is the stream of a channel that others write to."""

    def __init__(self) -> None:
        self.crashes: list[str] = []
        _EPOCH_NOW[0] = EPOCH
        world = self._world = World(SEED)
        faults = self._faults = Faults()
        database = self._database = Database()
        owner, self.user = database.create_user("owner"), database.create_user("mallory")
        self.device = database.create_device(self.user)
        self._neighbour = database.create_device(owner)
        theirs, ours = database.create_community("theirs", owner), database.create_community("ours", self.user)
        database.appoint(ours.id, owner, Role.LEARNER)
        self.talk = ours.streams[1]
        near = self._near = Neighbourhood()
        exchange = self._exchange = Exchange(near)
        self.turns = Turns(clock=world.clock, wall=world.wall, random=world.chance.random, on_crash=self._crashed)
        link = self._link = SimulatedLink(Hub(world, faults), 1, exchange, self._run)
        self.journal = SimulatedJournal(world, faults, database, exchange, self._run)
        store = SimulatedStore(world, faults, database, self._run)
        self.cast = assemble(self.turns, near, exchange, Ports(1, store, self.journal, link, KEYS), CastLimits(idle_s=5.0))
        exchange.settle(link, lambda: None)
        self.token = _token(self.user, self.device.id, self.device.session, START_WALL_S)
        self.terrain = Terrain(
            streams=(*ours.streams, *theirs.streams, database.inboxes[owner], database.inboxes[self.user], 1, 10**9),
            spaces=(ours.id, theirs.id, 1, 10**9),
            users=(owner, self.user, 10**9),
            token=self.token,
            device=self.device.id,
        )
        self.ticket = b""
        """The last that the server gave."""

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return self.turns.pools["session"].state(()).cells

    def renew(self) -> None:
        """A fresh token: simulated time passes, too."""
        self.token = _token(self.user, self.device.id, self.device.session, int(self._world.wall()) // 60 * 60)

    def open(self) -> Line:
        """One more socket."""
        outlet = Outlet()
        return Line(outlet, self.cast.entrance.accept(outlet, outlet.peer))

    def hello(self, choice: int) -> bytes:
        """A good Hello; the bits of `choice` say what it asks for besides."""
        cursors = tuple(Cursor(stream, 0) for stream in self.terrain.streams) if choice & 1 else ()
        epoch = (0, 1, 7)[choice >> 1 & 3] if choice >> 1 & 3 < 3 else 0
        return encode(Hello(1, self.token, self.device.id, cursors, epoch, heartbeat_s=choice >> 3 & 7, schema=1 + (choice >> 6)))

    def resume(self, choice: int) -> bytes:
        """A Resume with the last ticket; the bits of `choice` say what is wrong with it, and what it asks for."""
        ticket = self.ticket or bytes(31)
        match choice & 7:
            case 5:
                ticket = ticket[:-1] + bytes((ticket[-1] ^ 1,))
            case 6:
                ticket = ticket[: 1 + choice % len(ticket)]
            case 7:
                ticket += b"\0"
        cursors = pack(Cursor(stream, choice >> 5) for stream in self.terrain.streams) if choice & 8 else ()
        return encode(Resume(ticket, 60_000 if choice & 16 else -60_000, cursors))

    def restore(self) -> None:
        """The database begins another history; the gateway knows it."""
        self._database.tables.epoch += 1
        _EPOCH_NOW[0] = self._database.tables.epoch

    def neighbour_says(self, times: int) -> None:
        """Somebody else writes to `talk`, through another gateway's journal as far as this one can tell."""
        row = self._neighbour
        for _ in range(1 + times % 8):
            number = row.last_number + 1
            entry = Entry(row.user, row.id, row.generation, number, number, Say(self.talk, "x" * (1 + times)))
            _, facts = self._database.append([entry], int(self._world.wall()))
            self._exchange.committed(facts)

    def weather(self, choice: int) -> None:
        """What is away from now on, by bits: store, journal, link. 0: all is well."""
        self._faults.store_away = float(choice & 1)
        self._faults.journal_refuses = float(choice >> 1 & 1)
        self._faults.journal_unsure = float(choice >> 2 & 1)
        if self._faults.link_away != bool(choice & 8):
            self._faults.link_away = bool(choice & 8)
            self._link.lose() if choice & 8 else self._link.reconnect()

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, with every alarm at its time."""
        end_s = self._world.now + seconds
        self._run()
        while (due_s := min(self.turns.next_deadline_s(), end_s)) < end_s:
            self._world.run_until(max(due_s, self._world.now))
            self._run()
        self._world.run_until(end_s)
        self._run()

    def settle(self) -> None:
        """Lets everything that was told take its course."""
        self.pass_time(SETTLE_S)

    def _run(self) -> None:
        self.turns.advance()
        while self.turns.ready:
            self.turns.run_ready(1_000)

    def _crashed(self, pool: str, key: Hashable, cause: Exception) -> None:
        self.crashes.append(f"{pool} {key} crashed: {cause!r}")

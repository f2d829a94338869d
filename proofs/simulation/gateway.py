"""One simulated gateway: the real actors on the real turns, with simulated ports.

start ─▶ up ─▶ kill ──────────────▶ start …      nothing remembered, what Postgres has already got may still commit
          ├──▶ drain ─ grace ─▶ gone ─▶ start …  its clients are told when to come back
          └──▶ stand still (SIGSTOP) ─▶ up       late, with everything that it believed before
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable

from msgspec import Struct

from actors.accounts import Claims, Ticketed
from actors.exchange import Exchange
from actors.neighbourhood import Neighbourhood
from actors.pace import Rate
from actors.session import SessionLimits
from actors.session import _terms as terms_of
from actors.storage import CONTROL_STREAM, Events, Fact, ReadAfter
from proofs.simulation.coverage import Coverage
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.link import LIVES_MAX, Hub, SimulatedLink
from proofs.simulation.network import SimulatedSocket
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import Violation, World, lane_of_gateway
from protocol.codes import Code
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

CONTROL_POLL_S = 0.5
POOLS_TO_CRASH = ("session", "device", "user", "channel", "community")
GENEROUS = SessionLimits(commands=Rate(1000.0, 10_000.0), stuck_s=15.0)
STRICT = SessionLimits(
    commands=Rate(5.0, 40.0), flood=Rate(2.0, 40.0), stuck_s=15.0, follows_max=40, watches_max=1, asks_max=2, held_frames_max=4
)
"""Bounds that a lively client meets."""


class Poison(Struct, frozen=True):
    """A message that no actor knows: whoever gets it crashes."""


def write_token(user: int, device: int, session: int, expires: float) -> str:
    """A token that says in plain text what it claims."""
    return f"{user}:{device}:{session}:{int(expires)}"


class SimulatedTokens:
    """Verifies what `write_token` writes; anything else is none of ours."""

    def __init__(self, epoch: Callable[[], int]) -> None:
        self._epoch = epoch

    def verify(self, token: str, now: float) -> Claims | Code:
        parts = token.split(":")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            return Code.UNAUTHENTICATED
        user, device, session, expires = map(int, parts)
        if expires <= now:
            return Code.TOKEN_EXPIRED
        return Claims(user, device, session, int(now), expires)

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """A ticket that says in plain text what it claims."""
        token = write_token(claims.user, claims.device, claims.session, claims.expires_at)
        return f"{token}|{epoch}|{terms.hex()}".encode()

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> Ticketed | None:
        token, _, rest = ticket.decode(errors="replace").partition("|")
        claims, epoch = self.verify(token, now), self._epoch()
        good = rest == f"{epoch}|{terms.hex()}"
        return Ticketed(claims, epoch) if good and isinstance(claims, Claims) else None


class SimulatedGateway:
    """See the module."""

    def __init__(
        self,
        number: int,
        world: World,
        faults: Faults,
        database: Database,
        hub: Hub,
        coverage: Coverage | None = None,
        limits: SessionLimits = GENEROUS,
    ) -> None:
        self.number = number
        self.column = lane_of_gateway(number)
        self._world = world
        self._faults = faults
        self._database = database
        self._hub = hub
        self._coverage = coverage or Coverage()
        self._limits = limits
        self.sockets: list[SimulatedSocket] = []
        self.life = 0
        self._poisoned = 0
        self._passivated = 0
        self._asleep_until = 0.0
        self.disturbed_at = 0.0
        """When a user's actor was last made to crash, or all of it stood still: revocations come later by that."""
        self._drained_by = 0.0
        self._broken: Violation | None = None
        self.starting = False
        """Somebody is about to start it again."""
        self.up = False
        self.draining = False
        self.start()

    def start(self) -> None:
        """A new process: all that is known comes from the database."""
        world = self._world
        self.life += 1
        self.up = True
        self.draining = False
        near = Neighbourhood()
        self.exchange = Exchange(near)
        self.turns = WatchedTurns(clock=world.clock, wall=world.wall, random=world.chance.random, on_crash=self._crashed)
        self.turns.broke = self._broke
        self.link = SimulatedLink(self._hub, self.number * LIVES_MAX + self.life, self.exchange, self.pump)
        self.journal = SimulatedJournal(world, self._faults, self._database, self.exchange, self.pump, self.column, self._awake_in_s)
        self.store = SimulatedStore(world, self._faults, self._database, self.pump, self.column)
        limits = CastLimits(session=self._limits, head_interval_s=2.0, idle_s=20.0)
        ports = Ports(self.link.origin, self.store, self.journal, self.link, SimulatedTokens(lambda: self._database.tables.epoch))
        self.cast = assemble(self.turns, near, self.exchange, ports, limits)
        for name, pool in self.turns.pools.items():
            pool._factory = self._coverage.counted(name, pool._factory)
        self.exchange.settle(self.link, lambda: None)
        self.cast.wake()
        if not self._faults.link_away:
            self.exchange.up()
        self._control_cursor = len(self._database.rows(CONTROL_STREAM))
        self._pumping = False
        self._alarm_at = float("inf")
        self._asleep_until = 0.0
        life = self.life
        world.after(CONTROL_POLL_S, lambda: self._poll_control(life))
        self.pump()

    def kill(self, what: str = "is killed") -> None:
        """SIGKILL: no last words. What the journal had sent to Postgres may still commit."""
        if not self.up:
            return
        self.up = False
        self._world.tell(self.column, what, fault=True)
        self._passivated += self._passivated_in_this_life()
        self.journal.dead = self.store.dead = True
        self.link.close()
        for socket in self.sockets:
            socket.gateway_died()
        self.sockets.clear()

    @property
    def passivated(self) -> int:
        """How many actors left memory because nobody needed them."""
        return self._passivated + (self._passivated_in_this_life() if self.up else 0)

    def _passivated_in_this_life(self) -> int:
        return sum(pool.counts.passivations for pool in self.turns.pools.values())

    def drain(self, grace_s: float) -> None:
        """SIGTERM: nobody new comes in, those who are here are told, and after the grace this process is gone."""
        if not self.up or self.draining:
            return
        self.draining = True
        self._world.tell(self.column, f"drains for {grace_s:.1f} s", fault=True)
        self._drained_by = self._world.now + grace_s
        self.announce_drain()
        life = self.life

        def close_the_rest() -> None:
            if life == self.life and self.up:
                for socket in self.sockets:
                    socket.close(Code.DRAIN, "this server is going away")
                self.pump()
                self._world.after(2.0, lambda: self.kill("is gone") if life == self.life else None)

        self._world.after(grace_s, close_the_rest)

    @property
    def terms(self) -> bytes:
        """Of the tickets that are given here."""
        return terms_of(self._limits)

    def announce_drain(self) -> None:
        """Says it to everybody who is here, once more perhaps."""
        if self.up and self.draining:
            for socket in self.sockets:
                if socket.inlet is not None and not socket.is_over:
                    socket.inlet.draining(max(0.0, self._drained_by - self._world.now))
            self.pump()

    def stand_still(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long; one at a time, for else a world of them has gateways that are never awake."""
        if self.up and not self.asleep:
            self._asleep_until = self._world.now + seconds
            self.disturbed_at = self._asleep_until
            self._world.tell(self.column, f"stands still for {seconds:.1f} s", fault=True)

    def connect(self, hear: Callable[[bytes], None], ended: Callable[[int], None], client: str = "") -> SimulatedSocket | None:
        """A client's handshake; None if nobody answers. `client` is its column in the story."""
        if not self.up or self.draining:
            return None
        socket = SimulatedSocket(self._world, self._faults, self.pump, hear, ended, self.column, client)
        socket.inlet = self.cast.entrance.accept(socket, socket.peer)
        self.sockets = [open for open in self.sockets if not open.is_over]
        self.sockets.append(socket)
        self.pump()
        return socket

    def poison(self) -> None:
        """Crashes one actor, whichever."""
        pool = self.turns.pools[self._world.chance.choice(POOLS_TO_CRASH)]
        keys = sorted(pool)
        if self.up and keys:
            cell = pool.find(self._world.chance.choice(keys))
            if cell is not None:
                self._world.tell(self.column, f"{cell!r} is given a message that crashes it", fault=True)
                self._poisoned += 1
                if cell.pool.name == "user":
                    self.disturbed_at = self._world.now
                cell.tell_control(Poison())
                self.pump()

    def pump(self) -> None:
        """Something was told: the actors run a moment later, some of them now and the others after that."""
        if not self._pumping:
            self._pumping = True
            life = self.life
            self._world.after(self._world.between(0.0, 0.001), lambda: self._run(life))

    @property
    def asleep(self) -> bool:
        return self._awake_in_s() > 0.0

    def _awake_in_s(self) -> float:
        return max(0.0, self._asleep_until - self._world.now)

    def _run(self, life: int) -> None:
        if life != self.life or not self.up:
            return
        asleep_s = self._awake_in_s()
        if asleep_s > 0.0:
            self._world.after(asleep_s, lambda: self._run(life))
            return
        self._pumping = False
        self.turns.advance()
        self.turns.run_ready(self._world.chance.choice((1, 3, 1000)))
        if self._broken is not None:
            raise self._broken
        if self.turns.ready:
            self.pump()
        due = self.turns.next_deadline_s()
        if due < self._alarm_at or self._alarm_at <= self._world.now:
            self._alarm_at = due
            if due != float("inf"):
                self._world.after(due - self._world.now, lambda: self._ring(life))

    def _ring(self, life: int) -> None:
        if life == self.life and self.up:
            self._alarm_at = float("inf")
            self.pump()

    def _poll_control(self, life: int) -> None:
        if life != self.life or not self.up:
            return
        wait_s = max(self._awake_in_s(), self._faults.stalled_until_s - self._world.now)
        if wait_s > 0.0:
            self._world.after(wait_s, lambda: self._poll_control(life))
            return
        events = self._database.query(ReadAfter(CONTROL_STREAM, 0, self._control_cursor, 1000, 1 << 20), self._world.wall())
        assert isinstance(events, Events)
        if events.rows:
            self._control_cursor = events.rows[-1].seq
            self.exchange.controlled([Fact(CONTROL_STREAM, row.seq, row.author, row.at, row.body, 0) for row in events.rows])
            self.pump()
        self._world.after(CONTROL_POLL_S, lambda: self._poll_control(life))

    def _crashed(self, pool: str, key: Hashable, cause: Exception) -> None:
        if self._poisoned and "Poison" in str(cause):
            self._poisoned -= 1
            return
        self._broke(f"{pool} {key} crashed of itself", cause)

    def _broke(self, what: str, cause: Exception) -> None:
        """Nobody who calls this lets an exception pass: it is raised when the turns are over."""
        self._broken = Violation(f"{what}: {''.join(traceback.format_exception(cause)[-3:])}")
        self._broken.__cause__ = cause


class WatchedTurns(Turns):
    """Turns whose hooks may not fail either: a crash in `stopped` leaves somebody uninformed."""

    broke: Callable[[str, Exception], None]

    def hook_failed(self, cause: Exception) -> None:
        self.broke("an actor crashed while it stopped", cause)

"""One simulated gateway: the real actors on the real turns, with simulated ports. It can crash and come back with nothing remembered."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from msgspec import Struct

from actors.accounts import Claims
from actors.exchange import Exchange
from actors.neighbourhood import Neighbourhood
from actors.pace import Rate
from actors.session import SessionLimits
from actors.storage import CONTROL_STREAM, Events, Fact, ReadAfter
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.link import Hub, SimulatedLink
from proofs.simulation.network import SimulatedSocket
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import Violation, World
from protocol.codes import Code
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

CONTROL_POLL_S = 0.5
POOLS_TO_CRASH = ("session", "device", "user", "channel", "community")


class Poison(Struct, frozen=True):
    """A message that no actor knows: whoever gets it crashes."""


class SimulatedTokens:
    """Tokens that say in plain text what they claim: `user:device:session`."""

    def verify(self, token: str, now: float) -> Claims | Code:
        user, device, session = (int(part) for part in token.split(":"))
        return Claims(user, device, session, int(now), int(now) + 900)


class SimulatedGateway:
    """See the module."""

    def __init__(self, number: int, world: World, faults: Faults, database: Database, hub: Hub) -> None:
        self.number = number
        self._world = world
        self._faults = faults
        self._database = database
        self._hub = hub
        self.sockets: list[SimulatedSocket] = []
        self.crashes: list[str] = []
        self.life = 0
        self._poisoned = 0
        self.up = False
        self.start()

    def start(self) -> None:
        """A new process: all that is known comes from the database."""
        world = self._world
        self.life += 1
        self.up = True
        near = Neighbourhood()
        self.exchange = Exchange(near)
        self.turns = Turns(clock=world.clock, wall=world.wall, random=world.chance.random, on_crash=self._crashed)
        self.link = SimulatedLink(self._hub, self.number * 1000 + self.life, self.exchange, self.pump)
        self.journal = SimulatedJournal(world, self._faults, self._database, self.exchange, self.pump)
        self.store = SimulatedStore(world, self._faults, self._database, self.pump)
        limits = CastLimits(session=SessionLimits(commands=Rate(1000.0, 10_000.0)), head_interval_s=2.0, idle_s=20.0)
        ports = Ports(self.link._origin, self.store, self.journal, self.link, SimulatedTokens())
        self.cast = assemble(self.turns, near, self.exchange, ports, limits)
        self.exchange.settle(self.link, lambda: None)
        self.cast.wake()
        if not self._faults.link_away:
            self.exchange.up()
        self._control_cursor = len(self._database.rows(CONTROL_STREAM))
        self._pumping = False
        self._alarm_at = float("inf")
        life = self.life
        world.after(CONTROL_POLL_S, lambda: self._poll_control(life))
        self.pump()

    def kill(self) -> None:
        """SIGKILL: no last words. What the journal had sent to Postgres may still commit."""
        if not self.up:
            return
        self.up = False
        self._world.tell(f"gateway {self.number}", "is killed")
        self.journal.dead = self.store.dead = True
        self.link.close()
        for socket in self.sockets:
            socket.gateway_died()
        self.sockets.clear()

    def connect(self, hear: Callable[[bytes], None], ended: Callable[[int], None]) -> SimulatedSocket | None:
        """A client's handshake; None if nobody answers."""
        if not self.up:
            return None
        socket = SimulatedSocket(self._world, self._faults, self.pump, hear, ended)
        socket.inlet = self.cast.entrance.accept(socket, socket.peer)
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
                self._world.tell(f"gateway {self.number}", f"{cell!r} is given a message that crashes it")
                self._poisoned += 1
                cell.tell_control(Poison())
                self.pump()

    def pump(self) -> None:
        """Something was told: the actors run a moment later, some of them now and the others after that."""
        if not self._pumping:
            self._pumping = True
            life = self.life
            self._world.after(self._world.between(0.0, 0.001), lambda: self._run(life))

    def _run(self, life: int) -> None:
        if life != self.life or not self.up:
            return
        self._pumping = False
        self.turns.advance()
        self.turns.run_ready(self._world.chance.choice((1, 3, 1000)))
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
        raise Violation(f"{pool} {key} crashed of itself: {cause!r}") from cause

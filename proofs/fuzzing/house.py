"""A gateway's actors with in-memory ports, for one hostile socket at a time: the session machine and everything behind it.

    payload ─▶ Session ─▶ device, channel, community ─▶ ports of the simulator, calm
            ◀─ frames, or a close code                  time passes only when `settle` lets it

The tokens are real (`gateway.tokens`), because a forged one is half of the attack.

Invariant: whatever arrived, after `settle` no actor has crashed, and the socket is alive or was told why it is not.
"""

from __future__ import annotations

from collections.abc import Hashable

from actors.exchange import Exchange, SessionInlet
from actors.neighbourhood import Neighbourhood
from actors.socket_port import Batch, Peer
from gateway.tokens import KeySet, generate_pem
from proofs.fuzzing.grammar import Terrain
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.link import Hub, SimulatedLink
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import World
from protocol.codec import encode
from protocol.frames import Hello
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

SETTLE_S = 0.2
"""How long one exchange may take in simulated time: a disk, a link and a flush, each of some milliseconds."""


class Outlet:
    """The hostile client's end: remembers what it was told."""

    def __init__(self) -> None:
        self.peer = Peer("127.0.0.1")
        self.heartbeat_s = 45.0
        self.queued_bytes = 0
        self.sums = None
        self.heard: list[bytes] = []
        self.closed = 0

    def push(self, batch: Batch) -> bool:
        if not self.closed:
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


class House:
    """See the module. `crashes` names every actor that fell."""

    def __init__(self, seed: int) -> None:
        self.crashes: list[str] = []
        world = self._world = World(seed)
        faults = Faults()
        database = Database()
        owner, self.user = database.create_user("owner"), database.create_user("mallory")
        self.device = database.create_device(self.user)
        theirs, ours = database.create_community("theirs", owner), database.create_community("ours", self.user)
        near = Neighbourhood()
        exchange = Exchange(near)
        self.turns = Turns(clock=world.clock, wall=world.wall, random=world.chance.random, on_crash=self._crashed)
        link = SimulatedLink(Hub(world, faults), 1, exchange, self._run)
        self.journal = SimulatedJournal(world, faults, database, exchange, self._run)
        store = SimulatedStore(world, faults, database, self._run)
        self.keys = KeySet(generate_pem())
        self.cast = assemble(self.turns, near, exchange, Ports(1, store, self.journal, link, self.keys), CastLimits(idle_s=5.0))
        exchange.settle(link, lambda: None)
        self.token = ""
        self.terrain = Terrain(
            streams=(*ours.streams, *theirs.streams, database.inboxes[owner], database.inboxes[self.user], 1, 10**9),
            spaces=(ours.id, theirs.id, 1, 10**9),
            users=(owner, self.user, 10**9),
        )
        self.renew()

    def renew(self) -> None:
        """A fresh token: simulated time passes, too."""
        self.token, _ = self.keys.issue(self.user, self.device.id, self.device.session, self._world.wall())
        self.terrain = Terrain(self.terrain.streams, self.terrain.spaces, self.terrain.users, self.token, self.device.id)

    def open(self) -> tuple[Outlet, SessionInlet]:
        """A socket that completed its handshake."""
        outlet = Outlet()
        return outlet, self.cast.entrance.accept(outlet, outlet.peer)

    def hello(self) -> bytes:
        """A good Hello."""
        return encode(Hello(1, self.token, self.device.id))

    def settle(self) -> None:
        """Lets everything that was told take its course."""
        self._run()
        end_s = self._world.now + SETTLE_S
        self._world.run_until(end_s)
        self._run()

    def _run(self) -> None:
        self.turns.advance()
        while self.turns.ready:
            self.turns.run_ready(1_000)

    def _crashed(self, pool: str, key: Hashable, cause: Exception) -> None:
        self.crashes.append(f"{pool} {key} crashed: {cause!r}")

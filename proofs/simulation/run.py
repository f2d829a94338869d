"""One seed: a scene is set, people live in it while it is attacked, it is healed, and then everything is compared.

set the scene ─▶ STORM_S of life under faults ─▶ heal ─▶ until quiet, or too late ─▶ check
"""

from __future__ import annotations

from proofs.simulation.attack import Attack, Tally
from proofs.simulation.check import check, missing
from proofs.simulation.coverage import Coverage
from proofs.simulation.database import OUTCOMES_KEPT, Database
from proofs.simulation.device import WINDOW, Habits, SimulatedDevice
from proofs.simulation.faults import Faults
from proofs.simulation.gateway import GENEROUS, STRICT, SimulatedGateway
from proofs.simulation.life import Life
from proofs.simulation.link import Hub
from proofs.simulation.visits import Visits
from proofs.simulation.world import World
from protocol.client_session import Session
from protocol.entities import SCHEMA, SCHEMA_MIN
from protocol.values import LinkQuality

STORM_S = 60.0
QUIET_S = 30.0
HEAL_S = 180.0
"""After healing a client has had several longest backoffs and every pending heartbeat; what is still apart stays apart."""
LOOK_EVERY_S = 5.0
SHORT_TOKEN_S = 25.0


class Run:
    """One seed's run."""

    def __init__(self, seed: int, *, tell: bool = False) -> None:
        self.world = World(seed, tell=tell)
        world, chance = self.world, self.world.chance
        self.faults = Faults.draw(world)
        self.tally = Tally()
        self.coverage = Coverage()
        # As few as the promise holds with: then a number that is left behind by a whole window shows at once.
        self.database = Database(chance.choice((OUTCOMES_KEPT, WINDOW)))
        users = [self.database.create_user(f"user{n}") for n in range(chance.randint(2, 5))]
        communities = [self.database.create_community(f"c{n}", users[0]) for n in range(chance.randint(1, 2))]
        rows = [self.database.create_device(user) for user in users for _ in range(chance.randint(1, 2))]
        lost = {user: self.database.create_device(user).id for user in users}
        rude = self.database.create_device(users[0])
        self.hub = Hub(world, self.faults)
        limits = chance.choice((GENEROUS, GENEROUS, GENEROUS, STRICT))
        self.gateways = [
            SimulatedGateway(n + 1, world, self.faults, self.database, self.hub, self.coverage, limits) for n in range(chance.randint(1, 3))
        ]
        self.life = Life(world, self.database, communities, lost)
        self.curiosity = chance.choice((0.0, 0.2, 1.0))
        self._habits = Habits(
            token_life_s=chance.choice((900.0, SHORT_TOKEN_S)),
            forgetful=chance.choice((0.0, 0.3, 1.0)),
            spoiled=chance.choice((0.0, 0.0, 0.1)),
            eager=chance.choice((0.0, 0.3, 1.0)),
            renewal_fails=lambda: world.happens(self.faults.renewal_fails),
            quality=chance.choice((LinkQuality.GOOD, LinkQuality.FAIR, LinkQuality.POOR)),
            tickets=chance.choice((0.0, 0.5, 1.0)),
            schema=chance.choice((SCHEMA, SCHEMA, SCHEMA_MIN)),
        )
        self.devices = [self._device(row.id) for row in rows]
        visits = Visits(world, self.faults, self.database, self.life)
        self.attack = Attack(
            world,
            self.faults,
            self.database,
            self.hub,
            self.gateways,
            self.devices,
            visits,
            rude,
            self.coverage,
            self.tally,
            self._copy,
        )
        self._visits = visits
        self._healed = False

    def play(self) -> Tally:
        """Runs it all. Raises `Violation`."""
        with self.coverage.watching():
            self._play()
        return self.tally

    def _play(self) -> None:
        world = self.world
        for device in self.devices:
            world.after(world.between(0.0, 2.0), device.come)
            world.after(world.between(0.0, 3.0), lambda device=device: self._live(device))  # type: ignore[misc]
        for _ in range(int(STORM_S)):
            world.run_until(world.now + 1.0)
            self._deliver_outbox()
            self.attack.strike()
            self.attack.restart_the_fallen()
        self._heal()
        if self.attack.revoking:
            # One that has nothing more to write, so that no refused append tells it.
            world.run_until(world.now + QUIET_S)
            self.attack.revoke(world.chance.choice(self.devices))
        deadline = world.now + HEAL_S
        while world.now < deadline:
            world.run_until(world.now + LOOK_EVERY_S)
            if self._quiet():
                break
        self.tally.steps = world.steps
        self.tally.passivations = sum(gateway.passivated for gateway in self.gateways)
        self.tally.visits = self._visits.count
        check(self.devices, self.database, self.life, self.attack.written, f"{HEAL_S:g} s after healing")
        self.tally.acknowledged = sum(len(device.notebook.acknowledged) for device in self.devices)
        self.tally.refused = sum(len(device.notebook.refused) for device in self.devices)
        self.tally.events = sum(len(stream.log) for stream in self.database.streams.values())

    # The scene

    def _device(self, id: int) -> SimulatedDevice:
        row = self.database.devices[id]
        device = SimulatedDevice(self.world, row, self.database, self.gateways, self.coverage, self._habits)
        device.on_greeting = lambda: self.life.early(device)
        return device

    def _copy(self, device: SimulatedDevice) -> None:
        """Somebody copies a device's store, and goes on with both under the same name."""
        self.world.tell(device.column, "has its store copied", fault=True)
        copied = self._device(device.id)
        copied.notebook.copy_from(device.notebook)
        copied.session = Session(epoch=device.session.epoch)  # a store keeps it beside the numbers that were given in it
        self.devices.append(copied)
        copied.come()
        self._live(copied)

    def _live(self, device: SimulatedDevice) -> None:
        if self._healed or device.ended:
            return
        world = self.world
        for operation in self.life.wishes(device):
            device.ask(operation)
        if world.happens(self.curiosity):
            device.wonder(self.life.question(device))
        self.life.follow_what_may_be_followed(device, 0.7)
        world.after(world.chance.expovariate(1.0), lambda: self._live(device))

    # What goes on beside the attack

    def _deliver_outbox(self) -> None:
        """As the job does that reads it, on some gateway."""
        if self.world.now < self.faults.stalled_until_s:
            return
        facts = self.database.deliver_outbox(int(self.world.wall()))
        living = [gateway for gateway in self.gateways if gateway.up]
        if living and facts:
            gateway = self.world.chance.choice(living)
            gateway.exchange.committed(facts)
            gateway.pump()

    def _heal(self) -> None:
        self.world.tell("", "the world heals")
        self._healed = True
        was_away = self.faults.link_away
        self.faults.heal()
        if was_away:
            self.hub.heal()
        for device in self.devices:
            device.habits = Habits(quality=device.habits.quality, schema=device.habits.schema)
        for gateway in self.gateways:
            self.attack.restart(gateway)

    def _quiet(self) -> bool:
        """Everybody is online, nothing is unanswered, and every copy has reached its end."""
        self._deliver_outbox()
        self.attack.restart_the_fallen()
        for device in self.devices:
            self.life.follow_what_may_be_followed(device, 1.0)
        return not any(missing(device, self.database, self.life)[0] for device in self.devices)

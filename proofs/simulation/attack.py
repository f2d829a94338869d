"""What happens to a simulated installation, second by second, until it is healed: each kind never, seldom or often, as the seed has it.

devices   cut · stalled · stopped by their owner · revoked · put out until they renew · their store copied · visiting over HTTP
gateways  an actor crashed · killed · drained · standing still · strangers at the door
the rest  Redis away · Postgres silent · the database restored from a backup, with a new epoch
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from proofs.simulation.coverage import Coverage
from proofs.simulation.database import Database
from proofs.simulation.device import SimulatedDevice
from proofs.simulation.faults import Faults
from proofs.simulation.gateway import SimulatedGateway
from proofs.simulation.link import Hub
from proofs.simulation.rows import DeviceRow, Tables
from proofs.simulation.stranger import Stranger, scripts
from proofs.simulation.visits import Visits
from proofs.simulation.world import POSTGRES, REDIS, Violation, World
from protocol.client_session import State
from protocol.codes import Code

COPIES_MAX = 2
REVOKED_WITHIN_S = 2.0
"""The control stream is read twice a second; then there are the delays of a simulated disk, and turns that come late."""
PASSING = frozenset((State.IDLE, State.CONNECTING, State.GREETING, State.RESUMING, State.RENEWING, State.DRAINING, State.LEAVING))
OPENING = frozenset((State.GREETING, State.RESUMING))
MOMENTOUS = 25.0
"""And so much, that an owner is done with a device in the moment in which its gateway begins to drain."""
LIKELIER = 10.0
"""So much likelier is something that ends a device which is in a state that does not last."""
HORIZON_S = 40
"""No gateway may be as far behind as this; the real one is three months."""
BACKUP_AT_S = (10.0, 25.0)
RESTORE_AT_S = (26.0, 50.0)


class Tally(Struct):
    """What happened in a run, to see that something did."""

    acknowledged: int = 0
    refused: int = 0
    events: int = 0
    kills: int = 0
    drains: int = 0
    stops: int = 0
    crashes: int = 0
    cuts: int = 0
    stalls: int = 0
    revocations: int = 0
    expiries: int = 0
    horizons: int = 0
    copies: int = 0
    restores: int = 0
    silences: int = 0
    passivations: int = 0
    visits: int = 0
    strangers: int = 0
    steps: int = 0

    def add(self, other: Tally) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Attack:
    """See the module. `copy` makes another device of a device's store."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        database: Database,
        hub: Hub,
        gateways: list[SimulatedGateway],
        devices: list[SimulatedDevice],
        visits: Visits,
        rude: DeviceRow,
        coverage: Coverage,
        tally: Tally,
        copy: Callable[[SimulatedDevice], None],
    ) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._hub = hub
        self._gateways = gateways
        self._devices = devices
        self._visits = visits
        self._rude = rude
        self._coverage = coverage
        self._tally = tally
        self._copy = copy
        self._backup: tuple[Tables, dict[int, int]] | None = None
        self.strangers: list[Stranger] = []
        self.written: dict[int, int] = {}
        """How many mutations of a device were decided when its session was ended, in the present history."""
        self._silent_until_s = 0.0
        """Until then somebody may wait for an answer of Postgres', also when it was healed before."""
        chance = world.chance
        self.restless = chance.choice((0.0, 0.02, 0.2))
        self.stalling = chance.choice((0.0, 0.01, 0.05))
        self.deadly = chance.choice((0.0, 0.02, 0.1))
        self.draining = chance.choice((0.0, 0.02, 0.08))
        self.unkind = chance.choice((0.0, 0.001, 0.01))
        self.sleepy = chance.choice((0.0, 0.0, 0.03))
        self.poisonous = chance.choice((0.0, 0.05, 0.3))
        self.revoking = chance.choice((0.0, 0.0, 0.005))
        self.stopping = chance.choice((0.0, 0.0, 0.004))
        self.expiring = chance.choice((0.0, 0.0, 0.01))
        self.copying = chance.choice((0.0, 0.01, 0.03))
        self.visiting = chance.choice((0.0, 0.01, 0.05))
        self.silencing = chance.choice((0.0, 0.0, 0.02))
        self.forgetting = chance.choice((0.0, 0.0, 0.03))
        self.knocking = chance.choice((0.0, 0.05, 0.2))
        if chance.random() < 0.3:
            world.after(world.between(*BACKUP_AT_S), self._back_up)
            world.after(world.between(*RESTORE_AT_S), self._restore)

    def strike(self) -> None:
        """A second of it."""
        for device in self._devices:
            self._strike_device(device)
        for gateway in self._gateways:
            self._strike_gateway(gateway)
        self._strike_the_rest()

    def _strike_device(self, device: SimulatedDevice) -> None:
        world, tally = self._world, self._tally
        if world.happens(self.restless):
            tally.cuts += 1
            device.lose_line()
        if world.happens(self.stalling):
            tally.stalls += 1
            device.stall_line(world.between(1.0, 25.0))
        likelier = LIKELIER if device.session.state in PASSING else 1.0
        if world.happens(self.revoking * likelier):
            self.revoke(device)
        # Not again and again: whose fresh tokens are refused has to log in.
        if world.happens(self.expiring * likelier) and not device.session.renewals:
            tally.expiries += 1
            device.row.expires = int(world.wall())
            world.tell(device.column, "its session is over, until it gets a new token", fault=True)
        if world.happens(self.unkind * likelier) and device.online and device.line is not None:
            device.line[1].close(Code.TOKEN_EXPIRED, "as a server says that has another clock")
        if device.session.state in OPENING and device.line is not None and world.happens(self.unkind * likelier):
            device.line[1].close(Code.VERSION, "as a server says that speaks a later protocol alone")
        if world.happens(self.stopping * likelier):
            tally.stops += 1
            device.stop()
        if world.happens(self.copying * likelier) and tally.copies < COPIES_MAX and not device.ended:
            tally.copies += 1
            self._copy(device)
        visiting = 0.5 if device.notebook.copied else self.visiting  # two of a store meet on every door
        if world.happens(visiting) and not device.ended:
            self._visits.begin(device, world.chance.choice(self._gateways))

    def _strike_gateway(self, gateway: SimulatedGateway) -> None:
        world, tally = self._world, self._tally
        if world.happens(self.poisonous):
            tally.crashes += 1
            gateway.poison()
        if not gateway.up:
            return
        if world.happens(self.deadly):
            tally.kills += 1
            gateway.kill()
        elif world.happens(self.draining) and not gateway.draining:
            tally.drains += 1
            grace_s = world.between(0.5, 20.0)
            gateway.drain(grace_s)
            for device in self._devices:
                if device.line is not None and device.line[0] is gateway and world.happens(self.stopping * MOMENTOUS):
                    tally.stops += 1
                    device.stop()
            if world.happens(0.3):
                world.after(grace_s / 2, gateway.announce_drain)
        elif world.happens(self.sleepy):
            gateway.stand_still(world.between(0.5, 15.0))
        if world.happens(self.knocking):
            tally.strangers += 1
            script = world.chance.choice(scripts(self._database, self._rude, gateway.terms))()
            self.strangers.append(Stranger(world, gateway, self._coverage, script))

    def restart_the_fallen(self) -> None:
        """Whoever is down and not on the way up is started some seconds later, as a supervisor does."""
        for gateway in self._gateways:
            if not gateway.up and not gateway.starting:
                gateway.starting = True
                self._world.after(self._world.between(0.5, 15.0), lambda gateway=gateway: self.restart(gateway))  # type: ignore[misc]

    def restart(self, gateway: SimulatedGateway) -> None:
        gateway.starting = False
        if not gateway.up:
            self._world.tell(gateway.column, "starts")
            gateway.start()

    def _strike_the_rest(self) -> None:
        world, faults = self._world, self._faults
        if world.happens(0.02):
            faults.link_away = not faults.link_away
            world.tell(REDIS, "is away" if faults.link_away else "is back", fault=faults.link_away)
            if faults.link_away:
                self._hub.fall()
            else:
                self._hub.heal()
        if world.happens(self.forgetting):
            self._tally.horizons += 1
            world.tell(POSTGRES, f"forgets records' events older than {HORIZON_S:g} s", fault=True)
            self._database.pass_horizon(int(world.wall()), HORIZON_S)
        if world.happens(self.silencing) and world.now >= faults.stalled_until_s:
            self._tally.silences += 1
            faults.stalled_until_s = self._silent_until_s = world.now + world.between(1.0, 14.0)
            world.tell(POSTGRES, f"is silent for {faults.stalled_until_s - world.now:.1f} s", fault=True)

    def revoke(self, device: SimulatedDevice) -> None:
        """Its session is ended from elsewhere: whatever is lost on the way, it must be over in the end, and write nothing more."""
        if device.row.revoked:
            return
        self._world.tell(device.column, "has its session ended", fault=True)
        self._tally.revocations += 1
        facts = self._database.revoke(device.row, int(self._world.wall()))
        self.written[device.id] = device.row.last_number
        self._expect_end(device)
        for gateway in self._gateways:
            if gateway.up:
                gateway.exchange.committed(facts)
                gateway.pump()
                return

    def _expect_end(self, device: SimulatedDevice) -> None:
        """On every gateway, within a second or little more, unless the gateway or Postgres cannot do anything now, or was disturbed."""
        world = self._world
        line = device.line
        if line is None or not device.online:  # who is not welcome yet has no session here, perhaps
            return
        gateway, socket = line
        disturbed_at, revoked_at = gateway.disturbed_at, world.now

        def look() -> None:
            disturbed = gateway.disturbed_at > disturbed_at or self._silent_until_s > revoked_at
            awake = gateway.up and not gateway.asleep
            if awake and not disturbed and not socket.is_closing and device.row.revoked:
                raise Violation(f"{device.name} goes on {REVOKED_WITHIN_S:g} s after its session was ended", device=device.id)

        world.after(REVOKED_WITHIN_S, look)

    # Another history

    def _back_up(self) -> None:
        self._world.tell(POSTGRES, "is backed up")
        self._backup = self._database.back_up(), {id(device): len(device.notebook.acknowledged) for device in self._devices}

    def _restore(self) -> None:
        """The database is lost, and with it every gateway's connections; what was acknowledged since the backup is lost with it."""
        if self._backup is None:
            return
        tables, acknowledged = self._backup
        self._world.tell(POSTGRES, f"is restored, with epoch {self._database.tables.epoch + 1}", fault=True)
        self._tally.restores += 1
        for gateway in self._gateways:
            gateway.kill("loses its database")
        self._database.restore(tables, self._database.tables.epoch + 1)
        self.written = {id: row.last_number for id, row in self._database.devices.items() if row.revoked}
        for device in self._devices:
            device.excused = device.ended or device.session.told is not None
            device.lose_line()  # what is still on it is another history's
            del device.notebook.acknowledged[acknowledged.get(id(device), 0) :]
        for stranger in self.strangers:
            stranger.over = True

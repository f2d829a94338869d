"""One seed: a scene is set, people live in it while it is attacked, it is healed, and then everything is compared.

set the scene ─▶ STORM_S of life under faults ─▶ heal ─▶ until quiet, or too late ─▶ check
"""

from __future__ import annotations

from msgspec import Struct

from client.positions import Phase
from proofs.simulation.database import Database
from proofs.simulation.device import SimulatedDevice
from proofs.simulation.faults import Faults
from proofs.simulation.gateway import SimulatedGateway
from proofs.simulation.link import Hub
from proofs.simulation.world import Violation, World
from protocol.codec import TOMBSTONE, decode_body
from protocol.events import AnyBody, Deleted, Edited, Posted, Redacted, Said
from protocol.operations import Delete, Edit, Join, Leave, MarkRead, Operation, Post, React, Remove, Say

STORM_S = 60.0
QUIET_S = 30.0
HEAL_S = 180.0
"""After healing a client has had several longest backoffs (30 s) and every pending heartbeat; what is still apart stays apart."""


class Tally(Struct):
    """What happened in a run, to see that something did."""

    acknowledged: int = 0
    refused: int = 0
    events: int = 0
    kills: int = 0
    crashes: int = 0
    cuts: int = 0
    revocations: int = 0
    steps: int = 0

    def add(self, other: Tally) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Run:
    """One seed's run."""

    def __init__(self, seed: int, *, tell: bool = False) -> None:
        self.world = World(seed, tell=tell)
        chance = self.world.chance
        self.faults = Faults.draw(self.world)
        self.tally = Tally()
        self.database = Database()
        users = [self.database.create_user(f"user{n}") for n in range(chance.randint(2, 5))]
        self.communities = [self.database.create_community(f"c{n}", users[0]) for n in range(chance.randint(1, 2))]
        self.hub = Hub(self.world, self.faults)
        self.gateways = [SimulatedGateway(n + 1, self.world, self.faults, self.database, self.hub) for n in range(chance.randint(1, 3))]
        self.devices = [
            SimulatedDevice(self.world, self.database.create_device(user), self.database, self.gateways)
            for user in users
            for _ in range(chance.randint(1, 2))
        ]
        self.restless = chance.choice((0.0, 0.02, 0.2))
        self.deadly = chance.choice((0.0, 0.02, 0.1))
        self.poisonous = chance.choice((0.0, 0.05, 0.3))
        self.revoking = chance.choice((0.0, 0.0, 0.005))
        self._texts = 0
        self._healed = False

    def play(self) -> Tally:
        """Runs it all. Raises `Violation`."""
        world = self.world
        for device in self.devices:
            world.after(world.between(0.0, 2.0), device.come)
            world.after(world.between(0.0, 3.0), lambda device=device: self._live(device))  # type: ignore[misc]
        for _ in range(int(STORM_S)):
            world.run_until(world.now + 1.0)
            self._attack()
        self._heal()
        if self.revoking:
            # One that has nothing more to write, so that no refused append tells it.
            world.run_until(world.now + QUIET_S)
            self._revoke(world.chance.choice(self.devices))
        deadline = world.now + HEAL_S
        while world.now < deadline:
            world.run_until(world.now + 5.0)
            if self._quiet():
                break
        self.tally.steps = world.steps
        self._check()
        return self.tally

    # Life

    def _live(self, device: SimulatedDevice) -> None:
        if self._healed:
            return
        world = self.world
        for operation in self._wishes(device):
            device.ask(operation)
        self._follow_what_may_be_followed(device)
        world.after(world.chance.expovariate(1.0), lambda: self._live(device))

    def _wishes(self, device: SimulatedDevice) -> list[Operation]:
        chance = self.world.chance
        community = chance.choice(self.communities)
        general = community.streams[1]
        copy = device.copies.get(general, {})
        target = chance.choice(sorted(copy)) if copy else 1
        kind = chance.random()
        if device.user not in community.members:
            return [Join(community.id)] if kind < 0.3 else []
        if kind < 0.60:
            return [Say(general, self._text()) for _ in range(chance.choice((1, 1, 1, 5)))]
        if kind < 0.70:
            others = tuple(user for user in community.members if user != device.user)
            return [Post(general, self._text(), 0, others[:2])]
        if kind < 0.78:
            return [React(general, target, "+1", chance.random() < 0.7)]
        if kind < 0.86:
            return [MarkRead(general, target)]
        if kind < 0.90:
            return [Edit(general, target, self._text())]
        if kind < 0.93:
            return [Delete(general, target)]
        if kind < 0.95:
            return [Leave(community.id)]
        if kind < 0.97:
            return [Remove(community.id, chance.choice(sorted(community.members)))]
        device.chatter(general, community.id)
        return []

    def _text(self) -> str:
        self._texts += 1
        return f"text {self._texts}"

    def _follow_what_may_be_followed(self, device: SimulatedDevice) -> None:
        """As an app does after it heard in its inbox that it is a member; here it simply knows."""
        for community in self.communities:
            if device.user in community.members:
                for stream in community.streams:
                    if device.positions.phase(stream) is Phase.ASLEEP and self.world.happens(0.7 if not self._healed else 1.0):
                        device.follow(stream)

    # Attack and healing

    def _attack(self) -> None:
        world, chance = self.world, self.world.chance
        for facts in (self.database.deliver_outbox(int(world.wall())),):
            living = [gateway for gateway in self.gateways if gateway.up]
            if living and facts:
                gateway = chance.choice(living)
                gateway.exchange.committed(facts)
                gateway.pump()
        if self._healed:
            return
        for device in self.devices:
            if world.happens(self.restless):
                self.tally.cuts += 1
                device.lose_line()
            if world.happens(self.revoking):
                self._revoke(device)
        for gateway in self.gateways:
            if world.happens(self.poisonous):
                self.tally.crashes += 1
                gateway.poison()
            if gateway.up and world.happens(self.deadly):
                self.tally.kills += 1
                gateway.kill()
                world.after(world.between(0.5, 15.0), lambda gateway=gateway: self._restart(gateway))  # type: ignore[misc]
        if world.happens(0.02):
            self.faults.link_away = not self.faults.link_away
            world.tell("redis", "is away" if self.faults.link_away else "is back")
            if self.faults.link_away:
                self.hub.fall()
            else:
                self.hub.heal()

    def _revoke(self, device: SimulatedDevice) -> None:
        """Its session is ended from elsewhere: whatever is lost on the way, it must be over in the end, and write nothing more."""
        if device.row.revoked:
            return
        self.world.tell(device.name, "has its session ended")
        self.tally.revocations += 1
        facts = self.database.revoke(device.row, int(self.world.wall()))
        for gateway in self.gateways:
            if gateway.up:
                gateway.exchange.committed(facts)
                gateway.pump()
                return

    def _restart(self, gateway: SimulatedGateway) -> None:
        if not gateway.up:
            self.world.tell(f"gateway {gateway.number}", "starts")
            gateway.start()

    def _heal(self) -> None:
        self.world.tell("world", "heals")
        self._healed = True
        was_away = self.faults.link_away
        self.faults.heal()
        if was_away:
            self.hub.heal()
        for gateway in self.gateways:
            self._restart(gateway)

    def _quiet(self) -> bool:
        """Everybody is online, nothing is unanswered, and every copy has reached its end."""
        self._attack()
        for device in self.devices:
            self._follow_what_may_be_followed(device)
        return not any(self._missing(device) for device in self.devices)

    def _missing(self, device: SimulatedDevice) -> str:
        if device.row.revoked:
            return "" if device.ended else f"{device.name} goes on although its session was ended"
        if not device.online:
            return f"{device.name} is not online but {device.session.state.value}"
        if len(device.ledger):
            return f"{device.name} has {len(device.ledger)} mutations without an outcome"
        for stream in self._readable(device):
            if device.positions.phase(stream) is not Phase.LIVE:
                return f"{device.name} does not follow stream {stream} live"
            if device.positions.cursor(stream) != len(self.database.rows(stream)):
                return f"{device.name} is at {device.positions.cursor(stream)} of {len(self.database.rows(stream))} in stream {stream}"
        return ""

    def _readable(self, device: SimulatedDevice) -> list[int]:
        streams = [self.database.inboxes[device.user]]
        for community in self.communities:
            if device.user in community.members:
                streams += community.streams
        return streams

    # The check

    def _check(self) -> None:
        for device in self.devices:
            missing = self._missing(device)
            if missing:
                raise Violation(f"{HEAL_S:g} s after healing {missing}")
            for stream in self._readable(device) if not device.row.revoked else ():
                self._compare(device, stream)
            self._check_acknowledged(device)
        self._check_once()
        self.tally.acknowledged = sum(len(device.acknowledged) for device in self.devices)
        self.tally.refused = sum(len(device.refused) for device in self.devices)
        self.tally.events = sum(len(stream.log) for stream in self.database.streams.values())

    def _compare(self, device: SimulatedDevice, stream: int) -> None:
        """Snapshot + events = fresh snapshot: what the device folded equals what somebody sees who comes now."""
        copy = device.copies.get(stream, {})
        mine = fold([(seq, *copy[seq]) for seq in sorted(copy)])
        rows = self.database.rows(stream)
        fresh = fold([(row.seq, row.author, _body(row.body)) for row in rows])
        if sorted(copy) != list(range(1, len(rows) + 1)):
            raise Violation(f"{device.name} has a gap in stream {stream}")
        if mine != fresh:
            differing = sorted(seq for seq in fresh if mine.get(seq) != fresh[seq])
            raise Violation(
                f"{device.name} sees stream {stream} differently at {differing[:5]}: {mine.get(differing[0])} for {fresh[differing[0]]}"
            )

    def _check_acknowledged(self, device: SimulatedDevice) -> None:
        for operation, value in device.acknowledged:
            if isinstance(operation, Say | Post):
                rows = self.database.rows(operation.stream)
                if not 0 < value <= len(rows) or rows[value - 1].author != device.user:
                    raise Violation(f"{device.name}: {operation.text!r} was acknowledged as {value} and is not there")
                body = _body(rows[value - 1].body)
                if isinstance(body, Said) and body.text != operation.text:
                    raise Violation(f"{device.name}: {operation.text!r} was acknowledged as {value}, where {body.text!r} stands")

    def _check_once(self) -> None:
        """Every text was put into a stream at most once, and exactly once if it was acknowledged."""
        seen: dict[str, int] = {}
        for stream in self.database.streams.values():
            for row in stream.log:
                body = _body(row.body)
                if isinstance(body, Said):
                    seen[body.text] = seen.get(body.text, 0) + 1
        doubled = [text for text, count in seen.items() if count > 1]
        if doubled:
            raise Violation(f"{doubled[:3]} stand in the log more than once")


def _body(raw: bytes) -> AnyBody:
    if raw == TOMBSTONE:
        return Redacted()
    body = decode_body(raw)
    assert not type(body).__name__.startswith("Unknown")
    return body  # type: ignore[return-value]


def fold(events: list[tuple[int, int, AnyBody]]) -> dict[int, tuple[int, str]]:
    """A stream's present texts: by number, the author and the text ("" for what is taken back, the kind for other events)."""
    state: dict[int, tuple[int, str]] = {}
    for seq, author, body in events:
        match body:
            case Said() | Posted():
                state[seq] = (author, body.text)
            case Redacted():
                state[seq] = (author, "")
            case Edited():
                state[seq] = (author, "")
                if body.target in state and state[body.target][1]:
                    state[body.target] = (state[body.target][0], body.text)
            case Deleted():
                state[seq] = (author, "deleted")
                if body.target in state:
                    state[body.target] = (state[body.target][0], "")
            case _:
                state[seq] = (author, type(body).__name__)
    return state

"""What people do in a simulated world: talk, write records, come and go, look things up, and begin before they are welcome.

    Life ─wishes─▶ operations, durable        ─questions─▶ requests, answered once or lost with the socket
         ─scenery─▶ which streams there are for whom

A choice may be wrong (a message that is gone, a space that one has left): refusals are part of life.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from client.positions import Phase
from proofs.simulation.database import Database
from proofs.simulation.device import SimulatedDevice
from proofs.simulation.rows import Space
from proofs.simulation.world import World
from protocol.chunks import pack
from protocol.entities import TABLE, Entity, Fields, write_fields
from protocol.frames import (
    AnyRequest,
    Command,
    Conflicts,
    Follow,
    History,
    Holding,
    Inherit,
    Members,
    Mutate,
    Overview,
    Ping,
    Refresh,
    Search,
    Sent,
    Snapshot,
    TakeTicket,
    Typing,
    Unapplied,
    Unfollow,
    Versions,
    Watch,
)
from protocol.operations import (
    Change,
    Claim,
    Delete,
    Discard,
    Edit,
    Held,
    Hold,
    Join,
    Leave,
    MarkRead,
    Operation,
    Post,
    React,
    Release,
    Remove,
    Reopen,
    Resolve,
    Say,
    SetBack,
    SetRole,
)
from protocol.values import Choice, Role, StreamKind

WORDS: dict[Entity, int] = {
    Entity.ANSWER: 3,
    Entity.PROFILE: 1,
    Entity.PREFERENCES: 2,
    Entity.BOOKMARK: 3,
    Entity.DRAFT: 3,
    Entity.ACTION: 1,
    Entity.CONTENT: 1,
    Entity.LESSON: 1,
    Entity.DRAFT_QUESTION: 3,
    Entity.ENROLMENT: 4,
    Entity.GRADE: 4,
}
"""A field that holds words, of an entity of every rule in every kind of stream, and of one that only the server writes."""
WRITTEN = (Entity.PROGRESS, *WORDS)
"""What is written in a life. Of progress, field 1 holds a percentage."""
KEYS = 2
NOWHERE = 9_999
"""A stream, a space and a device that do not exist."""


class Life:
    """See the module."""

    def __init__(self, world: World, database: Database, communities: list[Space], lost_devices: dict[int, int]) -> None:
        """`lost_devices`: a device of each user that nobody will ever use again."""
        self._world = world
        self._database = database
        self.communities = communities
        self._lost_devices = lost_devices
        self._texts = 0

    # Scenery

    def readable(self, user: int) -> list[int]:
        """Every stream that this account may read now, for good reasons."""
        streams = []
        for space in self._database.spaces.values():
            if user in space.members:
                streams += [stream for stream in space.streams if self._database.may_read(stream, user)]
        return streams

    def follow_what_may_be_followed(self, device: SimulatedDevice, probability: float) -> None:
        """As an app does after it heard in its inbox that it is a member; here it simply knows."""
        for stream in self.readable(device.user):
            if device.positions.phase(stream) is Phase.ASLEEP and self._world.happens(probability):
                device.follow(stream)

    def _stream(self, user: int, kind: StreamKind) -> int:
        """One of those; 0 if there is none."""
        streams = self._database.streams
        found = [stream for stream in self.readable(user) if streams[stream].kind is kind]
        return self._world.chance.choice(found) if found else 0

    # Wishes

    def wishes(self, device: SimulatedDevice) -> list[Operation]:
        """What somebody wants done now; now and then nothing."""
        chance = self._world.chance
        community = chance.choice(self.communities)
        general = community.streams[1]
        copy = device.notebook.copies.get(general, {})
        target = chance.choice(sorted(copy)) if copy else 1
        kind = chance.random()
        if device.user not in community.members:
            return [Join(community.id)] if kind < 0.3 else []
        if kind < 0.50:
            return [Say(general, self._text()) for _ in range(chance.choice((1, 1, 1, 5)))]
        if kind < 0.58:
            others = tuple(user for user in community.members if user != device.user)
            return [Post(general, self._text(), chance.choice((0, 0, target, NOWHERE)), others[:2])]
        if kind < 0.64:
            return [React(general, target, "+1", chance.random() < 0.7)]
        if kind < 0.70:
            return [MarkRead(general, target)]
        if kind < 0.74:
            return [Edit(general, target, self._text())]
        if kind < 0.77:
            return [Delete(general, target)]
        if kind < 0.79:
            return [Leave(community.id)]
        if kind < 0.81:
            return [Remove(community.id, chance.choice(sorted(community.members)))]
        if kind < 0.82:
            return [SetRole(community.id, chance.choice(sorted(community.members)), chance.choice(list(Role)))]
        if kind < 0.92:
            return [change for _ in range(chance.choice((1, 2, 6))) if (change := self._change(device)) is not None]
        if kind < 0.97:
            return self._decisions(device, community)
        return []

    def _text(self) -> str:
        self._texts += 1
        return f"text {self._texts}"

    def _change(self, device: SimulatedDevice) -> Change | None:
        chance = self._world.chance
        entity = chance.choice(WRITTEN)
        declaration = TABLE[entity]
        stream = self._stream(device.user, declaration.stream)
        if not stream:
            return None
        key = 1 if declaration.single else chance.randint(1, KEYS)
        base = device.notebook.versions.get((stream, entity, key), 0)
        gone = declaration.deletable and base > 0 and chance.random() < 0.2
        fields: Fields = {} if gone else {1: chance.randint(0, 100)} if entity is Entity.PROGRESS else {WORDS[entity]: self._text()}
        return Change(stream, entity, key, int(self._world.wall()), write_fields(fields), base, gone)

    def _decisions(self, device: SimulatedDevice, community: Space) -> list[Operation]:
        chance, tables = self._world.chance, self._database.tables
        conflict = chance.choice(sorted(tables.conflicts) or [1])
        item = chance.choice(sorted(tables.unapplied) or [1])
        row = tables.conflicts.get(conflict)
        version = tables.record(row.place).version if row is not None else 0
        held = tuple(Held(stream, rank) for rank, stream in enumerate(self.readable(device.user)[:3]))
        return [
            chance.choice(
                (
                    Claim(conflict, chance.random() < 0.5),
                    Resolve(conflict, chance.choice((Choice.MINE, Choice.THEIRS)), version, int(self._world.wall())),
                    Reopen(conflict),
                    Release(item),
                    Discard(item),
                    Hold(held, chance.choice((0, 1_000_000))),
                    SetBack(community.id, chance.choice(sorted(community.members)), chance.randint(1, KEYS)),
                )
            )
        ]

    # Questions

    def question(self, device: SimulatedDevice) -> AnyRequest | Typing:
        """Something to look up, to turn on or off, or to say in passing; now and then about what is not there."""
        chance = self._world.chance
        community = chance.choice(self.communities)
        space = chance.choice((community.id, community.id, NOWHERE))
        stream = chance.choice((*self.readable(device.user), NOWHERE))
        id = device.notebook.next_request()
        asking: tuple[Callable[[], AnyRequest | Typing], ...] = (
            lambda: Ping(id, int(self._world.wall() * 1000)),
            lambda: Refresh(id, chance.choice((device.token(), "spoiled", f"{device.user}:{NOWHERE}:1:{2**40}"))),
            lambda: self._unfollow(device, id, stream),
            lambda: Overview(id),
            lambda: History(id, stream, *chance.choice(((0, 1), (5, 0), (3, 3), (9, 0))), limit=4),
            lambda: Typing(community.streams[1]),
            lambda: Typing(community.streams[1]),
            lambda: Watch(id, space, chance.random() < 0.7),
            lambda: Watch(id, space, chance.random() < 0.7),
            lambda: Members(id, space, limit=2),
            lambda: Search(id, chance.choice(("user1", "nobody"))),
            lambda: Snapshot(id, stream),
            lambda: Conflicts(id, open_only=chance.random() < 0.5),
            lambda: Unapplied(id, 0, chance.choice((0, space))),
            lambda: Versions(id, stream, int(chance.choice(list(Entity))), 1),
            lambda: Inherit(
                id, chance.choice((device.row.id, NOWHERE, self._lost_devices[device.user])), (Sent(1, chance.getrandbits(16)),)
            ),
            lambda: Holding(id),
            lambda: TakeTicket(id),
        )
        return chance.choice(asking)()

    def _unfollow(self, device: SimulatedDevice, id: int, stream: int) -> Unfollow:
        """It will be wanted again soon."""
        device.positions.rest(stream)
        return Unfollow(id, stream)

    def early(self, device: SimulatedDevice) -> list[Command]:
        """What a device may send behind its `Hello`: questions, and again what it had sent before, under its numbers."""
        commands: list[Command] = [self.question(device) for _ in range(self._world.chance.choice((1, 2, 6)))]
        numbered = [entry for entry in device.notebook.ledger.entries() if entry.number][:4]
        for entry in numbered:
            commands.append(Mutate(entry.number, Raw(entry.operation)))
        changes = [entry for entry in numbered if isinstance(device.notebook.operations[entry.key], Change)]
        if changes:
            commands.append(pack(changes[0].number, [changes[0].operation]))
        stream = self._world.chance.choice(self.readable(device.user))
        if device.positions.phase(stream) is not Phase.ASLEEP:
            request = device.notebook.next_request()
            commands.append(Follow(request, stream, device.positions.asked(stream, request)))
        return commands

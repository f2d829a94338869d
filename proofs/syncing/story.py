"""A story of devices, people and a server, as Hypothesis makes them up and makes them short: each rule is one thing that happens.

    write · delete · move · set back · decide      talk · talk together · cut · crash · clone      clocks · time · backup · restore
                                         ╰──── in the end: heal, and every promise is checked ────╯

Choices are small numbers that are counted around whatever there is, so that a story stays a story when one of its steps is left out.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from client.errors import QueueFull
from proofs.syncing.device import Crash, Device
from proofs.syncing.promises import check
from proofs.syncing.world import World
from protocol.entities import TABLE, Entity, Fields
from protocol.operations import AnyOperation, Claim, Discard, Join, Leave, Release, Remove, Reopen, Resolve, SetBack, SetRole
from protocol.values import Choice, Role

KEYS = 2
WORD_FIELDS = {
    Entity.ANSWER: (3,),
    Entity.PROFILE: (1, 4),
    Entity.PREFERENCES: (2,),
    Entity.BOOKMARK: (3,),
    Entity.DRAFT: (3,),
    Entity.ACTION: (1, 2),
    Entity.CONTENT: (1, 2),
    Entity.LESSON: (1, 2),
    Entity.DRAFT_QUESTION: (3, 7),
    Entity.GRADE: (4,),
}
"""Of an entity of every rule in every kind of stream, and of one that only the server writes, the fields that hold words."""
ENTITIES = (Entity.PROGRESS, *WORD_FIELDS, Entity.CONTENT, Entity.ACTION, Entity.PROGRESS)
WHICH = st.integers(0, 8)
FRAMES = st.sampled_from((1, 2, 3, 5, 8, 20, 200, 200))
CRASH_AFTER = st.sampled_from((0, 0, 0, 1, 2, 3, 5, 9))
SECONDS = st.sampled_from((0, 0, 5, -5, 3600, -3600, 10 * 365 * 86_400, -(10 * 365 * 86_400)))


Write = tuple[Entity, int, int, bool]
WRITE = st.tuples(st.sampled_from(ENTITIES), st.integers(1, KEYS), st.integers(0, 3), st.booleans())


class Story(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._words = 0
        self._broken = True
        """Until the scene is set: what broke before that is not healed."""

    @initialize()
    def know_each_other(self) -> None:
        """Every device has been online once: it knows its streams."""
        for device in self.world.devices:
            self.world.converse(device)
            device.cut()
        self._broken = False

    # What people do

    @rule(which=WHICH, writes=st.lists(WRITE, min_size=1, max_size=5))
    def write(self, which: int, writes: list[Write]) -> None:
        """A person writes several things, on line or off."""
        for one in writes:
            self._write(self._device(which), *one)

    @rule(which=WHICH, writes=st.lists(WRITE, min_size=1, max_size=5), frames=FRAMES)
    def come_and_write(self, which: int, writes: list[Write], frames: int) -> None:
        """They catch up, write, and are gone before all of it is up."""
        device = self._device(which)
        self._connect(device)
        self.world.talk([device], 200)
        for one in writes:
            self._write(device, *one)
        self.world.talk([device], frames)
        device.cut()

    @rule(first=WHICH, second=WHICH, write=WRITE, other=WRITE, together=st.booleans())
    def meet(self, first: int, second: int, write: Write, other: Write, together: bool) -> None:
        """Two devices know the same, and then write the same record without hearing of each other."""
        devices = [self._device(first), self._device(second)]
        for device in devices:
            self.world.converse(device)
            device.cut()
        self._write(devices[0], *write)
        self._write(devices[1], write[0], *write[1:3], other[3])
        for device in devices:
            self._connect(device)
            if not together:
                self.world.talk([device], 200)
        self.world.talk(devices, 200)

    @rule(which=WHICH, entity=st.sampled_from((Entity.BOOKMARK, Entity.DRAFT, Entity.ACTION, Entity.CONTENT)), key=st.integers(1, KEYS))
    def delete(self, which: int, entity: Entity, key: int) -> None:
        device = self._device(which)
        stream = self._stream(device, entity, key)
        if stream:
            self._submit_change(device, stream, entity, key, {}, gone=True)

    @rule(which=WHICH, community=st.integers(0, 1), kind=st.integers(0, 4), other=st.integers(0, 2), role=st.sampled_from(Role))
    def move(self, which: int, community: int, kind: int, other: int, role: Role) -> None:
        space, user = self.world.communities[community], self.world.users[other]
        operations: tuple[AnyOperation, ...] = (Join(space), Join(space), Leave(space), Remove(space, user), SetRole(space, user, role))
        self._submit(self._device(which), operations[kind])

    @rule(which=WHICH, community=st.integers(0, 1), other=st.integers(0, 2), key=st.integers(1, KEYS), percent=st.sampled_from((0, 10, 50)))
    def set_back(self, which: int, community: int, other: int, key: int, percent: int) -> None:
        space, user = self.world.communities[community], self.world.users[other]
        self._submit(self._device(which), SetBack(space, user, key, percent))

    @rule(which=WHICH, conflict=st.integers(0, 5), kind=st.integers(0, 4), choice=st.sampled_from(Choice))
    def decide(self, which: int, conflict: int, kind: int, choice: Choice) -> None:
        """About a conflict that some device has listed; to open one again its writer must know of it otherwise."""
        if kind == 0:
            known = sorted(self.world.database.tables.conflicts.values(), key=lambda row: row.id)
            if known:
                row = known[conflict % len(known)]
                theirs = [device for device in self.world.devices if device.user == row.user]
                self._submit(theirs[which % len(theirs)], Reopen(row.id))
            return
        deciding = [device for device in self.world.devices if device.exchange.conflicts.listed]
        if not deciding:
            return
        self._decide(deciding[which % len(deciding)], conflict, kind, choice)

    @rule(first=WHICH, second=WHICH, key=st.integers(1, KEYS), choice=st.sampled_from(Choice), frames=FRAMES)
    def disagree(self, first: int, second: int, key: int, choice: Choice, frames: int) -> None:
        """Two write the same section of a text, and whoever was later looks at both and decides."""
        section = (Entity.CONTENT, key, 0, True)
        self.meet(first, second, section, section, together=False)
        device = self._device(second)
        self.world.converse(device)
        self._decide(device, 0, 2, choice)
        self._connect(device)
        self.world.talk([device], frames)
        device.cut()

    def _decide(self, device: Device, conflict: int, kind: int, choice: Choice) -> None:
        listed = device.exchange.conflicts.listed
        if not listed:
            return
        one = listed[conflict % len(listed)]
        if kind == 1:
            self._submit(device, Claim(one.conflict, choice is not Choice.MERGED))
            return
        at = int(device.wall())
        if choice is Choice.MERGED:
            fields = self._fields(Entity(one.entity), conflict, True)
            change = device.exchange.replica.change(one.stream, one.entity, one.key, fields, at=at)
            self._submit(device, Resolve(one.conflict, choice, one.version, at, change.fields))
        else:
            self._submit(device, Resolve(one.conflict, choice, one.version, at))

    @rule(which=WHICH, item=st.integers(0, 5), discard=st.booleans())
    def see_to_unapplied(self, which: int, item: int, discard: bool) -> None:
        known = sorted(self.world.database.tables.unapplied)
        if known:
            id = known[item % len(known)]
            self._submit(self._device(which), Discard(id) if discard else Release(id))

    # What happens to devices

    @rule(which=WHICH, frames=FRAMES, stays=st.booleans(), crash_after=CRASH_AFTER)
    def talk(self, which: int, frames: int, stays: bool, crash_after: int) -> None:
        """A device is online for so many frames; perhaps its process is killed at a call of the store."""
        device = self._device(which)
        device.store.calls_left = crash_after
        if device.socket is None:
            self._connect(device)
        self.world.talk([device], frames)
        device.store.calls_left = 0
        if not stays:
            device.cut()

    @rule(first=WHICH, second=WHICH, third=WHICH, frames=FRAMES)
    def talk_together(self, first: int, second: int, third: int, frames: int) -> None:
        """Several devices at once; what they send meets in one transaction."""
        devices = list({id(device): device for device in (self._device(which) for which in (first, second, third))}.values())
        for device in devices:
            if device.socket is None:
                self._connect(device)
        self.world.talk(devices, frames)

    @rule(which=WHICH)
    def cut(self, which: int) -> None:
        self._device(which).cut()

    @rule(which=WHICH)
    def crash(self, which: int) -> None:
        self._device(which).crash()

    @rule(which=WHICH, writes=st.lists(WRITE, max_size=3), frames=st.integers(8, 20))
    def clone(self, which: int, writes: list[Write], frames: int) -> None:
        """A store is copied, perhaps with something in it that was sent and not answered; then both go on under the same numbers."""
        device = self._device(which)
        self._come(device, writes, frames)
        copied = self.world.clone(device)
        if copied is not None:
            self._come(copied, writes, frames)
        self._come(device, writes, 200)

    @rule(which=WHICH, writes=st.lists(WRITE, min_size=1, max_size=3), others=st.lists(WRITE, min_size=1, max_size=3))
    def restore_while_copied(self, which: int, writes: list[Write], others: list[Write]) -> None:
        """A store is copied, and before that is found out the database goes back to that time; then the copy comes first."""
        device = self._device(which)
        self._come(device, [], 200)
        self.world.back_up()
        copied = self.world.clone(device)
        self._come(device, writes, 200)
        self.world.restore()
        if copied is not None:
            self._come(copied, others, 200)

    def _come(self, device: Device, writes: list[Write], frames: int) -> None:
        """Comes online, writes, and is cut after so many frames."""
        for one in writes:
            self._write(device, *one)
        self._connect(device)
        self.world.talk([device], frames)
        device.cut()

    @rule(which=WHICH)
    def log_in_anew(self, which: int) -> None:
        """The same person logs in as a new device, over the store that the device before has left."""
        device = self._device(which)
        device.cut()
        device.device, device.session = self.world.fork(device.user)
        device.begin()

    @rule(which=WHICH, wrong_s=SECONDS, lies_s=SECONDS)
    def set_clock(self, which: int, wrong_s: int, lies_s: int) -> None:
        device = self._device(which)
        device.wrong_s, device.lies_s = wrong_s, lies_s

    # What happens to the server

    @rule(seconds=st.sampled_from((1, 60, 86_400)))
    def let_time_pass(self, seconds: int) -> None:
        self.world.now += seconds

    @rule()
    def pass_horizon(self) -> None:
        self.world.pass_horizon()

    @rule()
    def back_up(self) -> None:
        self.world.back_up()

    @rule()
    def restore(self) -> None:
        self.world.restore()

    # The end

    def teardown(self) -> None:
        if not self._broken:
            self.world.heal()
            check(self.world)

    # Choices

    def _device(self, which: int) -> Device:
        return self.world.devices[which % len(self.world.devices)]

    def _connect(self, device: Device) -> None:
        try:
            device.connect()
        except Crash:
            device.crash()

    def _stream(self, device: Device, entity: Entity, number: int) -> int:
        """One of those that the device believes to have; 0 if there is none."""
        of_kind = [one.stream for one in device.exchange.sync_streams.all() if one.kind is TABLE[entity].stream]
        return of_kind[number % len(of_kind)] if of_kind else 0

    def _write(self, device: Device, entity: Entity, key: int, number: int, also: bool) -> None:
        stream = self._stream(device, entity, number)
        if stream:
            self._submit_change(device, stream, entity, 1 if TABLE[entity].single else key, self._fields(entity, number, also))

    def _fields(self, entity: Entity, number: int, also: bool) -> Fields:
        """Words that nobody has entered before; of progress, some of it."""
        if entity is Entity.PROGRESS:
            return {1: 25 * (number + 1), 3: number}
        self._words += 1
        fields = WORD_FIELDS[entity]
        return {field: f"w{self._words}" for field in (fields if also else fields[number % len(fields) :][:1])}

    def _submit_change(self, device: Device, stream: int, entity: Entity, key: int, fields: Fields, *, gone: bool = False) -> None:
        at = int(device.wall())
        self._submit(device, device.exchange.replica.change(stream, entity, key, fields, gone=gone, at=at))

    def _submit(self, device: Device, operation: AnyOperation) -> None:
        try:
            pending = device.submit(operation)
        except QueueFull:
            return
        self.world.ledger.enter(pending.operation)

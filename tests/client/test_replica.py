"""The local view of records against a server that merges by the real rules: one's own is seen at once and never vanishes on the way."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw

from client.errors import ServerFault
from client.replica import RecordView, Replica
from client.sqlite_store import MemoryStore
from client.store import Settled, SnapshotMark, read_change
from client.watching import NAMES_MAX, Name, Watch
from protocol.codec import encode
from protocol.entities import TABLE, Entity, Fields, Value, read_fields, write_fields
from protocol.events import Changed, RecordItem
from protocol.frames import RecordPage
from protocol.merge import NOTHING, Outcome, Record, Stamp, merge, outcome_value, prepare, set_back
from protocol.operations import Change

STREAM = 50
NOW = 1_800_000_000


def put(store: MemoryStore, replica: Replica, change: Change) -> int:
    """Does what a session does with a change."""
    key = store.append(encode(change))
    replica.appended(key, encode(change))
    return key


def settle(store: MemoryStore, replica: Replica, key: int, outcome: Outcome, n: int) -> None:
    value = outcome_value(outcome, n)
    store.settle([Settled(key, 0, value, "", NOW)])
    replica.settled(key, 0, value)


def item(entity: int, key: int, version: int, fields: Fields, gone: bool = False) -> RecordItem:
    return RecordItem(entity, key, version, write_fields(fields), gone)


def about(view: RecordView) -> Value | None:
    return view.fields.get(1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def replica(store: MemoryStore) -> Replica:
    return Replica(store)


# What is seen


def test_a_change_is_seen_at_once_and_over_what_the_server_says(store: MemoryStore, replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {1: "old", 4: "Asia/Tokyo"}),)))
    key = put(store, replica, replica.change(STREAM, Entity.PROFILE, 1, {1: "mine"}, at=NOW))
    replica.hear(STREAM, 2, Changed((item(Entity.PROFILE, 1, 2, {1: "theirs"}),)))
    view = replica.view(STREAM, Entity.PROFILE, 1)
    assert view == RecordView(STREAM, Entity.PROFILE, 1, 2, {1: "mine", 4: "Asia/Tokyo"}, False, (key,))


def test_a_committed_change_is_seen_until_it_comes_as_an_event_also_over_a_restart(store: MemoryStore, replica: Replica) -> None:
    key = put(store, replica, replica.change(STREAM, Entity.PROFILE, 1, {1: "mine"}, at=NOW))
    store.number([(key, 1)])
    settle(store, replica, key, Outcome.MERGED, 2)
    for one in (replica, Replica(store)):
        assert about(one.view(STREAM, Entity.PROFILE, 1)) == "mine"
        assert one.view(STREAM, Entity.PROFILE, 1).pending == ()
        one.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {1: "theirs", 4: "UTC"}),)))
        assert one.view(STREAM, Entity.PROFILE, 1).fields == {1: "mine", 4: "UTC"}
    replica.hear(STREAM, 2, Changed((item(Entity.PROFILE, 1, 2, {1: "mine"}),)))
    replica.hear(STREAM, 3, Changed((item(Entity.PROFILE, 1, 3, {1: "later"}),)))
    assert about(replica.view(STREAM, Entity.PROFILE, 1)) == "later"
    assert about(Replica(store).view(STREAM, Entity.PROFILE, 1)) == "later"


def test_what_was_not_written_gives_way_to_the_servers_value(store: MemoryStore, replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.CONTENT, 7, 1, {1: "theirs"}),)))
    for outcome in (Outcome.REVIEW, Outcome.SUPERSEDED):
        key = put(store, replica, replica.change(STREAM, Entity.CONTENT, 7, {1: "mine"}, at=NOW))
        settle(store, replica, key, outcome, 9)
        assert about(replica.view(STREAM, Entity.CONTENT, 7)) == "theirs"
    key = put(store, replica, replica.change(STREAM, Entity.CONTENT, 7, {1: "mine"}, at=NOW))
    store.settle([Settled(key, 20, 0, "no", NOW)])
    replica.settled(key, 20, 0)
    assert about(replica.view(STREAM, Entity.CONTENT, 7)) == "theirs"


def test_an_echo_that_a_whole_snapshot_did_not_bring_is_over(store: MemoryStore, replica: Replica) -> None:
    """It was written, then deleted by another, and the deletion forgotten: nothing will ever come of it."""
    key = put(store, replica, replica.change(STREAM, Entity.BOOKMARK, 7, {3: "mine"}, at=NOW))
    settle(store, replica, key, Outcome.APPLIED, 1)
    assert replica.hear_page(RecordPage(1, STREAM, 9, (item(Entity.BOOKMARK, 5, 1, {3: "x"}),), True)) == SnapshotMark(STREAM, 9, 5, 5)
    assert replica.view(STREAM, Entity.BOOKMARK, 7).exists
    assert replica.mark(STREAM) == Replica(store).mark(STREAM) == SnapshotMark(STREAM, 9, 5, 5)
    assert replica.hear_page(RecordPage(2, STREAM, 12, (), False)) is None
    for one in (replica, Replica(store)):
        assert not one.view(STREAM, Entity.BOOKMARK, 7).exists and one.mark(STREAM) is None
    assert store.load().cursors == {STREAM: 9}


def test_deleting_and_writing_again_are_seen_in_their_order(store: MemoryStore, replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.BOOKMARK, 7, 1, {3: "a", 2: 5}),)))
    put(store, replica, replica.change(STREAM, Entity.BOOKMARK, 7, {}, gone=True, at=NOW))
    assert replica.view(STREAM, Entity.BOOKMARK, 7).gone and replica.view(STREAM, Entity.BOOKMARK, 7).fields == {}
    assert replica.list(STREAM, Entity.BOOKMARK) == []
    put(store, replica, replica.change(STREAM, Entity.BOOKMARK, 7, {3: "b"}, at=NOW))
    assert [view.fields for view in replica.list(STREAM, Entity.BOOKMARK)] == [{3: "b", 2: 5}]


def test_a_list_has_what_only_this_device_knows_and_not_what_is_gone(store: MemoryStore, replica: Replica) -> None:
    deleted = item(Entity.BOOKMARK, 3, 2, {}, gone=True)
    replica.hear(STREAM, 1, Changed((item(Entity.BOOKMARK, 9, 1, {3: "nine"}), deleted, item(Entity.DRAFT, 4, 1, {3: "draft"}))))
    put(store, replica, replica.change(STREAM, Entity.BOOKMARK, 1, {3: "one"}, at=NOW))
    put(store, replica, replica.change(STREAM + 1, Entity.BOOKMARK, 2, {3: "elsewhere"}, at=NOW))
    assert [(view.key, view.version) for view in replica.list(STREAM, Entity.BOOKMARK)] == [(1, 0), (9, 1)]


def test_progress_shows_the_most_of_its_generation(store: MemoryStore, replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.PROGRESS, 7, 4, {1: 60, 2: 1}),)))
    put(store, replica, replica.change(STREAM, Entity.PROGRESS, 7, {1: 40}, at=NOW))
    assert replica.view(STREAM, Entity.PROGRESS, 7).fields == {1: 60, 2: 1}
    put(store, replica, replica.change(STREAM, Entity.PROGRESS, 7, {1: 80, 3: 12}, at=NOW))
    assert replica.view(STREAM, Entity.PROGRESS, 7).fields == {1: 80, 2: 1, 3: 12}
    replica.hear(STREAM, 2, Changed((item(Entity.PROGRESS, 7, 5, {1: 0, 2: 2}),)))
    assert replica.view(STREAM, Entity.PROGRESS, 7).fields == {1: 0, 2: 2, 3: 12}


def test_a_forgotten_stream_shows_only_what_is_still_on_its_way(store: MemoryStore, replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {1: "old", 4: "UTC"}),)))
    put(store, replica, replica.change(STREAM, Entity.PROFILE, 1, {1: "mine"}, at=NOW))
    assert replica.pending_streams() == {STREAM}
    replica.forget(STREAM)
    assert replica.view(STREAM, Entity.PROFILE, 1).fields == {1: "mine"}


# What is asked for


def test_a_change_has_the_confirmed_version_as_its_base_and_the_known_generation(replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.PROGRESS, 7, 4, {1: 60, 2: 1}),)))
    change = replica.change(STREAM, Entity.PROGRESS, 7, {1: 80}, at=NOW)
    assert (change.base, change.at, read_fields(change.fields)) == (4, NOW, {1: 80, 2: 1})
    assert read_fields(replica.change(STREAM, Entity.PROGRESS, 8, {1: 80}, at=NOW).fields) == {1: 80}


@pytest.mark.parametrize(
    ("entity", "key", "fields", "gone", "wrong"),
    [
        (99, 1, {1: 1}, False, "no entity 99"),
        (Entity.PROGRESS, 7, {1: 101}, False, r"field 1 \(percent\)"),
        (Entity.PROGRESS, 7, {9: 1}, False, "no field 9; it has 1 percent"),
        (Entity.PROGRESS, 7, {}, True, "cannot be deleted"),
        (Entity.PROFILE, 2, {1: "me"}, False, "with key 1"),
        (Entity.BOOKMARK, 2, {}, False, "at least one field"),
    ],
)
def test_a_change_that_no_server_would_take_says_what_is_wrong(
    replica: Replica, entity: int, key: int, fields: Fields, gone: bool, wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        replica.change(STREAM, entity, key, fields, gone=gone, at=NOW)


# What comes from others


def test_what_comes_from_older_and_newer_ones_is_read_as_far_as_it_can_be(replica: Replica) -> None:
    replica.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {2: "de, en"}), item(200, 1, 1, {1: "from the future"}))))
    assert replica.view(STREAM, Entity.PROFILE, 1).fields == {3: ("de", "en")}
    assert not replica.view(STREAM, 200, 1).exists


def test_a_record_that_cannot_be_read_is_the_servers_fault_and_moves_nothing(store: MemoryStore, replica: Replica) -> None:
    with pytest.raises(ServerFault, match="record 1 of entity 3"):
        replica.hear(STREAM, 1, Changed((RecordItem(Entity.PROFILE, 1, 1, Raw(b"\x01")),)))
    assert store.load().cursors == {}


# Who watches


def test_a_watcher_hears_of_each_record_once_until_it_looks(store: MemoryStore, replica: Replica) -> None:
    watch = replica.changes()
    for _ in range(2):
        put(store, replica, replica.change(STREAM, Entity.PROFILE, 1, {1: "mine"}, at=NOW))
    key = put(store, replica, replica.change(STREAM, Entity.PROFILE, 1, {1: "mine"}, at=NOW))
    put(store, replica, replica.change(STREAM, Entity.BOOKMARK, 5, {3: "x"}, at=NOW))
    assert watch.take_nowait() == [(STREAM, Entity.PROFILE, 1), (STREAM, Entity.BOOKMARK, 5)]
    settle(store, replica, key, Outcome.APPLIED, 1)
    assert watch.take_nowait() == [(STREAM, Entity.PROFILE, 1)]
    watch.close()
    replica.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {1: "mine"}),)))
    assert watch.take_nowait() == []


def test_a_watcher_who_is_far_behind_is_told_of_streams(replica: Replica) -> None:
    watch = replica.changes()
    for key in range(1, NAMES_MAX + 10):
        replica.hear(STREAM, key, Changed((item(Entity.BOOKMARK, key, 1, {3: "x"}),)))
        replica.hear(STREAM + 1, key, Changed((item(Entity.BOOKMARK, 1, key, {3: "x"}),)))
    assert watch.take_nowait() == [(STREAM + 1, Entity.BOOKMARK, 1), (STREAM, 0, 0)]


def test_many_streams_are_a_bounded_number_of_names() -> None:
    watch = Watch(lambda _: None)
    for stream in range(1, 5):
        for key in range(1, NAMES_MAX + 2):
            watch.put((stream, 3, key))
    assert len(watch.take_nowait()) <= NAMES_MAX + 1


async def test_a_watcher_waits_and_is_let_go(replica: Replica, nursery: trio.Nursery) -> None:
    heard: list[Name] = []

    async def listen(watch: Watch) -> None:
        async for name in watch:
            heard.append(name)
        heard.append((0, 0, 0))

    with replica.changes() as watch:
        nursery.start_soon(listen, watch)
        await trio.testing.wait_all_tasks_blocked()
        replica.hear(STREAM, 1, Changed((item(Entity.PROFILE, 1, 1, {1: "mine"}),)))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [(STREAM, Entity.PROFILE, 1)]
    await trio.testing.wait_all_tasks_blocked()
    assert heard[-1] == (0, 0, 0)


# Against a server


def percent(view: RecordView) -> int:
    """How far a lesson is shown to be."""
    shown = view.fields.get(1, 0)
    assert isinstance(shown, int)
    return shown


class DeviceAndServer(RuleBasedStateMachine):
    """One device of two writers, with outcomes and events on their way at their own pace, restarts, and snapshots."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.replica = Replica(self.store)
        self.records: dict[tuple[int, int], Record] = {}
        self.log: list[Changed] = []
        self.heads: list[dict[tuple[int, int], Record]] = [{}]
        self.unsent: list[int] = []
        self.outcomes: list[tuple[int, int]] = []
        self.heard = 0
        self.number = 0
        self.at = NOW

    def write(self, device: int, change: Change) -> int:
        self.number += 1
        declaration = TABLE[change.entity]
        name = (change.entity, change.key)
        written = prepare(declaration, change.key, change.base, read_fields(change.fields), change.gone)
        verdict = merge(declaration, self.records.get(name, NOTHING), written, Stamp(change.at, device, self.number))
        self.tell(name, verdict.record, verdict.told)
        n = 77 if verdict.outcome is Outcome.REVIEW else verdict.record.version
        return outcome_value(verdict.outcome, n)

    def tell(self, name: tuple[int, int], record: Record, told: Fields | None) -> None:
        self.records[name] = record
        if told is not None:
            self.log.append(Changed((item(*name, record.version, told, record.is_gone),)))
            self.heads.append(dict(self.records))

    entities = st.sampled_from([Entity.PROGRESS, Entity.ACTION, Entity.CONTENT, Entity.BOOKMARK])

    def fields(self, entity: int, value: int) -> Fields:
        return {1: value} if entity in (Entity.PROGRESS, Entity.BOOKMARK) else {1: f"title {value}"}

    @rule(entity=entities, key=st.integers(1, 2), value=st.integers(0, 100), gone=st.booleans())
    def write_here(self, entity: Entity, key: int, value: int, gone: bool) -> None:
        self.at += 1
        gone = gone and TABLE[entity].deletable
        before = self.replica.view(STREAM, entity, key)
        change = self.replica.change(STREAM, entity, key, {} if gone else self.fields(entity, value), gone=gone, at=self.at)
        self.unsent.append(put(self.store, self.replica, change))
        view = self.replica.view(STREAM, entity, key)
        if gone:
            assert view.gone
        elif entity is not Entity.PROGRESS:
            assert view.fields[1] == self.fields(entity, value)[1]
        else:
            assert view.fields[1] == max(percent(before), value)

    @rule(entity=entities, key=st.integers(1, 2), value=st.integers(0, 100), knows=st.booleans(), gone=st.booleans())
    def write_elsewhere(self, entity: Entity, key: int, value: int, knows: bool, gone: bool) -> None:
        self.at += 1
        record = self.records.get((entity, key), NOTHING)
        gone = gone and TABLE[entity].deletable
        fields = {} if gone else self.fields(entity, value)
        if entity is Entity.PROGRESS and 2 in record.fields:
            fields = {**fields, 2: record.fields[2]}
        self.write(2, Change(STREAM, entity, key, self.at, write_fields(fields), record.version if knows else 0, gone))

    @precondition(lambda self: (Entity.PROGRESS, 1) in self.records)
    @rule(percent=st.integers(0, 50))
    def set_back(self, percent: int) -> None:
        self.at += 1
        self.number += 1
        name = (int(Entity.PROGRESS), 1)
        verdict = set_back(self.records[name], percent, Stamp(self.at, 3, self.number))
        self.tell(name, verdict.record, verdict.told)

    @precondition(lambda self: self.unsent)
    @rule()
    def send(self) -> None:
        key = self.unsent.pop(0)
        (kept,) = [kept for kept in self.store.load().mutations if kept.key == key]
        change = read_change(kept.operation)
        assert change is not None
        self.outcomes.append((key, self.write(1, change)))

    @precondition(lambda self: self.outcomes)
    @rule()
    def hear_outcome(self) -> None:
        key, value = self.outcomes.pop(0)
        self.store.settle([Settled(key, 0, value, "", NOW)])
        self.replica.settled(key, 0, value)

    @precondition(lambda self: self.heard < len(self.log))
    @rule()
    def hear_event(self) -> None:
        self.heard += 1
        self.replica.hear(STREAM, self.heard, self.log[self.heard - 1])

    @rule()
    def start_again(self) -> None:
        before = {name: self.replica.view(STREAM, *name) for name in self.records}
        self.replica = Replica(self.store)
        assert before == {name: self.replica.view(STREAM, *name) for name in self.records}

    @precondition(lambda self: not self.outcomes)
    @rule()
    def take_snapshot(self) -> None:
        """What is answered is in it, because it is taken now."""
        items = [item(*name, record.version, record.fields) for name, record in sorted(self.records.items()) if self.is_live(record)]
        half = len(items) // 2
        assert self.replica.hear_page(RecordPage(1, STREAM, len(self.log), tuple(items[:half]), True)) is not None
        self.replica.hear_page(RecordPage(2, STREAM, len(self.log), tuple(items[half:]), False))
        self.heard = self.store.load().cursors[STREAM]
        assert self.heard == len(self.log)

    def is_live(self, record: Record) -> bool:
        return record.version > 0 and not record.is_gone

    @invariant()
    def confirmed_is_a_past_of_the_server(self) -> None:
        if self.unsent or self.outcomes:
            return
        past = self.heads[self.heard]
        for (entity, key), record in self.records.items():
            view = self.replica.view(STREAM, entity, key)
            before = past.get((entity, key), NOTHING)
            if self.heard == len(self.log):
                assert (view.exists, view.fields) == (self.is_live(record), record.fields if self.is_live(record) else {})
            assert view.version in (before.version, 0) or record.is_gone

    def teardown(self) -> None:
        """Once all is heard, the device shows what the server has."""
        while self.unsent:
            self.send()
        while self.outcomes:
            self.hear_outcome()
        while self.heard < len(self.log):
            self.hear_event()
        for (entity, key), record in self.records.items():
            view = self.replica.view(STREAM, entity, key)
            assert view.pending == ()
            assert (view.exists, view.fields) == (self.is_live(record), record.fields if self.is_live(record) else {})


DeviceAndServer.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestDeviceAndServer = DeviceAndServer.TestCase


def test_a_change_costs_the_same_however_many_wait_for_its_record(
    store: MemoryStore, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone types for days without a network; what they wrote before is not read for each pause."""
    for _ in range(5):
        change = replica.change(STREAM, Entity.BOOKMARK, 1, {3: "x"}, at=1)
        replica.appended(store.append(encode(change)), encode(change))
    read: list[object] = []
    monkeypatch.setattr("client.replica.read_fields", lambda raw: read.append(raw) or {})
    replica.change(STREAM, Entity.BOOKMARK, 1, {3: "y"}, at=1)
    assert not read

"""The store port: what it keeps, in memory and in a file, and what becomes of an older file."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.sqlite_store import SETTLED_LEAST, SETTLED_MAX, SETTLED_S, MemoryStore, SqliteStore, StoreFailed, StoreInUse, StoreUnreadable
from client.store import Bookmark, Cause, Confirmed, Kept, Settled, SnapshotMark, Store
from protocol.codec import encode
from protocol.entities import Entity, write_fields
from protocol.merge import Outcome, outcome_value
from protocol.operations import Change, Say
from tests.client.model_store import life, look

COMMITTED = outcome_value(Outcome.APPLIED, 3)
DAY = 86_400
NORMAL, FULL = 1, 2
"""Levels of SQLite's `synchronous`."""


def committed(*keys: int, at: int = 0) -> list[Settled]:
    return [Settled(key, 0, 1, "", at) for key in keys]


def profile(version: int, about: str = "me", key: int = 1) -> Confirmed:
    return Confirmed(50, Entity.PROFILE, key, version, {1: about})


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SqliteStore(tmp_path / "store.db") as sqlite:
            yield sqlite


def test_mutations_are_kept_in_order_with_their_numbers_until_settled(store: Store) -> None:
    keys = [store.append(text) for text in (b"a", b"b", b"c")]
    assert keys == sorted(keys)
    store.number([(keys[0], 7), (keys[1], 8)])
    store.settle(committed(keys[0]))
    assert store.load().mutations == (Kept(keys[1], b"b", 8), Kept(keys[2], b"c", 0))


def test_a_settled_key_is_never_given_again(store: Store) -> None:
    first = store.append(b"a")
    store.settle(committed(first))
    assert store.append(b"b") > first


def test_cursors_move_forward_only(store: Store) -> None:
    store.advance({50: 7, 51: 1})
    store.advance({50: 3})
    store.forget(51)
    assert store.load().cursors == {50: 7}


def test_a_cause_and_a_bookmark_move_with_their_mutation(store: Store) -> None:
    store.append(b"a", Cause(50, 4), Bookmark("file", 12))
    assert store.load().cursors == {50: 4}
    assert (store.bookmark("file"), store.bookmark("other")) == (12, 0)


def test_another_epoch_voids_the_cursors_and_nothing_else(store: Store) -> None:
    store.begin(7)
    store.advance({50: 7})
    store.append(b"a")
    store.begin(7)
    assert store.load().cursors == {50: 7}
    store.begin(8)
    assert (store.load().epoch, store.load().cursors, len(store.load().mutations)) == (8, {}, 1)


def test_another_device_takes_over_only_what_was_never_sent(store: Store) -> None:
    assert store.bind(11) == ()
    sent, unsent = store.append(b"sent"), store.append(b"unsent")
    store.number([(sent, 1)])
    assert store.bind(11) == ()
    assert store.bind(12) == (Kept(sent, b"sent", 1),)
    assert store.load().mutations == (Kept(unsent, b"unsent"),)
    assert store.load().device == 12


def test_a_durable_store_keeps_everything_over_a_process(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as first:
        first.bind(11)
        first.begin(7)
        key = first.append(b"a", Cause(50, 4), Bookmark("file", 12))
        first.number([(key, 1)])
        saved = first.load()
    with SqliteStore(tmp_path / "store.db") as second:
        assert second.load() == saved
        assert second.bookmark("file") == 12


def test_two_sessions_never_share_a_durable_store(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db"), pytest.raises(StoreInUse, match="another program has"):
        SqliteStore(tmp_path / "store.db")


@given(st.integers(0, 2**32))
def test_a_store_does_what_the_simple_one_does(seed: int) -> None:
    store = MemoryStore()
    for step, lived in enumerate(life(seed, 60)):
        assert lived.call(store) == lived.returned, step
        assert look(store) == lived.seen, step


def test_a_copy_has_everything_and_lives_its_own_life(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        for lived in life(3, 60):
            lived.call(store)
        copied = store.copy()
        assert look(copied) == look(store)
        copied.append(b"a")
        assert look(copied) != look(store)


# What was decided


def test_a_refused_mutation_stays_with_its_reason_until_it_is_discarded(store: Store) -> None:
    key = store.append(b"a")
    store.settle([Settled(key, 20, 0, "not there", 7)])
    assert store.load().mutations == () and store.load().settled == ()
    (refused,) = store.unapplied()
    assert (refused.key, refused.operation, refused.code, refused.detail, refused.at) == (key, b"a", 20, "not there", 7)
    store.discard(key)
    assert store.unapplied() == []


def test_committed_mutations_are_kept_for_thirty_days_and_by_number(store: SqliteStore) -> None:
    store = store.copy()  # in memory: these are many
    old, newer = store.append(b"a"), store.append(b"b")
    store.settle(committed(old, at=DAY))
    store.settle(committed(newer, at=SETTLED_S + DAY))
    assert [kept.key for kept in store.load().settled] == [old, newer]
    store.settle(committed(*(store.append(b"c") for _ in range(SETTLED_LEAST)), at=SETTLED_S + DAY))
    assert old in [kept.key for kept in store.load().settled]
    store.settle(committed(store.append(b"c"), at=SETTLED_S + DAY + 1))
    assert next(iter(store.load().settled)).key == newer
    many = [store.append(b"d") for _ in range(SETTLED_MAX)]
    store.settle(committed(*many, at=SETTLED_S + DAY))
    assert [kept.key for kept in store.load().settled] == many


def test_a_clock_that_is_years_ahead_for_a_day_does_not_empty_what_is_kept_for_a_restore(store: Store) -> None:
    keys = [store.append(b"a") for _ in range(10)]
    store.settle(committed(*keys, at=DAY))
    store.settle(committed(store.append(b"b"), at=3650 * DAY))
    assert len(store.load().settled) == 11


def test_a_forgotten_mutation_is_asked_again_in_its_old_place(store: Store) -> None:
    first, second = store.append(b"a"), store.append(b"b")
    store.number([(first, 1), (second, 2)])
    store.settle(committed(first))
    store.ask_again([first])
    assert store.load().mutations == (Kept(first, b"a"), Kept(second, b"b", 2))
    assert store.load().settled == ()
    store.ask_again([first])
    assert len(store.load().mutations) == 2


def test_the_highest_number_is_known_after_it_was_settled(store: Store) -> None:
    store.bind(11)
    key = store.append(b"a")
    store.number([(key, 7)])
    store.settle(committed(key))
    store.freeze_again([(store.append(b"b"), b"c")])
    assert store.load().last_number == 7


def test_a_copy_keeps_the_numbers_of_the_device_before_until_it_is_known_what_became_of_them(store: Store) -> None:
    store.bind(11)
    done, sent, unsent = (store.append(text) for text in (b"done", b"sent", b"unsent"))
    store.number([(done, 1), (sent, 2)])
    store.settle(committed(done))
    store.inherit(12)
    saved = store.load()
    assert (saved.device, saved.inherited_from, saved.last_number) == (12, 11, 0)
    assert saved.mutations == (Kept(sent, b"sent", 2), Kept(unsent, b"unsent"))
    assert saved.settled == (Kept(done, b"done"),)
    store.inherit(13)
    assert store.load().inherited_from == 11
    store.inherited([sent])
    assert store.load().mutations == (Kept(sent, b"sent"), Kept(unsent, b"unsent"))
    assert store.load().inherited_from == 0


def test_what_is_learned_of_the_device_before_is_kept_without_its_number(store: Store) -> None:
    """A restored database's last number is the present device's: compared with it, the other one's would say anything."""
    store.bind(11)
    sent = store.append(b"sent")
    store.number([(sent, 7)])
    store.inherit(12)
    store.settle(committed(sent))
    assert store.load().settled == (Kept(sent, b"sent"),)


# Records


def test_an_event_writes_fields_over_fields_and_only_what_is_newer(store: Store) -> None:
    store.apply(50, 1, [Confirmed(50, Entity.PROFILE, 1, 1, {1: "me", 4: "Asia/Tokyo"})])
    store.apply(50, 2, [Confirmed(50, Entity.PROFILE, 1, 2, {1: "still me"})])
    store.apply(50, 3, [profile(1, "late")])
    held = store.record(50, Entity.PROFILE, 1)
    assert held == Confirmed(50, Entity.PROFILE, 1, 2, {1: "still me", 4: "Asia/Tokyo"})
    assert store.load().cursors == {50: 3}


def test_a_deleted_record_is_held_as_gone_and_comes_back_with_what_is_told(store: Store) -> None:
    store.apply(50, 1, [profile(1)])
    store.apply(50, 2, [Confirmed(50, Entity.PROFILE, 1, 2, {}, gone=True)])
    assert store.record(50, Entity.PROFILE, 1) == Confirmed(50, Entity.PROFILE, 1, 2, {}, gone=True)
    assert store.records(50, Entity.PROFILE) == [] and [size.records for size in store.sizes()] == [0]
    store.apply(50, 3, [Confirmed(50, Entity.PROFILE, 1, 3, {4: "Asia/Tokyo"})])
    assert store.records(50, Entity.PROFILE) == [Confirmed(50, Entity.PROFILE, 1, 3, {4: "Asia/Tokyo"})]


def test_a_snapshot_replaces_what_a_stream_held_also_with_lower_versions(store: Store) -> None:
    store.apply(50, 9, [profile(9, "old history"), profile(9, "not there any more", key=2)])
    store.apply_page(SnapshotMark(50, 4, 3, 1), [profile(2, "new history")], more=True)
    assert [one.key for one in store.records(50, Entity.PROFILE)] == [1, 2]
    assert store.load().snapshots == (SnapshotMark(50, 4, 3, 1),) and store.load().cursors == {50: 9}
    store.apply_page(SnapshotMark(50, 6, 3, 7), [profile(1, "last", key=7)], more=False)
    assert store.records(50, Entity.PROFILE) == [profile(2, "new history"), profile(1, "last", key=7)]
    assert store.load().snapshots == () and store.load().cursors == {50: 4}


def test_a_forgotten_stream_leaves_nothing_but_its_mutations(store: Store) -> None:
    store.append(b"a")
    store.apply(50, 1, [profile(1)])
    store.apply(51, 1, [])
    store.apply_page(SnapshotMark(50, 4), [], more=True)
    store.forget(50)
    assert (store.load().cursors, store.load().snapshots, store.sizes()) == ({51: 1}, (), [])
    assert store.record(50, Entity.PROFILE, 1) is None and len(store.load().mutations) == 1


def test_stored_fields_of_an_older_schema_are_read_as_the_present_one(store: Store) -> None:
    store.apply(50, 1, [Confirmed(50, Entity.PROFILE, 1, 1, {2: "de, en"})])
    store.apply(50, 2, [Confirmed(50, Entity.PROFILE, 1, 2, {1: "me"})])
    assert store.records(50, Entity.PROFILE) == [Confirmed(50, Entity.PROFILE, 1, 2, {1: "me", 3: ("de", "en")})]


def test_a_written_change_is_an_echo_until_its_stream_is_whole_again(store: Store) -> None:
    def settled_echo(operation: bytes) -> int:
        key = store.append(operation)
        store.settle([Settled(key, 0, COMMITTED, "", 1)])
        return {kept.key: kept.echo for kept in store.load().settled}[key]

    change = encode(Change(50, Entity.PROFILE, 1, 1, write_fields({1: "me"})))
    assert settled_echo(encode(Say(50, "hello"))) == 0
    assert settled_echo(change) == 3
    store.apply_page(SnapshotMark(51, 4), [], more=False)
    assert [kept.echo for kept in store.load().settled] == [0, 3]
    store.apply_page(SnapshotMark(50, 4), [], more=False)
    assert [kept.echo for kept in store.load().settled] == [0, 0]


# Files

OLD_LAYOUT = """
CREATE TABLE mutations (key INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL DEFAULT 0, operation BLOB NOT NULL);
CREATE TABLE cursors (stream INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE bookmarks (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO mutations (number, operation) VALUES (5, 'gone'), (6, x'61'), (7, x'62'), (0, x'63');
DELETE FROM mutations WHERE number = 5;
INSERT INTO cursors VALUES (50, 7);
INSERT INTO bookmarks VALUES ('file', 12);
INSERT INTO facts VALUES ('device', 11), ('epoch', 7);
"""


def test_a_file_of_the_first_layout_is_taken_over_whole(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "store.db")
    old.executescript("PRAGMA journal_mode=WAL;" + OLD_LAYOUT)
    old.close()
    for _ in range(2):
        with SqliteStore(tmp_path / "store.db") as store:
            saved = store.load()
            assert (saved.device, saved.epoch, saved.cursors, saved.last_number) == (11, 7, {50: 7}, 7)
            assert saved.mutations[:3] == (Kept(2, b"a", 6), Kept(3, b"b", 7), Kept(4, b"c"))
            assert store.bookmark("file") == 12
            assert store.append(b"d") > 4


def test_an_old_file_in_which_all_was_settled_claims_no_number(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "store.db")
    old.executescript(OLD_LAYOUT + "DELETE FROM mutations;")
    old.close()
    with SqliteStore(tmp_path / "store.db") as store:
        assert store.load().last_number == 0


def test_a_file_of_a_newer_layout_or_none_at_all_is_refused_and_left_alone(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        store.append(b"a")
    newer = sqlite3.connect(tmp_path / "store.db")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(StoreUnreadable, match="layout is 99"):
        SqliteStore(tmp_path / "store.db")
    (tmp_path / "letter.txt").write_text("Dear Ada, this is no database, and long enough to be taken for one." * 20)
    with pytest.raises(StoreUnreadable):
        SqliteStore(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text().startswith("Dear Ada")


def test_a_file_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="unable to open"):
        SqliteStore(tmp_path / "no" / "folder" / "store.db")


def test_a_full_disk_keeps_nothing_half_and_says_so(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        first = store.append(b"a")
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count={pages + 2}")
        before = look(store)
        for call in (
            lambda: store.append(b"x" * 100_000, Cause(50, 9)),
            lambda: store.apply(50, 9, [profile(1), profile(1, "x" * 100_000, key=2)]),
            lambda: store.freeze_again([(first, b"x" * 100_000)]),
        ):
            with pytest.raises(StoreFailed, match="cannot be written: database or disk is full"):
                call()
            assert look(store) == before
        assert store.append(b"b") == first + 1


def test_what_a_promise_depends_on_waits_for_the_disk_and_nothing_else_does(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        levels: list[int] = []

        def synced(call: Callable[[], object]) -> bool:
            statements: list[str] = []
            store._database.set_trace_callback(statements.append)
            call()
            store._database.set_trace_callback(None)
            assert statements[-1] == "COMMIT"
            levels.append(store._database.execute("PRAGMA synchronous").fetchone()[0])
            return levels[-1] == FULL

        assert synced(lambda: store.append(b"a"))
        assert not synced(lambda: store.apply(50, 1, [profile(1)]))
        assert synced(lambda: store.number([(1, 1)]))
        assert not synced(lambda: store.settle(committed(1)))
        assert synced(lambda: store.bind(11))
        assert not synced(lambda: store.apply_page(SnapshotMark(50, 4), [], more=True))
        assert synced(lambda: store.inherit(12))
        assert not synced(lambda: store.note("x", b"y"))
        assert set(levels) == {NORMAL, FULL}


def test_a_store_in_memory_may_be_collected_by_any_thread() -> None:
    stores = [MemoryStore()]
    failed: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, failed.append
    try:
        thread = threading.Thread(target=stores.clear)
        thread.start()
        thread.join()
    finally:
        sys.unraisablehook = hook
    assert failed == []

"""The store port: what every implementation keeps, and what the durable one keeps over a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.sqlite_store import SqliteStore, StoreInUse
from client.store import Bookmark, Cause, Kept, MemoryStore, Store


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
    store.settle([keys[0]])
    assert store.load().mutations == (Kept(keys[1], b"b", 8), Kept(keys[2], b"c", 0))


def test_a_settled_key_is_never_given_again(store: Store) -> None:
    first = store.append(b"a")
    store.settle([first])
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
    with SqliteStore(tmp_path / "store.db"), pytest.raises(StoreInUse):
        SqliteStore(tmp_path / "store.db")

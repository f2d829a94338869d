"""A durable store over SIGKILL at every statement and at chance instants, over a log that lost its end, and while it changes its layout."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from client.sqlite_store import SqliteStore
from tests.client.model_store import Lived, Seen, life, look
from tests.client.programs import ENVIRONMENT, ROOT
from tests.client.test_store import OLD_LAYOUT

LENGTH = 40


def die(folder: Path, seed: int, kind: str, first: int, last: int) -> None:
    """Runs lives that end by SIGKILL."""
    arguments = ["-m", "tests.client.killed_life", str(folder), str(seed), str(LENGTH), kind, str(first), str(last)]
    subprocess.run([sys.executable, *arguments], check=True, env=ENVIRONMENT, cwd=ROOT, timeout=300)


def check_prefix(path: Path, returned: int, states: list[Seen]) -> None:
    """The file is as after the last call that returned, or as after the one that was under way."""
    with SqliteStore(path) as store:
        found = look(store)
        assert found in states[returned : returned + 2], f"{path.name}: {returned} calls returned"
        numbers = [kept.number for kept in found.saved.mutations if kept.number]
        assert len(numbers) == len(set(numbers))
        # It goes on living where it was cut.
        assert store.append(b"after") > max((kept.key for kept in found.saved.mutations), default=0)


def states_of(lived: list[Lived]) -> list[Seen]:
    """What a store looks like before and after each call."""
    return [life_of_nothing(), *(one.seen for one in lived)]


def life_of_nothing() -> Seen:
    with SqliteStore(":memory:") as empty:
        return look(empty)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_store_killed_at_any_statement_is_as_after_a_whole_call(tmp_path: Path, seed: int) -> None:
    states = states_of(life(seed, LENGTH))
    die(tmp_path, seed, "statement", 1, 250)
    deaths = 0
    for n in range(1, 251):
        returned = len((tmp_path / f"{n}.done").read_bytes())
        deaths += returned < LENGTH
        check_prefix(tmp_path / f"{n}.db", returned, states)
    assert deaths >= 150, "most lives were to end in the middle"


def test_a_store_killed_at_chance_instants_is_as_after_a_whole_call(tmp_path: Path) -> None:
    states = states_of(life(3, LENGTH))
    die(tmp_path, 3, "instant", 1, 120)
    for n in range(1, 121):
        check_prefix(tmp_path / f"{n}.db", len((tmp_path / f"{n}.done").read_bytes()), states)


def test_a_log_that_lost_its_end_leaves_an_earlier_state_and_never_half_a_call(tmp_path: Path) -> None:
    """What a power cut may leave: the last pages of the log torn off, or never written."""
    lived = life(4, LENGTH)
    states = states_of(lived)
    with SqliteStore(tmp_path / "store.db") as store:
        for one in lived:
            one.call(store)
        main, log = (tmp_path / "store.db").read_bytes(), (tmp_path / "store.db-wal").read_bytes()
    seen = set()
    found = life_of_nothing()
    for n, length in enumerate([*range(0, len(log), max(1, len(log) // 120)), len(log) - 1, len(log)]):
        (tmp_path / f"{n}.db").write_bytes(main)
        (tmp_path / f"{n}.db-wal").write_bytes(log[:length])
        with SqliteStore(tmp_path / f"{n}.db") as torn:
            found = look(torn)
        assert found in states, f"{length} of {len(log)} bytes"
        seen.add(states.index(found))
    assert found == states[-1] and len(seen) > LENGTH / 4, "a longer log is to hold more"


def test_a_log_with_a_damaged_byte_leaves_an_earlier_state(tmp_path: Path) -> None:
    lived = life(5, LENGTH)
    states = states_of(lived)
    with SqliteStore(tmp_path / "store.db") as store:
        for one in lived:
            one.call(store)
        main, log = (tmp_path / "store.db").read_bytes(), (tmp_path / "store.db-wal").read_bytes()
    for n, at in enumerate(range(40, len(log), len(log) // 40)):
        (tmp_path / f"{n}.db").write_bytes(main)
        (tmp_path / f"{n}.db-wal").write_bytes(log[:at] + bytes((log[at] ^ 0xFF,)) + log[at + 1 :])
        with SqliteStore(tmp_path / f"{n}.db") as torn:
            assert look(torn) in states, f"byte {at} of {len(log)}"


def test_a_change_of_layout_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    for n in range(1, 31):
        old = sqlite3.connect(tmp_path / f"{n}.db")
        old.executescript("PRAGMA journal_mode=WAL;" + OLD_LAYOUT)
        old.close()
    die(tmp_path, 0, "layout", 1, 30)
    finished = [(tmp_path / f"{n}.done").read_bytes() == b"." for n in range(1, 31)]
    assert finished[-1] and not any(finished[:15]), "most were to end in the middle"
    for n in range(1, 31):
        with SqliteStore(tmp_path / f"{n}.db") as store:
            saved = store.load()
            assert (saved.device, saved.last_number, [kept.number for kept in saved.mutations]) == (11, 7, [6, 7, 0])

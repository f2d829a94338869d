"""A durable store over SIGKILL at every statement and at chance instants, over a log that lost its end, and while it changes its layout."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.sqlite_store import SqliteStore
from tests.client.model_store import Lived, Seen, life, look
from tests.client.programs import ENVIRONMENT, ROOT
from tests.client.test_store import OLD_LAYOUT

LENGTH = 40


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a killed process takes nothing from either, and thousands of waits for a disk are long."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


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
def test_a_store_killed_at_any_statement_is_as_after_a_whole_call(folder: Path, seed: int) -> None:
    states = states_of(life(seed, LENGTH))
    die(folder, seed, "statement", 1, 250)
    deaths = 0
    for n in range(1, 251):
        returned = len((folder / f"{n}.done").read_bytes())
        deaths += returned < LENGTH
        check_prefix(folder / f"{n}.db", returned, states)
    assert deaths >= 150, "most lives were to end in the middle"


def test_a_store_killed_at_chance_instants_is_as_after_a_whole_call(folder: Path) -> None:
    states = states_of(life(3, LENGTH))
    die(folder, 3, "instant", 1, 120)
    for n in range(1, 121):
        check_prefix(folder / f"{n}.db", len((folder / f"{n}.done").read_bytes()), states)


def test_a_log_that_lost_its_end_leaves_an_earlier_state_and_never_half_a_call(folder: Path) -> None:
    """What a power cut may leave: the last pages of the log torn off, or never written."""
    lived = life(4, LENGTH)
    states = states_of(lived)
    with SqliteStore(folder / "store.db") as store:
        for one in lived:
            one.call(store)
        main, log = (folder / "store.db").read_bytes(), (folder / "store.db-wal").read_bytes()
    seen = set()
    found = life_of_nothing()
    for n, length in enumerate([*range(0, len(log), max(1, len(log) // 120)), len(log) - 1, len(log)]):
        (folder / f"{n}.db").write_bytes(main)
        (folder / f"{n}.db-wal").write_bytes(log[:length])
        with SqliteStore(folder / f"{n}.db") as torn:
            found = look(torn)
        assert found in states, f"{length} of {len(log)} bytes"
        seen.add(states.index(found))
    assert found == states[-1] and len(seen) > LENGTH / 4, "a longer log is to hold more"


def test_a_log_with_a_damaged_byte_leaves_an_earlier_state(folder: Path) -> None:
    lived = life(5, LENGTH)
    states = states_of(lived)
    with SqliteStore(folder / "store.db") as store:
        for one in lived:
            one.call(store)
        main, log = (folder / "store.db").read_bytes(), (folder / "store.db-wal").read_bytes()
    for n, at in enumerate(range(40, len(log), len(log) // 40)):
        (folder / f"{n}.db").write_bytes(main)
        (folder / f"{n}.db-wal").write_bytes(log[:at] + bytes((log[at] ^ 0xFF,)) + log[at + 1 :])
        with SqliteStore(folder / f"{n}.db") as torn:
            assert look(torn) in states, f"byte {at} of {len(log)}"


def test_a_change_of_layout_that_is_killed_is_begun_again(folder: Path) -> None:
    for n in range(1, 31):
        old = sqlite3.connect(folder / f"{n}.db")
        old.executescript("PRAGMA journal_mode=WAL;" + OLD_LAYOUT)
        old.close()
    die(folder, 0, "layout", 1, 30)
    finished = [(folder / f"{n}.done").read_bytes() == b"." for n in range(1, 31)]
    assert finished[-1] and not any(finished[:15]), "most were to end in the middle"
    for n in range(1, 31):
        with SqliteStore(folder / f"{n}.db") as store:
            saved = store.load()
            assert (saved.device, saved.last_number, [kept.number for kept in saved.mutations]) == (11, 7, [6, 7, 0])

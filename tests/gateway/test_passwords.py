"""Passwords: hashed beside the server, a few at a time, and refused rather than kept waiting."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import argon2
import pytest
import trio
import trio.testing

from gateway.hash_orders import Compare, Compared, Hash, Hashed, Verdict, obey
from gateway.hash_processes import NICENESS, HasherLost, HashProcesses, HashThreads
from gateway.options import OWASP, PASSWORD_LENGTH_MIN, Cost
from gateway.passwords import LENGTH_MAX, PROMISED_S_MAX, HashingBusy, PasswordRefused, Passwords, check_password

CHEAP = Cost(memory_kib=8, rounds=1, lanes=1)


async def test_the_default_cost_is_what_owasp_recommends() -> None:
    stored = await Passwords().hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert OWASP == Cost(19456, 2, 1)


async def test_the_right_password_is_right_and_another_is_wrong() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("correct horse")
    assert await passwords.verify(stored, "correct horse") is Verdict.RIGHT
    for other in ("correct hors", "Correct horse", "correct horse ", "", "x" * 5000):
        assert await passwords.verify(stored, other) is Verdict.WRONG


async def test_the_same_password_is_stored_differently_each_time() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_a_hash_of_another_cost_is_right_but_old() -> None:
    stored = await Passwords(CHEAP).hash("correct horse")
    dearer = Passwords(Cost(memory_kib=16, rounds=1, lanes=1))
    assert await dearer.verify(stored, "correct horse") is Verdict.RIGHT_BUT_OLD
    assert await dearer.verify(stored, "wrong horse") is Verdict.WRONG


async def test_a_password_is_the_same_however_the_keyboard_composes_it() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("caf\u00e9 au lait")
    assert await passwords.verify(stored, "cafe\u0301 au lait") is Verdict.RIGHT


@pytest.mark.parametrize("stored", [None, "", "!", "disabled", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_an_unknown_account_and_an_unusable_hash_take_one_comparison_like_any_other(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = Passwords(CHEAP)
    compared = _count_comparisons(monkeypatch)
    assert await passwords.verify(stored, "correct horse") is Verdict.WRONG
    assert compared() == 1


def _count_comparisons(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts what argon2 computes at full cost."""
    done: list[str] = []
    genuine = argon2.low_level.verify_secret

    def counting(hash: bytes, secret: bytes, type: argon2.Type) -> bool:
        try:
            answer = genuine(hash, secret, type)
        except argon2.exceptions.VerifyMismatchError:
            done.append("computed")
            raise
        done.append("computed")
        return answer

    monkeypatch.setattr("argon2._password_hasher.verify_secret", counting)
    return lambda: len(done)


@pytest.mark.parametrize("length", [PASSWORD_LENGTH_MIN, LENGTH_MAX])
def test_a_password_of_a_legal_length_is_taken_whatever_it_consists_of(length: int) -> None:
    for character in ("a", " ", "é", "字", "🐎", "\0"):
        assert len(check_password(character * length)) == length


@pytest.mark.parametrize("password", ["", "x" * (PASSWORD_LENGTH_MIN - 1), "x" * (LENGTH_MAX + 1)])
async def test_a_password_of_another_length_is_refused_with_the_bounds_and_without_the_password(password: str) -> None:
    with pytest.raises(PasswordRefused, match=f"has {len(password)} characters; allowed: {PASSWORD_LENGTH_MIN} to {LENGTH_MAX}") as refused:
        await Passwords(CHEAP).hash(password)
    assert not password or password not in str(refused.value)


class Gate:
    """Holds argon2's threads until it is opened, and counts how many are inside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.inside = 0
        self.inside_max = 0
        self._lock = threading.Lock()
        monkeypatch.setattr(argon2.PasswordHasher, "verify", self._verify)

    def _verify(self, stored: str, password: str) -> bool:
        with self._lock:
            self.inside += 1
            self.inside_max = max(self.inside, self.inside_max)
        self.open.wait(10)  # a test that fails must not hang
        with self._lock:
            self.inside -= 1
        raise argon2.exceptions.VerifyMismatchError


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def _all_idle(until: Callable[[], bool]) -> None:
    while not until():
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("concurrent_max", [1, 2])
async def test_no_more_are_hashed_at_once_than_allowed_and_all_are_served(gate: Gate, concurrent_max: int) -> None:
    passwords = Passwords(CHEAP, concurrent_max=concurrent_max)
    verdicts: list[Verdict] = []

    async def attempt() -> None:
        verdicts.append(await passwords.verify("x", "correct horse"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(attempt)
        await _all_idle(lambda: gate.inside == concurrent_max)
        assert passwords.waiting == 8 - concurrent_max
        gate.open.set()
    assert gate.inside_max == concurrent_max
    assert (len(verdicts), passwords.waiting, passwords.done) == (8, 0, 8)


async def test_whoever_finds_the_queue_full_is_told_at_once_how_long_to_wait(gate: Gate) -> None:
    passwords = Passwords(CHEAP, waiting_max=2)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(passwords.verify, "x", "correct horse")
        await _all_idle(lambda: gate.inside == 1 and passwords.waiting == 2)
        with pytest.raises(HashingBusy) as busy:
            await passwords.verify("x", "correct horse")
        assert busy.value.retry_after_s >= 1
        assert passwords.waiting == 2, "and takes no place"
        gate.open.set()
    assert passwords.refused == 1
    await passwords.verify("x", "correct horse")


async def test_whoever_is_refused_later_is_told_to_come_back_later_up_to_a_bound(gate: Gate) -> None:
    passwords = Passwords(CHEAP, waiting_max=1)
    waits: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(passwords.verify, "x", "correct horse")
        await _all_idle(lambda: gate.inside == 1 and passwords.waiting == 1)
        for _ in range(1000):
            with pytest.raises(HashingBusy) as busy:
                passwords.refuse_if_full()
            waits.append(busy.value.retry_after_s)
        gate.open.set()
    assert waits == sorted(waits)
    assert waits[100] - waits[60] > 1, "at 0.05 s each"
    assert waits[-1] <= PROMISED_S_MAX
    assert passwords.refused == 1000


async def test_whoever_waits_longer_than_the_deadline_is_told_so_and_leaves_the_queue(
    gate: Gate, autojump_clock: trio.testing.MockClock
) -> None:
    passwords = Passwords(CHEAP, wait_s=3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passwords.verify, "x", "correct horse")
        await _all_idle(lambda: gate.inside == 1)
        # The clock jumps while the thread is held: to the deadline of the one who waits.
        with pytest.raises(HashingBusy):
            await passwords.verify("x", "correct horse")
        assert trio.current_time() >= 3.0
        assert passwords.waiting == 0
        gate.open.set()


async def test_whoever_would_wait_too_long_is_told_without_waiting(gate: Gate) -> None:
    passwords = Passwords(CHEAP, wait_s=0.12)  # at 0.05 s each, two may wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passwords.verify, "x", "correct horse")
        await _all_idle(lambda: gate.inside == 1)
        passwords.waiting += 2  # two more, who never get impatient
        with pytest.raises(HashingBusy):
            await passwords.verify("x", "correct horse")
        passwords.waiting -= 2
        gate.open.set()


async def test_a_request_that_is_cancelled_gives_its_place_back(gate: Gate) -> None:
    passwords = Passwords(CHEAP)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passwords.verify, "x", "correct horse")
        await _all_idle(lambda: gate.inside == 1)
        async with trio.open_nursery() as impatient:
            impatient.start_soon(passwords.verify, "x", "correct horse")
            await trio.testing.wait_all_tasks_blocked()
            assert passwords.waiting == 1
            impatient.cancel_scope.cancel()
        assert passwords.waiting == 0
        gate.open.set()
    assert await passwords.verify("x", "correct horse") is Verdict.WRONG


@pytest.fixture(scope="module")
def processes() -> Iterator[HashProcesses]:
    yield HashProcesses(1, patience_s=5.0)


def the_child(processes: HashProcesses) -> int:
    """The one that does nothing now."""
    child = processes._idle.get_nowait()
    processes._idle.put(child)
    return child._process.pid


async def test_a_process_beside_this_one_answers_as_a_thread_would(processes: HashProcesses) -> None:
    beside = Passwords(CHEAP, hashers=processes)
    stored = await beside.hash("correct horse")
    assert await Passwords(CHEAP).verify(stored, "correct horse") is Verdict.RIGHT
    assert await beside.verify(stored, "correct horse") is Verdict.RIGHT
    assert await beside.verify(stored, "wrong horse") is Verdict.WRONG
    assert await beside.verify(None, "correct horse") is Verdict.WRONG
    with pytest.raises(PasswordRefused, match="too easy"):
        await beside.judge("password1", ())


async def test_hashes_give_way_to_who_serves_sockets(processes: HashProcesses) -> None:
    await processes.obey(Hash(CHEAP, "x"))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, the_child(processes)) == min(own + NICENESS, 19)


async def test_after_a_process_was_killed_who_asked_is_told_to_come_back_and_the_next_is_served(processes: HashProcesses) -> None:
    passwords = Passwords(CHEAP, hashers=processes)
    await passwords.hash("correct horse")
    killed = the_child(processes)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(HashingBusy):
        await passwords.hash("correct horse")
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse") is Verdict.RIGHT
    assert the_child(processes) != killed


async def test_a_process_that_stands_still_is_given_up_and_ended() -> None:
    processes = HashProcesses(1, patience_s=0.2)
    with pytest.raises(HasherLost, match="stood still"):
        await processes.obey(Hash(Cost(memory_kib=1 << 16, rounds=40, lanes=1), "x"))
    assert processes._idle.empty()


async def test_an_order_that_was_begun_is_finished_also_when_nobody_waits_for_it(processes: HashProcesses) -> None:
    done: list[object] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        done.append(await processes.obey(Hash(CHEAP, "x")))
    assert isinstance(done[0], Hashed)


async def test_what_obeying_raises_in_a_thread_is_raised_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(argon2.PasswordHasher, "hash", fail)
    with pytest.raises(ZeroDivisionError):
        await HashThreads(1).obey(Hash(CHEAP, "x"))


def test_what_is_stored_and_is_no_hash_is_wrong() -> None:
    nobody = obey(Hash(CHEAP, "nobody"))
    assert isinstance(nobody, Hashed)
    for stored in ("", "disabled", "$argon2id$v=19$", nobody.stored):
        assert obey(Compare(CHEAP, stored, nobody.stored, "nobody")) == Compared(Verdict.WRONG)

"""The simulator: seeds run clean, a seed is repeatable, and each fault we could make in the code is found by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.channel import Channel
from actors.device import Device
from actors.exchange import Exchange
from actors.messages import Heard
from actors.storage import Decided
from actors.tail import Tail
from proofs.simulation.database import Database
from proofs.simulation.run import Run, Tally

SABOTAGE_SEEDS = 40


@pytest.mark.parametrize("seed", range(1001, 1013))
def test_a_storm_heals_with_every_copy_equal_and_nothing_acknowledged_lost(seed: int) -> None:
    tally = Run(seed).play()
    assert tally.acknowledged > 0


def test_a_seed_is_a_run() -> None:
    first, second = Run(7, tell=True), Run(7, tell=True)
    assert first.play() == second.play()
    assert first.world.story == second.world.story


def deliver_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def hear(self: Tail, seq: int, frame: bytes) -> list[bytes]:
        self.head = max(self.head or 0, seq)
        return [frame]

    monkeypatch.setattr(Tail, "hear", hear)


def ignore_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "_mind_the_gap", lambda self: None)
    monkeypatch.setattr(Channel, "_head_is", lambda self, head, version: self.tail.head is None and self.tail.start(head))


def deliver_before_the_audience_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def heard(self: Channel, event: Heard) -> None:
        self._ready(self.tail.hear(event.seq, event.frame))
        self._mind_the_gap()

    monkeypatch.setattr(Channel, "_heard", heard)
    monkeypatch.setattr(Channel, "_learn_version", lambda self, version: None)


def acknowledge_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    submit = Device._submit

    def early(self: Device, message) -> None:  # type: ignore[no-untyped-def]
        submit(self, message)
        if self.in_flight and message.number in self.in_flight:
            self._decided(Decided(message.number, code=0, value=1, generation=self.generation))  # type: ignore[arg-type]

    monkeypatch.setattr(Device, "_submit", early)


def forget_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Database._decide

    def forgetful(self: Database, entry, now, facts):  # type: ignore[no-untyped-def]
        device = self.devices[entry.device]
        if entry.number == device.last_number and device.generation == entry.generation:
            device.last_number -= 1
        return decide(self, entry, now, facts)

    monkeypatch.setattr(Database, "_decide", forgetful)


def ignore_revocations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "controlled", lambda self, facts: None)
    monkeypatch.setattr(Exchange, "generations_are", lambda self, result: None)


@pytest.mark.parametrize(
    "sabotage",
    [
        ignore_revocations,
        deliver_out_of_order,
        ignore_gaps,
        deliver_before_the_audience_is_known,
        acknowledge_before_the_commit,
        forget_outcomes,
    ],
)
def test_the_simulator_finds(sabotage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    tally = Tally()
    for seed in range(1, SABOTAGE_SEEDS + 1):
        try:
            tally.add(Run(seed).play())
        except Exception:  # noqa: BLE001 - whichever way it shows, it was found
            return
    pytest.fail(f"{SABOTAGE_SEEDS} seeds ran clean: {tally}")

"""Claims about the inbox, held against a model of two plain lists."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.inbox import Drops, Inbox, InboxSpec, Overflow


class InboxAgainstModel(RuleBasedStateMachine):
    """The model keeps (message, size) in lists and spells the policies out in the slowest possible way."""

    @initialize(
        items_max=st.integers(1, 4),
        bytes_max=st.integers(0, 12),
        control_max=st.integers(1, 4),
        overflow=st.sampled_from(Overflow),
    )
    def build(self, items_max: int, bytes_max: int, control_max: int, overflow: Overflow) -> None:
        self.spec = InboxSpec(items_max=items_max, bytes_max=bytes_max, control_max=control_max, overflow=overflow)
        self.drops = Drops()
        self.inbox: Inbox[int] = Inbox(self.spec, self.drops)
        self.bulk: list[tuple[int, int]] = []
        self.control: list[int] = []
        self.sent = self.taken = 0
        self.too_large = self.control_flood = 0

    def fits(self, size_bytes: int) -> bool:
        held_bytes = sum(size for _, size in self.bulk)
        return len(self.bulk) < self.spec.items_max and held_bytes + size_bytes <= self.spec.bytes_max

    @rule(size_bytes=st.integers(0, 14))
    def put(self, size_bytes: int) -> None:
        self.sent += 1
        accepted = self.inbox.put(self.sent, size_bytes)
        if size_bytes > self.spec.bytes_max:
            self.too_large += 1
            assert not accepted
        elif self.fits(size_bytes):
            self.bulk.append((self.sent, size_bytes))
            assert accepted
        elif self.spec.overflow is Overflow.DROP_OLDEST:
            while not self.fits(size_bytes):
                self.bulk.pop(0)
            self.bulk.append((self.sent, size_bytes))
            assert accepted
        else:
            assert accepted is (self.spec.overflow is Overflow.DROP_NEWEST)

    @rule()
    def put_control(self) -> None:
        self.sent += 1
        accepted = self.inbox.put_control(self.sent)
        assert accepted is (len(self.control) < self.spec.control_max)
        if accepted:
            self.control.append(self.sent)
        else:
            self.control_flood += len(self.control) + 1
            self.control.clear()

    @precondition(lambda self: self.bulk or self.control)
    @rule()
    def take(self) -> None:
        expected = self.control.pop(0) if self.control else self.bulk.pop(0)[0]
        assert self.inbox.take() == expected
        self.taken += 1

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.inbox.waiting == len(self.bulk) + len(self.control)
        assert self.inbox.size_bytes == sum(size for _, size in self.bulk)
        assert self.inbox.waiting == 0 or self.inbox.size_bytes <= self.spec.bytes_max

    @invariant()
    def accounts_for_every_message(self) -> None:
        assert self.sent == self.taken + self.inbox.waiting + self.drops.total()
        assert self.drops.too_large == self.too_large
        assert self.drops.control_flood == self.control_flood


TestInboxAgainstModel = InboxAgainstModel.TestCase


def test_taking_from_an_empty_inbox_is_an_error_and_not_a_message() -> None:
    inbox: Inbox[None] = Inbox(InboxSpec(), Drops())
    inbox.put(None)
    assert inbox.take() is None
    with pytest.raises(IndexError, match="nothing waits"):
        inbox.take()


def test_control_overtakes_bulk_and_neither_overtakes_itself() -> None:
    inbox: Inbox[str] = Inbox(InboxSpec(), Drops())
    inbox.put("bulk 1")
    inbox.put_control("control 1")
    inbox.put("bulk 2")
    inbox.put_control("control 2")
    assert [inbox.take() for _ in range(4)] == ["control 1", "control 2", "bulk 1", "bulk 2"]


@pytest.mark.parametrize(
    ("overflow", "told", "kept"),
    [
        (Overflow.REFUSE, False, [1, 2]),
        (Overflow.DROP_OLDEST, True, [2, 3]),
        (Overflow.DROP_NEWEST, True, [1, 2]),
    ],
)
def test_a_full_inbox_does_what_its_policy_says(overflow: Overflow, told: bool, kept: list[int]) -> None:
    drops = Drops()
    inbox: Inbox[int] = Inbox(InboxSpec(items_max=2, overflow=overflow), drops)
    assert inbox.put(1)
    assert inbox.put(2)
    assert inbox.put(3) is told
    assert [inbox.take(), inbox.take()] == kept
    assert (drops.over_items, drops.over_bytes, drops.total()) == (1, 0, 1)


def test_drops_name_the_bound_that_was_reached() -> None:
    drops = Drops()
    inbox: Inbox[int] = Inbox(InboxSpec(bytes_max=10), drops)
    assert inbox.put(1, size_bytes=8)
    assert not inbox.put(2, size_bytes=3)
    assert not inbox.put(3, size_bytes=11)
    assert (drops.over_items, drops.over_bytes, drops.too_large) == (0, 1, 1)


def test_a_message_larger_than_the_whole_inbox_does_not_push_out_what_waits() -> None:
    inbox: Inbox[int] = Inbox(InboxSpec(bytes_max=10, overflow=Overflow.DROP_OLDEST), Drops())
    inbox.put(1, size_bytes=10)
    assert not inbox.put(2, size_bytes=11)
    assert inbox.take() == 1


def test_a_full_bulk_lane_does_not_hold_up_control() -> None:
    inbox: Inbox[str] = Inbox(InboxSpec(items_max=1, bytes_max=0), Drops())
    assert inbox.put("bulk")
    assert inbox.put_control("control")
    assert inbox.take() == "control"


@pytest.mark.parametrize(("name", "value"), [("items_max", 0), ("bytes_max", -1), ("control_max", 0)])
def test_a_bound_that_makes_no_sense_is_refused_with_its_name(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        msgspec.structs.replace(InboxSpec(), **{name: value})

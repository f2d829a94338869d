"""The proof of sync finds what it is there to find: each of these faults, put into the code, breaks a promise within a few stories."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace

from client.ledger import Ledger
from client.sqlite_store import SqliteStore
from client.upkeep import Upkeep
from proofs import sync_model
from proofs.syncing.story import Story
from protocol import merge
from protocol.entities import Declaration, Entity
from protocol.merge import Cell, Record, Stamp, Verdict, Written

Patch = Callable[[pytest.MonkeyPatch], None]
EXAMPLES = 150


def ignore_the_base(patch: pytest.MonkeyPatch) -> None:
    """Every writer is believed to know everything."""

    def knows(base: int, cell: Cell, stamp: Stamp) -> bool:
        return True

    patch.setattr(merge, "_knows", knows)


def keep_nothing_that_lost(patch: pytest.MonkeyPatch) -> None:
    """What is not written is forgotten."""
    real = merge.merge

    def forgetful(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
        verdict = real(declaration, record, change, stamp)
        return replace(verdict, mine={}, conflict=verdict.conflict and verdict.outcome is merge.Outcome.REVIEW)

    patch.setattr("proofs.simulation.records.merge", forgetful)


def let_progress_fall(patch: pytest.MonkeyPatch) -> None:
    """What comes last is written, not what is most."""
    real = merge._advance

    def latest(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
        verdict = real(declaration, record, change, stamp)
        if verdict.outcome is merge.Outcome.SUPERSEDED and not verdict.mine:
            cell = Cell(change.fields[merge.PERCENT], record.version + 1, stamp)
            after = Record(record.version + 1, {**record.cells, merge.PERCENT: cell})
            return replace(verdict, record=after, told={merge.PERCENT: cell.value})
        return verdict

    patch.setattr(merge, "_advance", latest)


def forget_to_renumber(patch: pytest.MonkeyPatch) -> None:
    """A store that goes on as another device keeps the numbers that it gave as the one before."""
    real = SqliteStore.inherited
    patch.setattr(SqliteStore, "inherited", lambda self, free: real(self, ()))

    def welcomed(self: Ledger, last_number: int) -> None:
        self.cut()
        self._next_number = max([last_number, *(entry.number for entry in self.entries())]) + 1

    patch.setattr(Ledger, "welcomed", welcomed)


def leave_without_dropping(patch: pytest.MonkeyPatch) -> None:
    """The records of a community that one has left stay on the device."""
    patch.setattr(Upkeep, "_lose", lambda self, streams: None)


def forget_what_was_settled(patch: pytest.MonkeyPatch) -> None:
    """What a restored database has forgotten is not asked for again."""
    patch.setattr("client.sqlite_store.SETTLED_MAX", 0)


FAULTS = (ignore_the_base, keep_nothing_that_lost, let_progress_fall, forget_to_renumber, leave_without_dropping, forget_what_was_settled)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_code_breaks_a_promise(fault: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    trouble = ""
    for seed in range(1, 5):
        _, _, trouble = sync_model.play(seed, EXAMPLES, shrink=False)
        if trouble:
            break
    assert "Violation" in trouble


def test_without_a_fault_no_promise_is_broken() -> None:
    assert sync_model.play(1, 60)[2] == ""


def test_a_seed_tells_the_same_stories_again(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_what_was_settled(monkeypatch)
    first, second = sync_model.play(3, 100, shrink=False), sync_model.play(3, 100, shrink=False)
    assert first[2] == second[2]


def test_what_was_settled_before_a_copy_was_found_out_survives_a_restore() -> None:
    async def play() -> None:
        story = Story()
        story.know_each_other()
        world = story.world
        draft = (Entity.DRAFT, 1, 0, True)
        story.back_up()
        copied = world.clone(world.devices[0])
        assert copied is not None
        story._come(copied, [draft], 200)
        story._come(world.devices[0], [draft], 200)
        world.converse(copied)
        assert copied.device != world.devices[0].device
        story.restore()
        story.teardown()

    trio.run(play)


def test_a_record_that_is_written_again_long_after_it_was_deleted_is_seen_by_who_saw_it_go() -> None:
    async def play() -> None:
        story = Story()
        story.know_each_other()
        nothing = (Entity.PROGRESS, 1, 0, False)
        story.meet(0, 0, (Entity.BOOKMARK, 1, 0, False), nothing, together=False)
        story.delete(0, Entity.BOOKMARK, 1)
        story.meet(0, 0, nothing, nothing, together=False)
        story.pass_horizon()
        story.meet(0, 0, (Entity.BOOKMARK, 1, 0, False), nothing, together=False)
        story.teardown()

    trio.run(play)


def test_an_outcome_that_is_heard_late_does_not_bring_back_what_a_snapshot_showed_to_be_gone() -> None:
    async def play() -> None:
        story = Story()
        story.know_each_other()
        story.come_and_write(2, [(Entity.ACTION, 1, 1, False)], 1)
        story.clone(1, [], 8)
        story.delete(1, Entity.ACTION, 1)
        story.pass_horizon()
        story.teardown()

    trio.run(play)

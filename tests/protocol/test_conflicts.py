"""The life of a conflict: a row for every state, and what is illegal raises and changes nothing."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import Raw

from protocol.conflicts import OPEN, TABLE, Illegal, step
from protocol.operations import AnyOperation, Claim, Operation, Reopen, Resolve
from protocol.values import Choice, ConflictState

STEPS: dict[type[Operation], Operation] = {Claim: Claim(7), Resolve: Resolve(7, Choice.MINE, 1, 1, Raw(b"\x80")), Reopen: Reopen(7)}


def test_every_state_has_a_row_and_every_row_leads_to_a_state() -> None:
    assert set(TABLE) == set(ConflictState) - {ConflictState.OTHER}
    assert {following for row in TABLE.values() for following in row.values()} <= set(TABLE)


def test_every_step_is_an_operation_and_legal_somewhere() -> None:
    steps = {kind for row in TABLE.values() for kind in row}
    assert steps == set(STEPS) <= set(get_args(AnyOperation))


@pytest.mark.parametrize("state", ConflictState)
@pytest.mark.parametrize("kind", STEPS)
def test_a_step_leads_where_the_table_says_or_is_refused_with_what_is_legal(state: ConflictState, kind: type[Operation]) -> None:
    row = TABLE.get(state, {})
    if kind in row:
        assert step(state, STEPS[kind]) is row[kind]
        return
    with pytest.raises(Illegal, match=f"^{kind.__name__} in {state.name}; legal here: ") as refused:
        step(state, STEPS[kind])
    assert str(refused.value).endswith(", ".join(sorted(one.__name__ for one in row)) or "nothing")
    assert row == TABLE.get(state, {})


@pytest.mark.parametrize("state", OPEN)
def test_a_claim_that_is_given_back_leaves_the_conflict_pending(state: ConflictState) -> None:
    assert step(state, Claim(7, False)) is ConflictState.PENDING


def test_whatever_is_decided_can_be_opened_again_and_nothing_else_is_open() -> None:
    for state, row in TABLE.items():
        assert (state in OPEN) == (Resolve in row) != (Reopen in row)

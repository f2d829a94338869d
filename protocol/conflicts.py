"""The life of a conflict, as a table.

    (merge) ──▶ PENDING ──Claim──▶ CLAIMED ──Resolve──▶ RESOLVED ──Reopen──▶ PENDING
            ╰─▶ AUTOMATIC ──Reopen──▶ PENDING

Nothing leads out by time: a conflict waits for as long as it takes.

Invariant: a step that is not in the table raises `Illegal`, whose text names what is legal, and changes nothing.
"""

from __future__ import annotations

from typing import Final

from protocol.operations import Claim, Operation, Reopen, Resolve
from protocol.values import ConflictState

TABLE: Final[dict[ConflictState, dict[type[Operation], ConflictState]]] = {
    ConflictState.PENDING: {Claim: ConflictState.CLAIMED, Resolve: ConflictState.RESOLVED},
    ConflictState.CLAIMED: {Claim: ConflictState.CLAIMED, Resolve: ConflictState.RESOLVED},
    ConflictState.RESOLVED: {Reopen: ConflictState.PENDING},
    ConflictState.AUTOMATIC: {Reopen: ConflictState.PENDING},
}
OPEN: Final = (ConflictState.PENDING, ConflictState.CLAIMED)


class Illegal(Exception):
    """A step that the table does not have."""


def step(state: ConflictState, operation: Operation) -> ConflictState:
    """The state after an operation; giving a claim back leads to `PENDING`. Raises `Illegal`."""
    row = TABLE.get(state, {})
    following = row.get(type(operation))
    if following is None:
        legal = ", ".join(sorted(kind.__name__ for kind in row)) or "nothing"
        raise Illegal(f"{type(operation).__name__} in {state.name}; legal here: {legal}")
    if isinstance(operation, Claim) and not operation.on:
        return ConflictState.PENDING
    return following

"""Whether whoever asks has shown lately who they are, for operations that give somebody the power over a community.

    carry_out ─prove(tx, entry)─▶ entry.proven ─▶ unproven(entry, what it gives) ─▶ None: go on, or STEP_UP

The proof is of the device's living session: an API key's has none, so no service ever gives such power.

Invariant: it is read in the transaction that gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from msgspec.structs import replace

from actors.storage import Entry, Refusal
from persistence.append import Refuse
from protocol.codes import Code
from protocol.permissions import Needs

Prover = Callable[[asyncpg.Connection, Entry], Awaitable[bool]]
STEP_UP_S: Final = 600.0
STALE: Final = Refuse(Code.STEP_UP, "this gives power over a community: prove anew who you are (POST /api/v1/auth/step-up), and ask again")
_PROVEN: Final = """
select exists (
    select from sessions where device_id = $2 and user_id = $1 and revoked_at is null and expires_at > clock_timestamp()
    and proven_at > clock_timestamp() - make_interval(secs => $3)
)"""


def proven_within(within_s: float) -> Prover:
    """Asks whether the session on the entry's device was proven within so many seconds."""

    async def prove(tx: asyncpg.Connection, entry: Entry) -> bool:
        proven: bool = await tx.fetchval(_PROVEN, entry.user, entry.device, within_s)
        return proven

    return prove


async def with_proof(tx: asyncpg.Connection, entry: Entry, prove: Prover) -> Entry:
    """The entry, with whether it is proven if that can matter to its operation: one look for those, none for others."""
    if isinstance(entry.operation, Refusal) or not entry.operation.needs.step_up_for:
        return entry
    return replace(entry, proven=await prove(tx, entry))


def unproven(entry: Entry, needs: Needs, gives: int) -> Refuse | None:
    """The refusal of who gives somebody `gives` (the sum of 2^permission) and has not proven lately who they are."""
    return STALE if gives & needs.step_up_for and not entry.proven else None

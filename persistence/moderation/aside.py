"""What people write that is no event of a stream which is judged: the name they sign up with, the words of mentorships.

    sign-up, a proposal, an answer, an end ─ask─▶ row of `held`, CHECKING ─▶ model ─▶ harmless: the row goes │ held, hidden: as elsewhere

It stands meanwhile, and nobody is shown the row before it was judged. Committed with what it is about, so that nothing is forgotten; while
no model answers it waits for one.

Invariant: words that stand after they were hidden were written since.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from protocol.values import HeldForm, HeldState

SUBJECT: Final = 1
WORDS: Final = 2
"""Numbers of what is written of a mentorship, as of a record's fields."""
_ASK: Final = (
    "insert into held (stream_id, target, key, author, form, state, body)"
    " select a.inbox, $2, $3, a.id, $4, $5, $6 from accounts a where a.id = $1 and a.inbox is not null"
)


async def ask_name(tx: asyncpg.Connection, user: int, name: str, *, shown: bool = True) -> None:
    """Has a name looked at. `shown`: it is what others call them, and is replaced where it does harm; else a person decides."""
    await tx.execute(_ASK, user, user if shown else 0, 0, HeldForm.NAME, HeldState.CHECKING, name.encode())


async def ask_mentorship(tx: asyncpg.Connection, mentorship: int, author: int, *, words: str, subject: str = "") -> None:
    """Has what somebody wrote of a mentorship looked at."""
    said = {number: text for number, text in ((SUBJECT, subject), (WORDS, words)) if text}
    if said:
        await tx.execute(_ASK, author, 0, mentorship, HeldForm.RECORD, HeldState.CHECKING, msgspec.msgpack.encode(said))


def read_said(body: bytes) -> dict[int, str]:
    """What `ask_mentorship` was given. Raises `msgspec.MsgspecError`."""
    return msgspec.msgpack.decode(body, type=dict[int, str])

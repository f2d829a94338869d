"""Operations that come as requests: the same journal as a socket's, with the same checks in front of it.

    request ─▶ enter ─▶ Stamp (by its Idempotency-Key) ─▶ trust, quotas ─▶ journal.submit ─▶ Decided ─▶ value, or a problem

Authority is decided where it always is, in the append's transaction; at the door stands what a key may, and who is no member.

Invariant: what is answered as done is committed. What was not answered in time may be; with a key, asking again is safe.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import trio
from quart import request

from actors.device import make_entry
from actors.http_writing import Writing
from actors.limits import judge, wait_ms_of, words_of
from actors.messages import Submit
from actors.storage import Decided
from gateway.mailbox import Mailbox
from gateway.openapi_answers import Field
from gateway.problems import RETRY_S, STATUS, Problem
from gateway.web_services import Services
from protocol.codec import encode
from protocol.codes import Code
from protocol.operations import AnyOperation

ANSWER_S: Final = 7.0
"""Less than the request has: what is not decided by then is answered with words of its own."""
KEY_FIELD: Final = "Idempotency-Key"
KEY: Final = Field(
    KEY_FIELD,
    "Any 1 to 100 printable characters without spaces, drawn anew for each message: asked again with it within a day, it is done once.",
    pattern="^[!-~]{1,100}$",
)
_KEY: Final = re.compile(r"[!-~]{1,100}")
_OTHERWISE: Final = {Code.NUMBER_REUSED: 422, Code.TRUST: 403, Code.BLOCKED: 403, Code.SLOWED: 429, Code.TOO_OLD: 409, Code.GAP: 409}


async def carry_out(services: Services, writing: Writing, user: int, operation: AnyOperation) -> int:
    """The outcome's value. Raises `Problem`, `StorageError`."""
    stamp = await writing.stamp(user, _read_key())
    submit = Submit(0, stamp.number, encode(operation))
    entry = make_entry(user, stamp.device, stamp.generation, submit, stamp.trust, services.thresholds)
    mailbox: Mailbox[Decided] = Mailbox()
    if not services.journal.submit(judge(entry, services.quotas, services.wall()), mailbox):
        raise Problem(Code.BUSY, "the server has too much to store at the moment; nothing was done")
    decided: Decided | None = None
    with trio.move_on_after(ANSWER_S):
        decided = await mailbox.take()
    if decided is None:
        raise Problem(Code.UNAVAILABLE, f"not decided in time; it may have taken effect: ask again with the same {KEY_FIELD}")
    if decided.code is Code.OK:
        return decided.value
    raise _problem(decided, services.wall())


def _read_key() -> bytes:
    text = request.headers.get(KEY_FIELD)
    if text is None:
        return b""
    if not _KEY.fullmatch(text):
        raise Problem(Code.INVALID, f"{KEY_FIELD}: 1 to 100 printable characters without spaces")
    return hashlib.sha256(text.encode()).digest()


def _problem(decided: Decided, now: float) -> Problem:
    wait_ms = wait_ms_of(decided, now)
    words = words_of(decided, wait_ms)
    if decided.code is Code.NUMBER_REUSED:
        words = f"this {KEY_FIELD} was used for something else"
    if decided.code in (Code.NOT_FOUND, Code.FORBIDDEN) and not words:
        words = "there is no such thing here, or you may not"
    if decided.code in STATUS:
        return Problem(decided.code, words, retry_after_s=wait_ms / 1000 if wait_ms else None)
    status = _OTHERWISE.get(decided.code, 503)
    return Problem(decided.code, words or "this was not done", status=status, retry_after_s=max(wait_ms / 1000, RETRY_S))

"""What a row of `held` says, in words, by what it is."""

from __future__ import annotations

import msgspec

from persistence.operations.messages import message_text
from protocol.values import HeldForm


def text_of(form: HeldForm, body: bytes | None) -> str:
    """What was said, where it is kept as text; "": nothing, or nothing that can be read."""
    if body is None:
        return ""
    if form is HeldForm.NAME:
        return body.decode("utf-8", "replace")
    if form is HeldForm.RECORD:
        try:
            fields = msgspec.msgpack.decode(body, type=dict[int, object])
        except msgspec.MsgspecError:
            return ""
        return "\n".join(value for value in fields.values() if isinstance(value, str))
    return message_text(body) or ""

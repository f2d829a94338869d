"""What was said, in words: as people read it who review it, and as a model judges it.

Of a file's name its words are judged. Its numbers are not: a camera names its pictures by the time, which looks like a telephone number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from persistence.operations.messages import message_text
from protocol import codec
from protocol.events import Posted
from protocol.values import HeldForm

_LETTERS = re.compile(r"[^\W\d_]+")


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
    text = message_text(body) or ""
    return "\n".join((text, *_file_names(body))) if text else ""


def text_to_judge(form: HeldForm, body: bytes) -> tuple[str, int]:
    """What is judged, and how many letters of it, from the first on, are the text itself: what is behind them are words of files' names."""
    if form not in (HeldForm.MESSAGE, HeldForm.EDIT):
        text = text_of(form, body)
        return text, len(text)
    text = message_text(body) or ""
    names = words_of_names(_file_names(body)) if text else ""
    return f"{text}\n{names}" if names else text, len(text)


def words_of_names(names: Iterable[str]) -> str:
    """Those of each in a line, without endings such as `.jpg`; "": there are none."""
    stems = (stem if dot else ending for stem, dot, ending in (name.rpartition(".") for name in names))
    return "\n".join(filter(None, (" ".join(_LETTERS.findall(stem)) for stem in stems)))


def _file_names(body: bytes) -> list[str]:
    said = codec.decode_body(body)
    return [file.name for file in said.attachments] if isinstance(said, Posted) else []

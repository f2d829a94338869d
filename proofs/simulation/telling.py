"""Frames in a few words, for the story: their names and numbers, and what they are about. Many alike become one phrase.

    [Event 2#5, Event 2#6, Event 2#7, Followed] ─▶ "Event 2#5-7 Said, Followed 2 upto 7 live"

A stream's event is written stream#sequence, here and in every part of the story.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from msgspec import Struct

from protocol.codec import (
    BadFrame,
    UnknownBody,
    UnknownEvent,
    UnknownFrame,
    decode_body,
    decode_command,
    decode_frame,
    decode_operation,
    split,
)
from protocol.codes import Code
from protocol.cursors import unpack
from protocol.frames import (
    Bye,
    Chunk,
    Done,
    DoneRun,
    Draining,
    Event,
    Failed,
    Follow,
    Followed,
    Goodbye,
    Hello,
    IsTyping,
    Lagged,
    Mutate,
    Refused,
    Resume,
    Resumed,
    Typing,
    Unfollow,
    Unfollowed,
    Welcome,
)

WORDS_MAX = 400
_GOODBYE_TAG = Goodbye.__struct_config__.tag
_DRAINING_TAG = Draining.__struct_config__.tag


def is_last_word(payload: bytes) -> bool:
    """Whether a message is a `Goodbye` and nothing else."""
    return _is_alone(payload, _GOODBYE_TAG)


def is_draining(payload: bytes) -> bool:
    """Whether a message is a `Draining` and nothing else."""
    return _is_alone(payload, _DRAINING_TAG)


def _is_alone(payload: bytes, tag: object) -> bool:
    return len(payload) > 1 and 0x90 <= payload[0] <= 0x9F and payload[1] == tag


def describe_message(payload: bytes, *, up: bool) -> tuple[str, tuple[int, ...]]:
    """A message's frames in words, and the streams it is about. `up`: from a client."""
    try:
        frames = [decode_command(raw) if up else decode_frame(raw) for raw in split(payload)]
    except BadFrame as bad:
        return f"bytes that are no frame ({bad.code.name})", ()
    parts, streams = [], set()
    for (kind, stream), group in groupby(frames, key=lambda frame: (type(frame), getattr(frame, "stream", 0))):
        alike = list(group)
        if stream:
            streams.add(stream)
        if kind is Event:
            parts.append(_events(alike))  # type: ignore[arg-type]
        elif kind is Mutate:
            parts.append(", ".join(_mutation(frame, streams) for frame in alike))  # type: ignore[arg-type]
        else:
            parts += [describe_frame(frame, streams) for frame in alike]
    return ", ".join(parts)[:WORDS_MAX], tuple(sorted(streams))


def describe_event(stream: int, seq: int, body: bytes) -> str:
    """A committed event."""
    known = decode_body(body)
    return f"{stream}#{seq} {type(known).__name__ if not isinstance(known, UnknownBody) else known.tag}"


def _events(events: Iterable[Event]) -> str:
    events = list(events)
    names = list(dict.fromkeys(type(event.body).__name__ for event in events))
    kinds = "+".join(names[:3]) + ("…" if len(names) > 3 else "")
    runs: list[list[int]] = []
    for event in events:
        if runs and event.seq == runs[-1][1] + 1:
            runs[-1][1] = event.seq
        else:
            runs.append([event.seq, event.seq])
    numbers = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"Event {events[0].stream}#{numbers} {kinds}"


def _mutation(frame: Mutate, streams: set[int]) -> str:
    try:
        operation: Struct = decode_operation(frame.operation)
    except BadFrame as bad:
        return f"Mutate {frame.number} unreadable ({bad.code.name})"
    stream = getattr(operation, "stream", 0)
    if stream:
        streams.add(stream)
    about = f"→{stream}" if stream else f"→space {operation.space}" if hasattr(operation, "space") else ""
    text = getattr(operation, "text", "")
    return f"Mutate {frame.number} {type(operation).__name__}{about}{' ' + repr(text) if text else ''}"


def describe_frame(frame: Struct | UnknownFrame | UnknownEvent, streams: set[int]) -> str:
    """One frame in words; streams that its fields name in passing are added to `streams`."""
    name = type(frame).__name__
    match frame:
        case Hello():
            streams.update(cursor.stream for cursor in frame.cursors)
            return f"Hello at {' '.join(f'{cursor.stream}#{cursor.seq}' for cursor in frame.cursors) or 'nothing'} epoch {frame.epoch}"
        case Welcome():
            return f"Welcome decided≤{frame.last_number} epoch {frame.epoch}"
        case Resume():
            streams.update(cursor.stream for cursor in unpack(frame.cursors))
            return f"Resume at {' '.join(f'{cursor.stream}#{cursor.seq}' for cursor in unpack(frame.cursors)) or 'nothing'}"
        case Resumed():
            return f"Resumed decided≤{frame.last_number}{' rest ' + ','.join(map(str, frame.rest)) if frame.rest else ''}"
        case Chunk():
            streams.update(run.stream for run in frame.runs)
            count = sum(len(run.changes) for run in frame.runs)
            return f"Chunk {frame.number}-{frame.number + count - 1} →{','.join(str(run.stream) for run in frame.runs)}"
        case Done():
            return f"Done {frame.number}={frame.value}"
        case DoneRun():
            return f"DoneRun {frame.first}-{frame.first + len(frame.values) - 1}"
        case Refused():
            return f"Refused {frame.number} {frame.code.name}"
        case Follow():
            return f"Follow {frame.stream} after {frame.after}"
        case Followed():
            return f"Followed {frame.stream} upto {frame.upto}{' live' if frame.live else ', more'}"
        case Failed():
            return f"Failed {frame.id or frame.stream} {frame.code.name}"
        case Lagged() | Unfollow() | Typing() | IsTyping():
            return f"{name} {frame.stream}"
        case Unfollowed():
            return f"Unfollowed {frame.stream} {frame.code.name}"
        case Draining():
            return f"Draining in {frame.delay_ms} ms"
        case Goodbye():
            return f"Goodbye {frame.code.name}"
        case Bye():
            return "Bye"
        case _:
            return name


def name_of_end(code: int) -> str:
    """A socket's close code in words."""
    return Code(code).name if code in Code._value2member_map_ else str(code)

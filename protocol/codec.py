"""Bytes to frames and back.

    message ─split─▶ raw frames ─decode_command─▶ command      server's side
                                ─decode_frame────▶ frame        client's side
    frames ─encode─▶ raw frames ─join─▶ message

A message is one frame, or an array of frames. The two are told apart by the second element's first byte: a frame begins with its
tag, a number; an array of frames begins with an array. Decoding is by type, so nothing is built that no field asks for, and the
size of a message bounds the memory it can cost: frames are counted before they are taken apart, and what is wrong with one is found
out from its first two elements (measured: at most 19 bytes per byte of input; 65 where 60,000 empty arrays are taken apart to be refused).
A chunk's changes, which would cost 63 where each is one byte, are counted before they are taken apart.

Invariant: decoding raises nothing but `BadFrame`, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Union, get_args

import msgspec
from msgspec import Meta

from protocol.codes import Code
from protocol.events import AnyBody, Body, Posted, Redacted
from protocol.frames import BATCH_FRAMES_MAX, CHUNK_CHANGES_MAX, AnyCommand, AnyFrame, Chunk, Command, Event, Frame
from protocol.operations import AnyOperation, Operation, Post
from protocol.values import ID_MAX

MESSAGE_BYTES_MAX = 64 * 1024
"""The largest message a server reads. Longer things go in several messages, or over HTTP."""
ANSWER_FRAMES_MAX = 2**16 - 1
"""Frames in an answer over HTTP: what a request of `MESSAGE_BYTES_MAX` can ask for is less."""

RUN_BYTES_MIN: Final = 4
CHANGE_BYTES_MIN: Final = 6
"""The shortest run around its changes, and the shortest change: key, time, and one field (or that it is gone)."""


class _UncountedRun(msgspec.Struct, frozen=True, array_like=True):
    stream: int
    entity: int
    changes: msgspec.Raw


class _UncountedChunk(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=Chunk.__struct_config__.tag):
    """A chunk whose changes nobody has taken apart yet."""

    number: int
    at: int
    runs: Annotated[tuple[_UncountedRun, ...], Meta(max_length=CHUNK_CHANGES_MAX)]


_FRAMES = msgspec.msgpack.Decoder(list[msgspec.Raw])
_RECEIVED: Any = Union[(*(kind for kind in get_args(AnyCommand) if kind is not Chunk), _UncountedChunk)]
_COMMAND: msgspec.msgpack.Decoder[AnyCommand | _UncountedChunk] = msgspec.msgpack.Decoder(_RECEIVED)
_CHUNK: msgspec.msgpack.Decoder[Chunk] = msgspec.msgpack.Decoder(Chunk)
_FRAME: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)
_OPERATION: msgspec.msgpack.Decoder[AnyOperation] = msgspec.msgpack.Decoder(AnyOperation)
_BODY: msgspec.msgpack.Decoder[AnyBody] = msgspec.msgpack.Decoder(AnyBody)
_ENCODER = msgspec.msgpack.Encoder()
_INT = msgspec.msgpack.Decoder(int)
_WITH_FILES = frozenset((Post, Posted))
"""Short arrays whose last place is for files."""

_COMMAND_TAGS = frozenset(int(kind.__struct_config__.tag) for kind in Command.__subclasses__())  # type: ignore[arg-type]
_FRAME_TAGS = frozenset(int(kind.__struct_config__.tag) for kind in Frame.__subclasses__())  # type: ignore[arg-type]
_OPERATION_TAGS = frozenset(int(kind.__struct_config__.tag) for kind in Operation.__subclasses__())  # type: ignore[arg-type]
_BODY_TAGS = frozenset(int(kind.__struct_config__.tag) for kind in Body.__subclasses__())  # type: ignore[arg-type]
_NUMBERED = frozenset(
    int(kind.__struct_config__.tag)  # type: ignore[arg-type]
    for kind in Command.__subclasses__()
    if kind.__struct_fields__ and kind.__struct_fields__[0] in ("id", "number")
)


class BadFrame(Exception):
    """Bytes that are no legal frame. `tag` and `id` are the frame's own where they could be read (0: not)."""

    def __init__(self, code: Code, detail: str, tag: int = 0, id: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.tag = tag
        self.id = id


class UnknownFrame(msgspec.Struct, frozen=True):
    """A frame from a newer server that this client does not know; it passes over it."""

    tag: int


class UnknownBody(msgspec.Struct, frozen=True):
    """An event body of a kind that this reader does not know."""

    tag: int


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a kind that this reader does not know; its place in the stream counts all the same."""

    stream: int
    seq: int
    author: int
    at: int


def _is_array(byte: int) -> bool:
    return 0x90 <= byte <= 0x9F or byte in (0xDC, 0xDD)


def _first_element(message: bytes) -> int:
    """The offset of an array's first element; -1 if the message is no array, or an empty one."""
    if not message:
        return -1
    head = message[0]
    if 0x91 <= head <= 0x9F:
        return 1
    if head == 0xDC and message[1:3] > b"\0\0":
        return 3
    if head == 0xDD and message[1:5] > b"\0\0\0\0":
        return 5
    return -1


def split(message: bytes, frames_max: int = 0) -> Sequence[bytes | msgspec.Raw]:
    """Takes a message apart into its frames' bytes. Raises `BadFrame`.

    `frames_max`: `ANSWER_FRAMES_MAX` for an answer over HTTP; 0: as many as a message on the socket may hold.
    """
    at = _first_element(message)
    if at < 0 or at >= len(message):
        raise BadFrame(Code.BAD_FRAME, "a message is a frame, [tag, ...], or an array of frames")
    if not _is_array(message[at]):
        return (message,)
    count = message[0] & 0xF if at == 1 else int.from_bytes(message[1:at], "big")
    frames_max = frames_max or BATCH_FRAMES_MAX
    if count > frames_max:
        raise BadFrame(Code.BAD_FRAME, f"{count} frames in a message; at most {frames_max} are allowed")
    try:
        return _FRAMES.decode(message)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadFrame(Code.BAD_FRAME, f"not msgpack: {error}") from None


def join(frames: Sequence[bytes]) -> bytes:
    """Makes one message of one or more encoded frames."""
    count = len(frames)
    if count == 1:
        return frames[0]
    if count < 16:
        return b"".join((bytes((0x90 | count,)), *frames))
    return b"".join((b"\xdc" + count.to_bytes(2, "big"), *frames))


def encode(value: Frame | Command | Operation | Body) -> bytes:
    """One frame's, operation's or event body's bytes. A message without files is as long as it was before there were any."""
    if type(value) is Event:  # its body is such a message, perhaps
        return encode_event(value.stream, value.seq, value.author, value.at, encode(value.body))
    raw = _ENCODER.encode(value)
    if type(value) in _WITH_FILES and not value.attachments:  # type: ignore[union-attr]
        return bytes((raw[0] - 1,)) + raw[1:-1]
    return raw


class _FrameHead(msgspec.Struct, frozen=True, array_like=True):
    """What a frame, operation or body begins with; the rest is passed over without building any of it."""

    tag: int
    number: msgspec.Raw = msgspec.Raw(b"\x00")


_HEAD = msgspec.msgpack.Decoder(_FrameHead)


class _EventHead(msgspec.Struct, frozen=True, array_like=True, tag=int(Event.__struct_config__.tag)):
    stream: int
    seq: int
    author: int
    at: int
    body: msgspec.Raw


_EVENT_TAG = int(Event.__struct_config__.tag)  # type: ignore[arg-type]
_EVENT_HEAD = msgspec.msgpack.Decoder(_EventHead)


def encode_event(stream: int, seq: int, author: int, at: int, body: bytes) -> bytes:
    """An `Event` frame around a body that is already encoded."""
    return _ENCODER.encode(_EventHead(stream, seq, author, at, msgspec.Raw(body)))


def decode_command(raw: bytes | msgspec.Raw) -> AnyCommand:
    """Decodes and validates what a client sent. Raises `BadFrame`: `UNKNOWN` for a tag nobody knows, else `INVALID` or `BAD_FRAME`."""
    try:
        command = _COMMAND.decode(raw)
        if isinstance(command, _UncountedChunk):
            _count_changes(command, len(raw))
            return _CHUNK.decode(raw)
        return command
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _diagnose(raw, _COMMAND_TAGS, error) from None


def _count_changes(chunk: _UncountedChunk, size: int) -> None:
    """Raises `msgspec.ValidationError` for more changes than a chunk may have, or than its bytes can say anything in."""
    count = sum(_count(run.changes) for run in chunk.runs)
    if count > CHUNK_CHANGES_MAX:
        raise msgspec.ValidationError(f"Expected at most {CHUNK_CHANGES_MAX} changes, got {count} - at `$[3]`")
    if size < RUN_BYTES_MIN * len(chunk.runs) + CHANGE_BYTES_MIN * count:
        raise msgspec.ValidationError(f"Expected changes of at least {CHANGE_BYTES_MIN} bytes, got {count} in {size} bytes - at `$[3]`")


def _count(array: msgspec.Raw) -> int:
    """How many elements an array says it has; 0 for what is none, which decoding then refuses."""
    head = bytes(memoryview(array)[:5])
    if 0x90 <= head[0] <= 0x9F:
        return head[0] & 0xF
    if head[0] in (0xDC, 0xDD):
        return int.from_bytes(head[1 : 3 if head[0] == 0xDC else 5], "big")
    return 0


def decode_operation(raw: bytes | msgspec.Raw) -> AnyOperation:
    """Decodes and validates a mutation's operation. Raises `BadFrame`."""
    try:
        operation = _OPERATION.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _diagnose(raw, _OPERATION_TAGS, error) from None
    if b"\0" in bytes(raw):
        _refuse_nul(operation)
    return operation


def _refuse_nul(operation: AnyOperation) -> None:
    # Postgres' text cannot hold it. Found out there, it would take apart the whole batch that its entry is in, and others' with it.
    for name in operation.__struct_fields__:
        value = getattr(operation, name)
        if isinstance(value, str) and "\0" in value:
            raise BadFrame(Code.INVALID, f"`{name}` contains U+0000, which no text here can hold")


def decode_frame(raw: bytes | msgspec.Raw) -> AnyFrame | UnknownFrame | UnknownEvent:
    """Decodes what a server sent. What a newer server added is a value too. Raises `BadFrame`."""
    try:
        return _FRAME.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        bad = _diagnose(raw, _FRAME_TAGS, error)
        if bad.code is Code.UNKNOWN:
            return UnknownFrame(bad.tag)
        if bad.tag == _EVENT_TAG:
            head = _decode_event_head(raw)
            if head is not None and isinstance(decode_body(head.body), UnknownBody):
                return UnknownEvent(head.stream, head.seq, head.author, head.at)
        raise bad from None


def _decode_event_head(raw: bytes | msgspec.Raw) -> _EventHead | None:
    try:
        return _EVENT_HEAD.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


def decode_body(raw: bytes | msgspec.Raw) -> AnyBody | UnknownBody:
    """Decodes an event's body; one of a kind from a newer server is `UnknownBody`. Raises `BadFrame`."""
    try:
        return _BODY.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        bad = _diagnose(raw, _BODY_TAGS, error)
        if bad.code is Code.UNKNOWN:
            return UnknownBody(bad.tag)
        raise bad from None


def _diagnose(raw: bytes | msgspec.Raw, known: frozenset[int], error: Exception) -> BadFrame:
    """Says as exactly as possible what is wrong: is it msgpack at all, which tag, which id, which field."""
    try:
        head = _HEAD.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return BadFrame(Code.BAD_FRAME, f"a frame is an array that begins with its tag: {error}"[:400])
    try:
        number = _INT.decode(head.number)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        number = 0
    if not 0 < number <= ID_MAX:
        number = 0  # no answer could carry it
    if head.tag not in known:
        return BadFrame(Code.UNKNOWN, f"tag {head.tag} is not known", head.tag, number)
    if known is _COMMAND_TAGS and head.tag not in _NUMBERED:
        number = 0
    return BadFrame(Code.INVALID, str(error)[:400], head.tag, number)


TOMBSTONE = encode(Redacted())

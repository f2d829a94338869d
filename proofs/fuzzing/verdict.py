"""What a server may say to nonsense, and what counts as a finding.

refusal ─▶ Goodbye · Failed · Refused with a code of the table        end ─▶ a close frame whose code is known
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from typing import Final

import msgspec

from protocol.codec import BadFrame, UnknownEvent, UnknownFrame, decode_frame, split
from protocol.codes import TABLE, Code
from protocol.frames import AnyFrame

TRANSPORT_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1011, 1012, 1013))
"""What RFC 6455 has a server say about framing; everything above 4000 is the table's."""
PLAIN_BYTES_MAX: Final = 400
"""An input up to this is shown as it is; a longer one is compressed, and so still whole."""
FINDINGS_MAX: Final = 50


class Finding(msgspec.Struct, frozen=True):
    """An input that was not taken as it must be."""

    kind: str
    what: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.what}\n  kind: {self.kind}\n  data = {as_source(self.data)}  # {len(self.data)} bytes"


def as_source(data: bytes) -> str:
    """A Python expression for `data`, which a test can hold."""
    if len(data) <= PLAIN_BYTES_MAX:
        return f'bytes.fromhex("{data.hex()}")'
    return f'zlib.decompress(base64.b85decode("{base64.b85encode(zlib.compress(data, 9)).decode()}"))'


class Report(msgspec.Struct):
    """What one worker did and saw; reports add up."""

    inputs: int = 0
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    findings: list[Finding] = msgspec.field(default_factory=list)

    def count(self, kind: str) -> None:
        """One more input."""
        self.inputs += 1
        family = kind.partition(":")[0]
        self.kinds[family] = self.kinds.get(family, 0) + 1

    def saw(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def find(self, kind: str, what: str, data: bytes) -> None:
        """One more finding; beyond `FINDINGS_MAX` only the number grows."""
        self.saw("FINDING")
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(kind, what, data))

    def add(self, other: Report) -> None:
        self.inputs += other.inputs
        self.kinds = dict(Counter(self.kinds) + Counter(other.kinds))
        self.outcomes = dict(Counter(self.outcomes) + Counter(other.outcomes))
        self.findings.extend(other.findings)


class Impossible(Exception):
    """The server said something that it must never say."""


def read_frames(payload: bytes) -> list[AnyFrame]:
    """What a server's message says. Raises `Impossible` if it is not one."""
    frames: list[AnyFrame] = []
    try:
        for raw in split(payload):
            frame = decode_frame(raw)
            if isinstance(frame, UnknownFrame | UnknownEvent):
                raise Impossible(f"a frame that this protocol does not know: {payload.hex()}")
            frames.append(frame)
    except BadFrame as bad:
        raise Impossible(f"the server's own frame is illegal, {bad.detail}: {payload.hex()}") from None
    return frames


def ends_well(code: int) -> bool:
    """Whether a socket may end with `code`. FAULT is the server's own confession, and so none of these."""
    return code in TRANSPORT_CODES or (code in TABLE and code >= Code.BAD_FRAME and code != Code.FAULT)


def name_of(code: int) -> str:
    """A close code in words."""
    return Code(code).name if code in TABLE else str(code)

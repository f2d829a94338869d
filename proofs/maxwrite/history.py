"""What happened in one run: what was written, with what its writer had seen, and what every device was told.

Write   asked at a time when its device had seen the stream up to `seen` ─▶ outcome, version
Told    one record of one event, as it arrived
"""

from __future__ import annotations

from msgspec import Struct

from protocol.merge import Outcome


class Write(Struct):
    """One advance of one lesson. `mark` is unique, and written beside it as housekeeping; `version` is what its outcome named."""

    mark: int
    device: int
    lesson: int
    percent: int
    seen: int
    outcome: Outcome | None = None
    version: int = 0
    refusal: str = ""


class Told(Struct, frozen=True):
    """One record inside event `seq`. None: that field was not written."""

    seq: int
    lesson: int
    version: int
    percent: int | None
    mark: int | None


class Final(Struct, frozen=True):
    """A lesson as somebody holds it at the end: a device's own store, or the server's snapshot."""

    holder: str
    lesson: int
    version: int
    percent: int


class History(Struct):
    """One run. `told`: by device, in the order of arrival; `open`: mutations that have no outcome although everything is healed."""

    run: int
    writes: list[Write]
    told: dict[int, list[Told]]
    finals: list[Final]
    open: int = 0
    healed_s: float = 0.0
    faults: tuple[str, ...] = ()

"""The one line that a session leaves in the log: its sums. Ten lines while it lasts would say less, and cost more.

Invariant: numbers alone; no name, no address, no word of what was said.
"""

from __future__ import annotations

import structlog

from actors.tallies import Farewell
from protocol.codes import Code

log = structlog.get_logger("sessions")

_CODES = frozenset(Code)


def log_farewell(farewell: Farewell) -> None:
    """Writes it."""
    line = farewell.line
    sums: dict[str, float] = {}
    if line is not None:
        sums = {"bytes_in": line.bytes_in, "bytes_out": line.bytes_out, "resent": line.resent, "rtt_ms": round(line.rtt_s * 1000, 1)}
    log.info(
        "session_ended",
        session=farewell.session_key,
        user=farewell.user,
        device=farewell.device,
        code=farewell.code,
        reason=Code(farewell.code).name if farewell.code in _CODES else "",
        seconds=round(farewell.seconds, 3),
        frames_in=farewell.frames_in,
        lags=farewell.lags,
        quality=farewell.quality.name.lower(),
        schema=farewell.schema,
        **sums,
    )

"""A device's clock beside the server's: how far behind it is, as the quickest of its messages says.

    device's clock_ms ·· on the way ··▶ received at server_s        server - device = skew + time on the way

What a message says is late by its time on the way, and never early: so the least of all differences is nearest to the truth. A link that
takes two seconds leaves the device two seconds behind at most, and whoever says when something was written is bounded by the time at which
it arrived all the same (docs/sync.md): a wrong clock gains nothing.

Invariant: a skew is from -`SKEW_S_MAX` to `SKEW_S_MAX` seconds, and 0 where nothing is known.
"""

from __future__ import annotations

from typing import Final

SKEW_S_MAX: Final = 2**31
"""68 years: a clock that never was set says 1970."""


def measure(skew_s: int | None, clock_ms: int, received_s: float) -> int | None:
    """The skew in seconds, after one more sample. `clock_ms`: the device's, 0 if it does not say; None: nothing is known."""
    if not clock_ms:
        return skew_s
    sample_s = max(-SKEW_S_MAX, min(SKEW_S_MAX, (int(received_s * 1000) - clock_ms) // 1000))
    return sample_s if skew_s is None else min(skew_s, sample_s)

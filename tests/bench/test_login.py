"""The measure of log-ins: what it asks is within what anybody may ask, so that it measures the queue and not the limits."""

from __future__ import annotations

from collections import Counter

from bench.login import WHOLE, source_of
from gateway.options import AuthLimits

ROUNDS = 5
ALONE = (0, *(1 + 2 * number for number in range(ROUNDS)))
AT_ONCE = tuple(2 + 2 * number for number in range(ROUNDS))


def test_nobody_who_is_measured_looks_like_somebody_who_guesses() -> None:
    limits = AuthLimits()
    asked = [(place, source_of(place, turn)) for turn in ALONE for place in range(WHOLE.alone)]
    asked += [(place, source_of(place, turn)) for turn in AT_ONCE for place in range(WHOLE.at_once)]
    # Half of each, for those who come back when they were told to.
    assert max(Counter(asked).values()) <= limits.login_account_address.burst / 2
    assert max(Counter(place for place, _ in asked).values()) <= limits.login_account.burst / 2
    assert max(Counter(source for _, source in asked).values()) <= limits.login_address.burst / 2

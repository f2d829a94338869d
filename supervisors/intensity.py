"""Intensity: how many crashes within how long are still bad luck. One more is a fault that restarting does not cure.

    crash ─▶ note ─▶ at most `intensity` within the last `period_s`? restart : give up, with the causes

The rule and its words are those of OTP supervisors. Invariant: what is kept has a bound, `intensity + 1` times and `CAUSES_MAX` causes;
a cause holds its traceback, and that holds the state of what crashed.
"""

from __future__ import annotations

from collections import deque

CAUSES_MAX = 8
"""Causes kept, the last ones: enough to see whether they are all alike."""


class CrashWindow:
    """The crashes of the last `period_s` seconds, with the causes of the last ones."""

    __slots__ = ("_causes", "_crashes_s", "_intensity", "_period_s")

    def __init__(self, intensity: int, period_s: float) -> None:
        self._intensity = intensity
        self._period_s = period_s
        self._crashes_s: deque[float] = deque(maxlen=intensity + 1)
        self._causes: deque[Exception] = deque(maxlen=min(CAUSES_MAX, intensity + 1))

    def note(self, now_s: float, cause: Exception) -> bool:
        """Counts a crash. True if it is one too many."""
        crashes_s, causes = self._crashes_s, self._causes
        while crashes_s and crashes_s[0] <= now_s - self._period_s:
            crashes_s.popleft()
        while len(causes) > len(crashes_s):
            causes.popleft()
        crashes_s.append(now_s)
        causes.append(cause)
        return len(crashes_s) > self._intensity

    def causes(self) -> list[Exception]:
        """What the last crashes in the window were, oldest first."""
        return list(self._causes)

    def clear(self) -> None:
        self._crashes_s.clear()
        self._causes.clear()

"""Intensity: how many crashes within how long are still bad luck. One more is a fault that restarting does not cure.

    crash ─▶ note ─▶ at most `intensity` within the last `period_s`? restart : give up, with the causes

The rule and its words are those of OTP supervisors. Invariant: no more than `intensity + 1` crashes are ever kept.
"""

from __future__ import annotations

from collections import deque


class CrashWindow:
    """The crashes of the last `period_s` seconds, with their causes."""

    __slots__ = ("_crashes", "_intensity", "_period_s")

    def __init__(self, intensity: int, period_s: float) -> None:
        self._intensity = intensity
        self._period_s = period_s
        self._crashes: deque[tuple[float, Exception]] = deque(maxlen=intensity + 1)

    def note(self, now_s: float, cause: Exception) -> bool:
        """Counts a crash. True if it is one too many."""
        crashes = self._crashes
        while crashes and crashes[0][0] <= now_s - self._period_s:
            crashes.popleft()
        crashes.append((now_s, cause))
        return len(crashes) > self._intensity

    def causes(self) -> list[Exception]:
        """What the crashes in the window were, oldest first."""
        return [cause for _, cause in self._crashes]

    def clear(self) -> None:
        self._crashes.clear()

"""The readings of the search for a mentor: is it answered in time, and by a model? See `supervisors.readings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.metrics import Metric

if TYPE_CHECKING:
    from supervisors.node import Node


def matching_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of matching."""
    maker = node.matchmaker
    counts = maker.counts
    return (
        Metric("educonnect_match_asked", "Searches for a mentor.", "counter", lambda: counts.asked),
        Metric("educonnect_match_degraded", "Of those, answered by fixed weights.", "counter", lambda: counts.degraded),
        Metric("educonnect_match_later", "Of those, answered by a ticket first.", "counter", lambda: counts.later),
        Metric("educonnect_match_refused", "Searches beyond the bound.", "counter", lambda: counts.refused),
        Metric("educonnect_match_unshown", "Mentors that a model found and nobody was shown.", "counter", lambda: counts.unshown),
        Metric("educonnect_match_waiting", "Searches that wait.", "gauge", lambda: float(maker.waiting)),
        Metric("educonnect_match_seconds", "From the question to the list.", "histogram", lambda: counts.seconds),
    )

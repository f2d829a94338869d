"""The readings of analytics: does it keep up, and does a model foretell, or the rule? See `supervisors.readings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.metrics import Labels, Metric

if TYPE_CHECKING:
    from supervisors.node import Node


def analytics_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of analytics."""
    jobs = node.analytics

    def waiting() -> dict[Labels, float]:
        now = jobs.waiting
        return {("days",): float(now.days), ("lessons",): float(now.lessons)}

    def foretold() -> dict[Labels, float]:
        return {("model",): float(jobs.analyst.by_model), ("rule",): float(jobs.analyst.by_rule)}

    return (
        Metric("educonnect_analytics_waiting", "People's days and lessons' months left to fold.", "gauge", waiting, ("what",)),
        Metric("educonnect_analytics_oldest_seconds", "For how long the oldest of them waits.", "gauge", lambda: jobs.waiting.oldest_s),
        Metric("educonnect_analytics_folded", "Days and months that this process folded.", "counter", lambda: jobs.folded),
        Metric("educonnect_analytics_looked", "Learners that this process looked at by the clock.", "counter", lambda: jobs.looked),
        Metric("educonnect_analytics_foretold", "Learners told what might come next, by who foretold it.", "counter", foretold, ("by",)),
    )

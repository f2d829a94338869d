"""The readings of moderation: how much is judged, by whom, how soon, and what came of it. See `supervisors.readings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.metrics import Labels, Metric

if TYPE_CHECKING:
    from supervisors.node import Node


def moderation_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of moderation: is it keeping up, and does a model look at it, or the lexicon?"""
    moderator = node.moderator
    stats = moderator.stats

    def outcomes() -> dict[Labels, float]:
        return {(name,): float(count) for name, count in stats.outcomes.items()}

    def unanswered() -> dict[Labels, float]:
        return {(why,): float(count) for why, count in stats.unanswered.items()}

    return (
        Metric("educonnect_moderation_judged", "Texts that this process looked at.", "counter", lambda: stats.judged),
        Metric("educonnect_moderation_outcomes", "What was not simply allowed, by what was done.", "counter", outcomes, ("outcome",)),
        Metric(
            "educonnect_moderation_unanswered",
            "Texts that no model answered for, by why: the lexicon looked at them, or they wait.",
            "counter",
            unanswered,
            ("why",),
        ),
        Metric("educonnect_moderation_waiting", "Streams with something to look at.", "gauge", lambda: moderator.streams_waiting),
        Metric("educonnect_moderation_released", "Messages let through that are checked first.", "counter", lambda: stats.released),
        Metric("educonnect_moderation_put_off", "Times that one of these could not be judged.", "counter", lambda: stats.put_off),
        Metric("educonnect_moderation_swept", "Streams that nobody had looked at, found later.", "counter", lambda: stats.swept),
        Metric("educonnect_moderation_lost", "Claims that ended before they were used.", "counter", lambda: stats.lost),
        Metric("educonnect_moderation_failed", "Looks that failed for something that was said.", "counter", lambda: stats.failed),
        Metric(
            "educonnect_moderation_verdict_seconds",
            "From when this process committed something until what follows from it was committed.",
            "histogram",
            lambda: stats.verdict_s,
        ),
        Metric("educonnect_moderation_model_seconds", "A model's answer about a text.", "histogram", lambda: stats.model_s),
    )

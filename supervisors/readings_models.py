"""The readings of models, as who asks them sees them, and those of an ML process itself. See `supervisors.readings`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actors.breaker import State
from actors.histogram import Histogram
from gateway.metrics import Labels, Metric
from ml_actors.runner import Runner

if TYPE_CHECKING:
    from supervisors.ml_node import MlNode
    from supervisors.node import Node

_STATES: Final = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}


def model_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of models: are they answered, how soon, and if not, why? The series are bounded: a model, a reason."""
    models = node.models

    def asked() -> dict[Labels, float]:
        return {(name,): float(counts.asked) for name, counts in models.counts.items()}

    def unanswered() -> dict[Labels, float]:
        return {(name, why.value): float(n) for name, counts in models.counts.items() for why, n in counts.unanswered.items()}

    def seconds() -> dict[Labels, Histogram]:
        return {(name,): counts.seconds for name, counts in models.counts.items()}

    def degraded() -> dict[Labels, float]:
        return {(name,): float(counts.degraded) for name, counts in models.counts.items()}

    def states() -> dict[Labels, float]:
        return {(name,): _STATES[breaker.state] for name, breaker in models.breakers.items()}

    def opened() -> dict[Labels, float]:
        return {(name,): float(breaker.opened) for name, breaker in models.breakers.items()}

    model = ("model",)
    return (
        Metric("educonnect_model_questions", "Questions to models.", "counter", asked, model),
        Metric("educonnect_model_unanswered", "Questions that no model answered, by why.", "counter", unanswered, ("model", "why")),
        Metric("educonnect_model_seconds", "From a question to its answer.", "histogram", seconds, model),
        Metric("educonnect_model_degraded", "Answers that said that they are less than they should be.", "counter", degraded, model),
        Metric("educonnect_model_breaker", "A model's breaker here: 0 closed, 1 half-open, 2 open.", "gauge", states, model),
        Metric("educonnect_model_breaker_opened", "How often it opened.", "counter", opened, model),
        Metric("educonnect_model_asking", "Questions under way.", "gauge", lambda: float(models.asking)),
    )


def ml_metrics(node: MlNode) -> tuple[Metric, ...]:
    """What an ML process says of itself, by version; docs/models.md has them in a table."""
    places = node.serving.places

    def each(figure: Callable[[Runner], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(title,): float(figure(place.runner)) for title, place in places.items()}

    def histograms(figure: Callable[[Runner], Histogram]) -> Callable[[], dict[Labels, Histogram]]:
        return lambda: {(title,): figure(place.runner) for title, place in places.items()}

    def apart() -> dict[Labels, Histogram]:
        return {(title,): counts.apart for title, counts in node.serving.shadows.items()}

    def unserved() -> dict[Labels, float]:
        return {(name,): float(count) for name, count in node.serving.unserved.items()}

    version = ("version",)
    return (
        Metric("educonnect_version_ready", "Whether a version answers: 1, or 0.", "gauge", each(lambda r: r.ready), version),
        Metric("educonnect_version_waiting", "Questions that wait for it here.", "gauge", each(lambda r: r.waiting), version),
        Metric("educonnect_version_answered", "Questions that it answered.", "counter", each(lambda r: r.counts.answered), version),
        Metric("educonnect_version_broken", "Questions that it broke at.", "counter", each(lambda r: r.counts.broken), version),
        Metric("educonnect_version_late", "Questions dropped unread: late.", "counter", each(lambda r: r.counts.late), version),
        Metric("educonnect_version_shed", "Questions refused: too many.", "counter", each(lambda r: r.counts.shed), version),
        Metric("educonnect_version_crashes", "Ends of its process.", "counter", each(lambda r: r.counts.crashes), version),
        Metric("educonnect_version_batch", "Questions in a batch.", "histogram", histograms(lambda r: r.counts.batch_items), version),
        Metric("educonnect_version_batch_seconds", "What a batch took.", "histogram", histograms(lambda r: r.counts.batch_s), version),
        Metric(
            "educonnect_version_memory_bytes",
            "Memory of its process, without what it shares.",
            "gauge",
            each(lambda r: r.worker.memory_mib * 1024 * 1024 if r.worker is not None else 0.0),
            version,
        ),
        Metric("educonnect_version_apart", "How far a shadow's answers were from those that were given.", "histogram", apart, version),
        Metric("educonnect_version_unserved", "Questions while no version was ready.", "counter", unserved, ("model",)),
    )

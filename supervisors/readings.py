"""What a node tells Prometheus: plain numbers that its parts keep, read when they are scraped and at no other time.

    readings_traffic   sockets, fan-out, streams, the link, HTTP        who is here, and does it arrive
    readings_storage   journal, store, bridge, outbox                    is it kept, and how fast
    readings_models     models, as who asks them sees them               do they answer, and how soon
    readings_moderation  what is judged, by whom, and what came of it    does somebody look at it, in time
    readings_matching  searches for a mentor                             are they answered, and by what
    readings_analytics what is reckoned from answers                     does it keep up
    here               actors, the tree, the process                     does everything run

Invariant: no label has a value that a stranger chooses, or one for each stream, user or device: every metric has a bounded number of
series.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from actors.histogram import Histogram
from gateway.metrics import Labels, Metric
from supervisors.counts import PoolState
from supervisors.readings_analytics import analytics_metrics
from supervisors.readings_matching import matching_metrics
from supervisors.readings_models import model_metrics
from supervisors.readings_moderation import moderation_metrics
from supervisors.readings_storage import storage_metrics
from supervisors.readings_traffic import traffic_metrics
from supervisors.states import SOUND, states_of
from supervisors.tree_state import places

if TYPE_CHECKING:
    from supervisors.node import Node


def node_metrics(node: Node) -> tuple[Metric, ...]:
    """The metrics of one node, by what an operator asks."""
    return (
        *traffic_metrics(node),
        *storage_metrics(node),
        *model_metrics(node),
        *moderation_metrics(node),
        *matching_metrics(node),
        *analytics_metrics(node),
        *_actor_metrics(node),
        *_process_metrics(node),
    )


def _actor_metrics(node: Node) -> tuple[Metric, ...]:
    def pools(figure: Callable[[PoolState], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(state.name,): float(figure(state)) for state in node.dispatcher.states()}

    def drops() -> dict[Labels, float]:
        return {(state.name, reason): float(n) for state in node.dispatcher.states() for reason, n in state.drops_by_reason.items()}

    pool = ("pool",)
    return (
        Metric("educonnect_actors", "Actors in memory.", "gauge", pools(lambda s: s.cells), pool),
        Metric("educonnect_actor_messages", "Messages handled.", "counter", pools(lambda s: s.handled), pool),
        Metric("educonnect_actor_restarts", "Actors rebuilt after a crash.", "counter", pools(lambda s: s.restarts), pool),
        Metric("educonnect_actor_give_ups", "Actors stopped after too many crashes.", "counter", pools(lambda s: s.give_ups), pool),
        Metric("educonnect_dead_letters", "Messages to nobody.", "counter", pools(lambda s: s.dead_letters), pool),
        Metric("educonnect_inbox_waiting", "Messages in all inboxes now.", "gauge", pools(lambda s: s.waiting), pool),
        Metric("educonnect_inbox_deepest", "Messages in the fullest inbox now.", "gauge", pools(lambda s: s.deepest), pool),
        Metric("educonnect_inbox_drops", "Messages beyond an inbox's bound.", "counter", drops, ("pool", "reason")),
        Metric("educonnect_actors_ready", "Actors that wait for a turn.", "gauge", lambda: float(node.dispatcher.ready)),
        Metric("educonnect_late_answers", "Answers to who no longer waited.", "counter", lambda: float(node.dispatcher.late_answers)),
        Metric("educonnect_hook_failures", "Crashes while an actor was being put away.", "counter", lambda: node.dispatcher.hook_failures),
    )


def _process_metrics(node: Node) -> tuple[Metric, ...]:
    def restarts() -> dict[Labels, float]:
        return {(path,): float(state.restarts) for path, state in places(node.tree.state())} if node.tree is not None else {}

    def uptimes() -> dict[Labels, float]:
        return {(path,): state.uptime_s for path, state in places(node.tree.state())} if node.tree is not None else {}

    def states() -> dict[Labels, float]:
        return {(name,): float(state == SOUND) for name, state in states_of(node).items()}

    def pauses() -> dict[Labels, Histogram]:
        return {(str(generation),): paused_s for generation, paused_s in node.pulse.pauses_s.items()}

    def spans() -> dict[Labels, float]:
        tracer = node.tracer
        return {} if tracer is None else {("exported",): tracer.exported, ("dropped",): tracer.dropped, ("failed",): tracer.failed}

    child = ("child",)
    return (
        Metric("educonnect_up", "Whether what this process depends on is well: 1, or 0.", "gauge", states, ("dependency",)),
        Metric("educonnect_child_restarts", "Services started again, by their place in the tree.", "counter", restarts, child),
        Metric("educonnect_child_uptime_seconds", "Since their last start; 0 where one does not run.", "gauge", uptimes, child),
        Metric("educonnect_turn_delay_seconds", "How late the event loop woke a task.", "histogram", lambda: node.pulse.delay_s),
        Metric(
            "educonnect_gc_pause_seconds",
            "How long garbage collection stopped the process.",
            "histogram",
            pauses,
            ("generation",),
        ),
        Metric(
            "educonnect_tasks", "Tasks that the event loop has.", "gauge", lambda: float(trio.lowlevel.current_statistics().tasks_living)
        ),
        Metric("educonnect_trace_spans", "Spans of followed commands, by what became of them.", "counter", spans, ("outcome",)),
        Metric("educonnect_epoch", "The database's history that is served.", "gauge", lambda: float(node.epoch)),
    )

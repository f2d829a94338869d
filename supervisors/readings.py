"""What a node tells Prometheus: plain integers that its parts keep, read when they are scraped and at no other time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.metrics import Labels, Metric
from supervisors.counts import PoolState

if TYPE_CHECKING:
    from gateway.connection import Counters
    from supervisors.node import Node


def node_metrics(node: Node) -> tuple[Metric, ...]:
    """The metrics of one node, by what an operator asks."""
    link, journal = node.link.counts, node.journal.stats

    def pools(figure: Callable[[PoolState], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(state.name,): figure(state) for state in node.dispatcher.states()}

    def transport(figure: Callable[[Counters], float]) -> Callable[[], float]:
        return lambda: figure(node.listener.counters) if node.listener is not None else 0.0

    def by_reason(figure: Callable[[Counters], dict[str, int] | dict[int, int]]) -> Callable[[], dict[Labels, float]]:
        return lambda: (
            {(str(key),): float(value) for key, value in figure(node.listener.counters).items()} if node.listener is not None else {}
        )

    def sessions_by_source() -> dict[Labels, float]:
        counts = node.sessions.counts
        found = {"memory": counts.from_l1, "redis": counts.from_redis, "postgres": counts.loaded, "shared": counts.shared}
        return {(source,): float(count) for source, count in found.items()}

    return (
        Metric(
            "educonnect_sockets",
            "Open sockets.",
            "gauge",
            lambda: float(len(node.listener.multiplexer)) if node.listener is not None else 0.0,
        ),
        Metric("educonnect_sockets_accepted", "Handshakes completed.", "counter", transport(lambda c: c.accepted)),
        Metric("educonnect_sockets_closed", "Sockets ended, by close code.", "counter", by_reason(lambda c: c.closes), ("code",)),
        Metric("educonnect_connections_refused", "Never became sockets.", "counter", by_reason(lambda c: c.refused), ("reason",)),
        Metric("educonnect_messages_in", "Messages from clients.", "counter", transport(lambda c: c.messages_in)),
        Metric("educonnect_messages_out", "Messages to clients.", "counter", transport(lambda c: c.messages_out)),
        Metric("educonnect_bytes_in", "Bytes from clients.", "counter", transport(lambda c: c.bytes_in)),
        Metric("educonnect_bytes_out", "Bytes to clients.", "counter", transport(lambda c: c.bytes_out)),
        Metric("educonnect_sends", "System calls that sent.", "counter", transport(lambda c: c.sends)),
        Metric("educonnect_queued_bytes", "Bytes that sockets have not taken.", "gauge", transport(lambda c: c.queued_bytes)),
        Metric("educonnect_pushes_refused", "Fan-out that a slow socket did not take.", "counter", transport(lambda c: c.pushes_refused)),
        Metric("educonnect_actors", "Actors in memory.", "gauge", pools(lambda s: s.cells), ("pool",)),
        Metric("educonnect_actor_messages", "Messages handled.", "counter", pools(lambda s: s.handled), ("pool",)),
        Metric("educonnect_actor_restarts", "Actors rebuilt after a crash.", "counter", pools(lambda s: s.restarts), ("pool",)),
        Metric("educonnect_actor_give_ups", "Actors stopped after too many.", "counter", pools(lambda s: s.give_ups), ("pool",)),
        Metric("educonnect_dead_letters", "Messages to nobody.", "counter", pools(lambda s: s.dead_letters), ("pool",)),
        Metric("educonnect_inbox_drops", "Messages beyond a bound.", "counter", pools(lambda s: s.drops), ("pool",)),
        Metric("educonnect_inbox_deepest", "The fullest inbox now.", "gauge", pools(lambda s: s.deepest), ("pool",)),
        Metric("educonnect_journal_queued", "Mutations waiting for a commit.", "gauge", lambda: journal.queued),
        Metric("educonnect_journal_entries", "Mutations taken.", "counter", lambda: journal.entries),
        Metric("educonnect_journal_batches", "Transactions of the hot path.", "counter", lambda: journal.batches),
        Metric("educonnect_journal_merges", "Transactions of changes of records.", "counter", lambda: journal.merges),
        Metric("educonnect_journal_operations", "Transactions of the slow path.", "counter", lambda: journal.operations),
        Metric("educonnect_journal_resubmitted", "Batches with an unknown outcome.", "counter", lambda: journal.resubmitted),
        Metric("educonnect_journal_bisected", "Batches taken apart for one bad entry.", "counter", lambda: journal.bisected),
        Metric("educonnect_journal_unavailable", "Mutations the database was away for.", "counter", lambda: journal.unavailable),
        Metric("educonnect_store_waiting", "Queries waiting.", "gauge", lambda: node.store.queries_waiting),
        Metric("educonnect_outbox_delivered", "Inbox entries delivered.", "counter", lambda: node.outbox.delivered),
        Metric("educonnect_outbox_dropped", "Inbox entries that concerned nobody any more.", "counter", lambda: node.outbox.dropped),
        Metric("educonnect_outbox_given_up", "Inbox entries set aside for a person to look at.", "counter", lambda: node.outbox.given_up),
        Metric("educonnect_housekeeping_swept", "Rows deleted that nobody needs.", "counter", lambda: node.housekeeping.swept),
        Metric("educonnect_link_up", "Whether Redis is there.", "gauge", lambda: float(node.commands.up)),
        Metric("educonnect_link_published", "Frames published.", "counter", lambda: link.published),
        Metric("educonnect_link_heard", "Frames heard.", "counter", lambda: link.heard),
        Metric("educonnect_link_dropped", "Frames dropped at the bound, or without a link.", "counter", lambda: link.dropped),
        Metric("educonnect_link_losses", "Subscriptions lost.", "counter", lambda: link.losses),
        Metric("educonnect_link_deaf", "Deaf subscriptions replaced.", "counter", lambda: link.deaf),
        Metric("educonnect_session_answers", "Where a session's state came from.", "counter", sessions_by_source, ("source",)),
        Metric("educonnect_session_refusals", "Requests of sessions that had ended.", "counter", lambda: node.sessions.refused),
        Metric("educonnect_http_connections", "Plain HTTP connections.", "gauge", lambda: node.http.connections),
    )

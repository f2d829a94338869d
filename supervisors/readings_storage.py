"""The readings of what is kept: journal, store, bridge, outbox, housekeeping, jobs. See `supervisors.readings`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from actors.histogram import Histogram
from actors.job_desk import KindFigures
from gateway.metrics import Labels, Metric
from persistence.bridge import LanePort
from protocol.codes import Code
from protocol.merge import Outcome

if TYPE_CHECKING:
    from supervisors.node import Node


def storage_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of the way to Postgres."""
    return (*_journal(node), *_bridge(node), *_chores(node), *_jobs(node), *_webhooks(node), *_messenger(node))


def _journal(node: Node) -> tuple[Metric, ...]:
    stats = node.journal.stats

    def outcomes() -> dict[Labels, float]:
        return {
            (operation, Code(code).name, "yes" if replayed else "no"): float(count)
            for (operation, code, replayed), count in stats.outcomes.items()
        }

    def changes() -> dict[Labels, float]:
        return {(outcome.name.lower(),): float(stats.changes.get(outcome, 0)) for outcome in Outcome}

    return (
        Metric("educonnect_journal_queued", "Mutations taken and not yet answered.", "gauge", lambda: stats.queued),
        Metric("educonnect_journal_queued_bytes", "Their size.", "gauge", lambda: stats.queued_bytes),
        Metric(
            "educonnect_journal_waiting_seconds",
            "How long the first of the queue has waited.",
            "gauge",
            lambda: node.journal.waited_s(trio.current_time()),
        ),
        Metric("educonnect_journal_interval_seconds", "Between two batches, at this load.", "gauge", lambda: node.journal.interval_s),
        Metric("educonnect_journal_entries", "Mutations answered.", "counter", lambda: stats.entries),
        Metric("educonnect_journal_batches", "Transactions of the hot path.", "counter", lambda: stats.batches),
        Metric("educonnect_journal_merges", "Transactions of changes of records.", "counter", lambda: stats.merges),
        Metric("educonnect_journal_operations", "Transactions of the slow path.", "counter", lambda: stats.operations),
        Metric("educonnect_journal_batch_entries", "Mutations in one batch.", "histogram", lambda: stats.batch_entries),
        Metric("educonnect_journal_commit_seconds", "One batch's transaction, repeats included.", "histogram", lambda: stats.commit_s),
        Metric(
            "educonnect_journal_answer_seconds",
            "The longest wait in each batch of the hot path, from taking a mutation to its answer.",
            "histogram",
            lambda: stats.answer_s,
        ),
        Metric("educonnect_journal_conflicts", "Transactions that others stood in the way of.", "counter", lambda: stats.conflicts),
        Metric("educonnect_journal_collisions", "Something unique made twice at once.", "counter", lambda: stats.collisions),
        Metric("educonnect_journal_resubmitted", "Batches with an unknown outcome, sent again.", "counter", lambda: stats.resubmitted),
        Metric("educonnect_journal_bisected", "Batches taken apart for one bad entry.", "counter", lambda: stats.bisected),
        Metric("educonnect_journal_poisoned", "Entries that the database cannot take.", "counter", lambda: stats.poisoned),
        Metric("educonnect_journal_unavailable", "Mutations the database was away for.", "counter", lambda: stats.unavailable),
        Metric(
            "educonnect_mutations",
            "Answers to mutations, by operation and code; replayed: the outcome was known already.",
            "counter",
            outcomes,
            ("operation", "code", "replayed"),
        ),
        Metric("educonnect_sync_changes", "Changes of records that were taken, by what became of them.", "counter", changes, ("outcome",)),
    )


def _bridge(node: Node) -> tuple[Metric, ...]:
    def lanes(figure: Callable[[LanePort], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(name,): float(figure(lane)) for name, lane in node.bridge.lanes.items()}

    def times(figure: Callable[[LanePort], Histogram]) -> Callable[[], dict[Labels, Histogram]]:
        return lambda: {(name,): figure(lane) for name, lane in node.bridge.lanes.items()}

    def failed() -> dict[Labels, float]:
        return {(name, fault): float(n) for name, lane in node.bridge.lanes.items() for fault, n in lane.counts.failed.items()}

    lane = ("lane",)
    call_s, wait_s = times(lambda one: one.counts.call_s), times(lambda one: one.counts.wait_s)
    return (
        Metric("educonnect_postgres_calls", "Calls under way or waiting for a connection.", "gauge", lanes(lambda one: one.calls), lane),
        Metric("educonnect_postgres_busy", "Calls refused at the bound.", "counter", lanes(lambda one: one.counts.busy), lane),
        Metric("educonnect_postgres_faults", "Calls the world failed, by how.", "counter", failed, ("lane", "fault")),
        Metric("educonnect_postgres_call_seconds", "A call, from asking to its answer.", "histogram", call_s, lane),
        Metric("educonnect_postgres_wait_seconds", "Its wait for a connection.", "histogram", wait_s, lane),
        Metric("educonnect_store_waiting", "Queries waiting.", "gauge", lambda: node.store.queries_waiting),
        Metric(
            "educonnect_control_age_seconds",
            "Since the database last answered the question for revocations; -1 before it first did.",
            "gauge",
            lambda: -1.0 if node.control.fresh_s is None else node.control.fresh_s,
        ),
    )


def _chores(node: Node) -> tuple[Metric, ...]:
    return (
        Metric("educonnect_outbox_delivered", "Inbox entries delivered.", "counter", lambda: node.outbox.delivered),
        Metric("educonnect_outbox_dropped", "Inbox entries that concerned nobody any more.", "counter", lambda: node.outbox.dropped),
        Metric("educonnect_outbox_given_up", "Inbox entries set aside for a person to look at.", "counter", lambda: node.outbox.given_up),
        Metric("educonnect_housekeeping_swept", "Rows deleted that nobody needs.", "counter", lambda: node.housekeeping.swept),
    )


def _jobs(node: Node) -> tuple[Metric, ...]:
    def kinds(figure: Callable[[KindFigures], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(one.kind,): float(figure(one)) for one in node.jobwatch.figures}

    def unserved() -> dict[Labels, float]:
        return {(one.region,): float(one.waiting) for one in node.jobwatch.unserved}

    def runs() -> dict[Labels, Histogram]:
        return {(kind,): run_s for kind, run_s in node.foreman.run_s.items()}

    def ended() -> dict[Labels, float]:
        return {
            (kind, fate): float(count)
            for kind, tally in node.foreman.totals.items()
            for fate, count in (("done", tally.done), ("failed", tally.failed), ("dead", tally.dead), ("cancelled", tally.cancelled))
        }

    def alarms() -> dict[Labels, float]:
        return {(model,): float(count) for model, count in node.jobwatch.alarms.items()}

    kind = ("kind",)
    age_s = "Since the figures of waiting jobs were read; -1 before they first were. All processes show the same figures."
    return (
        Metric("educonnect_jobs_ready", "Jobs that wait for somebody to take them.", "gauge", kinds(lambda one: one.ready), kind),
        Metric("educonnect_jobs_delayed", "Jobs that wait for their time.", "gauge", kinds(lambda one: one.delayed), kind),
        Metric("educonnect_jobs_failing", "Waiting jobs that failed before.", "gauge", kinds(lambda one: one.failing), kind),
        Metric("educonnect_jobs_running", "Jobs that run anywhere.", "gauge", kinds(lambda one: one.running), kind),
        Metric("educonnect_jobs_dead", "Dead letters.", "gauge", kinds(lambda one: one.dead), kind),
        Metric("educonnect_jobs_oldest_seconds", "How long the first has been ready.", "gauge", kinds(lambda one: one.oldest_s), kind),
        Metric(
            "educonnect_jobs_unserved",
            "Jobs that wait for a process in their community's region, of which none lives.",
            "gauge",
            unserved,
            ("region",),
        ),
        Metric("educonnect_reports_open", "Reports that nobody has decided.", "gauge", lambda: float(node.jobwatch.reports.count)),
        Metric(
            "educonnect_reports_oldest_seconds",
            "How long the first undecided report has waited.",
            "gauge",
            lambda: node.jobwatch.reports.oldest_s,
        ),
        Metric(
            "educonnect_model_audit_alarms",
            "Groups that a model treats worse than others, by its last audit.",
            "gauge",
            alarms,
            ("model",),
        ),
        Metric("educonnect_jobs_age_seconds", age_s, "gauge", lambda: -1.0 if node.jobwatch.age_s is None else node.jobwatch.age_s),
        Metric("educonnect_job_runs", "Attempts of this process, by what became of them.", "counter", ended, ("kind", "outcome")),
        Metric("educonnect_job_run_seconds", "Attempts of this process.", "histogram", runs, kind),
        Metric("educonnect_jobs_here", "Jobs that run in this process.", "gauge", lambda: float(len(node.foreman.running))),
        Metric("educonnect_job_leases_lost", "Times this process lost its lease.", "counter", lambda: node.foreman.leases_lost),
    )


def _webhooks(node: Node) -> tuple[Metric, ...]:
    watch, deliverer = node.outside.watch, node.outside.deliverer

    def states() -> dict[Labels, float]:
        tally = watch.tally
        counts = {"active": tally.active, "failing": tally.failing, "paused": tally.paused, "given_up": tally.given_up}
        return {(state,): float(count) for state, count in counts.items()}

    def attempts() -> dict[Labels, float]:
        return {("taken",): float(deliverer.taken), ("failed",): float(deliverer.failed)}

    return (
        Metric("educonnect_webhooks", "Subscriptions, by how they are; `failing` are active, too.", "gauge", states, ("state",)),
        Metric(
            "educonnect_webhooks_lag_seconds",
            "How old the oldest event is that an active subscription has not passed; read in the role `jobs`.",
            "gauge",
            lambda: float(watch.tally.lag_s),
        ),
        Metric("educonnect_webhook_attempts", "Deliveries of this process, by what became of them.", "counter", attempts, ("outcome",)),
    )


def _messenger(node: Node) -> tuple[Metric, ...]:
    messenger = node.messenger

    def mails() -> dict[Labels, float]:
        carrier = messenger.carrier
        if carrier is None:
            return {}
        return {("sent",): float(carrier.sent), ("delayed",): float(carrier.delayed), ("refused",): float(carrier.refused)}

    def pushes() -> dict[Labels, float]:
        return {("taken",): float(messenger.pushed), ("gone",): float(messenger.push_gone), ("failed",): float(messenger.push_failed)}

    return (
        Metric("educonnect_mails", "Attempts of this process to send a mail, by what became of them.", "counter", mails, ("outcome",)),
        Metric("educonnect_pushes", "Pushes of this process, by what became of them.", "counter", pushes, ("outcome",)),
    )

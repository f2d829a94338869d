"""The readings of what comes and goes: sockets, fan-out, streams, the link, sessions, HTTP. See `supervisors.readings`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from heapq import nlargest
from typing import TYPE_CHECKING, Final

import trio

from gateway.connection import Counters
from gateway.listener import Listener
from gateway.metrics import Labels, Metric
from protocol.codes import Code
from supervisors.looking import channels_of

if TYPE_CHECKING:
    from supervisors.node import Node

SLOWEST: Final = 5
"""Streams named by rank."""
BEHIND_S: Final = (0.1, 1.0, 5.0, 30.0)
_NO_COUNTERS: Final = Counters()


def traffic_metrics(node: Node) -> tuple[Metric, ...]:
    """What an operator asks of sockets and of what goes over them."""
    return (*_sockets(node), *_fan_out(node), *_streams(node), *_link(node), *_web(node))


def _sockets(node: Node) -> tuple[Metric, ...]:
    def counters() -> Counters:
        return node.listener.counters if node.listener is not None else _NO_COUNTERS

    def counted(figure: Callable[[Counters], float]) -> Callable[[], float]:
        return lambda: float(figure(counters()))

    def by(figure: Callable[[Counters], dict[str, int] | dict[int, int]]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(str(key),): float(value) for key, value in figure(counters()).items()}

    def sessions() -> dict[Labels, float]:
        kinds = node.cast.near.tallies.sessions
        return {(str(schema), quality.name.lower()): float(count) for (schema, quality), count in kinds.items()}

    def doorway(figure: Callable[[Listener], float]) -> Callable[[], float]:
        return lambda: float(figure(node.listener)) if node.listener is not None else 0.0

    backed_up = doorway(lambda listener: len(listener.multiplexer.backed_up()))

    return (
        Metric(
            "educonnect_sockets",
            "Open sockets.",
            "gauge",
            lambda: float(len(node.listener.multiplexer)) if node.listener is not None else 0.0,
        ),
        Metric("educonnect_sessions", "Welcomed sessions, by schema and link quality.", "gauge", sessions, ("schema", "quality")),
        Metric("educonnect_sockets_backed_up", "Sockets whose peers do not take what is sent.", "gauge", backed_up),
        Metric("educonnect_sockets_accepted", "Handshakes completed.", "counter", counted(lambda c: c.accepted)),
        Metric("educonnect_sockets_closed", "Sockets ended, by close code.", "counter", by(lambda c: c.closes), ("code",)),
        Metric("educonnect_connections_refused", "Never became sockets, by reason.", "counter", by(lambda c: c.refused), ("reason",)),
        Metric("educonnect_connections_half_open", "Connections without a complete head.", "gauge", doorway(lambda one: one.half_open)),
        Metric("educonnect_handshakes_waiting", "Handshakes that wait for their turn.", "gauge", doorway(lambda one: one.waiting)),
        Metric("educonnect_messages_received", "Messages from clients.", "counter", counted(lambda c: c.messages_in)),
        Metric("educonnect_messages_sent", "Messages to clients.", "counter", counted(lambda c: c.messages_out)),
        Metric("educonnect_received_bytes", "Bytes from clients.", "counter", counted(lambda c: c.bytes_in)),
        Metric("educonnect_sent_bytes", "Bytes to clients.", "counter", counted(lambda c: c.bytes_out)),
        Metric("educonnect_sends", "System calls that sent.", "counter", counted(lambda c: c.sends)),
        Metric("educonnect_queued_bytes", "Bytes that sockets have not taken.", "gauge", counted(lambda c: c.queued_bytes)),
        Metric("educonnect_held_bytes", "Bytes of unfinished messages from clients.", "gauge", counted(lambda c: c.held_bytes)),
        Metric("educonnect_pushes_refused", "Fan-out that a slow socket did not take.", "counter", counted(lambda c: c.pushes_refused)),
    )


def _fan_out(node: Node) -> tuple[Metric, ...]:
    tallies = node.cast.near.tallies

    def drops() -> dict[Labels, float]:
        counters = node.listener.counters if node.listener is not None else _NO_COUNTERS
        return {
            ("ephemeral_unread",): float(max(0, counters.pushes_refused - tallies.lagged)),
            ("ephemeral_crowd",): float(tallies.whispers_over),
            ("lagged",): float(tallies.lagged),
            ("audience_unknown",): float(tallies.audience_held),
            ("slow",): float(counters.closes.get(Code.SLOW, 0)),
            ("flood",): float(counters.closes.get(Code.FLOOD, 0)),
            ("overload",): float(counters.closes.get(Code.OVERLOAD, 0)),
            ("dead_line",): float(counters.closes.get(Code.DEAD, 0)),
        }

    return (
        Metric("educonnect_fanout_events", "Durable events flushed to followers here, each once.", "counter", lambda: tallies.events),
        Metric("educonnect_fanout_deliveries", "Messages of them that sockets took.", "counter", lambda: tallies.deliveries),
        Metric("educonnect_fanout_ephemeral", "Ephemeral frames taken for a flush.", "counter", lambda: tallies.whispers),
        Metric("educonnect_fanout_flush_events", "Durable events in one flush.", "histogram", lambda: tallies.flush_events),
        Metric(
            "educonnect_fanout_wait_seconds",
            "From the news of an event to the flush that carries it.",
            "histogram",
            lambda: tallies.flush_wait_s,
        ),
        Metric("educonnect_catch_up_events", "Events sent in pages.", "counter", lambda: tallies.page_events),
        Metric("educonnect_drops", "What was not delivered, or whom it was not delivered to, by reason.", "counter", drops, ("reason",)),
    )


def _streams(node: Node) -> tuple[Metric, ...]:
    tallies = node.cast.near.tallies

    def lags() -> list[tuple[float, int]]:
        now_s = trio.current_time()
        return [(channel.behind_s(now_s), stream) for stream, channel in channels_of(node).items()]

    def behind() -> dict[Labels, float]:
        reached = [0] * (len(BEHIND_S) + 1)
        for lag_s, _ in lags():
            reached[bisect_right(BEHIND_S, lag_s)] += 1
        return {(f"{bound:g}",): float(sum(reached[place + 1 :])) for place, bound in enumerate(BEHIND_S)}

    def slowest(part: Callable[[tuple[float, int]], float]) -> Callable[[], dict[Labels, float]]:
        def read() -> dict[Labels, float]:
            worst = [*nlargest(SLOWEST, (lag for lag in lags() if lag[0] > 0.0)), *[(0.0, 0)] * SLOWEST][:SLOWEST]
            return {(str(rank),): float(part(lag)) for rank, lag in enumerate(worst, 1)}

        return read

    return (
        Metric("educonnect_streams", "Streams with followers here.", "gauge", lambda: float(len(node.cast.near.followed))),
        Metric("educonnect_streams_behind", "Streams that are behind for longer than so many seconds.", "gauge", behind, ("over",)),
        Metric("educonnect_slowest_stream_lag_seconds", "The longest of them, by rank.", "gauge", slowest(lambda lag: lag[0]), ("rank",)),
        Metric("educonnect_slowest_stream_id", "Which streams they are; 0: none.", "gauge", slowest(lambda lag: lag[1]), ("rank",)),
        Metric("educonnect_stream_lag_seconds", "How long streams were behind, told at the end.", "histogram", lambda: tallies.behind_s),
        Metric("educonnect_gaps", "Events that came before an earlier one.", "counter", lambda: tallies.gaps),
        Metric("educonnect_gap_repairs", "Gaps that were read from Postgres.", "counter", lambda: tallies.repairs),
        Metric("educonnect_tails_lost", "Last events that only a comparison of heads showed.", "counter", lambda: tallies.tails_lost),
    )


def _link(node: Node) -> tuple[Metric, ...]:
    link, commands = node.link.counts, node.commands.counts

    def replaced() -> dict[Labels, float]:
        causes = {"deaf": link.deaf, "silent": link.silent, "refused": link.refused}
        return {(cause,): float(n) for cause, n in {**causes, "lost": link.losses - sum(causes.values())}.items()}

    return (
        Metric("educonnect_link_up", "Whether the subscription to the other gateways holds.", "gauge", lambda: float(node.link.up)),
        Metric("educonnect_redis_up", "Whether Redis takes commands.", "gauge", lambda: float(node.commands.up)),
        Metric("educonnect_link_published", "Frames published.", "counter", lambda: link.published),
        Metric("educonnect_link_heard", "Frames heard from other gateways.", "counter", lambda: link.heard),
        Metric("educonnect_link_echoes", "Own frames that came back.", "counter", lambda: link.echoes),
        Metric("educonnect_link_stray", "Frames of streams not wanted, or of no known shape.", "counter", lambda: link.stray),
        Metric("educonnect_link_dropped", "Frames dropped at the bound, or without a link.", "counter", lambda: link.dropped),
        Metric("educonnect_link_dropped_bytes", "Their size.", "counter", lambda: link.dropped_bytes),
        Metric("educonnect_link_connects", "Subscriptions opened.", "counter", lambda: link.connects),
        Metric("educonnect_link_losses", "Subscriptions lost.", "counter", lambda: link.losses),
        Metric("educonnect_link_replaced", "Why they were lost.", "counter", replaced, ("cause",)),
        Metric("educonnect_redis_calls", "Commands with an answer.", "counter", lambda: commands.calls),
        Metric("educonnect_redis_losses", "Command connections lost.", "counter", lambda: commands.losses),
        Metric("educonnect_redis_unsent_bytes", "Bytes that Redis has not taken.", "gauge", lambda: node.commands.unsent_bytes),
    )


def _web(node: Node) -> tuple[Metric, ...]:
    http, passwords = node.http_counts, node.passwords

    def requests() -> dict[Labels, float]:
        return {(method, route, str(status)): float(count) for (method, route, status), count in http.requests.items()}

    def sessions_by_source() -> dict[Labels, float]:
        counts = node.sessions.counts
        found = {"memory": counts.from_l1, "redis": counts.from_redis, "postgres": counts.loaded, "shared": counts.shared}
        return {(source,): float(count) for source, count in found.items()}

    def links_closed() -> dict[Labels, float]:
        return {(str(code),): float(count) for code, count in node.http_links.counters.closes.items()}

    return (
        Metric("educonnect_http_connections", "Plain HTTP connections.", "gauge", lambda: node.http.connections),
        Metric("educonnect_http_requests", "Requests answered.", "counter", requests, ("method", "route", "status")),
        Metric("educonnect_http_seconds", "From a request's head to its answer.", "histogram", lambda: http.seconds),
        Metric("educonnect_http_links", "Open links over HTTP, where sockets are blocked.", "gauge", lambda: float(len(node.http_links))),
        Metric("educonnect_http_links_closed", "Links over HTTP ended, by close code.", "counter", links_closed, ("code",)),
        Metric("educonnect_http_crashes", "Connections that ended by a fault of ours.", "counter", lambda: node.http.crashes),
        Metric("educonnect_sync_visit_frames", "Frames in a sync over HTTP.", "histogram", lambda: http.visit_frames),
        Metric("educonnect_session_answers", "Where a session's state came from.", "counter", sessions_by_source, ("source",)),
        Metric("educonnect_session_refusals", "Requests of sessions that had ended.", "counter", lambda: node.sessions.refused),
        Metric(
            "educonnect_refresh_reuses",
            "Refresh tokens that were used a second time: their sessions were ended.",
            "counter",
            lambda: node.accounts.reuses,
        ),
        Metric("educonnect_passwords_hashed", "Passwords hashed or compared.", "counter", lambda: passwords.done),
        Metric("educonnect_passwords_refused", "Log-ins turned away because too many waited.", "counter", lambda: passwords.refused),
        Metric("educonnect_passwords_waiting", "Log-ins that wait for a hash.", "gauge", lambda: passwords.waiting),
        Metric("educonnect_quota_refusals", "Times an account had asked for enough of something.", "counter", lambda: node.limits.refused),
        Metric("educonnect_quota_alone", "Let through and not counted with the other gateways.", "counter", lambda: node.limits.alone),
        Metric("educonnect_second_factors_right", "Second factors that were right.", "counter", lambda: node.multi_factor.right),
        Metric(
            "educonnect_second_factors_refused",
            "Second factors that were wrong, late or had to wait.",
            "counter",
            lambda: node.multi_factor.wrong,
        ),
    )

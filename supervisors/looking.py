"""Looking at a node: two readings of its counters, a moment apart, and what stands out between them.

    Totals ── window_s ──▶ Totals ─▶ rates ─▶ NodeView
    channels, sessions and sockets are walked only while somebody looks (3 ms for 10,000 of them)

Invariant: looking changes nothing.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from heapq import nlargest
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from actors.channel import Channel
from actors.session import Session
from gateway.connection import Connection
from gateway.models import breaker_words
from supervisors.states import states_of
from supervisors.tree import Tree
from supervisors.view import (
    LISTED_MAX,
    JournalView,
    LinkView,
    ModelView,
    NodeView,
    PoolView,
    ProcessView,
    ReaderView,
    SocketsView,
    StreamView,
)

if TYPE_CHECKING:
    from supervisors.node import Node
    from supervisors.pulse import Pulse
    from supervisors.troubles import Troubles

WINDOW_S = 1.0
_PAGE_BYTES = resource.getpagesize()


class Totals(Struct, frozen=True):
    """Running numbers at one moment; `of` subtracts."""

    at_s: float
    cpu_s: float
    collected_s: float
    handled: dict[str, int] = {}
    streams: dict[int, tuple[int, int]] = {}
    """Flushed events, and to how many followers each, by stream."""
    transport: tuple[int, ...] = (0,) * 6
    journal: tuple[float, ...] = (0.0,) * 4
    link: tuple[int, int] = (0, 0)
    asked: dict[str, int] = {}
    """Questions to models."""


async def look_at_node(node: Node, tree: Tree, role: str, window_s: float = WINDOW_S) -> NodeView:
    """What the node does now; takes `window_s`."""
    before = _totals(node)
    await trio.sleep(window_s)
    now = _totals(node)
    per_s = _rate(now.at_s - before.at_s)
    streams = _streams(node, before, now, per_s)
    return NodeView(
        role=role,
        at=time.time(),
        window_s=now.at_s - before.at_s,
        tree=tree.state(),
        process=_process(node.pulse, before, now),
        states=states_of(node),
        troubles=tuple(node.troubles.latest()[:LISTED_MAX]),
        pools=_pools(node, before, per_s),
        sockets=_sockets(node, before, now, per_s),
        streams=tuple(nlargest(LISTED_MAX, streams, key=lambda view: (view.share, view.behind_s, view.followers))),
        streams_live=len(node.cast.near.followed),
        streams_behind=sum(view.behind_s > 0.0 for view in streams),
        readers=_readers(node),
        journal=_journal(node, before, now, per_s),
        link=LinkView(
            heard_per_s=per_s(now.link[0] - before.link[0]),
            published_per_s=per_s(now.link[1] - before.link[1]),
            dropped=node.link.counts.dropped,
            losses=node.link.counts.losses,
            deaf=node.link.counts.deaf,
            silent=node.link.counts.silent,
        ),
        models=_models(node, before, per_s),
        store_waiting=node.store.queries_waiting,
        bridge_calls={name: lane.calls for name, lane in node.bridge.lanes.items()},
    )


async def look_at_parent(tree: Tree, pulse: Pulse, troubles: Troubles, role: str, window_s: float = WINDOW_S) -> NodeView:
    """The same of a process that has a tree and nothing else."""
    before = Totals(trio.current_time(), time.process_time(), _collected_s(pulse))
    await trio.sleep(window_s)
    now = Totals(trio.current_time(), time.process_time(), _collected_s(pulse))
    return NodeView(
        role=role,
        at=time.time(),
        window_s=now.at_s - before.at_s,
        tree=tree.state(),
        process=_process(pulse, before, now),
        troubles=tuple(troubles.latest()[:LISTED_MAX]),
    )


def _rate(window_s: float) -> Callable[[float], float]:
    return lambda count: count / max(window_s, 1e-6)


def _collected_s(pulse: Pulse) -> float:
    return sum(histogram.sum for histogram in pulse.pauses_s.values())


def channels_of(node: Node) -> dict[int, Channel]:
    """The channels that are built, by stream."""
    return {int(key): actor for key, actor in node.dispatcher.pools["channel"].actors() if isinstance(actor, Channel)}


def _totals(node: Node) -> Totals:
    stats, link = node.journal.stats, node.link.counts
    transport: tuple[int, ...] = (0,) * 6
    if node.listener is not None:
        c = node.listener.counters
        transport = (c.accepted, sum(c.refused.values()), c.messages_in, c.messages_out, c.bytes_out, c.sends)
    return Totals(
        at_s=trio.current_time(),
        cpu_s=time.process_time(),
        collected_s=_collected_s(node.pulse),
        handled={name: pool.counts.handled for name, pool in node.dispatcher.pools.items()},
        streams={stream: (channel.events, channel.pushed) for stream, channel in channels_of(node).items()},
        transport=transport,
        journal=(stats.entries, stats.batch_entries.total, stats.commit_s.sum, stats.batch_entries.sum),
        link=(link.heard, link.published),
        asked={name: counts.asked for name, counts in node.models.counts.items()},
    )


def _process(pulse: Pulse, before: Totals, now: Totals) -> ProcessView:
    late = sorted(pulse.recent_s) or [0.0]
    with open("/proc/self/statm", "rb") as statm:
        memory_bytes = int(statm.read().split()[1]) * _PAGE_BYTES
    return ProcessView(
        pid=os.getpid(),
        cpu_share=(now.cpu_s - before.cpu_s) / max(now.at_s - before.at_s, 1e-6),
        memory_bytes=memory_bytes,
        descriptors=len(os.listdir("/proc/self/fd")),
        turn_delay_p50_s=late[len(late) // 2],
        turn_delay_p99_s=late[int(len(late) * 0.99)],
        turn_delay_max_s=late[-1],
        collected_s=now.collected_s - before.collected_s,
    )


def _pools(node: Node, before: Totals, per_s: Callable[[float], float]) -> tuple[PoolView, ...]:
    return tuple(
        PoolView(
            name=state.name,
            cells=state.cells,
            waiting=state.waiting,
            deepest=state.deepest,
            deepest_key=state.deepest_key,
            handled_per_s=per_s(state.handled - before.handled.get(state.name, 0)),
            restarts=state.restarts,
            give_ups=state.give_ups,
            drops=state.drops,
            dead_letters=state.dead_letters,
        )
        for state in node.dispatcher.states()
    )


def _streams(node: Node, before: Totals, now: Totals, per_s: Callable[[float], float]) -> list[StreamView]:
    # Of an actor that was rebuilt in the window the difference would be below what it did: then all that it counted.
    done = {stream: _since(before.streams.get(stream, (0, 0)), totals) for stream, totals in now.streams.items()}
    pushed = sum(pushes for _, pushes in done.values()) or 1
    return [
        StreamView(
            stream=stream,
            space=channel.space,
            followers=len(channel.live),
            events_per_s=per_s(done[stream][0]),
            share=done[stream][1] / pushed,
            behind_s=channel.behind_s(now.at_s),
        )
        for stream, channel in channels_of(node).items()
        if stream in done and (channel.live or done[stream][0])
    ]


def _since(then: tuple[int, int], now: tuple[int, int]) -> tuple[int, int]:
    return (now[0] - then[0], now[1] - then[1]) if now >= then else now


def _sockets(node: Node, before: Totals, now: Totals, per_s: Callable[[float], float]) -> SocketsView | None:
    listener = node.listener
    if listener is None:
        return None
    done = [b - a for a, b in zip(before.transport, now.transport, strict=True)]
    accepted, refused, messages_in, messages_out, bytes_out, sends = done
    qualities: dict[str, int] = {}
    for (_, quality), count in node.cast.near.tallies.sessions.items():
        if count:
            qualities[quality.name.lower()] = qualities.get(quality.name.lower(), 0) + count
    return SocketsView(
        open=len(listener.multiplexer),
        queued_bytes=listener.counters.queued_bytes,
        backed_up=len(listener.multiplexer.backed_up()),
        accepted_per_s=per_s(accepted),
        refused_per_s=per_s(refused),
        messages_in_per_s=per_s(messages_in),
        messages_out_per_s=per_s(messages_out),
        bytes_out_per_s=per_s(bytes_out),
        messages_a_send=messages_out / sends if sends else 0.0,
        by_quality=qualities,
    )


def _readers(node: Node) -> tuple[ReaderView, ...]:
    if node.listener is None:
        return ()
    slow = nlargest(LISTED_MAX, node.listener.multiplexer.backed_up(), key=lambda connection: connection.queued_bytes)
    if not slow:
        return ()
    sessions = {actor.outlet: (int(key), actor) for key, actor in node.dispatcher.pools["session"].actors() if isinstance(actor, Session)}
    return tuple(_reader(connection, *sessions.get(connection, (0, None))) for connection in slow)


def _reader(connection: Connection, key: int, session: Session | None) -> ReaderView:
    claims = session.claims if session is not None else None
    return ReaderView(
        session=key,
        user=claims.user if claims is not None else 0,
        device=claims.device if claims is not None else 0,
        queued_bytes=connection.queued_bytes,
        age_s=trio.current_time() - connection.full_since,
        lags=session.lags if session is not None else 0,
        quality=session.quality.name.lower() if session is not None else "unknown",
    )


def _models(node: Node, before: Totals, per_s: Callable[[float], float]) -> tuple[ModelView, ...]:
    return tuple(
        ModelView(
            name=name,
            breaker=breaker_words(node.models.breakers[name], trio.current_time()),
            asked_per_s=per_s(counts.asked - before.asked.get(name, 0)),
            answered=counts.answered,
            failed={why.value: count for why, count in counts.unanswered.items() if count},
        )
        for name, counts in node.models.counts.items()
        if counts.asked
    )


def _journal(node: Node, before: Totals, now: Totals, per_s: Callable[[float], float]) -> JournalView:
    stats = node.journal.stats
    entries, batches, commit_s, batched = (b - a for a, b in zip(before.journal, now.journal, strict=True))
    return JournalView(
        queued=stats.queued,
        waits_s=node.journal.waited_s(now.at_s),
        entries_per_s=per_s(entries),
        entries_a_batch=batched / batches if batches else 0.0,
        commit_s=commit_s / batches if batches else 0.0,
        interval_s=node.journal.interval_s,
        repeated=stats.conflicts + stats.resubmitted,
    )

"""The live view as text: for a terminal of 120 columns, every process of an installation one below the other.

    NodeView ─▶ process · states · tree · actors · sockets · slowest readers · busiest streams · journal · link · troubles

What is well takes a line or none; what stands out is named. Pure functions from a value to a string.

Invariant: the same view draws the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from supervisors.drawing import draw_live
from supervisors.states import SOUND
from supervisors.tree_state import Phase, TreeState, places
from supervisors.view import ModelView, NodeView, PoolView, ReaderView, StreamView, VersionView

KIB = 1024.0


def draw_view(name: str, view: NodeView, *, whole: bool = True) -> str:
    """One process. Not `whole`: of its tree only what does not run as it should, so that several fit on a screen."""
    return "\n".join([f"{name}  {_process(view)}", *_lines(view, whole)]) + "\n"


def _lines(view: NodeView, whole: bool) -> Iterator[str]:
    wrong = {thing: state for thing, state in view.states.items() if state != SOUND}
    if wrong:
        yield "  NOT WELL   " + "; ".join(f"{thing}: {state}" for thing, state in wrong.items())
    elif view.states:
        yield "  all well   " + ", ".join(view.states)
    yield from _tree(view.tree, whole)
    yield from _sockets(view)
    yield from _table("slowest readers", [_reader(reader) for reader in view.readers])
    yield from _table(_streams_title(view), [_stream(stream) for stream in view.streams if _is_busy(stream)])
    yield from _table("actors", [_pool(pool) for pool in view.pools if whole or pool.cells or pool.restarts or pool.drops])
    yield from _storage(view)
    yield from _table("models asked", [_model(model) for model in view.models])
    yield from _table("models served", [line for version in view.versions for line in _version(version)])
    yield from _table(
        "restarts",
        [f"{trouble.place}: {_many(trouble.crashes, 'crash', 'crashes')}, last {_ago(view.at - trouble.at)}: {trouble.last_cause}"
         for trouble in view.troubles],
    )  # fmt: skip


def _process(view: NodeView) -> str:
    p = view.process
    return (
        f"cpu {p.cpu_share:.0%}, {_bytes(p.memory_bytes)}, {p.descriptors} descriptors, turns late by {_ms(p.turn_delay_p50_s)} p50 / "
        f"{_ms(p.turn_delay_p99_s)} p99 / {_ms(p.turn_delay_max_s)} max, gc {_ms(p.collected_s)}"
    )


def _tree(tree: TreeState, whole: bool) -> list[str]:
    if whole:
        return [f"  {line}" for line in draw_live(tree).splitlines()]
    ill = [f"{path}: {state.phase.value}" for path, state in places(tree) if state.phase not in (Phase.RUNNING, Phase.ENDED)]
    return _table("not running", ill)


def _sockets(view: NodeView) -> Iterator[str]:
    s = view.sockets
    if s is None:
        return
    by_quality = ", ".join(f"{count} {quality}" for quality, count in sorted(s.by_quality.items()))
    yield (
        f"  sockets    {s.open} open ({by_quality or 'none welcomed'}), +{s.accepted_per_s:.0f}/s, refused {s.refused_per_s:.0f}/s, "
        f"in {s.messages_in_per_s:.0f}/s, out {s.messages_out_per_s:.0f}/s ({_bytes(s.bytes_out_per_s)}/s, {s.messages_a_send:.1f} a send)"
    )
    if s.backed_up or s.queued_bytes:
        yield f"             {s.backed_up} do not take what is sent; {_bytes(s.queued_bytes)} wait for them"


def _reader(reader: ReaderView) -> str:
    who = f"user {reader.user} device {reader.device}" if reader.device else "not welcomed"
    lags = f", dropped from {_many(reader.lags, 'stream', 'streams')}" if reader.lags else ""
    return f"{who} (session {reader.session}, {reader.quality}): {_bytes(reader.queued_bytes)} unread for {reader.age_s:.1f} s{lags}"


def _streams_title(view: NodeView) -> str:
    behind = f", {view.streams_behind} behind" if view.streams_behind else ""
    return f"busiest of {_many(view.streams_live, 'stream', 'streams')}{behind}"


def _is_busy(stream: StreamView) -> bool:
    """Whether there is something to say of it: events, as many as are drawn, or followers that miss some."""
    return round(stream.events_per_s, 1) > 0.0 or stream.behind_s > 0.0


def _stream(stream: StreamView) -> str:
    behind = f", BEHIND for {stream.behind_s:.1f} s" if stream.behind_s else ""
    return (
        f"stream {stream.stream} (space {stream.space}): {stream.events_per_s:.1f} events/s to "
        f"{_many(stream.followers, 'follower', 'followers')}, {stream.share:.0%} of all flushes{behind}"
    )


def _pool(pool: PoolView) -> str:
    facts = [f"{pool.cells}", f"{pool.handled_per_s:.0f} messages/s"]
    facts += [f"{pool.waiting} waiting, deepest inbox {pool.deepest} ({pool.name} {pool.deepest_key})"] if pool.waiting else []
    facts += [_many(pool.restarts, "restart", "restarts")] if pool.restarts else []
    facts += [f"{pool.give_ups} given up"] if pool.give_ups else []
    facts += [f"{pool.drops} dropped"] if pool.drops else []
    return f"{pool.name}: {', '.join(facts)}"


def _model(model: ModelView) -> str:
    failed = "".join(f", {count} {why}" for why, count in model.failed.items())
    return f"{model.name}: breaker {model.breaker}, {model.asked_per_s:.1f} questions/s, {model.answered} answered so far{failed}"


def _version(version: VersionView) -> Iterator[str]:
    v = version
    batches = f" in batches of {v.items_a_batch:.1f} ({_ms(v.batch_s)} each)" if v.items_a_batch else ""
    fed = f", knows {v.fed} rows" if v.fed else ""
    waiting = f", {v.waiting} wait" if v.waiting else ""
    process = f" (process {v.pid}, {v.memory_mib:.0f} MiB)" if v.pid else ""
    yield f"{v.title} {v.part}: {v.phase}{process}, {v.answered_per_s:.1f} answers/s{batches}, ready in {_ms(v.start_s)}{fed}{waiting}"
    counts = {"broken": v.broken, "late": v.late, "shed": v.shed}
    wrong = [f"{count} {what}" for what, count in counts.items() if count]
    if v.crashes:
        cause = f" (last: {v.last_cause})" if v.last_cause else ""
        wrong.insert(0, f"fell {_many(v.crashes, 'time', 'times')}{cause}")
    if wrong:
        yield f"    {', '.join(wrong)}"
    if v.compared:
        yield f"    compared {v.compared} times, apart by {v.apart:.3f} in the mean"


def _storage(view: NodeView) -> Iterator[str]:
    j, link = view.journal, view.link
    if j is not None:
        waits = f", the first for {_ms(j.waits_s)}" if j.queued else ""
        batches = f" in batches of {j.entries_a_batch:.1f}, commit {_ms(j.commit_s)}" if j.entries_a_batch else ""
        repeated = f", {j.repeated} repeated so far" if j.repeated else ""
        yield (f"  journal    {j.entries_per_s:.0f} mutations/s{batches}, interval {_ms(j.interval_s)}, {j.queued} queued{waits}{repeated}")
    busy = ", ".join(f"{name} {calls}" for name, calls in view.bridge_calls.items() if calls)
    if view.store_waiting or busy:
        yield f"  postgres   {view.store_waiting} queries wait; calls under way: {busy or 'none'}"
    if link is not None:
        lost = {"lost": link.losses, "deaf": link.deaf, "silent": link.silent, "frames dropped": link.dropped}
        told = "".join(f", {count} {what}" for what, count in lost.items() if count)
        yield f"  link       heard {link.heard_per_s:.0f}/s, published {link.published_per_s:.0f}/s{told}"


def _table(title: str, lines: Sequence[str]) -> list[str]:
    return [f"  {title}", *(f"    {line}" for line in lines)] if lines else []


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1.0 else f"{seconds:.1f} s"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120.0 else f"{seconds / 60.0:.0f} min ago"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < KIB:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= KIB
    return f"{count:.1f} GiB"

"""What the journal tells of sampled commands: how long each was decided, waited and committed, and with whom it shared a batch.

    command ─┬─ decide          from its arrival to the journal's queue
             ├─ journal.wait    for its batch
             ╰─ journal.commit ─ link ─▶ journal.batch (a trace of its own, linked to all its commands) ─ postgres.call

Invariant: an entry that is not sampled is looked at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from actors.storage import Decided, Entry, Fact
from actors.tracing import BATCH, Trace, Tracer
from protocol.operations import Post, React, Say


class Batch(Struct, frozen=True):
    """A transaction under way that does something for sampled commands."""

    span: Trace
    commits: dict[int, Trace]
    """Their spans of it, by place in the batch."""


class Followed:
    """The sampled entries of one journal. `tracer` is told."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._waiting: dict[int, Trace] = {}

    def queued(self, trace: Trace) -> None:
        """The device has decided to ask for it, and the journal has taken it."""
        self._tracer.ended("decide", trace, (time.time_ns() - trace.began_ns) / 1e9)
        self._waiting[trace.span_id] = self._tracer.begin(trace)

    def begin(self, entries: Sequence[Entry]) -> Batch | None:
        """A transaction begins; None where nobody follows any of it. The bridge is told by its context."""
        BATCH.set(None)
        sampled = {at: entry.trace for at, entry in enumerate(entries) if entry.trace is not None}
        if not sampled:
            return None
        tracer = self._tracer
        for trace in sampled.values():
            waited = self._waiting.pop(trace.span_id, None)
            if waited is not None:  # a batch that is taken apart begins again with its halves
                tracer.end("journal.wait", waited, trace)
        batch = Batch(tracer.begin(None), {at: tracer.begin(trace) for at, trace in sampled.items()})
        BATCH.set(batch.span)
        return batch

    def committed(self, batch: Batch, entries: Sequence[Entry], decided: Sequence[Decided], facts: Sequence[Fact]) -> list[Fact]:
        """It is durable. The facts, those of sampled commands with their traces."""
        tracer, traces = self._tracer, []
        for at, span in batch.commits.items():
            trace = entries[at].trace
            assert trace is not None
            traces.append(trace)
            tracer.end("journal.commit", span, trace, links=(batch.span,), code=decided[at].code.name)
        tracer.end("journal.batch", batch.span, links=tuple(traces), entries=len(entries), facts=len(facts))
        marked = list(facts)
        for at in batch.commits:
            _mark(marked, entries[at], decided[at])
        return marked

    def answered(self, entry: Entry, decided: Decided) -> None:
        """Its device is told what became of it."""
        assert entry.trace is not None
        self._waiting.pop(entry.trace.span_id, None)
        self._tracer.end("command", entry.trace, operation=type(entry.operation).__name__, code=decided.code.name)


def _mark(facts: list[Fact], entry: Entry, decided: Decided) -> None:
    """Puts the entry's trace on the first fact that came of it: by its number where the outcome tells it, else by author and stream."""
    operation = entry.operation
    stream = getattr(operation, "stream", 0)
    exact = isinstance(operation, Say | Post | React)
    for at, fact in enumerate(facts):
        if fact.trace is None and fact.stream == stream and (fact.seq == decided.value if exact else fact.author == entry.user):
            facts[at] = msgspec.structs.replace(fact, trace=entry.trace)
            return

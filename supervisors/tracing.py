"""OpenTelemetry: spans from the actors' thread into a bounded queue, and from there over OTLP/HTTP, in a thread of their own.

    sample, end ─▶ queue (bounded: beyond it spans are dropped, and counted) ─▶ a batch ─▶ thread ─▶ POST endpoint/v1/traces

Needs the packages of `requirements/traces.lock`; without `traces.endpoint` none of them is imported and nobody is asked anything.

Invariant: whatever the collector does, no actor waits for it, and what waits for it has a bound.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from actors.tracing import Trace
from supervisors.collector_log import COLLECTOR_LOG
from supervisors.settings_source import BadSettings, Fault

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

QUEUE_MAX: Final = 8_192
"""Spans: some MiB, and two seconds of a collector that is away at 500 sampled commands a second."""
BATCH_MAX: Final = 512
EVERY_S: Final = 1.0
EXPORT_S: Final = 10.0
"""The most that one batch may take, repeats included."""
LAST_S: Final = 2.0
"""For what is left when the process stops."""


class TracesMissing(BadSettings):
    """`traces.endpoint` is set, and OpenTelemetry is not installed."""

    def __init__(self, endpoint: str, error: ImportError) -> None:
        allowed = f"nothing without OpenTelemetry ({error}); to install it: pip install --require-hashes -r requirements/traces.lock"
        super().__init__([Fault("traces.endpoint", endpoint, allowed)])


class OtlpTracer:
    """`actors.tracing.Tracer`. `serve` sends what was recorded until it is cancelled."""

    def __init__(self, endpoint: str, share: float, gateway: int, role: str = "gateway") -> None:
        """`endpoint`: the collector's base, `http://host:4318`. `share`: of all commands, that are followed. Raises `TracesMissing`."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
        except ImportError as error:
            raise TracesMissing(endpoint, error) from None
        COLLECTOR_LOG.attach()
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
        instance = f"{gateway:08x}"
        self._resource = Resource.create(
            {"service.name": "educonnect", "service.instance.id": instance, "educonnect.role": role, "educonnect.gateway": instance}
        )
        self._share = share
        self._queue: deque[ReadableSpan] = deque()
        self._limiter = trio.CapacityLimiter(1)
        self.recorded = 0
        self.exported = 0
        self.dropped = 0
        """At the bound of the queue."""
        self.failed = 0
        """Spans of batches that the collector did not take."""

    # The actors' side

    def sample(self) -> Trace | None:
        return self.begin(None) if random.random() < self._share else None

    def begin(self, parent: Trace | None) -> Trace:
        trace_id = parent.trace_id if parent is not None else random.getrandbits(128) or 1
        return Trace(trace_id, random.getrandbits(64) or 1, time.time_ns())

    def end(
        self, name: str, span: Trace, parent: Trace | None = None, *, links: tuple[Trace, ...] = (), **facts: int | float | str
    ) -> None:
        self._record(name, span, parent, links, facts)

    def ended(self, name: str, parent: Trace, began_ago_s: float, **facts: int | float | str) -> None:
        began_ns = time.time_ns() - int(began_ago_s * 1e9)
        self._record(name, Trace(parent.trace_id, random.getrandbits(64) or 1, began_ns), parent, (), facts)

    def _record(self, name: str, span: Trace, parent: Trace | None, links: tuple[Trace, ...], facts: dict[str, int | float | str]) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self.dropped += 1
            return
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link

        self.recorded += 1
        self._queue.append(
            ReadableSpan(
                name,
                context=_context(span),
                parent=_context(parent) if parent is not None else None,
                resource=self._resource,
                attributes={f"educonnect.{fact}": value for fact, value in facts.items()},
                links=[Link(_context(other)) for other in links],
                start_time=span.began_ns,
                end_time=time.time_ns(),
            )
        )

    # The collector's side

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Exports once a second, and sooner what is more than a batch; at the end what is left, if the collector is quick."""
        task_status.started()
        try:
            while True:
                await trio.sleep(EVERY_S)
                while self._queue:
                    await self._export()
        finally:
            with trio.move_on_after(LAST_S, shield=True):
                while self._queue:
                    await self._export()

    async def _export(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
        taken = await trio.to_thread.run_sync(self._send, batch, limiter=self._limiter, abandon_on_cancel=True)
        if taken:
            self.exported += len(batch)
        else:
            self.failed += len(batch)

    def _send(self, batch: Sequence[ReadableSpan]) -> bool:
        """In a thread. Whatever a collector answers, or an exporter raises, concerns the traces alone."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - a thread's supervisor: the spans are counted as failed
            COLLECTOR_LOG.say(repr(error))
            return False


def _context(trace: Trace) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace.trace_id, trace.span_id, is_remote=trace.began_ns == 0, trace_flags=TraceFlags(TraceFlags.SAMPLED))

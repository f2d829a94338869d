"""One sampled command, followed from its socket over the journal and Postgres to the followers on two gateways, as a collector sees it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trio
import trio.testing
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from client import connect
from protocol.values import Role
from supervisors.settings import Traces
from supervisors.settings_source import BadSettings
from supervisors.tracing import BATCH_MAX, OtlpTracer
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.system.inside import gateways, settings_for
from tests.system.running import community, register, texts

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]

SECRET_TEXT = "between the two of us"


class Collector:
    """An OTLP collector on loopback: keeps spans with the gateway that sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.bodies: list[bytes] = []
        self.refuses = False
        collector = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(400 if collector.refuses else 200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            gateway = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.instance.id")
            self.spans += [(gateway, span) for scope in resource.scope_spans for span in scope.spans]

    def of_trace(self, trace_id: bytes) -> dict[str, list[tuple[str, Span]]]:
        """The spans of one trace, by name."""
        named: dict[str, list[tuple[str, Span]]] = {}
        for gateway, span in self.spans:
            if span.trace_id == trace_id:
                named.setdefault(span.name, []).append((gateway, span))
        return named

    @contextmanager
    def serving(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Collector().serving() as serving:
        yield serving


def fact(span: Span, name: str) -> object:
    value = next(a.value for a in span.attributes if a.key == f"educonnect.{name}")
    return getattr(value, value.WhichOneof("value"))


async def test_one_posts_trace_is_whole_over_both_gateways(database: str, valkey: TestValkey, tmp_path: Path, collector: Collector) -> None:
    settings = settings_for(database, valkey.url, tmp_path, traces=Traces(collector.endpoint, share=1.0))
    async with gateways(settings, tmp_path / "run", 2) as [first, second]:
        learner = await register(second.url)
        async with connect(second.url, learner) as far, community(first.url, (far, Role.LEARNER)) as (owner, _, general):
            async with trio.open_nursery() as nursery:
                for session in (owner, far):
                    nursery.start_soon(texts, session, general, "the end")
                with trio.fail_after(20):
                    while not all(general in gateway.node.cast.near.followed for gateway in (first, second)):
                        await trio.testing.wait_all_tasks_blocked(0.01)
                # A subscription takes a moment; what is published before it holds is read from Postgres, and not heard.
                heard = second.node.link.counts.heard
                with trio.fail_after(20):
                    while second.node.link.counts.heard == heard:
                        await owner.say(general, "do you hear me?")
                seq = await owner.say(general, SECRET_TEXT)
                await owner.say(general, "the end")
    here, there = (f"{gateway.node.number:08x}" for gateway in (first, second))
    [said] = [
        span for _, span in collector.spans if span.name == "publish" and fact(span, "stream") == general and fact(span, "seq") == seq
    ]
    trace = collector.of_trace(said.trace_id)
    names = ("command", "decide", "journal.wait", "journal.commit", "publish", "hear")
    assert {name: len(trace[name]) for name in names} == dict.fromkeys(names, 1), trace.keys()
    ((_, command),), ((_, commit),), ((_, hear),) = trace["command"], trace["journal.commit"], trace["hear"]
    assert not command.parent_span_id and fact(command, "operation") == "Say" and fact(command, "code") == "OK"
    assert {trace[name][0][1].parent_span_id for name in ("decide", "journal.wait", "journal.commit", "publish")} == {command.span_id}
    assert hear.parent_span_id == said.span_id
    # Which gateway did what, and when: nothing of a command begins before it does.
    assert {gateway for name in names[:-1] for gateway, _ in trace[name]} == {here}
    assert [gateway for gateway, _ in trace["hear"]] == [there]
    flushes = {gateway: span for gateway, span in trace["flush"]}
    assert flushes.keys() == {here, there}
    assert flushes[there].parent_span_id == hear.span_id and flushes[here].parent_span_id == command.span_id
    assert fact(flushes[there], "followers") == 1
    assert all(span.start_time_unix_nano >= command.start_time_unix_nano for spans in trace.values() for _, span in spans)
    # The batch is a trace of its own: both are linked, and the bridge's call is a part of it.
    [link] = commit.links
    batch = collector.of_trace(link.trace_id)
    ((_, journal),) = batch["journal.batch"]
    assert (link.span_id, [other.span_id for other in journal.links]) == (journal.span_id, [command.span_id])
    [(_, call)] = batch["postgres.call"]
    assert call.parent_span_id == journal.span_id and fact(call, "lane") == "journal"
    assert not any(SECRET_TEXT.encode() in body for body in collector.bodies)


async def test_without_an_endpoint_nothing_is_followed_or_announced(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    async with gateways(settings_for(database, valkey.url, tmp_path), tmp_path / "run") as [gateway]:
        assert gateway.node.tracer is None and gateway.node.cast.near.tracer is None
        async with community(gateway.url) as (owner, _, general):
            published = gateway.node.link.counts.published
            await owner.say(general, "one")
        assert gateway.node.link.counts.published - published <= 2  # the event, and who is present


async def test_what_the_collector_does_not_take_is_dropped_and_counted(collector: Collector) -> None:
    collector.refuses = True
    tracer = OtlpTracer(collector.endpoint, 1.0, 7)
    async with trio.open_nursery() as nursery:
        await nursery.start(tracer.serve)
        root = tracer.sample()
        assert root is not None
        tracer.end("command", root)
        with trio.fail_after(20):
            while not tracer.failed:
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert (tracer.recorded, tracer.exported, tracer.failed, tracer.dropped) == (1, 0, 1, 0)


async def test_the_queue_of_spans_has_a_bound(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisors.tracing.QUEUE_MAX", BATCH_MAX + 1)
    tracer = OtlpTracer(collector.endpoint, 1.0, 7)
    for _ in range(BATCH_MAX + 3):
        tracer.end("command", tracer.begin(None))
    assert (tracer.recorded, tracer.dropped) == (BATCH_MAX + 1, 2)
    async with trio.open_nursery() as nursery:
        await nursery.start(tracer.serve)
        nursery.cancel_scope.cancel()
    assert tracer.exported == BATCH_MAX + 1, "what is left when it stops is still sent"
    assert len(collector.spans) == BATCH_MAX + 1


def test_an_endpoint_without_the_packages_stops_the_start_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(BadSettings, match=r"traces\.endpoint is http://127.*: pip install --require-hashes -r requirements/traces\.lock"):
        OtlpTracer("http://127.0.0.1:9", 0.5, 7)


def test_no_command_is_followed_where_the_share_is_nothing() -> None:
    assert OtlpTracer("http://127.0.0.1:9", 0.0, 7).sample() is None

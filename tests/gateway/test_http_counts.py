"""What plain HTTP and lines count, and how a histogram is written."""

from __future__ import annotations

import socket

from prometheus_client.parser import text_string_to_metric_families

from actors.histogram import Histogram
from gateway.http_counts import NOWHERE
from gateway.line_sums import line_sums
from gateway.metrics import Metric, Metrics
from tests.gateway.web_world import World


async def test_requests_are_counted_by_the_pattern_of_their_route_and_what_strangers_type_is_one() -> None:
    world = World()
    for path in ("/health", "/health", "/no/such/path", "/another?with=this", "/api/v1/auth/sessions/1", "/api/v1/auth/sessions/2"):
        await world.ask("GET", path)
    await world.ask("BREW", "/health")
    counts = world.services.http
    assert counts.requests[("GET", "/health", 200)] == 2
    assert counts.requests[(NOWHERE, NOWHERE, 404)] == 2
    assert all(route in {"/health", NOWHERE} or "<" in route for _, route, _ in counts.requests), counts.requests
    assert all(method in {"GET", NOWHERE} for method, _, _ in counts.requests)
    assert sum(counts.requests.values()) == 7 == counts.seconds.total


def test_a_histogram_is_written_cumulatively_as_prometheus_reads_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    text = Metrics(
        [
            Metric("wait_seconds", "Waited.", "histogram", lambda: histogram),
            Metric("lane_seconds", "By lane.", "histogram", lambda: {("a",): histogram}, ("lane",)),
        ],
        process=False,
    ).exposition()
    samples = [s for family in text_string_to_metric_families(text.decode()) for s in family.samples]
    found = {(s.name, s.labels.get("lane"), s.labels.get("le")): s.value for s in samples}
    for name, lane in (("wait_seconds", None), ("lane_seconds", "a")):
        assert [found[(f"{name}_bucket", lane, le)] for le in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
        assert (found[(f"{name}_count", lane, None)], found[(f"{name}_sum", lane, None)]) == (4, 7.65)


def test_the_kernel_says_what_went_over_a_line_and_nothing_of_a_line_that_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ear, socket.create_connection(ear.getsockname()) as there:
        here, _ = ear.accept()
        with here:
            here.sendall(b"x" * 1000)
            there.sendall(b"y" * 70)
            assert there.recv(1000, socket.MSG_WAITALL) and here.recv(70, socket.MSG_WAITALL)
            sums = line_sums(here)
            assert sums is not None
            assert sums.bytes_in == 70 and sums.bytes_out == 1000 and sums.rtt_s >= 0
        assert line_sums(here) is None, "it is closed"
    one, other = socket.socketpair()
    with one, other:
        assert line_sums(one) is None

"""The probe of what tracing costs compares what it says it compares."""

from __future__ import annotations

from actors.session import Session
from bench.trace_probe import PLACES, Stage, measure, without_traces
from supervisors.tracing import OtlpTracer


def test_without_means_that_no_place_asks_for_a_trace_and_the_places_come_back() -> None:
    kept = [getattr(place, name) for place, name in PLACES]
    with without_traces():
        assert "tracer" not in Session._submit.__code__.co_names
        tracer = OtlpTracer("http://127.0.0.1:9", 1.0, 1)
        Stage(tracer).talk(10)
        assert tracer.recorded == 0
    assert [getattr(place, name) for place, name in PLACES] == kept
    Stage(tracer).talk(10)
    assert tracer.recorded > 0


def test_every_variant_is_measured() -> None:
    assert list(measure(20, 1)) == ["without", "off", "on 0", "on 0.001", "on 1"]

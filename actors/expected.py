"""Traces that were announced by other gateways, until the event comes that they belong to.

Invariant: bounded; one whose event is lost is forgotten, and costs nobody anything.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from actors.tracing import Trace, unpack_trace

EXPECTED_MAX: Final = 1024


class ExpectedTraces(OrderedDict[tuple[int, int], Trace]):
    """By stream and number. Empty, and so false, as long as nothing sampled is under way."""

    def expect(self, payload: bytes) -> None:
        told = unpack_trace(payload)
        if told is not None:
            stream, seq, trace = told
            self[stream, seq] = trace
            if len(self) > EXPECTED_MAX:
                self.popitem(last=False)

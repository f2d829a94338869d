"""Problems: whoever is told to come back is told when, in the header and in the body alike."""

from __future__ import annotations

import math

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from quart.wrappers.response import DataBody

from actors.storage_port import Busy, OutcomeUnknown, Unavailable
from gateway.problems import RETRY_S, STATUS, Problem, of_storage, render
from protocol.codes import Code

WAITS = st.none() | st.floats(min_value=0.0, max_value=1e6)


@given(st.sampled_from(sorted(STATUS)), WAITS, st.sampled_from([None, 400, 429, 503]))
@example(Code.RATE, None, None)
@example(Code.BUSY, 0.0, None)
@example(Code.INVALID, None, 429)
def test_whatever_is_worth_asking_again_says_when(code: Code, wait_s: float | None, status: int | None) -> None:
    response = render(Problem(code, "words", retry_after_s=wait_s, status=status))
    assert isinstance(response.response, DataBody)
    body = msgspec.json.decode(response.response.data)
    header = response.headers.get("Retry-After")
    if response.status_code in (429, 503) or wait_s is not None:
        assert header is not None and int(header) == max(1, math.ceil(RETRY_S if wait_s is None else wait_s))
        assert body["retry_after_s"] == int(header)
    else:
        assert header is None and "retry_after_s" not in body


def test_every_fault_of_storage_says_when_to_come_back() -> None:
    for error in (Busy("full"), OutcomeUnknown("lost"), Unavailable("timeout", "late")):
        assert render(of_storage(error)).headers["Retry-After"].isdecimal()

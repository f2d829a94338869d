"""The table of codes: complete, and never in two minds."""

from __future__ import annotations

import pytest

from protocol.codes import TABLE, Code, Reconnect, Retry

CLOSE_CODES_PRIVATE = range(4000, 5000)
"""What RFC 6455 leaves to applications."""
FIXINT_MAX = 127
"""A refusal's code costs one byte on the wire."""


def test_every_code_has_a_row_of_its_own() -> None:
    assert set(TABLE) == set(Code)
    assert all(row.code is code for code, row in TABLE.items())


@pytest.mark.parametrize("code", Code)
def test_a_row_answers_exactly_one_of_retry_and_reconnect(code: Code) -> None:
    row = TABLE[code]
    assert (row.retry is None) != (row.reconnect is None)


@pytest.mark.parametrize("code", Code)
def test_codes_that_end_a_socket_are_close_codes_and_refusals_cost_a_byte(code: Code) -> None:
    if TABLE[code].reconnect is not None:
        assert code in CLOSE_CODES_PRIVATE
    else:
        assert 0 <= code <= FIXINT_MAX


@pytest.mark.parametrize("code", Code)
def test_a_row_explains_itself_in_a_sentence(code: Code) -> None:
    meaning = TABLE[code].meaning
    assert meaning[0].isupper() and meaning.endswith(".")
    assert all(TABLE[other].meaning != meaning for other in Code if other is not code)


def test_only_a_device_that_lost_its_right_stays_away() -> None:
    stay_away = {code for code, row in TABLE.items() if row.reconnect is Reconnect.NO}
    assert stay_away == {Code.REVOKED, Code.TAKEN_OVER, Code.VERSION, Code.BYE}


def test_what_did_not_consume_its_number_is_sent_again() -> None:
    again = {code for code, row in TABLE.items() if row.retry in (Retry.SAME, Retry.LATER)}
    assert again == {Code.GAP, Code.BUSY, Code.RATE, Code.UNAVAILABLE}

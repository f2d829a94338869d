"""The server's session table: a row for every state, an answer for every command, and illegal ones change nothing."""

from __future__ import annotations

import pytest

from protocol.frames import Command, Hello, Resume, Sync
from protocol.server_session import TABLE, WORK, Illegal, Input, Signal, State, diagram, name_of, step

COMMANDS = tuple(Command.__subclasses__())
INPUTS: tuple[Input, ...] = (*COMMANDS, *Signal)


def test_every_state_has_a_row_and_every_row_leads_to_a_state() -> None:
    assert set(TABLE) == set(State)
    assert {following for row in TABLE.values() for following in row.values()} <= set(State)


def test_every_command_is_legal_somewhere_but_the_one_that_begins_a_sync_over_http() -> None:
    assert {kind for row in TABLE.values() for kind in row if not isinstance(kind, Signal)} == set(COMMANDS) - {Sync}


def test_every_state_can_be_reached_and_left() -> None:
    reached, to_visit = {State.NEW}, [State.NEW]
    while to_visit:
        for following in TABLE[to_visit.pop()].values():
            if following not in reached:
                reached.add(following)
                to_visit.append(following)
    assert reached == set(State)
    assert all(State.CLOSED in row.values() for row in TABLE.values())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("input", INPUTS, ids=name_of)
def test_an_input_is_in_the_table_or_refused_with_what_is_legal(state: State, input: Input) -> None:
    if input in TABLE[state]:
        assert step(state, input) is TABLE[state][input]
        return
    with pytest.raises(Illegal) as illegal:
        step(state, input)
    assert str(illegal.value).startswith(f"{name_of(input)} in {state.value}; legal here: ")
    for legal in TABLE[state]:
        if not isinstance(legal, Signal):
            assert name_of(legal) in str(illegal.value)


def test_a_session_is_opened_once_and_shows_one_ticket_at_most() -> None:
    assert [state for state in State if Resume in TABLE[state]] == [State.NEW]
    assert [state for state in State if Hello in TABLE[state]] == [State.NEW, State.TURNED]
    assert [state for state in State if State.TURNED in TABLE[state].values()] == [State.RESUMING, State.TURNED]
    assert {state for state in State if State.OPEN in TABLE[state].values()} == {State.ATTACHING, State.RESUMING, State.OPEN}


def test_an_open_session_takes_all_work_and_a_closed_one_none() -> None:
    for state in (State.ATTACHING, State.RESUMING, State.OPEN, State.DRAINING):
        assert set(WORK) <= set(TABLE[state])
    assert not set(COMMANDS) & set(TABLE[State.CLOSED])


def test_signals_are_never_a_surprise_to_a_closed_session() -> None:
    own = {Signal.TURN}  # the session's own decision about a frame, which a closed one does not take
    assert set(Signal) - own <= set(TABLE[State.CLOSED])


def test_the_diagram_names_every_state_and_arrow() -> None:
    drawn = diagram()
    for state, row in TABLE.items():
        assert state.value in drawn
        for following in row.values():
            if following is not state:
                assert f"{state.value} --> {following.value}" in drawn

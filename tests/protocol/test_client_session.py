"""The client's session machine: every state and input, against the table and against the table of codes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import client_session as m
from protocol.client_session import RULES, IllegalInput, Session, State, step
from protocol.codes import TABLE, Code, Reconnect
from protocol.frames import Draining, Followed, Goodbye, Limits, Resumed, Welcome

WELCOME = Welcome(1, 1, 1, 1001, 5, 7, 0, 60, 0, Limits(65_536, 16, 64))
ENDINGS = [code for code in Code if TABLE[code].reconnect is not None]
SPREAD = st.floats(0, 1, exclude_max=True)
INPUTS = st.one_of(
    st.just(m.Began()),
    st.builds(m.Connected, st.booleans()),
    st.just(m.TicketRefused()),
    st.just(m.ConnectFailed("no route")),
    st.just(m.Traffic()),
    st.builds(
        m.Cut,
        st.sampled_from([0, 1000, 1006, 4999, *map(int, ENDINGS)]),
        online_ms=st.integers(0, 60_000),
        waited_ms=st.integers(0, 60_000),
    ),
    st.just(m.Waited()),
    st.just(m.Renewed()),
    st.just(m.RenewFailed()),
    st.just(m.TokenRefused()),
    st.just(m.Broken(Code.NUMBER_REUSED)),
    st.just(m.Stopped()),
    st.just(WELCOME),
    st.just(Resumed(5, 0, 60)),
    st.builds(Draining, st.integers(-1, 60_000)),
    st.builds(Goodbye, st.sampled_from(ENDINGS), st.just(""), st.integers(-1, 60_000)),
)


def online(**known: object) -> Session:
    return Session(state=State.ONLINE, epoch=7, **known)  # type: ignore[arg-type]


def test_every_state_has_rows_and_is_reached() -> None:
    assert set(RULES) == set(State)
    reached = {to for rules in RULES.values() for rule in rules.values() for to in rule.to}
    assert reached == set(State) - {State.IDLE}


@given(st.lists(st.tuples(INPUTS, SPREAD), max_size=40))
def test_a_step_leads_where_the_table_says_or_is_refused_and_changes_nothing(happenings: list[tuple[m.Input, float]]) -> None:
    session = Session()
    for happened, spread in happenings:
        rule = RULES[session.state].get(type(happened))
        if rule is None:
            before = session
            with pytest.raises(IllegalInput) as caught:
                step(session, happened, spread)
            assert session is before and session == before
            assert set(caught.value.legal) == {kind.__name__ for kind in RULES[session.state]}
            assert f"{type(happened).__name__} in {session.state.name}; legal here: " in str(caught.value)
            continue
        after = step(session, happened, spread)
        assert after.session.state in rule.to
        assert (after.session.end is not None) == (after.session.state is State.ENDED)
        # Without a socket there is always exactly one thing to do next, or the session would stand still for ever.
        if after.session.state in (State.CONNECTING, State.WAITING, State.RENEWING) and after.session.state is not session.state:
            (todo,) = after.actions
            assert isinstance(todo, m.Connect | m.Wait | m.Renew)
        session = after.session


@pytest.mark.parametrize("code", ENDINGS)
def test_what_a_code_says_about_reconnecting_is_obeyed(code: Code) -> None:
    expected = {Reconnect.NO: State.ENDED, Reconnect.NOW: State.WAITING, Reconnect.WAIT: State.WAITING, Reconnect.REFRESH: State.RENEWING}
    rule = TABLE[code].reconnect
    assert rule is not None
    by_close = step(online(), m.Cut(int(code))).session
    said = step(online(), Goodbye(code, "why", 100)).session
    by_word = step(said, m.Cut(1006)).session
    assert by_close.state is by_word.state is expected[rule]


def test_reconnecting_now_waits_for_nothing_the_first_time_and_backs_off_then() -> None:
    first = step(online(), m.Cut(int(Code.DEAD)), 0.999)
    assert first.actions == (m.Wait(0),)
    (again,) = step(online(failures=1), m.Cut(int(Code.DEAD), online_ms=10), 0.999).actions
    assert isinstance(again, m.Wait) and again.ms == m.backoff_ms(1, 0.999)


def test_a_code_nobody_knows_is_taken_for_weather() -> None:
    assert step(online(), m.Cut(4777)).session.state is State.WAITING


@given(st.integers(0, 10_000), SPREAD)
def test_waits_are_uniform_below_a_doubling_bound_and_never_beyond_the_last(failures: int, spread: float) -> None:
    bound = min(m.BACKOFF_MAX_MS, m.BACKOFF_BASE_MS * 2 ** min(failures, 10))
    assert 0 <= m.backoff_ms(failures, spread) <= bound
    assert m.backoff_ms(failures, 0.0) == 0


def test_a_server_that_welcomes_and_crashes_is_not_hammered() -> None:
    session = online()
    waits = []
    for _ in range(8):
        lost = step(session, m.Cut(online_ms=50), 0.5)
        (wait,) = lost.actions
        assert isinstance(wait, m.Wait)
        waits.append(wait.ms)
        session = online(failures=lost.session.failures)
    assert waits == sorted(waits) and waits[-1] == m.BACKOFF_MAX_MS // 2


def test_a_steady_session_starts_the_waits_anew() -> None:
    lost = step(online(failures=9), m.Cut(online_ms=m.STEADY_MS), 0.5)
    (wait,) = lost.actions
    assert isinstance(wait, m.Wait) and wait.ms == m.backoff_ms(0, 0.5)


def test_a_wait_that_the_server_asks_for_is_the_least() -> None:
    said = step(online(), Goodbye(Code.OVERLOAD, "", 20_000)).session
    (wait,) = step(said, m.Cut(), 0.0).actions
    assert wait == m.Wait(20_000, 20_000)


@given(INPUTS, SPREAD, st.integers(0, 20), st.integers(0, 60_000))
def test_a_hurry_shortens_a_wait_to_a_second_and_never_below_what_the_server_asked_for(
    happened: m.Input, spread: float, failures: int, asked_ms: int
) -> None:
    for state in (online(failures=failures), step(online(failures=failures), Goodbye(Code.OVERLOAD, "", asked_ms)).session):
        if type(happened) not in RULES[state.state]:
            continue
        for action in step(state, happened, spread).actions:
            if isinstance(action, m.Wait):
                assert action.least_ms <= action.ms
                assert action.least_ms >= min(action.ms, m.HURRIED_MS)
                assert state.told is None or action.least_ms >= asked_ms


@given(SPREAD, st.integers(0, 60))
def test_after_any_outage_a_device_tries_within_eight_seconds_of_its_end(spread: float, failures: int) -> None:
    for failed in (
        step(Session(state=State.CONNECTING, failures=failures), m.ConnectFailed(), spread),
        step(online(), m.Cut(1006), spread),
    ):
        (wait,) = failed.actions
        assert isinstance(wait, m.Wait) and wait.ms <= 8_000


@pytest.mark.parametrize("code", sorted(m.BLAMED))
def test_a_client_that_is_to_blame_becomes_quieter_than_the_weather_makes_it(code: Code) -> None:
    (wait,) = step(online(failures=20), m.Cut(int(code)), 0.999).actions
    assert isinstance(wait, m.Wait) and wait.ms > 3 * m.BACKOFF_MAX_MS


def test_a_token_refused_again_and_again_ends_the_session() -> None:
    session = Session(state=State.GREETING)
    for _ in range(m.RENEWALS_MAX):
        session = step(session, m.Cut(int(Code.UNAUTHENTICATED))).session
        assert session.state is State.RENEWING
        session = step(step(session, m.Renewed()).session, m.Connected()).session
    assert step(session, m.Cut(int(Code.UNAUTHENTICATED))).session.state is State.ENDED


def test_a_failed_renewal_is_tried_again_before_connecting() -> None:
    waiting = step(Session(state=State.RENEWING), m.RenewFailed()).session
    assert step(waiting, m.Waited()).actions == (m.Renew(),)


@pytest.mark.parametrize(("known", "reset"), [(0, False), (7, False), (6, True)])
def test_another_epoch_than_the_known_one_voids_the_cursors(known: int, reset: bool) -> None:
    opened = step(Session(state=State.GREETING, epoch=known), WELCOME)
    assert opened.actions == (m.Resume(5, reset),)
    assert opened.session.epoch == 7


def test_a_ticket_is_shown_where_there_is_one_and_nothing_was_reset_when_it_is_taken() -> None:
    connecting = Session(state=State.CONNECTING, epoch=7, renewals=2)
    assert step(connecting, m.Connected()).actions == (m.Greet(),)
    shown = step(connecting, m.Connected(ticket=True))
    assert (shown.session.state, shown.actions) == (State.RESUMING, (m.ShowTicket(),))
    resumed = step(shown.session, Resumed(5, 0, 60))
    assert (resumed.session.state, resumed.session.epoch, resumed.session.renewals) == (State.ONLINE, 7, 0)
    assert resumed.actions == (m.Resume(5, False),)


def test_a_ticket_that_is_refused_is_followed_by_hello_on_the_same_socket() -> None:
    refused = step(Session(state=State.RESUMING, epoch=7), m.TicketRefused())
    assert (refused.session.state, refused.actions) == (State.GREETING, (m.Greet(),))
    for answer in (Resumed(5, 0, 60), m.TicketRefused()):
        with pytest.raises(IllegalInput):
            step(refused.session, answer)


def test_a_socket_that_is_cut_while_a_ticket_is_shown_is_weather_like_any_other() -> None:
    for state in (State.GREETING, State.RESUMING):
        lost = step(Session(state=state), m.Cut(1006), 0.5)
        assert lost.session.state is State.WAITING and lost.actions == step(online(), m.Cut(1006), 0.5).actions


@pytest.mark.parametrize("told", [True, False])
def test_a_ticket_of_a_revoked_session_is_not_the_last_word_and_the_token_behind_it_is(told: bool) -> None:
    session = step(Session(state=State.CONNECTING), m.Connected(True)).session
    if told:
        session = step(session, Goodbye(Code.REVOKED, "ended", 0)).session
    session = step(session, m.Cut(0 if told else int(Code.REVOKED))).session
    assert session.state is State.WAITING, "a later login may have put an end to the session of the ticket"
    greeted = step(step(session, m.Waited()).session, m.Connected(True))
    assert greeted.actions == (m.Greet(),), "the same ticket would be refused again"
    assert step(greeted.session, m.Cut(int(Code.REVOKED))).session.state is State.ENDED


def test_a_session_resumed_by_ticket_and_revoked_later_is_over() -> None:
    session = step(Session(state=State.CONNECTING), m.Connected(True)).session
    session = step(session, Resumed(5, 0, 60)).session
    assert step(session, m.Cut(int(Code.REVOKED))).session.state is State.ENDED


def test_a_draining_server_is_left_when_its_delay_is_over_and_the_next_socket_opened_at_once() -> None:
    drained = step(online(), Draining(4000))
    assert drained.actions == (m.LeaveAfter(4000),)
    left = step(drained.session, m.Waited())
    assert left.actions == (m.Leave(),)
    assert step(left.session, m.Cut(int(Code.BYE))).actions == (m.Connect(),)


def test_a_socket_cut_while_draining_still_owes_the_rest_of_the_delay() -> None:
    drained = step(online(), Draining(4000)).session
    assert step(drained, m.Cut(int(Code.DRAIN), waited_ms=1500), 0.9).actions == (m.Wait(2500, 2500),)
    assert step(drained, m.Cut(int(Code.REVOKED), waited_ms=1500)).session.state is State.ENDED


def test_a_revocation_heard_while_moving_is_stronger_than_the_move() -> None:
    moving = step(step(online(), Draining(0)).session, m.Waited()).session
    assert step(step(moving, Goodbye(Code.REVOKED)).session, m.Cut()).session.state is State.ENDED


def test_frames_of_streams_and_requests_are_traffic_and_legal_only_after_welcome() -> None:
    assert step(online(), Followed(0, 1, 0, True)).session.state is State.ONLINE
    with pytest.raises(IllegalInput, match="Followed in GREETING; legal here: Cut, Goodbye, Stopped, Welcome"):
        step(Session(state=State.GREETING), Followed(0, 1, 0, True))


def test_the_drawing_has_a_line_for_every_row() -> None:
    assert len(m.draw().splitlines()) == sum(len(rules) for rules in RULES.values())
    assert "ONLINE ─Draining▶ DRAINING" in m.draw()


@pytest.mark.parametrize("online_ms", [4_000, 26_000])
def test_a_takeover_by_the_broken_socket_before_does_not_end_the_session(online_ms: int) -> None:
    """A Hello that was under way when the network went, and is carried out after the one that came later: much later where its server
    stood still, and where this client was slow to read the news of it."""
    session = online(failures=1)
    for _ in range(m.ECHOES_MAX):
        told = step(session, Goodbye(Code.TAKEN_OVER, "this device opened another socket", 0)).session
        after = step(told, m.Cut(int(Code.TAKEN_OVER), online_ms=online_ms))
        assert after.session.state is State.WAITING
        session = msgspec.structs.replace(after.session, state=State.ONLINE)
    ended = step(session, m.Cut(int(Code.TAKEN_OVER), online_ms=online_ms)).session
    assert ended.state is State.ENDED, "two programs that share a device do not throw each other out for ever"


@pytest.mark.parametrize(("failures", "online_ms"), [(0, 4_000), (3, m.ECHO_MS)])
def test_a_takeover_that_nothing_of_ours_explains_is_final(failures: int, online_ms: int) -> None:
    assert step(online(failures=failures), m.Cut(int(Code.TAKEN_OVER), online_ms=online_ms)).session.state is State.ENDED

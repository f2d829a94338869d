"""What a device keeps: never above the quota, never out of order, never without what is still to be decided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.scope import ALWAYS, Plan, Standing, Step, in_order, plan, priority
from protocol.operations import Held
from protocol.values import StreamKind

KINDS = [StreamKind.PROGRESS, StreamKind.ANSWERS, StreamKind.OWN, StreamKind.BOARD, StreamKind.LIBRARY, StreamKind.OTHER]


def standing(stream: int) -> st.SearchStrategy[Standing]:
    return st.builds(
        Standing,
        stream=st.just(stream),
        kind=st.sampled_from(KINDS),
        held=st.booleans(),
        size_bytes=st.integers(0, 100),
        pending=st.booleans(),
    )


standings = st.integers(1, 8).flatmap(lambda count: st.tuples(*(standing(stream) for stream in range(1, count + 1))))
choices = st.none() | st.lists(st.builds(Held, st.integers(1, 8), st.integers(0, 3)), unique_by=lambda held: held.stream)
quotas = st.just(0) | st.integers(1, 400)


def streams(steps: tuple[Step, ...]) -> list[int]:
    return [step.stream for step in steps]


def carry_out(plan: Plan, standings: tuple[Standing, ...]) -> tuple[Standing, ...]:
    """Everything as planned; each stream turns out to take what it says."""
    kept = {*streams(plan.keep), *streams(plan.fetch)}
    return tuple(
        Standing(one.stream, one.kind, one.stream in kept, one.size_bytes, one.pending and one.stream in kept) for one in standings
    )


@given(choices, quotas, standings)
def test_every_stream_has_one_place_and_a_reason(chosen: list[Held] | None, quota: int, standings: tuple[Standing, ...]) -> None:
    planned = plan(chosen, quota, standings)
    steps = [*planned.keep, *planned.fetch, *planned.give_up, *planned.leave_out]
    assert sorted(step.stream for step in steps) == [one.stream for one in standings]
    assert all(step.reason for step in steps)
    held = {one.stream for one in standings if one.held}
    assert set(streams(planned.keep)) | set(streams(planned.give_up)) == held


@given(choices, quotas, standings)
def test_nothing_with_pending_changes_is_given_up(chosen: list[Held] | None, quota: int, standings: tuple[Standing, ...]) -> None:
    pending = {one.stream for one in standings if one.pending}
    assert not pending & set(streams(plan(chosen, quota, standings).give_up))


@given(choices, quotas, standings)
def test_the_quota_is_kept_unless_only_pending_streams_are_left(
    chosen: list[Held] | None, quota: int, standings: tuple[Standing, ...]
) -> None:
    planned = plan(chosen, quota, standings)
    kept = [one for one in standings if one.stream in streams(planned.keep) + streams(planned.fetch)]
    assert planned.bytes_kept == sum(one.size_bytes for one in kept)
    if quota and planned.bytes_kept > quota:
        assert all(one.pending or not one.size_bytes for one in kept)


@given(choices, quotas, standings)
def test_what_comes_first_is_never_given_up_for_what_comes_later(
    chosen: list[Held] | None, quota: int, standings: tuple[Standing, ...]
) -> None:
    """Among what is wanted, what is kept is a beginning of the order, but for what cannot be given up."""
    planned = plan(chosen, quota, standings)
    ranks = {held.stream: held.rank for held in chosen or ()}
    wanted = [one for one in in_order(standings, ranks) if chosen is None or one.stream in ranks or one.kind in ALWAYS]
    gone = set(streams(planned.give_up) + streams(planned.leave_out))
    free = [one.stream in gone for one in wanted if not (one.pending and one.held)]
    assert free == sorted(free)
    assert streams(planned.fetch) == [one.stream for one in wanted if one.stream in streams(planned.fetch)]
    assert not any(one.stream in streams(planned.keep + planned.fetch) for one in standings if one not in wanted and not one.pending)


@given(choices, quotas, standings)
def test_a_plan_that_was_carried_out_has_nothing_more_to_do(chosen: list[Held] | None, quota: int, standings: tuple[Standing, ...]) -> None:
    """No stream is dropped and fetched in turn. Only of one whose size nobody knew is the quota a surprise."""
    known = tuple(Standing(one.stream, one.kind, one.held, one.size_bytes + 1, one.pending) for one in standings)
    after = carry_out(plan(chosen, quota, known), known)
    again = plan(chosen, quota, after)
    settled = carry_out(again, after)
    last = plan(chosen, quota, settled)
    assert not last.fetch and not last.give_up


def test_without_a_choice_and_a_quota_everything_is_fetched_by_class() -> None:
    planned = plan(None, 0, [Standing(1, StreamKind.LIBRARY), Standing(2, StreamKind.BOARD), Standing(3, StreamKind.PROGRESS)])
    assert streams(planned.fetch) == [3, 2, 1]


def test_the_lowest_goes_first_and_says_why() -> None:
    held = [
        Standing(1, StreamKind.LIBRARY, held=True, size_bytes=60),
        Standing(2, StreamKind.LIBRARY, held=True, size_bytes=60),
        Standing(3, StreamKind.PROGRESS, held=True, size_bytes=60),
    ]
    planned = plan([Held(1, 5), Held(2, 1), Held(3)], 100, held)
    assert streams(planned.keep) == [3]
    assert streams(planned.give_up) == [1, 2]
    assert planned.give_up[0].reason == "the quota of 100 bytes is used up, and stream 2 comes before it"


def test_what_was_never_measured_is_tried_while_there_is_room_and_remembered_when_it_was_too_big() -> None:
    own = Standing(1, StreamKind.OWN, held=True, size_bytes=50)
    assert streams(plan(None, 100, [own, Standing(2, StreamKind.LIBRARY)]).fetch) == [2]
    assert streams(plan(None, 100, [own, Standing(2, StreamKind.LIBRARY, held=True, size_bytes=80)]).give_up) == [2]
    assert streams(plan(None, 100, [own, Standing(2, StreamKind.LIBRARY, size_bytes=80)]).leave_out) == [2]


def test_a_kind_from_the_future_comes_last() -> None:
    assert max(priority(kind) for kind in StreamKind) == priority(StreamKind.OTHER)

"""Claims about actors and who runs them, on a clock turned by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from actors.cell import Context, Pool, Ref, Timer
from actors.inbox import InboxSpec, Overflow
from supervisors.pool import SWEEP_SLICE_MAX, ControlFlood, PoolFailed
from supervisors.timers import COMPACTION_LEAST
from tests.supervisors.stage import Act, Player, Scripted, Stage, crash, stop, tell

# Addressing.


def test_an_actor_is_built_when_first_addressed_and_only_once() -> None:
    stage = Stage()
    pool: Pool[str, Act] = stage.pool()
    assert pool.find("ann") is None
    ref = pool.get("ann")
    assert stage.built == [], "building is a turn, so that a factory's crash cannot reach whoever called get"
    stage.run()
    assert stage.built == ["ann"]
    assert pool.get("ann") is ref is pool.find("ann")
    ref.tell(Act(1))
    stage.run()
    assert (stage.built, stage.told) == (["ann"], [("ann", 1)])


def test_tell_never_runs_anybody() -> None:
    stage = Stage()
    stage.pool().get("ann").tell(Act(1))
    assert stage.told == []


def test_an_actor_that_tells_itself_is_not_reentered() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ann").tell(Act(1, lambda player: player.context.self.tell(Act(2))))
    stage.run()
    stage.check()
    assert stage.told == [("ann", 1), ("ann", 2)]


def test_control_is_handled_before_what_was_told_earlier() -> None:
    stage = Stage()
    ref = stage.pool().get("ann")
    ref.tell(Act(1))
    ref.tell(Act(2))
    ref.tell_control(Act(3))
    stage.run()
    assert [number for _, number in stage.told] == [3, 1, 2]


def test_a_busy_actor_does_not_starve_the_others() -> None:
    stage = Stage()
    pool = stage.pool(turn_max=4)
    for number in range(100):
        pool.get("ann").tell(Act(number))
    pool.get("ben").tell(Act(1000))
    stage.run()
    assert stage.told.index(("ben", 1000)) == 4


def test_run_ready_keeps_to_its_budget() -> None:
    stage = Stage()
    pool = stage.pool(turn_max=4)
    for key in ("ann", "ben"):
        for number in range(10):
            pool.get(key).tell(Act(number))
    assert stage.turns.run_ready(8) == 0
    assert len(stage.told) == 8
    assert stage.turns.run_ready(100) == 100 - 12
    assert stage.turns.ready == 0


def test_a_full_inbox_refuses_and_the_sender_knows() -> None:
    stage = Stage()
    pool = stage.pool(inbox=InboxSpec(items_max=2, bytes_max=10))
    ref = pool.get("ann")
    assert [ref.tell(Act(1), 6), ref.tell(Act(2), 6), ref.tell(Act(3), 4), ref.tell(Act(4), 0)] == [
        True,
        False,
        True,
        False,
    ]
    stage.run()
    assert [number for _, number in stage.told] == [1, 3]
    assert (pool.drops.over_bytes, pool.drops.over_items) == (1, 1)


def test_each_pool_has_its_own_overflow_policy() -> None:
    stage = Stage()
    ref = stage.pool(inbox=InboxSpec(items_max=1, overflow=Overflow.DROP_OLDEST)).get("ann")
    assert ref.tell(Act(1))
    assert ref.tell(Act(2))
    stage.run()
    assert stage.told == [("ann", 2)]


def test_two_pools_cannot_share_a_name() -> None:
    stage = Stage()
    stage.pool("user")
    with pytest.raises(ValueError, match="user"):
        stage.pool("user")


# Crashes.


def test_a_crash_costs_the_failing_message_and_nothing_else() -> None:
    stage = Stage()
    pool = stage.pool()
    ref = pool.get("ann")
    ref.tell(Act(1))
    ref.tell(Act(2, crash))
    ref.tell(Act(3))
    stage.run()
    assert [number for _, number in stage.told] == [1, 2, 3]
    assert (stage.built, stage.stopped) == (["ann", "ann"], ["ann"])
    assert [(key, str(cause)) for key, cause in stage.crashes] == [("ann", "ann was told to crash")]
    counts = pool.counts
    assert (counts.handled, counts.failed, counts.crashes, counts.restarts) == (2, 1, 1, 1)


def test_a_crash_reaches_no_neighbour() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ben").tell(Act(1))
    pool.get("ann").tell(Act(2, crash))
    pool.get("ben").tell(Act(3))
    stage.run()
    assert stage.built.count("ben") == 1
    assert ("ben", 3) in stage.told


def test_a_crashed_actor_is_rebuilt_even_if_nobody_tells_it_anything() -> None:
    stage = Stage()
    stage.pool().get("ann").tell(Act(1, crash))
    stage.run()
    assert list(stage.players) == ["ann"]


def test_a_crash_while_stopping_the_old_actor_does_not_prevent_the_new_one() -> None:
    stage = Stage()

    def stopped(key: str) -> None:
        raise Scripted("cannot even stop")

    stage.on_stopped = stopped
    pool = stage.pool()
    pool.get("ann").tell(Act(1, crash))
    pool.get("ann").tell(Act(2))
    stage.run()
    assert ("ann", 2) in stage.told
    assert stage.turns.hook_failures == 1


def test_a_crashing_factory_loses_no_message() -> None:
    stage = Stage()
    failures = iter([Scripted("the world is away")])

    def fail_once(key: str, context: Context[Act]) -> None:
        if failure := next(failures, None):
            raise failure

    stage.on_build = fail_once
    pool = stage.pool()
    pool.get("ann").tell(Act(1))
    stage.run()
    assert stage.told == [("ann", 1)]
    assert (pool.counts.crashes, pool.counts.failed) == (1, 0)


def test_more_crashes_than_the_intensity_stop_the_cell_for_good_and_tell_the_listener() -> None:
    stage = Stage()
    given_up: list[tuple[str, Exception]] = []
    pool = stage.pool(intensity=2, period_s=10.0, on_give_up=lambda key, cause: given_up.append((key, cause)))
    ref = pool.get("ann")
    for number in range(3):
        ref.tell(Act(number, crash))
    ref.tell(Act(3))
    stage.run()
    assert [key for key, _ in given_up] == ["ann"]
    assert isinstance(given_up[0][1], Scripted)
    assert ("ann", 3) not in stage.told
    assert not ref.tell(Act(4))
    assert (pool.counts.give_ups, pool.counts.restarts, pool.counts.dead_letters) == (1, 2, 2)
    assert pool.find("ann") is None


def test_what_waited_for_an_actor_that_is_given_up_is_told_to_whoever_can_answer_it() -> None:
    stage = Stage()
    lost: list[tuple[str, int]] = []
    pool = stage.pool(intensity=1, on_lost=lambda key, message: lost.append((key, message.number)))
    ref, other = pool.get("ann"), pool.get("ben")
    for number in (1, 2):
        ref.tell(Act(number, crash))
    ref.tell(Act(3))
    other.tell(Act(4, stop))
    other.tell(Act(5))
    ref.tell_control(Act(6))
    stage.run()
    assert lost == [("ann", 3)], "not what was in hand, nor what waited for one that stopped by itself"
    assert pool.counts.dead_letters == 2


def test_crashes_further_apart_than_the_period_are_forgiven() -> None:
    stage = Stage()
    pool = stage.pool(intensity=2, period_s=10.0)
    for number in range(20):
        pool.get("ann").tell(Act(number, crash))
        stage.run()
        stage.wait(5.0)
    assert pool.counts.give_ups == 0
    assert pool.counts.restarts == 20


def test_a_given_up_key_stays_dead_for_its_quarantine_and_lives_again_after_it() -> None:
    stage = Stage()
    pool = stage.pool(intensity=0, quarantine_s=30.0)
    old = pool.get("ann")
    old.tell(Act(1, crash))
    stage.run()
    stage.time_s += 29.0
    assert not pool.get("ann").tell(Act(2))
    stage.time_s += 1.0
    assert pool.get("ann").tell(Act(3))
    stage.run()
    assert stage.told == [("ann", 1), ("ann", 3)]
    assert not old.tell(Act(4)), "what was stopped for good stays so; only its key may begin again"


def test_a_given_up_key_leaves_memory_when_its_quarantine_is_over() -> None:
    stage = Stage()
    pool = stage.pool(intensity=0, quarantine_s=100.0, passivate_after_s=60.0)
    pool.get("ann").tell(Act(1, crash))
    stage.wait(99.0)
    assert list(pool) == ["ann"]
    stage.wait(20.0)
    assert list(pool) == []


def test_an_actor_given_up_while_it_was_asked_to_leave_leaves_memory_too() -> None:
    stage = Stage()

    def refuse(key: str) -> bool:
        raise Scripted("cannot say")

    stage.may_leave = refuse
    pool = stage.pool(intensity=0, quarantine_s=100.0, passivate_after_s=60.0)
    pool.get("ann")
    stage.wait(80.0)
    assert (pool.counts.give_ups, list(pool)) == (1, ["ann"])
    stage.wait(120.0)
    assert list(pool) == []


def test_a_listener_that_crashes_takes_nobody_with_it() -> None:
    stage = Stage()

    def listen(key: str, cause: Exception) -> None:
        raise Scripted("the listener is broken too")

    pool = stage.pool(intensity=0, on_give_up=listen)
    pool.get("ann").tell(Act(1, crash))
    pool.get("ben").tell(Act(2))
    stage.run()
    assert ("ben", 2) in stage.told
    assert stage.turns.hook_failures == 1


def test_crashes_all_over_a_pool_fail_the_dispatcher_with_their_causes() -> None:
    stage = Stage()
    pool = stage.pool(pool_intensity=3, pool_period_s=10.0)
    for key in ("ann", "ben", "eve", "joe"):
        pool.get(key).tell(Act(1, crash))
    with pytest.raises(PoolFailed, match="more than 3 crashes in 10 s") as failed:
        stage.run()
    assert [str(cause).split()[0] for cause in failed.value.exceptions] == ["ann", "ben", "eve", "joe"]


def test_after_a_failed_pool_and_a_reset_everything_begins_again() -> None:
    stage = Stage()
    pool = stage.pool(pool_intensity=0)
    ann, ben = pool.get("ann"), pool.get("ben")
    stage.run()
    ann.tell(Act(1, crash))
    ben.tell(Act(2))
    with pytest.raises(PoolFailed):
        stage.run()
    stage.turns.reset()
    assert (len(pool), stage.turns.ready, stage.players) == (0, 0, {})
    assert pool.counts.dead_letters == 1
    ann.tell(Act(3))
    ben.tell(Act(4))
    stage.run()
    assert stage.told == [("ann", 1), ("ann", 3), ("ben", 4)]


def test_a_pool_that_fails_while_actors_are_asked_to_leave_begins_again_too() -> None:
    stage = Stage()

    def refuse(key: str) -> bool:
        raise Scripted("cannot say")

    stage.may_leave = refuse
    ref = stage.pool(pool_intensity=0, passivate_after_s=60.0).get("ann")
    with pytest.raises(PoolFailed):
        stage.wait(80.0)
    stage.turns.reset()
    ref.tell(Act(1))
    stage.run()
    assert stage.told == [("ann", 1)]


def test_what_is_told_while_everything_stops_is_a_dead_letter() -> None:
    stage = Stage()
    pool = stage.pool()
    refs = {key: pool.get(key) for key in ("ann", "ben")}
    stage.run()
    answers: list[bool] = []
    stage.on_stopped = lambda key: answers.extend(ref.tell(Act(1)) for ref in refs.values())
    stage.turns.reset()
    stage.run()
    assert stage.told == []
    assert len(stage.stopped) == 2
    assert pool.counts.dead_letters == 4


def test_cancellation_and_interrupts_are_not_crashes() -> None:
    stage = Stage()

    def interrupt(player: object) -> None:
        raise KeyboardInterrupt

    pool = stage.pool()
    pool.get("ann").tell(Act(1, interrupt))
    pool.get("ann").tell(Act(2))
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    assert stage.crashes == []
    stage.run()
    assert stage.told[-1] == ("ann", 2), "the dispatcher is consistent after it"


def test_a_flooded_control_lane_crashes_its_actor_and_is_emptied() -> None:
    stage = Stage()
    pool = stage.pool(inbox=InboxSpec(control_max=3))
    ref = pool.get("ann")
    stage.run()
    ref.tell(Act(0))
    for number in range(1, 5):
        ref.tell_control(Act(number))
    ref.tell_control(Act(5))
    stage.run()
    assert [type(cause) for _, cause in stage.crashes] == [ControlFlood]
    assert stage.built == ["ann", "ann"]
    assert [number for _, number in stage.told] == [5, 0]
    assert pool.drops.control_flood == 4


# Ends.


def test_after_stop_every_message_is_a_dead_letter() -> None:
    stage = Stage()
    pool = stage.pool()
    ref = pool.get("ann")
    ref.tell(Act(1, stop))
    ref.tell(Act(2))
    stage.run()
    assert not ref.tell(Act(3))
    ref.tell_control(Act(4))
    assert stage.told == [("ann", 1)]
    assert (stage.stopped, pool.counts.dead_letters, len(pool)) == (["ann"], 3, 0)


def test_a_stopped_key_may_be_addressed_anew_but_the_old_reference_stays_dead() -> None:
    stage = Stage()
    pool = stage.pool()
    old = pool.get("ann")
    old.tell(Act(1, stop))
    stage.run()
    new = pool.get("ann")
    assert new.tell(Act(2))
    assert not old.tell(Act(3))
    stage.run()
    assert stage.told == [("ann", 1), ("ann", 2)]


def test_stop_from_outside_a_turn_ends_the_old_actor_before_a_new_one_is_built() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ann")
    stage.run()
    stage.players["ann"].context.stop()
    pool.get("ann")
    stage.run()
    assert (stage.built, stage.stopped) == (["ann", "ann"], ["ann"])


def test_an_actor_that_stops_itself_in_its_factory_is_told_that_it_stopped() -> None:
    stage = Stage()
    stage.on_build = lambda key, context: context.stop()
    pool = stage.pool()
    pool.get("ann").tell(Act(1))
    stage.run()
    assert (stage.stopped, stage.told, pool.counts.dead_letters) == (["ann"], [], 1)


def test_dead_letters_are_all_counted_and_reported_ever_more_rarely() -> None:
    stage = Stage()
    pool = stage.pool()
    ref = pool.get("ann")
    ref.tell(Act(0, stop))
    stage.run()
    for number in range(1, 101):
        ref.tell(Act(number))
    assert pool.counts.dead_letters == 100
    assert [count for _, count in stage.dead_letters] == [1, 2, 4, 8, 16, 32, 64]


# Passivation.


def test_an_idle_actor_leaves_memory_and_comes_back_when_told_something() -> None:
    stage = Stage()
    pool = stage.pool(passivate_after_s=60.0)
    ref = pool.get("ann")
    ref.tell(Act(1))
    stage.wait(76.0)
    assert (stage.stopped, len(pool), pool.find("ann")) == (["ann"], 0, None)
    assert ref.tell(Act(2))
    stage.run()
    assert stage.built == ["ann", "ann"]
    assert stage.told == [("ann", 1), ("ann", 2)]
    assert pool.get("ann") is ref


def test_a_passive_reference_forwards_to_the_cell_that_took_its_place() -> None:
    stage = Stage()
    pool = stage.pool(passivate_after_s=60.0)
    old = pool.get("ann")
    stage.wait(80.0)
    new = pool.get("ann")
    assert new is not old
    old.tell(Act(1))
    old.tell_control(Act(2))
    stage.run()
    stage.check()
    assert [number for _, number in stage.told] == [2, 1]
    assert stage.built.count("ann") == 2


def test_an_actor_that_is_told_things_stays() -> None:
    stage = Stage()
    pool = stage.pool(passivate_after_s=60.0)
    for number in range(10):
        pool.get("ann").tell(Act(number))
        stage.wait(50.0)
    assert stage.asked_to_leave == []
    assert stage.built == ["ann"]


def test_an_actor_that_says_no_stays_and_is_asked_again_only_after_another_idle_time() -> None:
    stage = Stage()
    stage.may_leave = lambda key: False
    pool = stage.pool(passivate_after_s=60.0)
    pool.get("ann")
    stage.wait(300.0)
    assert stage.stopped == []
    assert 3 <= len(stage.asked_to_leave) <= 5


def test_a_crash_in_passivate_is_a_crash_like_any_other() -> None:
    stage = Stage()

    def refuse(key: str) -> bool:
        raise Scripted("cannot say")

    stage.may_leave = refuse
    pool = stage.pool(passivate_after_s=60.0, intensity=5, period_s=1.0)
    pool.get("ann")
    stage.wait(80.0)
    assert pool.counts.crashes == 1
    assert stage.built == ["ann", "ann"]


def test_sweeping_looks_at_a_slice_at_a_time_and_still_reaches_everyone() -> None:
    stage = Stage()
    pool = stage.pool(passivate_after_s=60.0)
    for number in range(4 * SWEEP_SLICE_MAX):
        pool.get(str(number))
    stage.run()
    largest, before = 0, len(pool)
    while len(pool):
        stage.time_s = stage.turns.next_deadline_s()
        stage.turns.advance()
        largest, before = max(largest, before - len(pool)), len(pool)
    assert 0 < largest <= SWEEP_SLICE_MAX
    assert stage.time_s <= 1000.0 + 60.0 * 1.6
    assert stage.turns.next_deadline_s() == float("inf"), "nothing wakes an empty pool"


def test_a_pool_without_passivation_keeps_its_actors() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ann")
    stage.wait(1_000_000.0)
    assert len(pool) == 1


# Timers.


def test_timers_fire_in_time_and_in_order() -> None:
    stage = Stage()
    heard: deque[tuple[int, float]] = deque()

    def note(number: int) -> Act:
        return Act(number, lambda player: heard.append((number, player.context.now())))

    def arm(key: str, context: Context[Act]) -> None:
        context.after(3.0, note(3))
        context.after(1.0, note(1))
        context.after(2.0, note(2)).cancel()
        context.after(3.0, note(4))

    stage.on_build = arm
    stage.pool().get("ann")
    stage.wait(10.0)
    assert list(heard) == [(1, 1001.0), (3, 1003.0), (4, 1003.0)]
    assert len(stage.turns.alarms) == 0


@pytest.mark.parametrize("end", [crash, stop])
def test_the_timers_of_an_actor_that_is_gone_are_forgotten(end: Callable[[Player], None]) -> None:
    stage = Stage()
    pool = stage.pool()
    ref: Ref[Act] = pool.get("ann")
    ref.tell(Act(1, lambda player: player.context.after(5.0, Act(99))))
    ref.tell(Act(2, end))
    stage.wait(10.0)
    assert [number for _, number in stage.told] == [1, 2]
    assert len(stage.turns.alarms) == 0


def test_a_timer_cancelled_after_its_actor_was_rebuilt_does_nothing_to_the_new_one() -> None:
    stage = Stage()
    timers: list[Timer] = []
    ref = stage.pool().get("ann")
    ref.tell(Act(1, lambda player: timers.append(player.context.after(5.0, Act(98)))))
    ref.tell(Act(2, crash))
    ref.tell(Act(3, lambda player: player.context.after(5.0, Act(99))))
    stage.run()
    timers[0].cancel()
    assert len(stage.turns.alarms) == 1
    stage.wait(10.0)
    assert stage.told[-1] == ("ann", 99)


def test_cancelled_timers_do_not_pile_up() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ann")
    stage.run()
    context = stage.players["ann"].context
    kept = context.after(1e6, Act(1))
    for _ in range(10 * COMPACTION_LEAST):
        context.after(1e6, Act(2)).cancel()
    assert len(stage.turns.alarms) == 1
    assert stage.turns.alarms.size() <= 2 * COMPACTION_LEAST + 2
    kept.cancel()
    kept.cancel()
    assert len(stage.turns.alarms) == 0


def test_a_timer_set_by_an_actor_that_has_stopped_never_fires() -> None:
    stage = Stage()
    pool = stage.pool()
    pool.get("ann")
    stage.run()
    context = stage.players["ann"].context
    context.stop()
    context.after(1.0, Act(1))
    stage.wait(5.0)
    assert stage.told == []
    assert len(stage.turns.alarms) == 0


# Watching.


def test_the_state_of_a_pool_names_its_deepest_inbox() -> None:
    stage = Stage()
    pool = stage.pool("player")
    for number in range(5):
        pool.get("ann").tell(Act(number))
    pool.get("ben").tell(Act(1))
    (state,) = stage.turns.states()
    assert (state.name, state.cells, state.deepest, state.deepest_key) == ("player", 2, 5, "ann")
    stage.run()
    (state,) = stage.turns.states()
    assert (state.deepest, state.handled) == (0, 6)


def test_actors_of_different_kinds_meet() -> None:
    stage = Stage()
    users, devices = stage.pool("user"), stage.pool("device")
    users.get("ann").tell(Act(1, tell(devices.get("phone"), 2)))
    stage.run()
    assert stage.told == [("ann", 1), ("phone", 2)]

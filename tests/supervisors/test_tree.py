"""Claims about supervision: who starts when, who is restarted with whom, when it is too much, and how everything stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing

from actors.child import Backoff, Restart, Run, Strategy, Supervisor, Worker
from supervisors.tree import ChildEnded, ChildStuck, StartTimeout, SupervisorGaveUp, Tree, run_tree, running
from supervisors.tree_state import Phase, TreeState

NOW = Backoff(first_s=0.0, max_s=0.0)
"""Restarts at once, where the wait is not what a claim is about."""


class Boom(Exception):
    pass


@dataclass
class Theatre:
    """Services that note their starts and stops in `diary`, and end when a claim tells them to."""

    diary: list[str] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)
    causes: list[Exception | None] = field(default_factory=list)
    exits: dict[str, trio.Event] = field(default_factory=dict)
    crash: dict[str, bool] = field(default_factory=dict)

    def service(self, name: str, stop_s: float = 0.0) -> Run:
        """Runs until `end`; needs `stop_s` to tidy up when it is cancelled."""

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            self.exits[name] = trio.Event()
            self.diary.append(f"+{name}")
            task_status.started()
            try:
                await self.exits[name].wait()
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(stop_s)
                self.diary.append(f"-{name}")
                raise
            if self.crash[name]:
                raise Boom(name)

        return run

    def worker(self, name: str, restart: Restart = Restart.PERMANENT) -> Worker:
        return Worker(name, self.service(name), restart=restart, backoff=NOW)

    async def end(self, name: str, crash: bool) -> None:
        """Ends one service and waits until the tree has come to rest."""
        self.crash[name] = crash
        self.exits[name].set()
        await trio.testing.wait_all_tasks_blocked(0.001)

    def report(self, event: str, path: str, cause: Exception | None) -> None:
        self.reports.append((event, path))
        self.causes.append(cause)

    def take_diary(self) -> list[str]:
        diary = self.diary[:]
        self.diary.clear()
        return diary


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def crashing(times: int, after_s: float = 0.0, before_started: bool = False) -> tuple[Run, list[float]]:
    """A service that crashes `times` times and then runs; and the list of when it was run."""
    runs: list[float] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        runs.append(trio.current_time())
        if not before_started:
            task_status.started()
        if len(runs) <= times:
            await trio.sleep(after_s)
            raise Boom(f"run {len(runs)}")
        if before_started:
            task_status.started()
        await trio.sleep_forever()

    return run, runs


def phases(state: TreeState) -> list[Phase]:
    return [child.phase for child in state.children]


# Order.


async def test_children_start_in_order_each_after_the_one_before_has_started(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary: list[tuple[str, float]] = []

    def slow(name: str) -> Run:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            diary.append((name, trio.current_time()))
            await trio.sleep(1.0)
            task_status.started()
            await trio.sleep_forever()

        return run

    spec = Supervisor("root", tuple(Worker(name, slow(name)) for name in "abc"))
    async with running(spec):
        assert diary == [("a", 0.0), ("b", 1.0), ("c", 2.0)]
        assert trio.current_time() == 3.0, "the tree has started once every child has"


async def test_children_stop_in_reverse_each_given_its_grace(autojump_clock: trio.testing.MockClock, theatre: Theatre) -> None:
    spec = Supervisor("root", tuple(Worker(name, theatre.service(name, stop_s=2.0)) for name in "abc"))
    async with running(spec, report=theatre.report) as tree:
        pass
    assert theatre.take_diary() == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert trio.current_time() == 6.0
    assert phases(tree.state()) == [Phase.STOPPED] * 3


@pytest.mark.parametrize("seed", range(20))
async def test_cancellation_from_outside_stops_in_reverse_too(autojump_clock: trio.testing.MockClock, theatre: Theatre, seed: int) -> None:
    inner = Supervisor("inner", (theatre.worker("b"), theatre.worker("c")))
    spec = Supervisor("root", (theatre.worker("a"), inner, theatre.worker("d")))
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(run_tree, spec, report=theatre.report))
        theatre.take_diary()
        nursery.cancel_scope.cancel()
    assert theatre.take_diary() == ["-d", "-c", "-b", "-a"]


async def test_cancellation_while_starting_stops_what_has_started(autojump_clock: trio.testing.MockClock, theatre: Theatre) -> None:
    async def never_starts(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    nested = Supervisor("inner", (theatre.worker("b"), Worker("never", never_starts)))
    spec = Supervisor("root", (theatre.worker("a"), nested, theatre.worker("z")))
    with trio.move_on_after(1.0):
        await run_tree(spec, report=theatre.report)
    assert trio.current_time() == 1.0
    assert theatre.take_diary() == ["+a", "+b", "-b", "-a"]


async def test_a_tree_in_a_scope_that_is_cancelled_already_ends(theatre: Theatre) -> None:
    spec = Supervisor("root", (Supervisor("inner", (theatre.worker("a"),)),))
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_tree(spec, report=theatre.report)
    assert scope.cancelled_caught


async def test_a_worker_with_close_is_asked_first_and_not_cancelled_if_it_finishes(
    autojump_clock: trio.testing.MockClock, theatre: Theatre
) -> None:
    closing = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await closing.wait()
        await trio.sleep(3.0)
        theatre.diary.append("drained")

    async with running(Supervisor("root", (Worker("listener", run, close=closing.set),))):
        pass
    assert theatre.diary == ["drained"]
    assert trio.current_time() == 3.0


async def test_a_worker_that_does_not_close_in_time_is_cancelled(autojump_clock: trio.testing.MockClock, theatre: Theatre) -> None:
    worker = Worker("deaf", theatre.service("deaf"), close=lambda: None, shutdown_s=4.0)
    async with running(Supervisor("root", (worker,)), report=theatre.report):
        pass
    assert theatre.take_diary() == ["+deaf", "-deaf"]
    assert trio.current_time() == 4.0


async def test_a_close_that_crashes_is_followed_by_cancelling(theatre: Theatre) -> None:
    def close() -> None:
        raise Boom("close")

    worker = Worker("odd", theatre.service("odd"), close=close)
    async with running(Supervisor("root", (worker,)), report=theatre.report):
        pass
    assert theatre.take_diary() == ["+odd", "-odd"]
    assert ("child_close_failed", "root/odd") in theatre.reports


async def test_a_stubborn_child_is_reported_and_the_others_are_stopped_meanwhile(
    autojump_clock: trio.testing.MockClock, theatre: Theatre
) -> None:
    stubborn = Worker("stubborn", theatre.service("stubborn", stop_s=1000.0), shutdown_s=2.0)
    spec = Supervisor("root", (theatre.worker("a"), Supervisor("inner", (theatre.worker("b"), stubborn))))
    async with trio.open_nursery() as nursery:
        tree: Tree = await nursery.start(partial(run_tree, spec, report=theatre.report))
        theatre.take_diary()
        tree.stop()
        await trio.sleep(10.0)
        assert ("child_stuck", "root/inner/stubborn") in theatre.reports
        assert theatre.take_diary() == ["-b", "-a"]
        assert tree.state().children[1].children[1].phase is Phase.STUCK
    assert trio.current_time() == 1000.0, "trio cannot kill: the tree ends when the last child does"


# Restarts.

RESTARTS: list[tuple[Strategy, Restart, bool, list[str]]] = [
    # How the middle one of three (a, b, c) ends, and what follows.
    (Strategy.ONE_FOR_ONE, Restart.PERMANENT, True, ["+b"]),
    (Strategy.ONE_FOR_ONE, Restart.PERMANENT, False, ["+b"]),
    (Strategy.ONE_FOR_ONE, Restart.TRANSIENT, True, ["+b"]),
    (Strategy.ONE_FOR_ONE, Restart.TRANSIENT, False, []),
    (Strategy.ONE_FOR_ONE, Restart.TEMPORARY, True, []),
    (Strategy.ONE_FOR_ONE, Restart.TEMPORARY, False, []),
    (Strategy.ONE_FOR_ALL, Restart.PERMANENT, True, ["-c", "-a", "+a", "+b", "+c"]),
    (Strategy.ONE_FOR_ALL, Restart.PERMANENT, False, ["-c", "-a", "+a", "+b", "+c"]),
    (Strategy.ONE_FOR_ALL, Restart.TRANSIENT, True, ["-c", "-a", "+a", "+b", "+c"]),
    (Strategy.ONE_FOR_ALL, Restart.TRANSIENT, False, []),
    (Strategy.ONE_FOR_ALL, Restart.TEMPORARY, True, []),
    (Strategy.ONE_FOR_ALL, Restart.TEMPORARY, False, []),
    (Strategy.REST_FOR_ONE, Restart.PERMANENT, True, ["-c", "+b", "+c"]),
    (Strategy.REST_FOR_ONE, Restart.PERMANENT, False, ["-c", "+b", "+c"]),
    (Strategy.REST_FOR_ONE, Restart.TRANSIENT, True, ["-c", "+b", "+c"]),
    (Strategy.REST_FOR_ONE, Restart.TRANSIENT, False, []),
    (Strategy.REST_FOR_ONE, Restart.TEMPORARY, True, []),
    (Strategy.REST_FOR_ONE, Restart.TEMPORARY, False, []),
]


@pytest.mark.parametrize(("strategy", "restart", "crash", "follows"), RESTARTS)
async def test_each_strategy_restarts_whom_it_names(
    theatre: Theatre, strategy: Strategy, restart: Restart, crash: bool, follows: list[str]
) -> None:
    spec = Supervisor("root", (theatre.worker("a"), theatre.worker("b", restart), theatre.worker("c")), strategy=strategy)
    async with running(spec, report=theatre.report) as tree:
        theatre.take_diary()
        await theatre.end("b", crash)
        assert theatre.take_diary() == follows
        a, b, c = tree.state().children
        assert (a.phase, c.phase) == (Phase.RUNNING, Phase.RUNNING)
        if follows:
            assert (b.phase, b.restarts) == (Phase.RUNNING, 1)
        else:
            assert (b.phase, b.restarts) == (Phase.FAILED if crash else Phase.ENDED, 0)
        assert (b.last_cause == "Boom: b") is crash


@pytest.mark.parametrize(
    ("restart", "follows"),
    [
        (Restart.PERMANENT, ["-b", "+a", "+b"]),
        (Restart.TRANSIENT, ["-b", "+a", "+b"]),
        (Restart.TEMPORARY, ["-b", "+a"]),
    ],
)
async def test_a_sibling_stopped_for_a_group_comes_back_unless_it_is_temporary(
    theatre: Theatre, restart: Restart, follows: list[str]
) -> None:
    spec = Supervisor("root", (theatre.worker("a"), theatre.worker("b", restart)), strategy=Strategy.ONE_FOR_ALL)
    async with running(spec, report=theatre.report):
        theatre.take_diary()
        await theatre.end("a", crash=True)
        assert theatre.take_diary() == follows


async def test_two_crashes_at_once_in_a_group_lead_to_one_restart_of_each(theatre: Theatre) -> None:
    spec = Supervisor("root", (theatre.worker("a"), theatre.worker("b")), strategy=Strategy.ONE_FOR_ALL)
    async with running(spec, report=theatre.report) as tree:
        theatre.take_diary()
        theatre.crash["b"] = True
        theatre.exits["b"].set()
        await theatre.end("a", crash=True)
        assert theatre.take_diary() == ["+a", "+b"]
        assert [child.restarts for child in tree.state().children] == [1, 1]
        assert tree.state().children[1].last_cause == "Boom: b"


async def test_a_backoff_of_one_child_does_not_delay_the_restart_of_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    slow, slow_runs = crashing(times=1)
    quick, quick_runs = crashing(times=1, after_s=1.0)
    spec = Supervisor(
        "root",
        (
            Worker("slow", slow, backoff=Backoff(first_s=60.0, max_s=60.0, jitter=0.0)),
            Worker("quick", quick, backoff=NOW),
        ),
    )
    async with running(spec, report=Theatre().report):
        await trio.sleep(100.0)
        assert slow_runs == [0.0, 60.0]
        assert quick_runs == [0.0, 1.0]


def slow_again(start_s: float, crash_after_s: float) -> tuple[Run, list[tuple[str, float]]]:
    """A service that starts at once, crashes, and from then on takes `start_s` to start; and its diary."""
    diary: list[tuple[str, float]] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        first = not diary
        diary.append(("+", trio.current_time()))
        try:
            await trio.sleep(0.0 if first else start_s)
            task_status.started()
            diary.append(("up", trio.current_time()))
            await trio.sleep(crash_after_s if first else float("inf"))
            raise Boom
        finally:
            diary.append(("-", trio.current_time()))

    return run, diary


async def test_a_child_slow_to_start_again_does_not_delay_the_restart_of_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A database whose disk is full takes its whole time to fail to start; the other server was killed meanwhile."""
    slow, slow_diary = slow_again(start_s=30.0, crash_after_s=1.0)
    quick, quick_runs = crashing(times=1, after_s=2.0)
    spec = Supervisor("root", (Worker("slow", slow, backoff=NOW), Worker("quick", quick, backoff=NOW)))
    async with running(spec, report=Theatre().report) as tree:
        await trio.sleep(3.0)
        assert phases(tree.state()) == [Phase.STARTING, Phase.RUNNING]
        await trio.sleep(97.0)
        assert quick_runs == [0.0, 2.0]
        assert slow_diary == [("+", 0.0), ("up", 0.0), ("-", 1.0), ("+", 1.0), ("up", 31.0)]


async def test_what_a_child_slow_to_start_again_is_built_on_may_crash_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    upper, upper_diary = slow_again(start_s=30.0, crash_after_s=1.0)
    ground, ground_runs = crashing(times=1, after_s=11.0)
    last: list[float] = []

    async def top(*, task_status: trio.TaskStatus[None]) -> None:
        last.append(trio.current_time())
        task_status.started()
        await trio.sleep_forever()

    children = (Worker("ground", ground, backoff=NOW), Worker("upper", upper, backoff=NOW), Worker("top", top, backoff=NOW))
    async with running(Supervisor("root", children, strategy=Strategy.REST_FOR_ONE), report=Theatre().report) as tree:
        await trio.sleep(20.0)
        assert phases(tree.state()) == [Phase.RUNNING, Phase.STARTING, Phase.BACKOFF], "what is built on it waits for it"
        await trio.sleep(80.0)
        assert ground_runs == [0.0, 11.0]
        assert upper_diary == [("+", 0.0), ("up", 0.0), ("-", 1.0), ("+", 1.0), ("-", 11.0), ("+", 11.0), ("up", 41.0)]
        assert last == [0.0, 41.0]
        assert phases(tree.state()) == [Phase.RUNNING] * 3


async def test_a_stop_does_not_wait_for_a_child_that_starts_again(autojump_clock: trio.testing.MockClock) -> None:
    slow, diary = slow_again(start_s=30.0, crash_after_s=1.0)
    async with running(Supervisor("root", (Worker("slow", slow, backoff=NOW),)), report=Theatre().report) as tree:
        await trio.sleep(5.0)
    assert trio.current_time() == 5.0
    assert diary[-1] == ("-", 5.0)
    assert phases(tree.state()) == [Phase.STOPPED]


async def test_a_stop_does_not_wait_for_a_backoff(autojump_clock: trio.testing.MockClock) -> None:
    run, _ = crashing(times=1)
    spec = Supervisor("root", (Worker("w", run, backoff=Backoff(first_s=60.0, max_s=60.0)),))
    async with running(spec, report=Theatre().report) as tree:
        await trio.sleep(1.0)
        assert phases(tree.state()) == [Phase.BACKOFF]
    assert trio.current_time() == 1.0
    assert phases(tree.state()) == [Phase.STOPPED]


# Backoff and intensity.


async def test_restarts_back_off_and_begin_anew_after_a_stable_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    runs: list[float] = []
    lives_s = iter([0.0, 0.0, 0.0, 0.0, 50.0, 0.0])

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        runs.append(trio.current_time())
        task_status.started()
        await trio.sleep(next(lives_s, float("inf")))
        raise Boom

    backoff = Backoff(first_s=1.0, max_s=4.0, jitter=0.0, stable_s=20.0)
    spec = Supervisor("root", (Worker("w", run, backoff=backoff),), intensity=100)
    async with running(spec, report=Theatre().report):
        await trio.sleep(200.0)
    waits = [later - earlier for earlier, later in pairwise(runs)]
    assert waits == [1.0, 2.0, 4.0, 4.0, 50.0 + 1.0, 2.0]


async def test_a_world_that_is_away_for_long_does_not_burn_the_intensity(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run, runs = crashing(times=100, before_started=True)
    first = True

    async def starts_once(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal first
        if first:
            first = False
            task_status.started()
            return
        await run(task_status=task_status)

    backoff = Backoff(first_s=0.1, max_s=5.0, jitter=0.5)
    spec = Supervisor(
        "root",
        (Worker("journal", starts_once, backoff=backoff),),
        intensity=backoff.crashes_max(20.0),
        period_s=20.0,
    )
    async with running(spec, random=lambda: 0.999, report=Theatre().report) as tree:
        await trio.sleep(3600.0)
        assert len(runs) == 101
        assert phases(tree.state()) == [Phase.RUNNING]


def test_the_most_crashes_in_a_period_are_those_of_the_shortest_waits() -> None:
    assert Backoff(first_s=1.0, max_s=4.0, jitter=0.5).crashes_max(10.0) == 7  # at 0, 0.5, 1.5, 3.5, 5.5, 7.5 and 9.5 s
    with pytest.raises(ValueError, match="may not wait at all"):
        NOW.crashes_max(10.0)


async def test_jitter_only_shortens_a_wait_and_by_no_more_than_its_share() -> None:
    backoff = Backoff(first_s=1.0, max_s=60.0, jitter=0.25)
    assert backoff.delay_s(1, random=0.0) == 1.0
    assert backoff.delay_s(3, random=1.0) == 3.0
    assert backoff.delay_s(10_000, random=0.0) == 60.0


@pytest.mark.parametrize(("crashes", "gives_up"), [(2, False), (3, True)])
async def test_one_crash_more_than_the_intensity_within_the_period_is_too_many(
    autojump_clock: trio.testing.MockClock, crashes: int, gives_up: bool
) -> None:
    run, runs = crashing(times=crashes, after_s=1.0)
    spec = Supervisor("root", (Worker("w", run, backoff=NOW),), intensity=2, period_s=10.0)
    verdict: SupervisorGaveUp | None = None
    try:
        with trio.move_on_after(100.0):
            await run_tree(spec, report=Theatre().report)
    except SupervisorGaveUp as gave_up:
        verdict = gave_up
    assert (verdict is not None) is gives_up
    assert len(runs) == 3
    if verdict is not None:
        assert [str(cause) for cause in verdict.exceptions] == ["run 1", "run 2", "run 3"]
        assert "root: more than 2 crashes in 10 s" in str(verdict)


async def test_crashes_that_leave_the_window_are_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    run, runs = crashing(times=50, after_s=5.0)
    spec = Supervisor("root", (Worker("w", run, backoff=NOW),), intensity=2, period_s=10.0)
    async with running(spec, report=Theatre().report):
        await trio.sleep(1000.0)
    assert len(runs) == 51


async def test_temporary_children_burn_no_intensity(theatre: Theatre) -> None:
    spec = Supervisor("root", tuple(theatre.worker(name, Restart.TEMPORARY) for name in "abc"), intensity=0)
    async with running(spec, report=theatre.report) as tree:
        for name in "abc":
            await theatre.end(name, crash=True)
        assert phases(tree.state()) == [Phase.FAILED] * 3


# Escalation.


async def test_a_supervisor_that_gives_up_stops_its_other_children_in_reverse(theatre: Theatre) -> None:
    spec = Supervisor("root", tuple(theatre.worker(name) for name in "abcd"), intensity=0)
    with pytest.RaisesGroup(pytest.RaisesGroup(Boom)):
        async with running(spec, report=theatre.report):
            theatre.take_diary()
            await theatre.end("b", crash=True)
            await trio.sleep_forever()
    assert theatre.take_diary() == ["-d", "-c", "-a"]


async def test_the_supervisor_above_restarts_one_that_gave_up(theatre: Theatre) -> None:
    inner = Supervisor("inner", (theatre.worker("b"), theatre.worker("c")), intensity=0, backoff=NOW)
    async with running(Supervisor("root", (theatre.worker("a"), inner)), report=theatre.report) as tree:
        theatre.take_diary()
        await theatre.end("b", crash=True)
        assert theatre.take_diary() == ["-c", "+b", "+c"]
        state = tree.state().children[1]
        assert (state.phase, state.restarts) == (Phase.RUNNING, 1)
        assert state.last_cause == ("SupervisorGaveUp: root/inner: more than 0 crashes in 10 s [Boom: b]")


async def test_a_restarted_supervisor_begins_with_a_clean_record(theatre: Theatre) -> None:
    inner = Supervisor("inner", (theatre.worker("b"),), intensity=1, backoff=NOW)
    async with running(Supervisor("root", (inner,)), report=theatre.report) as tree:
        for crashes, restarts_of_inner in ((1, 0), (2, 1), (3, 1), (4, 2)):
            await theatre.end("b", crash=True)
            assert tree.state().children[0].restarts == restarts_of_inner, f"after {crashes} crashes"


async def test_a_child_too_slow_to_start_again_is_stopped_before_the_next_try(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary: list[tuple[str, float]] = []
    start_s = iter([0.0, 100.0, 1.0])

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        diary.append(("+", trio.current_time()))
        try:
            await trio.sleep(next(start_s))
            task_status.started()
            if len(diary) == 1:
                raise Boom
            await trio.sleep_forever()
        finally:
            diary.append(("-", trio.current_time()))

    worker = Worker("w", run, start_s=7.0, backoff=Backoff(first_s=1.0, jitter=0.0))
    async with running(Supervisor("root", (worker,)), report=Theatre().report):
        await trio.sleep(50.0)
    # One life at a time; the second gets its 7 s, and the third begins two seconds of backoff later.
    assert diary == [("+", 0.0), ("-", 0.0), ("+", 1.0), ("-", 8.0), ("+", 10.0), ("-", 50.0)]


async def test_causes_are_kept_through_every_level(theatre: Theatre) -> None:
    inner = Supervisor("inner", (theatre.worker("a"),), intensity=0, backoff=NOW)
    spec = Supervisor("root", (inner,), intensity=0)
    verdicts: list[SupervisorGaveUp] = []

    async def run() -> None:
        try:
            await run_tree(spec, report=theatre.report)
        except SupervisorGaveUp as verdict:
            verdicts.append(verdict)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        await theatre.end("a", crash=True)
    (verdict,) = verdicts
    (inner_cause,) = verdict.exceptions
    assert isinstance(inner_cause, SupervisorGaveUp)
    assert [type(cause) for cause in inner_cause.exceptions] == [Boom]


async def test_a_crash_before_started_fails_the_tree_with_its_cause(theatre: Theatre) -> None:
    run, _ = crashing(times=1, before_started=True)
    spec = Supervisor("root", (theatre.worker("a"), Worker("w", run), theatre.worker("z")))
    with pytest.raises(SupervisorGaveUp, match="could not start w") as gave_up:
        await run_tree(spec, report=theatre.report)
    assert [str(cause) for cause in gave_up.value.exceptions] == ["run 1"]
    assert theatre.take_diary() == ["+a", "-a"]


async def test_a_child_that_returns_before_it_started_did_not_start() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        return None

    with pytest.raises(SupervisorGaveUp) as gave_up:
        await run_tree(Supervisor("root", (Worker("w", run),)), report=Theatre().report)
    assert [type(cause) for cause in gave_up.value.exceptions] == [ChildEnded]


async def test_a_child_that_does_not_start_in_time_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp) as gave_up:
        await run_tree(Supervisor("root", (Worker("w", run, start_s=7.0),)), report=Theatre().report)
    assert [type(cause) for cause in gave_up.value.exceptions] == [StartTimeout]
    assert trio.current_time() == 7.0


async def test_a_group_with_a_stubborn_member_is_not_restarted_beside_it(autojump_clock: trio.testing.MockClock, theatre: Theatre) -> None:
    stubborn = Worker("stubborn", theatre.service("stubborn", stop_s=1000.0), shutdown_s=2.0)
    spec = Supervisor("root", (theatre.worker("a"), stubborn), strategy=Strategy.ONE_FOR_ALL)
    with pytest.RaisesGroup(pytest.RaisesGroup(Boom, ChildStuck)):
        async with running(spec, report=theatre.report):
            theatre.take_diary()
            await theatre.end("a", crash=True)
            await trio.sleep_forever()
    assert theatre.take_diary() == ["-stubborn"]


async def test_an_interrupt_is_not_restarted(theatre: Theatre) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as group:
        await run_tree(Supervisor("root", (Worker("w", run),)), report=theatre.report)
    assert group.value.subgroup(KeyboardInterrupt) is not None
    assert ("child_crashed", "root/w") not in theatre.reports


# What is seen of it.


async def test_the_state_tells_uptime_restarts_and_the_last_cause(autojump_clock: trio.testing.MockClock, theatre: Theatre) -> None:
    run, _ = crashing(times=1, after_s=3.0)
    spec = Supervisor("root", (Worker("w", run, backoff=NOW, hosts=("user",)),))
    async with running(spec, report=theatre.report) as tree:
        await trio.sleep(10.0)
        state = tree.state()
    assert (state.name, state.kind, state.phase, state.uptime_s) == (
        "root",
        "one_for_one",
        Phase.RUNNING,
        10.0,
    )
    assert state.children == (TreeState("w", "worker", Phase.RUNNING, 1, "Boom: run 1", 7.0, ("user",)),)


async def test_every_crash_is_reported_with_its_path(theatre: Theatre) -> None:
    inner = Supervisor("inner", (theatre.worker("b"),))
    async with running(Supervisor("root", (inner,)), report=theatre.report):
        await theatre.end("b", crash=True)
    at = theatre.reports.index(("child_crashed", "root/inner/b"))
    assert isinstance(theatre.causes[at], Boom)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda worker: Supervisor("root", (worker, worker)), "several children named w"),
        (lambda worker: Supervisor("a/b", (worker,)), "cannot name a node"),
        (lambda worker: Worker("", worker.run), "cannot name a node"),
        (lambda worker: Supervisor("root", (worker,), intensity=-1), "intensity >= 0"),
        (lambda worker: Backoff(first_s=2.0, max_s=1.0), "first_s <= max_s"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(theatre: Theatre, build: Callable[[Worker], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build(theatre.worker("w"))

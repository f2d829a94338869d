"""The tree: runs child specs as OTP would. Ordered start, reverse stop, restarts by strategy, escalation with causes.

    start 1 ─▶ 2 ─▶ 3        a child ended: should it come back? ─ no ─▶ noted
                             yes: too many within the period? ─ yes ─▶ stop 3, 2, 1; raise `SupervisorGaveUp(causes)`
    stop  1 ◀─ 2 ◀─ 3        no: stop its group in reverse, wait its backoff, start the group in order

A plain trio nursery stops its children in random order (20 orders in 40 runs). So children run behind a shield, where a cancellation
from outside cannot reach them, and one unshielded task waits for that cancellation and turns it into an orderly stop.

Invariants: a child starts only after the one before it has; no child runs twice at a time; every cause is kept, that of a crash before
`started()` too. What trio cannot do: kill. A child that ignores its cancellation is reported as `STUCK` and holds its supervisor's end.
"""

from __future__ import annotations

import random as random_module
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio
from msgspec import Struct

from actors.child import Child, Restart, Strategy, Supervisor, Worker
from supervisors.intensity import CrashWindow
from supervisors.tree_state import Phase, TreeState, describe

log = structlog.get_logger("tree")

Report = Callable[[str, str, Exception | None], None]
"""Told of what happens in a tree: event (past tense), path of the node, cause."""


class SupervisorGaveUp(ExceptionGroup[Exception]):
    """More crashes than the supervisor's intensity allows, or a child that could not be started or stopped; with the causes."""


class ChildEnded(Exception):
    """A permanent child returned, which a service that should always be there must not do; or a child returned before it started."""


class StartTimeout(Exception):
    """A child did not say `started()` within its `start_s`."""


class ChildStuck(Exception):
    """A child was cancelled and did not end. Two of it must not run, so it cannot be restarted."""


class Tree:
    """A tree of supervisors, ready to run once at a time."""

    def __init__(self, spec: Supervisor, *, random: Callable[[], float] | None = None, report: Report | None = None) -> None:
        """`random`: uniform in [0, 1), for the jitter of backoffs."""
        outside = _Outside(random=random_module.random if random is None else random, report=log_event if report is None else report)
        self._root = _Node(spec, spec.name, outside)

    async def run(self, *, task_status: trio.TaskStatus[Tree] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until stopped or cancelled. Started when every child is. Raises `SupervisorGaveUp`."""
        root = self._root
        supervision = root.supervision
        assert supervision is not None

        def started() -> None:
            root.running()
            task_status.started(self)

        status = _Status(started)
        root.launch()
        try:
            await supervision.run(task_status=status)
        except Exception as cause:
            root.phase, root.last_cause = Phase.FAILED, cause
            raise
        finally:
            if root.phase is not Phase.FAILED:
                root.phase = Phase.STOPPED

    def stop(self) -> None:
        """Asks for an orderly stop; `run` returns when it is done."""
        self._root.phase = Phase.STOPPING
        assert self._root.supervision is not None
        self._root.supervision.request_stop()

    def state(self) -> TreeState:
        return self._root.state(trio.current_time())


async def run_tree(
    spec: Supervisor,
    *,
    random: Callable[[], float] | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[Tree] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Runs the tree of `spec` until cancelled, or stopped through the `Tree` that `task_status` is given. Raises `SupervisorGaveUp`."""
    await Tree(spec, random=random, report=report).run(task_status=task_status)


@asynccontextmanager
async def running(spec: Supervisor, *, random: Callable[[], float] | None = None, report: Report | None = None) -> AsyncIterator[Tree]:
    """The tree of `spec`, running while the body does. If it gives up, the body is cancelled and the causes are raised in a group."""
    async with trio.open_nursery() as nursery:
        tree: Tree = await nursery.start(partial(run_tree, spec, random=random, report=report))
        try:
            yield tree
        finally:
            tree.stop()


class _Outside(Struct, frozen=True):
    """What the machinery is given by the world."""

    random: Callable[[], float]
    report: Report


class _Status:
    """What a child calls `started()` on. trio's own (`nursery.start`) loses the cause of a crash that a supervisor holds back."""

    __slots__ = ("_on_started",)

    def __init__(self, on_started: Callable[[], None]) -> None:
        self._on_started = on_started

    def started(self, value: object = None) -> None:
        self._on_started()


class _Node:
    """One child as it is now. Outlives its restarts."""

    def __init__(self, spec: Child, path: str, outside: _Outside) -> None:
        self.spec = spec
        self.path = path
        self.supervision = _Supervision(spec, path, outside) if isinstance(spec, Supervisor) else None
        self.phase = Phase.WAITING
        self.restarts = 0
        self.last_cause: Exception | None = None
        self.crashes_in_a_row = 0
        self.due_s = 0.0  # when a backoff is over, or the time to start
        # Of the present run:
        self.scope = trio.CancelScope()
        self.over = True
        self.started = False
        self.cause: Exception | None = None
        self._since_s = 0.0

    def launch(self) -> None:
        """Forgets the run before. Here, not at the start of the task that runs it: a stop may be asked for before that has begun."""
        self.phase = Phase.STARTING
        self.scope = trio.CancelScope()
        self.over = self.started = False
        self.cause = None
        if self.supervision is not None:
            self.supervision.launch()

    def running(self) -> None:
        self.started = True
        self._since_s = trio.current_time()
        self.phase = Phase.RUNNING

    def uptime_s(self, now_s: float) -> float:
        return now_s - self._since_s if self.phase is Phase.RUNNING else 0.0

    def state(self, now_s: float) -> TreeState:
        spec = self.spec
        return TreeState(
            name=spec.name,
            kind=spec.strategy.value if isinstance(spec, Supervisor) else "worker",
            phase=self.phase,
            restarts=self.restarts,
            last_cause=None if self.last_cause is None else describe(self.last_cause),
            uptime_s=self.uptime_s(now_s),
            hosts=spec.hosts if isinstance(spec, Worker) else (),
            children=() if self.supervision is None else self.supervision.states(now_s),
        )


class _Supervision:
    """Runs the children of one supervisor. All decisions are taken in one task, one after the other."""

    def __init__(self, spec: Supervisor, path: str, outside: _Outside) -> None:
        self._spec = spec
        self._path = path
        self._outside = outside
        self._nodes = [_Node(child, f"{path}/{child.name}", outside) for child in spec.children]
        self._window = CrashWindow(spec.intensity, spec.period_s)
        self._bell = trio.Event()
        self._stopping = False
        self.on_stuck: Callable[[], None] = lambda: None
        self.stuck = False  # all are stopped but those that do not stop

    def states(self, now_s: float) -> tuple[TreeState, ...]:
        return tuple(node.state(now_s) for node in self._nodes)

    def launch(self) -> None:
        self._stopping = self.stuck = False
        self._window.clear()

    def stopping(self) -> bool:
        return self._stopping

    def request_stop(self) -> None:
        self._stopping = True
        self._ring()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as outer:
            outer.start_soon(self._watch_for_cancellation)
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as children:
                    verdict = await self._supervise(children, task_status)
            outer.cancel_scope.cancel()
        if verdict is not None:
            raise verdict

    async def _watch_for_cancellation(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.request_stop()

    async def _supervise(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> SupervisorGaveUp | None:
        verdict = await self._start_all(nursery)
        if verdict is None and not self.stopping():
            task_status.started()
        while verdict is None and not self.stopping():
            await self._wait_for_work()
            verdict = await self._mourn()
            if verdict is None and not self.stopping():
                self._restart_due(nursery)
        await self._stop(self._nodes)
        for node in self._nodes:
            if node.phase in (Phase.WAITING, Phase.BACKOFF):
                node.phase = Phase.STOPPED
        if any(node.phase is Phase.STUCK for node in self._nodes):
            self.stuck = True
            self.on_stuck()
        return verdict

    # Starting.

    async def _start_all(self, nursery: trio.Nursery) -> SupervisorGaveUp | None:
        """The first start. A child that fails here fails its supervisor at once: what never worked is not bad luck."""
        for node in self._nodes:
            cause = await self._start(nursery, node)
            if self.stopping():
                break
            if cause is not None:
                node.last_cause = cause
                self._outside.report("child_start_failed", node.path, cause)
                return SupervisorGaveUp(f"{self._path}: could not start {node.spec.name}", [cause])
        return None

    async def _start(self, nursery: trio.Nursery, node: _Node) -> Exception | None:
        """Starts one child and waits until it has; returns why it could not. Returns early when this supervisor is to stop.

        One that is too slow still runs when this returns: it is stopped with its group, like any member of it.
        """
        if self.stopping():
            return None
        self._begin(nursery, node)
        with trio.move_on_at(node.due_s):
            await self._until(lambda: node.started or node.over or self.stopping())
        if node.started or (self.stopping() and not node.over):
            return None
        return self._why_not_started(node)

    def _begin(self, nursery: trio.Nursery, node: _Node) -> None:
        """Starts one child, without waiting for it: until `due_s`, it is `STARTING`."""
        node.launch()
        node.due_s = trio.current_time() + (node.spec.start_s if isinstance(node.spec, Worker) else float("inf"))
        nursery.start_soon(self._run_child, node, name=node.path)

    def _why_not_started(self, node: _Node) -> Exception:
        if not node.over:
            assert isinstance(node.spec, Worker)
            return StartTimeout(f"{node.path} had not started after {node.spec.start_s:g} s")
        node.phase = Phase.FAILED
        return node.cause or ChildEnded(f"{node.path} returned before it started")

    async def _run_child(self, node: _Node) -> None:
        def started() -> None:
            node.running()
            self._outside.report("child_started", node.path, None)
            self._ring()

        status = _Status(started)
        try:
            with node.scope:
                if node.supervision is not None:
                    node.supervision.on_stuck = self._ring
                    await node.supervision.run(task_status=status)
                else:
                    assert isinstance(node.spec, Worker)
                    await node.spec.run(task_status=status)
        except Exception as cause:  # noqa: BLE001 - a supervisor
            node.cause = cause
        # Not in a `finally`: what is no Exception cancels everything here, and is nobody's end to deal with.
        node.over = True
        self._ring()

    # Ends and restarts.

    async def _wait_for_work(self) -> None:
        """Until a child has ended, one that backs off may be started, or one that starts has taken too long."""
        while not (self.stopping() or any(_just_ended(node) or self._is_due(node) for node in self._nodes)):
            due_s = min((node.due_s for node in self._nodes if node.phase is Phase.STARTING or self._may_start(node)), default=float("inf"))
            bell = self._bell
            with trio.move_on_at(due_s):
                await bell.wait()

    def _may_start(self, node: _Node) -> bool:
        """Whether nothing but its backoff keeps a child from starting again: what a group's member is built on has to stand first."""
        if node.phase is not Phase.BACKOFF:
            return False
        if self._spec.strategy is Strategy.ONE_FOR_ONE:
            return True
        before = self._nodes[: self._nodes.index(node)]
        return not any(other.phase in (Phase.BACKOFF, Phase.STARTING) for other in before)

    def _is_due(self, node: _Node) -> bool:
        return (node.phase is Phase.STARTING or self._may_start(node)) and node.due_s <= trio.current_time()

    async def _mourn(self) -> SupervisorGaveUp | None:
        """Deals with every child that ended, or takes too long to start; one by one, since stopping a group may end others."""
        for node in self._nodes:
            if self.stopping():
                return None
            if node.phase is Phase.STARTING:
                if node.over or self._is_due(node):
                    if verdict := await self._crashed(node, self._why_not_started(node)):
                        return verdict
                continue
            if not _just_ended(node):
                continue
            restart, cause = node.spec.restart, node.cause
            if restart is Restart.TEMPORARY or (restart is Restart.TRANSIENT and cause is None):
                node.phase = Phase.ENDED if cause is None else Phase.FAILED
                node.last_cause = cause or node.last_cause
                self._outside.report("child_ended", node.path, cause)
            elif verdict := await self._crashed(node, cause or ChildEnded(f"{node.path} returned")):
                return verdict
        return None

    async def _crashed(self, node: _Node, cause: Exception) -> SupervisorGaveUp | None:
        """Stops the group of a crashed child and plans its restart; or says that this was one crash too many."""
        spec, now_s = self._spec, trio.current_time()
        stable = node.uptime_s(now_s) >= node.spec.backoff.stable_s
        node.crashes_in_a_row = 1 if stable else node.crashes_in_a_row + 1
        node.last_cause = cause
        if node.over:
            node.phase = Phase.FAILED
        self._outside.report("child_crashed", node.path, cause)
        if self._window.note(now_s, cause):
            message = f"{self._path}: more than {spec.intensity} crashes in {spec.period_s:g} s"
            return SupervisorGaveUp(message, self._window.causes())
        group = self._group(node)
        await self._stop(group)
        stuck = [ChildStuck(member.path) for member in group if not member.over]
        if stuck:
            return SupervisorGaveUp(f"{self._path}: cannot restart what does not stop", [cause, *stuck])
        due_s = trio.current_time() + node.spec.backoff.delay_s(node.crashes_in_a_row, self._outside.random())
        for member in group:
            if member.spec.restart is not Restart.TEMPORARY:
                member.due_s = max(due_s, member.due_s if member.phase is Phase.BACKOFF else 0.0)
                member.phase = Phase.BACKOFF
        return None

    def _group(self, node: _Node) -> list[_Node]:
        if self._spec.strategy is Strategy.ONE_FOR_ONE:
            return [node]
        if self._spec.strategy is Strategy.ONE_FOR_ALL:
            return self._nodes
        return self._nodes[self._nodes.index(node) :]

    def _restart_due(self, nursery: trio.Nursery) -> None:
        """Starts again whose backoff is over. Not awaited: a child that takes long, such as a database whose disk is full, would keep its
        siblings' crashes from being seen."""
        for node in self._nodes:
            if self._may_start(node) and self._is_due(node):
                node.restarts += 1
                self._begin(nursery, node)

    # Stopping.

    async def _stop(self, nodes: Iterable[_Node]) -> None:
        """Stops those that run, the last one first, each given its grace before the next is asked."""
        for node in reversed(list(nodes)):
            if not node.over and node.phase is not Phase.STUCK:
                node.phase = Phase.STOPPING
                if await self._ended(node):
                    node.phase = Phase.STOPPED
                    node.last_cause = node.cause or node.last_cause
                    self._outside.report("child_stopped", node.path, node.cause)
                else:
                    node.phase = Phase.STUCK
                    self._outside.report("child_stuck", node.path, None)
            elif _just_ended(node):
                node.last_cause = node.cause or node.last_cause
                node.phase = Phase.STOPPED

    async def _ended(self, node: _Node) -> bool:
        """Stops one child by the steps that `actors.child` describes; whether it ended."""
        if node.supervision is not None:
            return await self._supervisor_ended(node, node.supervision)
        spec = node.spec
        assert isinstance(spec, Worker)
        if spec.close is not None:
            try:
                spec.close()
            except Exception as cause:  # noqa: BLE001 - a supervisor
                self._outside.report("child_close_failed", node.path, cause)
            else:
                with trio.move_on_after(spec.shutdown_s):
                    await self._until(lambda: node.over)
        if not node.over:
            node.scope.cancel()
            with trio.move_on_after(spec.shutdown_s):
                await self._until(lambda: node.over)
        return node.over

    async def _supervisor_ended(self, node: _Node, supervision: _Supervision) -> bool:
        """Has no grace of its own: it lasts as long as the graces of its children."""
        supervision.request_stop()
        await self._until(lambda: node.over or supervision.stuck)
        return node.over

    # Waiting. Everything here runs behind the shield, so `_until` ends by its condition or by a deadline around it.

    def _ring(self) -> None:
        bell, self._bell = self._bell, trio.Event()
        bell.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._bell.wait()


def _just_ended(node: _Node) -> bool:
    return node.over and node.phase in (Phase.STARTING, Phase.RUNNING)


def log_event(event: str, path: str, cause: Exception | None) -> None:
    if cause is None:
        (log.error if event == "child_stuck" else log.info)(event, path=path)
    else:
        log.error(event, path=path, exc_info=cause)

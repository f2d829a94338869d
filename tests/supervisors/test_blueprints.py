"""Claims about the trees as they are wired: what outlasts what."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing

from actors.child import Run, walk
from supervisors.blueprints import blueprint, dev_tree, node_tree
from supervisors.tree import running
from supervisors.tree_state import Phase


def service(start_s: float) -> Run:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(start_s)
        task_status.started()
        await trio.sleep_forever()

    return run


@pytest.mark.parametrize("falling", ["jobs", "ml"])
async def test_a_process_that_falls_beside_the_gateways_takes_none_of_them_along(
    falling: str, autojump_clock: trio.testing.MockClock
) -> None:
    names = [path.rpartition("/")[2] for path, _ in walk(blueprint("dev"))]
    began: Counter[str] = Counter()

    def counted(name: str) -> Run:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            began[name] += 1
            task_status.started()
            if name == falling:
                await trio.sleep(1)
                raise OSError("killed")
            await trio.sleep_forever()

        return run

    async with running(dev_tree(2, {name: counted(name) for name in names}, demo=True, ml=True), report=lambda *_: None):
        await trio.sleep(600)
    assert began.pop(falling) > 50
    others = ("postgres", "valkey", "prepare", "jobs", "ml", "gateway-1", "gateway-2", "demo")
    assert began == {name: 1 for name in others if name != falling}


@pytest.mark.parametrize("role", ["gateway", "jobs"])
@pytest.mark.parametrize("waiting", ["control", "epoch"])
async def test_a_node_waits_for_its_database_for_as_long_as_that_is_away(
    role: str, waiting: str, autojump_clock: trio.testing.MockClock
) -> None:
    """A process that gave up would be started again ever later by whoever minds it, and be away when the database is back."""
    away_s = 3600.0
    names = [path.rpartition("/")[2] for path, _ in walk(blueprint(role))]
    runs = {name: service(away_s if name == waiting else 0.0) for name in names}
    with trio.fail_after(away_s + 1):
        async with running(node_tree(role, runs), report=lambda *_: None) as tree:
            assert trio.current_time() == pytest.approx(away_s)
            assert tree.state().phase is Phase.RUNNING

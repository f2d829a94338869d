"""Claims about the drawing: the same value draws the same text, and the text shows what an operator asks for."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.child import Child, Restart, Strategy, Supervisor, Worker, walk
from supervisors.counts import PoolState
from supervisors.drawing import draw, draw_live
from supervisors.tree_state import Phase, TreeState


async def idle(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()


SPEC = Supervisor(
    "educonnect",
    (
        Worker("postgres", idle),
        Supervisor(
            "gateway",
            (Worker("actors", idle, hosts=("community", "user")), Worker("listener", idle)),
            strategy=Strategy.REST_FOR_ONE,
            intensity=5,
            period_s=30.0,
        ),
        Worker("demo", idle, restart=Restart.TRANSIENT),
    ),
)

STATE = TreeState(
    name="educonnect",
    kind="one_for_one",
    phase=Phase.RUNNING,
    restarts=0,
    last_cause=None,
    uptime_s=7300.0,
    children=(
        TreeState("postgres", "worker", Phase.BACKOFF, 1, "ConnectionRefusedError", 0.0),
        TreeState("actors", "worker", Phase.RUNNING, 0, None, 119.0, hosts=("community", "user")),
    ),
)


def test_a_spec_is_drawn_with_strategies_intensities_and_kinds_of_actors() -> None:
    assert draw(SPEC) == (
        "educonnect (one_for_one, at most 3 crashes in 10 s)\n"
        "├── postgres\n"
        "├── gateway (rest_for_one, at most 5 crashes in 30 s)\n"
        "│   ├── actors\n"
        "│   │   ┊ community\n"
        "│   │   ┊ user\n"
        "│   └── listener\n"
        "└── demo [transient]\n"
    )


def test_a_state_is_drawn_with_what_every_node_does_and_what_its_actors_suffer() -> None:
    pool = PoolState(
        name="user",
        cells=1200,
        deepest=17,
        deepest_key="42",
        handled=99,
        restarts=1,
        give_ups=2,
        dead_letters=1,
        drops=3,
    )
    assert draw_live(STATE, [pool]) == (
        "educonnect (one_for_one): running, up 2 h\n"
        "├── postgres: backoff, 1 restart, last cause: ConnectionRefusedError\n"
        "└── actors: running, up 119 s\n"
        "    ┊ community\n"
        "    ┊ user: 1200 cells, 99 handled, deepest inbox 17 (42), 1 restart, 2 given up, 3 dropped, 1 dead letter\n"
    )


def test_a_quiet_pool_is_drawn_quietly() -> None:
    pool = PoolState("user", 1, 0, "", 5, 0, 0, 0, 0)
    assert "┊ user: 1 cell, 5 handled\n" in draw_live(STATE, [pool])


names = st.text(alphabet="abcdef", min_size=1, max_size=4)
workers = names.map(lambda name: Worker(name, idle))


def supervisors(children: st.SearchStrategy[Child]) -> st.SearchStrategy[Child]:
    siblings = st.lists(children, max_size=4, unique_by=lambda child: child.name)
    return st.builds(lambda name, inner: Supervisor(name, tuple(inner)), names, siblings)


@given(spec=st.recursive(workers, supervisors, max_leaves=12))
def test_every_node_has_one_line_and_its_depth_is_its_indentation(spec: Child) -> None:
    lines = draw(spec).splitlines()
    nodes = list(walk(spec))
    assert len(lines) == len(nodes)
    for line, (path, child) in zip(lines, nodes, strict=True):
        assert line[4 * path.count("/") :].split(" ")[0] == child.name

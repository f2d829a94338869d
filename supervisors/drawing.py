"""The drawing: a tree of services, and the actors that live in it, as text.

    educonnect (one_for_one, at most 3 crashes in 10 s)
    ├── postgres
    └── actors
        ┊ community
        ┊ user

From the spec alone, as the architecture page shows it; or from a `TreeState`, with what every node does now. Pure functions from values
to a string. Invariant: the same value draws the same text, so a test can hold the drawing in the documentation to the tree in the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.child import Child, Restart, Supervisor, Worker
from supervisors.counts import PoolState
from supervisors.tree_state import Phase, TreeState


def draw(spec: Child) -> str:
    """What would run: supervisors with their strategy and intensity, workers with their restart type, pools of actors."""
    return "\n".join(_spec_lines(spec)) + "\n"


def draw_live(state: TreeState, pools: Iterable[PoolState] = ()) -> str:
    """What runs: phase, uptime, restarts and last cause of every node; size, deepest inbox and losses of every pool of actors."""
    return "\n".join(_state_lines(state, {pool.name: pool for pool in pools})) + "\n"


def _spec_lines(spec: Child) -> list[str]:
    note = "" if spec.restart is Restart.PERMANENT else f" [{spec.restart.value}]"
    if isinstance(spec, Worker):
        return [spec.name + note, *(f"┊ {name}" for name in spec.hosts)]
    assert isinstance(spec, Supervisor)
    head = f"{spec.name} ({spec.strategy.value}, at most {spec.intensity} crashes in {spec.period_s:g} s){note}"
    return [head, *_branches([_spec_lines(child) for child in spec.children])]


def _state_lines(state: TreeState, pools: dict[str, PoolState]) -> list[str]:
    facts = [state.phase.value]
    if state.phase is Phase.RUNNING:
        facts.append(f"up {_span(state.uptime_s)}")
    if state.restarts:
        facts.append(_many(state.restarts, "restart"))
    if state.last_cause is not None:
        facts.append(f"last cause: {state.last_cause}")
    kind = "" if state.kind == "worker" else f" ({state.kind})"
    lines = [f"{state.name}{kind}: {', '.join(facts)}"]
    lines += [f"┊ {_pool_line(pools[name]) if name in pools else name}" for name in state.hosts]
    return lines + _branches([_state_lines(child, pools) for child in state.children])


def _pool_line(pool: PoolState) -> str:
    facts = [_many(pool.cells, "cell"), f"{pool.handled} handled"]
    if pool.deepest:
        facts.append(f"deepest inbox {pool.deepest} ({pool.deepest_key})")
    facts += [_many(pool.restarts, "restart")] if pool.restarts else []
    facts += [f"{pool.give_ups} given up"] if pool.give_ups else []
    facts += [f"{pool.drops} dropped"] if pool.drops else []
    facts += [_many(pool.dead_letters, "dead letter")] if pool.dead_letters else []
    return f"{pool.name}: {', '.join(facts)}"


def _branches(blocks: Sequence[list[str]]) -> list[str]:
    lines: list[str] = []
    for place, block in enumerate(blocks, start=1):
        head, rest = ("├── ", "│   ") if place < len(blocks) else ("└── ", "    ")
        lines += [head + block[0], *(rest + line for line in block[1:])]
    return lines


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _span(seconds: float) -> str:
    """`42 s`, `3 min`, `5 h`, `9 d`: one figure, since an operator asks whether it is seconds or days."""
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size_s:
            return f"{int(seconds // size_s)} {unit}"
    return f"{int(seconds)} s"

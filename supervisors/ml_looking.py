"""Looking at an ML process: its versions, each with its process, its queue and what became of it. As `looking.py` looks at a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ml_actors.serving import Place, Serving
from supervisors.looking import WINDOW_S, look_at_parent
from supervisors.view import NodeView, VersionView

if TYPE_CHECKING:
    from supervisors.ml_node import MlNode


async def look_at_models(node: MlNode, window_s: float = WINDOW_S) -> NodeView:
    """What the process does now; takes `window_s`."""
    before = {title: place.runner.counts.answered for title, place in node.serving.places.items()}
    view = await look_at_parent(node.tree, node.pulse, node.troubles, "ml", window_s)
    versions = tuple(
        version_view(node.serving, place, before.get(title, 0), view.window_s) for title, place in sorted(node.serving.places.items())
    )
    return msgspec.structs.replace(view, versions=versions)


def version_view(serving: Serving, place: Place, answered_before: int, window_s: float) -> VersionView:
    runner, counts = place.runner, place.runner.counts
    worker, shadow = runner.worker, serving.shadows.get(runner.title)
    batches = counts.batch_items.total
    return VersionView(
        title=runner.title,
        part=part_of(serving, place),
        phase=runner.phase.value,
        pid=worker.pid if worker is not None else 0,
        memory_mib=worker.memory_mib if worker is not None else 0.0,
        waiting=runner.waiting,
        answered_per_s=(counts.answered - answered_before) / max(window_s, 1e-6),
        items_a_batch=counts.batch_items.sum / batches if batches else 0.0,
        batch_s=counts.batch_s.sum / batches if batches else 0.0,
        start_s=counts.start_s,
        fed=counts.fed,
        answered=counts.answered,
        broken=counts.broken,
        late=counts.late,
        shed=counts.shed,
        crashes=counts.crashes,
        last_cause=runner.last_cause,
        compared=shadow.compared if shadow is not None else 0,
        apart=shadow.apart.sum / shadow.compared if shadow is not None and shadow.compared else 0.0,
    )


def part_of(serving: Serving, place: Place) -> str:
    """What a version is there for, now."""
    title, name = place.runner.title, place.entry.card.name
    plan = serving.plans.get(name)
    if serving.answering.get(name) == title:
        return "answers" if plan is None or plan.active == title else "stands in"
    if plan is None or title not in plan.titles:
        return "goes"
    if plan.canary == title:
        return f"canary {plan.percent} %"
    return "comes" if plan.active == title else "shadow"

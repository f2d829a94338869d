"""Everything that declares what it needs, and where a sample of it is missing.

Operation, Command ─vars─▶ needs          whole_app() ─▶ url_map ─▶ needs by endpoint
                                ╰─▶ holes(): what declares nothing, or has no sample
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, get_args

from gateway.openapi_whole import whole_app
from gateway.web_needs import declared
from proofs.matrixing.site import COMMANDS, OPERATIONS, ROUTES
from protocol.frames import AnyCommand
from protocol.operations import AnyOperation
from protocol.permissions import Needs

SAMPLES: Final = (
    "operation_samples",
    "command_samples",
    "route_samples",
    "integration_samples",
    "moderation_samples",
    "drafting_samples",
    "mentoring_samples",
    "insight_samples",
    "upload_samples",
    "document_samples",
    "link_samples",
    "api_samples",
)


@cache
def route_needs() -> dict[str, Needs | None]:
    """What every route of the whole application declares, by endpoint; None: nothing."""
    app = whole_app()
    found = declared(app)
    return {rule.endpoint: found.get(rule.endpoint) for rule in app.url_map.iter_rules()}


def load_samples() -> None:
    """Registers every sample."""
    for name in SAMPLES:
        importlib.import_module(f"proofs.matrixing.{name}")


def holes() -> list[str]:
    """What the matrix would leave out, in words; and samples of what is no more."""
    load_samples()
    return sorted(
        [
            *_struct_holes("operation", get_args(AnyOperation), OPERATIONS),
            *_struct_holes("command", get_args(AnyCommand), COMMANDS),
            *_route_holes(),
        ]
    )


def _struct_holes(what: str, kinds: tuple[type, ...], samples: Any) -> Iterator[str]:
    for kind in kinds:
        if not isinstance(vars(kind).get("needs"), Needs):
            yield f"{what} {kind.__name__} does not declare what it needs"
        if kind not in samples:
            yield f"{what} {kind.__name__} has no sample"
    yield from (f"{what} {kind.__name__} has a sample and is no more" for kind in samples.keys() - set(kinds))


def _route_holes() -> Iterator[str]:
    routes = route_needs()
    for endpoint, needs in routes.items():
        if needs is None:
            yield f"route {endpoint} does not declare what it needs"
        if endpoint not in ROUTES:
            yield f"route {endpoint} has no sample"
    yield from (f"route {endpoint} has a sample and is no more" for endpoint in ROUTES.keys() - routes.keys())

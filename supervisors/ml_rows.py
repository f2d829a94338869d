"""Which query reads the rows that a model is fed, and those that it is trained on: the one list of each.

The queries live with their tables, in `persistence/`; each is `async (connection, after: Mark, limit) -> Page`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from persistence import drafting
from persistence.analytics import rows as answered
from persistence.mentoring import feed as mentors
from persistence.models import ReadPage
from persistence.moderation import keeping

FEEDS: Final[Mapping[str, ReadPage]] = {"matching": mentors.page}
"""By model: what it must know beside its files. Read whole when a version starts, then every second from where it was."""

TRAINING: Final[Mapping[str, ReadPage]] = {
    "matching": mentors.outcomes,
    "moderation": keeping.page,
    "questions": drafting.page,
    "tracing": answered.page,
}
"""By model: what people decided and what came of it. Read whole for each training."""

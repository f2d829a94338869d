"""Tasks on documents that people wrote together: filled by `documents.compact`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.child import Task

TASKS: Final[Mapping[str, Task]] = {}

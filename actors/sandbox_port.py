"""The port of the sandbox: who opens bytes that nobody trusts, and how it says that it could not.

job ─ task, payload ─▶ Sandbox ─▶ answer            `sandbox.process.run_in_sandbox`
                          ╰─▶ SandboxFailed(why, words)
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Why(StrEnum):
    """How a task in the sandbox failed."""

    KILLED = "killed"
    """It crashed, or ended in a way that no task does."""
    TIME = "time"
    MEMORY = "memory"
    REFUSED = "refused"
    """The task itself said that the payload is none, or its answer would be larger than allowed."""


class SandboxFailed(Exception):
    """There is no answer. `why`: see `Why`; `words`: for the log, at most 2,000 characters, made of what the child said."""

    def __init__(self, why: Why, words: str) -> None:
        super().__init__(f"{why}: {words}")
        self.why = why
        self.words = words


class Sandbox(Protocol):
    """Runs one task on one payload, in a process of its own that is gone afterwards."""

    async def __call__(self, task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
        """The answer. Raises SandboxFailed; OSError where no process can be had."""
        ...

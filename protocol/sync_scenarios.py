"""What a client does, step by step, as data: the Python client's tests run it now, and a client in another language can.

Invariant: the same scenarios give the same data, byte for byte.
"""

from __future__ import annotations

from protocol.vectors import Json


def scenarios() -> list[Json]:
    """All of them. A scenario is a name and its steps; each step is an object of one key, which `steps` explains."""
    return []

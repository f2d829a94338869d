"""Whether a path is one that takes a method, but for a number in it that is out of bounds.

The router goes on looking when a number is too large for the route that it has found, and remembers only which other methods were passed
over: it would answer 405 for a thing that is merely not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from quart_trio import QuartTrio
from werkzeug.routing import Map

_ARGUMENT = re.compile(r"<(?:(int)[^:<>]*:)?\w+>")


def takes(app: QuartTrio, method: str, path: str) -> bool:
    """Whether some route is of this shape, and takes the method."""
    return any(method in methods and shape(path) for shape, methods in _shapes(app.url_map))


@lru_cache(maxsize=4)
def _shapes(url_map: Map) -> list[tuple[Callable[[str], object], frozenset[str]]]:
    return [(re.compile(_shape(rule.rule)).fullmatch, frozenset(rule.methods or ())) for rule in url_map.iter_rules()]


def _shape(rule: str) -> str:
    """The rule as an expression: numbers where there are numbers, a part of a path where there is anything else."""
    parts = _ARGUMENT.split(rule)
    # split gives, alternately, what stands between arguments and `int` or nothing.
    return "".join(re.escape(part) if at % 2 == 0 else (r"[0-9]+" if part else r"[^/]+") for at, part in enumerate(parts))

"""What plain HTTP counts: requests by route and status, how long they took, and how much a sync brought.

Routes are counted by their pattern, never by the path that came: what strangers type has no bound.
"""

from __future__ import annotations

import time
from typing import Final

from quart import Response, g, request

from actors.histogram import ITEMS, SECONDS, Histogram

NOWHERE: Final = "none"
"""The route of a path that has none."""


class HttpCounts:
    """Plain numbers, read by the metrics."""

    __slots__ = ("requests", "seconds", "visit_frames")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        """By method, route and status."""
        self.seconds = Histogram(SECONDS)
        """From the request's head to the answer's beginning, bodies that come slowly included."""
        self.visit_frames = Histogram(ITEMS)
        """Frames in the body of a sync over HTTP."""

    async def begin(self) -> None:
        g.began_s = time.monotonic()

    async def count(self, response: Response) -> Response:
        """Notes an answer on its way out."""
        rule = request.url_rule
        method = request.method if rule is not None else NOWHERE
        kind = (method, rule.rule if rule is not None else NOWHERE, response.status_code)
        self.requests[kind] = self.requests.get(kind, 0) + 1
        if "began_s" in g:
            self.seconds.observe(time.monotonic() - g.began_s)
        return response

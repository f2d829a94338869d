"""Requests of pages that another server gave: allowed for the origins that may open a socket, too (`listen.origins`).

    OPTIONS, Origin, Access-Control-Request-Method ─▶ 204: what may be asked          (before any route)
    Origin ─▶ the answer, with Access-Control-Allow-Origin if it is one of those      (after every route)

There are no cookies here: whoever asks shows a token, which a page of another origin has only if it was given one. So credentials are never
allowed, and an origin more opens nothing by itself.

Invariant: without a setting no other origin reads anything.
"""

from __future__ import annotations

from typing import Final

from quart import Response, request

API_PREFIX: Final = "/api/"
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
TAKEN: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset,"
    " Upload-Checksum"
)
SHOWN: Final = "ETag, Location, Retry-After, Tus-Resumable, Upload-Expires, Upload-Length, Upload-Offset, WWW-Authenticate"
KEPT_S: Final = 600


class Origins:
    """The two halves, for an application whose pages come from `allowed` (`*`: from anywhere)."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(allowed)

    async def answer_preflight(self) -> Response | None:
        """What a browser asks before it asks; None: this is no such question."""
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or not request.path.startswith(API_PREFIX) or not self._is_allowed():
            return None
        fields = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": TAKEN,
            "Access-Control-Max-Age": str(KEPT_S),
        }
        return Response(b"", status=204, headers=fields)

    async def mark(self, response: Response) -> Response:
        """Says to a page of an allowed origin that it may read this."""
        if self._allowed and request.path.startswith(API_PREFIX):
            response.headers.add("Vary", "Origin")
            if self._is_allowed():
                response.headers["Access-Control-Allow-Origin"] = "*" if "*" in self._allowed else request.headers["Origin"]
                response.headers["Access-Control-Expose-Headers"] = SHOWN
        return response

    def _is_allowed(self) -> bool:
        origin = request.headers.get("Origin")
        return origin is not None and ("*" in self._allowed or origin in self._allowed)

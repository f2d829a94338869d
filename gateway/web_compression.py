"""Answers made smaller for slow links: gzip, where a route says that it may be (`@answers(…, compress=True)`).

    JSON or a page ≥ 1 kB, of a route that says so ─▶ gzip, if the client takes it and it helps

How long a compressed answer is tells something of what is in it. So what holds a secret (a token, a key, a signature) is never compressed:
only what is declared is, and a declaration stands beside the shapes that are answered.

Invariant: an answer without a declaration leaves as it is.
"""

from __future__ import annotations

import gzip
from typing import Final

import trio
from quart import Response, current_app, request

from gateway.openapi_answers import answers_of

BYTES_MIN: Final = 1024
"""Below it, gzip's own fields eat what is won."""
IN_THREAD_BYTES: Final = 32 * 1024
"""A millisecond's work: longer ones would keep sockets waiting."""
LEVEL: Final = 5


async def compress(response: Response) -> Response:
    """After every route."""
    declared = answers_of(current_app.view_functions.get(request.endpoint or ""))
    if declared is None or not declared.compress or response.status_code != 200 or "Content-Encoding" in response.headers:
        return response
    response.headers.add("Vary", "Accept-Encoding")
    if not _takes_gzip(request.headers.get("Accept-Encoding", "")):
        return response
    body = await response.get_data(as_text=False)
    assert isinstance(body, bytes)
    if len(body) >= BYTES_MIN:
        small = _shrink(body) if len(body) < IN_THREAD_BYTES else await trio.to_thread.run_sync(_shrink, body)
        if len(small) < len(body):
            response.set_data(small)
            response.headers["Content-Encoding"] = "gzip"
    return response


def _shrink(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0)


def _takes_gzip(field: str) -> bool:
    for part in field[:500].split(","):
        coding, _, rest = part.strip().partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            weight = rest.strip().lower().removeprefix("q=")
            return not weight or weight.strip("0.") != ""
    return False

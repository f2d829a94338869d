"""What HTTP answers when it cannot do what was asked: `application/problem+json` (RFC 9457), from the one table of codes.

    Problem(code, detail) ─▶ status, type, title, detail, code [, retry_after_s + Retry-After]

The codes are those of the socket, so a client has one table for both. `detail` says what was wrong and what is allowed.

Invariants: a problem never repeats a secret: details are written here or by validators that name fields, not values. What is worth asking
again later (429, 503) says when, whoever raised it: a client without a time to wait would come back at once, or never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from quart import Response

from actors.storage_port import Busy, OutcomeUnknown, StorageError
from protocol.codes import TABLE, Code

CONTENT_TYPE: Final = "application/problem+json"
RETRY_S: Final = 2.0
"""How long to wait for a database that restarts: 0.1 s here, some seconds for a failover; clients add their own jitter."""

COME_BACK: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""What says when to come back: `RETRY_S` where whoever raised it knows nothing better."""

STATUS: Final[Mapping[Code, HTTPStatus]] = {
    Code.INVALID: HTTPStatus.BAD_REQUEST,
    Code.UNKNOWN: HTTPStatus.BAD_REQUEST,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.NOT_NOW: HTTPStatus.CONFLICT,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.STEP_UP: HTTPStatus.FORBIDDEN,
    Code.MFA: HTTPStatus.UNAUTHORIZED,
    Code.CONFLICT: HTTPStatus.CONFLICT,
    Code.LIMIT: HTTPStatus.CONFLICT,
    Code.GONE: HTTPStatus.GONE,
    Code.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.RATE: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    Code.REVOKED: HTTPStatus.UNAUTHORIZED,
    Code.FAULT: HTTPStatus.INTERNAL_SERVER_ERROR,
}

TITLES: Final[Mapping[Code, str]] = {
    Code.UNAUTHENTICATED: "This does not prove who you are.",
}
"""Where the table's own words are about a token or a socket, and people come with a name and a password too."""


class Problem(Exception):
    """The request is refused. `status` where HTTP has a finer word than the code's own (405, 415 …)."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        retry_after_s: float | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = int(STATUS[code]) if status is None else status
        self.retry_after_s = RETRY_S if retry_after_s is None and self.status in COME_BACK else retry_after_s
        self.headers = dict(headers or {})


class ProblemBody(msgspec.Struct, omit_defaults=True):
    """Why it was not done (RFC 9457). `code`: as on the socket; `retry_after_s`: when to ask again, in seconds, where that helps."""

    type: str
    title: str
    status: int
    detail: str
    code: int
    retry_after_s: int = 0


def render(problem: Problem) -> Response:
    """The response for a problem."""
    retry_after_s = 0 if problem.retry_after_s is None else max(1, math.ceil(problem.retry_after_s))
    body = ProblemBody(
        type=f"urn:educonnect:problem:{problem.code.name.lower().replace('_', '-')}",
        title=TITLES.get(problem.code) or TABLE[problem.code].meaning,
        status=problem.status,
        detail=problem.detail,
        code=int(problem.code),
        retry_after_s=retry_after_s,
    )
    response = Response(msgspec.json.encode(body), status=problem.status, content_type=CONTENT_TYPE)
    response.headers.extend(problem.headers)
    if retry_after_s:
        response.headers["Retry-After"] = str(retry_after_s)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="educonnect"'
    return response


def of_storage(error: StorageError) -> Problem:
    """The world's faults, in words for a client. What the database said stays in the log."""
    if isinstance(error, Busy):
        return Problem(Code.BUSY, "too many requests are under way; nothing was done", retry_after_s=1.0)
    if isinstance(error, OutcomeUnknown):
        detail = "storage was lost while this was being committed, so it may have taken effect; asking again is safe"
        return Problem(Code.UNAVAILABLE, detail, retry_after_s=RETRY_S)
    return Problem(Code.UNAVAILABLE, "storage is away for the moment; nothing was done", retry_after_s=RETRY_S)

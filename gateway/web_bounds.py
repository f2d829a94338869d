"""How long a request may take and how long its body may be, by its path.

    path ─bounds_of─▶ RouteBounds ─▶ the request's reader, the deadline around it, the words of its refusal

Invariant: a path without bounds of its own has the tight ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from quart_trio.wrappers.request import TrioRequest

from gateway.web_streaming import PacedBody
from protocol.codec import MESSAGE_BYTES_MAX

SYNC_PATH: Final = "/api/v1/sync"
BOUNCES_PATH: Final = "/api/v1/mail/bounces"
PREFERENCES_PATH: Final = "/api/v1/notices/preferences"
UPLOADS_PATH: Final = "/api/v1/uploads"
COMMUNITIES_PATH: Final = "/api/v1/communities/"
LINK_PATH: Final = "/api/v1/link"


class RouteBounds(Struct, frozen=True):
    """The bounds of a route."""

    request_s: float = 10.0
    """A phone on 2G takes seconds for its body; a log-in waits up to 3 s for its hash and storage answers within 5 s or not at all."""
    body_s: float = 8.0
    """For the body to arrive: less than the whole, so that a slow link is told what was slow."""
    body_bytes_max: int = 8 * 1024
    """The largest body elsewhere is a registration: under 1 KiB."""
    streams: bool = False
    """Its body is read as it comes: what it announced bounds it, and `http.stall_s` how long it stands still."""


EVERYWHERE: Final = RouteBounds()
OWN: Final[Mapping[str, RouteBounds]] = {
    # 64 KiB are 11 s of a 50 kbit/s link.
    SYNC_PATH: RouteBounds(request_s=30.0, body_s=20.0, body_bytes_max=MESSAGE_BYTES_MAX),
    # A report carries the mail that came back.
    BOUNCES_PATH: RouteBounds(body_bytes_max=256 * 1024),
    # 200 rules of 70 bytes.
    PREFERENCES_PATH: RouteBounds(body_bytes_max=32 * 1024),
}


UPLOADING: Final = RouteBounds(request_s=1800.0, body_s=1800.0, body_bytes_max=1 << 40, streams=True)
"""Half an hour; what is longer is cut, and goes on by another request."""

MESSAGES: Final = RouteBounds(body_bytes_max=32 * 1024)
"""A message of 4,000 characters, of which JSON may make six bytes each, and more of rare ones."""
LINKING: Final = RouteBounds(request_s=40.0, body_s=20.0, body_bytes_max=MESSAGE_BYTES_MAX)
"""A poll waits for up to 25 s."""


def bounds_of(path: str) -> RouteBounds:
    """The bounds of this path."""
    if path == LINK_PATH or path.startswith(f"{LINK_PATH}/"):
        return LINKING
    if path == UPLOADS_PATH or path.startswith(f"{UPLOADS_PATH}/"):
        return UPLOADING
    if path.startswith(COMMUNITIES_PATH) and "/messages" in path:
        return MESSAGES
    return OWN.get(path, EVERYWHERE)


class BoundedRequest(TrioRequest):
    """A request whose body is read within the bounds of its path, whatever the application's are."""

    body_class = PacedBody

    def __init__(self, method: str, scheme: str, path: str, *rest: Any, **named: Any) -> None:
        bounds = bounds_of(path)
        named["max_content_length"] = bounds.body_bytes_max
        named["body_timeout"] = bounds.body_s
        self.streams = bounds.streams
        super().__init__(method, scheme, path, *rest, **named)

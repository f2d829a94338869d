"""HTTP heads and the upgrade decision, without I/O.

    bytes ─▶ parse_head ─▶ Head ─▶ decide ─▶ Upgrade   answered 101, kept by the multiplexer
                                         ├─▶ Refusal   answered with a status that says what was wrong
                                         └─▶ Elsewhere not the socket's path: plain HTTP's business

The parser takes only what RFC 9112 calls well-formed; it exists so that one cheap look decides who serves a connection. Plain HTTP is
then parsed again, from the same bytes, by the HTTP server itself.

Invariant: an `Upgrade` is only ever decided for an HTTP/1.1 GET of the socket's path with one valid key, version 13, an allowed
origin and no body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final, TypeAlias

import msgspec

from gateway.hosts import is_ours

SUBPROTOCOL: Final = "educonnect.v1"

_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
# A name and a value apart, and the blanks around it taken off by hand: one pattern for the whole field had three ways to take a blank,
# and spent the cube of their number finding out that none of them fits.
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")

_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class Head(msgspec.Struct, frozen=True, gc=False):
    """A request's first line and fields. Names are in lower case; a field that came twice is there twice, in order."""

    method: str
    target: str
    version: tuple[int, int]
    fields: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def tokens(self, name: str) -> set[str]:
        """The comma-separated values of a list field, in lower case."""
        return {token.strip().lower() for value in self.values(name) for token in value.split(",") if token.strip()}


class Policy(msgspec.Struct, frozen=True):
    """What the socket's path asks of a handshake."""

    path: str = "/socket"
    hosts: tuple[str, ...] = ()
    """The names by which it may be asked (`gateway.hosts`); none: any."""
    origins: tuple[str, ...] = ()
    """The browser origins that may connect beside the one that was asked (Host), such as `https://learn.example`; `*` allows all.

    A request without an origin does not come from a browser page, carries nobody's ambient authority, and is always allowed.
    """
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)


class Upgrade(msgspec.Struct, frozen=True):
    """The handshake is good; `response` completes it."""

    response: bytes
    subprotocol: str
    origin: str


class Refusal(msgspec.Struct, frozen=True):
    """The handshake, or the request, is refused. `extra` are header fields."""

    status: int
    text: str
    extra: tuple[tuple[str, str], ...] = ()

    def response(self) -> bytes:
        return encode_response(self.status, self.text, self.extra)


class Elsewhere(msgspec.Struct, frozen=True):
    """Plain HTTP, for the server behind."""


Decision: TypeAlias = Upgrade | Refusal | Elsewhere


def parse_head(data: bytes) -> Head | Refusal:
    """Reads a head, `data` being everything up to and including the empty line that ends it."""
    lines = data[:-4].split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(lines[0])
    if request is None:
        return Refusal(400, "The request line is malformed.")
    method, target, major, minor = request.groups()
    if major != b"1":
        return Refusal(505, "This port speaks HTTP/1.1 and WebSocket.")
    fields: list[tuple[str, str]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            return Refusal(400, "A header field is malformed.")
        fields.append((name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")))
    return Head(method.decode("ascii"), target.decode("ascii"), (int(major), int(minor)), tuple(fields))


def decide(head: Head, policy: Policy) -> Decision:
    """Says what becomes of a request. Every refusal tells the client's author what would have been right."""
    wants_upgrade = "websocket" in head.tokens("upgrade") and "upgrade" in head.tokens("connection")
    if head.path != policy.path:
        if wants_upgrade:
            return Refusal(404, f"The socket is at {policy.path}.")
        return Elsewhere()
    if head.method != "GET":
        return Refusal(405, f"{policy.path} takes GET with an upgrade to websocket.", (("Allow", "GET"),))
    if not wants_upgrade:
        return Refusal(
            426,
            f"{policy.path} is a WebSocket: ask with Connection: Upgrade and Upgrade: websocket.",
            (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
        )
    if head.version < (1, 1):
        return Refusal(505, "A WebSocket handshake needs HTTP/1.1.")
    if head.values("sec-websocket-version") != ["13"]:
        return Refusal(426, "Sec-WebSocket-Version must be 13.", (("Sec-WebSocket-Version", "13"),))
    if len(head.values("host")) != 1:
        return Refusal(400, "Exactly one Host is needed.")
    if head.values("transfer-encoding") or set(head.values("content-length")) - {"0"}:
        return Refusal(400, "A handshake has no body.")
    if not is_ours(head.values("host")[0], policy.hosts):
        return Refusal(403, "This server has another name.")
    keys = head.values("sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return Refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64, once.")
    origins = head.values("origin")
    if len(origins) > 1:
        return Refusal(400, "At most one Origin is possible.")
    if origins and not _may_connect(origins[0], head.values("host")[0], policy):
        return Refusal(403, "This origin may not connect.")
    offered = [token.strip() for value in head.values("sec-websocket-protocol") for token in value.split(",")]
    subprotocol = next((name for name in offered if name in policy.subprotocols), "")
    return Upgrade(_switching(keys[0], subprotocol), subprotocol, origins[0] if origins else "")


def accept_value(key: str) -> str:
    """What proves that the server read the key as a WebSocket key (RFC 6455, section 4.2.2)."""
    # The RFC asks for SHA-1; nothing secret rests on it.
    digest = hashlib.sha1(key.encode("ascii") + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def encode_response(status: int, text: str, extra: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A whole response after which the connection ends."""
    body = (text + "\n").encode()
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in extra),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _switching(key: str, subprotocol: str) -> bytes:
    agreed = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_value(key)}\r\n{agreed}\r\n"
    ).encode("ascii")


def _may_connect(origin: str, host: str, policy: Policy) -> bool:
    """A page may connect to where it came from, and to whoever names it. A proxy that changes Host has to have its pages' origin named."""
    return "*" in policy.origins or origin in policy.origins or origin.lower() in (f"https://{host.lower()}", f"http://{host.lower()}")


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value.encode("ascii"), validate=True)) == 16
    except (binascii.Error, UnicodeEncodeError):
        return False

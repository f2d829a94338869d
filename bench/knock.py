"""One HTTP request in as little Python as possible, from an address of one's choice: what asks must not cost more than what answers.

    knock(port, "POST", "/api/v1/auth/login", body) ─▶ connect, one request, one answer, close ─▶ Knocked(status, retry_after_s, body)

Invariant: nothing is reused between two requests; each costs the server what a client without a connection costs it.
"""

from __future__ import annotations

import msgspec
import trio
from msgspec import Struct

HOST = "127.0.0.1"
ANSWER_S = 30.0
HEAD_BYTES_MAX = 16 * 1024


class Knocked(Struct, frozen=True):
    """What was answered. `retry_after_s` is 0 where nothing was said of waiting."""

    status: int
    retry_after_s: int
    body: bytes


async def knock(
    port: int, method: str, path: str, body: object = None, *, token: str = "", source: str = HOST, answer_s: float = ANSWER_S
) -> Knocked:
    """Asks once. Raises `OSError`, `trio.TooSlowError`, or `ValueError` for what is no answer."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{port}", "Connection: close", f"Content-Length: {len(content)}"]
    lines += ["Content-Type: application/json"] if content else []
    lines += [f"Authorization: Bearer {token}"] if token else []
    with trio.fail_after(answer_s):
        stream = await trio.open_tcp_stream(HOST, port, local_address=source)
        async with stream:
            await stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
            return await _read(stream)


async def _read(stream: trio.SocketStream) -> Knocked:
    read = b""
    while b"\r\n\r\n" not in read:
        some = await stream.receive_some()
        if not some or len(read) > HEAD_BYTES_MAX:
            raise ValueError("no whole head of an answer came")
        read += some
    head, _, body = read.partition(b"\r\n\r\n")
    status_line, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    length = int(fields.get("content-length", "0"))
    while len(body) < length:
        some = await stream.receive_some()
        if not some:
            raise ValueError("the answer's body was cut off")
        body += some
    return Knocked(int(status_line.split(" ")[1]), int(fields.get("retry-after", "0")), body[:length])

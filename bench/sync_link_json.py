"""The same day as people would build it without us: JSON over HTTPS, on one connection that is kept.

    POST /mutations   50 at a time, each with its own id, so that a batch may be sent again    ─▶ a result each
    GET  /events      pages of 100 after a number                                              ─▶ events

The server keeps everything in memory and decides nothing, so it costs nothing; it answers each request in one write. Two ways are
measured: plain, and with pages compressed by gzip.

    python -m bench.sync_link_json serve|sync JSON     (run by bench/sync_link.py at the ends of the link)
"""

from __future__ import annotations

import datetime
import gzip
import http.client
import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from typing import Any, Final

import msgspec

from bench.link import SERVER_ADDRESS
from bench.sync_link_day import Day, Deed, make_day
from bench.sync_link_ends import Done, Task, go, ready
from bench.sync_link_tls import TlsFiles

BATCH: Final = 50
PAGE: Final = 100
AUTHOR: Final = 40_317
TOKEN: Final = "x" * 260
"""As long as ours."""
TRIES_MAX: Final = 60
TIMEOUT_S: Final = 20.0
"""As long as our client gives a handshake; a request that is older is made again on another connection."""


class Api(http.server.BaseHTTPRequestHandler):
    """Keeps connections open, and each run's mutations apart by their ids."""

    protocol_version = "HTTP/1.1"
    stored: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (one server a process)
    events: tuple[dict[str, Any], ...] = ()

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        mutations = json.loads(self.rfile.read(int(self.headers["content-length"])))["mutations"]
        results = []
        for mutation in mutations:
            self.stored[mutation["id"]] = mutation
            results.append({"id": mutation["id"], "status": "applied", "version": len(self.stored)})
        self._answer({"results": results})

    def do_GET(self) -> None:
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        after = int(asked["after"][0])
        page = self.events[after : after + PAGE]
        self._answer({"events": page, "more": after + PAGE < len(self.events)})

    def _answer(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer, separators=(",", ":")).encode()
        coding = ""
        if "gzip" in self.headers.get("accept-encoding", "") and len(body) > 1000:
            body, coding = gzip.compress(body), "Content-Encoding: gzip\r\n"
        head = f"Date: {self.date_time_string()}\r\nContent-Type: application/json\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Server(http.server.ThreadingHTTPServer):
    """Shakes hands in the connection's own thread, and says nothing of connections that a cut has ended."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__((SERVER_ADDRESS, 0), Api)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: Any) -> None:
        """The client comes again."""


def serve(tls: TlsFiles, day: Day) -> None:
    """Until the end of standard input. Blocks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.chain, tls.key)
    Api.events = tuple(
        {"seq": n, "type": "message", "author": AUTHOR, "at": _iso(day.deeds[0].at + n * 60), "text": line}
        for n, line in enumerate(day.lines, 1)
    )
    with _Server(context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ready(server.server_address[1])
        sys.stdin.read()  # until whoever asked is done, or gone


def mutation_of(deed: Deed) -> dict[str, Any]:
    """A deed as such an API takes it."""
    body: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "type": deed.entity,
        "key": deed.key,
        "fields": deed.fields,
        "updated_at": _iso(deed.at),
    }
    return body | ({"base_version": deed.base} if deed.base else {})


def body_of(deeds: tuple[Deed, ...]) -> bytes:
    """What a batch posts."""
    return json.dumps({"mutations": [mutation_of(deed) for deed in deeds]}, separators=(",", ":")).encode()


class Client:
    """Makes one request after the other, again on another connection where one fails."""

    def __init__(self, port: int, root: str, compressed: bool) -> None:
        self._context = ssl.create_default_context(cafile=root)
        self._port = port
        self._headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        self._headers["Accept-Encoding"] = "gzip" if compressed else "identity"
        self._connection: http.client.HTTPSConnection | None = None
        self.tries = 0
        self.sent_bytes = 0

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        for _ in range(TRIES_MAX):
            self.tries += 1
            self.sent_bytes += len(body or b"")
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPSConnection(SERVER_ADDRESS, self._port, context=self._context, timeout=TIMEOUT_S)
                    self._connection.connect()
                    self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection.request(method, path, body, self._headers)
                response = self._connection.getresponse()
                content = response.read()
                return json.loads(gzip.decompress(content) if response.headers.get("content-encoding") == "gzip" else content)
            except (OSError, http.client.HTTPException):
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                time.sleep(1)
        raise SystemExit("the server cannot be reached")


def sync(task: Task, day: Day) -> None:
    """One run: everything up, then everything down."""
    client = Client(task.port, task.root, task.compressed)
    bodies = [body_of(day.deeds[n : n + BATCH]) for n in range(0, len(day.deeds), BATCH)]
    go()
    began = time.monotonic()
    applied = 0
    for body in bodies:
        applied += len(client.ask("POST", "/api/v1/mutations", body)["results"])
    marks = {"up": time.monotonic() - began}
    lines: list[str] = []
    while True:
        page = client.ask("GET", f"/api/v1/channels/40321/events?after={len(lines)}&limit={PAGE}")
        lines += [event["text"] for event in page["events"]]
        if not page["more"]:
            break
    took_s = time.monotonic() - began
    assert applied == len(day.deeds) and tuple(lines) == day.lines
    again = client.sent_bytes - sum(map(len, bodies))
    Done(took_s, marks, client.tries, again).tell()


def _iso(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[2], type=Task)
    if sys.argv[1] == "serve":
        serve(given.tls, make_day(given.seed))
    else:
        sync(given, make_day(given.seed))

"""The fake server on a real port: the socket through trio-websocket, and enough HTTP for accounts.

TCP ─▶ head ─▶ "GET /socket" ─▶ trio-websocket ─▶ FakeServer.serve
               "POST /api/…"  ─▶ register, login, refresh
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec
import trio
import trio_websocket

from client.websocket import HeardStream, WebSocketLink
from tests.client.fake_server import Device, FakeServer


class Prefixed(HeardStream):
    """A stream whose first bytes were read already."""

    def __init__(self, stream: trio.abc.Stream, prefix: bytes) -> None:
        super().__init__(stream)
        self._prefix = prefix

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._prefix:
            prefix, self._prefix = self._prefix, b""
            return prefix
        return await super().receive_some(max_bytes)


class FakeWeb:
    """Serves `server` at `url`. `passwords` holds the accounts; `hang_up` closes sockets during the handshake."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.url = ""
        self.passwords: dict[str, tuple[int, str]] = {}
        self.refresh_tokens: dict[str, int] = {}
        self.requests: list[tuple[str, dict[str, object]]] = []
        self.hang_up = False
        self.reject = False
        self.stall = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started()

    async def _serve(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = await stream.receive_some()
            if not more:
                return
            head += more
        if head.startswith(b"GET /socket "):
            if self.hang_up:
                await stream.aclose()
                return
            if self.reject:
                await stream.send_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
                return
            await self._serve_socket(Prefixed(stream, head))
        else:
            await self._serve_http(stream, head)

    async def _serve_socket(self, stream: Prefixed) -> None:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, cast(trio.SocketStream, stream))
            socket = await request.accept()
            code = 1000

            def end(ended: int) -> None:
                nonlocal code
                code = code if code != 1000 else ended or 1000

            def cut() -> None:
                nursery.start_soon(trio.aclose_forcefully, stream)

            if self.stall:
                await trio.sleep_forever()
            await self.server.serve(WebSocketLink(socket, stream), end, cut)
            with trio.move_on_after(1):
                await socket.aclose(code)
            nursery.cancel_scope.cancel()

    async def _serve_http(self, stream: trio.SocketStream, head: bytes) -> None:
        head, _, body = head.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next((int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")), 0)
        while len(body) < length:
            body += await stream.receive_some()
        route = lines[0].split()[1].rpartition("/")[2]
        asked = msgspec.json.decode(body, type=dict[str, object])
        self.requests.append((route, asked))
        answers: dict[str, Callable[[dict[str, object]], tuple[int, dict[str, object]]]] = {
            "register": self._register,
            "login": self._login,
            "refresh": self._refresh,
            "logout": lambda _: (200, {}),
        }
        status, answer = answers[route](asked)
        content = msgspec.json.encode(answer)
        line = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        await stream.send_all(line.encode() + content)

    def _register(self, asked: dict[str, object]) -> tuple[int, dict[str, object]]:
        name = str(asked["name"])
        if name in self.passwords:
            return 409, {"title": "The name is taken", "detail": f"somebody is called {name} already", "code": "name_taken"}
        user = max([*self.server.names, 100]) + 1
        self.server.user(user, name=name)
        self.passwords[name] = (user, str(asked["password"]))
        return self._login(asked)

    def _login(self, asked: dict[str, object]) -> tuple[int, dict[str, object]]:
        user, password = self.passwords.get(str(asked["name"]), (0, ""))
        if not user or password != asked["password"]:
            return 401, {"title": "Not logged in", "detail": "unknown name or wrong password", "code": "unauthenticated"}
        device = asked.get("device", 0)
        assert isinstance(device, int)
        if not device:
            device = self.server.new_id()
            self.server.devices[device] = Device()
            self.server.owners[device] = user
        return 200, self._tokens(user, device)

    def _refresh(self, asked: dict[str, object]) -> tuple[int, dict[str, object]]:
        device = self.refresh_tokens.pop(str(asked["refresh_token"]), 0)
        if not device:
            return 401, {"title": "Log in again", "detail": "this refresh token is used up", "code": "unauthenticated"}
        return 200, self._tokens(self.server.owners[device], device)

    def _tokens(self, user: int, device: int) -> dict[str, object]:
        access, refresh = f"access-{self.server.new_id()}", f"refresh-{self.server.new_id()}"
        self.server.tokens[access] = device
        self.refresh_tokens[refresh] = device
        return {
            "user": user,
            "name": self.server.names[user],
            "display_name": self.server.names[user],
            "device": device,
            "session": 1,
            "inbox": 1000 + user,
            "access_token": access,
            "expires_at": 4e9,
            "refresh_token": refresh,
            "refresh_expires_at": 4e9,
            "a_field_of_a_newer_server": True,
        }

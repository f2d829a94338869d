"""A proxy in front of a real Valkey that can be told to fail: to cut, to swallow, to go deaf, to take nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

import hiredis
import trio

from gateway.redis_connection import RedisAddress

Fault = Literal["none", "swallow", "deaf", "stuck"]
PONG = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"


class FaultyRedis:
    """`fault` is what happens from now on to what the server says:

    `swallow`: none of it arrives. `deaf`: only answers to PING do. `stuck`: beside that, nothing is read from the client.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.address = RedisAddress(socket_path=str(folder / "faulty.sock"))
        self.fault: Fault = "none"
        self.swallowed = 0
        self._server = server
        self._scopes: set[trio.CancelScope] = set()
        self._servers: dict[trio.abc.Stream, trio.Lock] = {}
        self._swallowed = trio.Event()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listener = trio.socket.socket(trio.socket.AF_UNIX)
        # A small window, so that a client that is not read finds out after some kilobytes.
        listener.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        assert self.address.socket_path is not None
        await listener.bind(self.address.socket_path)
        listener.listen()
        task_status.started()
        await trio.serve_listeners(self._serve_one, [trio.SocketListener(listener)])

    def cut(self) -> None:
        """Closes every connection, and is well again."""
        self.fault = "none"
        for scope in self._scopes:
            scope.cancel()

    async def say(self, command: bytes) -> None:
        """Says `command` to the server on every connection, as if the client had."""
        for server, lock in list(self._servers.items()):
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with lock:
                    await server.send_all(command)

    async def wait_swallowed(self) -> None:
        """Waits until something was swallowed from now on."""
        await self._swallowed.wait()

    async def _serve_one(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_unix_socket(str(self._server)) as server:
            scope = trio.CancelScope()
            self._scopes.add(scope)
            self._servers[server] = trio.Lock()
            try:
                with scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._up, client, server, scope)
                        nursery.start_soon(self._down, client, server, scope)
            finally:
                self._scopes.discard(scope)
                del self._servers[server]

    async def _up(self, client: trio.SocketStream, server: trio.abc.Stream, scope: trio.CancelScope) -> None:
        try:
            async for data in client:
                if self.fault == "stuck":
                    await trio.sleep_forever()
                async with self._servers[server]:
                    await server.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _down(self, client: trio.SocketStream, server: trio.abc.Stream, scope: trio.CancelScope) -> None:
        reader = hiredis.Reader()
        try:
            async for data in server:
                reader.feed(bytes(data))
                pongs = 0
                while (reply := reader.gets()) is not False:
                    pongs += isinstance(reply, list) and reply[0] == b"pong"
                if self.fault == "none":
                    await client.send_all(data)
                elif self.fault == "deaf" and pongs:
                    await client.send_all(PONG * pongs)
                else:
                    self.swallowed += 1
                    self._swallowed.set()
                    self._swallowed = trio.Event()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

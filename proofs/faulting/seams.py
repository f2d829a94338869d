"""The proxies at every seam, in a process of their own: TCP and unix sockets in, TCP and unix sockets out, and all that a network can do.

    client ─▶ seam "gateway-1" ─▶ gateway        gateway-1 ─▶ seam "gateway-1:redis" ─▶ Valkey        … ":postgres" ─▶ Postgres
               up ─▶ Way ─▶                        each direction of a seam has its own conditions
               ◀─ Way ◀─ down

A dropped packet is no lost byte: TCP sends it again until the way is open or somebody loses patience. So a way that drops *holds*, and what
was under way goes on when it opens, or is gone for ever when the connection is cut. A delayed way sends each piece that much later.

Invariant: bytes are never changed, doubled or left out; a connection that lost some is dead for both sides.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

import trio
from msgspec import Struct

from proofs.faulting.steering import serve

PIECE_BYTES = 64 * 1024
BUFFER_BYTES = 64 * 1024
"""What the kernel holds of each connection here. Small, so that a reader that stopped is soon felt where it should be."""
SEGMENT_BYTES = 1400
"""As on any network but a loopback, whose segments of 64 KiB let a sender's kernel hide megabytes that nobody reads."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CONNECT_S = 10.0
BACKLOG = 1024


class Conditions(Struct, frozen=True):
    """One direction. `rate_bytes_s` 0: as fast as it goes."""

    held: bool = False
    delay_s: float = 0.0
    rate_bytes_s: float = 0.0


class Seam(Struct, frozen=True):
    """Where it listens and where it leads: `host:port`, or a path. `refused`: whoever comes is hung up on."""

    name: str
    listen: str
    target: str


class Order(Struct, frozen=True):
    """`open`: these seams are made. `seam`: that one (a prefix) is set to `up` and `down`, and to refuse or not; `cut`: and all its
    connections are reset, after it was set."""

    open: tuple[Seam, ...] = ()
    seam: str = ""
    up: Conditions | None = None
    down: Conditions | None = None
    refused: bool | None = None
    cut: bool = False


class Answer(Struct, frozen=True):
    """How many connections the seams named have now, and how many were cut."""

    connections: int = 0
    cut: int = 0


class Way:
    """One direction of a seam."""

    def __init__(self) -> None:
        self.conditions = Conditions()
        self._changed = trio.Event()

    def set(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self._changed.set()
        self._changed = trio.Event()

    async def wait_open(self) -> None:
        while self.conditions.held:
            await self._changed.wait()

    async def delay(self, count: int) -> None:
        """Keeps a piece of `count` bytes for as long as it takes."""
        conditions = self.conditions
        pause_s = conditions.delay_s + (count / conditions.rate_bytes_s if conditions.rate_bytes_s else 0.0)
        if pause_s:
            with trio.move_on_after(pause_s):
                # Whoever sets a faster way does not wait for a slow one to be over.
                while self.conditions == conditions:
                    await self._changed.wait()
        await self.wait_open()


class Pair:
    """One connection through a seam."""

    def __init__(self, near: trio.SocketStream) -> None:
        self.near = near
        self.far: trio.SocketStream | None = None
        self.scope = trio.CancelScope()

    def reset(self) -> None:
        """Both sides hear of it at once; what was under way is gone."""
        for stream in (self.near, self.far):
            if stream is not None and stream.socket.fileno() >= 0:
                with suppress(OSError):
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                stream.socket.close()
        self.scope.cancel()


class Gate:
    """One seam at work."""

    def __init__(self, seam: Seam) -> None:
        self.seam = seam
        self.up, self.down = Way(), Way()
        self.refused = False
        self.pairs: set[Pair] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with await _listen(self.seam.listen) as ear:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    near, _ = await ear.accept()
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                    nursery.start_soon(self._carry, trio.SocketStream(near))

    def cut(self) -> int:
        count = len(self.pairs)
        for pair in list(self.pairs):
            pair.reset()
        return count

    async def _carry(self, near: trio.SocketStream) -> None:
        pair = Pair(near)
        if self.refused:
            pair.reset()
            return
        self.pairs.add(pair)
        try:
            with pair.scope:
                await self.up.wait_open()
                with trio.fail_after(CONNECT_S):
                    pair.far = await _connect(self.seam.target)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, near, pair.far, self.up)
                    nursery.start_soon(_pump, pair.far, near, self.down)
                if not pair.scope.cancel_called:  # both sides are done: what the kernel still holds arrives
                    near.socket.close()
                    pair.far.socket.close()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # one side is gone, and the reset below tells the other
        finally:
            self.pairs.discard(pair)
            pair.reset()


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, way: Way) -> None:
    while True:
        await way.wait_open()
        data = await source.receive_some(PIECE_BYTES)
        if way.conditions != _PLAIN:
            await way.delay(len(data))
        if not data:
            await sink.send_eof()
            return
        await sink.send_all(data)


_PLAIN = Conditions()


async def _listen(place: str) -> trio.socket.SocketType:
    if place.startswith("/"):
        with suppress(FileNotFoundError):
            os.unlink(place)
        ear = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await ear.bind(place)
    else:
        host, _, port = place.rpartition(":")
        ear = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await ear.bind((host, int(port)))
    ear.listen(BACKLOG)
    return ear


async def _connect(place: str) -> trio.SocketStream:
    if place.startswith("/"):
        return await trio.open_unix_socket(place)
    host, _, port = place.rpartition(":")
    here = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # before connecting, or the window is agreed already
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        await here.connect((host, int(port)))
    except BaseException:
        here.close()
        raise
    return trio.SocketStream(here)


async def main() -> None:
    gates: list[Gate] = []
    async with trio.open_nursery() as nursery:

        async def obey(order: Order) -> Answer:
            for seam in order.open:
                gate = Gate(seam)
                await nursery.start(gate.run)
                gates.append(gate)
            chosen = [gate for gate in gates if order.seam and gate.seam.name.startswith(order.seam)]
            cut = 0
            for gate in chosen:
                if order.up is not None:
                    gate.up.set(order.up)
                if order.down is not None:
                    gate.down.set(order.down)
                if order.refused is not None:
                    gate.refused = order.refused
                if order.cut:
                    cut += gate.cut()
            return Answer(sum(len(gate.pairs) for gate in chosen), cut)

        await serve(Order, obey)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)

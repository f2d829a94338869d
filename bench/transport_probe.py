"""The transport alone: server CPU per delivery, and memory per idle connection, without actors, Postgres or Redis.

    python -m bench.transport_probe [--members 1000] [--messages 2000] [--coalesce 1,4] [--idle 5000]

The server runs in a process of its own and reports its own CPU time (user and system) and resident memory. The load process only
connects, reads and counts bytes, so that what it costs is not counted. One room: every batch goes to every member.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import selectors
import socket
import time
from functools import partial
from multiprocessing.connection import Connection as Pipe
from random import random

import trio

from actors.socket_port import Batch, Outlet, Peer
from gateway import rfc6455
from gateway.admission import Gates
from gateway.connection import Bounds, Connection
from gateway.http_serving import HttpServing
from gateway.listener import Listener

PAYLOAD = bytes(range(46))
"""As long as a chat event with small identifiers."""
REQUEST = (
    b"GET /socket HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Member:
    """The least that a session can be."""

    __slots__ = ("outlet",)

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def received(self, payload: bytes) -> None:
        self.outlet.send(payload)

    def drained(self) -> None: ...

    def draining(self, grace_s: float) -> None: ...

    def closed(self, code: int, reason: str) -> None: ...


async def no_application(scope: object, receive: object, send: object) -> None:
    await trio.sleep_forever()


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_kib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024


async def serve(pipe: Pipe) -> None:
    """Obeys the load process: `room messages coalesce`, `floor messages _`, `memory` and `stop`."""
    members: list[Member] = []

    def accept(outlet: Outlet, peer: Peer) -> Member:
        members.append(Member(outlet))
        return members[-1]

    gates = Gates(handshakes_per_s=100_000, handshakes_burst=100_000, per_client_max=100_000, half_open_per_client_max=10_000)
    async with trio.open_nursery() as nursery:
        http = HttpServing(no_application)
        listener = Listener(binds=("127.0.0.1:0",), accept=accept, http=http, random=random, gates=gates, bounds=Bounds(heartbeat_s=3600))
        (bound,) = await nursery.start(listener.run)
        pipe.send(int(bound.rpartition(":")[2]))
        while True:
            command = await trio.to_thread.run_sync(pipe.recv)
            if command[0] == "stop":
                nursery.cancel_scope.cancel()
                return
            if command[0] == "nothing":
                pipe.send((0.0, 0, 0))
                continue
            if command[0] == "memory":
                gc.collect()
                pipe.send((len(members), resident_kib(), cpu_s()))
                continue
            _, messages, coalesce = command
            if command[0] == "floor":
                pipe.send((await floor([member.outlet for member in members], messages), messages * len(members), 0))
                continue
            refused = 0
            before, sends = cpu_s(), listener.counters.sends
            for _ in range(messages // coalesce):
                listener.multiplexer.cork()
                for _ in range(coalesce):
                    batch = Batch(PAYLOAD)
                    for member in members:
                        refused += not member.outlet.push(batch)
                listener.multiplexer.uncork()
                # The bound here is the load process: it gets its core, and time to read.
                while listener.counters.queued_bytes:  # noqa: ASYNC110 (an event for the sake of a probe would be in the measured path)
                    await trio.sleep(0.001)
                await trio.lowlevel.checkpoint()
            pipe.send((cpu_s() - before, listener.counters.sends - sends, refused))


async def floor(outlets: list[Outlet], messages: int) -> float:
    """What the bare `send` calls of the same fan-out cost from Python, with no framing, bounds or queues at all: what cannot be saved."""
    sends = [outlet.sock.send for outlet in outlets if isinstance(outlet, Connection)]
    wire = rfc6455.encode(rfc6455.BINARY, PAYLOAD)
    before = cpu_s()
    for _ in range(messages):
        for send in sends:
            assert send(wire) == len(wire)
        # The other process gets its turn to read; without it the kernel's queues would fill.
        await trio.sleep(0.01)
    return cpu_s() - before


def run_server(pipe: Pipe) -> None:
    gc.set_threshold(50_000, 50, 100)
    trio.run(serve, pipe)


def connect(port: int, count: int) -> list[socket.socket]:
    sockets = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += sock.recv(1)
        sockets.append(sock)
    return sockets


def read(sockets: list[socket.socket], expected_bytes: int, pipe: Pipe) -> tuple[float, int, int]:
    """Reads until every byte came, and the server has reported."""
    buffer = bytearray(1 << 20)
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        got = 0
        while got < expected_bytes:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                got += key.fileobj.recv_into(buffer)
    report: tuple[float, int, int] = pipe.recv()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--coalesce", default="1,4")
    parser.add_argument("--idle", type=int, default=5000)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=partial(run_server, theirs))
    server.start()
    port = ours.recv()
    members = connect(port, options.members)
    ours.send(("floor", options.messages // 4, 1))
    cpu, sends, _ = read(members, options.messages // 4 * options.members * (len(PAYLOAD) + 2), ours)
    print(f"1 room of {options.members}, bare sends: {cpu / sends * 1e6:.2f} µs server CPU a delivery")
    for coalesce in map(int, options.coalesce.split(",")):
        began = time.perf_counter()
        ours.send(("room", options.messages, coalesce))
        deliveries = options.messages // coalesce * coalesce * options.members
        cpu, sends, refused = read(members, deliveries * (len(PAYLOAD) + 2), ours)
        print(
            f"1 room of {options.members}, {coalesce} a round: {cpu / deliveries * 1e6:.2f} µs server CPU a delivery, "
            f"{deliveries / sends:.2f} deliveries a send, {refused} refused, {time.perf_counter() - began:.1f} s"
        )
    ours.send(("memory",))
    count, before, cpu_before = ours.recv()
    members += connect(port, options.idle)
    ours.send(("memory",))
    more, after, cpu_after = ours.recv()
    kib = (after - before) / (more - count)
    handshake = (cpu_after - cpu_before) / (more - count)
    print(f"{kib:.2f} KiB resident an idle connection ({more - count}), {handshake * 1e6:.0f} µs server CPU a handshake, one at a time")
    question = rfc6455.encode(rfc6455.BINARY, PAYLOAD, key=b"abcd")
    rounds = 50
    for _ in range(rounds):
        for sock in members[: options.members]:
            sock.sendall(question)
        ours.send(("nothing",))
        read(members[: options.members], options.members * (len(PAYLOAD) + 2), ours)
    ours.send(("memory",))
    cpu = ours.recv()[2] - cpu_after
    print(f"{cpu / rounds / options.members * 1e6:.2f} µs server CPU an echo: one message in, the same one out")
    ours.send(("stop",))
    server.join()


if __name__ == "__main__":
    main()

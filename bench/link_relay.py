"""The emulated link's own process: two network namespaces, a TUN device in each, and what lies between them.

    client's namespace ─ TUN ─▶ Way up ──▶ TUN ─ server's namespace
      10.66.0.2          ◀── Way down ◀──          10.66.0.1

Told what to do by lines of JSON on its standard input, it answers each with one line: `{"conditions": …}` begins anew with these (also at
the start of a round of cuts), `{"counts": true}` asks what became of the packets. The namespaces have no name: they are gone with the last
process in them, however that ends. An argument names a file for a trace of every packet.

Needs the right to make namespaces and devices (root) and Linux.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final, TextIO

import msgspec

from bench.link_model import Conditions, Counts, Way
from bench.link_tcp import Flows, read_segment

SERVER_ADDRESS: Final = "10.66.0.1"
CLIENT_ADDRESS: Final = "10.66.0.2"
DEVICE: Final = "radio"
MTU: Final = 1500
CONGESTION: Final = "cubic"
"""Linux' own choice, whatever this machine has been set to. A route may say it; a namespace only where the machine allows all of them."""
KERNEL: Final = {
    "ipv4/tcp_no_metrics_save": "1",  # each connection meets the link for the first time
    "ipv6/conf/all/disable_ipv6": "1",  # nothing but the measured connections on the link
}
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEAD: Final = 0x1001


class Order(msgspec.Struct):
    """One line for the relay."""

    conditions: Conditions | None = None
    counts: bool = False


class Told(msgspec.Struct):
    """One line from it. `client` and `server` are what `nsenter --net=` takes, in the first line; or it says why there is no link."""

    client: str = ""
    server: str = ""
    trouble: str = ""
    up: Counts | None = None
    down: Counts | None = None
    cuts: int = 0


class Relay:
    """Both ways and the devices at their ends."""

    def __init__(self, client: int, server: int, trace: TextIO | None) -> None:
        self._client = client
        self._server = server
        self._trace = trace
        self._begin(Conditions())

    def _begin(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._began = time.monotonic()
        self._up, self._down = Way(conditions, "up"), Way(conditions, "down")
        self._flows = Flows()
        self._cut = False
        self._cuts = 0
        self._note("begin", b"")

    def run(self) -> None:
        """Until standard input ends."""
        poll = select.poll()
        for file in (0, self._client, self._server):
            poll.register(file, select.POLLIN)
        pending = b""
        while True:
            now = time.monotonic()
            due = min(self._up.next_at, self._down.next_at, now + self._conditions.next_turn_s(now - self._began), now + 1)
            ready = [file for file, _ in poll.poll(max(0.0, due - now) * 1000)]
            self._turn(time.monotonic())
            if self._client in ready:
                self._read(self._client, self._up)
            if self._server in ready:
                self._read(self._server, self._down)
            self._deliver(time.monotonic())
            if 0 in ready:
                some = os.read(0, 65536)
                if not some:
                    return
                *lines, pending = (pending + some).split(b"\n")
                for line in lines:
                    say(self._obey(msgspec.json.decode(line, type=Order)))

    def _obey(self, order: Order) -> Told:
        told = Told(up=self._up.counts, down=self._down.counts, cuts=self._cuts)
        if order.conditions is not None:
            self._begin(order.conditions)
        return told

    def _turn(self, now: float) -> None:
        cut = self._conditions.is_cut(now - self._began)
        if cut and not self._cut:
            self._cuts += 1
            self._up.cut()
            self._down.cut()
            if self._conditions.resets:
                for packet in self._flows.resets():
                    os.write(self._client, packet)
        self._cut = cut

    def _read(self, device: int, way: Way) -> None:
        now = time.monotonic()
        while True:
            try:
                packet = os.read(device, MTU + 100)
            except BlockingIOError:
                return
            self._note("up sent" if way is self._up else "down sent", packet)
            if way is self._up:
                self._flows.sent(packet)
            if self._cut:
                way.vanish(packet)
            else:
                way.send(packet, now)

    def _deliver(self, now: float) -> None:
        for packet in self._up.arrived(now):
            self._note("up arrived", packet)
            os.write(self._server, packet)
        for packet in self._down.arrived(now):
            self._note("down arrived", packet)
            self._flows.delivered(packet)
            os.write(self._client, packet)

    def _note(self, what: str, packet: bytes) -> None:
        """A line for whoever looks for what costs time on the link."""
        if self._trace is None:
            return
        segment = read_segment(packet)
        says = f" {segment.payload_bytes:5} B  seq {segment.seq} ack {segment.ack} flags {segment.flags:02x}" if segment else ""
        print(f"{time.monotonic() - self._began:8.3f} {what:12} {len(packet):5} B{says}", file=self._trace)


def open_end(address: str) -> tuple[int, int]:
    """Moves this thread into a new namespace with a TUN device; the device and the namespace, as open files."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no new network namespace: this needs root")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _TUN_WITHOUT_HEAD))
    for name, value in KERNEL.items():
        (Path("/proc/sys/net") / name).write_text(value)
    commands = (
        "link set lo up",
        f"addr add {address}/32 dev {DEVICE}",
        f"link set dev {DEVICE} mtu {MTU} up",
        f"route add {SERVER_ADDRESS if address == CLIENT_ADDRESS else CLIENT_ADDRESS}/32 dev {DEVICE} congctl {CONGESTION}",
    )
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)
    return device, os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def say(told: Told) -> None:
    os.write(1, msgspec.json.encode(told) + b"\n")


def main() -> int:
    try:
        (client, client_space), (server, server_space) = open_end(CLIENT_ADDRESS), open_end(SERVER_ADDRESS)
    except (OSError, subprocess.CalledProcessError) as error:
        say(Told(trouble=f"the link cannot be emulated here: {error}"))
        return 1
    say(Told(f"/proc/{os.getpid()}/fd/{client_space}", f"/proc/{os.getpid()}/fd/{server_space}"))
    with open(sys.argv[1], "w", buffering=1) if len(sys.argv) > 1 else nullcontext() as trace:
        Relay(client, server, trace).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

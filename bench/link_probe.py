"""Is the emulated link what it says? Round trip, loss, rate and the queue's bound, measured over it by sockets at both ends.

    python -m bench.link_probe [--seed N]

UDP for what the link does with packets, TCP for what a program gets of it.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

import trio

from bench.link import SERVER_ADDRESS, Conditions, Link, open_link
from bench.peer import read_line

PORT: Final = 4000
PINGS: Final = 20
FLOOD_PACKETS: Final = 150
FLOOD_BYTES: Final = 1000
SPRINKLED: Final = 500
SPRINKLE_S: Final = 0.012
"""38 bytes each: half the link's rate."""
TCP_BYTES: Final = 60_000
QUIET_S: Final = 6.0


def serve() -> None:
    """At the server's end: echoes pings, takes what else comes."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((SERVER_ADDRESS, PORT))
    tcp = socket.create_server((SERVER_ADDRESS, PORT))
    print("ready", flush=True)
    while True:
        data, sender = udp.recvfrom(2000)
        if data == b"tcp":
            connection, _ = tcp.accept()
            while connection.recv(65536):
                pass
            connection.sendall(b"!")
            connection.close()
        elif data.startswith(b"ping"):
            udp.sendto(data, sender)


def ask(what: str) -> None:
    """At the client's end: one of the measurements."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((SERVER_ADDRESS, PORT))
    udp.settimeout(QUIET_S)
    if what == "ping":
        times = []
        for n in range(PINGS):
            sent = time.monotonic()
            udp.send(b"ping%d" % n)
            udp.recv(100)
            times.append(time.monotonic() - sent)
        print(median(times))
    elif what == "flood":
        for _ in range(FLOOD_PACKETS):
            udp.send(bytes(FLOOD_BYTES - 28))
    elif what == "sprinkle":
        for _ in range(SPRINKLED):
            udp.send(bytes(10))
            time.sleep(SPRINKLE_S)
    else:
        udp.send(b"tcp")
        began = time.monotonic()
        with socket.create_connection((SERVER_ADDRESS, PORT)) as tcp:
            tcp.sendall(bytes(TCP_BYTES))
            tcp.shutdown(socket.SHUT_WR)
            tcp.recv(1)
        print(time.monotonic() - began)


async def measure(seed: int) -> list[str]:
    """Lines with what was found."""
    perfect = Conditions(loss=0, seed=seed)
    lossy = Conditions(seed=seed)
    lines = [str(lossy)]
    async with open_link() as link:
        server = await trio.lowlevel.open_process(
            link.in_server([sys.executable, "-m", "bench.link_probe", "--serve"]), stdout=subprocess.PIPE
        )
        try:
            assert await read_line(server) == "ready"
            await link.begin(perfect)
            lines.append(f"round trip of 33 bytes: {float(await _ask(link, 'ping')) * 1000:.0f} ms (median of {PINGS})")
            await link.begin(perfect)
            await _ask(link, "flood")
            await trio.sleep(QUIET_S)
            counts = (await link.counts()).up
            lines.append(f"{FLOOD_PACKETS} packets of {FLOOD_BYTES} B at once: {counts.arrived} arrived, {counts.dropped} found no room")
            await link.begin(lossy)
            await _ask(link, "sprinkle")
            await trio.sleep(1)
            counts = (await link.counts()).up
            lines.append(f"{counts.packets} small packets: {counts.lost} lost ({counts.lost / counts.packets:.1%})")
            for name, conditions in (("without loss", perfect), ("with loss", lossy)):
                await link.begin(conditions)
                took_s = float(await _ask(link, "tcp"))
                lines.append(f"{TCP_BYTES / 1000:g} kB by TCP, {name}: {took_s:.1f} s, {TCP_BYTES * 8 / took_s / 1000:.0f} kbit/s")
        finally:
            server.kill()
            with trio.CancelScope(shield=True):
                await server.wait()
    return lines


async def _ask(link: Link, what: str) -> str:
    done = await trio.run_process(link.in_client([sys.executable, "-m", "bench.link_probe", "--ask", what]), capture_stdout=True)
    return done.stdout.decode()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.link_probe", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ask", choices=("ping", "flood", "sprinkle", "tcp"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.serve:
        serve()
    elif asked.ask:
        ask(asked.ask)
    else:
        print("\n".join(trio.run(measure, asked.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

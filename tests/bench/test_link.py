"""The emulated link does to packets what its conditions say, and nothing of it is left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from bench.link import SERVER_ADDRESS, Conditions, Link, open_link
from bench.link_model import Way
from bench.link_relay import Told
from bench.link_tcp import Flows, read_segment
from bench.peer import read_line
from tests import needs

SENDINGS = st.lists(st.tuples(st.floats(0, 2), st.integers(40, 1500)), max_size=80)
"""Pauses in seconds before each packet, and its bytes."""
FAST = Conditions(rate_bit_s=1e9, round_trip_ms=0, loss=0)


def send_all(way: Way, sendings: list[tuple[float, int]]) -> list[tuple[float, bytes]]:
    """Sends numbered packets; when each arrived."""
    arrivals = []
    now = 100.0
    for n, (pause_s, size_bytes) in enumerate(sendings):
        now += pause_s
        while way.next_at <= now:
            at = way.next_at
            arrivals += [(at, packet) for packet in way.arrived(at)]
        way.send(n.to_bytes(4, "big") + bytes(size_bytes - 4), now)
    while way.next_at < float("inf"):
        at = way.next_at
        arrivals += [(at, packet) for packet in way.arrived(at)]
    return arrivals


@given(SENDINGS, st.integers(0, 3))
def test_packets_arrive_in_order_no_faster_than_the_rate_and_no_earlier_than_the_delay(
    sendings: list[tuple[float, int]], seed: int
) -> None:
    conditions = Conditions(loss=0.2, seed=seed)
    way = Way(conditions, "up")
    arrivals = send_all(way, sendings)
    sent_at = 100.0
    times = []
    for pause_s, _ in sendings:
        sent_at += pause_s
        times.append(sent_at)
    numbers = [int.from_bytes(packet[:4], "big") for _, packet in arrivals]
    assert numbers == sorted(set(numbers))
    counts = way.counts
    assert counts.packets == len(sendings) == counts.arrived + counts.lost + counts.dropped
    for number, (at, packet) in zip(numbers, arrivals, strict=True):
        assert at >= times[number] + conditions.round_trip_ms / 2000 + len(packet) * 8 / conditions.rate_bit_s - 1e-9
    for (before, _), (after, packet) in pairwise(arrivals):
        assert after - before >= len(packet) * 8 / conditions.rate_bit_s - 1e-9


@given(SENDINGS)
def test_the_queue_holds_no_more_than_its_bound_and_drops_only_then(sendings: list[tuple[float, int]]) -> None:
    conditions = Conditions(loss=0, queue_bytes=4000)
    way = Way(conditions, "up")
    sizes = [size for _, size in sendings]
    arrivals = send_all(way, sendings)
    numbers = {int.from_bytes(packet[:4], "big") for _, packet in arrivals}
    now = free_at = 100.0
    for number, (pause_s, size_bytes) in enumerate(sendings):
        now += pause_s
        waiting = max(0.0, free_at - now) * conditions.rate_bit_s / 8
        assert waiting <= conditions.queue_bytes + 1e-6
        fits = waiting + size_bytes <= conditions.queue_bytes
        assert fits == (number in numbers) or abs(waiting + size_bytes - conditions.queue_bytes) < 1e-3
        if number in numbers:
            free_at = max(free_at, now) + size_bytes * 8 / conditions.rate_bit_s
    assert way.counts.dropped == len(sizes) - len(numbers)


def test_loss_is_the_share_asked_for_and_the_same_for_the_same_seed() -> None:
    def lost(seed: int, name: str) -> list[int]:
        way = Way(Conditions(seed=seed, queue_bytes=1 << 30), name)
        arrived = {int.from_bytes(packet[:4], "big") for _, packet in send_all(way, [(0.0, 40)] * 20_000)}
        return [n for n in range(20_000) if n not in arrived]

    first = lost(1, "up")
    assert 300 < len(first) < 500
    assert first == lost(1, "up")
    assert first != lost(2, "up")
    assert first != lost(1, "down")


def test_what_is_under_way_when_the_link_is_cut_vanishes() -> None:
    conditions = Conditions(loss=0, cut_every_s=8, cut_s=2)
    assert [conditions.is_cut(s) for s in (0, 7.9, 8, 9.9, 10, 17.9, 18)] == [False, False, True, True, False, False, True]
    assert [conditions.next_turn_s(s) for s in (0, 7, 8, 9, 10)] == [8, 1, 2, 1, 8]
    way = Way(conditions, "up")
    way.send(bytes(100), 0.0)
    way.cut()
    way.vanish(bytes(100))
    assert way.arrived(1000.0) == []
    assert (way.counts.packets, way.counts.vanished, way.counts.arrived) == (2, 2, 0)


def test_a_reset_carries_the_number_that_the_device_expects() -> None:
    head = bytes.fromhex("4500002800004000400600000a4200020a420001")
    sent = head + bytes.fromhex("9c400fa000000064000001f45010ffff00000000")
    answer = bytes.fromhex("4500002c00004000400600000a4200010a420002") + bytes.fromhex("0fa09c40000001f4000000645010ffff00000000") + b"four"
    flows = Flows()
    flows.sent(sent)
    flows.delivered(answer)
    resets = [read_segment(packet) for packet in flows.resets()]
    assert [reset and (reset.seq, reset.ack, reset.flags & 4, reset.source_port, reset.target_port) for reset in resets] == [
        (500, 100, 4, 4000, 40000),
        (504, 100, 4, 4000, 40000),
    ]
    assert flows.resets() == []


# The real thing

SERVER = """
import socket, sys
listener = socket.create_server(("10.66.0.1", 4000))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(100):
        connection.sendall(data)
"""
CLIENT = """
import socket
answered = False
while not answered:
    connection = socket.create_connection(("10.66.0.1", 4000))
    try:
        connection.sendall(b"there?")
        answered = connection.recv(100) == b"there?"
        connection.recv(100)
    except ConnectionResetError:
        print("reset", "after an answer" if answered else "before it", flush=True)
"""


@pytest.fixture
def possible() -> None:
    told = subprocess.run([sys.executable, "-m", "bench.link_relay"], stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    trouble = msgspec.json.decode(told, type=Told).trouble if shutil.which("nsenter") else "nsenter is not installed"
    if trouble:
        needs.refuse(trouble)


async def run_at_both_ends(link: Link, client: str) -> str:
    server = await trio.lowlevel.open_process(link.in_server([sys.executable, "-c", SERVER]), stdout=subprocess.PIPE)
    try:
        assert await read_line(server) == "ready"
        done = await trio.run_process(link.in_client([sys.executable, "-c", client]), capture_stdout=True)
        return done.stdout.decode()
    finally:
        server.kill()
        with trio.CancelScope(shield=True):
            await server.wait()


@pytest.mark.usefixtures("possible")
async def test_programs_at_both_ends_talk_and_a_cut_ends_the_devices_connections() -> None:
    assert SERVER_ADDRESS in SERVER and SERVER_ADDRESS in CLIENT
    async with open_link() as link:
        await link.begin(msgspec.structs.replace(FAST, cut_every_s=1.0, cut_s=0.1))
        with trio.fail_after(60):
            said = await run_at_both_ends(link, CLIENT)
        counts = await link.counts()
        relay = link.pid
    assert said.splitlines()[-1] == "reset after an answer"
    assert counts.cuts >= 1
    assert counts.up.arrived > 0 and counts.down.arrived > 0
    assert not is_alive(relay)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()

"""The measurements count what they say they count, and believe no server. No times are asserted here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import trio

from bench import wire
from bench.generator import CompilerMissing, Dialect, Generator, GeneratorFailed, Plan, Report, Seat, compile_generator, open_generator
from bench.peer import PeerMissing, install
from bench.stage import Options
from bench.usage import cpu_s
from protocol.codec import encode
from protocol.frames import VERSION, Hello
from protocol.values import Cursor
from tests import needs
from tests.bench.faulty_server import STREAM, Fault, faulty_server

MEMBERS = 3
MESSAGES = 6
DIALECTS: Final[tuple[Dialect, ...]] = ("educonnect", "socketio")
TYPED: Final[tuple[Dialect, ...]] = ("educonnect", "plain", "nats")
TYPED_WRONGLY: Final[list[tuple[Dialect, Fault]]] = [
    *((dialect, fault) for dialect in TYPED for fault in ("loses", "doubles", "misattributes", "misdelivers")),
    *((dialect, "swaps") for dialect in TYPED if dialect != "nats"),  # it promises no order between two authors
]
ASKED: Final[tuple[Dialect, ...]] = ("educonnect", "plain")
FOUND: Final[dict[Fault, str]] = {
    "loses": "was due",
    "doubles": "was due|twice",
    "alters": "was due",
    "swaps": "was due",
    "misattributes": "a message of",
    "misdelivers": "was due|twice",
    "acknowledges nothing": "no progress",
}


@pytest.fixture
def compiled() -> None:
    try:
        compile_generator()
    except CompilerMissing:
        needs.refuse("gcc is not installed (the load generator of the benchmarks is written in C)")


def plan(dialect: Dialect, port: int) -> Plan:
    def opening(user: int) -> bytes:
        match dialect:
            case "socketio":
                return b"40" + json.dumps({"user": user}).encode()
            case "plain":
                return b"J%d %d" % (STREAM, user)
            case "nats":
                return b'CONNECT {"user":%d}\r\nSUB room.%d 1\r\nPING\r\n' % (user, STREAM)
        return encode(Hello(VERSION, "token", user, (Cursor(STREAM, 0),)))

    seats = tuple(Seat(0, 0, 100 + n, True, opening(100 + n)) for n in range(MEMBERS))
    return Plan(dialect, (port,), (STREAM,), seats, stall_s=1.0)


async def say(generator: Generator) -> Report:
    await generator.connect(MEMBERS)
    return await generator.say(MESSAGES, 2, 2)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_delivery_to_every_member_is_counted_once(dialect: Dialect, tmp_path: Path) -> None:
    async with faulty_server(dialect, "none") as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        report = await say(generator)
        assert (report.messages, report.deliveries) == (MESSAGES, MESSAGES * MEMBERS)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FOUND)
async def test_a_run_with_one_fault_yields_no_figure(dialect: Dialect, fault: Fault, tmp_path: Path) -> None:
    async with faulty_server(dialect, fault) as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        with pytest.raises(GeneratorFailed, match=FOUND[fault]):
            await say(generator)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dialect", TYPED)
@pytest.mark.parametrize("posters", [1, MEMBERS])
async def test_typing_notices_are_told_apart_by_their_users_and_counted(dialect: Dialect, posters: int, tmp_path: Path) -> None:
    async with faulty_server(dialect, "none") as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        await generator.connect(MEMBERS)
        for _ in range(2):
            report = await generator.type(MESSAGES, 2, posters)
            assert (report.messages, report.deliveries) == (MESSAGES, MESSAGES * MEMBERS)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("dialect", "fault"), TYPED_WRONGLY)
async def test_a_run_of_notices_with_one_fault_yields_no_figure(dialect: Dialect, fault: Fault, tmp_path: Path) -> None:
    async with faulty_server(dialect, fault) as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        await generator.connect(MEMBERS)
        with pytest.raises(GeneratorFailed, match=r"a message of|not due|twice|nobody sent|no progress"):
            await generator.type(MESSAGES, 2, MEMBERS)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dialect", ASKED)
async def test_every_answer_is_that_to_its_question(dialect: Dialect, tmp_path: Path) -> None:
    async with faulty_server(dialect, "none") as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        await generator.connect(MEMBERS)
        assert (await generator.ask(MESSAGES, 2)).messages == MESSAGES
    async with faulty_server(dialect, "answers another") as server, open_generator(plan(dialect, server.port), tmp_path) as generator:
        await generator.connect(MEMBERS)
        with pytest.raises(GeneratorFailed, match="out of turn"):
            await generator.ask(MESSAGES, 2)


@pytest.mark.usefixtures("compiled")
async def test_the_real_servers_pass_and_their_bytes_are_counted() -> None:
    try:
        await trio.to_thread.run_sync(install)
    except PeerMissing as missing:
        needs.refuse(f"{missing} (the benchmarks' peer)")
    down, beyond, up = await wire.measure(Options(rounds=1, quick=True), lambda line: None)
    assert down.figure > wire.TEXT_BYTES and down.peer_figure is not None and down.peer_figure > down.figure
    assert beyond.figure == down.figure - wire.TEXT_BYTES
    assert up.figure > wire.TEXT_BYTES


def test_cpu_time_of_living_and_of_ended_children_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('ended', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"ended\n"
        assert cpu_s([process.pid]) >= 0.19  # the kernel counts what has ended in hundredths
        process.stdin.close()

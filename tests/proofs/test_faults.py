"""The proof of faults: its checker finds each way to break a promise, its seams do what networks do, and a short run is clean."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import cast

import msgspec
import pytest
import trio

from client import Credentials
from client.account import Account, Login
from proofs import faults as command
from proofs.faulting import crew
from proofs.faulting.catalogue import BY_NAME, KINDS, ROUND_S, Strike, draw
from proofs.faulting.copies import Arrival, Copy, Post, digest, digest_raw
from proofs.faulting.crew import Crew, Device, Order, Truth, Window, lateness_s
from proofs.faulting.light import LightDevice
from proofs.faulting.rest import FDS_SLACK, Rest, leaks
from proofs.faulting.run import Missing, Options, Outcome, Rounds, line, run_all
from proofs.faulting.seams import Conditions, Gate, Seam
from proofs.faulting.stage import CLOCK_HOME, set_offset
from proofs.faulting.verdict import Ledger, Row, number_of
from proofs.rehearsal.device import Badge
from protocol.codec import decode_command, encode, split
from protocol.events import Said
from protocol.frames import Event, Followed, Hello, Limits, Welcome

CHANNEL = 5


# What was acknowledged


class Story:
    """Three posts of one device, acknowledged and in the log; whole until a test damages something."""

    def __init__(self) -> None:
        self.posts = [Post(n, 70, 7, CHANNEL, f"{n}: hello", float(n), 0, n + 0.5, n) for n in (1, 2, 3)]
        self.rows = [Row(CHANNEL, n, 7, f"{n}: hello") for n in (1, 2, 3)]

    def judge(self) -> list[str]:
        ledger = Ledger()
        ledger.said(self.posts)
        return [*ledger.logged(self.rows), *ledger.judge(), *ledger.strangers(0)]


def lose_what_was_acknowledged(story: Story) -> None:
    del story.rows[2]


def write_one_twice(story: Story) -> None:
    story.rows.append(Row(CHANNEL, 4, 7, "3: hello"))


def write_one_into_another_stream_too(story: Story) -> None:
    story.rows.append(Row(6, 1, 7, "3: hello"))


def swap_two_of_one_device(story: Story) -> None:
    story.posts[0].seq, story.posts[1].seq = 2, 1
    story.rows[0], story.rows[1] = Row(CHANNEL, 1, 7, "2: hello"), Row(CHANNEL, 2, 7, "1: hello")


def acknowledge_another_number(story: Story) -> None:
    story.posts[2].seq = 9


def give_it_another_author(story: Story) -> None:
    story.rows[1] = Row(CHANNEL, 2, 8, "2: hello")


def change_its_text(story: Story) -> None:
    story.rows[1] = Row(CHANNEL, 2, 7, "2: goodbye")


def leave_a_gap_in_the_log(story: Story) -> None:
    story.rows[2] = Row(CHANNEL, 4, 7, "3: hello")
    story.posts[2].seq = 4


def refuse_what_was_allowed(story: Story) -> None:
    story.posts[2].seq, story.posts[2].refusal = 0, "FORBIDDEN"
    del story.rows[2]


def write_what_nobody_said(story: Story) -> None:
    story.rows.append(Row(CHANNEL, 4, 7, "99: hello"))


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lose_what_was_acknowledged, "lost"),
        (write_one_twice, "twice"),
        (write_one_into_another_stream_too, "twice"),
        (swap_two_of_one_device, "swapped"),
        (acknowledge_another_number, "wrong"),
        (give_it_another_author, "wrong"),
        (change_its_text, "wrong"),
        (leave_a_gap_in_the_log, "order"),
        (refuse_what_was_allowed, "refused"),
        (write_what_nobody_said, "unheard of"),
    ],
)
def test_every_damage_to_what_was_acknowledged_is_found(damage: Callable[[Story], None], word: str) -> None:
    whole = Story()
    assert whole.judge() == []
    damage(whole)
    assert [wrong for wrong in whole.judge() if wrong.startswith(word)]


def test_an_effect_is_found_to_be_double_although_a_round_lies_between() -> None:
    story, ledger = Story(), Ledger()
    ledger.said(story.posts)
    assert [*ledger.logged(story.rows), *ledger.judge()] == []
    ledger.logged([Row(CHANNEL, 4, 7, "2: hello")])
    assert [wrong for wrong in ledger.judge() if wrong.startswith("twice")]


def test_a_post_is_known_by_what_its_text_begins_with() -> None:
    assert number_of("12: said by 4") == 12
    assert number_of("") is number_of("hello: you") is None


# What everybody sees


class Stub:
    """A device that was told what a test says."""

    def __init__(self, number: int, digests: list[int]) -> None:
        self.device = number
        self.copies = {CHANNEL: Copy()}
        self.faults: list[str] = []
        self.online = True
        self.place = 0
        self.open_posts = 0
        self.ends: dict[int, int] = {}
        for seq, one in enumerate(digests, 1):
            self.copies[CHANNEL].add(seq, one, 100.0 + seq, 0, 1.0)


@asynccontextmanager
async def crew_of(*stubs: Stub) -> AsyncIterator[Crew]:
    async with trio.open_nursery() as nursery:
        made = Crew(nursery)
        made._devices.update({stub.device: cast(Device, stub) for stub in stubs})
        yield made


TRUTH = Truth(CHANNEL, 1, [11, 12, 13], [101.0, 102.0, 103.0])


@pytest.mark.parametrize(
    "digests",
    [[11, 13, 12], [11, 12, 12], [11, 12], [11, 12, 13, 14], [11, 99, 13], []],
    ids=["another order", "the same again", "one too few", "one too many", "another content", "nothing"],
)
async def test_a_copy_that_is_not_the_log_is_found(digests: list[int]) -> None:
    async with crew_of(Stub(1, [11, 12, 13]), Stub(2, digests)) as both:
        answer = await both.obey(Order(truth=(TRUTH,)))
    assert answer.compared == 2
    assert len(answer.differing) == 1
    assert "device 2" in answer.differing[0]


async def test_who_is_behind_is_named_with_what_is_missing() -> None:
    async with crew_of(Stub(1, [11, 12, 13]), Stub(2, [11])) as both:
        answer = await both.obey(Order(heads={CHANNEL: 3}))
    assert (answer.behind_count, answer.behind) == (1, [(2, CHANNEL, 1, 3)])


async def test_an_event_that_came_although_nothing_happened_is_found() -> None:
    async with crew_of(Stub(1, [11])) as one:
        answer = await one.obey(Order(truth=()))
    assert len(answer.differing) == 1


def test_a_digest_is_the_same_from_the_wire_and_from_the_log() -> None:
    body = Said("hello")
    assert digest(7, 1000, body) == digest_raw(7, 1000, encode(body))
    assert len({digest(7, 1000, body), digest(8, 1000, body), digest(7, 1001, body), digest(7, 1000, Said("hullo"))}) == 4


# Who is deaf, and for how long


def test_lateness_counts_from_the_last_thing_that_excuses_it() -> None:
    event = Arrival(1, at=120.0, gateway=1, open_since=50.0)
    assert lateness_s(100.0, event, ()) == 20.0
    assert lateness_s(100.0, Arrival(1, 120.0, 1, open_since=118.0), ()) == 2.0, "its socket was opened later"
    assert lateness_s(100.0, event, (Window(1, 90.0, 115.0),)) == 5.0, "its gateway was stopped"
    assert lateness_s(100.0, event, (Window(-1, 90.0, 110.0), Window(1, 105.0, 119.0))) == 1.0, "one fault after the other"
    assert lateness_s(100.0, event, (Window(0, 90.0, 119.0),)) == 20.0, "the other gateway is no excuse"
    assert lateness_s(100.0, event, (Window(1, 80.0, 99.0),)) == 20.0, "what was over is no excuse"


async def test_a_deaf_gateway_is_found_by_what_came_too_late_over_it() -> None:
    stub = Stub(1, [11, 12, 13])
    truth = Truth(CHANNEL, 1, [11, 12, 13], [101.0, 90.0, 0.0])
    async with crew_of(stub) as one:
        answer = await one.obey(Order(truth=(truth,), deaf_s=5.0))
    assert [(late.seq, late.late_s) for late in answer.late] == [(2, 12.0)]


class Steps(Rounds):
    """Rounds whose world is made of answers, one a look, and whose time is trio's."""

    now = staticmethod(trio.current_time)

    def __init__(self, missing: list[Missing]) -> None:
        self.missing = missing

    async def _whole(self) -> Missing | None:
        return self.missing.pop(0) if self.missing else None

    async def _tell(self, order: Order) -> list[crew.Answer]:
        return [crew.Answer(stories=[f"device {device} was asleep" for device in order.devices])]


@pytest.mark.parametrize(
    ("looks", "poor", "late"),
    [(90, False, False), (120, False, True), (120, True, False), (250, True, True), (500, False, True)],
    ids=["in time", "late", "behind a poor line in time", "behind a poor line late", "never"],
)
async def test_who_is_whole_too_late_is_a_violation_with_a_name(autojump_clock: object, looks: int, poor: bool, late: bool) -> None:
    """Looks are a tenth of a second apart."""
    outcome = Outcome(1, (), [])
    await Steps([Missing("1 copies are behind", [2], poor)] * looks)._converge(outcome, trio.current_time())
    assert bool(outcome.wrong) is late
    if late:
        assert "device 2" in outcome.wrong[0]
        assert "asleep" in outcome.wrong[1], "its story is told"
        assert "VIOLATIONS" in line(outcome)


# What is left behind


def rest(**changes: object) -> Rest:
    plain = Rest(0, 1, 10.0, 25, 70.0, 0, {"session": 0, "device": 3}, 2, 30)
    return msgspec.structs.replace(plain, **changes)


def test_what_is_left_when_all_have_gone_is_a_leak() -> None:
    before = [rest()]
    assert leaks(before, [rest(fds=25 + FDS_SLACK)]) == []
    assert "descriptors" in leaks(before, [rest(fds=26 + FDS_SLACK)])[0]
    assert "tasks" in leaks(before, [rest(tasks=40)])[0]
    assert "sockets" in leaks(before, [rest(sockets=1)])[0]
    assert "session" in leaks(before, [rest(actors={"session": 1})])[0]
    assert "device" in leaks(before, [rest()], thorough=True)[0], "actors are given a minute, and then they are to be gone"


# The schedule


def test_a_schedule_follows_from_its_seed_and_every_kind_comes() -> None:
    have = frozenset({"disk", "poor"})
    rounds = [draw(7, number, 2, have) for number in range(1, len(KINDS) + 1)]
    assert rounds == [draw(7, number, 2, have) for number in range(1, len(KINDS) + 1)]
    assert rounds != [draw(8, number, 2, have) for number in range(1, len(KINDS) + 1)]
    assert {strike.kind for strikes in rounds for strike in strikes} == set(BY_NAME)
    for strikes in rounds:
        assert 1 <= len(strikes) <= 3
        assert all(strike.at_s + strike.for_s <= ROUND_S for strike in strikes) or len(strikes) == 1
        assert len(strikes) == 1 or not any(BY_NAME[strike.kind].alone for strike in strikes)


def test_what_a_machine_does_not_allow_is_not_drawn() -> None:
    kinds = {strike.kind for number in range(1, 80) for strike in draw(7, number, 2, frozenset())}
    assert not kinds & {kind.name for kind in KINDS if kind.needs}
    assert {strike.kind for strike in draw(7, 3, 2, frozenset(), ("storm",))} == {"storm"}


def test_a_line_names_the_faults_and_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(Strike("jump-gateway", 1.0, 2.5, 1, -3.0)) == "jump-gateway 2 by -3 s at 1.0 s for 2.5 s"
    with pytest.raises(SystemExit):
        command.main(["--only", "flood"])
    assert "kill-gateway" in capsys.readouterr().err
    assert command.main(["--list"]) == 0


# The seams


@asynccontextmanager
async def gate_to_an_echo(tmp_path: Path) -> AsyncIterator[tuple[Gate, Path]]:
    """A seam in front of a server that says everything again."""

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    near, far = tmp_path / "near", tmp_path / "far"
    ear = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await ear.bind(str(far))
    ear.listen(8)
    gate = Gate(Seam("seam", str(near), str(far)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, echo, [trio.SocketListener(ear)])
        await nursery.start(gate.run)
        yield gate, near
        nursery.cancel_scope.cancel()


async def test_what_a_held_way_keeps_arrives_when_it_opens(tmp_path: Path) -> None:
    async with gate_to_an_echo(tmp_path) as (gate, near), await trio.open_unix_socket(str(near)) as stream:
        await stream.send_all(b"one")
        assert await stream.receive_some() == b"one"
        gate.down.set(Conditions(held=True))
        await stream.send_all(b"two")
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.move_on_after(0.1) as nothing_came:
            await stream.receive_some()
        assert nothing_came.cancelled_caught
        gate.down.set(Conditions())
        assert await stream.receive_some() == b"two"


async def test_what_is_held_when_it_is_cut_is_gone_and_both_sides_are_told(tmp_path: Path) -> None:
    async with gate_to_an_echo(tmp_path) as (gate, near):
        async with await trio.open_unix_socket(str(near)) as stream:
            gate.up.set(Conditions(held=True))
            await stream.send_all(b"lost")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert gate.cut() == 1
            gate.up.set(Conditions())
            try:
                assert await stream.receive_some() == b""
            except trio.BrokenResourceError:
                pass
        gate.refused = True
        async with await trio.open_unix_socket(str(near)) as stream:
            try:
                assert await stream.receive_some() == b""
            except trio.BrokenResourceError:
                pass


# The light device


class Gateway:
    """One that says what a test wants after the Welcome. It speaks WebSocket as far as the light wire does."""

    def __init__(self, events: list[int]) -> None:
        self._events = events
        self.said = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        hello = decode_command(split(await self._message(stream))[0])
        assert isinstance(hello, Hello)
        welcome = Welcome(1, 1, 7, 9, 0, 1, 0, 5, 2**40, Limits(65536, 64, 500))
        frames = [encode(welcome), encode(Followed(0, CHANNEL, 0, True))]
        frames += [encode(Event(CHANNEL, seq, 7, 1000, Said(f"{seq}: hello"))) for seq in self._events]
        for frame in frames:
            await stream.send_all(bytes((0x82, len(frame))) + frame)
        self.said.set()
        await trio.sleep_forever()

    async def _message(self, stream: trio.SocketStream) -> bytes:
        data = b""
        while len(data) < 4 or len(data) < 8 + int.from_bytes(data[2:4], "big"):
            data += await stream.receive_some()
            if data[1] & 0x7F < 126:
                return data[6:]
        return data[8:]


@pytest.mark.parametrize(
    ("events", "fault"),
    [([1, 2, 3], ""), ([1, 3], "came after 1"), ([1, 2, 2], "came again"), ([1, 2, 1], "came again")],
    ids=["in order", "a gap", "the same twice", "an old one"],
)
async def test_a_light_device_forgives_no_gap_and_no_repetition(events: list[int], fault: str) -> None:
    gateway = Gateway(events)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, gateway.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        login = Login("token", 2.0**40, "refresh", 7, 70, 9)
        badge = Badge(Credentials(Account("http://127.0.0.1:1"), login), lambda: Account("http://127.0.0.1:1"))
        device = LightDevice(badge, [("127.0.0.1", port)], [CHANNEL], 5, Random(1))
        nursery.start_soon(device.live)
        with trio.fail_after(10):
            while not device.faults and len(device.copies[CHANNEL].digests) < len(set(events)):
                await trio.testing.wait_all_tasks_blocked(0.01)
            await gateway.said.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
    assert bool(device.faults) is bool(fault)
    assert all(fault in said for said in device.faults)


# The clock


def test_a_moved_clock_reaches_whatever_reads_the_time_and_nothing_else(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_offset(clock, 0.0)
    program = (
        "import sys, time, supervisors.node as node\n"
        "from supervisors.node import time as theirs\n"
        "for line in sys.stdin: print(theirs.time(), time.monotonic(), flush=True)\n"
    )
    environment = {"PROOF_CLOCK": str(clock), "PYTHONPATH": str(CLOCK_HOME)}
    with talking([sys.executable, "-c", program], environment) as ask:
        wall, steady = ask()
        assert abs(wall - time.time()) < 60
        set_offset(clock, 86_400.0)
        later, steadier = ask()
        assert 86_000 < later - wall < 86_800
        assert steadier - steady < 60


@contextmanager
def talking(arguments: list[str], environment: dict[str, str]) -> Iterator[Callable[[], tuple[float, float]]]:
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None and process.stdout is not None

    def ask() -> tuple[float, float]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        wall, steady = process.stdout.readline().split()
        return float(wall), float(steady)

    try:
        yield ask
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


# The whole


async def test_a_short_run_with_real_servers_finds_nothing_wrong() -> None:
    """One round, of a kind that `make prove`, which has three of others, leaves out."""
    options = Options(
        rounds=1,
        seed=3,
        real=3,
        light=12,
        poor=0,
        communities=3,
        rate_per_s=15,
        only=("restart-valkey",),
    )
    assert not set(options.only) & set(command.SHORT[-1].split(","))
    said: list[str] = []
    with tempfile.TemporaryDirectory(
        prefix="educonnect-"
    ) as folder:  # a socket's path has 107 characters, and pytest's own folders are deep
        result = await run_all(options, Path(folder), said.append)
    assert result.violations == 0, "\n".join(said)
    assert len(result.rounds) == 1
    assert result.posts > 10
    assert all(outcome.copies for outcome in result.rounds)

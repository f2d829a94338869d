"""The rehearsal: a short one with every kill loses nothing, and its verdict would have noticed each way to lose something."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import trio

from client import Unreachable
from proofs import rehearse as command
from proofs.rehearsal.figures import Figures, Spread, table
from proofs.rehearsal.killing import KINDS, Killer, is_ours
from proofs.rehearsal.run import Options, rehearse
from proofs.rehearsal.verdict import Copy, Fact, Post, Verdict, judge
from proofs.rehearsal.wire import Cut, Wire
from protocol.events import Said
from supervisors.dev import Installation

CHANNEL = 5


async def test_gateway_redis_and_postgres_are_killed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    options = Options(
        command.sentences(command.TEXT.read_text()), seconds=8, users=5, devices=12, communities=3, rate_per_s=20, kill=KINDS, seed=11
    )
    figures = await rehearse(options, tmp_path)
    assert figures.good, table(figures)
    assert figures.kills == dict.fromkeys(KINDS, 1)
    assert figures.verdict.acknowledged == figures.verdict.sent > 0
    assert figures.cuts > 0
    assert figures.delivered_all.count > figures.verdict.acknowledged, "most posts have several readers"


# The verdict


def said(number: int, seq: int, *, author: int = 7, text: str = "") -> Fact:
    return Fact(seq, author, 1000, Said(text or f"{number}: hello"))


class Scene:
    """Three posts of one device, all acknowledged; the log and one copy, whole until a test damages something."""

    def __init__(self) -> None:
        self.posts = [Post(n, 70, 7, CHANNEL, f"{n}: hello", sent_at=float(n), acknowledged_at=n + 0.5, seq=n) for n in (1, 2, 3)]
        self.log = [said(n, n) for n in (1, 2, 3)]
        self.copy = list(self.log)

    def judge(self) -> Verdict:
        return judge(self.posts, {CHANNEL: self.log}, [Copy(70, CHANNEL, self.copy)])


def test_what_is_whole_is_good() -> None:
    verdict = Scene().judge()
    assert verdict.good
    assert (verdict.sent, verdict.acknowledged, verdict.copies) == (3, 3, 1)


def lose_an_acknowledged_post(scene: Scene) -> None:
    del scene.log[2], scene.copy[2]


def write_a_post_twice(scene: Scene) -> None:
    scene.log.append(said(3, 4))
    scene.copy.append(said(3, 4))


def write_an_undecided_post_twice(scene: Scene) -> None:
    scene.posts[2].seq = 0
    write_a_post_twice(scene)


def swap_two_posts_of_one_device(scene: Scene) -> None:
    scene.posts[0].seq, scene.posts[1].seq = 2, 1
    scene.log[:2] = scene.copy[:2] = [said(2, 1), said(1, 2)]


def acknowledge_another_number(scene: Scene) -> None:
    scene.posts[2].seq = 9


def write_under_another_author(scene: Scene) -> None:
    scene.log[1] = scene.copy[1] = said(2, 2, author=8)


def change_a_text(scene: Scene) -> None:
    scene.log[1] = scene.copy[1] = said(2, 2, text="2: goodbye")


def write_what_was_refused(scene: Scene) -> None:
    scene.posts[1].seq, scene.posts[1].refusal = 0, "FORBIDDEN"


def write_what_nobody_said(scene: Scene) -> None:
    scene.log.append(said(4, 4))
    scene.copy.append(said(4, 4))


def leave_a_hole_in_the_log(scene: Scene) -> None:
    scene.log[2] = scene.copy[2] = said(3, 4)
    scene.posts[2].seq = 4


def skip_an_event_in_a_copy(scene: Scene) -> None:
    del scene.copy[1]


def end_a_copy_too_early(scene: Scene) -> None:
    del scene.copy[2]


def deliver_an_event_twice(scene: Scene) -> None:
    scene.copy.insert(2, scene.copy[1])


def deliver_in_another_order(scene: Scene) -> None:
    scene.copy[0], scene.copy[1] = scene.copy[1], scene.copy[0]


def deliver_another_text(scene: Scene) -> None:
    scene.copy[1] = said(2, 2, text="2: goodbye")


@pytest.mark.parametrize(
    ("damage", "count"),
    [
        (lose_an_acknowledged_post, "lost"),
        (write_a_post_twice, "duplicated"),
        (write_an_undecided_post_twice, "duplicated"),
        (swap_two_posts_of_one_device, "out_of_order"),
        (acknowledge_another_number, "wrong"),
        (write_under_another_author, "wrong"),
        (change_a_text, "lost"),
        (write_what_was_refused, "wrong"),
        (write_what_nobody_said, "wrong"),
        (leave_a_hole_in_the_log, "out_of_order"),
        (skip_an_event_in_a_copy, "differing"),
        (end_a_copy_too_early, "differing"),
        (deliver_an_event_twice, "duplicated"),
        (deliver_in_another_order, "out_of_order"),
        (deliver_another_text, "differing"),
    ],
)
def test_the_verdict_finds(damage: Callable[[Scene], None], count: str) -> None:
    scene = Scene()
    damage(scene)
    verdict = scene.judge()
    assert getattr(verdict, count) > 0
    assert not verdict.good
    assert verdict.faults


def test_a_post_without_an_outcome_may_have_landed_or_not() -> None:
    scene = Scene()
    scene.posts[2].seq = 0
    assert scene.judge().good
    del scene.log[2], scene.copy[2]
    verdict = scene.judge()
    assert verdict.good
    assert verdict.without_outcome == 1


def test_copies_that_did_not_become_whole_in_time_are_a_failure() -> None:
    spread = Spread.of([0.001 * n for n in range(1, 101)])
    assert (spread.count, spread.p50_ms, spread.p99_ms) == (100, 51.0, 100.0)

    def figures(healed_s: float, verdict: Verdict) -> Figures:
        return Figures(1, 8.0, 2, 1, 1, 1, 0.3, verdict, healed_s, spread, spread, spread, spread, 0, 1, 0, 0, 0.7, 1.0, 1.0, {}, 0.1)

    assert figures(0.5, Verdict()).good
    assert not figures(-1.0, Verdict()).good
    assert "NOT within" in table(figures(-1.0, Verdict()))
    assert not figures(0.5, Verdict(faults=["a session ended"])).good


# Wires, victims, words


async def accepted(listener: trio.SocketListener, wire: Wire) -> tuple[trio.SocketStream, trio.abc.Stream]:
    client = wire.dialled(await trio.open_tcp_stream(*listener.socket.getsockname()[:2]))
    return await listener.accept(), client


async def test_a_reset_is_heard_by_the_server_and_a_vanished_device_is_not() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    wire = Wire(lambda: [], Random(1))
    async with listener:
        server, client = await accepted(listener, wire)
        wire.cut(Cut.RESET)
        async with server, client:
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_some()
            with pytest.raises(trio.ClosedResourceError):
                await client.receive_some()
        wire.restore()
        server, client = await accepted(listener, wire)
        wire.cut(Cut.VANISH)
        async with server, client:
            await server.send_all(b"still there?")
            with pytest.raises(trio.WouldBlock):
                await immediately(server)
            wire.forget_vanished()
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_some()


async def immediately(stream: trio.SocketStream) -> None:
    """Reads what is there now."""
    try:
        stream.socket._sock.recv(1)  # type: ignore[attr-defined]
    except BlockingIOError:
        raise trio.WouldBlock from None


async def test_without_signal_no_connection_is_made(autojump_clock: trio.testing.MockClock) -> None:
    wire = Wire(lambda: [], Random(1))
    wire.cut(Cut.RESET)
    with trio.move_on_after(1000) as patience:
        async with wire.open():
            pass
    assert patience.cancelled_caught
    wire.restore()
    with pytest.raises(Unreachable):
        async with wire.open():
            pass


def test_only_children_of_this_process_are_victims(tmp_path: Path) -> None:
    assert not is_ours(os.getppid())
    assert not is_ours(os.getpid())
    installation = Installation(tmp_path, port=0)
    killer = Killer(installation, Random(1), lambda line: None)
    assert [killer.victim(kind) for kind in KINDS] == [0, 0, 0], "nothing runs yet"


def test_a_text_is_taken_apart_into_sentences() -> None:
    text = 'One goat. "Two goats!" he said.\nThree\tgoats and a   boat'
    assert command.sentences(text) == ("One goat.", '"Two goats!', "he said.", "Three goats and a boat")
    assert len(command.sentences(command.TEXT.read_text())) >= 200


@pytest.mark.parametrize("arguments", [["--kill", "gateway,moon"], ["--churn", "1.5"], ["--churn", "-1"]])
def test_what_cannot_be_rehearsed_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "expected" in capsys.readouterr().err

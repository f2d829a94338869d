"""One socket's queue against a list: whatever is pushed, sent, corked, read and pinged, nothing is cut, lost or moved."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.socket_port import Batch, Outlet, Peer
from gateway import rfc6455
from gateway.connection import Bounds, Counters
from gateway.multiplexer import Multiplexer
from gateway.poller import Poller
from gateway.rfc6455 import Close, Event, Limits, Message, Ping, Reader
from protocol.codes import Code
from tests.gateway.certificates import Certificates, make_certificates
from tests.gateway.public_port import Session

Step: TypeAlias = tuple[str, int]

BOUNDS = Bounds(queue_soft_bytes=15_000, queue_hard_bytes=40_000, heartbeat_s=10.0, pong_s=1e9)
ROOM_BYTES = 4608
"""The least that the kernel gives a socket, so that it is full often."""

sizes = st.sampled_from([0, 1, 125, 126, 2000, 5000, 9000, 14_000])
step_names = ["push", "push", "push", "send", "send", "heartbeat", "heartbeat", "poll", "cork", "uncork", "read"]
steps = st.lists(
    st.sampled_from(step_names).flatmap(lambda name: st.tuples(st.just(name), st.integers(1, 12_000) if name == "read" else sizes)),
    min_size=20,
    max_size=50,
)


class Line:
    """One open connection over a pair of sockets, and what its peer has read."""

    def __init__(self, poller: Poller, mux: Multiplexer, counters: Counters, far: socket.socket) -> None:
        self.poller = poller
        self.mux = mux
        self.counters = counters
        self.far = far
        self.reader = Reader(Limits(message_bytes_max=1 << 30), masked=False)
        self.read_events: list[Event] = []
        self.sessions: list[Session] = []

    @property
    def backed_up(self) -> bool:
        return bool(self.mux.backed_up())

    @property
    def session(self) -> Session:
        return self.sessions[0]

    def read(self, size: int) -> bool:
        """Reads at most `size` bytes; False when there was nothing."""
        try:
            data = self.far.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        self.read_events += self.reader.feed(data)
        return bool(data)

    def read_all(self) -> None:
        idle = 0
        while idle < 3:  # with TLS the kernel may give something of which nothing can be read yet, and then take more
            self.poller.serve_ready()
            idle = 0 if self.read(1 << 20) else idle + 1

    @property
    def messages(self) -> list[bytes]:
        return [event.payload for event in self.read_events if isinstance(event, Message)]


def secured(certificates: Certificates, near: socket.socket, far: socket.socket) -> tuple[socket.socket, socket.socket]:
    """The same pair with TLS, shaken hands."""
    server = certificates.server.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    client = certificates.client.wrap_socket(far, server_hostname="localhost", do_handshake_on_connect=False)
    shaking = [client, server]
    while shaking:
        for end in list(shaking):
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                end.do_handshake()
                shaking.remove(end)
    return server, client


@contextmanager
def open_line(certificates: Certificates | None = None) -> Iterator[Line]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM_BYTES)
    if certificates is not None:
        near, far = secured(certificates, near, far)
    with near, far:
        poller, counters = Poller(), Counters()
        sessions: list[Session] = []

        def accept(outlet: Outlet, peer: Peer) -> Session:
            sessions.append(Session(outlet, peer, echo=False))
            return sessions[-1]

        def ended(peer: Peer) -> None:
            """Nobody counts here."""

        mux = Multiplexer(poller, accept, BOUNDS, counters, ended)
        line = Line(poller, mux, counters, far)
        line.sessions = sessions
        mux.adopt(near, Peer("pair", secure=certificates is not None), b"", b"")
        yield line
        mux.abandon()
        poller.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@given(steps=steps, secure=st.sampled_from([False, False, True]))
@settings(deadline=None)
async def test_whatever_was_taken_arrives_whole_and_in_order(certificates: Certificates, steps: list[Step], secure: bool) -> None:
    with open_line(certificates if secure else None) as line:
        outlet = line.session.outlet
        taken: list[bytes] = []
        pings = corks = 0
        for number, (step, amount) in enumerate(steps):
            payload = number.to_bytes(2, "big") + bytes(amount)
            if step == "push":
                if outlet.push(Batch(payload)):
                    taken.append(payload)
            elif step == "send":
                outlet.send(payload)
                taken.append(payload)
            elif step == "cork":
                line.mux.cork()
                corks += 1
            elif step == "uncork" and corks:
                line.mux.uncork()
                corks -= 1
            elif step == "poll":
                line.poller.serve_ready()
            elif step == "read":
                line.read(amount)
            elif step == "heartbeat":
                line.poller.now += 10.2
                line.poller.turn()
                pings += 1
            assert outlet.queued_bytes <= BOUNDS.queue_hard_bytes + 127
            assert line.counters.queued_bytes == outlet.queued_bytes or (corks and line.counters.queued_bytes == 0)
        for _ in range(corks):
            line.mux.uncork()
        line.read_all()
        closes = [event.code for event in line.read_events if isinstance(event, Close)]
        if closes or line.session.ends:
            # The close frame itself is lost when the peer reads nothing for as long as we wait.
            assert closes in ([], [Code.SLOW])
            assert [code for code, _ in line.session.ends] in ([], [Code.SLOW])
            assert line.messages == taken[: len(line.messages)]
        else:
            assert line.messages == taken
            outlet.close(4000, "done")
            line.read_all()
            assert line.read_events[-1] == Close(4000, "done")
        assert sum(isinstance(event, Ping) for event in line.read_events) <= pings
        assert not any(isinstance(event, rfc6455.Violation) for event in line.read_events)
        assert line.counters.queued_bytes == 0


Ending: TypeAlias = tuple[str, int, int, int]
"""Who ends it, the bytes pushed before in the same round, how many pushes, and the bytes that the peer read between them."""
endings = st.tuples(st.sampled_from(["we", "they", "a violation"]), sizes, st.integers(0, 4), st.sampled_from([0, 5000, 1 << 20]))


@given(endings, st.booleans())
@settings(deadline=None)
async def test_an_end_within_a_round_comes_behind_what_was_put_before_it_and_is_told_once(ending: Ending, in_a_round: bool) -> None:
    who, size, pushes, read = ending
    with open_line() as line:
        outlet = line.session.outlet
        if in_a_round:
            line.mux.cork()
        payloads = [bytes([number]) + bytes(size) for number in range(pushes)]
        taken = []
        for payload in payloads:
            if outlet.push(Batch(payload)):
                taken.append(payload)
            line.read(read or 1)
        if who == "we":
            outlet.close(4000, "done")
        elif who == "they":
            line.far.send(rfc6455.encode_close(4000, "done", key=b"\0\0\0\0"))
            line.poller.serve_ready()
        else:
            line.far.send(rfc6455.encode(rfc6455.TEXT, b"text", key=b"\0\0\0\0"))
            line.poller.serve_ready()
        assert not outlet.push(Batch(b"too late"))
        outlet.send(b"too late")
        if in_a_round:
            line.mux.uncork()
        line.read_all()
        codes = [event.code for event in line.read_events if isinstance(event, Close)]
        assert codes == ([rfc6455.UNSUPPORTED] if who == "a violation" else [4000])
        assert line.messages == taken[: len(line.messages)]
        assert line.messages == taken or who == "a violation", "what the peer has not taken is dropped only where the talk makes no sense"
        if who == "we":
            line.far.send(rfc6455.encode_close(4000, "done", key=b"\0\0\0\0"))
            line.poller.serve_ready()
        assert line.far.recv(1) == b"", "nothing comes behind it"
        assert line.session.ends == [(codes[0], line.session.ends[0][1])]
        line.far.close()
        line.poller.serve_ready()
        assert len(line.mux) == 0 and len(line.session.ends) == 1
        assert line.counters.queued_bytes == 0


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=30))
@settings(deadline=None)
async def test_after_a_refusal_there_is_one_word_that_there_is_room_again(reads: list[int]) -> None:
    with open_line() as line:
        outlet = line.session.outlet
        refusals = 0
        for size in reads:
            while outlet.push(Batch(bytes(3000))):
                pass
            refusals += 1
            before = line.session.drains
            line.read(size)
            line.poller.serve_ready()
            assert line.session.drains - before in (0, 1)
        assert line.session.drains <= refusals
        line.read_all()
        assert outlet.queued_bytes == 0
        assert line.session.drains > 0
        told = line.session.drains
        assert outlet.push(Batch(bytes(10_000)))
        assert outlet.queued_bytes > 0
        line.read_all()
        assert outlet.queued_bytes == 0
        assert line.session.drains == told, "nothing was refused since"


async def test_a_round_that_finds_the_kernel_full_keeps_what_it_has() -> None:
    with open_line() as line:
        outlet = line.session.outlet
        pushed = 0
        while not line.backed_up and pushed < 1000:
            line.mux.cork()
            assert outlet.push(Batch(pushed.to_bytes(2, "big")))
            pushed += 1
            line.mux.uncork()
        assert line.counters.queued_bytes == outlet.queued_bytes == 4, "the last one, of which the kernel took nothing"
        line.read_all()
        assert line.messages == [number.to_bytes(2, "big") for number in range(pushed)]


async def test_a_round_within_a_round_sends_nothing_of_its_own() -> None:
    with open_line() as line:
        sends = line.counters.sends
        line.mux.cork()
        line.mux.cork()
        assert line.session.outlet.push(Batch(b"one"))
        line.mux.uncork()
        assert line.session.outlet.push(Batch(b"two"))
        assert line.counters.sends == sends
        line.mux.uncork()
        line.read_all()
        assert line.messages == [b"one", b"two"] and line.counters.sends == sends + 1


async def test_what_is_first_in_a_round_counts_against_the_bounds() -> None:
    with open_line() as line:
        outlet = line.session.outlet
        line.mux.cork()
        assert outlet.push(Batch(bytes(9000)))
        assert outlet.queued_bytes > 9000
        taken = 1 + outlet.push(Batch(bytes(9000)))
        assert outlet.queued_bytes <= BOUNDS.queue_soft_bytes, "both are more than that: the kernel was offered the first"
        line.mux.uncork()
        line.read_all()
        assert line.messages == [bytes(9000)] * taken


async def test_a_broken_line_in_a_round_costs_its_neighbours_nothing() -> None:
    with open_line() as line:
        near, far = socket.socketpair()
        with far:
            near.setblocking(False)
            line.mux.adopt(near, Peer("pair"), b"", b"")
            broken, neighbour = line.session.outlet, line.sessions[1].outlet
            line.mux.cork()
            for outlet in (broken, neighbour):
                assert outlet.push(Batch(b"one"))
            line.far.close()
            line.mux.uncork()
            assert [event for event in Reader(Limits(), masked=False).feed(far.recv(100)) if isinstance(event, Message)] != []
            line.poller.serve_ready()
            assert [code for code, _ in line.session.ends] == [rfc6455.ABNORMAL] and len(line.mux) == 1


async def test_a_line_that_ends_before_its_round_does_leaves_nothing_counted() -> None:
    with open_line() as line:
        sends = line.counters.sends
        line.mux.cork()
        assert line.session.outlet.push(Batch(b"to nobody"))
        line.far.close()
        line.poller.serve_ready()
        assert [code for code, _ in line.session.ends] == [rfc6455.ABNORMAL]
        line.mux.uncork()
        assert line.counters.queued_bytes == line.session.outlet.queued_bytes == 0
        assert line.counters.sends == sends, "its descriptor is closed, and may be another's by now"

"""The bytes of a connection are all counted, and a resume is as short as it is said to be."""

from __future__ import annotations

import trio

from bench import bytes as byte_rows
from bench.byte_life import Crossing, Message, Pace, cross
from bench.byte_relay import SEGMENT_BYTES, SYN_BYTES, Counted, open_relay
from bench.stage import Options

QUESTION, ANSWER = b"how are you?", b"well, and you? " * 100


async def answer(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        await stream.send_all(ANSWER)


async def test_a_relay_counts_every_byte_both_ways_also_of_connections_that_have_ended(nursery: trio.Nursery) -> None:
    async with open_relay(await _listen(nursery)) as relay:
        for times in (1, 2):
            async with await trio.open_tcp_stream("127.0.0.1", relay.port) as client:
                await client.send_all(QUESTION)
                heard = b""
                while len(heard) < len(ANSWER):
                    heard += bytes(await client.receive_some())
            counted = await relay.quiet(0.05)
            assert (counted.up_bytes, counted.down_bytes, counted.connections) == (times * len(QUESTION), times * len(ANSWER), times)
            assert counted.segments >= times * 4, "a SYN, its answer, and data both ways"


async def _listen(nursery: trio.Nursery) -> int:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answer, listeners)
    port: int = listeners[0].socket.getsockname()[1]
    return port


async def test_a_crossing_is_what_crossed_between_two_silences(nursery: trio.Nursery) -> None:
    async with open_relay(await _listen(nursery)) as relay:
        messages = [Message(True, 1)]

        async def come() -> None:
            async with await trio.open_tcp_stream("127.0.0.1", relay.port) as client:
                await client.send_all(QUESTION)
                await client.receive_some()
                messages.append(Message(True, len(QUESTION)))

        before = await cross(relay, messages, come, Pace(silence_s=0.05))
        again = await cross(relay, messages, come, Pace(silence_s=0.05))
        assert before.counted.up_bytes == again.counted.up_bytes == len(QUESTION)
        assert again.messages == (Message(True, len(QUESTION)),) and again.payload_bytes == len(QUESTION)


def test_headers_are_reckoned_by_segment_and_connection() -> None:
    counted = Counted(10, 20, 4, 1)
    assert counted.ip_bytes == 30 + 4 * SEGMENT_BYTES + 2 * SYN_BYTES
    assert Counted(15, 20, 6, 1).since(counted) == Counted(5, 0, 2, 0)
    assert "5 B of payload (3 up, 2 down, 2 messages)" in str(Crossing((Message(True, 3), Message(False, 2)), counted))


async def test_the_small_form_measures_a_resume_of_two_messages() -> None:
    said: list[str] = []
    measured = {one.name: one for one in await byte_rows.measure(Options(rounds=1, quick=True, peers=False), said.append)}
    (resume,) = [one for name, one in measured.items() if name.startswith("resume by ticket with 5")]
    assert resume.met and resume.figure > 40
    assert any("2 messages" in line for line in said if "back:" in line)
    assert all(one.figure > 0 for one in measured.values())

"""Claims about a device: one live socket, and each mutation answered once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.device import TAKEOVER_TOPIC, digest_of, read_operation, read_takeover, takeover_payload
from actors.storage import Attach, Decided, Generations, ReadGenerations, Refusal
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Done, Goodbye, Hello, Refused, Welcome
from protocol.operations import Say
from tests.actors.stage import GATEWAY, Line, Stage, attached


def second_socket(stage: Stage, generation: int) -> Line:
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, attached(generation))
    return line


def test_a_second_socket_takes_the_device_over_and_the_older_one_is_told() -> None:
    stage = Stage()
    older = stage.connect()
    newer = second_socket(stage, 2)
    assert isinstance(older.frames[-1], Goodbye) and older.frames[-1].code is Code.TAKEN_OVER
    assert isinstance(newer.frames[0], Welcome)


def test_of_two_sockets_that_attach_at_once_the_later_generation_lives() -> None:
    stage = Stage()
    first, second = Line(stage), Line(stage)
    first.say(Hello(1, stage.token(1, 11), 11))
    second.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, attached(5))
    stage.answer(Attach, attached(4))
    assert isinstance(first.frames[0], Welcome) and first.closed is None
    assert second.closed is not None and second.closed[0] == Code.TAKEN_OVER


def test_a_takeover_is_announced_to_the_gateway_that_had_the_socket() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, attached(7, previous_gateway=GATEWAY + 1))
    assert stage.link.announced == [(TAKEOVER_TOPIC, takeover_payload(11, 7))]


def test_a_takeover_elsewhere_closes_the_socket_here_and_an_old_announcement_does_not() -> None:
    stage = Stage()
    line = stage.connect(generation=3)
    stage.exchange.announced(TAKEOVER_TOPIC, takeover_payload(11, 3))
    stage.run()
    assert line.closed is None
    stage.exchange.announced(TAKEOVER_TOPIC, takeover_payload(11, 4))
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.TAKEN_OVER


def test_a_takeover_elsewhere_that_nobody_announced_is_found_by_comparing_generations() -> None:
    stage = Stage()
    stage.exchange.up()
    stage.cast.wake()
    line = stage.connect(generation=3)
    stage.wait(10.1)
    assert stage.asked(ReadGenerations) == [ReadGenerations((11,))]
    stage.answer(ReadGenerations, Generations(((11, 3),)))
    assert line.closed is None
    stage.wait(10.1)
    stage.answer(ReadGenerations, Generations(((11, 4),)))
    assert line.closed is not None and line.closed[0] == Code.TAKEN_OVER


def test_a_comparison_of_generations_disturbs_only_devices_to_which_it_is_news() -> None:
    stage = Stage()
    line = stage.connect(generation=3)
    turns = stage.turns.pools["device"].counts
    before = turns.handled
    stage.exchange.generations_are(Generations(((11, 3), (11, 2))))
    stage.run()
    assert turns.handled == before
    stage.exchange.generations_are(Generations(((11, 4),)))
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.TAKEN_OVER


def test_a_comparison_that_finds_the_session_ended_says_so_and_not_that_it_was_another_socket() -> None:
    """Found by `proofs revocation`: without Redis one in fifty was told TAKEN_OVER, before the control stream was read."""
    stage = Stage()
    line = stage.connect(generation=3)
    stage.exchange.generations_are(Generations(((11, 3),), (11,)))  # before this socket's own attachment was read, say
    stage.run()
    assert line.closed is None
    stage.exchange.generations_are(Generations(((11, 4),), (11,)))
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.REVOKED


def test_only_devices_that_have_a_socket_here_are_compared() -> None:
    stage = Stage()
    stage.exchange.up()
    stage.cast.wake()
    first, second, third = (stage.connect(user, user + 10, generation=3) for user in (1, 2, 3))
    first.drop()
    stage.exchange.generations_are(Generations(((12, 4),)))
    stage.run()
    assert second.closed is not None and third.closed is None
    stage.wait(10.1)
    assert stage.asked(ReadGenerations) == [ReadGenerations((13,))]
    stage.answer(ReadGenerations, Generations(((13, 3),)))
    device = stage.near.devices.find(13)
    assert device is not None
    device.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    stage.wait(30)
    assert not stage.asked(ReadGenerations), "a device that crashed holds no socket"


def test_an_append_that_finds_a_newer_generation_ends_the_socket() -> None:
    stage = Stage()
    line = stage.connect()
    line.mutate(1, Say(50, "x"))
    stage.decide(Code.TAKEN_OVER)
    assert line.closed is not None and line.closed[0] == Code.TAKEN_OVER


def test_what_is_decided_for_an_older_socket_is_not_told_to_the_newer_one() -> None:
    stage = Stage()
    older = stage.connect(generation=1)
    older.mutate(1, Say(50, "x"))
    (entry, reply_to) = stage.journal.entries.pop()
    newer = second_socket(stage, 2)
    newer.hear()
    newer.mutate(1, Say(50, "x"))
    reply_to.tell(Decided(1, Code.TAKEN_OVER, generation=entry.generation))
    stage.run()
    assert not newer.frames and newer.closed is None
    stage.decide(Code.OK, 9)
    assert newer.hear() == [Done(1, 9)]


def test_a_mutation_sent_twice_is_queued_once_and_answered_once() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.mutate(1, Say(50, "x"))
    line.mutate(1, Say(50, "x"))
    assert len(stage.journal.entries) == 1
    stage.decide(Code.OK, 4)
    assert line.hear() == [Done(1, 4)]


def test_a_number_under_way_with_another_payload_is_refused() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.mutate(1, Say(50, "x"))
    line.mutate(1, Say(50, "y"))
    (refused,) = line.hear()
    assert isinstance(refused, Refused) and refused.code is Code.NUMBER_REUSED


def test_a_full_journal_is_said_and_the_number_may_be_sent_again() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    stage.journal.full = True
    line.mutate(1, Say(50, "x"))
    (refused,) = line.hear()
    assert isinstance(refused, Refused) and refused.code is Code.BUSY and refused.wait_ms > 0
    stage.journal.full = False
    line.mutate(1, Say(50, "x"))
    stage.decide(Code.OK, 1)
    assert line.hear() == [Done(1, 1)]


def test_a_device_that_crashes_sends_its_socket_away_and_serves_the_next() -> None:
    stage = Stage()
    line = stage.connect()
    device = stage.near.devices.find(11)
    assert device is not None
    device.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.FAULT
    assert isinstance(second_socket(stage, 2).frames[0], Welcome)


def test_an_idle_device_leaves_memory_and_one_with_something_under_way_does_not() -> None:
    stage = Stage()
    line = stage.connect()
    line.mutate(1, Say(50, "x"))
    line.drop()
    stage.wait(100)
    assert stage.near.devices.find(11) is not None
    stage.decide(Code.OK, 1)
    stage.wait(100)
    assert stage.near.devices.find(11) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_an_operation_or_a_refusal(raw: bytes) -> None:
    operation = read_operation(raw)
    if isinstance(operation, Refusal):
        assert operation.code in (Code.INVALID, Code.UNKNOWN)
        assert operation.detail.startswith("operation: ")
    else:
        assert encode(operation)


def test_the_refusal_of_an_operation_says_that_the_place_it_names_is_in_the_operation() -> None:
    refusal = read_operation(encode(Say(1, "")))
    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith("operation: ") and "$[2]" in refusal.detail


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_digests_tell_payloads_apart_and_fit_a_signed_column(one: bytes, other: bytes) -> None:
    assert -(2**63) <= digest_of(one) < 2**63
    assert (digest_of(one) == digest_of(other)) is (one == other)


@given(st.integers(0, 2**63), st.integers(0, 2**32 - 1), st.binary(max_size=20))
def test_a_takeover_is_read_as_it_was_written_and_nothing_else_is_one(device: int, generation: int, other: bytes) -> None:
    assert read_takeover(takeover_payload(device, generation)) == (device, generation)
    assert read_takeover(other) is None or len(other) == 12


def test_operations_are_frozen_as_bytes() -> None:
    assert digest_of(encode(Say(1, "a"))) != digest_of(encode(Say(1, "b")))

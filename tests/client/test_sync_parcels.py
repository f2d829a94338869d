"""Mutations on their way: nothing is changed by being packed, and a chunk stays within its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from client.ledger import Entry, Ledger
from client.parcels import weigh, wrap
from protocol.chunks import expand
from protocol.codec import decode_command, decode_operation, encode, join
from protocol.entities import Entity, write_fields
from protocol.frames import CHUNK_BYTES_GOAL, Chunk, Mutate
from protocol.operations import Change, Say

IDS = st.integers(1, 2**53 - 1) | st.integers(1, 200)
FIELDS = st.dictionaries(st.integers(1, 9), st.integers(0, 2**40) | st.text(max_size=300), max_size=4).map(write_fields)
CHANGES = st.builds(Change, IDS, st.integers(1, 255), IDS, st.integers(0, 2**40), FIELDS, st.integers(0, 2**53 - 1), st.booleans())
OPERATIONS = st.lists(CHANGES | st.builds(Say, IDS, st.text(min_size=1, max_size=20)), max_size=40)


def unwrap(frames: list[bytes]) -> list[tuple[int, bytes]]:
    """Numbers and operations, as the server takes them."""
    taken: list[tuple[int, bytes]] = []
    for frame in frames:
        command = decode_command(frame)
        if isinstance(command, Chunk):
            for at, change in enumerate(expand(command)):
                assert isinstance(change, bytes)
                taken.append((command.number + at, change))
        else:
            assert isinstance(command, Mutate)
            taken.append((command.number, bytes(command.operation)))
    return taken


@given(OPERATIONS, st.integers(0, 2**40), st.integers(30, 5000))
def test_what_is_taken_arrives_with_its_numbers_and_bytes_in_messages_of_the_size_asked_for(
    operations: list[Change | Say], last_number: int, bytes_max: int
) -> None:
    frozen = [encode(operation) for operation in operations]
    ledger = Ledger(Entry(key, operation) for key, operation in enumerate(frozen, 1))
    ledger.welcomed(last_number)
    arrived: list[tuple[int, bytes]] = []
    while taken := ledger.take(10_000, bytes_max, 256, weigh=weigh):
        frames = wrap(taken)
        assert len(taken) == 1 or len(join(frames)) <= bytes_max
        arrived += unwrap(frames)
    assert arrived == [(last_number + at, operation) for at, operation in enumerate(frozen, 1)]


def test_changes_with_a_hole_in_their_numbers_leave_in_two_chunks() -> None:
    """The one between them has its outcome: it came while another before it was refused for load."""
    change = encode(Change(5, Entity.DRAFT, 1, 1_800_000_000, write_fields({3: "x"})))
    frames = wrap([Entry(key, change, number) for key, number in enumerate((4, 5, 7, 8), 1)])
    assert [number for number, _ in unwrap(frames)] == [4, 5, 7, 8]


def test_a_change_alone_is_shorter_as_a_mutate_and_two_are_shorter_as_a_chunk() -> None:
    change = encode(Change(5, Entity.DRAFT, 1, 1_800_000_000, write_fields({3: "x"})))
    assert isinstance(decode_command(wrap([Entry(1, change, 1)])[0]), Mutate)
    (chunk,) = wrap([Entry(1, change, 1), Entry(2, change, 2)])
    assert len(chunk) < sum(len(wrap([Entry(key, change, key)])[0]) for key in (1, 2))


def test_two_hundred_progress_changes_of_a_day_go_in_one_chunk_within_the_goal() -> None:
    changes = [
        encode(Change(70_001, Entity.PROGRESS, 30_000 + at, 1_800_000_000 + 120 * at, write_fields({1: at % 101}), at % 3))
        for at in range(200)
    ]
    ledger = Ledger(Entry(key, change) for key, change in enumerate(changes, 1))
    ledger.welcomed(41)
    frames = wrap(ledger.take(256, CHUNK_BYTES_GOAL, 256, weigh=weigh))
    assert len(frames) == 1 and len(frames[0]) <= CHUNK_BYTES_GOAL
    assert [change for _, change in unwrap(frames)] == changes


def test_a_change_with_bytes_that_a_chunk_would_not_give_back_goes_alone() -> None:
    """Frozen by an older client, without its trailing defaults: its bytes are its identity."""
    full = encode(Change(5, Entity.DRAFT, 1, 1_800_000_000, Raw(b"\x80")))
    frozen = b"\x95" + full[1:-3]
    decode_operation(frozen)
    frames = wrap([Entry(1, frozen, 1), Entry(2, full, 2), Entry(3, full, 3)])
    assert unwrap(frames) == [(1, frozen), (2, full), (3, full)]

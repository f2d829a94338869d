"""Devices that come back at once: what they send is what the protocol wishes, and a wrong answer yields no figure."""

from __future__ import annotations

from random import Random

import pytest

from bench import sync_load
from bench.generator import GeneratorFailed
from bench.population import Person
from bench.returners import Answered, Place, changes_of, chunks_of, settle
from bench.stage import Options
from protocol.chunks import expand
from protocol.codec import decode_command
from protocol.entities import Entity
from protocol.frames import CHUNK_BYTES_GOAL, Chunk

PLACE = Place(Person(1, 2, "token"), {Entity.PROGRESS: 100_001, Entity.ANSWER: 100_002, Entity.DRAFT: 100_003})
NOW = 1_790_000_000


@pytest.mark.parametrize("seed", range(5))
def test_chunks_hold_every_change_once_in_order_and_no_more_than_they_should(seed: int) -> None:
    changes = changes_of(PLACE, NOW, range(1, 2_000), Random(seed))
    expanded: list[object] = []
    number = 4_711
    for first, count, frame in chunks_of(number, changes):
        chunk = decode_command(frame)
        assert isinstance(chunk, Chunk) and (first, first) == (number, chunk.number)
        assert len(frame) <= CHUNK_BYTES_GOAL
        expanded += expand(chunk)
        number += count
    assert expanded == changes and number == 4_711 + len(changes)


def test_an_answer_that_comes_twice_or_to_nothing_yields_no_figure() -> None:
    open_numbers, answered = {5}, Answered([], [])
    settle(open_numbers, 5, 8, answered)
    assert answered.outcomes == [0]
    for number in (5, 6):
        with pytest.raises(GeneratorFailed, match=str(number)):
            settle(open_numbers, number, 8, answered)


async def test_everybody_comes_back_to_the_real_servers_and_is_answered() -> None:
    said: list[str] = []
    per_s, p99_ms, cost_us, growth = await sync_load.measure(Options(rounds=1, quick=True, peers=False), said.append)
    assert len(said) == 2
    assert per_s.figure > 0 and p99_ms.figure > 0 and cost_us.figure > 0
    assert growth.peer_figure is not None and growth.figure == cost_us.figure

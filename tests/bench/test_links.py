"""The measure of links over HTTP: what was said on them was heard, by everybody and once."""

from __future__ import annotations

from bench import links
from bench.stage import Options


async def test_what_is_said_in_rooms_on_polls_is_heard_by_all_and_what_it_cost_is_told() -> None:
    said: list[str] = []
    cost = await links.measure_way("poll", Options(rounds=1, quick=True, peers=False), said.append)
    assert "(2,000)" in said[0]
    assert cost.kib > 1 and cost.delivery_us > 1

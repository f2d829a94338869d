"""The measure of jobs, small: real processes do every job once, and what they leave undone yields no figure."""

from __future__ import annotations

from bench import jobs
from bench.stage import Options


async def test_every_job_is_done_once_and_has_its_price() -> None:
    said: list[str] = []
    measured = await jobs.measure(Options(rounds=1, quick=True, peers=False), said.append)
    assert len(said) == 4
    assert all(one.figure > 0 for one in measured)
    assert [one.goal for one in measured] == [None] * len(measured), "a quick run judges nothing"

"""One process that runs jobs until it is killed: `python -m proofs.jobbing.worker DSN NAME fenced|unfenced`.

It is the product's foreman and timetable, with a short lease so that a killed one's jobs are soon others'.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

import structlog
import trio

from persistence.bridge import Bridge, BridgeOptions
from proofs.jobbing.kinds import CRONS, kinds
from supervisors.job_foreman import Foreman, ForemanOptions
from supervisors.job_timetable import Timetable

OPTIONS: Final = ForemanOptions(at_once_max=64, poll_s=0.05, lease_s=1.5, tally_s=0.5, retry_s=0.1)


async def work(dsn: str, name: str, fenced: bool) -> None:
    """Until it is cancelled."""
    bridge = Bridge(BridgeOptions(dsn, connections_max=4))
    foreman = Foreman(bridge, kinds(bridge, Random(), fenced=fenced), name=name, random=Random().random, options=OPTIONS)
    bridge.on_ordered = foreman.poke
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await nursery.start(foreman.serve)
        await nursery.start(Timetable(bridge, CRONS, every_s=0.1).serve)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    trio.run(work, sys.argv[1], sys.argv[2], sys.argv[3] == "fenced")

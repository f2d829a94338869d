"""What working trust out costs on a whole platform, in a Postgres of its own: the pass of a day, and single words said after it.

python -m bench.trust_probe [--people 100000] [--words 200] [--seed 1]

People, communities and words are those of `python -m proofs rings`. The first pass writes nearly everybody; the second one, on the same
day, is to find nothing; the third, a month later, finds what faded. Times are of the wall, with one process that reckons and Postgres
beside it.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import asyncpg
import trio

from actors.trust_flow import Word
from persistence.bridge import Bridge, BridgeOptions
from persistence.migrate import migrate
from persistence.trust_settling import Counted, TrustPass, settle_until_done
from proofs.ringing.population import DAY, Population, populate
from supervisors.embedded_postgres import PostgresOptions, start

SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "1GB"}


async def fill(tx: asyncpg.Connection, *, population: Population, day: int) -> None:
    """Accounts of all ages, words and seeds, without a trace in `trust_unsettled`: as after a night."""
    count = len(population.people)
    await tx.execute(
        "insert into accounts (name, display_name, password_hash, created_at, email_verified_at)"
        " select 'p' || n, 'P', 'x', now() - make_interval(days => n % 900), case when n % 10 < 7 then now() end"
        " from generate_series(1, $1::integer) n order by n",
        count,
    )
    await tx.execute("alter table trust_relationships disable trigger all")
    words = [
        (word.endorser, word.endorsed, word.space, word.weight, day - (DAY - word.day))
        for by_person in population.web.outs.values()
        for spaces in by_person.values()
        for word in spaces.values()
    ]
    await tx.copy_records_to_table("trust_relationships", records=words, columns=["endorser", "endorsed", "space_id", "weight", "day"])
    await tx.execute("alter table trust_relationships enable trigger all")
    await tx.execute("insert into trust_seeds (user_id, named_by) select unnest($1::bigint[]), 0", sorted(population.web.seeds))
    await tx.execute("truncate trust_unsettled")
    await tx.execute("update trust_clock set day = $1", day)


async def say(tx: asyncpg.Connection, *, word: Word, day: int) -> None:
    await tx.execute(
        "insert into trust_relationships (endorser, endorsed, space_id, day) values ($1, $2, $3, $4)"
        " on conflict (endorser, endorsed, space_id) do update set day = excluded.day",
        word.endorser,
        word.endorsed,
        word.space,
        day,
    )


async def run(dsn: str, population: Population, words: int, seed: int) -> None:
    """Measures, and prints."""
    day = int(time.time()) // 86_400
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.run(partial(fill, population=population, day=day), deadline_s=600)
        print(f"{len(population.people)} people, {population.words} words, {len(population.web.seeds)} seeds")
        for what, on in (("the first pass", day), ("again that day", day), ("a month later", day + 31)):
            began_s = time.monotonic()
            counted: Counted = await TrustPass(bridge).run(on)
            print(
                f"{what}: {time.monotonic() - began_s:.1f} s; {counted.moved} people's standing moved, {counted.told} scores,"
                f" {counted.disagreed} disagreed"
            )
        await settle_until_done(bridge)
        chance = random.Random(seed)
        took_ms: list[float] = []
        moved: list[int] = []
        for _ in range(words):
            community = chance.randrange(len(population.communities))
            one, two = chance.sample(population.communities[community], 2)
            await bridge.run(partial(say, word=Word(one, two, community + 1, day), day=day + 31), deadline_s=10)
            began_s = time.monotonic()
            moved.append((await settle_until_done(bridge)).moved)
            took_ms.append(1000 * (time.monotonic() - began_s))
        took_ms.sort()
        moved.sort()
        print(
            f"a word worked out at once: {took_ms[words // 2]:.1f} ms at the median, {took_ms[words * 99 // 100]:.1f} at the 99th"
            f" percentile, {took_ms[-1]:.0f} at most; it moved {moved[words // 2]} people at the median, {moved[-1]} at most"
        )
        began_s = time.monotonic()
        counted = await TrustPass(bridge).run(day + 31)
        took_s = time.monotonic() - began_s
        print(f"a pass after them: {took_s:.1f} s; {counted.moved} moved, {counted.told} scores, {counted.disagreed} disagreed")
        print(f"memory of this process at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        nursery.cancel_scope.cancel()


def main(argv: Sequence[str]) -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="python -m bench.trust_probe", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    population = populate(arguments.people, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="educonnect-trust-") as folder:
        Path(folder).chmod(0o755)
        server = start(PostgresOptions(Path(folder) / "data", settings=SETTINGS))
        try:
            trio.run(migrate, server.dsn)
            trio.run(run, server.dsn, population, arguments.words, arguments.seed)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Search in messages: how long the database takes for somebody's search among a million, and what the index costs.

    1,000,000 messages, 200 communities of 5 channels ─index_messages─▶ µs of Postgres' CPU a message
    20 people in 20 communities each ─▶ a rare word, a frequent one, two words, a part of a word, a slip ─▶ p50, p99 over one connection

Words are syllables put together, as frequent as words are (Zipf): the most frequent one is in every second message. A search is what the
store does for `Find`: the statements, the permission in them, the texts and the excerpts; there is nothing beside it on the machine.

Invariant: every search finds what it must (a word that was taken from a message finds one), or there is no figure.
"""

from __future__ import annotations

import random
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import trio

from actors.storage import FindMessages, MessagesFound
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.stage import Options
from bench.usage import cpu_s
from persistence.bridge import Bridge, BridgeOptions
from persistence.migrate import migrate
from persistence.search import find_messages
from protocol.codec import encode
from protocol.events import Said
from supervisors.embedded_postgres import PostgresOptions, start

MESSAGES: Final = 1_000_000
QUICK_MESSAGES: Final = 4_000
COMMUNITIES: Final = 200
CHANNELS: Final = 5
PEOPLE: Final = 20
MEMBER_OF: Final = 20
VOCABULARY: Final = 60_000
WORDS: Final = 12
"""In a message: some 80 letters."""
SEARCHES: Final = 200
QUICK_SEARCHES: Final = 5
PAGE: Final = 20
BATCH: Final = 20_000
PART_STREAMS: Final = 64
PART_EVENTS: Final = 31
"""As the indexer takes them."""
GOAL: Final = Goal(figure_max=100.0)
CALL_S: Final = 600.0
_SYLLABLES: Final = [a + b for a in "bdfghjklmnprstvwyz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "ol", "ush")]
_STREAMS: Final = "select id from streams where kind = 3 order by id"


class Language:
    """Words with their frequencies, from a seed."""

    def __init__(self, chance: random.Random, size: int) -> None:
        self.chance = chance
        words: dict[str, None] = {}
        while len(words) < size:
            # What is said often is short.
            syllables = 1 + min(4, len(words) // 150) if len(words) < 600 else chance.choice((3, 3, 4, 5))
            words["".join(chance.choices(_SYLLABLES, k=syllables))] = None
        self.words = list(words)
        self._weights = list(accumulate(1 / (rank + 1.5) for rank in range(size)))

    def text(self) -> str:
        places = [bisect(self._weights, self.chance.random() * self._weights[-1]) for _ in range(WORDS)]
        return " ".join(self.words[min(place, len(self.words) - 1)] for place in places)


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Makes the place, indexes it, and searches; there is no peer."""
    messages = QUICK_MESSAGES if options.quick else MESSAGES
    searches = QUICK_SEARCHES if options.quick else SEARCHES
    language = Language(random.Random(35), VOCABULARY // 20 if options.quick else VOCABULARY)
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-search-") as folder:
        server = start(PostgresOptions(Path(folder)))
        try:
            await migrate(server.dsn)
            async with trio.open_nursery() as nursery:
                bridge = Bridge(BridgeOptions(server.dsn, session_settings=(("jit", "off"),)))
                await nursery.start(bridge.serve)
                place = Place(bridge)
                await place.found(language, messages)
                say(f"search: {messages:,} messages said")
                before_s, began = cpu_s([server.pid]), time.monotonic()
                await place.index()
                spent_s, wall_s = cpu_s([server.pid]) - before_s, time.monotonic() - began
                cpu_us, bytes_each = spent_s / messages * 1e6, await place.size() / messages
                say(f"search: indexed at {messages / wall_s:,.0f} a second, {cpu_us:.0f} µs of CPU and {bytes_each:.0f} B each")
                measured.append(Measured("Postgres CPU to index a message, beside nothing else", cpu_us, "µs"))
                measured.append(Measured("the index, bytes a message", bytes_each, "B"))
                for name, words in kinds(language).items():
                    taken = [await place.search(name, words) for _ in range(searches * options.rounds)]
                    taken.sort()
                    p50, p99 = taken[len(taken) // 2] * 1e3, taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1e3
                    say(f"search: {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {taken[-1] * 1e3:.1f} ms")
                    measured.append(Measured(f"search for {name}, p50", p50, "ms"))
                    measured.append(Measured(f"search for {name}, p99", p99, "ms", goal=None if options.quick else GOAL))
                nursery.cancel_scope.cancel()
        finally:
            server.stop()
    note = f"{messages:,} messages; a person in {MEMBER_OF} communities with {MEMBER_OF * messages // COMMUNITIES:,} of them"
    return [msgspec.structs.replace(one, note=note) for one in measured]


def kinds(language: Language) -> dict[str, Callable[[str], str]]:
    """How words to look for are made, of a message that was said."""
    chance, rank = language.chance, {word: place for place, word in enumerate(language.words)}

    def rarest(text: str) -> str:
        return max(text.split(), key=lambda word: rank[word])

    def part(text: str) -> str:
        word = rarest(text)
        begin = chance.randrange(max(1, len(word) - 5))
        return word[begin : begin + 5]

    def slip(text: str) -> str:
        word = rarest(text)
        place = chance.randrange(1, max(2, len(word) - 1))
        return word[:place] + word[place + 1 :]

    return {
        "a rare word": rarest,
        "a frequent word": lambda text: language.words[chance.randrange(20)],
        "two words": lambda text: " ".join(sorted(text.split(), key=lambda word: rank[word])[-6:-4]),
        "a part of a word": part,
        "a word with a slip": slip,
    }


class Place:
    """The database, with what was said in it."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._people: list[int] = []
        self._said: list[tuple[int, str]] = []
        """Some of what each person may read."""
        self._turn = 0

    async def found(self, language: Language, messages: int) -> None:
        """Communities, people, and what was said, evenly in all channels."""
        chance = language.chance

        async def work(tx: asyncpg.Connection) -> None:
            for number in range(PEOPLE):
                self._people.append(await tx.fetchval("select user_id from create_account($1, 'Somebody', 'x')", f"person{number}"))
            spaces = await tx.fetch(
                "insert into spaces (kind, name, created_by) select 1, 'school ' || n, 0 from generate_series(1, $1::int) n returning id",
                COMMUNITIES,
            )
            await tx.execute(
                "insert into streams (space_id, kind, name, placement) select s, 3, 'channel ' || n, s"
                " from unnest($1::bigint[]) s, generate_series(1, $2::int) n",
                [row["id"] for row in spaces],
                CHANNELS,
            )
            for person in self._people:
                places = chance.sample([row["id"] for row in spaces], MEMBER_OF)
                await tx.executemany("insert into members values ($1, $2, 8)", [(space, person) for space in places])

        await self._bridge.run(work, deadline_s=CALL_S)
        streams = [row["id"] for row in await self._fetch(_STREAMS)]
        readers: dict[int, list[int]] = {}
        for row in await self._fetch("select s.id, m.user_id from streams s join members m using (space_id) where s.kind = 3"):
            readers.setdefault(row["id"], []).append(row["user_id"])
        rows = self._rows(language, streams, readers, messages)
        while batch := [row for row, _ in zip(rows, range(BATCH), strict=False)]:

            async def copy(tx: asyncpg.Connection, batch: list[tuple[object, ...]] = batch) -> None:
                await tx.copy_records_to_table("log", records=batch, columns=["stream_id", "seq", "kind", "author", "at", "body"])

            await self._bridge.run(copy, deadline_s=CALL_S)
        await self._fetch("update streams s set head = $1 where kind = 3", messages // len(streams))

    def _rows(self, language: Language, streams: list[int], readers: dict[int, list[int]], messages: int) -> Iterator[tuple[object, ...]]:
        for seq in range(1, messages // len(streams) + 1):
            for stream in streams:
                text = language.text()
                if stream in readers and language.chance.random() < 20_000 / messages:
                    self._said.append((language.chance.choice(readers[stream]), text))
                yield stream, seq, 1, self._people[seq % PEOPLE], 1_700_000_000 + seq * 60 + stream % 60, encode(Said(text))

    async def index(self) -> None:
        """Everything, in parts as the indexer does."""
        streams = [row["id"] for row in await self._fetch(_STREAMS)]
        while streams:
            more: list[int] = []
            for begin in range(0, len(streams), PART_STREAMS):
                part = streams[begin : begin + PART_STREAMS]
                rows = await self._fetch("select stream, more from index_messages($1, $2)", part, PART_EVENTS)
                more += [row["stream"] for row in rows if row["more"]]
            streams = more
        for table in ("search_messages", "search_words", "log", "streams", "members"):
            await self._fetch(f"analyze {table}")

    async def size(self) -> int:
        """Bytes of the index: its tables and theirs."""
        [row] = await self._fetch(
            "select sum(pg_total_relation_size(t))::bigint from unnest('{search_messages,search_words,search_vocabulary}'::regclass[]) t"
        )
        size: int = row[0]
        return size

    async def search(self, name: str, words: Callable[[str], str]) -> float:
        """One search of somebody; its seconds. Raises `GeneratorFailed` where nothing was found."""
        self._turn += 1
        person, text = self._said[self._turn * 7_919 % len(self._said)]
        query = FindMessages(person, words(text), 0, 0, None, PAGE)

        async def work(connection: asyncpg.Connection) -> tuple[float, object]:
            began = time.perf_counter()
            [found] = await find_messages(connection, [query])
            return time.perf_counter() - began, found

        taken_s, found = await self._bridge.run(work, deadline_s=CALL_S, readonly=True, isolation="none")
        if not isinstance(found, MessagesFound) or not found.messages:
            raise GeneratorFailed(f"{name}: {query.words!r} of {text!r} found {found}")
        return taken_s

    async def _fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await tx.fetch(sql, *arguments)
            return rows

        return await self._bridge.run(work, deadline_s=CALL_S)

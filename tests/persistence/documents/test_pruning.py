"""What states have leaves the log after a while, on a real Postgres (time is moved by ageing rows)."""

from __future__ import annotations

from functools import partial

import pytest

from actors.storage import Denied, Events, ReadAfter, ReadBefore
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.documents import pruning
from persistence.queries import read_after, read_before
from protocol.codes import Code
from protocol.operations import NameVersion, RestoreVersion
from supervisors.housekeeping import Housekeeping
from tests.persistence.documents.writing import Pen, compact, load, open_document, run_jobs, update
from tests.persistence.test_operations import code
from tests.persistence.world import Person, World, world

DAY_S = 24 * 3600.0


async def age(w: World, days: int) -> None:
    await w.rows("update log set at = at - $1::bigint * 86400", days)


async def prune(w: World) -> int:
    """Until there is no more; how many events."""
    total = 0
    while pruned := await w.bridge.run(partial(pruning.prune, horizon_s=90 * DAY_S), deadline_s=30):
        total += pruned
    return total


async def left(w: World, document: int) -> list[int]:
    return await w.column("select seq from log where stream_id = $1 order by seq", document)


async def follow(w: World, document: int, person: Person, position: int) -> object:
    [answer] = await w.bridge.run(partial(read_after, queries=[ReadAfter(document, person.user, position, 100, 100_000)]), deadline_s=30)
    return answer


async def written(w: World, owner: Person, *words: str) -> tuple[int, int, Pen]:
    """A document with an event a word, after the first, which says in which generation it is."""
    space, _, _ = await w.community(owner)
    document, generation = await open_document(w, owner, space)
    pen = Pen(7)
    for word in words:
        await w.ok(owner, update(document, generation, pen.write(word)))
    return document, generation, pen


async def test_who_was_away_for_long_is_told_to_load_and_gets_the_state_and_the_rest(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, pen = await written(w, ann, "one ", "two ", "three ")
        assert isinstance(await follow(w, document, ann, 1), Events)
        await compact(w, document)
        await w.ok(ann, update(document, generation, pen.write("four ")))
        await age(w, 91)
        assert await prune(w) == 4
        assert await left(w, document) == [5], "what the state has not stays, however old it is"
        assert await follow(w, document, ann, 1) == Denied(Code.RESET)
        part, text = await load(w, document, ann)
        assert (part.upto, text) == (4, "one two three four ")
        assert isinstance(await follow(w, document, ann, part.upto), Events)
        await w.ok(ann, update(document, generation, pen.write("five")))
        await compact(w, document)
        assert (await load(w, document, ann))[1] == "one two three four five"
        assert await prune(w) == 1 and await left(w, document) == [6], "what was written today is not older than the horizon"
        [page] = await w.bridge.run(partial(read_before, queries=[ReadBefore(document, ann.user, 2**53, 100, 100_000)]), deadline_s=30)
        assert isinstance(page, Events) and not page.more, "who wrote when is told as far back as the log goes"


async def test_nothing_goes_before_its_time_and_nothing_of_a_document_without_a_state(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann, "one ", "two ")
        channel = await w.column("select stream_id from log where stream_id <> $1", document)
        await age(w, 89)
        await compact(w, document)
        assert await prune(w) == 0
        other, _, _ = await written(w, ann, "only here")
        await age(w, 2)
        await w.rows("update log set at = at - 8640000 where stream_id = $1", other)
        assert await prune(w) == 3
        assert await left(w, other) == [1, 2]
        assert await w.column("select stream_id from log where stream_id = any($1)", channel) == channel, "and nothing of others"


async def test_a_version_that_is_not_ready_keeps_what_it_is_made_of(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, pen = await written(w, ann, "one ", "two ", "three ")
        version = await w.ok(ann, NameVersion(document, 3, "two words"))
        await compact(w, document)
        await age(w, 91)
        assert await prune(w) == 0
        await run_jobs(w)
        assert (await load(w, document, ann, version))[1] == "one two "
        assert await prune(w) == 5
        # It is whole: neither restoring it nor going on needs what is gone.
        await w.ok(ann, update(document, generation, pen.write("four")))
        await w.ok(ann, RestoreVersion(document, version))
        assert (await load(w, document, ann))[1] == "one two "
        await run_jobs(w)
        [kept] = await w.column("select id from document_versions where stream_id = $1 and by = 0", document)
        assert (await load(w, document, ann, kept))[1] == "one two three four"


async def test_what_a_document_was_is_named_only_while_all_that_it_was_made_of_is_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann, "one ", "two ", "three ", "four ")
        early = await w.ok(ann, NameVersion(document, 2, "first"))
        await run_jobs(w)
        await compact(w, document)
        second = await w.ok(ann, NameVersion(document, 3, "second"))
        await run_jobs(w)
        await age(w, 91)
        assert await prune(w) > 4
        assert await code(w, ann, NameVersion(document, 4, "third")) is Code.GONE
        assert (await load(w, document, ann, early))[1] == "one " and (await load(w, document, ann, second))[1] == "one two "
        assert await code(w, ann, NameVersion(document, 7, "now")) is Code.OK


async def test_it_goes_in_portions(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ROWS_MAX", 2)
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann, "one ", "two ", "three ", "four ")
        await compact(w, document)
        await age(w, 91)
        work = partial(pruning.prune, horizon_s=90 * DAY_S)
        assert await bridge.run(work, deadline_s=30) == 2
        assert await bridge.run(work, deadline_s=30) == 2
        assert await bridge.run(work, deadline_s=30) == 1
        assert await bridge.run(work, deadline_s=30) == 0 and await left(w, document) == []
        assert (await load(w, document, ann))[1] == "one two three four "


async def test_what_was_set_aside_long_ago_is_not_remembered_and_does_not_come_back(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann, "one ")
        await w.rows("insert into document_set_aside (stream_id, seq, words) values ($1, 2, 'x')", document)
        await compact(w, document)
        await age(w, 91)
        assert await prune(w) == 2
        assert await w.column("select seq from document_set_aside") == []
        assert (await load(w, document, ann))[1] == ""


async def test_the_chores_let_go_of_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann, "one ")
        await compact(w, document)
        await age(w, 91)
        await Housekeeping(bridge, PostgresAccounts(bridge, w.herald), documents_s=92 * DAY_S).sweep_all()
        assert await left(w, document) == [1, 2]
        await Housekeeping(bridge, PostgresAccounts(bridge, w.herald)).sweep_all()
        assert await left(w, document) == []

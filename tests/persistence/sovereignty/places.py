"""A community with something of everything in it, and a look through the whole database for words."""

from __future__ import annotations

from msgspec import Struct

from protocol.entities import Entity, Fields
from protocol.operations import CreateChannel, Delete, Edit, Invite, OpenConversation, Post, React, Rename, Say, SetRole
from protocol.values import Role, StreamKind
from tests.persistence.learning.school import grade_all
from tests.persistence.records import change, enrolled, of_space, own
from tests.persistence.world import Person, World, fetch


class School(Struct):
    """One community and its people. What ada says has `sunflower` in it, what ben says `buttercup`."""

    space: int
    main: int
    channel: int
    ada: Person
    ben: Person
    eve: Person
    pair: int


async def found_school(w: World, suffix: str = "") -> School:
    ada, ben, eve = [await w.person(name + suffix) for name in ("ada", "ben", "eve")]
    space, main, channel = await w.community(ada, ben, eve)
    await w.ok(ada, SetRole(space, ben.user, Role.MODERATOR))
    first = await w.ok(ada, Say(channel, "sunflower one"))
    second = await w.ok(ben, Post(channel, "buttercup answers", first, (ada.user, eve.user)))
    await w.ok(ada, Post(channel, "sunflower two", second, (ben.user,)))
    await w.ok(ada, Edit(channel, first, "sunflower one, better"))
    await w.ok(eve, React(channel, first, "+"))
    third = await w.ok(ben, Say(channel, "buttercup regrets"))
    await w.ok(ben, Delete(channel, third))
    await w.ok(ada, CreateChannel(space, "staff", 3, 3))
    board, library = await of_space(w, space, StreamKind.BOARD), await of_space(w, space, StreamKind.LIBRARY)
    await w.ok(ben, change(board, Entity.ACTION, 11, {1: "buttercup cleans the well", 5: ada.user}))
    await w.ok(ada, change(library, Entity.CONTENT, 12, {1: "Water", 2: "boil it"}))
    await w.ok(ben, change(library, Entity.CONTENT, 12, {2: "boil it well"}, base=0))
    await w.ok(eve, change(await enrolled(w, space, eve, StreamKind.PROGRESS), Entity.PROGRESS, 12, {1: 40}))
    await w.ok(eve, change(await enrolled(w, space, eve, StreamKind.ANSWERS), Entity.ANSWER, 5, {3: "steam"}))
    await w.ok(ada, change(await own(w, ada), Entity.PROFILE, 1, {1: "sunflower gardener"}))
    await w.ok(ada, change(await enrolled(w, space, ada, StreamKind.ANSWERS), Entity.ANSWER, 5, {3: "sunflower oil"}))
    await learn(w, space, library, ada, eve)
    pair = await w.ok(ada, OpenConversation((eve.user,)))
    await w.ok(ada, Say(pair, "sunflower in private"))
    await w.ok(eve, Say(pair, "hello"))
    outsider = await w.person("outsider" + suffix)
    await w.ok(ada, Invite(space, outsider.user, Role.LEARNER))
    await w.ok(ada, Rename("Sunflower Ada"))
    return School(space, main, channel, ada, ben, eve, pair)


async def learn(w: World, space: int, library: int, ada: Person, eve: Person) -> None:
    """Ada teaches; she and Eve have answered, and are graded."""
    studio = await of_space(w, space, StreamKind.STUDIO)
    written: tuple[tuple[Entity, int, Fields], ...] = (
        (Entity.SUBJECT, 20, {1: "Nature"}),
        (Entity.COURSE, 21, {1: "Water", 3: 20, 7: 1}),
        (Entity.LESSON, 12, {1: "Wells", 3: 21, 8: 1}),
        (Entity.LESSON, 22, {1: "Springs", 3: 21, 7: (12,), 8: 1}),
        (Entity.PATH, 23, {1: "To the sea", 3: 20, 4: (12, 22)}),
        (Entity.QUESTION, 5, {1: 12, 2: 4, 3: "What rises?", 6: ("steam",)}),
        (Entity.QUESTION, 6, {1: 12, 2: 4, 3: "What falls?", 10: True}),
    )
    for entity, key, fields in written:
        await w.ok(ada, change(library, entity, key, fields))
    await w.ok(ada, change(studio, Entity.ANSWER_KEY, 6, {2: ("rain",)}))
    await w.ok(ada, change(studio, Entity.DRAFT_QUESTION, 24, {1: 12, 3: "Why?", 9: 12, 15: 5}))
    progress, answers = [await enrolled(w, space, ada, kind) for kind in (StreamKind.PROGRESS, StreamKind.ANSWERS)]
    await w.ok(ada, change(progress, Entity.ENROLMENT, 21, {1: 21, 4: "for my sunflowers"}))
    await w.ok(ada, change(answers, Entity.ANSWER, 6, {3: "rain on a sunflower"}))
    await w.ok(eve, change(await enrolled(w, space, eve, StreamKind.ANSWERS), Entity.ANSWER, 6, {3: "rain"}))
    await w.ok(ada, change(await own(w, ada), Entity.MENTORING, 1, {1: True, 7: "sunflower seeds for all", 8: (space,)}))
    await grade_all(w)


async def tables(w: World) -> list[str]:
    rows = await fetch(
        w.bridge,
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = current_schema()"
        " where c.relkind in ('r', 'p') and not c.relispartition order by 1",
    )
    return [row[0] for row in rows]


async def tables_with(w: World, word: str) -> dict[str, int]:
    """Every table in which some column holds these characters, and in how many rows; bytes are looked into too."""
    found = {}
    for table in await tables(w):
        [row] = await fetch(
            w.bridge,
            f"select count(*) from {table} t where strpos(lower(to_jsonb(t)::text), $1) > 0 or strpos(to_jsonb(t)::text, $2) > 0",
            word,
            word.encode().hex(),
        )
        if row[0]:
            found[table] = row[0]
    return found

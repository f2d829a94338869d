"""Permissions as the database has them: base roles, custom roles, platform roles."""

from __future__ import annotations

from functools import partial

import asyncpg
import pytest

from persistence.bridge import Bridge
from persistence.roles import PostgresAuthority, allowed, held
from protocol.operations import Leave, OpenConversation, SetRole
from protocol.permissions import BASE, ELSEWHERE, EVERYBODY, Permission, mask, unmask
from protocol.values import Role
from tests.persistence.world import Person, World, fetch, world


async def may(w: World, person: Person, space: int | None) -> frozenset[Permission]:
    return unmask(await w.bridge.run(partial(held, user=person.user, space=space), deadline_s=30))


async def give(w: World, person: Person, space: int | None, *permissions: Permission) -> None:
    await w.rows(
        "with made as (insert into roles (space_id, name, permissions, created_by) values ($2, $3, $4, 1) returning id)"
        " insert into user_roles (user_id, role_id, space_id, given_by) select $1, id, $2, 1 from made",
        person.user,
        space,
        "+".join(permission.name for permission in permissions),
        mask(permissions),
    )


async def test_the_table_of_permissions_has_the_names_of_the_code(bridge: Bridge) -> None:
    rows = await fetch(bridge, "select id, name from permissions order by id")
    assert [tuple(row) for row in rows] == sorted((int(permission), permission.name) for permission in Permission)


async def test_a_member_may_do_what_their_base_role_says_and_a_stranger_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, eve = [await w.person(name) for name in ("ada", "ben", "eve")]
        space, _, _ = await w.community(ada, ben)
        for role in Role:
            await w.ok(ada, SetRole(space, ben.user, role))
            assert await may(w, ben, space) == BASE[role]
        assert await may(w, eve, space) == frozenset()
        await w.ok(ben, Leave(space))
        assert await may(w, ben, space) == frozenset()


async def test_a_custom_role_adds_in_its_own_space_alone_and_ends_with_the_membership(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        other, _, _ = await w.community(ada, ben)
        await give(w, ben, space, Permission.MODERATE, Permission.INVITE)
        assert await may(w, ben, space) == BASE[Role.LEARNER] | {Permission.MODERATE, Permission.INVITE}
        assert await may(w, ben, other) == BASE[Role.LEARNER]
        assert await may(w, ben, None) == EVERYBODY
        await w.ok(ben, Leave(space))
        assert await w.value("select count(*) from user_roles where user_id = $1", ben.user) == 0


async def test_a_conversation_has_no_staff(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        stream = await w.ok(ada, OpenConversation((ben.user,)))
        [space] = await w.column("select space_id from streams where id = $1", stream)
        [own] = await w.column("select personal_space from accounts where id = $1", ada.user)
        assert await may(w, ada, space) == ELSEWHERE
        assert await may(w, ada, own) == ELSEWHERE


async def test_a_platform_role_is_none_in_a_community_and_a_disabled_account_has_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        await give(w, ben, None, Permission.OPERATE)
        assert await may(w, ben, None) == EVERYBODY | {Permission.OPERATE}
        assert await may(w, ben, space) == BASE[Role.LEARNER]
        authority = PostgresAuthority(bridge)
        assert await authority.allowed(ben.user, Permission.OPERATE, None)
        await w.rows("update accounts set disabled_at = now() where id = $1", ben.user)
        assert await may(w, ben, None) == frozenset()
        assert await may(w, ben, space) == frozenset()
        assert not await authority.allowed(ben.user, Permission.OPERATE, None)


async def test_allowed_asks_one_statement(bridge: Bridge) -> None:
    """Slow operations have one round trip more, whatever somebody has been given."""
    async with world(bridge) as w:
        ada = await w.person("ada")
        space, _, _ = await w.community(ada)
        asked: list[str] = []

        class Counting:
            def __init__(self, tx: object) -> None:
                self._tx = tx

            def __getattr__(self, name: str) -> object:
                asked.append(name)
                return getattr(self._tx, name)

        async def work(tx: object) -> bool:
            return await allowed(Counting(tx), ada.user, Permission.INVITE, space)

        assert await bridge.run(work, deadline_s=30)
        assert asked == ["fetchrow"]


@pytest.mark.parametrize(
    ("space", "bits"), [(None, 1), (2, 1 << 34)], ids=["a community's on the platform", "the platform's in a community"]
)
async def test_a_role_holds_permissions_of_its_own_place_alone(bridge: Bridge, space: int | None, bits: int) -> None:
    with pytest.raises(Exception, match="roles_check"):
        await fetch(bridge, "insert into roles (space_id, name, permissions, created_by) values ($1, 'x', $2, 1)", space, bits)


@pytest.mark.parametrize("function", ["journal_append", "merge_begin", "merge_write", "append_events", "attach_devices"])
async def test_the_hot_path_asks_nothing_of_custom_roles(bridge: Bridge, function: str) -> None:
    """Saying, reacting, syncing, attaching: base roles and the streams' masks, as before there were any others."""
    sources = [row[0] for row in await fetch(bridge, "select prosrc from pg_proc where proname = $1", function)]
    assert sources, f"{function} is called something else now"
    assert not [word for word in ("custom_permissions", "user_roles") if any(word in source for source in sources)]


async def test_a_lookup_finds_somebodys_roles_by_index_also_if_it_was_planned_before_there_were_any(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        space, _, _ = await w.community(ada)

        async def look(tx: asyncpg.Connection) -> tuple[int, int]:
            """Rows of `user_roles` that were read one after the other, before and after: counted by Postgres when a transaction ends."""
            await tx.execute("select pg_stat_force_next_flush()")
            return await held(tx, ada.user, space), await tx.fetchval(_SCANNED)

        await bridge.run(look, deadline_s=30)
        await w.rows(
            "with made as (insert into roles (space_id, name, permissions, created_by) values ($1, 'crowd', 1, 1) returning id)"
            " insert into user_roles (user_id, role_id, space_id, given_by) select n, id, $1, 1 from made, generate_series(1000, 3000) n",
            space,
        )
        await bridge.run(look, deadline_s=30)
        _, before = await bridge.run(look, deadline_s=30)
        for _ in range(20):
            await bridge.run(look, deadline_s=30)
        _, after = await bridge.run(look, deadline_s=30)
        assert after == before


_SCANNED = "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_user_tables where relname = 'user_roles'"

"""The platform's own roles: given and taken within what the giver has, or at the command line; listed with who has them."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actors.accounts import Caller, Claims
from persistence.bridge import Bridge
from persistence.role_book import COMMAND_LINE, PostgresRoleBook, find_account, find_platform_role, give_platform_role, take_platform_role
from persistence.roles import PostgresAuthority
from protocol.codes import Code
from protocol.operations import GiveRole, MakeRole
from protocol.permissions import BASE, Permission, mask
from protocol.values import Role
from tests.persistence.world import Person, World, world

SOMEWHERE = Caller("192.0.2.7", "test")


def claims(person: Person) -> Claims:
    return Claims(person.user, person.device, 1, 0, 2**40)


async def role_called(w: World, name: str) -> int:
    found = await w.bridge.run(partial(find_platform_role, name=name), deadline_s=30)
    assert found is not None
    return found


async def at_the_command_line(w: World, person: Person, name: str, *, take: bool = False) -> Code:
    change = take_platform_role if take else give_platform_role
    work = partial(change, actor=COMMAND_LINE, role=await role_called(w, name), user=person.user)
    return await w.bridge.run(work, deadline_s=30)


async def test_the_first_administrator_comes_from_the_command_line_and_gives_the_others(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        book, authority = PostgresRoleBook(bridge), PostgresAuthority(bridge)
        operator = await role_called(w, "OPERATOR")
        assert await book.give(claims(ada), operator, ben.user, SOMEWHERE) is Code.FORBIDDEN
        assert await at_the_command_line(w, ada, "administrator") is Code.OK
        assert await book.give(claims(ada), operator, ben.user, SOMEWHERE) is Code.OK
        assert await authority.allowed(ben.user, Permission.OPERATE, None)
        assert await book.take(claims(ada), operator, ben.user, SOMEWHERE) is Code.OK
        assert not await authority.allowed(ben.user, Permission.OPERATE, None)
        done = await w.rows("select actor, action, subject, address from audit_log where action like 'platform_role%' order by id")
        assert [tuple(row) for row in done] == [
            (0, "platform_role_given", ada.user, None),
            (ada.user, "platform_role_given", ben.user, "192.0.2.7"),
            (ada.user, "platform_role_taken", ben.user, "192.0.2.7"),
        ]


async def test_nobody_gives_or_takes_on_the_platform_more_than_they_have(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, cat = [await w.person(name) for name in ("ada", "ben", "cat")]
        [clerk] = await w.column(
            "insert into roles (space_id, name, permissions, created_by) values (null, 'clerk', $1, 0) returning id",
            mask((Permission.MANAGE_PLATFORM_ROLES, Permission.OPERATE)),
        )
        await w.rows("insert into user_roles (user_id, role_id, given_by) values ($1, $2, 0)", ben.user, clerk)
        book = PostgresRoleBook(bridge)
        administrator, operator = await role_called(w, "administrator"), await role_called(w, "operator")
        assert await at_the_command_line(w, ada, "administrator") is Code.OK
        assert await book.give(claims(ben), administrator, ben.user, SOMEWHERE) is Code.FORBIDDEN
        assert await book.take(claims(ben), administrator, ada.user, SOMEWHERE) is Code.FORBIDDEN
        assert await book.give(claims(ben), operator, cat.user, SOMEWHERE) is Code.OK
        assert await book.give(claims(cat), operator, ada.user, SOMEWHERE) is Code.FORBIDDEN


async def test_a_role_of_a_community_is_none_of_the_platforms(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        role = await w.ok(ada, MakeRole(space, "helper", mask((Permission.INVITE,))))
        await at_the_command_line(w, ada, "administrator")
        book = PostgresRoleBook(bridge)
        assert await book.give(claims(ada), role, ben.user, SOMEWHERE) is Code.NOT_FOUND
        assert await book.take(claims(ada), role, ben.user, SOMEWHERE) is Code.NOT_FOUND
        assert await book.give(claims(ada), await role_called(w, "operator"), 2**40, SOMEWHERE) is Code.NOT_FOUND


@pytest.mark.parametrize("take", [False, True])
async def test_giving_twice_and_taking_what_is_not_there_change_nothing(bridge: Bridge, take: bool) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        if not take:
            await at_the_command_line(w, ada, "operator")
        before = await w.value("select count(*) from audit_log where action like 'platform_role%'")
        assert await at_the_command_line(w, ada, "operator", take=take) is Code.OK
        assert await w.value("select count(*) from audit_log where action like 'platform_role%'") == before


async def test_members_see_the_roles_of_their_community_and_what_they_may_do(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        role = await w.ok(ada, MakeRole(space, "helper", mask((Permission.INVITE,))))
        await w.ok(ada, GiveRole(space, role, ben.user))
        found = await PostgresRoleBook(bridge).list_roles(ben.user, space)
        assert found.mine == mask(BASE[Role.LEARNER] | {Permission.INVITE})
        [shown] = found.roles
        assert (shown.role, shown.name, shown.held_by, shown.holders) == (role, "helper", 1, (ben.user,))
        platform = await PostgresRoleBook(bridge).list_roles(ben.user, None)
        assert {"administrator", "operator"} <= {one.name for one in platform.roles}


async def test_accounts_and_roles_are_found_by_name_whatever_its_case(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        assert await bridge.run(partial(find_account, name="ADA"), deadline_s=30) == ada.user
        assert await bridge.run(partial(find_account, name="nobody"), deadline_s=30) is None
        assert await bridge.run(partial(find_platform_role, name="emperor"), deadline_s=30) is None


async def test_one_role_given_by_two_at_once_is_given_once_and_both_are_told_so(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        answers: list[Code] = []

        async def give() -> None:
            answers.append(await at_the_command_line(w, ada, "operator"))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(give)
        assert answers == [Code.OK] * 4
        assert await w.value("select count(*) from audit_log where action = 'platform_role_given'") == 1

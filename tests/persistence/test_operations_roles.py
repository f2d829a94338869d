"""Custom roles: made, given and taken by operations, within what whoever does it may do themselves."""

from __future__ import annotations

import asyncpg
import pytest

from actors.storage import CONTROL_STREAM, ConflictList, Denied, ListConflicts, ListUnapplied
from persistence.bridge import Bridge
from persistence.operations.roles import ROLES_PER_MEMBER_MAX, ROLES_PER_SPACE_MAX
from persistence.record_queries import list_conflicts, list_unapplied
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.events import AuthorityChanged, Body, RoleChanged, RoleDropped, RoleGiven, RoleMade, RoleTaken
from protocol.operations import (
    AnyOperation,
    Change,
    ChangeRole,
    ChangeSettings,
    Claim,
    CreateChannel,
    Delete,
    Discard,
    DropRole,
    GiveRole,
    Invite,
    Join,
    Leave,
    MakeRole,
    Remove,
    Resolve,
    Say,
    SetBack,
    SetRole,
    TakeRole,
)
from protocol.permissions import Permission, mask, of_platform
from protocol.values import Choice, Role
from tests.persistence.world import Person, World, world

ALL = mask(permission for permission in Permission if not of_platform(permission))


async def code(w: World, person: Person, operation: AnyOperation) -> Code:
    return (await w.ask(person, operation)).code


async def events(w: World, stream: int) -> list[Body]:
    rows = await w.rows("select body from log where stream_id = $1 order by seq", stream)
    return [codec.decode_body(row["body"]) for row in rows]  # type: ignore[misc]


async def give(w: World, owner: Person, person: Person, space: int, *permissions: Permission) -> int:
    """Makes a role of these permissions and gives it; the role."""
    name = " ".join(permission.name for permission in permissions)
    role = await w.ok(owner, MakeRole(space, f"{name} for {person.name}", mask(permissions)))
    await w.ok(owner, GiveRole(space, role, person.user))
    return role


async def test_a_role_is_told_in_the_communitys_stream_and_to_every_gateway(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, own, _ = await w.community(ada, ben)
        heard = len(await events(w, own))
        role = await w.ok(ada, MakeRole(space, "helper", 1 << Permission.INVITE))
        await w.ok(ada, GiveRole(space, role, ben.user))
        await w.ok(ada, ChangeRole(space, role, "door", 1 << Permission.INVITE | 1 << Permission.MODERATE))
        await w.ok(ada, TakeRole(space, role, ben.user))
        await w.ok(ada, DropRole(space, role))
        assert (await events(w, own))[heard:] == [
            RoleMade(role, "helper", 1 << Permission.INVITE),
            RoleGiven(role, ben.user),
            RoleChanged(role, "door", 1 << Permission.INVITE | 1 << Permission.MODERATE),
            RoleTaken(role, ben.user),
            RoleDropped(role),
        ]
        told = [body for body in await events(w, CONTROL_STREAM) if isinstance(body, AuthorityChanged) and body.space == space]
        assert told[-4:] == [AuthorityChanged(space, user) for user in (ben.user, 0, ben.user, 0)]
        deeds = await w.rows("select action from audit_log where space_id = $1 and action like 'custom_role%' order by id", space)
        assert [row["action"] for row in deeds] == [f"custom_role_{done}" for done in ("made", "given", "changed", "taken", "dropped")]


async def test_what_a_role_gives_opens_the_operation_that_needs_it_until_it_is_taken(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, cat, dan = [await w.person(name) for name in ("ada", "ben", "cat", "dan")]
        space, _, channel = await w.community(ada, ben, cat)
        said = [await w.ok(cat, Say(channel, text)) for text in ("one", "two")]
        asked: list[tuple[Permission, AnyOperation, AnyOperation]] = [
            (Permission.MODERATE, Delete(channel, said[0]), Delete(channel, said[1])),
            (Permission.MANAGE_CHANNELS, CreateChannel(space, "a"), CreateChannel(space, "b")),
            (Permission.INVITE, Invite(space, dan.user), Invite(space, dan.user)),
            (Permission.MANAGE_SPACE, ChangeSettings(space, "x", True, "{}"), ChangeSettings(space, "y", True, "{}")),
            (Permission.SET_BACK_PROGRESS, SetBack(space, cat.user, 7), SetBack(space, cat.user, 7)),
            (Permission.MANAGE_ROLES, MakeRole(space, "a", 1), MakeRole(space, "b", 1)),
            (Permission.REMOVE_MEMBERS, Remove(space, cat.user), Remove(space, cat.user)),
        ]
        for permission, first, second in asked:
            assert await code(w, ben, first) is Code.FORBIDDEN, permission
            role = await give(w, ada, ben, space, permission)
            assert await code(w, ben, first) is Code.OK, permission
            await w.ok(ada, TakeRole(space, role, ben.user))
            assert await code(w, ben, second) is Code.FORBIDDEN, permission


async def test_content_is_written_and_its_conflicts_decided_by_custom_roles_too(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, cat = [await w.person(name) for name in ("ada", "ben", "cat")]
        space, _, _ = await w.community(ada, ben, cat)
        [library] = await w.column("select id from streams where space_id = $1 and kind = 12", space)

        def write(text: str) -> Change:
            return Change(library, Entity.CONTENT, 5, 1, write_fields({1: "t", 2: text}))

        assert await code(w, ben, write("a")) is Code.FORBIDDEN
        role = await give(w, ada, ben, space, Permission.WRITE_CONTENT)
        await w.ok(ben, write("b"))
        value = await w.ok(ada, write("d"))
        conflict = value >> 3
        await give(w, ada, cat, space, Permission.WRITE_CONTENT)
        assert await code(w, cat, Claim(conflict)) is Code.NOT_FOUND
        await w.ok(ada, TakeRole(space, role, ben.user))
        assert await code(w, ben, write("c")) is Code.FORBIDDEN
        assert await code(w, cat, Claim(conflict)) is Code.NOT_FOUND
        await give(w, ada, cat, space, Permission.RESOLVE_CONFLICTS)
        await w.ok(cat, Claim(conflict))
        [version] = await w.column("select version from records where stream_id = $1 and key = 5", library)
        await w.ok(cat, Resolve(conflict, Choice.MINE, version, 2))


async def test_staff_lists_open_to_who_holds_their_permission(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, cat = [await w.person(name) for name in ("ada", "ben", "cat")]
        space, _, _ = await w.community(ada, ben, cat)
        [library] = await w.column("select id from streams where space_id = $1 and kind = 12", space)
        for text in ("a", "b"):
            await w.ok(ada, Change(library, Entity.CONTENT, 5, 1, write_fields({1: "t", 2: text})))
        await w.ask(ben, Change(library, Entity.CONTENT, 5, 1, write_fields({1: "refused"})))
        [item] = await w.column("select id from sync_queue where user_id = $1", ben.user)

        async def seen() -> tuple[int, Code]:
            async def work(connection: asyncpg.Connection) -> tuple[int, Code]:
                [conflicts] = await list_conflicts(connection, [ListConflicts(cat.user, 0, False, 0, 20)])
                [unapplied] = await list_unapplied(connection, [ListUnapplied(cat.user, space, 0, 20)])
                assert isinstance(conflicts, ConflictList)
                return len(conflicts.conflicts), unapplied.code if isinstance(unapplied, Denied) else Code.OK

            return await bridge.run(work, deadline_s=30)

        await w.ok(ada, SetRole(space, ben.user, Role.MENTOR))
        await w.ok(ben, Change(library, Entity.CONTENT, 5, 1, write_fields({1: "t", 2: "c"})))
        assert await seen() == (0, Code.FORBIDDEN)
        assert await code(w, cat, Discard(item)) is Code.NOT_FOUND
        await give(w, ada, cat, space, Permission.RESOLVE_CONFLICTS, Permission.MODERATE)
        assert await seen() == (1, Code.OK)
        await w.ok(cat, Discard(item))


async def test_nobody_puts_in_gives_changes_takes_or_drops_more_than_they_have(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben, cat = [await w.person(name) for name in ("ada", "ben", "cat")]
        space, _, _ = await w.community(ada, ben, cat)
        await give(w, ada, ben, space, Permission.MANAGE_ROLES)
        strong = await give(w, ada, cat, space, Permission.MODERATE)
        forbidden = (
            MakeRole(space, "x", 1 << Permission.INVITE),
            MakeRole(space, "x", ALL),
            ChangeRole(space, strong, "x", 1),
            ChangeRole(space, strong, "weak", 1 << Permission.MODERATE),
            DropRole(space, strong),
            GiveRole(space, strong, ben.user),
            TakeRole(space, strong, cat.user),
        )
        for operation in forbidden:
            assert await code(w, ben, operation) is Code.FORBIDDEN, operation
        weak = await w.ok(ben, MakeRole(space, "weak", 1 << Permission.MANAGE_ROLES | 1 << Permission.VOUCH))
        assert await code(w, ben, ChangeRole(space, weak, "weak", 1 << Permission.INVITE)) is Code.FORBIDDEN
        await w.ok(ben, GiveRole(space, weak, cat.user))
        await w.ok(ben, TakeRole(space, weak, cat.user))
        await w.ok(ben, DropRole(space, weak))


async def test_a_role_of_one_community_is_unknown_in_another_and_strangers_learn_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, eve = [await w.person(name) for name in ("ada", "eve")]
        space, _, _ = await w.community(ada)
        hers, _, _ = await w.community(eve)
        role = await w.ok(ada, MakeRole(space, "x", 1 << Permission.INVITE))
        for operation in (
            ChangeRole(hers, role, "y", 1),
            DropRole(hers, role),
            GiveRole(hers, role, eve.user),
            TakeRole(hers, role, ada.user),
            MakeRole(space, "y", 1),
            GiveRole(space, role, eve.user),
        ):
            assert await code(w, eve, operation) is Code.NOT_FOUND, operation
        assert await code(w, ada, GiveRole(space, role, eve.user)) is Code.NOT_FOUND
        [home] = await w.column("select personal_space from accounts where id = $1", ada.user)
        assert await code(w, ada, MakeRole(home, "y", 1)) is Code.FORBIDDEN


@pytest.mark.parametrize("permission", [permission for permission in Permission if of_platform(permission)], ids=lambda p: p.name)
async def test_a_community_gives_nothing_of_the_platforms(bridge: Bridge, permission: Permission) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        space, _, _ = await w.community(ada)
        assert await code(w, ada, MakeRole(space, "x", 1 << permission)) is Code.INVALID


async def test_names_and_numbers_of_roles_are_bounded(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        roles = [await w.ok(ada, MakeRole(space, f"r{n}", 0)) for n in range(ROLES_PER_SPACE_MAX)]
        assert await code(w, ada, MakeRole(space, "one more", 0)) is Code.LIMIT
        assert await code(w, ada, ChangeRole(space, roles[0], "R1", 0)) is Code.CONFLICT
        for role in roles[:ROLES_PER_MEMBER_MAX]:
            await w.ok(ada, GiveRole(space, role, ben.user))
        assert await code(w, ada, GiveRole(space, roles[-1], ben.user)) is Code.LIMIT
        await w.ok(ada, GiveRole(space, roles[0], ben.user))
        await w.ok(ada, DropRole(space, roles[-1]))
        assert await code(w, ada, MakeRole(space, "r1", 0)) is Code.CONFLICT
        await w.ok(ada, MakeRole(space, "one more", 0))


@pytest.mark.parametrize("end", ["taken", "changed", "dropped", "left", "lowered"])
async def test_who_may_no_longer_invite_leaves_no_open_doors(bridge: Bridge, end: str) -> None:
    async with world(bridge) as w:
        ada, ben, cat, dan = [await w.person(name) for name in ("ada", "ben", "cat", "dan")]
        space, _, _ = await w.community(ada, ben)
        await w.ok(ada, ChangeSettings(space, "closed", False, "{}"))
        role = await give(w, ada, ben, space, Permission.INVITE)
        await w.ok(ben, Invite(space, cat.user))
        await w.ok(ada, Invite(space, dan.user))
        if end == "lowered":
            await w.ok(ada, SetRole(space, ben.user, Role.MENTOR))
            await w.ok(cat, Join(space))
            return
        ends: dict[str, tuple[Person, AnyOperation]] = {
            "taken": (ada, TakeRole(space, role, ben.user)),
            "changed": (ada, ChangeRole(space, role, "x", 1)),
            "dropped": (ada, DropRole(space, role)),
            "left": (ben, Leave(space)),
        }
        await w.ok(*ends[end])
        assert await code(w, cat, Join(space)) is Code.NOT_FOUND
        await w.ok(dan, Join(space))


async def test_taking_a_role_raises_the_audience_of_every_stream_so_that_decisions_are_made_again(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = [await w.person(name) for name in ("ada", "ben")]
        space, _, _ = await w.community(ada, ben)
        versions = "select audience_version from streams where space_id = $1 order by id"
        role = await give(w, ada, ben, space, Permission.MODERATE)
        before = await w.column(versions, space)
        await w.ok(ada, ChangeRole(space, role, "more", 1 << Permission.MODERATE | 1 << Permission.INVITE))
        assert await w.column(versions, space) == before
        await w.ok(ada, ChangeRole(space, role, "less", 1 << Permission.INVITE))
        await w.ok(ada, TakeRole(space, role, ben.user))
        await w.ok(ada, DropRole(space, role))
        assert await w.column(versions, space) == [version + 3 for version in before]

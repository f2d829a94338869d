"""A community keeps an owner who can log in: one who cannot is no reason to let the last of the others go, and may be removed."""

from __future__ import annotations

from persistence.bridge import Bridge
from protocol.codes import Code
from protocol.operations import Leave, Remove, SetRole
from protocol.values import Role
from tests.persistence.world import Person, World, world


async def owned_by_two(w: World) -> tuple[int, Person, Person]:
    """A community, its owner, and one who is suspended: as one is who came by an archive and is nobody here."""
    ada, ben = await w.person("ada"), await w.person("ben")
    space, _, _ = await w.community(ada, ben)
    await w.ok(ada, SetRole(space, ben.user, Role.OWNER))
    await w.rows("update accounts set disabled_at = now() where id = $1", ben.user)
    return space, ada, ben


async def test_the_last_owner_who_can_log_in_neither_leaves_nor_steps_down(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, ada, _ = await owned_by_two(w)
        assert (await w.ask(ada, Leave(space))).code is not Code.OK
        assert (await w.ask(ada, SetRole(space, ada.user, Role.MODERATOR))).code is not Code.OK
        assert (await w.ask(ada, Remove(space, ada.user))).code is not Code.OK
        assert await w.value("select role from members where user_id = $1 and space_id = $2", ada.user, space) == Role.OWNER


async def test_an_owner_who_cannot_log_in_is_unmade_and_removed_by_one_who_can(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, ada, ben = await owned_by_two(w)
        await w.ok(ada, SetRole(space, ben.user, Role.MODERATOR))
        await w.ok(ada, SetRole(space, ben.user, Role.OWNER))
        await w.ok(ada, Remove(space, ben.user))
        assert await w.column("select user_id from members where space_id = $1", space) == [ada.user]


async def test_of_two_owners_who_can_log_in_one_leaves_and_then_the_other_stays(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = await w.person("ada"), await w.person("ben")
        space, _, _ = await w.community(ada, ben)
        await w.ok(ada, SetRole(space, ben.user, Role.OWNER))
        await w.ok(ada, Leave(space))
        assert (await w.ask(ben, Leave(space))).code is not Code.OK

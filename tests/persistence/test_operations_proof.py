"""Who gives somebody power over a community has shown lately who they are: asked in the transaction that gives it."""

from __future__ import annotations

import pytest

from persistence.bridge import Bridge
from persistence.operations.proving import proven_within
from protocol.codes import Code
from protocol.operations import AnyOperation, ChangeRole, GiveRole, Invite, MakeRole, SetRole
from protocol.permissions import BASE, DANGEROUS, Permission, mask
from protocol.values import Role
from tests.persistence.world import Person, World, world

WITHIN_S = 600.0
POWER = mask((Permission.MANAGE_ROLES,))
HARMLESS = mask((Permission.INVITE, Permission.MODERATE))


async def session(w: World, person: Person, proven_ago_s: float) -> None:
    """The person's device has a session that was proven so long ago."""
    await w.rows("delete from sessions where device_id = $1", person.device)
    await w.rows(
        "insert into sessions (user_id, device_id, expires_at, proven_at)"
        " values ($1, $2, now() + interval '1 day', now() - make_interval(secs => $3))",
        person.user,
        person.device,
        proven_ago_s,
    )


async def answers(w: World, person: Person, operations: list[AnyOperation]) -> list[Code]:
    return [(await w.ask(person, operation)).code for operation in operations]


def test_owners_are_made_by_what_is_dangerous_alone() -> None:
    assert mask(BASE[Role.OWNER]) & DANGEROUS and not mask(BASE[Role.MODERATOR]) & DANGEROUS


async def test_power_over_a_community_is_given_by_who_has_proven_lately_who_they_are_alone(bridge: Bridge) -> None:
    async with world(bridge, prove=proven_within(WITHIN_S)) as w:
        ann, bob, cid, dan = [await w.person(name) for name in ("ann", "bob", "cid", "dan")]
        space, _, _ = await w.community(ann, bob, dan)
        await session(w, ann, 0)
        power = await w.ok(ann, MakeRole(space, "power", POWER))
        harmless = await w.ok(ann, MakeRole(space, "harmless", HARMLESS))
        dangerous: list[AnyOperation] = [
            SetRole(space, bob.user, Role.OWNER),
            Invite(space, cid.user, Role.OWNER),
            MakeRole(space, "more power", POWER),
            ChangeRole(space, harmless, "harmless", HARMLESS | POWER),
            GiveRole(space, power, dan.user),
        ]
        await session(w, ann, WITHIN_S + 1)
        assert await answers(w, ann, dangerous) == [Code.STEP_UP] * len(dangerous)
        assert await w.column("select role from members where space_id = $1 and user_id = $2", space, bob.user) == [Role.LEARNER]
        assert await w.rows("select from invitations where space_id = $1", space) == []
        assert await w.column("select permissions from roles where id = $1", harmless) == [HARMLESS]
        await session(w, ann, WITHIN_S - 60)
        assert await answers(w, ann, dangerous) == [Code.OK] * len(dangerous)


async def test_what_gives_no_such_power_and_what_takes_it_needs_no_proof(bridge: Bridge) -> None:
    async with world(bridge, prove=proven_within(WITHIN_S)) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        space, _, _ = await w.community(ann, bob)
        await session(w, ann, 0)
        power = await w.ok(ann, MakeRole(space, "power", POWER | HARMLESS))
        await w.ok(ann, GiveRole(space, power, bob.user))
        await session(w, ann, WITHIN_S + 1)
        for operation in (
            SetRole(space, bob.user, Role.MODERATOR),
            Invite(space, cid.user, Role.MODERATOR),
            MakeRole(space, "harmless", HARMLESS),
            ChangeRole(space, power, "less power", POWER),
        ):
            assert (await w.ask(ann, operation)).code is Code.OK


@pytest.mark.parametrize("standing", ["never proven", "ended", "none"])
async def test_only_a_living_session_proves_anything(bridge: Bridge, standing: str) -> None:
    async with world(bridge, prove=proven_within(WITHIN_S)) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        if standing != "none":
            await session(w, ann, 0)
        changed = "proven_at = default" if standing == "never proven" else "revoked_at = now()"
        await w.rows(f"update sessions set {changed} where device_id = $1", ann.device)
        assert (await w.ask(ann, SetRole(space, bob.user, Role.OWNER))).code is Code.STEP_UP

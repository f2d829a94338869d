"""Routes say what they need, and hold to it."""

from __future__ import annotations

import pytest

from actors.accounts import Claims
from gateway.problems import Problem
from gateway.web_needs import declared, require
from protocol.codes import Code
from protocol.permissions import OWN, Permission, in_space, on_platform
from tests.gateway.web_world import World

ADA = Claims(user=7, device=8, session=9, issued_at=0, expires_at=2_000_000_000)


def test_every_route_says_what_it_needs() -> None:
    app = World().app
    missing = {str(rule): rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint not in declared(app)}
    assert not missing, f"decorate with @needs(…): {missing}"


async def test_whoever_has_the_permission_goes_on() -> None:
    world = World()
    world.authority.held |= {(7, Permission.READ_AUDIT, 3), (7, Permission.OPERATE, None)}
    await require(world.services, ADA, OWN)
    await require(world.services, ADA, in_space(Permission.READ_AUDIT), 3)
    await require(world.services, ADA, on_platform(Permission.OPERATE))


async def test_a_member_without_it_is_forbidden_and_a_stranger_learns_nothing() -> None:
    world = World()
    world.authority.held |= {(7, Permission.READ, 3)}
    for space, code in ((3, Code.FORBIDDEN), (4, Code.NOT_FOUND)):
        with pytest.raises(Problem) as refused:
            await require(world.services, ADA, in_space(Permission.READ_AUDIT), space)
        assert refused.value.code is code


async def test_a_permission_in_a_community_is_none_on_the_platform() -> None:
    world = World()
    world.authority.held |= {(7, Permission.OPERATE, 3)}
    with pytest.raises(Problem) as refused:
        await require(world.services, ADA, on_platform(Permission.OPERATE))
    assert refused.value.code is Code.FORBIDDEN

"""What commands need, and what roles give."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.frames import AnyCommand, Command
from protocol.operations import AnyOperation, Operation
from protocol.permissions import BASE, ELSEWHERE, EVERYBODY, Needs, Permission, Scope, mask, of_platform, unmask
from protocol.values import Role

DECLARING = [*get_args(AnyOperation), *get_args(AnyCommand)]


@pytest.mark.parametrize("kind", DECLARING, ids=lambda kind: kind.__name__)
def test_every_operation_and_command_says_itself_what_it_needs(kind: type[msgspec.Struct]) -> None:
    declared = vars(kind).get("needs")
    assert isinstance(declared, Needs), f"{kind.__name__} does not say what it needs: needs: ClassVar[Needs] = …"
    if declared.scope in (Scope.SPACE, Scope.PLATFORM):
        assert declared.permission is not None
        assert of_platform(declared.permission) is (declared.scope is Scope.PLATFORM)
    else:
        assert declared.permission is None
        assert not declared.or_own
    assert "needs" not in kind.__struct_fields__, "it is said of the kind, and crosses no wire"


def test_no_operation_or_command_is_left_out_of_the_unions() -> None:
    assert set(DECLARING) == {*Operation.__subclasses__(), *Command.__subclasses__()}


@given(st.frozensets(st.sampled_from(Permission)))
def test_a_set_of_permissions_is_the_sum_that_it_is_kept_as(permissions: frozenset[Permission]) -> None:
    assert unmask(mask(permissions)) == permissions
    assert mask(permissions) < 2**53


def test_a_higher_base_role_may_do_whatever_a_lower_one_may() -> None:
    ladder = [BASE[role] for role in (Role.LEARNER, Role.MENTOR, Role.MODERATOR, Role.OWNER)]
    assert all(low < high for low, high in pairwise(ladder))
    assert BASE[Role.OWNER] == {permission for permission in Permission if not of_platform(permission)}
    assert ELSEWHERE <= BASE[Role.LEARNER]
    assert all(of_platform(permission) for permission in EVERYBODY)

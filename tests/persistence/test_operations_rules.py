"""Who may do what to whom: every rule as a table, and the tables are complete."""

from __future__ import annotations

import itertools

import pytest

from persistence.append import Refuse
from persistence.operations import rules
from persistence.operations.communities import audience, is_json_object
from persistence.operations.rules import Standing
from protocol.codes import Code
from protocol.operations import ChangeSettings, CreateChannel, Invite, Remove, SetRole
from protocol.permissions import BASE, Permission, mask, of_platform
from protocol.values import Role, SpaceKind

O, M, T, L = Role.OWNER, Role.MODERATOR, Role.MENTOR, Role.LEARNER  # noqa: E741 (a table)
COMMUNITY = SpaceKind.COMMUNITY
EVERYBODY = (O, M, T, L, None)


def of(role: Role | None, *custom: Permission) -> Standing:
    return Standing(role, mask(custom))


def code_of(refusal: Refuse | None) -> Code:
    return Code.OK if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("actor", "subject", "code"),
    [
        *((O, subject, Code.OK) for subject in (O, M, T, L)),
        (M, O, Code.FORBIDDEN),
        *((M, subject, Code.OK) for subject in (M, T, L)),
        *((actor, subject, Code.FORBIDDEN) for actor in (T, L) for subject in (O, M, T, L, None)),
        *((actor, None, Code.NOT_FOUND) for actor in (O, M)),
        *((None, subject, Code.NOT_FOUND) for subject in EVERYBODY),
    ],
)
def test_removing(actor: Role | None, subject: Role | None, code: Code) -> None:
    assert code_of(rules.remove(COMMUNITY, of(actor), of(subject), 2, Remove.needs)) is code


def test_the_table_of_removing_has_every_pair() -> None:
    [mark] = [mark for mark in test_removing.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[:2] for row in mark.args[1]} == set(itertools.product(EVERYBODY, EVERYBODY))


@pytest.mark.parametrize(
    ("actor", "role", "code"),
    [
        *((O, role, Code.OK) for role in Role),
        *((M, role, Code.FORBIDDEN) for role in (O, M)),
        *((M, role, Code.OK) for role in (T, L)),
        *((actor, role, Code.FORBIDDEN) for actor in (T, L) for role in Role),
        *((None, role, Code.NOT_FOUND) for role in Role),
    ],
)
def test_inviting(actor: Role | None, role: Role, code: Code) -> None:
    assert code_of(rules.invite(COMMUNITY, of(actor), None, role, None, Invite.needs)) is code


def test_members_are_not_invited_and_a_moderator_does_not_lower_an_owners_invitation() -> None:
    assert code_of(rules.invite(COMMUNITY, of(O), L, T, None, Invite.needs)) is Code.CONFLICT
    assert code_of(rules.invite(COMMUNITY, of(M), None, L, M, Invite.needs)) is Code.CONFLICT
    assert code_of(rules.invite(COMMUNITY, of(O), None, L, M, Invite.needs)) is Code.OK
    assert code_of(rules.invite(COMMUNITY, of(M), None, L, T, Invite.needs)) is Code.OK


@pytest.mark.parametrize(
    ("actor", "subject", "code"),
    [
        *((O, subject, Code.OK) for subject in (O, M, T, L)),
        (O, None, Code.NOT_FOUND),
        *((actor, subject, Code.FORBIDDEN) for actor in (M, T, L) for subject in EVERYBODY),
        *((None, subject, Code.NOT_FOUND) for subject in EVERYBODY),
    ],
)
def test_setting_roles(actor: Role | None, subject: Role | None, code: Code) -> None:
    assert code_of(rules.set_role(COMMUNITY, of(actor), subject, L, 2, SetRole.needs)) is code


def test_a_community_keeps_at_least_one_owner() -> None:
    assert rules.leave(COMMUNITY, O, 1) is rules.LAST_OWNER
    assert rules.remove(COMMUNITY, of(O), of(O), 1, Remove.needs) is rules.LAST_OWNER
    assert rules.set_role(COMMUNITY, of(O), O, M, 1, SetRole.needs) is rules.LAST_OWNER
    assert rules.set_role(COMMUNITY, of(O), O, O, 1, SetRole.needs) is None
    assert rules.leave(COMMUNITY, O, 2) is None
    assert rules.leave(SpaceKind.CONVERSATION, L, 0) is None


def test_conversations_have_no_staff_and_nobody_leaves_ones_own_space() -> None:
    for kind in (SpaceKind.CONVERSATION, SpaceKind.PERSONAL):
        for role in (O, L):
            assert code_of(rules.remove(kind, of(role), of(L), 1, Remove.needs)) is Code.FORBIDDEN
            assert code_of(rules.invite(kind, of(role), None, L, None, Invite.needs)) is Code.FORBIDDEN
            assert code_of(rules.set_role(kind, of(role), L, M, 1, SetRole.needs)) is Code.FORBIDDEN
            assert code_of(rules.need(kind, of(role), ChangeSettings.needs)) is Code.FORBIDDEN
    assert code_of(rules.leave(SpaceKind.PERSONAL, O, 1)) is Code.FORBIDDEN


@pytest.mark.parametrize(
    ("kind", "open_to_all", "invited", "expected"),
    [
        (COMMUNITY, True, None, L),
        (COMMUNITY, True, M, M),
        (COMMUNITY, False, T, T),
        (COMMUNITY, False, None, rules.NOT_FOUND),
        (None, True, L, rules.NOT_FOUND),
        (SpaceKind.CONVERSATION, True, None, rules.NOT_FOUND),
        (SpaceKind.PERSONAL, True, None, rules.NOT_FOUND),
    ],
)
def test_joining(kind: SpaceKind | None, open_to_all: bool, invited: Role | None, expected: Role | Refuse) -> None:
    assert rules.join(kind, open_to_all, invited) == expected


ME, OTHER = 7, 8


@pytest.mark.parametrize(
    ("role", "write_roles", "author", "redacted", "code"),
    [
        (L, 15, ME, False, Code.OK),
        (L, 15, ME, True, Code.GONE),
        (L, 15, OTHER, False, Code.FORBIDDEN),
        (O, 15, OTHER, False, Code.FORBIDDEN),
        (O, 15, OTHER, True, Code.FORBIDDEN),
        (L, 3, ME, False, Code.FORBIDDEN),
        (L, 15, None, False, Code.NOT_FOUND),
        (None, 15, ME, False, Code.NOT_FOUND),
    ],
)
def test_editing(role: Role | None, write_roles: int, author: int | None, redacted: bool, code: Code) -> None:
    assert code_of(rules.edit(COMMUNITY, role, write_roles, author, ME, redacted)) is code


@pytest.mark.parametrize(
    ("kind", "role", "read_roles", "author", "redacted", "code"),
    [
        *((COMMUNITY, role, 15, ME, False, Code.OK) for role in Role),
        *((COMMUNITY, role, 15, OTHER, False, Code.OK) for role in (O, M)),
        *((COMMUNITY, role, 15, OTHER, False, Code.FORBIDDEN) for role in (T, L)),
        (SpaceKind.CONVERSATION, O, 15, OTHER, False, Code.FORBIDDEN),
        (COMMUNITY, O, 8, OTHER, False, Code.FORBIDDEN),
        (COMMUNITY, L, 3, ME, False, Code.FORBIDDEN),
        (COMMUNITY, O, 15, OTHER, True, Code.GONE),
        (COMMUNITY, O, 15, None, False, Code.NOT_FOUND),
        (COMMUNITY, None, 15, ME, False, Code.NOT_FOUND),
    ],
)
def test_deleting(kind: SpaceKind, role: Role | None, read_roles: int, author: int | None, redacted: bool, code: Code) -> None:
    assert code_of(rules.delete(kind, of(role), read_roles, author, ME, redacted)) is code


def test_whoever_writes_in_a_channel_can_read_it() -> None:
    assert audience(3, 15) == (3, 3)
    assert audience(15, 3) == (15, 3)
    assert isinstance(audience(0, 15), Refuse)


@pytest.mark.parametrize("text", ["{}", '{"a": [1, {"b": null}]}', '{"umlaut": "ü"}'])
def test_settings_are_json_objects(text: str) -> None:
    assert is_json_object(text)


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a": "\\u0000"}', "[" * 2000, '{"a":' * 2000])
def test_settings_that_the_database_could_not_hold_are_not(text: str) -> None:
    assert not is_json_object(text)


def test_a_permission_of_a_custom_role_opens_what_declares_it_and_nothing_else() -> None:
    for permission in Permission:
        for operation in (CreateChannel, ChangeSettings, Invite, Remove, SetRole):
            expected = Code.OK if operation.needs.permission is permission else Code.FORBIDDEN
            assert code_of(rules.need(COMMUNITY, of(L, permission), operation.needs)) is expected
            assert code_of(rules.need(COMMUNITY, of(None, permission), operation.needs)) is Code.NOT_FOUND


def test_by_a_custom_role_nobody_appoints_invites_or_removes_who_may_do_more_than_they() -> None:
    inviter, manager, bouncer = of(L, Permission.INVITE), of(L, Permission.MANAGE_ROLES), of(L, Permission.REMOVE_MEMBERS)
    assert code_of(rules.invite(COMMUNITY, inviter, None, L, None, Invite.needs)) is Code.OK
    for role in (T, M, O):
        assert code_of(rules.invite(COMMUNITY, inviter, None, role, None, Invite.needs)) is Code.FORBIDDEN
        assert code_of(rules.invite(COMMUNITY, inviter, None, L, role, Invite.needs)) is Code.CONFLICT
        assert code_of(rules.set_role(COMMUNITY, manager, L, role, 2, SetRole.needs)) is Code.FORBIDDEN
        assert code_of(rules.set_role(COMMUNITY, manager, role, L, 2, SetRole.needs)) is Code.FORBIDDEN
        assert code_of(rules.remove(COMMUNITY, bouncer, of(role), 2, Remove.needs)) is Code.FORBIDDEN
    assert code_of(rules.remove(COMMUNITY, bouncer, of(L), 2, Remove.needs)) is Code.OK
    assert code_of(rules.remove(COMMUNITY, bouncer, of(L, Permission.INVITE), 2, Remove.needs)) is Code.FORBIDDEN
    assert code_of(rules.remove(COMMUNITY, of(M), of(L, Permission.MANAGE_SPACE), 2, Remove.needs)) is Code.FORBIDDEN


def test_even_who_may_do_everything_makes_no_owner_and_removes_none() -> None:
    everything = [permission for permission in Permission if not of_platform(permission)]
    assert mask(everything) == mask(BASE[O])
    deputy = of(L, *everything)
    assert code_of(rules.set_role(COMMUNITY, deputy, L, M, 2, SetRole.needs)) is Code.OK
    assert code_of(rules.set_role(COMMUNITY, deputy, L, O, 2, SetRole.needs)) is Code.FORBIDDEN
    assert code_of(rules.set_role(COMMUNITY, deputy, O, L, 2, SetRole.needs)) is Code.FORBIDDEN
    assert code_of(rules.invite(COMMUNITY, deputy, None, O, None, Invite.needs)) is Code.FORBIDDEN
    assert code_of(rules.remove(COMMUNITY, deputy, of(O), 2, Remove.needs)) is Code.FORBIDDEN

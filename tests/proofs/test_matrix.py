"""The matrix leaves nothing out, says what is declared, and finds what is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proofs.matrixing.declarations import holes, load_samples, route_needs
from proofs.matrixing.site import OPERATIONS, ROUTES
from proofs.matrixing.standing import STANDINGS, Manner, Where, expected
from protocol.codes import Code
from protocol.operations import Say, SetRole
from protocol.permissions import ANYONE, OWN, Needs, Permission, in_space, on_platform, own
from protocol.values import Role
from supervisors.generated import ROOT

OK = frozenset({Code.OK})
BY_NAME = {standing.name: standing for standing in STANDINGS}


def test_every_command_and_route_has_a_declaration_and_a_sample() -> None:
    assert not holes()


def test_a_command_without_a_sample_is_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    load_samples()
    operations: dict[type, object] = dict(OPERATIONS)
    routes: dict[str, object] = dict(ROUTES)
    del operations[Say], routes["auth.log_in"]
    monkeypatch.setattr("proofs.matrixing.declarations.OPERATIONS", operations)
    monkeypatch.setattr("proofs.matrixing.declarations.ROUTES", {**routes, "nowhere": []})
    assert holes() == ["operation Say has no sample", "route auth.log_in has no sample", "route nowhere has a sample and is no more"]


def test_a_command_without_a_declaration_is_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Say, "needs")
    monkeypatch.setitem(route_needs(), "auth.log_in", None)
    assert holes() == ["operation Say does not declare what it needs", "route auth.log_in does not declare what it needs"]


def test_every_role_and_every_permission_is_among_the_standings() -> None:
    assert {standing.role for standing in STANDINGS if standing.name == standing.role.name.lower()} == set(Role)
    assert {permission for one in STANDINGS if one.manner is Manner.MEMBER for permission in one.custom | one.platform} == set(Permission)
    assert {standing.manner for standing in STANDINGS} == set(Manner)


@pytest.mark.parametrize(
    ("needs", "name", "where", "codes"),
    [
        (ANYONE, "no account", Where.OWN, OK),
        (OWN, "no account", Where.OWN, {Code.UNAUTHENTICATED}),
        (OWN, "revoked session", Where.OWN, {Code.REVOKED}),
        (OWN, "stranger", Where.OWN, OK),
        (OWN, "owner", Where.FOREIGN, {Code.NOT_FOUND, Code.FORBIDDEN, Code.UNAUTHENTICATED}),
        (SetRole.needs, "owner", Where.OWN, OK),
        (SetRole.needs, "owner", Where.FOREIGN, {Code.NOT_FOUND}),
        (SetRole.needs, "moderator", Where.OWN, {Code.NOT_FOUND, Code.FORBIDDEN}),
        (SetRole.needs, "custom MANAGE_ROLES", Where.OWN, OK),
        (SetRole.needs, "removed member", Where.OWN, {Code.NOT_FOUND}),
        (SetRole.needs, "stranger", Where.OWN, {Code.NOT_FOUND}),
        (on_platform(Permission.OPERATE), "owner", Where.OWN, {Code.FORBIDDEN, Code.NOT_FOUND}),
        (on_platform(Permission.OPERATE), "platform OPERATE", Where.OWN, OK),
        (on_platform(Permission.CONVERSE), "stranger", Where.OWN, OK),
        (in_space(Permission.READ_AUDIT), "api key with everything", Where.OWN, OK),
        (in_space(Permission.READ_AUDIT), "api key with everything", Where.FOREIGN, {Code.NOT_FOUND}),
        (in_space(Permission.READ_AUDIT), "api key that only reads", Where.OWN, {Code.FORBIDDEN}),
        (in_space(Permission.READ_AUDIT), "api key of a service that may less", Where.OWN, {Code.FORBIDDEN}),
        (in_space(Permission.MANAGE_SPACE, step_up=True), "api key with everything", Where.OWN, {Code.FORBIDDEN}),
        (on_platform(Permission.OPERATE), "api key with everything", Where.OWN, {Code.FORBIDDEN, Code.UNAUTHENTICATED}),
        (OWN, "api key with everything", Where.OWN, {Code.FORBIDDEN, Code.UNAUTHENTICATED}),
        (own(step_up=True), "stale proof", Where.OWN, {Code.STEP_UP}),
        (in_space(Permission.MANAGE_SPACE, step_up=True), "stale proof", Where.OWN, {Code.STEP_UP}),
        (in_space(Permission.MANAGE_SPACE, step_up=True), "stale proof", Where.FOREIGN, {Code.NOT_FOUND}),
    ],
)
def test_what_is_expected_follows_from_the_declaration(needs: Needs, name: str, where: Where, codes: set[Code]) -> None:
    assert expected(needs, BY_NAME[name], where) == codes


def test_what_one_wrote_oneself_needs_membership_alone() -> None:
    needs = in_space(Permission.MODERATE, or_own=True)
    assert expected(needs, BY_NAME["learner"], Where.OWN, own=True) == OK
    assert expected(needs, BY_NAME["learner"], Where.OWN) == {Code.FORBIDDEN, Code.NOT_FOUND}
    assert expected(needs, BY_NAME["removed member"], Where.OWN, own=True) == {Code.NOT_FOUND}


def test_the_matrix_of_one_who_was_removed_is_as_declared() -> None:
    """In a process of its own: it starts servers. Everybody's is `make prove`'s."""
    command = [sys.executable, "-m", "proofs", "matrix", "--only", "removed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(" 0 not as declared, 0 holes"), done.stdout

"""One's own account over HTTP: what each route answers, above all to what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from actors.mfa import Challenge, Method
from gateway.options import AuthLimits, PasswordRules
from gateway.passwords import Passwords
from gateway.rates import Limit
from protocol.codes import Code
from tests.gateway.web_world import CHEAP, NOW, PASSWORD, World

BETTER = "seven herons over cold water"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/account", None),
    ("POST", "/api/v1/account/password", {"old_password": PASSWORD, "new_password": BETTER}),
    ("PUT", "/api/v1/account/email", {"email": "ada@example.org"}),
    ("DELETE", "/api/v1/account/email", None),
    ("PUT", "/api/v1/account/language", {"language": "de"}),
    ("GET", "/api/v1/account/devices", None),
    ("PATCH", "/api/v1/account/devices/1", {"name": "phone"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_without_a_token_there_is_no_account(method: str, path: str, body: Any) -> None:
    (await World().ask(method, path, body)).problem(401, Code.UNAUTHENTICATED)


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_a_session_that_is_over_does_nothing_to_its_account(method: str, path: str, body: Any) -> None:
    world = World()
    mine = await world.register()
    await world.auth("logout", token=mine["access_token"])
    (await world.ask(method, path, body, token=mine["access_token"])).problem(401, Code.REVOKED)


@pytest.mark.parametrize(("method", "path", "body"), [route for route in ROUTES if route[2]])
async def test_a_field_that_nobody_asked_for_is_refused_so_nothing_is_assigned_by_the_way(method: str, path: str, body: Any) -> None:
    world = World()
    mine = await world.register()
    for field in ("user", "email_verified_at", "roles", "password_hash"):
        (await world.ask(method, path, {**body, field: 1}, token=mine["access_token"])).problem(400, Code.INVALID)


async def test_the_password_is_changed_by_who_knows_the_old_one_and_other_sessions_end() -> None:
    world = World()
    mine = await world.register()
    other = (await world.auth("login", {"name": "ada", "password": PASSWORD})).json
    body = {"old_password": PASSWORD, "new_password": BETTER}
    assert (await world.ask("POST", "/api/v1/account/password", body, token=mine["access_token"])).status == 204
    assert set(world.memory.sessions) == {mine["session"]}
    (await world.auth("login", {"name": "ada", "password": PASSWORD})).problem(401, Code.UNAUTHENTICATED)
    assert (await world.auth("login", {"name": "ada", "password": BETTER})).status == 200
    (await world.auth("logout", token=other["access_token"]))


async def test_a_wrong_old_password_changes_nothing_is_written_down_and_limited() -> None:
    world = World(limits=AuthLimits(login_account_address=Limit(2, 0.001)))
    mine = await world.register()
    before = world.memory.people[mine["user"]].password_hash
    body = {"old_password": "not this one", "new_password": BETTER}
    for _ in range(2):
        (await world.ask("POST", "/api/v1/account/password", body, token=mine["access_token"])).problem(403, Code.FORBIDDEN)
    (await world.ask("POST", "/api/v1/account/password", body, token=mine["access_token"])).problem(429, Code.RATE)
    assert world.memory.people[mine["user"]].password_hash == before
    assert world.memory.failed_logins == [mine["user"]] * 2


@pytest.mark.parametrize("password", ["short", "x" * 129, "password1", "ada12345", "aaaaaaaaaaaa"])
async def test_a_password_that_is_easy_to_guess_is_not_set_and_why_is_said_without_it(password: str) -> None:
    world = World()
    mine = await world.register()
    body = {"old_password": PASSWORD, "new_password": password}
    answer = await world.ask("POST", "/api/v1/account/password", body, token=mine["access_token"])
    assert password not in answer.problem(400, Code.INVALID)["detail"]
    assert (await world.auth("login", {"name": "ada", "password": PASSWORD})).status == 200


async def test_a_weak_password_registers_nobody_and_uses_up_no_registration() -> None:
    world = World(limits=AuthLimits(register_address=Limit(1, 0.001)))
    for weak in ("password1", "educonnect", "grace1906"):
        (await world.auth("register", {"name": "grace", "password": weak})).problem(400, Code.INVALID)
    await world.register("grace")


async def test_judging_passwords_is_limited() -> None:
    world = World(limits=AuthLimits(password_address=Limit(1, 0.001)))
    (await world.auth("register", {"name": "ada", "password": "password1"})).problem(400, Code.INVALID)
    (await world.auth("register", {"name": "ada", "password": PASSWORD})).problem(429, Code.RATE)


async def test_an_operator_may_ask_for_less_or_more() -> None:
    weak = World(passwords=Passwords(CHEAP, rules=PasswordRules(score_min=0)))
    assert (await weak.auth("register", {"name": "ada", "password": "password1"})).status == 201
    long = World(passwords=Passwords(CHEAP, rules=PasswordRules(length_min=24)))
    (await long.auth("register", {"name": "ada", "password": PASSWORD})).problem(400, Code.INVALID)


async def test_who_was_here_before_the_rules_still_comes_in() -> None:
    world = World(passwords=Passwords(CHEAP, rules=PasswordRules(score_min=0)))
    await world.auth("register", {"name": "ada", "password": "password1"})
    world.passwords.rules = PasswordRules(length_min=20, score_min=4)
    assert (await world.auth("login", {"name": "ada", "password": "password1"})).status == 200


async def test_the_account_says_what_it_is_and_its_language_can_be_set() -> None:
    world = World()
    mine = await world.register()
    world.identity.emails[mine["user"]] = "ada@example.org"
    assert (await world.ask("PUT", "/api/v1/account/language", {"language": "pt-BR"}, token=mine["access_token"])).status == 204
    for bad in ("xx_YY", "de;drop", "e"):
        answer = await world.ask("PUT", "/api/v1/account/language", {"language": bad}, token=mine["access_token"])
        answer.problem(400, Code.INVALID)
    assert (await world.ask("GET", "/api/v1/account", token=mine["access_token"])).json == {
        "user": mine["user"],
        "name": "ada",
        "display_name": "ada",
        "email": "ada@example.org",
        "email_pending": "",
        "language": "pt-BR",
    }


async def test_an_address_is_offered_in_the_form_that_mail_takes_and_only_by_who_proved_themselves_lately() -> None:
    world = World()
    mine = await world.register()
    answer = await world.ask("PUT", "/api/v1/account/email", {"email": " Ada@Bücher.Example "}, token=mine["access_token"])
    assert answer.status == 202 and answer.body == b""
    assert world.identity.offered == [(mine["user"], "Ada@xn--bcher-kva.example")]
    world.identity.fresh = False
    for method, body in (("PUT", {"email": "ada@example.org"}), ("DELETE", None)):
        (await world.ask(method, "/api/v1/account/email", body, token=mine["access_token"])).problem(403, Code.STEP_UP)


@pytest.mark.parametrize(
    "address", ["", "ada", "@x.example", "ada@", "ada@localhost", "a b@x.example", "a\r\nBcc: b@x.example@y.example", "a@-x.example",
                "a@x..example", "x" * 65 + "@x.example", "a@" + "x" * 250 + ".example", "a@x.example,b@y.example", "<a@x.example>"],
)  # fmt: skip
async def test_what_is_no_address_is_refused_and_nothing_is_mailed(address: str) -> None:
    world = World()
    mine = await world.register()
    (await world.ask("PUT", "/api/v1/account/email", {"email": address}, token=mine["access_token"])).problem(400, Code.INVALID)
    if address:
        answer = await world.auth("register", {"name": "grace", "password": PASSWORD, "email": address})
        answer.problem(400, Code.INVALID)
    assert world.identity.offered == []


async def test_one_mailbox_is_written_to_only_so_often_whoever_asks() -> None:
    world = World(limits=AuthLimits(mail_address=Limit(1, 0.001)))
    first, second = await world.register("ada"), await world.register("grace")
    path, body = "/api/v1/account/email", {"email": "victim@example.org"}
    assert (await world.ask("PUT", path, body, token=first["access_token"])).status == 202
    (await world.ask("PUT", path, {"email": "VICTIM@example.org"}, token=second["access_token"])).problem(429, Code.RATE)
    (await world.auth("register", {"name": "eve", "password": PASSWORD, "email": "victim@example.org"})).problem(429, Code.RATE)


async def test_devices_are_listed_renamed_and_nobody_elses() -> None:
    world = World()
    mine, theirs = await world.register("ada"), await world.register("grace")
    path = f"/api/v1/account/devices/{mine['device']}"
    assert (await world.ask("PATCH", path, {"name": "  my   phone "}, token=mine["access_token"])).status == 204
    (await world.ask("PATCH", path, {"name": "hers"}, token=theirs["access_token"])).problem(404, Code.NOT_FOUND)
    (await world.ask("PATCH", path, {"name": "x" * 81}, token=mine["access_token"])).problem(400, Code.INVALID)
    (await world.ask("PATCH", path, {"name": "a\u202eb"}, token=mine["access_token"])).problem(400, Code.INVALID)
    (device,) = (await world.ask("GET", "/api/v1/account/devices", token=mine["access_token"])).json["devices"]
    assert (device["device"], device["name"], device["session"], device["current"]) == (mine["device"], "my phone", mine["session"], True)


async def test_where_a_second_factor_is_set_a_right_password_opens_nothing_yet() -> None:
    world = World()
    mine = await world.register()
    sessions = set(world.memory.sessions)
    world.memory.challenges[mine["user"]] = Challenge(b"c" * 32, (Method.TOTP, Method.RECOVERY), (), int(NOW) + 300)
    answer = await world.auth("login", {"name": "ada", "password": PASSWORD})
    assert answer.status == 200 and set(answer.json) == {"mfa"}
    assert answer.json["mfa"]["methods"] == ["totp", "recovery"] and answer.json["mfa"]["expires_at"] == NOW + 300
    assert set(world.memory.sessions) == sessions
    (await world.auth("login", {"name": "ada", "password": "wrong one"})).problem(401, Code.UNAUTHENTICATED)


async def test_no_access_token_outlives_its_session() -> None:
    world = World()
    token, expires_at = world.tokens.issue(7, 8, 9, NOW, until=NOW + 20)
    assert expires_at == NOW + 20
    assert world.tokens.verify(token, NOW + 20) is Code.TOKEN_EXPIRED

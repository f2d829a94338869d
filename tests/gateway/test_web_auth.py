"""Identity over HTTP: what each route answers, above all to what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from actors.storage_port import Busy, OutcomeUnknown, StorageError, Unavailable
from gateway.options import LIFETIME_S, AuthLimits, Cost
from gateway.passwords import HashingBusy, Passwords
from gateway.rates import Limit
from gateway.tokens import KeySet, generate_pem
from protocol.codes import Code
from tests.gateway.web_world import ADDRESS, NOW, PASSWORD, World

SESSION_FIELDS = {
    "user",
    "name",
    "display_name",
    "device",
    "session",
    "inbox",
    "access_token",
    "expires_at",
    "refresh_token",
    "refresh_expires_at",
}
BEARER_ROUTES = [
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/logout-others"),
    ("POST", "/api/v1/auth/logout-everywhere"),
    ("GET", "/api/v1/auth/sessions"),
    ("DELETE", "/api/v1/auth/sessions/1"),
]
BODY_ROUTES = ["register", "login", "refresh"]


async def test_registering_opens_a_session_whose_access_token_names_it() -> None:
    world = World()
    answer = await world.auth("register", {"name": "ada", "password": PASSWORD, "display_name": "Ada L.", "device_name": "phone"})
    assert answer.status == 201
    found = answer.json
    assert set(found) == SESSION_FIELDS
    assert (found["name"], found["display_name"], found["expires_at"]) == ("ada", "Ada L.", int(NOW) + LIFETIME_S)
    claims = world.tokens.verify(found["access_token"], NOW)
    assert not isinstance(claims, Code)
    assert (claims.user, claims.device, claims.session) == (found["user"], found["device"], found["session"])


async def test_logging_in_opens_another_session_and_may_keep_its_device() -> None:
    world = World()
    first = await world.register()
    other = (await world.auth("login", {"name": "ADA", "password": PASSWORD})).json
    assert set(other) == SESSION_FIELDS
    assert other["device"] != first["device"]
    same = (await world.auth("login", {"name": "ada", "password": PASSWORD, "device": first["device"]})).json
    assert same["device"] == first["device"] and same["session"] != first["session"]


async def test_a_name_means_what_its_compatibility_form_means() -> None:
    world = World()
    assert (await world.register("Ａｄａ"))["name"] == "Ada"
    (await world.auth("register", {"name": "ada", "password": PASSWORD})).problem(409, Code.CONFLICT)
    assert (await world.auth("login", {"name": "ＡＤＡ", "password": PASSWORD})).status == 200


@pytest.mark.parametrize("name", ["李雷", "Zoë", "мария", "अनिता", "مريم", "a.b-c_d", "7up", "x1", "x" * 40])
async def test_names_of_any_script_can_register(name: str) -> None:
    assert (await World().auth("register", {"name": name, "password": PASSWORD})).status == 201


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a", "1 characters; allowed: 2 to 40"),
        ("x" * 41, "41 characters; allowed: 2 to 40"),
        ("ﷺ" * 3, "characters; allowed: 2 to 40"),
        ("a b", "U+0020 SPACE"),
        ("a@b", "'@' (U+0040 COMMERCIAL AT) at position 2; allowed: letters, digits, and _ . -"),
        ("a\u200bb", "(U+200B ZERO WIDTH SPACE)"),
        ("a\u202eb", "(U+202E RIGHT-TO-LEFT OVERRIDE)"),
        ("a\0b", "(U+0000 without a name)"),
        ("a\u3164b", "(U+1160 HANGUL JUNGSEONG FILLER)"),
        ("a\ufe0fb", "VARIATION SELECTOR-16"),
        ("a😀", "GRINNING FACE"),
        (".ada", "begins with '.'"),
        ("ada.", "ends with '.'"),
        ("\u0301ada", "begins with"),
    ],
)
async def test_a_name_that_cannot_be_is_refused_with_the_reason_and_what_is_allowed(name: str, said: str) -> None:
    problem = (await World().auth("register", {"name": name, "password": PASSWORD})).problem(400, Code.INVALID)
    assert said in problem["detail"] and "allowed" in problem["detail"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("display_name", "x" * 81, "the display name has 81 characters; allowed: up to 80"),
        ("display_name", "a\u202eb", "RIGHT-TO-LEFT OVERRIDE"),
        ("device_name", "a\x07b", "U+0007"),
        ("password", "short", "5 characters; allowed: 8 to 128"),
        ("password", "x" * 129, "129 characters; allowed: 8 to 128"),
        ("password", "x" * 513, "length <= 512 - at `$.password`; allowed fields: name, password, display_name, device_name"),
        ("name", 7, "Expected `str`, got `int` - at `$.name`"),
        ("name", None, "Expected `str`, got `null`"),
        ("role", "owner", "unknown field `role`; allowed fields: name, password, display_name, device_name"),
    ],
)
async def test_a_registration_with_one_wrong_field_is_refused_and_the_field_named(field: str, value: object, said: str) -> None:
    world = World()
    answer = await world.auth("register", {"name": "ada", "password": PASSWORD, field: value})
    problem = answer.problem(400, Code.INVALID)
    assert said in problem["detail"]
    assert not isinstance(value, str) or len(value) < 8 or value not in answer.body.decode()
    assert world.memory.people == {}


@pytest.mark.parametrize("route", BODY_ROUTES)
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff", b'{"name": "\\ud800"}', b"[" * 5000, b"{}"])
async def test_a_body_that_is_not_the_json_object_asked_for_is_refused(route: str, raw: bytes) -> None:
    (await World().ask("POST", f"/api/v1/auth/{route}", raw=raw)).problem(400, Code.INVALID)


@pytest.mark.parametrize("route", BODY_ROUTES)
async def test_a_body_of_another_type_or_size_is_refused(route: str) -> None:
    world, path = World(), f"/api/v1/auth/{route}"
    (await world.ask("POST", path, raw=b"name=ada", headers={"Content-Type": "application/x-www-form-urlencoded"})).problem(
        415, Code.INVALID
    )
    (await world.ask("POST", path, raw=b"{}", headers={"Content-Type": ""})).problem(415, Code.INVALID)
    problem = (await world.ask("POST", path, raw=b'{"name": "' + b"x" * 9000)).problem(413, Code.TOO_LARGE)
    assert "8192 bytes" in problem["detail"]


@pytest.mark.parametrize(
    "change", [{"device": -1}, {"device": 2**53}, {"device": "7"}, {"device": 1.5}, {"device_name": "a\x07"}, {"extra": 1}]
)
async def test_a_login_with_a_wrong_field_is_refused(change: dict[str, object]) -> None:
    world = World()
    await world.register()
    (await world.auth("login", {"name": "ada", "password": PASSWORD, **change})).problem(400, Code.INVALID)


@pytest.mark.parametrize("token", ["", "x" * 201, 7, None])
async def test_a_refresh_with_a_wrong_field_is_refused(token: object) -> None:
    (await World().auth("refresh", {"refresh_token": token})).problem(400, Code.INVALID)


async def test_a_wrong_password_an_unknown_name_and_an_impossible_one_are_answered_alike() -> None:
    world = World()
    ada = await world.register()
    answers = [
        await world.auth("login", {"name": name, "password": password})
        for name, password in [("ada", "wrong password"), ("eve", PASSWORD), ("no such name!", PASSWORD), ("", PASSWORD), ("ada", "")]
    ]
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    problem = answers[0].problem(401, Code.UNAUTHENTICATED)
    assert "token" not in problem["title"], "whoever typed a password knows of no token"
    assert world.memory.failed_logins == [ada["user"], 0, 0, 0, ada["user"]]
    assert world.passwords.done == 1 + len(answers), "one hash for the registration, and one for each attempt, known or not"


async def test_a_disabled_account_is_told_so_once_its_password_was_right() -> None:
    world = World()
    ada = await world.register()
    world.memory.people[ada["user"]].disabled = True
    (await world.auth("login", {"name": "ada", "password": PASSWORD})).problem(403, Code.FORBIDDEN)
    (await world.auth("login", {"name": "ada", "password": "wrong password"})).problem(401, Code.UNAUTHENTICATED)


async def test_a_hash_of_an_older_cost_is_replaced_at_the_next_login() -> None:
    world = World()
    ada = await world.register()
    person = world.memory.people[ada["user"]]
    person.password_hash = old = await Passwords(Cost(memory_kib=16, rounds=1, lanes=1)).hash(PASSWORD)
    assert (await world.auth("login", {"name": "ada", "password": PASSWORD})).status == 200
    assert person.password_hash != old and ",t=1,p=1$" in person.password_hash and "m=8," in person.password_hash


async def test_registration_can_be_closed() -> None:
    (await World(registration_open=False).auth("register", {"name": "ada", "password": PASSWORD})).problem(403, Code.FORBIDDEN)


async def test_refreshing_gives_the_next_pair_and_says_why_it_does_not() -> None:
    world = World()
    ada = await world.register()
    world.now += 600
    following = (await world.auth("refresh", {"refresh_token": ada["refresh_token"]})).json
    assert set(following) == SESSION_FIELDS
    assert following["expires_at"] == ada["expires_at"] + 600
    assert (following["session"], following["device"]) == (ada["session"], ada["device"])
    (await world.auth("refresh", {"refresh_token": "unknown"})).problem(401, Code.UNAUTHENTICATED)
    (await world.auth("refresh", {"refresh_token": ada["refresh_token"]})).problem(401, Code.REVOKED)


@pytest.mark.parametrize(("method", "path"), BEARER_ROUTES)
async def test_without_a_good_access_token_nothing_is_done(method: str, path: str) -> None:
    world = World()
    ada = await world.register()
    foreign, _ = KeySet(generate_pem()).issue(ada["user"], ada["device"], ada["session"], NOW)
    for header in (
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer x",
        f"Token {ada['access_token']}",
        f"Bearer {foreign}",
        "Bearer " + "x" * 5000,
    ):
        (await world.ask(method, path, headers={"Authorization": header})).problem(401, Code.UNAUTHENTICATED)
    (await world.ask(method, path, token=ada["refresh_token"])).problem(401, Code.UNAUTHENTICATED)
    world.now += LIFETIME_S
    (await world.ask(method, path, token=ada["access_token"])).problem(401, Code.TOKEN_EXPIRED)
    assert ada["session"] in world.memory.sessions


async def test_logging_out_ends_this_session_alone_and_may_be_repeated() -> None:
    world = World()
    ada = await world.register()
    other = (await world.auth("login", {"name": "ada", "password": PASSWORD})).json
    for _ in range(2):
        answer = await world.auth("logout", token=ada["access_token"])
        assert (answer.status, answer.body) == (204, b"")
    assert set(world.memory.sessions) == {other["session"]}


async def test_logging_out_everywhere_ends_every_session_of_this_account_alone() -> None:
    world = World()
    ada, eve = await world.register("ada"), await world.register("eve")
    await world.auth("login", {"name": "ada", "password": PASSWORD})
    assert (await world.auth("logout-everywhere", token=ada["access_token"])).status == 204
    assert set(world.memory.sessions) == {eve["session"]}
    (await world.auth("logout-everywhere", token=ada["access_token"])).problem(401, Code.REVOKED)


async def test_sessions_are_listed_with_the_asking_one_marked() -> None:
    world = World()
    ada = await world.register()
    other = (await world.auth("login", {"name": "ada", "password": PASSWORD, "device_name": "laptop"})).json
    listed = (await world.ask("GET", "/api/v1/auth/sessions", token=ada["access_token"])).json["sessions"]
    assert [(one["session"], one["device_name"], one["current"]) for one in listed] == [
        (ada["session"], "phone", True),
        (other["session"], "laptop", False),
    ]
    assert {one["address"] for one in listed} == {ADDRESS}
    await world.auth("logout", token=ada["access_token"])
    (await world.ask("GET", "/api/v1/auth/sessions", token=ada["access_token"])).problem(401, Code.REVOKED)


async def test_one_session_is_ended_by_its_number_and_somebody_elses_is_not_found() -> None:
    world = World()
    ada, eve = await world.register("ada"), await world.register("eve")
    other = (await world.auth("login", {"name": "ada", "password": PASSWORD})).json
    path = "/api/v1/auth/sessions/"
    assert (await world.ask("DELETE", f"{path}{other['session']}", token=ada["access_token"])).status == 204
    for number in (eve["session"], 10**9, 0, -1, 2**53, 2**70, "x", "1.5", "", "..", "%00"):
        answer = await world.ask("DELETE", f"{path}{number}", token=ada["access_token"])
        answer.problem(404, Code.NOT_FOUND)
    assert set(world.memory.sessions) == {ada["session"], eve["session"]}


async def test_logging_out_the_others_leaves_the_session_that_asks() -> None:
    world = World()
    ada, eve = await world.register("ada"), await world.register("eve")
    for _ in range(3):
        await world.auth("login", {"name": "ada", "password": PASSWORD})
    for _ in range(2):
        assert (await world.auth("logout-others", token=ada["access_token"])).status == 204
        assert set(world.memory.sessions) == {ada["session"], eve["session"]}


async def test_the_address_and_software_of_a_caller_are_kept_in_bounds() -> None:
    world = World()
    answer = await world.ask(
        "POST",
        "/api/v1/auth/register",
        {"name": "ada", "password": PASSWORD},
        headers={"User-Agent": "x\x1b[31m" + "y" * 5000},
        address="2001:db8::7",
    )
    assert answer.status == 201
    (caller,) = world.memory.callers
    assert caller.address == "2001:db8::7"
    assert caller.software.startswith("x?[31my") and len(caller.software) == 200


# Too many, too slow, away


def tight(**changed: Limit) -> AuthLimits:
    generous = Limit(burst=1000, per_s=1000)
    return AuthLimits(**{name: changed.get(name, generous) for name in AuthLimits.__struct_fields__})


@pytest.mark.parametrize(
    ("limit", "route", "bodies"),
    [
        ("register_address", "register", [{"name": f"ada{number}", "password": PASSWORD} for number in range(3)]),
        ("login_address", "login", [{"name": f"ada{number}", "password": PASSWORD} for number in range(3)]),
        ("login_account_address", "login", [{"name": name, "password": PASSWORD} for name in ("ada", "ADA", "Ａda")]),
        ("login_account", "login", [{"name": name, "password": PASSWORD} for name in ("ada", "ADA", "Ａda")]),
        ("refresh_address", "refresh", [{"refresh_token": f"x{number}"} for number in range(3)]),
    ],
)
async def test_one_too_many_is_told_how_long_to_wait_and_costs_no_hash(limit: str, route: str, bodies: list[dict[str, Any]]) -> None:
    world = World(limits=tight(**{limit: Limit(burst=2, per_s=0.1)}))
    for body in bodies[:2]:
        assert (await world.auth(route, body)).status in (201, 401)
    hashed = world.passwords.done
    problem = (await world.auth(route, bodies[2])).problem(429, Code.RATE)
    assert problem["retry_after_s"] == 10
    assert world.passwords.done == hashed
    world.rates.now += 10
    assert (await world.auth(route, bodies[2])).status in (201, 401)


async def test_limits_by_address_count_a_whole_ipv6_network_as_one_and_others_apart() -> None:
    world = World(limits=tight(login_address=Limit(burst=1, per_s=0.1)))
    body = {"name": "ada", "password": PASSWORD}
    assert (await world.auth("login", body, address="2001:db8:0:1::1")).status == 401
    (await world.auth("login", body, address="2001:db8:0:1:ffff::2")).problem(429, Code.RATE)
    assert (await world.auth("login", body, address="2001:db8:0:2::1")).status == 401


async def test_guessing_at_one_account_from_many_addresses_is_limited_and_leaves_open_sessions_alone() -> None:
    world = World(limits=tight(login_account=Limit(burst=2, per_s=0.1)))
    ada = await world.register()
    answers = [await world.auth("login", {"name": "ada", "password": "a wrong guess"}, address=f"198.51.100.{host}") for host in range(3)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert (await world.auth("refresh", {"refresh_token": ada["refresh_token"]})).status == 200


async def test_no_name_that_somebody_typed_becomes_part_of_a_key() -> None:
    world = World()
    await world.auth("login", {"name": "ada\r\nFLUSHALL", "password": PASSWORD})
    await world.auth("login", {"name": "ada", "password": PASSWORD})
    assert all("ada" not in str(key) and "FLUSHALL" not in str(key) for _, key in world.rates.asked)


@pytest.mark.parametrize("route", ["register", "login"])
async def test_when_too_many_passwords_wait_it_says_when_to_come_back(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def busy(*_: object) -> None:
        raise HashingBusy(7.2)

    monkeypatch.setattr(world.passwords, "hash", busy)
    monkeypatch.setattr(world.passwords, "verify", busy)
    problem = (await world.auth(route, {"name": "ada", "password": PASSWORD})).problem(503, Code.BUSY)
    assert problem["retry_after_s"] == 8


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Busy("primary: 1024 calls are under way"), Code.BUSY, "nothing was done"),
        (Unavailable("refused", "connect to 10.0.0.5 port 5432"), Code.UNAVAILABLE, "nothing was done"),
        (OutcomeUnknown("lost: SSL connection has been closed"), Code.UNAVAILABLE, "may have taken effect"),
    ],
)
async def test_storage_that_is_away_is_told_on_every_route_without_its_secrets(error: StorageError, code: Code, said: str) -> None:
    world = World()
    ada = await world.register()
    world.memory.failing = error
    asked = [
        await world.auth("register", {"name": "eve", "password": PASSWORD}),
        await world.auth("login", {"name": "ada", "password": PASSWORD}),
        await world.auth("refresh", {"refresh_token": ada["refresh_token"]}),
        *[await world.ask(method, path, token=ada["access_token"]) for method, path in BEARER_ROUTES],
    ]
    for answer in asked:
        problem = answer.problem(503, code)
        assert said in problem["detail"] and problem["retry_after_s"] >= 1
        assert str(error) not in answer.body.decode() and "10.0.0.5" not in answer.body.decode()


async def test_a_request_that_takes_too_long_is_given_up(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def forever(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(world.memory, "refresh", forever)
    started = trio.current_time()
    answer = await world.auth("refresh", {"refresh_token": "x"})
    assert "asking again is safe" in answer.problem(503, Code.UNAVAILABLE)["detail"]
    assert trio.current_time() - started == pytest.approx(10)


async def test_a_fault_of_ours_is_a_problem_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def crash(*_: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(world.memory, "refresh", crash)
    answer = await world.auth("refresh", {"refresh_token": "x"})
    answer.problem(500, Code.FAULT)
    assert b"secret" not in answer.body


async def test_whoever_asks_is_told_who_they_are() -> None:
    world = World()
    ada = await world.register("ada")
    answer = await world.ask("GET", "/api/v1/auth/me", token=ada["access_token"])
    assert answer.status == 200
    assert answer.json == {field: ada[field] for field in ("user", "name", "display_name", "device", "session")}
    (await world.ask("GET", "/api/v1/auth/me")).problem(401, Code.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "me"), ("GET", "sessions"), ("DELETE", "sessions/1"), ("POST", "logout-others"), ("POST", "logout-everywhere")],
)
async def test_a_session_that_is_over_opens_no_door_though_its_token_lives_on(method: str, path: str) -> None:
    world = World()
    ada = await world.register("ada")
    assert (await world.auth("logout", token=ada["access_token"])).status == 204
    (await world.ask(method, f"/api/v1/auth/{path}", token=ada["access_token"])).problem(401, Code.REVOKED)
    assert (await world.auth("logout", token=ada["access_token"])).status == 204, "its answer may have been lost"

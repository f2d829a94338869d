"""What is answered without a session: nothing that depends on whether an account exists."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from gateway.options import AuthLimits
from gateway.passwords import Passwords
from gateway.rates import Limit
from gateway.web_recovery import PAGE
from protocol.codes import Code
from tests.gateway.web_world import PASSWORD, World

BETTER = "seven herons over cold water"
CODE = "c" * 43


async def test_whoever_is_named_forgot_is_answered_alike_after_the_same_work() -> None:
    world = World()
    await world.register("ada")
    answers = []
    asked: list[list[str]] = []
    for named in ("ada", "nobody", "ada@example.org", "nobody@example.org", "not a name at all!", "@"):
        world.rates.asked.clear()
        answer = await world.ask("POST", "/api/v1/auth/password/forgot", {"account": named})
        answers.append((answer.status, answer.body, sorted(answer.headers.items())))
        asked.append([name for name, _ in world.rates.asked])
    assert all(answer == answers[0] for answer in answers) and answers[0][0] == 202
    assert all(names == asked[0] for names in asked)
    # One job each: it, and not the request, looks who was meant.
    assert world.identity.asked == ["ada", "nobody", "ada@example.org", "nobody@example.org", "", ""]


async def test_asking_for_links_is_limited_by_address_and_by_who_is_named_whether_they_exist_or_not() -> None:
    world = World(limits=AuthLimits(recover_account=Limit(1, 0.001)))
    await world.register("ada")
    for named, again in (("ada", "ADA"), ("nobody", "Nobody")):
        assert (await world.ask("POST", "/api/v1/auth/password/forgot", {"account": named})).status == 202
        answer = await world.ask("POST", "/api/v1/auth/password/forgot", {"account": again}, address="198.51.100.77")
        answer.problem(429, Code.RATE)
    world = World(limits=AuthLimits(recover_address=Limit(1, 0.001)))
    assert (await world.ask("POST", "/api/v1/auth/password/forgot", {"account": "a1"})).status == 202
    (await world.ask("POST", "/api/v1/auth/password/forgot", {"account": "b1"})).problem(429, Code.RATE)


async def test_no_name_that_somebody_forgot_becomes_part_of_a_key() -> None:
    world = World()
    await world.ask("POST", "/api/v1/auth/password/forgot", {"account": "grace.hopper"})
    assert not any("grace" in str(key) for _, key in world.rates.asked)


async def test_a_link_sets_another_password_once_ends_every_session_and_opens_none() -> None:
    world = World()
    mine = await world.register("ada")
    world.identity.links[CODE] = mine["user"]
    answer = await world.ask("POST", "/api/v1/auth/password/reset", {"code": CODE, "password": BETTER})
    assert (answer.status, answer.body) == (204, b"")
    assert world.memory.sessions == {}
    (await world.ask("POST", "/api/v1/auth/password/reset", {"code": CODE, "password": PASSWORD})).problem(410, Code.GONE)
    assert (await world.auth("login", {"name": "ada", "password": BETTER})).status == 200


async def test_a_weak_password_does_not_use_the_link_up() -> None:
    world = World()
    mine = await world.register("ada")
    world.identity.links[CODE] = mine["user"]
    for weak in ("short", "password1", "ada12345"):
        (await world.ask("POST", "/api/v1/auth/password/reset", {"code": CODE, "password": weak})).problem(400, Code.INVALID)
    assert (await world.ask("POST", "/api/v1/auth/password/reset", {"code": CODE, "password": BETTER})).status == 204


async def test_a_code_of_nobodys_costs_no_hash_and_trying_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(limits=AuthLimits(link_address=Limit(2, 0.001)))

    async def hash(self: Passwords, password: str) -> str:
        raise AssertionError("hashed")

    monkeypatch.setattr(Passwords, "hash", hash)
    (await world.ask("POST", "/api/v1/auth/password/reset", {"code": CODE, "password": BETTER})).problem(410, Code.GONE)
    (await world.ask("POST", "/api/v1/auth/email/verify", {"code": CODE})).problem(410, Code.GONE)
    (await world.ask("POST", "/api/v1/auth/email/verify", {"code": CODE})).problem(429, Code.RATE)


async def test_a_link_proves_an_address_once() -> None:
    world = World()
    mine = await world.register("ada")
    world.identity.links[CODE] = mine["user"]
    assert (await world.ask("POST", "/api/v1/auth/email/verify", {"code": CODE})).status == 204
    (await world.ask("POST", "/api/v1/auth/email/verify", {"code": CODE})).problem(410, Code.GONE)


async def test_fetching_a_link_does_nothing_and_its_page_runs_its_own_script_alone() -> None:
    world = World()
    answer = await world.ask("GET", "/account/link")
    assert answer.status == 200 and answer.body.decode() == PAGE
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    # What it writes is text, whatever the server or the address says.
    assert "innerHTML" not in PAGE and "textContent" in PAGE


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:8000@evil.example"])
async def test_no_header_says_where_a_link_leads(host: str) -> None:
    world = World()
    headers = {"Host": host, "X-Forwarded-Host": host}
    assert (await world.ask("POST", "/api/v1/auth/password/forgot", {"account": "ada"}, headers=headers)).status == 202
    assert world.identity.asked == ["ada"]  # nothing else of the request is handed on

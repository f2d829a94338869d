"""Guessing at the door: by one stranger, by many, at one account, at all of them; with Redis and without it."""

from __future__ import annotations

import random
from pathlib import Path

import trio

from gateway.options import AuthLimits
from gateway.passwords import Passwords
from gateway.rates import FALLBACK_KEYS_MAX, Limit, Rates
from gateway.redis_connection import RedisAddress, Way
from gateway.resp import Commands
from protocol.codes import Code
from tests.gateway.web_world import CHEAP, PASSWORD, World

LEAKED = ("password1", "qwerty123", "letmein99", "iloveyou2")


async def test_a_list_of_stolen_passwords_tried_from_one_network_gets_no_further_than_its_limit() -> None:
    world = World(limits=AuthLimits(login_address=Limit(20, 0.001)))
    await world.register("ada")
    hashed = world.passwords.done
    answers = [await world.auth("login", {"name": f"somebody{n}", "password": LEAKED[n % 4]}) for n in range(60)]
    assert [answer.status for answer in answers] == [401] * 20 + [429] * 40
    assert world.passwords.done == hashed + 20, "what is refused for its rate costs no hash"
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers[20:])
    # Elsewhere nobody notices.
    assert (await world.auth("login", {"name": "ada", "password": PASSWORD}, address="198.51.100.4")).status == 200


async def test_one_account_tried_from_thousands_of_networks_is_limited_as_one() -> None:
    world = World(limits=AuthLimits(login_account=Limit(30, 0.001)))
    await world.register("ada")
    answers = [
        await world.auth("login", {"name": "ada", "password": LEAKED[n % 4]}, address=f"198.51.{n // 250}.{n % 250 + 1}")
        for n in range(100)
    ]
    assert [answer.status for answer in answers] == [401] * 30 + [429] * 70


async def test_a_leaked_password_cannot_be_chosen_here() -> None:
    world = World()
    for n, leaked in enumerate(LEAKED):
        (await world.auth("register", {"name": f"somebody{n}", "password": leaked})).problem(400, Code.INVALID)


async def test_a_thousand_networks_that_try_a_thousand_accounts_at_once_find_a_bounded_queue() -> None:
    world = World(passwords=Passwords(CHEAP, waiting_max=8))
    await world.register("ada")
    statuses: list[int] = []

    async def attempt(n: int) -> None:
        answer = await world.auth("login", {"name": f"somebody{n}", "password": LEAKED[n % 4]}, address=f"203.0.{n // 250}.{n % 250 + 1}")
        statuses.append(answer.status)
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) >= 1
            assert "nothing was done" in answer.problem(503, Code.BUSY)["detail"]

    async with trio.open_nursery() as nursery:
        for n in range(60):
            nursery.start_soon(attempt, n)
    assert set(statuses) == {401, 503}
    assert world.passwords.waiting == 0 and world.passwords.refused == statuses.count(503)
    assert (await world.auth("login", {"name": "ada", "password": PASSWORD})).status == 200


async def test_without_redis_the_door_still_counts_by_itself_in_a_bounded_table(tmp_path: Path) -> None:
    now = 1000.0
    commands = Commands(Way(RedisAddress(socket_path=str(tmp_path / "nobody")), "rates"), random=random.random)
    rates = Rates(commands, now=lambda: now)
    limits = AuthLimits()
    tried = [(await rates.take("login-account-address", "ada:203.0.113.0", limits.login_account_address)).allowed for _ in range(15)]
    assert tried == [True] * limits.login_account_address.burst + [False] * 5
    assert rates.local_decisions == 15
    # Whoever floods it with other keys gets memory that is bounded, and back what they had used up: at 60 log-ins an address and one a
    # second, an hour of a thousand addresses.
    assert FALLBACK_KEYS_MAX <= 50_000

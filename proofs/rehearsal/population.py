"""Everybody and everything that a rehearsal needs, made through the front door: registration, log-ins, communities, joins.

    users ─register─▶ a first device each ─log in─▶ the other devices
    owners ─CreateCommunity, CreateChannel─▶ ─Join─▶ members

Registrations and log-ins are limited by address, as they should be: so each user has an address of its own, told in the header of a
balancer that this installation is set to trust. Sockets come from the loopback address as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType

import httpx
import trio
from msgspec import Struct

from client import Account, Credentials
from client.account import TIMEOUT_S
from proofs.rehearsal.device import Badge, Device
from proofs.rehearsal.verdict import Fact
from proofs.rehearsal.wire import Wire
from protocol.operations import CreateChannel, CreateCommunity, Join

ENVIRONMENT = {
    # Hashing is tried elsewhere; 300 of the real ones would take this machine's two cores ten seconds before anything begins.
    "EDUCONNECT_PASSWORDS_MEMORY_KIB": "8192",
    "EDUCONNECT_PASSWORDS_ROUNDS": "1",
    "EDUCONNECT_PROXY_NETWORKS": "127.0.0.1/32",
    "EDUCONNECT_PROXY_HEADER": "x-forwarded-for",
    "EDUCONNECT_LOG_LEVEL": "error",
    "EDUCONNECT_MODERATION_FLOODING": "false",
}
"""What the servers of a rehearsal are told beyond what `dev` tells them."""
PASSWORD = "nobody-keeps-this-one"
COMMUNITIES_A_USER = 3
AT_ONCE = 8
"""Accounts made at a time: what the hashing queue of two gateways takes."""


class Plan(Struct, frozen=True):
    """How many of what."""

    users: int
    devices: int
    communities: int


class Door:
    """Where people register and log in: any gateway, each person from an address of their own."""

    def __init__(self, urls: Callable[[], Sequence[str]], chance: Random) -> None:
        self._urls = urls
        self._chance = chance
        self._transport = httpx.AsyncHTTPTransport(verify=False)  # plain HTTP; loading certificates for each client takes 30 ms

    async def __aenter__(self) -> Door:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with trio.move_on_after(1, shield=True):
            await self._transport.aclose()

    def account(self, user: int) -> Account:
        """The HTTP side of one person, at a gateway chosen anew for each call."""
        headers = {"x-forwarded-for": f"10.0.{user // 250}.{user % 250 + 1}"}
        client = httpx.AsyncClient(transport=self._transport, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        return Account(self._chance.choice(list(self._urls())), client)


async def make_devices(plan: Plan, door: Door, urls: Callable[[], Sequence[str]], chance: Random) -> list[Device]:
    """Registers every user and logs every further device in. The first `plan.users` devices are one of each user."""
    badges: list[Badge | None] = [None] * plan.devices
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def make(number: int) -> None:
        user = number % plan.users
        async with limiter:
            account = door.account(user)
            name = f"user-{user}"
            credentials: Credentials
            if number < plan.users:
                credentials = await account.register(name, PASSWORD, f"User {user}", "first")
            else:
                credentials = await account.login(name, PASSWORD, device_name=f"device {number}")
            badges[number] = Badge(credentials, lambda: door.account(user))

    for numbers in (range(plan.users), range(plan.users, plan.devices)):
        async with trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(make, number)
    interned: dict[tuple[int, Fact], Fact] = {}
    return [Device(badge, Wire(urls, Random(chance.random())), interned) for badge in badges if badge is not None]


async def make_communities(plan: Plan, devices: Sequence[Device], chance: Random) -> None:
    """Founds the communities, each with a second channel, and lets everybody join some; then every device follows what it may read."""
    people = devices[: plan.users]
    spaces: list[int] = [0] * plan.communities

    async def found(number: int) -> None:
        owner = people[number % len(people)].session
        spaces[number] = await owner.do(CreateCommunity(f"Village {number + 1}"))
        await owner.do(CreateChannel(spaces[number], "fractions"))

    async with trio.open_nursery() as nursery:
        for number in range(plan.communities):
            nursery.start_soon(found, number)
    async with trio.open_nursery() as nursery:
        for number, person in enumerate(people):
            own = set(range(number, plan.communities, len(people)))
            others = [number for number in range(plan.communities) if number not in own]
            for there in chance.sample(others, min(COMMUNITIES_A_USER, len(others))):
                nursery.start_soon(person.session.do, Join(spaces[there]))
    async with trio.open_nursery() as nursery:
        for device in devices:
            nursery.start_soon(device.enter)

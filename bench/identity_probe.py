"""What identity costs: `python -m bench.identity_probe`. CPU time of this process and of Postgres, through the application itself.

Everything runs in one process on a real, temporary Postgres; HTTP parsing by hypercorn is not included.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import trio

from actors.accounts import Claims
from actors.storage import Fact
from gateway.metrics import Metrics
from gateway.options import OWASP, Cost, RelyingParty
from gateway.passkeys import PasskeyReader
from gateway.passwords import Passwords
from gateway.rates import Decision, Limit
from gateway.seals import DERIVED_BYTES, Seals
from gateway.tokens import KeySet, generate_pem
from gateway.totp import PURPOSE, TotpReader
from gateway.web import create_app
from gateway.web_services import Services
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge, BridgeOptions
from persistence.identity.own import PostgresIdentity
from persistence.journal import Journal
from persistence.migrate import apply_migrations, read_migrations
from persistence.multi_factor import PostgresMultiFactor
from persistence.roles import PostgresAuthority
from persistence.store import Store
from protocol.codes import Code
from supervisors.embedded_postgres import Postgres, PostgresOptions, start

LOGINS = 100
REFRESHES = 500
SIGNATURES = 2000
PASSWORD = "correct horse battery"
TERMS = bytes(13)
"""As long as what a gateway offers, in bytes."""


class Silence:
    """A herald that tells nobody."""

    def committed(self, facts: Sequence[Fact]) -> None:
        pass


class Unlimited:
    """Rates that allow everything."""

    async def take(self, name: str, key: str | int, limit: Limit, cost: int = 1) -> Decision:
        return Decision(True)


class Everybody:
    """Sessions that never end: what is measured here comes before there is one."""

    async def admit(self, claims: Claims, now: float) -> Code:
        return Code.OK


class Api:
    """The application with passwords of some cost, and a client for it."""

    def __init__(self, bridge: Bridge, cost: Cost) -> None:
        keys, passkeys = KeySet(generate_pem()), PasskeyReader(RelyingParty())
        services = Services(
            accounts=PostgresAccounts(bridge, Silence()),
            identity=PostgresIdentity(bridge, Silence()),
            authority=PostgresAuthority(bridge),
            multi_factor=PostgresMultiFactor(bridge, TotpReader(Seals(keys.derive(PURPOSE, DERIVED_BYTES))), passkeys),
            passkeys=passkeys,
            tokens=keys,
            sessions=Everybody(),
            passwords=Passwords(cost),
            rates=Unlimited(),
            metrics=Metrics([]),
            probes={},
            store=Store(bridge),
            journal=Journal(bridge, Silence(), lambda: None),
            overtake=lambda device, generation: None,
        )
        self._client: Any = create_app(services).test_client()

    async def post(self, route: str, body: object) -> dict[str, Any]:
        data, headers = msgspec.json.encode(body), {"Content-Type": "application/json"}
        response = await self._client.post(f"/api/v1/auth/{route}", data=data, headers=headers)
        found: dict[str, Any] = msgspec.json.decode(await response.get_data(as_text=False))
        assert response.status_code in (200, 201), found
        return found


def main() -> None:
    tokens()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = start(PostgresOptions(Path(folder) / "data"))
        try:
            trio.run(routes, server)
        finally:
            server.stop()


def tokens() -> None:
    keys = KeySet(generate_pem(), epoch=lambda: 1)
    issued: list[str] = []
    report("issue a token", SIGNATURES, lambda number: issued.append(keys.issue(number + 1, 1, 1, 1000)[0]))
    report("verify a token, first time", SIGNATURES, lambda number: keys.verify(issued[number], 1001))
    report("verify a token, remembered", SIGNATURES, lambda number: keys.verify(issued[number], 1001))
    tickets: list[bytes] = []
    claims = [Claims(1_000_000 + number, 2_000_000 + number, 3_000_000 + number, 0, 1_900) for number in range(SIGNATURES)]
    report("seal a ticket", SIGNATURES, lambda number: tickets.append(keys.seal(claims[number], 1, TERMS)))
    report("unseal a ticket", SIGNATURES, lambda number: keys.unseal(tickets[number], TERMS, 1001))


def report(what: str, count: int, work: Callable[[int], object]) -> None:
    begun = time.process_time()
    for number in range(count):
        work(number)
    print(f"{what:44} {(time.process_time() - begun) / count * 1e6:8.1f} µs")


async def routes(server: Postgres) -> None:
    bridge = Bridge(BridgeOptions(server.dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.run(lambda connection: apply_migrations(connection, read_migrations()), deadline_s=60, isolation="none")
        dear, cheap = Api(bridge, OWASP), Api(bridge, Cost(memory_kib=8, rounds=1, lanes=1))
        for name, label, api in (("ada", "argon2id 19 MiB, t=2", dear), ("eve", "argon2id at nearly nothing", cheap)):
            session = await api.post("register", {"name": name, "password": PASSWORD})
            body = {"name": name, "password": PASSWORD, "device": session["device"]}
            await measure(f"log in, {label}", LOGINS, partial(api.post, "login", body), server.pid)
        token = (await cheap.post("login", {"name": "eve", "password": PASSWORD}))["refresh_token"]

        async def refresh() -> None:
            nonlocal token
            token = (await cheap.post("refresh", {"refresh_token": token}))["refresh_token"]

        await measure("refresh", REFRESHES, refresh, server.pid)
        nursery.cancel_scope.cancel()


async def measure(what: str, count: int, work: Callable[[], Awaitable[object]], postgres: int) -> None:
    await work()
    ours, theirs, begun = time.process_time(), spent_by(postgres), time.perf_counter()
    for _ in range(count):
        await work()
    ours, theirs, took = time.process_time() - ours, spent_by(postgres) - theirs, time.perf_counter() - begun
    print(f"{what:44} {ours / count * 1e3:8.2f} ms, Postgres {theirs / count * 1e3:.2f} ms, elapsed {took / count * 1e3:.1f} ms")


def spent_by(pid: int) -> float:
    """CPU seconds of a process and its living children."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


if __name__ == "__main__":
    main()

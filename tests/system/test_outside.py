"""Other systems, beside whole nodes: a word that reaches a receiver, a key whose sockets close, rows without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import trio

from client import connect
from persistence.bridge import Bridge
from protocol.codes import Code
from protocol.operations import ChangeSettings, Delete, Edit, Invite, Join, OpenConversation, Post, Remove, SetRole
from protocol.values import Role
from supervisors.node import Node
from supervisors.settings import Moderation, Settings, Webhooks
from supervisors.tree import Tree
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.gateway.receiver import Receiver, receiving
from tests.system.inside import Inside, gateways, settings_for
from tests.system.running import PASSWORD, community, ended, register, texts

__all__ = ["bridge", "database", "postgres_server", "postgres_template", "valkey", "valkey_server"]

pytestmark = pytest.mark.xdist_group("system")


class KeyGrant:
    """The right to open sockets that a key was exchanged for."""

    def __init__(self, token: dict[str, Any]) -> None:
        self.user: int = token["user"]
        self.device: int = token["device"]
        self.inbox: int = token["inbox"]
        self.access_token: str = token["access_token"]
        self.expires_at = float(token["expires_at"])

    async def renew(self) -> None:
        raise AssertionError("a program exchanges its key again; this one has no reason to")


@asynccontextmanager
async def house(dsn: str, redis_url: str, folder: Path) -> AsyncIterator[tuple[list[Inside], Node]]:
    """Two gateways and a node of the role `jobs`, for which this machine is a destination like any other."""
    settings: Settings = settings_for(
        dsn, redis_url, folder, webhooks=Webhooks(loopback_allowed=True), moderation=Moderation(flooding=False)
    )
    async with gateways(settings, folder, 2) as houses, trio.open_nursery() as nursery:
        node = Node(settings)
        tree = Tree(node.spec("jobs"), report=node.troubles.in_tree)
        with trio.fail_after(30):
            await nursery.start(tree.run)
        yield houses, node
        tree.stop()


async def told(client: httpx.AsyncClient, method: str, path: str, token: str, body: object = None, status: int = 200) -> dict[str, Any]:
    response = await client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json() if response.content else {}
    return answer


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def hook(client: httpx.AsyncClient, space: int, token: str, receiver: Receiver) -> dict[str, Any]:
    wanted = {"name": "timetable", "url": receiver.url, "events": ["message.posted", "member.joined"]}
    return await told(client, "POST", f"/api/v1/communities/{space}/webhooks", token, wanted, 201)


async def robot(client: httpx.AsyncClient, space: int, token: str) -> dict[str, Any]:
    """A service and a key with all that it may."""
    place = f"/api/v1/communities/{space}"
    service = await told(client, "POST", f"{place}/services", token, {"name": f"robot{space}", "role": "learner"}, 201)
    wanted = {"name": "main", "scopes": ["read", "post", "react", "vouch"]}
    return await told(client, "POST", f"{place}/services/{service['user']}/keys", token, wanted, 201)


async def test_what_is_said_on_a_socket_reaches_another_system_in_order_and_signed(
    database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    async with house(database, valkey.url, tmp_path) as (houses, node), receiving() as receiver:
        credentials = await register(houses[0].url)
        async with community(houses[0].url, founder=credentials) as (owner, space, general), asking(houses[1].url) as client:
            made = await hook(client, space, credentials.login.access_token, receiver)
            said = [f"word {n}" for n in range(20)]
            for text in said:
                await owner.say(general, text)
            await receiver.wait(20)
            assert receiver.texts == said and all(delivery.verified(made["secret"]) for delivery in receiver.came)
            assert node.outside.deliverer.failed == 0


async def test_a_robot_talks_on_a_socket_until_its_key_is_revoked_on_another_gateway(
    database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    async with house(database, valkey.url, tmp_path) as (houses, _):
        here, there = (one.url for one in houses)
        credentials = await register(here)
        async with community(here, founder=credentials) as (owner, space, general), asking(here) as client:
            key = await robot(client, space, credentials.login.access_token)
            token = await told(client, "POST", "/api/v1/keys/token", key["key"], {"device_name": "server"})
            async with connect(there, KeyGrant(token)) as machine:
                await machine.say(general, "beep")
                assert await texts(owner, general, "beep") == ["beep"]
                path = f"/api/v1/communities/{space}/keys/{key['id']}"
                await told(client, "DELETE", path, credentials.login.access_token, status=204)
                assert await ended(machine) == Code.REVOKED


async def test_the_rows_of_the_audit_hold_no_secret_and_no_word_that_anybody_wrote(
    database: str, bridge: Bridge, valkey: TestValkey, tmp_path: Path
) -> None:
    """Everything of consequence is done once, by whole nodes, and then the rows are searched for what went in."""
    words = ["zanzibar-message", "zanzibar-edited", "zanzibar-private", "zanzibar-typed-into-the-wrong-field", "zanzibar-settings"]
    async with house(database, valkey.url, tmp_path) as (houses, _), receiving() as receiver:
        url = houses[0].url
        ada, bob = await register(url), await register(url)
        secrets = [PASSWORD, ada.login.access_token, ada.login.refresh_token, bob.login.refresh_token]
        async with community(url, founder=ada) as (owner, space, general), connect(url, bob) as learner, asking(url) as client:
            token = ada.login.access_token
            made = await hook(client, space, token, receiver)
            key = await robot(client, space, token)
            exchanged = await told(client, "POST", "/api/v1/keys/token", key["key"], {})
            secrets += [made["secret"], key["key"].rsplit("_", 1)[-1], exchanged["access_token"]]
            changed = await told(client, "POST", f"/api/v1/communities/{space}/webhooks/{made['id']}/secret", token, {})
            secrets += [changed["secret"]]
            wrong = {"name": words[3], "password": words[3]}
            assert (await client.post("/api/v1/auth/login", json=wrong)).status_code == 401
            refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": ada.login.refresh_token})
            secrets += [refreshed.json()["refresh_token"], refreshed.json()["access_token"]]
            await owner.do(Invite(space, learner.user, Role.LEARNER))
            await learner.do(Join(space))
            seq = await learner.do(Post(general, words[0]))
            await learner.do(Edit(general, seq, words[1]))
            await owner.do(Delete(general, seq))
            conversation = await owner.do(OpenConversation((learner.user,)))
            assert conversation
            await owner.do(ChangeSettings(space, "A school", False, '{"motto": "' + words[4] + '"}'))
            await owner.do(SetRole(space, learner.user, Role.MODERATOR))
            await owner.do(Remove(space, learner.user))
            await told(client, "DELETE", f"/api/v1/communities/{space}/keys/{key['id']}", token, status=204)

    async def rows(tx: asyncpg.Connection) -> list[str]:
        return [row[0] for row in await tx.fetch("select a::text from audit_log a order by id")]

    lines = await bridge.run(rows, deadline_s=10)
    text = "\n".join(lines)
    actions = (
        "member_invited",
        "message_deleted",
        "role_set",
        "member_removed",
        "settings_changed",
        "key_made",
        "key_revoked",
        "login.failed",
    )
    for action in (*actions, "webhook_made", "session.opened"):
        assert action in text, action
    for word in (*words, *(secret for secret in secrets if secret)):
        assert word not in text, word
    # From where: also of what was done on a socket.
    assert any("member_removed" in line and "127.0.0.1" in line for line in lines)

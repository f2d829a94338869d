"""Identity as a client meets it: a socket, HTTP, the application, and the real Postgres behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import argon2
import httpx
import msgspec
import pytest
import trio

from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge, BridgeOptions
from protocol.codes import Code
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.public_port import open_port
from tests.gateway.web_world import PASSWORD, World
from tests.persistence.identity import Listening, query, stored_text

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]


@asynccontextmanager
async def open_client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client, through a public port, of an application."""
    async with open_port(app=world.app) as port:  # type: ignore[arg-type]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.number}", timeout=20) as client:
            yield client


def told(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = msgspec.json.decode(response.content) if response.content else {}
    return found


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def test_a_person_registers_logs_in_elsewhere_refreshes_looks_and_leaves(bridge: Bridge) -> None:
    herald = Listening()
    world = World(PostgresAccounts(bridge, herald))
    auth = "/api/v1/auth"
    async with open_client(world) as client:
        phone = told(await client.post(f"{auth}/register", json={"name": "Ada", "password": PASSWORD, "device_name": "phone"}), 201)
        laptop = told(await client.post(f"{auth}/login", json={"name": "ada", "password": PASSWORD, "device_name": "laptop"}), 200)
        assert phone["user"] == laptop["user"] and phone["inbox"] == laptop["inbox"] and phone["device"] != laptop["device"]

        again = told(await client.post(f"{auth}/login", json={"name": "ada", "password": PASSWORD, "device": phone["device"]}), 200)
        assert again["device"] == phone["device"]
        assert herald.revoked == [(phone["user"], phone["session"])]
        assert told(await client.get(f"{auth}/sessions", headers=bearer(phone)), 401)["code"] == Code.REVOKED

        following = told(await client.post(f"{auth}/refresh", json={"refresh_token": laptop["refresh_token"]}), 200)
        retried = told(await client.post(f"{auth}/refresh", json={"refresh_token": laptop["refresh_token"]}), 200)
        assert following["refresh_token"] == retried["refresh_token"] != laptop["refresh_token"]

        listed = told(await client.get(f"{auth}/sessions", headers=bearer(again)), 200)["sessions"]
        assert {(one["session"], one["device_name"], one["current"], one["address"]) for one in listed} == {
            (again["session"], "phone", True, "127.0.0.1"),
            (laptop["session"], "laptop", False, "127.0.0.1"),
        }

        told(await client.delete(f"{auth}/sessions/{laptop['session']}", headers=bearer(again)), 204)
        assert told(await client.post(f"{auth}/refresh", json={"refresh_token": following["refresh_token"]}), 401)["code"] == Code.REVOKED
        told(await client.post(f"{auth}/logout-everywhere", headers=bearer(again)), 204)
        assert told(await client.post(f"{auth}/refresh", json={"refresh_token": again["refresh_token"]}), 401)["code"] == Code.REVOKED
        assert herald.revoked[1:] == [(phone["user"], laptop["session"]), (phone["user"], 0)]
    text = await stored_text(bridge)
    for secret in (PASSWORD, *(session[kind] for session in (phone, laptop, again) for kind in ("refresh_token", "access_token"))):
        assert secret not in text


async def test_somebody_who_presents_a_refresh_token_twice_loses_the_session(bridge: Bridge) -> None:
    world = World(PostgresAccounts(bridge, Listening()))
    async with open_client(world) as client:
        opened = told(await client.post("/api/v1/auth/register", json={"name": "ada", "password": PASSWORD}), 201)
        stolen = opened["refresh_token"]
        mine = told(await client.post("/api/v1/auth/refresh", json={"refresh_token": stolen}), 200)
        mine = told(await client.post("/api/v1/auth/refresh", json={"refresh_token": mine["refresh_token"]}), 200)
        assert told(await client.post("/api/v1/auth/refresh", json={"refresh_token": stolen}), 401)["code"] == Code.REVOKED
        assert told(await client.post("/api/v1/auth/refresh", json={"refresh_token": mine["refresh_token"]}), 401)["code"] == Code.REVOKED
        told(await client.get("/api/v1/auth/sessions", headers=bearer(mine)), 401)


async def test_a_hash_of_an_older_cost_is_stored_anew_at_login(bridge: Bridge) -> None:
    world = World(PostgresAccounts(bridge, Listening()))
    async with open_client(world) as client:
        told(await client.post("/api/v1/auth/register", json={"name": "ada", "password": PASSWORD}), 201)
        await query(bridge, "UPDATE accounts SET password_hash = $1", _old_hash())
        told(await client.post("/api/v1/auth/login", json={"name": "ada", "password": PASSWORD}), 200)
        (row,) = await query(bridge, "SELECT password_hash FROM accounts")
        assert "m=8,t=1" in row["password_hash"]
        told(await client.post("/api/v1/auth/login", json={"name": "ada", "password": PASSWORD}), 200)


def _old_hash() -> str:
    return argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)


async def test_a_database_that_is_not_there_is_a_503_with_a_time_to_come_back() -> None:
    bridge = Bridge(BridgeOptions("postgresql://nobody@/none?host=/nonexistent"))
    world = World(PostgresAccounts(bridge, Listening()))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        async with open_client(world) as client:
            for path, body in (
                ("register", {"name": "ada", "password": PASSWORD}),
                ("login", {"name": "ada", "password": PASSWORD}),
                ("refresh", {"refresh_token": "A" * 43}),
            ):
                response = await client.post(f"/api/v1/auth/{path}", json=body)
                assert told(response, 503)["code"] == Code.UNAVAILABLE
                assert int(response.headers["Retry-After"]) >= 1
                assert "nonexistent" not in response.text
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["İstanbul", "ΣΊΣΥΦΟΣ", "Straße"])
async def test_names_are_told_apart_in_the_database_as_people_would(bridge: Bridge, name: str) -> None:
    world = World(PostgresAccounts(bridge, Listening()))
    async with open_client(world) as client:
        told(await client.post("/api/v1/auth/register", json={"name": name, "password": PASSWORD}), 201)
        told(await client.post("/api/v1/auth/login", json={"name": name, "password": PASSWORD}), 200)
        told(await client.post("/api/v1/auth/register", json={"name": name, "password": PASSWORD}), 409)

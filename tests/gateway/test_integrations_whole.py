"""Audit, keys and webhooks over HTTP, with the real Postgres behind them: who may, what is shown once, what a revoked key still does."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from actors.accounts import Claims
from gateway.integrations import Integrations
from gateway.seals import DERIVED_BYTES, Seals
from gateway.web import create_app
from persistence.accounts import PostgresAccounts
from persistence.audit import Deed, PostgresAudit, record
from persistence.bridge import Bridge
from persistence.keys import PostgresKeys
from persistence.roles import PostgresAuthority
from persistence.webhooks import PostgresWebhooks
from protocol.codes import Code
from protocol.operations import SetRole
from protocol.values import Role
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.web_world import NoFactors
from tests.gateway.web_world import World as WebWorld
from tests.persistence.identity import query
from tests.persistence.world import Herald, Person, World, world

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]

HOOK = {"name": "timetable", "url": "https://hooks.example.org/in", "events": ["message.posted"]}


class NotProven(NoFactors):
    """Nobody has proven themselves lately."""

    async def proven_s(self, claims: Claims) -> float | None:
        return None


class Scene:
    """A community with an owner, a moderator and a learner, a stranger with a community of their own, and the application."""

    def __init__(self, people: World, web: WebWorld, herald: Herald) -> None:
        self.people, self.web, self.herald = people, web, herald
        self.tokens: dict[str, str] = {}
        self.persons: dict[str, Person] = {}
        self.space = self.other = 0

    async def person(self, name: str) -> Person:
        person = self.persons[name] = await self.people.person(name)
        [session] = await self.people.column(
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '1 day') returning id",
            person.user,
            person.device,
        )
        self.tokens[name], _ = self.web.tokens.issue(person.user, person.device, session, self.web.now)
        return person

    async def ask(self, who: str, method: str, path: str, body: object = None, *, space: int = 0) -> Any:
        token = self.tokens.get(who, who)
        return await self.web.ask(method, path.replace("@", f"/api/v1/communities/{space or self.space}"), body, token=token)

    async def told(self, who: str, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        answer = await self.ask(who, method, path, body)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    async def service(self, role: str = "learner", name: str = "robot") -> int:
        made = await self.told("ada", "POST", "@/services", {"name": name, "role": role}, status=201)
        return int(made["user"])

    async def key(self, service: int, *scopes: str) -> dict[str, Any]:
        wanted = {"name": "nightly", "scopes": list(scopes)}
        made: dict[str, Any] = await self.told("ada", "POST", f"@/services/{service}/keys", wanted, status=201)
        return made


@asynccontextmanager
async def scene(bridge: Bridge, *, proven: bool = True) -> AsyncIterator[Scene]:
    async with world(bridge) as people:
        herald = Herald()
        web = WebWorld(PostgresAccounts(bridge, herald), multi_factor=NoFactors() if proven else NotProven())
        web.now = time.time()  # sessions end by the database's clock, and tokens with them
        given = Integrations(
            PostgresAudit(bridge), PostgresKeys(bridge, herald), PostgresWebhooks(bridge), Seals([secrets.token_bytes(DERIVED_BYTES)])
        )
        web.services = msgspec.structs.replace(web.services, authority=PostgresAuthority(bridge), integrations=given)
        web.app = create_app(web.services)
        made = Scene(people, web, herald)
        ada, mod, eve = [await made.person(name) for name in ("ada", "mod", "eve")]
        learner = await made.person("bob")
        made.space, *_ = await people.community(ada, mod, learner)
        await people.ok(ada, SetRole(made.space, mod.user, Role.MODERATOR))
        made.other, *_ = await people.community(eve)
        yield made


ROUTES: tuple[tuple[str, str, object], ...] = (
    ("GET", "@/services", None),
    ("POST", "@/services", {"name": "robot"}),
    ("DELETE", "@/services/7", None),
    ("POST", "@/services/7/keys", {"name": "x", "scopes": ["read"]}),
    ("DELETE", "@/keys/7", None),
    ("GET", "@/webhooks", None),
    ("POST", "@/webhooks", HOOK),
    ("PUT", "@/webhooks/7", HOOK),
    ("DELETE", "@/webhooks/7", None),
    ("POST", "@/webhooks/7/secret", {}),
    ("POST", "@/webhooks/7/pause", None),
    ("POST", "@/webhooks/7/resume", None),
    ("POST", "@/webhooks/7/replay", {"stream": 1, "after": 0}),
    ("GET", "@/webhooks/7/deliveries", None),
    ("GET", "@/audit", None),
    ("GET", "@/audit/export", None),
)


async def test_a_learner_is_refused_and_a_stranger_sees_no_community_whether_there_is_one_or_not(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        for method, path, body in ROUTES:
            (await it.ask("bob", method, path, body)).problem(403, Code.FORBIDDEN)
            here = (await it.ask("eve", method, path, body)).problem(404, Code.NOT_FOUND)
            assert (await it.ask("eve", method, path, body, space=999_999)).problem(404, Code.NOT_FOUND) == here, path
            (await it.web.ask(method, path.replace("@", f"/api/v1/communities/{it.space}"), body)).problem(401, Code.UNAUTHENTICATED)
        for method, path in (("GET", "/api/v1/platform/services"), ("GET", "/api/v1/audit"), ("GET", "/api/v1/audit/export")):
            (await it.ask("ada", method, path)).problem(403, Code.FORBIDDEN)


async def test_what_makes_or_takes_keys_and_webhooks_wants_a_fresh_proof(bridge: Bridge) -> None:
    async with scene(bridge, proven=False) as it:
        for method, path, body in ROUTES:
            answer = await it.ask("ada", method, path, body)
            dangerous = method in ("PUT", "DELETE") or path in ("@/services", "@/services/7/keys", "@/webhooks", "@/webhooks/7/secret")
            if dangerous and method != "GET":
                assert answer.json["code"] == Code.STEP_UP, path
            else:
                assert answer.status < 400 or answer.json["code"] != Code.STEP_UP, path


async def test_a_key_is_shown_once_and_does_what_its_scopes_and_its_account_both_may(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        service = await it.service("moderator")
        key = await it.key(service, "read_audit", "read")
        reads, narrow = key["key"], (await it.key(service, "read"))["key"]
        listed = await it.told("ada", "GET", "@/services")
        assert reads not in msgspec.json.encode(listed).decode() and len(listed["services"][0]["keys"]) == 2
        assert (await it.told(reads, "GET", "@/audit"))["lines"][0]["action"] == "key_made"
        (await it.ask(narrow, "GET", "@/audit")).problem(403, Code.FORBIDDEN)
        (await it.ask(reads, "GET", "@/audit", space=it.other)).problem(404, Code.NOT_FOUND)
        (await it.ask(reads, "GET", "/api/v1/audit")).problem(403, Code.FORBIDDEN)
        (await it.ask(reads, "GET", "/api/v1/auth/me")).problem(401, Code.UNAUTHENTICATED)
        (await it.ask(reads, "POST", "@/services", {"name": "another"})).problem(403, Code.FORBIDDEN)
        # The account loses what it was: the key has it no more, whatever its scopes say.
        await query(bridge, "update members set role = 8 where user_id = $1", service)
        (await it.ask(reads, "GET", "@/audit")).problem(403, Code.FORBIDDEN)


async def test_a_key_manages_what_needs_no_proof_and_never_what_does(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        service = await it.service()
        await query(
            bridge,
            "with made as (insert into roles (space_id, name, permissions, created_by) values ($1, 'keeper', 1 << 15, 0) returning id)"
            " insert into user_roles (user_id, role_id, space_id, given_by) select $2, id, $1, 0 from made",
            it.space,
            service,
        )
        key = (await it.key(service, "manage_integrations"))["key"]
        assert (await it.told(key, "GET", "@/services"))["services"][0]["user"] == service
        for method, path, body in ROUTES:
            if method != "GET" and not path.endswith(("/pause", "/resume", "/replay")):
                assert "people" in (await it.ask(key, method, path, body)).problem(403, Code.FORBIDDEN)["detail"], path


async def test_a_key_is_for_its_own_community_though_its_service_were_a_member_of_another(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        service = await it.service("moderator")
        key = (await it.key(service, "read", "read_audit"))["key"]
        await query(bridge, "alter table members disable trigger members_services")
        await query(bridge, "insert into members (space_id, user_id, role) values ($1, $2, 2)", it.other, service)
        await it.told(key, "GET", "@/audit")
        (await it.ask(key, "GET", "@/audit", space=it.other)).problem(404, Code.NOT_FOUND)


async def test_a_revoked_key_is_refused_by_the_very_next_request_and_its_session_is_over(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        service = await it.service()
        key = await it.key(service, "read", "post", "react", "vouch")
        session = (await it.web.ask("POST", "/api/v1/keys/token", {"device_name": "server 1"}, token=key["key"])).json
        assert session["user"] == service
        assert (await it.told(session["access_token"], "GET", "/api/v1/auth/me"))["name"] == "robot"
        again = (await it.web.ask("POST", "/api/v1/keys/token", {"device": session["device"]}, token=key["key"])).json
        assert again["session"] == session["session"]
        await it.told("ada", "DELETE", f"@/keys/{key['id']}", status=204)
        first = (await it.ask(key["key"], "GET", "@/audit")).problem(401, Code.UNAUTHENTICATED)
        (await it.web.ask("POST", "/api/v1/keys/token", {}, token=key["key"])).problem(401, Code.UNAUTHENTICATED)
        (await it.ask(session["access_token"], "GET", "/api/v1/auth/me")).problem(401, Code.REVOKED)
        unknown = (await it.ask("edk_aaaaaaaa_" + "x" * 43, "GET", "@/audit")).problem(401, Code.UNAUTHENTICATED)
        assert first == unknown, "a revoked key and one that never was are answered alike"


async def test_who_guesses_keys_is_slowed_down(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        codes = [(await it.ask(f"edk_aaaaaaaa_{n:043}", "GET", "@/audit")).json["code"] for n in range(30)]
        assert codes[0] == Code.UNAUTHENTICATED and codes[-1] == Code.RATE


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"name": "x", "scopes": ["root"]}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": ["read"], "days": 0}, "days"),
        ({"name": "x", "scopes": ["read"], "days": 100_000}, "days"),
        ({"name": "x", "scopes": ["read"], "user": 1}, "user"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_in_words(bridge: Bridge, body: dict[str, object], word: str) -> None:
    async with scene(bridge) as it:
        service = await it.service()
        assert word in (await it.ask("ada", "POST", f"@/services/{service}/keys", body)).problem(400, Code.INVALID)["detail"]


async def test_a_key_gives_no_scope_that_its_maker_has_not(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        service = await it.service()
        for scope in ("operate", "manage_accounts", "converse"):
            (await it.ask("ada", "POST", f"@/services/{service}/keys", {"name": "x", "scopes": [scope]})).problem(403, Code.FORBIDDEN)
        (await it.ask("ada", "POST", "@/services", {"name": "boss", "role": "owner"})).problem(403, Code.FORBIDDEN)


async def test_staff_page_through_what_was_done_in_their_community_with_networks_for_addresses(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        deeds = [Deed(5, "role_set", it.space, n, address) for n, address in ((1, "203.0.113.77"), (2, "2001:db8:1:2:3::4"), (3, "here"))]
        await bridge.run(lambda tx: record(tx, *deeds, Deed(5, "role_set", it.other, 4)), deadline_s=9)
        lines: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await it.told("mod", "GET", f"@/audit?actor=5&limit=1{f'&cursor={cursor}' if cursor else ''}")
            lines += page["lines"]
            cursor = page["next"]
            if not cursor:
                break
        assert {line["subject"]: line["address"] for line in lines} == {1: "203.0.113.0/24", 2: "2001:db8:1::/48", 3: ""}
        # What belongs to another community cannot be asked for, however it is asked.
        assert (await it.told("mod", "GET", f"@/audit?space={it.other}&actor=5"))["lines"] == page["lines"][:0] + (
            await it.told("mod", "GET", "@/audit?actor=5")
        )["lines"]
        for wrong in ("actor=x", "limit=0", "limit=100000", "cursor=1;drop", "action=nothing", "since=-1", "colour=red"):
            (await it.ask("mod", "GET", f"@/audit?{wrong}")).problem(400, Code.INVALID)


async def test_an_export_is_a_stream_of_lines_and_the_platforms_auditors_see_it_whole(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await query(
            bridge,
            "insert into audit_log (at, actor, action, space_id, address)"
            " select now() - interval '1 hour', n, 'role_set', $1, '203.0.113.77' from generate_series(1, 1500) n",
            it.space,
        )
        answer = await it.ask("mod", "GET", "@/audit/export?action=role_set")
        assert answer.status == 200 and answer.headers["Content-Type"] == "application/x-ndjson"
        lines = [msgspec.json.decode(line) for line in answer.body.splitlines()]
        assert [line["actor"] for line in lines] == list(range(1, 1501)) and lines[0]["address"] == "203.0.113.0/24"
        auditor = await it.person("auditor")
        await query(
            bridge,
            "insert into user_roles (user_id, role_id, space_id, given_by) select $1, id, null, 0 from roles where name = 'auditor'",
            auditor.user,
        )
        whole = await it.ask("auditor", "GET", f"/api/v1/audit/export?space={it.space}&action=role_set")
        assert msgspec.json.decode(whole.body.splitlines()[0])["address"] == "203.0.113.77"
        assert [line["action"] for line in (await it.told("auditor", "GET", "/api/v1/audit?action=audit_exported"))["lines"]] == [
            "audit_exported"
        ] * 2


async def test_a_webhooks_secret_is_shown_when_it_is_made_and_never_again(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        made = await it.told("ada", "POST", "@/webhooks", HOOK, status=201)
        assert made["secret"].startswith("whsec_") and made["state"] == "active"
        other = await it.told("ada", "POST", f"@/webhooks/{made['id']}/secret", {"former_hours": 1})
        assert other["secret"] != made["secret"]
        changed = await it.told("ada", "PUT", f"@/webhooks/{made['id']}", {**HOOK, "events": ["member.joined"], "role": "moderator"})
        assert changed["events"] == ["member.joined"] and changed["role"] == "moderator"
        await it.told("ada", "POST", f"@/webhooks/{made['id']}/pause", status=204)
        listed = await it.ask("ada", "GET", "@/webhooks")
        assert b"whsec_" not in listed.body and listed.json["webhooks"][0]["state"] == "paused"
        assert (await it.told("ada", "GET", f"@/webhooks/{made['id']}/deliveries"))["deliveries"] == []
        await it.told("ada", "DELETE", f"@/webhooks/{made['id']}", status=204)
        (await it.ask("ada", "DELETE", f"@/webhooks/{made['id']}")).problem(404, Code.NOT_FOUND)
        text = "\n".join(row[0] for row in await query(bridge, "select a::text from audit_log a"))
        assert "whsec_" not in text and "hooks.example.org" not in text and "webhook_secret_changed" in text


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://hooks.example.org/"},
        {"url": "https://127.1/"},
        {"url": "https://user@hooks.example.org/"},
        {"url": "https://hooks.example.org:22/"},
        {"url": "https://localhost/"},
        {"events": ["session.revoked"]},
        {"events": []},
        {"role": "root"},
        {"name": ""},
        {"secret": "mine"},
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_in_words_that_do_not_repeat_it(bridge: Bridge, change: dict[str, object]) -> None:
    async with scene(bridge) as it:
        detail = (await it.ask("ada", "POST", "@/webhooks", {**HOOK, **change})).problem(400, Code.INVALID)["detail"]
        assert "user@" not in detail and "127.1" not in detail


async def test_one_communitys_owner_reaches_nothing_of_anothers_by_its_number(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        made = await it.told("ada", "POST", "@/webhooks", HOOK, status=201)
        service = await it.service()
        key = await it.key(service, "read")
        for method, path, body in (
            ("PUT", f"@/webhooks/{made['id']}", HOOK),
            ("DELETE", f"@/webhooks/{made['id']}", None),
            ("POST", f"@/webhooks/{made['id']}/secret", {}),
            ("POST", f"@/webhooks/{made['id']}/pause", None),
            ("POST", f"@/webhooks/{made['id']}/replay", {"stream": 1, "after": 0}),
            ("GET", f"@/webhooks/{made['id']}/deliveries", None),
            ("DELETE", f"@/services/{service}", None),
            ("POST", f"@/services/{service}/keys", {"name": "x", "scopes": ["read"]}),
            ("DELETE", f"@/keys/{key['id']}", None),
        ):
            theirs = (await it.ask("eve", method, path, body, space=it.other)).problem(404, Code.NOT_FOUND)
            number = f"{path.rsplit('/', 1)[0]}/{10**9}" if path.count("/") == 2 else path.replace(f"/{made['id']}/", f"/{10**9}/")
            number = number.replace(f"/services/{service}/", f"/services/{10**9}/")
            assert (await it.ask("eve", method, number, body, space=it.other)).problem(404, Code.NOT_FOUND) == theirs, path


async def test_a_member_who_is_no_more_manages_nothing(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.told("mod", "GET", "@/audit")
        await query(bridge, "delete from members where user_id = $1 and space_id = $2", it.persons["mod"].user, it.space)
        (await it.ask("mod", "GET", "@/audit")).problem(404, Code.NOT_FOUND)

"""Service accounts and API keys over the real Postgres: what they may, how they end, and that no secret is kept."""

from __future__ import annotations

from functools import partial

import asyncpg
import pytest
import trio

from actors.accounts import Claims, Declined
from actors.integrations import KEYS_PER_SERVICE_MAX, ActiveKey, KeySession, NewKey, ServiceInfo
from actors.storage import CONTROL_STREAM
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.keys import PostgresKeys, sweep_keys
from persistence.role_book import COMMAND_LINE, give_platform_role
from persistence.roles import held
from persistence.sovereignty.erasure import condemn_community
from persistence.sovereignty.person import leave_next
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Joined, SessionRevoked
from protocol.operations import ChangeRole, CreateChannel, CreateCommunity, GiveRole, Join, MakeRole, OpenConversation, Remove, SetRole
from protocol.permissions import BASE, Permission, mask
from protocol.values import Role
from tests.persistence.identity import CALLER, query, stored_text
from tests.persistence.world import Herald, Person, world

ALL_OF_A_LEARNER = mask(BASE[Role.LEARNER])


def claims(person: Person) -> Claims:
    return Claims(person.user, person.device, 0, 0, 2**31)


async def made(keys: PostgresKeys, owner: Person, space: int, role: Role = Role.LEARNER, name: str = "timetable") -> ServiceInfo:
    service = await keys.make_service(claims(owner), space, name, name.title(), role, CALLER)
    assert isinstance(service, ServiceInfo), service
    return service


async def key_of(keys: PostgresKeys, owner: Person, space: int | None, service: int, scopes: int = ALL_OF_A_LEARNER) -> NewKey:
    key = await keys.make_key(claims(owner), space, service, "nightly", scopes, 30, CALLER)
    assert isinstance(key, NewKey), key
    return key


def revoked(herald: Herald) -> list[int]:
    bodies = [decode_body(fact.body) for fact in herald.facts if fact.stream == CONTROL_STREAM]
    return [body.session for body in bodies if isinstance(body, SessionRevoked)]


async def test_a_service_is_a_member_without_a_password_and_its_key_does_what_both_may(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        herald = Herald()
        keys = PostgresKeys(bridge, herald)
        ada = await scene.person("ada")
        space, own, _ = await scene.community(ada)
        service = await made(keys, ada, space)
        assert [decode_body(fact.body) for fact in herald.facts if fact.stream == own] == [Joined(service.user, Role.LEARNER, "Timetable")]
        credentials = await PostgresAccounts(bridge, herald).find_credentials("timetable")
        assert credentials is None or credentials.password_hash == ""
        key = await key_of(keys, ada, space, service.user, mask([Permission.READ, Permission.READ_AUDIT]))
        found = await keys.find(key.secret)
        assert isinstance(found, ActiveKey) and (found.user, found.space) == (service.user, space)
        # The key has a scope that its account has not: what counts is what both have.
        assert not await bridge.run(lambda tx: held(tx, service.user, space), deadline_s=9) >> Permission.READ_AUDIT & 1
        [listed] = await keys.list_services(space)
        assert [one.prefix for one in listed.keys] == [key.info.prefix] and listed.keys[0].last_used_at > 0


async def test_a_keys_secret_is_in_no_row_of_any_table(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        key = await key_of(keys, ada, space, service.user)
        await keys.exchange(key.secret, 0, "", CALLER)
        secret = key.secret.rsplit("_", 1)[1] if "_" not in key.secret[16:] else key.secret.split("_", 2)[2]
        text = await stored_text(bridge) + "\n".join(row[0] for row in await query(bridge, "select k::text from api_keys k"))
        assert secret not in text and secret not in repr(key) and key.info.prefix in text


@pytest.mark.parametrize("change", ["prefix", "secret", "cut", "empty", "unicode", "long"])
async def test_a_key_that_is_not_exactly_ours_is_none(bridge: Bridge, change: str) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        good = (await key_of(keys, ada, space, (await made(keys, ada, space)).user)).secret
        flipped = "A" if good[-2] != "A" else "B"
        bad = {
            "prefix": "edk_" + "aaaaaaaa" + good[12:],
            "secret": good[:-2] + flipped + good[-1],
            "cut": good[:-1],
            "empty": "edk_",
            "unicode": good + "\udc80é",
            "long": good + "x" * 10_000,
        }[change]
        if change != "unicode":  # Postgres takes no lone surrogate as a prefix, and HTTP brings none
            assert await keys.find(bad) is None
        assert await keys.find(good) is not None


async def test_a_maker_gives_no_more_than_they_have_and_only_of_the_place(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada, bob = await scene.person("ada"), await scene.person("bob")
        space, *_ = await scene.community(ada, bob)
        await scene.ok(ada, SetRole(space, bob.user, Role.MODERATOR))
        service = await made(keys, ada, space)
        boss = await keys.make_service(claims(ada), space, "other", "Other", Role.OWNER, CALLER)
        assert isinstance(boss, Declined) and boss.code is Code.FORBIDDEN
        beyond = await keys.make_key(claims(bob), space, service.user, "x", mask([Permission.MANAGE_ROLES]), 9, CALLER)
        platform = await keys.make_key(claims(ada), space, service.user, "x", mask([Permission.CONVERSE]), 9, CALLER)
        nothing = await keys.make_key(claims(ada), space, service.user, "x", 0, 9, CALLER)
        for refused in (beyond, platform, nothing):
            assert isinstance(refused, Declined) and refused.code is Code.FORBIDDEN


async def test_another_communitys_services_and_keys_are_as_if_there_were_none(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada, eve = await scene.person("ada"), await scene.person("eve")
        space, *_ = await scene.community(ada)
        other, *_ = await scene.community(eve)
        service = await made(keys, ada, space)
        key = await key_of(keys, ada, space, service.user)
        unknown = await keys.revoke_key(claims(eve), other, 999_999, CALLER)
        assert await keys.revoke_key(claims(eve), other, key.info.id, CALLER) == unknown
        assert await keys.end_service(claims(eve), other, service.user, CALLER) == await keys.end_service(claims(eve), other, 9**9, CALLER)
        assert await keys.end_service(claims(eve), other, eve.user, CALLER) == await keys.end_service(claims(eve), other, 9**9, CALLER)
        assert await keys.make_key(claims(eve), other, service.user, "x", 1, 9, CALLER) == await keys.make_key(
            claims(eve), other, 9**9, "x", 1, 9, CALLER
        )
        assert await keys.list_services(other) == () and await keys.find(key.secret) is not None


async def test_revoking_a_key_ends_what_it_opened_and_nothing_else_in_one_transaction(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        herald = Herald()
        keys = PostgresKeys(bridge, herald)
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        key, other = await key_of(keys, ada, space, service.user), await key_of(keys, ada, space, service.user)
        opened, kept = await keys.exchange(key.secret, 0, "a", CALLER), await keys.exchange(other.secret, 0, "b", CALLER)
        assert isinstance(opened, KeySession) and isinstance(kept, KeySession)
        again = await keys.exchange(key.secret, opened.device, "a", CALLER)
        assert isinstance(again, KeySession) and (again.session, again.device) == (opened.session, opened.device)
        assert await keys.revoke_key(claims(ada), space, key.info.id, CALLER) is None
        assert revoked(herald) == [opened.session]
        assert await keys.find(key.secret) is None and await keys.find(other.secret) is not None
        refused = await keys.exchange(key.secret, opened.device, "a", CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.UNAUTHENTICATED
        assert await keys.revoke_key(claims(ada), space, key.info.id, CALLER) is None
        living = await scene.column("select id from sessions where revoked_at is null and user_id = $1", service.user)
        assert living == [kept.session]
        actions = [row[0] for row in await scene.rows("select action from audit_log where space_id = $1 order by id", space)]
        assert [action for action in actions if action.startswith(("key_", "service_"))] == [
            "service_made", "key_made", "key_made", "key_exchanged", "key_exchanged", "key_revoked",
        ]  # fmt: skip


async def test_nothing_that_a_key_opened_opens_what_would_outlive_it(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        herald = Herald()
        keys = PostgresKeys(bridge, herald)
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        key = await key_of(keys, ada, space, (await made(keys, ada, space)).user)
        opened = await keys.exchange(key.secret, 0, "", CALLER)
        assert isinstance(opened, KeySession)
        own = Claims(opened.user, opened.device, opened.session, 0, 2**31)
        refused = await PostgresAccounts(bridge, herald).add_device(own, "another", CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.FORBIDDEN
        for statement in (
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '1 day')",
            "update accounts set password_hash = 'x' where id = $1 and id <> $2",
            "update accounts set email = 'robot@example.org' where id = $1 and id <> $2",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await query(bridge, statement, opened.user, opened.device if "sessions" in statement else 0)


async def test_a_session_lasts_no_longer_than_its_key_and_an_expired_key_is_none(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        key = await key_of(keys, ada, space, (await made(keys, ada, space)).user)
        await query(bridge, "update api_keys set expires_at = now() + interval '5 minutes'")
        opened = await keys.exchange(key.secret, 0, "", CALLER)
        [expires] = await scene.column("select extract(epoch from expires_at)::bigint from api_keys")
        assert isinstance(opened, KeySession) and opened.expires_at == expires
        await query(bridge, "update api_keys set expires_at = now()")
        assert await keys.find(key.secret) is None


async def test_a_key_with_less_than_its_service_may_opens_no_socket(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        key = await key_of(keys, ada, space, service.user, mask([Permission.READ]))
        refused = await keys.exchange(key.secret, 0, "", CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.FORBIDDEN


@pytest.mark.parametrize("growth", ["base role", "custom role", "changed role", "platform role"])
async def test_a_service_that_may_more_than_the_key_of_its_socket_has_that_socket_no_more(bridge: Bridge, growth: str) -> None:
    async with world(bridge) as scene:
        herald = scene.herald
        keys = PostgresKeys(bridge, herald)
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service, other = await made(keys, ada, space), await made(keys, ada, space, name="register")
        weak, key = await key_of(keys, ada, space, other.user), await key_of(keys, ada, space, service.user)
        enough = await key_of(keys, ada, space, service.user, mask(BASE[Role.MODERATOR] | {Permission.EXPORT_SPACE}))
        role = await scene.ok(ada, MakeRole(space, "helper", 0))
        await scene.ok(ada, GiveRole(space, role, service.user))
        opened = await keys.exchange(key.secret, 0, "", CALLER)
        kept = [await keys.exchange(one.secret, 0, "", CALLER) for one in (enough, weak)]
        assert isinstance(opened, KeySession) and all(isinstance(one, KeySession) for one in kept)
        robot = Person(service.user, 0, opened.device, "timetable")
        robot.generation = (await scene.column("select generation from devices where id = $1", opened.device))[0]
        if growth == "base role":
            await scene.ok(ada, SetRole(space, service.user, Role.MODERATOR))
        elif growth == "custom role":
            more = await scene.ok(ada, MakeRole(space, "more", mask([Permission.EXPORT_SPACE])))
            await scene.ok(ada, GiveRole(space, more, service.user))
        elif growth == "changed role":
            await scene.ok(ada, ChangeRole(space, role, "helper", mask([Permission.EXPORT_SPACE])))
        else:
            [reviewers] = await scene.column("select id from roles where space_id is null order by permissions desc limit 1")
            work = partial(give_platform_role, actor=COMMAND_LINE, role=reviewers, user=service.user)
            assert await bridge.run(work, deadline_s=5) is Code.OK
        ended = await scene.column("select id from sessions where user_id = $1 and revoked_at is not null order by id", service.user)
        assert opened.session in ended and set(revoked(herald)) <= set(ended)
        if growth != "platform role":
            assert ended == [opened.session] == revoked(herald)
        assert await scene.column("select id from sessions where user_id = $1 and revoked_at is null", other.user) == [
            one.session for one in kept[1:] if isinstance(one, KeySession)
        ]
        assert (await scene.ask(robot, CreateChannel(space, "mine"))).code is Code.TAKEN_OVER
        refused = await keys.exchange(key.secret, opened.device, "", CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.FORBIDDEN
        assert await scene.column("select count(*) from audit_log where action = 'key_outgrown'") == [1]


async def test_ending_a_service_ends_its_keys_sessions_and_membership(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        herald = Herald()
        keys = PostgresKeys(bridge, herald)
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        key = await key_of(keys, ada, space, service.user)
        opened = await keys.exchange(key.secret, 0, "", CALLER)
        assert isinstance(opened, KeySession)
        assert await keys.end_service(claims(ada), space, service.user, CALLER) is None
        assert await keys.find(key.secret) is None and revoked(herald) == [opened.session]
        assert await scene.column("select user_id from members where space_id = $1", space) == [ada.user]
        assert await keys.end_service(claims(ada), space, service.user, CALLER) == await keys.end_service(claims(ada), space, 9**9, CALLER)


async def test_a_service_joins_no_other_community_and_is_bound_to_its_own(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada, eve = await scene.person("ada"), await scene.person("eve")
        space, *_ = await scene.community(ada)
        other, *_ = await scene.community(eve)
        service = await made(keys, ada, space)
        [device] = await scene.column("insert into devices (user_id, generation) values ($1, 1) returning id", service.user)
        robot = Person(service.user, 0, device, "timetable")
        for leaving in (Join(other), CreateCommunity("mine"), OpenConversation((eve.user,))):
            assert (await scene.ask(robot, leaving)).code is Code.FORBIDDEN, leaving
        assert (await scene.ask(ada, SetRole(space, service.user, Role.OWNER))).code is Code.FORBIDDEN
        await scene.ok(ada, SetRole(space, service.user, Role.MODERATOR))
        for statement in (
            "insert into members (space_id, user_id, role) values ($1, $2, 8)",
            "update members set role = 1 where space_id <> $1 and user_id = $2",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await query(bridge, statement, other, service.user)
        assert await scene.column(
            "select space_id from members m join spaces s on s.id = m.space_id where s.kind = 1 and user_id = $1", service.user
        ) == [space]
        await scene.ok(ada, Remove(space, service.user))


async def test_the_platforms_services_have_the_platforms_permissions_only(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        await query(
            bridge,
            "insert into user_roles (user_id, role_id, space_id, given_by) select $1, id, null, 0 from roles where name = 'administrator'",
            ada.user,
        )
        service = await keys.make_service(claims(ada), None, "backup", "Backup", Role.LEARNER, CALLER)
        assert isinstance(service, ServiceInfo)
        key = await key_of(keys, ada, None, service.user, mask([Permission.OPERATE]))
        found = await keys.find(key.secret)
        assert found is not None and found.space is None
        refused = await keys.make_key(claims(ada), None, service.user, "x", mask([Permission.READ]), 9, CALLER)
        assert isinstance(refused, Declined)
        assert [one.user for one in await keys.list_services(None)] == [service.user]


async def test_a_name_that_is_taken_and_bounds_are_said(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        taken = await keys.make_service(claims(ada), space, "Ada", "x", Role.LEARNER, CALLER)
        assert isinstance(taken, Declined) and taken.code is Code.CONFLICT
        service = await made(keys, ada, space)
        for _ in range(20):
            await key_of(keys, ada, space, service.user)
        full = await keys.make_key(claims(ada), space, service.user, "x", 1, 9, CALLER)
        assert isinstance(full, Declined) and full.code is Code.LIMIT


async def test_an_ended_key_is_forgotten_after_a_while(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        old, new = await key_of(keys, ada, space, service.user), await key_of(keys, ada, space, service.user)
        await keys.revoke_key(claims(ada), space, old.info.id, CALLER)
        assert await bridge.run(sweep_keys, deadline_s=9) == 0
        await query(bridge, "update api_keys set revoked_at = now() - interval '91 days' where id = $1", old.info.id)
        assert await bridge.run(sweep_keys, deadline_s=9) == 1
        assert await scene.column("select id from api_keys") == [new.info.id]


async def test_of_two_keys_made_at_once_for_one_place_one_is_too_many(bridge: Bridge) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        for _ in range(KEYS_PER_SERVICE_MAX - 1):
            await key_of(keys, ada, space, service.user)
        answers: list[NewKey | Declined] = []

        async def make() -> None:
            answers.append(await keys.make_key(claims(ada), space, service.user, "nightly", ALL_OF_A_LEARNER, 30, CALLER))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(make)
        assert sum(isinstance(answer, NewKey) for answer in answers) == 1
        assert [answer.code for answer in answers if isinstance(answer, Declined)] == [Code.LIMIT] * 3


@pytest.mark.parametrize("whole", [True, False])
async def test_who_erases_a_community_takes_its_services_first_as_who_ends_one_or_changes_what_it_may(bridge: Bridge, whole: bool) -> None:
    async with world(bridge) as scene:
        keys = PostgresKeys(bridge, Herald())
        ada = await scene.person("ada")
        space, *_ = await scene.community(ada)
        service = await made(keys, ada, space)
        is_held: list[bool] = []

        async def change_slowly(tx: asyncpg.Connection) -> None:
            await tx.execute("select from accounts where id = $1 for no key update", service.user)
            is_held.append(True)
            while not await tx.fetchval("select exists (select from pg_locks where not granted)"):
                pass
            # Whoever waits for the service holds nothing that this one needs next.
            await tx.execute("select from spaces where id = $1 for update nowait", space)

        async def erase() -> None:
            while not is_held:
                await trio.lowlevel.checkpoint()
            step = partial(condemn_community, space=space, by=0) if whole else partial(leave_next, user=ada.user)
            await bridge.run(step, deadline_s=30)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(erase)
            await bridge.run(change_slowly, deadline_s=30)
        assert await scene.value("select count(*) from erasures where kind = 1 and subject = $1", space) == 1

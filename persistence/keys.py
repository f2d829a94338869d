"""Service accounts and API keys in Postgres: implements `actors.integrations.Keys`.

    make_service ─▶ account (kind 1, no password) ─▶ member of its community ─▶ Joined
    make_key ─────▶ prefix and sha256 of the secret; the secret is answered once and kept nowhere
    exchange ─────▶ a session on a device of the service's, bound to the key (sessions.api_key)
    revoke_key ───▶ revoked_at, the key's sessions ended, SessionRevoked in the control stream: one transaction

Each works under a lock on the account's row, so that a key that is exchanged while it is revoked is either refused or its session ends.

Invariant: whatever a key opened ends in the transaction that revokes it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.integrations import (
    KEY_PREFIX,
    KEYS_PER_SERVICE_MAX,
    SERVICES_PER_PLACE_MAX,
    SESSIONS_PER_KEY_MAX,
    ActiveKey,
    KeyInfo,
    KeySession,
    NewKey,
    ServiceInfo,
)
from actors.storage import Entry, Fact, Herald
from persistence.append import Effect, Refuse, authority_changed, event, finish, session_revoked
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.lanes import Work
from persistence.operations import membership
from persistence.operations.outgrown import beyond
from persistence.operations.space import enqueue, find_enrolment, lock_space
from persistence.roles import held
from persistence.sessions import end, lock_account
from protocol.codes import Code
from protocol.events import Joined
from protocol.operations import Remove
from protocol.permissions import BASE, PLATFORM_MIN, mask
from protocol.values import Role, SpaceKind

T = TypeVar("T")

DEADLINE_S: Final = 5.0
PREFIX_BYTES: Final = 5
SECRET_BYTES: Final = 32
SESSION_S: Final = 3600
"""A session that was opened with a key lasts this long after the last exchange: nobody refreshes it, a program asks again."""
KEPT_DAYS: Final = 90
"""An ended key is shown, and then forgotten."""
USED_EVERY_S: Final = 60
"""How exactly `last_used_at` is known: a write for every request would cost more than the requests."""
_SPACE_PERMISSIONS: Final = (1 << PLATFORM_MIN) - 1

NO_SERVICE: Final = Declined(Code.NOT_FOUND, "there is no such service here")
NO_KEY: Final = Declined(Code.NOT_FOUND, "there is no such key here")
BAD_KEY: Final = Declined(Code.UNAUTHENTICATED, "this API key is not good: unknown, revoked, or its time is over")

_INFO: Final = """
k.id, k.name, k.prefix, k.scopes, k.created_by, extract(epoch from k.created_at)::bigint as created_at,
extract(epoch from k.expires_at)::bigint as expires_at, coalesce(extract(epoch from k.last_used_at), 0)::bigint as last_used_at,
coalesce(extract(epoch from k.revoked_at), 0)::bigint as revoked_at
"""
_FIND: Final = """
select k.id, k.hash, k.user_id, k.space_id, k.scopes, extract(epoch from k.expires_at)::bigint as expires_at,
    k.last_used_at is null or k.last_used_at < now() - make_interval(secs => $2) as unnoted
from api_keys k join accounts a on a.id = k.user_id
where k.prefix = $1 and k.revoked_at is null and k.expires_at > now() and a.disabled_at is null
"""
_SERVICE: Final = """
select id from accounts where id = $1 and kind = 1 and owner_space is not distinct from $2 and disabled_at is null for no key update
"""


class PostgresKeys:
    """See `actors.integrations.Keys` for what each method means."""

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._bridge = bridge
        self._herald = herald
        self._random_bytes = random_bytes

    async def find(self, secret: str) -> ActiveKey | None:
        async def work(tx: asyncpg.Connection) -> ActiveKey | None:
            return await _find(tx, secret)

        return await self._run(work)

    async def list_services(self, space: int | None) -> tuple[ServiceInfo, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[ServiceInfo, ...]:
            services = await tx.fetch(
                "select id, name::text as name, display_name, extract(epoch from created_at)::bigint as created_at,"
                " disabled_at is not null as ended from accounts where kind = 1 and owner_space is not distinct from $1"
                " order by disabled_at is not null, id limit $2",
                space,
                # Ended ones are shown too, while there is room: what they did stands in the audit.
                2 * SERVICES_PER_PLACE_MAX,
            )
            keys = await tx.fetch(
                f"select {_INFO}, k.user_id from api_keys k where k.user_id = any($1) order by k.id", [row["id"] for row in services]
            )
            return tuple(
                ServiceInfo(
                    row["id"],
                    row["name"],
                    row["display_name"],
                    row["created_at"],
                    row["ended"],
                    tuple(_info(key) for key in keys if key["user_id"] == row["id"]),
                )
                for row in services
            )

        return await self._run(work)

    async def make_service(
        self, claims: Claims, space: int | None, name: str, display_name: str, role: Role, caller: Caller
    ) -> ServiceInfo | Declined:
        async def work(tx: asyncpg.Connection) -> tuple[ServiceInfo | Declined, list[Fact]]:
            # Both the count and the membership are decided under this lock.
            seen = None if space is None else await lock_space(tx, space, claims.user)
            if space is not None:
                if seen is None or seen.kind is not SpaceKind.COMMUNITY:
                    return Declined(Code.NOT_FOUND, "there is no such community, or you are not a member of it"), []
                if role is Role.OWNER or mask(BASE[role]) & ~await held(tx, claims.user, space):
                    return Declined(Code.FORBIDDEN, "a service is no owner, and no more than who makes it"), []
            else:
                await tx.execute("select pg_advisory_xact_lock(hashtext('platform services'))")
            living = await tx.fetchval(
                "select count(*) from accounts where kind = 1 and owner_space is not distinct from $1 and disabled_at is null", space
            )
            if living >= SERVICES_PER_PLACE_MAX:
                return Declined(Code.LIMIT, f"there are at most {SERVICES_PER_PLACE_MAX} services in one place"), []
            # An empty hash compares with no password.
            made: int = await tx.fetchval("select user_id from create_account($1, $2, '')", name, display_name)
            created_at: int = await tx.fetchval(
                # It is trusted as far as whoever makes it; the platform's own, wholly. Nobody vouches for a service.
                "update accounts a set kind = 1, owner_space = $2,"
                " trust = case when $2::bigint is null then 1 else (select m.trust from accounts m where m.id = $3) end"
                " where a.id = $1 returning extract(epoch from created_at)::bigint",
                made,
                space,
                claims.user,
            )
            await record(tx, Deed(claims.user, "service_made", space, made, caller.address, {"role": int(role) if space else 0}))
            info = ServiceInfo(made, name, display_name, created_at, False)
            if space is None or seen is None:
                return info, []
            await tx.execute(
                "with counted as (update spaces set members = members + 1 where id = $1)"
                " insert into members (space_id, user_id, role) values ($1, $2, $3)",
                space,
                made,
                role,
            )
            await enqueue(tx, membership.SPACE_ENTERED, made, space)
            events = [event(seen.main_stream, made, Joined(made, role, display_name)), authority_changed(space, made)]
            enrolment = await find_enrolment(tx, space, made)
            if enrolment is not None:
                events.append(authority_changed(enrolment[0], made))
            facts, _ = await finish(tx, None, Effect(tuple(events)))
            return info, facts

        try:
            return await self._tell(work)
        except asyncpg.UniqueViolationError:
            return Declined(Code.CONFLICT, f"the name {name!r} is taken")

    async def end_service(self, claims: Claims, space: int | None, service: int, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> tuple[Declined | None, list[Fact]]:
            if await tx.fetchval(_SERVICE, service, space) is None:
                return NO_SERVICE, []
            await tx.execute("update accounts set disabled_at = now() where id = $1", service)
            await tx.execute("update api_keys set revoked_at = now() where user_id = $1 and revoked_at is null", service)
            ended = await end(tx, service, None)
            await record(tx, Deed(claims.user, "service_ended", space, service, caller.address))
            events = tuple(session_revoked(service, session) for session in ended)
            if space is None:
                facts, _ = await finish(tx, None, Effect(events))
                return None, facts
            left = await membership.remove(tx, Entry(claims.user, 0, 0, 0, 0, Remove(space, service)), Remove(space, service))
            if isinstance(left, Refuse):
                # Whoever may not remove members leaves a member behind who can do nothing.
                left = Effect()
            await record(tx, *left.deeds)
            facts, _ = await finish(tx, None, Effect((*left.events, *events), bump=left.bump))
            return None, facts

        return await self._tell(work)

    async def make_key(
        self, claims: Claims, space: int | None, service: int, name: str, scopes: int, days: int, caller: Caller
    ) -> NewKey | Declined:
        prefix = base64.b32encode(self._random_bytes(PREFIX_BYTES)).decode().lower()
        secret = base64.urlsafe_b64encode(self._random_bytes(SECRET_BYTES)).rstrip(b"=").decode()

        async def work(tx: asyncpg.Connection) -> NewKey | Declined:
            if await tx.fetchval(_SERVICE, service, space) is None:
                return NO_SERVICE
            of_place = _SPACE_PERMISSIONS if space is not None else ~_SPACE_PERMISSIONS
            if not scopes or scopes & ~of_place or scopes & ~await held(tx, claims.user, space):
                return Declined(Code.FORBIDDEN, "a key is given permissions of its place, at least one, and none that its maker has not")
            living = await tx.fetchval(
                "select count(*) from api_keys where user_id = $1 and revoked_at is null and expires_at > now()", service
            )
            if living >= KEYS_PER_SERVICE_MAX:
                return Declined(Code.LIMIT, f"a service has at most {KEYS_PER_SERVICE_MAX} keys; revoke one")
            row = await tx.fetchrow(
                "insert into api_keys as k (prefix, hash, user_id, space_id, name, scopes, created_by, expires_at)"
                f" values ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(days => $8)) returning {_INFO}",
                prefix,
                _digest(secret),
                service,
                space,
                name,
                scopes,
                claims.user,
                days,
            )
            detail = {"key": row["id"], "scopes": scopes, "days": days}
            await record(tx, Deed(claims.user, "key_made", space, service, caller.address, detail))
            return NewKey(_info(row), f"{KEY_PREFIX}{prefix}_{secret}")

        return await self._run(work)

    async def revoke_key(self, claims: Claims, space: int | None, key: int, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> tuple[Declined | None, list[Fact]]:
            service = await tx.fetchval("select user_id from api_keys where id = $1 and space_id is not distinct from $2", key, space)
            if service is None:
                return NO_KEY, []
            await lock_account(tx, service)
            changed = await tx.fetchval("update api_keys set revoked_at = now() where id = $1 and revoked_at is null returning id", key)
            if changed is None:
                return None, []
            sessions = [row["id"] for row in await tx.fetch("select id from sessions where api_key = $1 and revoked_at is null", key)]
            ended = await end(tx, service, sessions) if sessions else []
            await record(tx, Deed(claims.user, "key_revoked", space, service, caller.address, {"key": key, "sessions": len(ended)}))
            facts, _ = await finish(tx, None, Effect(tuple(session_revoked(service, session) for session in ended)))
            return None, facts

        return await self._tell(work)

    async def exchange(self, secret: str, device: int, device_name: str, caller: Caller) -> KeySession | Declined:
        async def work(tx: asyncpg.Connection) -> KeySession | Declined:
            found = await _find(tx, secret)
            if found is None:
                return BAD_KEY
            await lock_account(tx, found.user)
            # Again, under the lock: whoever revokes it holds that too.
            if await _find(tx, secret) is None:
                return BAD_KEY
            if await beyond(tx, found.user, found.space, found.scopes):
                return Declined(Code.FORBIDDEN, "a socket may do all that the service may, and this key may less: give the key more scopes")
            return await _open(tx, found, device, device_name, caller)

        return await self._run(work)

    async def _tell(self, work: Work[tuple[T, list[Fact]]]) -> T:
        """Runs `work` and, once it is committed, tells of its facts."""
        answer, facts = await self._run(work)
        if facts:
            self._herald.committed(facts)
        return answer

    async def _run(self, work: Work[T]) -> T:
        return await self._bridge.run(work, deadline_s=DEADLINE_S)


async def sweep_keys(tx: asyncpg.Connection) -> int:
    """Forgets keys that ended long ago; how many."""
    gone: int = await tx.fetchval(
        "with gone as (delete from api_keys where least(expires_at, revoked_at) < now() - make_interval(days => $1) returning 1)"
        " select count(*) from gone",
        KEPT_DAYS,
    )
    return gone


async def _find(tx: asyncpg.Connection, text: str) -> ActiveKey | None:
    prefix, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    row = await tx.fetchrow(_FIND, prefix, USED_EVERY_S)
    # Compared also where there is no row, so that a known prefix takes no longer to be refused.
    right = hmac.compare_digest(_digest(secret), bytes(32) if row is None else row["hash"])
    if row is None or not right:
        return None
    if row["unnoted"]:
        await tx.execute("update api_keys set last_used_at = now() where id = $1", row["id"])
    return ActiveKey(row["id"], row["user_id"], row["space_id"], row["scopes"], row["expires_at"])


async def _open(tx: asyncpg.Connection, key: ActiveKey, device: int, device_name: str, caller: Caller) -> KeySession | Declined:
    """The key's session on that device, prolonged; or a new one. The account is locked."""
    living = await tx.fetch(
        "select id, device_id from sessions where api_key = $1 and revoked_at is null and expires_at > clock_timestamp()", key.id
    )
    session = next((row["id"] for row in living if row["device_id"] == device), None)
    if session is None:
        if len(living) >= SESSIONS_PER_KEY_MAX:
            return Declined(Code.LIMIT, f"a key has at most {SESSIONS_PER_KEY_MAX} sessions; name the device to go on with one of them")
        own = await tx.fetchval("select id from devices where id = $1 and user_id = $2 for update", device, key.user)
        if own is not None:
            # Of another key, or expired: a device has one living session.
            others = await tx.fetch("select id from sessions where device_id = $1 and revoked_at is null", own)
            if others:
                await end(tx, key.user, [row["id"] for row in others])
        else:
            own = await tx.fetchval("insert into devices (user_id, name) values ($1, $2) returning id", key.user, device_name)
        session = await tx.fetchval(
            "insert into sessions (user_id, device_id, expires_at, user_agent, address, api_key)"
            " values ($1, $2, now() + interval '1 second', $3, $4, $5) returning id",
            key.user,
            own,
            caller.software,
            caller.address,
            key.id,
        )
        deed = Deed(key.user, "key_exchanged", key.space, key.user, caller.address, {"key": key.id, "session": session})
        await record(tx, deed)
    row = await tx.fetchrow(
        "update sessions s set last_seen_at = now(), address = $4, expires_at = least(now() + make_interval(secs => $2), to_timestamp($3))"
        " from accounts a where s.id = $1 and a.id = s.user_id"
        " returning a.id as user, a.name::text as name, a.display_name, s.device_id as device, s.id as session, a.inbox,"
        " extract(epoch from s.expires_at)::bigint as expires_at",
        session,
        SESSION_S,
        key.expires_at,
        caller.address,
    )
    return KeySession(**dict(row))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _info(row: asyncpg.Record) -> KeyInfo:
    return KeyInfo(*(row[field] for field in KeyInfo.__struct_fields__))

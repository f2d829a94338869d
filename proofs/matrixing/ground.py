"""What the matrix is played on: people and communities, put into the database of a server that runs.

    Ground ─person(standing)─▶ Actor (account, device, session, token)
           ─settle(owner)────▶ Place (a closed community, with everything that a command may name)

Accounts, sessions and given roles are written as rows, because how they come to be is tried elsewhere; what commands are about (messages,
conflicts, what was refused) is written where it is needed, so that every cell finds it fresh.

Invariant: nothing that a command under test decides is decided here.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import time
from collections.abc import Sequence
from typing import Final

import asyncpg
from argon2 import PasswordHasher
from msgspec import Struct

from actors.accounts import Caller
from actors.integrations import KEY_PREFIX, KeySession
from actors.storage import Fact
from gateway.tokens import KeySet
from persistence.bridge import Bridge
from persistence.keys import PostgresKeys
from proofs.matrixing.standing import Manner, Standing
from protocol.codec import encode
from protocol.entities import Entity, write_fields
from protocol.events import Said
from protocol.operations import Change
from protocol.permissions import mask
from protocol.values import Role, SpaceKind, StreamKind

DEADLINE_S: Final = 30.0
SESSION_S: Final = 86_400
PASSWORD: Final = "correct-horse-of-the-matrix-27"
"""Everybody's."""
ROUNDS: Final = 1
MEMORY_KIB: Final = 8_192
"""What the server is told to hash with: hashing is tried elsewhere."""


class Login(Struct, frozen=True):
    """One device with a session, and the token that says so."""

    user: int
    device: int
    session: int
    token: str


class Actor(Struct, frozen=True):
    """Somebody who asks."""

    standing: Standing
    user: int
    name: str
    login: Login


class Place(Struct, frozen=True):
    """A closed community and what is in it. `owner` wrote what is there; the others are there to be acted on."""

    space: int
    own: int
    channel: int
    other_channel: int
    board: int
    library: int
    exit: int
    """Another community of the same owner's, for who leaves."""
    square: int
    """A community that is open to all; of a foreign place, one that is not."""
    message: int
    """A message of the owner's in the channel."""
    name: str
    """The owner's, by which accounts are found."""
    owner: Login
    victim: Login
    pupil: Login
    writer: Login
    refused: Login
    """A learner who wrote content and was not let."""
    stranger: Login
    """Somebody who is no member."""


class _Deaf:
    """A herald: what is opened here is no news to anybody."""

    def committed(self, facts: Sequence[Fact]) -> None:
        return None


class Ground:
    """The database under the server."""

    def __init__(self, bridge: Bridge, keys: KeySet, strange_keys: KeySet) -> None:
        self.bridge = bridge
        self._keys = keys
        self._count = itertools.count(1)
        self._password_hash = PasswordHasher(ROUNDS, MEMORY_KIB, 1).hash(PASSWORD)
        self.nobody = Login(2**40, 2**40, 2**40, strange_keys.issue(2**40, 2**40, 2**40, time.time())[0])

    async def rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """What a statement returns, as its own transaction."""

        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return found

        return await self.bridge.run(work, deadline_s=DEADLINE_S)

    async def value(self, sql: str, *arguments: object) -> int:
        """The one number that a statement returns."""
        found: int = (await self.rows(sql, *arguments))[0][0]
        return found

    def word(self) -> str:
        """A name that nothing has yet."""
        return f"matrix{next(self._count)}"

    async def account(self, name: str = "") -> Login:
        """Somebody new, trusted with everything that trust opens, with a device and a session."""
        user = await self.value("select user_id from create_account($1, $2, $3)", name or self.word(), "Somebody", self._password_hash)
        await self.rows("update accounts set trust = 1, email = name || '@example.org', email_verified_at = now() where id = $1", user)
        return await self.log_in(user)

    async def log_in(self, user: int, *, proven: bool = True) -> Login:
        """One more device and session of theirs. `proven`: they have just shown who they are."""
        [row] = await self.rows(_LOG_IN, user, SESSION_S, proven)
        return Login(user, row["device_id"], row["id"], self._keys.issue(user, row["device_id"], row["id"], time.time())[0])

    async def set_password(self, user: int) -> None:
        """Gives an account the password that everybody has."""
        await self.rows("update accounts set password_hash = $2 where id = $1", user, self._password_hash)

    async def revoke(self, login: Login) -> None:
        """Ends a session, as the server would."""
        await self.rows("update sessions set revoked_at = now() where id = $1", login.session)
        await self.rows("update devices set generation = generation + 1 where id = $1", login.device)

    async def person(self, standing: Standing, home: Place) -> Actor:
        """Somebody of this standing, to `home`. Who is to be removed is a member yet."""
        if standing.manner is Manner.NOBODY:
            return Actor(standing, self.nobody.user, "nobody", self.nobody)
        if standing.manner in (Manner.KEY, Manner.KEY_SESSION):
            return await self._system(standing, home)
        name = self.word()
        login = await self.account(name)
        if standing.manner is not Manner.STRANGER:
            await self.admit(home.space, login.user, standing.role)
        if standing.custom:
            await self.give(home.space, login.user, mask(standing.custom))
        if standing.platform:
            await self.give(None, login.user, mask(standing.platform))
        if standing.manner is Manner.STALE:
            login = await self.log_in(login.user, proven=False)
        return Actor(standing, login.user, name, login)

    async def fresh(self, actor: Actor) -> Login:
        """A session of theirs that a command may end; of whose session is over, one that is over too."""
        if actor.standing.manner is Manner.NOBODY:
            return self.nobody
        if actor.standing.manner is Manner.KEY:
            return await self._keyed(actor.user, actor.standing)
        if actor.standing.manner is Manner.KEY_SESSION:
            return await self._exchanged(actor.user, actor.standing)
        login = await self.log_in(actor.user, proven=actor.standing.manner is not Manner.STALE)
        if actor.standing.manner is Manner.REVOKED:
            await self.revoke(login)
        return login

    async def _system(self, standing: Standing, home: Place) -> Actor:
        name = self.word()
        user = await self.value("select user_id from create_account($1, 'Service', '')", name)
        await self.rows("update accounts set kind = 1, owner_space = $2, trust = 1 where id = $1", user, home.space)
        await self.admit(home.space, user, standing.role)
        await self.give(home.space, user, mask(standing.custom))
        await self.rows("insert into devices (user_id, name) values ($1, 'matrix')", user)
        opened = await (self._keyed if standing.manner is Manner.KEY else self._exchanged)(user, standing)
        return Actor(standing, user, name, opened)

    async def _keyed(self, user: int, standing: Standing) -> Login:
        """One more key of a service; each has a rate of its own."""
        prefix, secret = self.word(), secrets.token_urlsafe(32)
        await self.rows(_SYSTEM_KEY, prefix, hashlib.sha256(secret.encode()).digest(), user, mask(standing.scopes))
        device = await self.value("select min(id) from devices where user_id = $1", user)
        return Login(user, device, 0, f"{KEY_PREFIX}{prefix}_{secret}")

    async def _exchanged(self, user: int, standing: Standing) -> Login:
        """One more session of a service, as the server gives it for a key."""
        key = await self._keyed(user, standing)
        opened = await PostgresKeys(self.bridge, _Deaf()).exchange(key.token, 0, "matrix", Caller("127.0.0.1", "matrix"))
        assert isinstance(opened, KeySession), opened
        return Login(user, opened.device, opened.session, self._keys.issue(user, opened.device, opened.session, time.time())[0])

    async def admit(self, space: int, user: int, role: Role) -> None:
        """Makes somebody a member, if they are none."""
        await self.rows("insert into members (space_id, user_id, role) values ($1, $2, $3) on conflict do nothing", space, user, role)

    async def give(self, space: int | None, user: int, permissions: int) -> int:
        """Makes a custom role of these permissions and gives it; the role."""
        return await self.value(_GIVE, space, self.word(), permissions, user)

    async def report(self, place: Place, space: int) -> int:
        """A report about a new message of the pupil's, for the community's staff or (0) the platform's reviewers."""
        message = await self.message(place.channel, place.pupil.user)
        return await self.value(_REPORT, place.writer.user, place.pupil.user, space, place.channel, message)

    async def next_key(self) -> int:
        """A record's key that nothing has yet."""
        return next(self._count)

    async def refuse(self, place: Place) -> int:
        """Another change of content that was refused and is kept."""
        section = Change(place.library, Entity.CONTENT, await self.next_key(), int(time.time()), write_fields({1: "title"}))
        return await self.value(_REFUSED, place.space, place.refused.user, place.refused.device, encode(section))

    async def role(self, space: int | None) -> int:
        """A custom role that gives nothing and that nobody has."""
        return await self.value(
            "insert into roles (space_id, name, permissions, created_by) values ($1, $2, 0, 0) returning id", space, self.word()
        )

    async def message(self, stream: int, author: int) -> int:
        """One more message of somebody's in a stream; its number."""
        return await self.value(_MESSAGE, stream, author, encode(Said("something that was said")), int(time.time()))

    async def stream(self, space: int, kind: int) -> int:
        """The first stream of this kind in a space."""
        return await self.value("select min(id) from streams where space_id = $1 and kind = $2", space, kind)

    async def enrolled(self, space: int, user: int, kind: int) -> int:
        """A stream of what a member has of their own in a community."""
        return await self.value(
            "select t.id from spaces s join streams t on t.space_id = s.id and t.kind = $3"
            " where s.pair_key = 'enrolment:' || $1::bigint || ':' || $2::bigint",
            space,
            user,
            kind,
        )

    async def personal(self, user: int, kind: int) -> int:
        """A stream of somebody's own space."""
        return await self.value(
            "select t.id from accounts a join streams t on t.space_id = a.personal_space and t.kind = $2 where a.id = $1", user, kind
        )

    async def mentorship(self, learner: int, mentor: int) -> int:
        """The stream of goals and meetings of these two."""
        return await self.value(_MENTORSHIP, learner, mentor, SpaceKind.MENTORSHIP, StreamKind.MENTORSHIP)

    # What administrative routes are about

    async def passkey(self, user: int) -> int:
        """A passkey of somebody's, which opens nothing."""
        return await self.value(_PASSKEY, user, self.word().encode())

    async def job(self) -> int:
        """A job that waits for a day."""
        return await self.value(
            "insert into jobs (kind, state, payload, due_at) values ('matrix', 1, '', now() + interval '1 day') returning id"
        )

    async def dead_job(self) -> int:
        """A job that failed too often."""
        return await self.value(_DEAD_JOB)

    async def archive(self, kind: int, subject: int, asked_by: int) -> None:
        """An archive that is ready to be fetched."""
        await self.rows(_ARCHIVE, kind, subject, asked_by)

    async def reminder(self, user: int) -> int:
        """A reminder of somebody's."""
        return await self.value("insert into reminders (user_id, at) values ($1, now() + interval '1 day') returning id", user)

    async def subscription(self, user: int) -> int:
        """A device of somebody's that is pushed to."""
        return await self.value(_SUBSCRIPTION, user, self.word())

    async def service(self, space: int | None) -> int:
        """A service account of a community, or the platform's."""
        user = await self.value("select user_id from create_account($1, 'Service', '')", self.word())
        await self.rows("update accounts set kind = 1, owner_space = $2 where id = $1", user, space)
        if space is not None:
            await self.admit(space, user, Role.LEARNER)
        return user

    async def key(self, space: int | None) -> int:
        """A key of a service account's."""
        return await self.value(_KEY, self.word(), await self.service(space), space)

    async def webhook(self, space: int) -> int:
        """A subscription that is paused."""
        return await self.value(_WEBHOOK, space)


_PASSKEY: Final = """
with known as (insert into mfa_accounts (user_id, handle) values ($1, $2) on conflict do nothing)
insert into passkeys (user_id, credential_id, public_key, sign_count, backup_eligible, backed_up, name)
values ($1, $2, '', 0, false, false, 'matrix') returning id"""
_DEAD_JOB: Final = """
insert into dead_jobs (id, kind, priority, payload, effect, created_at, attempts, reason, error)
values (nextval(pg_get_serial_sequence('jobs', 'id')), 'matrix', 0, '', gen_random_uuid(), now(), 1, 1, '') returning id"""
_REPORT: Final = """
insert into reports (reporter, about, subject, space_id, stream_id, seq, reason) values ($1, 1, $2, $3, $4, $5, 1) returning id"""
_SUBSCRIPTION: Final = """
insert into push_subscriptions (user_id, device_id, service, address, hash)
select $1, min(id), 2, $2, sha256(convert_to($2, 'UTF8')) from devices where user_id = $1 returning id"""
_ARCHIVE: Final = """
with made as (
    insert into archives (kind, subject, asked_by, ready_at, bytes) values ($1, $2, $3, now(), 1)
    on conflict (kind, subject, asked_by) do update set ready_at = now(), bytes = 1, error = '' returning id
)
insert into archive_parts (archive_id, place, bytes) select id, 0, 'x' from made on conflict do nothing"""
_KEY: Final = """
insert into api_keys (prefix, hash, user_id, space_id, name, scopes, created_by, expires_at)
values ($1, decode(repeat('00', 32), 'hex'), $2, $3, 'matrix', 1, 1, now() + interval '1 day') returning id"""
_SYSTEM_KEY: Final = """
insert into api_keys (prefix, hash, user_id, space_id, name, scopes, created_by, expires_at)
select $1, $2, id, owner_space, 'matrix', $4, 1, now() + interval '1 day' from accounts where id = $3"""
_WEBHOOK: Final = """
insert into webhooks (space_id, name, url, kinds, role, secret, state, created_by)
values ($1, 'matrix', 'https://hooks.example.org/matrix', '{11}', 8, '', 2, 1) returning id"""
_MENTORSHIP: Final = """
with place as (insert into spaces (kind, name, members, created_by) values ($3, '', 2, $2) returning id),
people as (
    insert into members (space_id, user_id, role) select p.id, u.who, u.role from place p, (values ($1, 8), ($2, 4)) as u (who, role)
)
insert into streams (space_id, kind, read_roles, write_roles, placement) select id, $4, 15, 0, id from place returning id"""
_LOG_IN: Final = """
with device as (insert into devices (user_id, name) values ($1, 'matrix') returning id)
insert into sessions (user_id, device_id, expires_at, proven_at)
select $1, id, now() + make_interval(secs => $2), case when $3 then now() else 'epoch' end from device returning id, device_id"""
_GIVE: Final = """
with made as (insert into roles (space_id, name, permissions, created_by) values ($1, $2, $3, 0) returning id)
insert into user_roles (user_id, role_id, space_id, given_by) select $4, id, $1, 0 from made returning role_id"""
_REFUSED: Final = """
insert into sync_queue (space_id, user_id, device_id, number, code, operation) values ($1, $2, $3, 1, 16, $4) returning id"""
_MESSAGE: Final = """
with moved as (update streams set head = head + 1 where id = $1 returning head)
insert into log (stream_id, seq, kind, author, at, body) select $1, head, 1, $2, $4, $3 from moved returning seq"""

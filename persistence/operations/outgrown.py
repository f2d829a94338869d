"""Sockets that were opened with an API key may do all that their service may; so no service ever may more than the key of an open socket.

    exchange ─▶ the service may more than the key? refused          SetRole, GiveRole, ChangeRole, a role on the platform
                                                                      ╰▶ the service may more than the key now? its sockets end

Every command and read on such a socket is thereby within the key's scopes, on the hot ways too, which ask for nothing but the service's own
authority. Whoever grows a service gives its key the scopes, and lets it exchange again.

Invariant: in every committed state each living session of a key has a key whose scopes cover all that its service may, anywhere.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec.structs import replace

from actors.storage import Entry
from persistence.append import Effect, Refuse, session_revoked
from persistence.audit import Deed
from persistence.roles import held
from persistence.sessions import end
from protocol.operations import ChangeRole, GiveRole, SetRole

_LOCK: Final = "select id from accounts where kind = 1 and owner_space = $1 and disabled_at is null order by id for no key update"
_SESSIONS: Final = """
select s.id, k.scopes from sessions s join api_keys k on k.id = s.api_key
where s.user_id = $1 and s.revoked_at is null and s.expires_at > clock_timestamp() order by s.id"""


async def beyond(tx: asyncpg.Connection, user: int, space: int | None, scopes: int) -> int:
    """What a service of this place (None: the platform) may that these scopes do not hold, as the sum of 2^permission."""
    everywhere = await held(tx, user, None)
    if space is not None:
        everywhere |= await held(tx, user, space)
    return everywhere & ~scopes


async def lock_services_of(tx: asyncpg.Connection, space: int) -> list[int]:
    """Every living service of a community, locked: before the community itself, in whatever transaction needs both."""
    return [row["id"] for row in await tx.fetch(_LOCK, space)]


async def lock_services(tx: asyncpg.Connection, entry: Entry) -> tuple[int, ...]:
    """The services that an operation may let do more, locked before anything else, as `exchange` locks them."""
    operation = entry.operation
    if not isinstance(operation, SetRole | GiveRole | ChangeRole):
        return ()
    services = await lock_services_of(tx, operation.space)
    return tuple(services if isinstance(operation, ChangeRole) else (one for one in services if one == operation.user))


async def grown(tx: asyncpg.Connection, entry: Entry, services: tuple[int, ...], verdict: Effect | Refuse) -> Effect | Refuse:
    """What the operation does, and the end of the sockets whose keys cover their service no more."""
    if isinstance(verdict, Refuse):
        return verdict
    for service in services:
        space = _space(entry.operation)
        ended = await end_outgrown(tx, service, space)
        if ended:
            told = (session_revoked(service, session) for session in ended)
            deed = Deed(entry.user, "key_outgrown", space, service, detail={"sessions": len(ended)})
            verdict = replace(verdict, events=(*verdict.events, *told), deeds=(*verdict.deeds, deed))
    return verdict


async def end_outgrown(tx: asyncpg.Connection, service: int, space: int | None) -> list[int]:
    """Ends the sessions of a service, whose account is locked, that its keys do not cover any more."""
    rows = await tx.fetch(_SESSIONS, service)
    over = [row["id"] for row in rows if await beyond(tx, service, space, row["scopes"])]
    return await end(tx, service, over) if over else []


def _space(operation: object) -> int:
    assert isinstance(operation, SetRole | GiveRole | ChangeRole)
    return operation.space

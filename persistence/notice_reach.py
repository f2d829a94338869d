"""How people can be reached: their rules, addresses, devices, quiet hours and language, read in one snapshot.

    users ─▶ accounts, notice_settings, notice_rules, push_subscriptions, their own records ─▶ People

Quiet hours, time zone and language are records that the person's devices write, offline too; they are read as they were last merged.

Invariant: whoever was suspended, or whose session on a device is over, is not reached there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import Rule
from actors.quiet import Digest, quiet_until, zone_of
from protocol.entities import Entity
from protocol.merge import unpack_record

_RULES: Final = "select user_id, ways, kind, space_id, stream_id from notice_rules where user_id = any($1)"
_PEOPLE: Final = """
select a.id, a.inbox, a.language,
    case when a.email_verified_at is not null and not exists (select from mail_refusals f where f.address = a.email)
        then a.email::text end as address,
    coalesce(s.previews, false) as previews, coalesce(s.digest, 0)::smallint as digest, coalesce(s.digest_at, 480)::smallint as digest_at,
    coalesce(s.digest_day, 0)::smallint as digest_day, coalesce(s.unmailed, '{}') as unmailed
from accounts a left join notice_settings s on s.user_id = a.id
where a.id = any($1) and a.disabled_at is null"""
_DEVICES: Final = """
select p.user_id, p.id, p.device_id from push_subscriptions p
where p.user_id = any($1) and exists (
    select from sessions s where s.device_id = p.device_id and s.revoked_at is null and s.expires_at > now()
) order by p.user_id, p.id"""
_RECORDS: Final = "select user_id, entity, cells from own_records($1)"

_TIME_ZONE: Final = 4
_LANGUAGES: Final = 3
_LANGUAGE: Final = 2
_QUIET_FROM: Final = 4
_QUIET_TO: Final = 5


class Reachable(Struct, frozen=True):
    """One person. `address`: "" where no mail may be sent. `devices`: (subscription, device) with a living session."""

    user: int
    inbox: int
    address: str = ""
    language: str = ""
    previews: bool = False
    digest: Digest = Digest.NONE
    digest_at: int = 480
    digest_day: int = 0
    unmailed: frozenset[int] = frozenset()
    rules: Sequence[Rule] = ()
    devices: Sequence[tuple[int, int]] = ()
    zone_name: str = ""
    quiet_from: int = 0
    quiet_to: int = 0

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.zone_name)

    def quiet_until(self, now: float) -> float:
        """When their quiet hours end, Unix seconds; 0 where it is not quiet."""
        return quiet_until(now, self.zone, self.quiet_from, self.quiet_to)


async def read_rules(tx: asyncpg.Connection, users: Iterable[int]) -> Mapping[int, Sequence[Rule]]:
    """The rules of each person that has any."""
    found: dict[int, list[Rule]] = {}
    for user, ways, kind, space, stream in await tx.fetch(_RULES, list(set(users))):
        found.setdefault(user, []).append(Rule(ways, kind, space, stream))
    return found


async def read_reachable(tx: asyncpg.Connection, users: Iterable[int]) -> dict[int, Reachable]:
    """Those of `users` who have an account that is not suspended."""
    wanted = list(set(users))
    rows = await tx.fetch(_PEOPLE, wanted)
    rules = await read_rules(tx, wanted)
    devices: dict[int, list[tuple[int, int]]] = {}
    for user, subscription, device in await tx.fetch(_DEVICES, wanted):
        devices.setdefault(user, []).append((subscription, device))
    own: dict[int, dict[int, Mapping[int, object]]] = {}
    for user, entity, cells in await tx.fetch(_RECORDS, wanted):
        own.setdefault(user, {})[entity] = {number: cell.value for number, cell in unpack_record(cells, entity).cells.items()}
    people = {}
    for row in rows:
        user = row["id"]
        profile, preferences = (own.get(user, {}).get(entity, {}) for entity in (Entity.PROFILE, Entity.PREFERENCES))
        people[user] = Reachable(
            user,
            row["inbox"] or 0,
            row["address"] or "",
            row["language"] or _text(preferences.get(_LANGUAGE)) or _first(profile.get(_LANGUAGES)),
            row["previews"],
            Digest(row["digest"]),
            row["digest_at"],
            row["digest_day"],
            frozenset(row["unmailed"]),
            rules.get(user, ()),
            devices.get(user, ()),
            _text(profile.get(_TIME_ZONE)),
            _number(preferences.get(_QUIET_FROM)),
            _number(preferences.get(_QUIET_TO)),
        )
    return people


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _first(value: object) -> str:
    return _text(value[0]) if isinstance(value, tuple) and value else ""

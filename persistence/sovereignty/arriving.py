"""Import: a community out of an archive, under new numbers, in one transaction: it is there whole or not at all.

    verify ─▶ people: known ones by the caller's list, the others as accounts nobody can log in to ─▶ spaces, policies, streams, members
           ─▶ every row under its new names ─▶ what must hold of any log is checked ─▶ owner in, inboxes told

An archive may be anybody's. Its numbers never become ours, its people never anybody of ours but by the caller's word, and its rows are
checked like a client's: kinds of streams that a community has, bodies that decode, logs without gaps.

Invariant: nothing that was here before is changed, but for the inboxes of those who are members now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from actors.accounts import DISPLAY_NAME_LENGTH_MAX, NAME_LENGTH_MAX, NameRefused, normalise_label, normalise_name
from actors.moderation import check_levels, write_levels
from actors.storage import Fact
from persistence.append import append_events, event
from persistence.audit import Deed, record
from persistence.learning.grading import grade_all_again
from persistence.moderation.spoken import JUDGED_KINDS
from persistence.operations.communities import RECORD_STREAMS
from persistence.operations.membership import SPACE_ENTERED
from persistence.sovereignty.archive import ArchiveRefused, Reader
from persistence.sovereignty.erasure import NO_PASSWORD
from persistence.sovereignty.packed import Unreadable, rename_packed
from persistence.sovereignty.tables import MEMBERS, POLICIES, ROWS, SPACES, STREAMS, Kept
from protocol.events import Joined
from protocol.identifiers import Names
from protocol.operations import Level
from protocol.permissions import Permission, of_platform
from protocol.values import Role, SpaceKind, StreamKind

PEOPLE_MAX: Final = 1_000_000
REGION_LENGTH_MAX: Final = 40
"""As `spaces.region` has it."""
_ROLE: Final = "insert into roles (space_id, name, permissions, created_by) values ($1, $2, $3, $4) returning id"
_HOLDERS: Final = "insert into user_roles (user_id, role_id, space_id, given_by) select h, $1, $2, $3 from unnest($4::bigint[]) h"
_OF_A_SPACE: Final = sum(1 << permission for permission in Permission if not of_platform(permission))
_KINDS: Final = {
    SpaceKind.COMMUNITY: frozenset(
        {
            StreamKind.COMMUNITY,
            StreamKind.CHANNEL,
            StreamKind.DOCUMENT,
            StreamKind.REVIEW,
            StreamKind.BOARD,
            StreamKind.LIBRARY,
            StreamKind.STUDIO,
        }
    ),
    SpaceKind.ENROLMENT: frozenset({StreamKind.PROGRESS, StreamKind.ANSWERS}),
}


class Imported(Struct, frozen=True):
    """What came. `people`: by number in the archive, the account here. `facts` are to be told once it is committed."""

    space: int
    people: dict[int, int]
    made: int
    """Accounts that were made for people who are nobody here."""
    rows: int
    facts: tuple[Fact, ...] = ()


async def import_space(
    tx: asyncpg.Connection, archive: Reader, owner: int, known: Mapping[int, int], regions: Sequence[str] = (), region: str | None = None
) -> Imported:
    """Brings in a community that `owner`, an account here, owns from now on. `known`: accounts here, by their number in the archive.

    `region`: its label here; None: the archive's. `regions`: where this installation may keep data; a community that has to be somewhere
    else is refused. Raises `ArchiveRefused`.
    """
    archive.verify()
    if region is None:
        region = archive.manifest.region
    if region and regions and region not in regions:
        raise ArchiveRefused(f"this community's data has to be kept in {region!r}; this installation keeps data in {', '.join(regions)}")
    if len(region) > REGION_LENGTH_MAX:
        raise ArchiveRefused(f"a region's label has at most {REGION_LENGTH_MAX} characters, not {len(region)}")
    arrival = _Arrival(tx, archive, region)
    await arrival.bring_people(known)
    space = await arrival.bring_places()
    rows = await arrival.bring_rows()
    await arrival.check_logs()
    facts = await arrival.hand_over(space, owner)
    await record(tx, Deed(owner, "community_imported", space, detail={"people": len(arrival.people), "rows": rows}))
    return Imported(space, arrival.people, arrival.made, rows, tuple(facts))


class _Arrival:
    def __init__(self, tx: asyncpg.Connection, archive: Reader, region: str) -> None:
        self._tx = tx
        self._archive = archive
        self._region = region
        self.people: dict[int, int] = {}
        self.made = 0
        self._spaces: dict[int, int] = {}
        self._streams: dict[int, int] = {}
        self._names = Names(user=self._user, stream=self._stream, space=self._space)

    def _user(self, id: int) -> int:
        return _find(self.people, id, "account")

    def _stream(self, id: int) -> int:
        # What was deleted since leaves its number behind; nobody follows it.
        return self._streams.get(id, 0) or _find(self._streams, id, "stream")

    def _space(self, id: int) -> int:
        return _find(self._spaces, id, "space")

    async def bring_people(self, known: Mapping[int, int]) -> None:
        """Everybody who appears has an account here afterwards."""
        for group in self._archive.rows("people.ndjson"):
            for row in group:
                id = _number(row, "id", "people.ndjson")
                if len(self.people) >= PEOPLE_MAX:
                    raise ArchiveRefused(f"people.ndjson names more than {PEOPLE_MAX} people")
                self.people[id] = known.get(id) or await self._make_account(id, str(row.get("name", "")), str(row.get("display_name", "")))

    async def _make_account(self, id: int, name: str, display_name: str) -> int:
        try:
            wanted = normalise_name(name)
        except NameRefused:
            wanted = f"guest-{id}"
        try:
            shown = normalise_label(display_name, "display name", DISPLAY_NAME_LENGTH_MAX) or wanted
        except NameRefused:
            shown = wanted
        # Never an account that is here already: a name is no proof.
        free: str = await self._tx.fetchval(
            "select c.name from (select $1::text as name, 0 as n union all"
            " select left($1, $2) || '-' || n, n from generate_series(2, 10000) n) c"
            " where not exists (select from accounts a where a.name = c.name::citext) order by c.n limit 1",
            wanted,
            NAME_LENGTH_MAX - 6,
        )
        user: int = await self._tx.fetchval("select user_id from create_account($1::citext, $2, $3)", free, shown, NO_PASSWORD)
        await self._tx.execute("update accounts set disabled_at = now() where id = $1", user)
        self.made += 1
        return user

    async def bring_places(self) -> int:
        """The community, its members' enrolments, and the streams of all; the community's number here."""
        rows = [row for group in self._archive.rows(SPACES.file) for row in group]
        home = [row for row in rows if row.get("kind") == SpaceKind.COMMUNITY]
        if len(home) != 1 or any(row.get("kind") not in _KINDS for row in rows):
            raise ArchiveRefused(f"{SPACES.file} has to hold one community, and enrolments in it")
        for row in sorted(rows, key=lambda row: row.get("kind") != SpaceKind.COMMUNITY):
            await self._bring_space(row)
        await self._bring_policies()
        kinds = {_number(row, "id", SPACES.file): SpaceKind(row["kind"]) for row in rows}
        for group in self._archive.rows(STREAMS.file):
            for row in group:
                of = kinds.get(_number(row, "space_id", STREAMS.file))
                if of is None or row.get("kind") not in _KINDS[of]:
                    raise ArchiveRefused(f"{STREAMS.file}: a stream of kind {row.get('kind')} is none of this community's")
                id = _number(row, "id", STREAMS.file)
                self._streams[id] = await self._tx.fetchval("select nextval(pg_get_serial_sequence('streams', 'id'))")
                await self._insert(STREAMS, [self._renamed(STREAMS, row)])
        # What was said elsewhere was judged there, or was to be: nothing of it is taken back here.
        await self._tx.execute(
            "insert into moderation_cursors (stream_id, upto) select s.id, s.head from streams s where s.id = any($1) and s.kind = any($2)",
            list(self._streams.values()),
            JUDGED_KINDS,
        )
        # A member's enrolment is there already when the trigger looks for it.
        for group in self._archive.rows(MEMBERS.file):
            await self._insert(MEMBERS, [self._renamed(MEMBERS, row) for row in group], "on conflict do nothing")
        return self._space(_number(home[0], "id", SPACES.file))

    async def _bring_space(self, row: Mapping[str, Any]) -> None:
        id = _number(row, "id", SPACES.file)
        self._spaces[id] = await self._tx.fetchval("select nextval(pg_get_serial_sequence('spaces', 'id'))")
        renamed = self._renamed(SPACES, row)
        # What was judged is the manifest's label; a row that says another one is not asked.
        renamed["region"] = self._region if row["kind"] == SpaceKind.COMMUNITY else ""
        if row["kind"] == SpaceKind.ENROLMENT:
            renamed["pair_key"] = f"enrolment:{renamed['parent']}:{renamed['created_by']}"
        await self._insert(SPACES, [renamed])

    async def _bring_policies(self) -> None:
        for group in self._archive.rows(POLICIES.file):
            for row in group:
                levels = _levels(row.get("levels"))
                wrong = check_levels(levels)
                if wrong:
                    raise ArchiveRefused(f"{POLICIES.file}: {wrong}")
                await self._insert(POLICIES, [{**self._renamed(POLICIES, row), "levels": write_levels(levels)}])

    async def bring_rows(self) -> int:
        """Everything that lies in the streams; how many rows."""
        count = 0
        for kept in ROWS:
            if kept is POLICIES:
                continue
            for group in self._archive.rows(kept.file):
                rows = [self._renamed(kept, row) for row in group]
                count += len(rows)
                await self._insert(kept, rows)
        for group in self._archive.rows("roles.ndjson"):
            for row in group:
                count += 1
                await self._bring_role(row)
        return count

    async def _bring_role(self, row: Mapping[str, Any]) -> None:
        space = next(iter(self._spaces.values()))
        try:
            name, permissions = str(row["name"]), int(row["permissions"])
            holders = [self._user(int(who)) for who in row["holders"]]
            maker = self._user(int(row["created_by"])) if row["created_by"] else 0
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveRefused(f"roles.ndjson: {error!r}") from error
        # As whoever makes a role here is asked: an archive gives nobody what the platform alone gives, nor what a later version may mean.
        if permissions < 0 or permissions & ~_OF_A_SPACE:
            raise ArchiveRefused(f"roles.ndjson: {name!r} has permissions that are none of a community's")
        try:
            role: int = await self._tx.fetchval(_ROLE, space, name, permissions, maker)
            await self._tx.execute(_HOLDERS, role, space, maker, holders)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise ArchiveRefused(f"roles.ndjson: {error}") from error

    async def check_logs(self) -> None:
        """A log has every number between its floor and its head, and nothing beyond."""
        wrong = await self._tx.fetchval(
            "select s.name from streams s left join lateral (select count(*) as rows, min(l.seq) as first, max(l.seq) as last from log l"
            " where l.stream_id = s.id) l on true where s.id = any($1)"
            " and (l.rows <> s.head - s.floor or l.rows > 0 and (l.first <> s.floor + 1 or l.last <> s.head)) limit 1",
            list(self._streams.values()),
        )
        if wrong is not None:
            raise ArchiveRefused(f"the log of stream {wrong!r} has gaps, or ends elsewhere than it says")

    async def hand_over(self, space: int, owner: int) -> list[Fact]:
        """`owner` owns it, and everybody who is somebody here hears of it."""
        tx = self._tx
        main: int | None = await tx.fetchval("select id from streams where space_id = $1 and kind = $2", space, StreamKind.COMMUNITY)
        name: str | None = await tx.fetchval("select display_name from accounts where id = $1 and disabled_at is null", owner)
        if main is None or name is None:
            raise ArchiveRefused("there is no stream of the community itself" if name else f"account {owner} cannot own a community")
        # An older version knew fewer kinds of streams.
        await tx.executemany(
            "insert into streams (space_id, kind, read_roles, write_roles, placement) select $1, $2, $3, 0, $1"
            " where not exists (select from streams t where t.space_id = $1 and t.kind = $2)",
            [(space, kind, readers) for kind, readers in RECORD_STREAMS.items()],
        )
        await grade_all_again(tx, list(self._streams.values()))
        await tx.execute(
            "insert into members as m (space_id, user_id, role) values ($1, $2, $3)"
            " on conflict (space_id, user_id) do update set role = $3",
            space,
            owner,
            Role.OWNER,
        )
        await tx.execute("update spaces set members = (select count(*) from members where space_id = $1) where id = $1", space)
        await tx.execute(
            "insert into outbox (kind, user_id, space_id) select $2, m.user_id, $1 from members m"
            " join accounts a on a.id = m.user_id and a.disabled_at is null where m.space_id = $1",
            space,
            SPACE_ENTERED,
        )
        return await append_events(tx, [event(main, owner, Joined(owner, Role.OWNER, name))])

    def _renamed(self, kept: Kept, row: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(row)
        renamed.pop("says", None)
        try:
            for column, what in kept.names.items():
                renamed[column] = self._names.of(what, int(row[column])) if row[column] is not None else None
            renamed.update(rename_packed(kept, row, self._names))
        except (Unreadable, KeyError, TypeError, ValueError) as error:
            raise ArchiveRefused(f"{kept.file}: {error}") from error
        return renamed

    async def _insert(self, kept: Kept, rows: Sequence[Mapping[str, Any]], otherwise: str = "") -> None:
        """Rows as JSON: the database reads each column by its type. Columns that it gives itself are left to it."""
        if not rows:
            return
        columns = ", ".join(f'"{name}"' for name in await self._columns(kept))
        try:
            await self._tx.execute(
                f"insert into {kept.table} ({columns}) overriding system value"
                f" select {columns} from jsonb_populate_recordset(null::{kept.table}, $1::text::jsonb) {otherwise}",
                msgspec.json.encode(rows).decode(),
            )
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise ArchiveRefused(f"{kept.file}: {error}") from error

    async def _columns(self, kept: Kept) -> list[str]:
        rows = await self._tx.fetch(
            "select column_name::text from information_schema.columns where table_schema = current_schema() and table_name = $1"
            " and column_name <> all($2) order by ordinal_position",
            kept.table,
            [column for column in kept.own if column != "pair_key"],
        )
        return [row[0] for row in rows]


def _levels(stored: object) -> list[Level]:
    """Levels as `actors.moderation.write_levels` stores them."""
    if not isinstance(stored, str):
        raise ArchiveRefused(f"{POLICIES.file}: levels is {stored!r}; expected: a text")
    try:
        return [msgspec.convert([int(number) for number in part.split(":")], Level) for part in filter(None, stored.split(","))]
    except (ValueError, msgspec.ValidationError) as error:
        raise ArchiveRefused(f"{POLICIES.file}: levels is {stored!r}; expected: harm:hold:hide by comma") from error


def _find(known: Mapping[int, int], id: int, what: str) -> int:
    try:
        return known[id]
    except KeyError:
        raise ArchiveRefused(f"{what} {id} is named and not in the archive") from None


def _number(row: Mapping[str, Any], column: str, file: str) -> int:
    value = row.get(column)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ArchiveRefused(f"{file}: {column} is {value!r}; expected: a number above 0")
    return value

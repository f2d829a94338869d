"""The audit log: what may be done to its rows, how it is read, and that every action is declared."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import asyncpg
import pytest

from actors.accounts import Caller, Claims
from actors.audit import ACTIONS, Cursor, Line, Wanted
from persistence.audit import Deed, PostgresAudit, forget, prepare, record, statement
from persistence.bridge import Bridge
from tests.persistence.identity import CALLER, query
from tests.persistence.world import fetch

ROOT = Path(__file__).resolve().parents[2]
STAFF = Claims(7, 1, 1, 0, 2**31)


async def write(bridge: Bridge, *deeds: Deed, device: int = 0) -> None:
    await bridge.run(lambda tx: record(tx, *deeds, device=device), deadline_s=9)


async def age(bridge: Bridge, days: int) -> None:
    """Writes a row of that long ago, past `record`, which knows only now."""
    await query(bridge, "insert into audit_log (at, actor, action) values (now() - make_interval(days => $1), 0, 'role_set')", days)


async def test_no_row_of_the_audit_is_changed_deleted_or_truncated_in_any_partition(bridge: Bridge) -> None:
    await write(bridge, Deed(1, "member_removed", 2, 3))
    await age(bridge, 400)
    partitions = [
        row[0] for row in await fetch(bridge, "select inhrelid::regclass::text from pg_inherits where inhparent = 'audit_log'::regclass")
    ]
    assert len(partitions) >= 5
    for table in ("audit_log", *partitions):
        for forbidden in (f"update {table} set actor = 9", f"delete from {table}", f"truncate {table}"):
            if not forbidden.startswith("truncate") and not await fetch(bridge, f"select 1 from {table} limit 1"):
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await query(bridge, forbidden)
    assert len(await fetch(bridge, "select 1 from audit_log")) == 2


async def test_a_partition_made_later_is_guarded_and_indexed_as_the_others(bridge: Bridge) -> None:
    await bridge.run(lambda tx: prepare(tx, 7), deadline_s=9)
    partitions = await fetch(
        bridge,
        "select c.relname as name, (select count(*) from pg_index i where i.indrelid = c.oid and i.indisvalid) as indexes,"
        " (select count(*) from pg_trigger t where t.tgrelid = c.oid) as triggers"
        " from pg_inherits h join pg_class c on c.oid = h.inhrelid where h.inhparent = 'audit_log'::regclass",
    )
    assert len(partitions) == 9  # eight months and the default
    [parent] = await fetch(bridge, "select count(*) as n from pg_index where indrelid = 'audit_log'::regclass")
    assert {row["indexes"] for row in partitions} == {parent["n"]} == {6}
    assert {row["triggers"] for row in partitions} == {2}
    latest = max(row["name"] for row in partitions if row["name"] != "audit_log_default")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(bridge, f"truncate {latest}")


async def test_retention_lets_go_of_whole_months_and_of_old_rows_nobody_made_a_month_for(bridge: Bridge) -> None:
    await query(
        bridge,
        "do $$ begin execute format('create table audit_log_2020_01 partition of audit_log for values from (%L) to (%L)',"
        " '2020-01-01 00:00+00', '2020-02-01 00:00+00'); end $$",
    )
    await query(bridge, "insert into audit_log (at, actor, action) values ('2020-01-15', 0, 'role_set')")
    await age(bridge, 800)
    await age(bridge, 100)
    await write(bridge, Deed(1, "role_set"))
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await bridge.run(lambda tx: forget(tx, keep_days=3), deadline_s=9)
    assert await bridge.run(lambda tx: forget(tx, keep_days=730), deadline_s=9) == 1
    assert await fetch(bridge, "select to_regclass('audit_log_2020_01') as gone") == [(None,)]
    assert len(await fetch(bridge, "select 1 from audit_log")) == 2
    # The door that it opens for itself is shut behind it.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(bridge, "delete from audit_log")


async def test_pages_by_cursor_are_the_whole_newest_first_whatever_is_written_meanwhile(bridge: Bridge) -> None:
    audit = PostgresAudit(bridge)
    await write(bridge, *(Deed(n, "role_set", 5, 100 + n) for n in range(25)))
    await write(bridge, Deed(99, "role_set", 6))
    seen: list[Line] = []
    after: Cursor | None = None
    while True:
        page = await audit.find(Wanted(space=5), after, 10)
        seen += page.lines
        await write(bridge, Deed(50, "role_set", 5))
        after = page.next
        if after is None:
            break
    assert [line.actor for line in seen] == list(range(24, -1, -1))
    assert len({line.id for line in seen}) == 25


async def test_rows_are_found_by_actor_subject_action_and_time_and_by_all_of_them(bridge: Bridge) -> None:
    audit = PostgresAudit(bridge)
    await age(bridge, 10)
    await write(
        bridge, Deed(1, "role_set", 5, 2, "203.0.113.7", {"from": 8, "to": 4}), Deed(2, "member_removed", 5, 3), Deed(1, "key_made")
    )

    async def found(wanted: Wanted) -> list[str]:
        return sorted(line.action for line in (await audit.find(wanted, None, 50)).lines)

    [now] = [row[0] for row in await fetch(bridge, "select extract(epoch from now())::bigint")]
    assert await found(Wanted(actor=1)) == ["key_made", "role_set"]
    assert await found(Wanted(subject=3)) == ["member_removed"]
    assert await found(Wanted(action="role_set")) == ["role_set", "role_set"]
    assert await found(Wanted(action="role_set", since=now - 3600)) == ["role_set"]
    assert await found(Wanted(until=now - 3600)) == ["role_set"]
    assert await found(Wanted(space=5, actor=1, subject=2, action="role_set", since=0, until=now + 60)) == ["role_set"]
    assert await found(Wanted(space=4)) == []
    [line] = (await audit.find(Wanted(space=5, actor=1), None, 5)).lines
    assert (line.address, line.detail) == ("203.0.113.7", {"from": 8, "to": 4}) and line.at.endswith("Z")


@pytest.mark.parametrize(
    ("wanted", "column"), [(Wanted(space=5), "space_id"), (Wanted(actor=5), "actor"), (Wanted(subject=5), "subject"), (Wanted(), "")]
)
@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_page_is_read_by_an_index_in_every_partition_also_by_a_plan_that_is_kept(
    bridge: Bridge, wanted: Wanted, column: str, newest_first: bool
) -> None:
    await query(
        bridge,
        "insert into audit_log (at, actor, action, space_id, subject) select now() - n * interval '1 minute', n % 500,"
        " case when n % 100 = 0 then 'role_set' else 'key_made' end, n % 700, n % 300 from generate_series(1, 20000) n",
    )
    [week_ago_us] = [row[0] for row in await fetch(bridge, "select (extract(epoch from now() - interval '7 days') * 1000000)::bigint")]
    for after in (None, Cursor(week_ago_us, 1)):
        sql, arguments = statement(wanted, after, 50, newest_first=newest_first)
        literals = ", ".join(str(argument) for argument in arguments)

        async def plan(tx: asyncpg.Connection, sql: str = sql, literals: str = literals) -> str:
            await tx.execute("analyze audit_log")
            await tx.execute("set local plan_cache_mode = force_generic_plan")
            await tx.execute(f"prepare page as {sql}")
            lines = [row[0] for row in await tx.fetch(f"explain execute page ({literals})")]
            await tx.execute("deallocate page")
            return "\n".join(lines)

        shown = await bridge.run(plan, deadline_s=30)
        # Of partitions that hold next to nothing a scan is the best plan; of the one that holds all it is not.
        [largest] = await fetch(
            bridge, "select relname from pg_class where relname like 'audit_log%' and relkind = 'r' order by reltuples desc limit 1"
        )
        assert f"Seq Scan on {largest[0]} " not in shown, shown
        # An index on time with a filter behind it would read everything, too.
        assert not column or re.search(rf"Index Cond: \(+{column} = \$1", shown), shown


async def test_an_export_is_everything_but_the_last_minute_in_order_and_is_itself_written_down(bridge: Bridge) -> None:
    audit = PostgresAudit(bridge)
    await query(
        bridge,
        "insert into audit_log (at, actor, action, space_id) select now() - n * interval '1 hour', n, 'role_set', 5"
        " from generate_series(1, 2500) n",
    )
    await write(bridge, Deed(9_999, "role_set", 5))
    until = await audit.begin_export(Wanted(space=5), STAFF, Caller("203.0.113.9"))
    pages = [page async for page in audit.export(Wanted(space=5), until)]
    assert [line.actor for page in pages for line in page] == list(range(2500, 0, -1))
    assert max(len(page) for page in pages) <= 1_000
    [exported] = (await audit.find(Wanted(action="audit_exported"), None, 5)).lines
    assert (exported.actor, exported.space, exported.address) == (7, 5, "203.0.113.9")


async def test_a_deed_without_an_address_has_that_of_the_devices_session(bridge: Bridge) -> None:
    [account] = await fetch(bridge, "select user_id from create_account('ada', 'Ada', 'x')")
    [device] = await fetch(bridge, "insert into devices (user_id) values ($1) returning id", account[0])
    await query(
        bridge,
        "insert into sessions (user_id, device_id, expires_at, address) values ($1, $2, now() + interval '1 day', $3)",
        account[0],
        device[0],
        CALLER.address,
    )
    await write(bridge, Deed(1, "role_set"), Deed(1, "key_made", address="198.51.100.1"), device=device[0])
    lines = (await PostgresAudit(bridge).find(Wanted(actor=1), None, 5)).lines
    assert {line.action: line.address for line in lines} == {"role_set": CALLER.address, "key_made": "198.51.100.1"}


async def test_what_is_not_declared_is_not_recorded(bridge: Bridge) -> None:
    with pytest.raises(AssertionError, match="declared nowhere"):
        await write(bridge, Deed(1, "something_done"))


def test_actions_are_words_in_the_past_tense_that_say_what_happened() -> None:
    for action, meaning in ACTIONS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?", action), action
        assert meaning and not meaning.endswith("."), action


def recorded_literals() -> list[tuple[str, str]]:
    """Every action that the source names where it records a deed, with its place."""
    found = []
    for room in ("actors", "gateway", "persistence", "supervisors"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Deed", "audit"):
                    place = 1 if node.func.id == "Deed" else 2
                    given = node.args[place : place + 1] + [word.value for word in node.keywords if word.arg == "action"]
                    words = [one.value for one in given if isinstance(one, ast.Constant)]
                    found += [(f"{path.relative_to(ROOT)}:{node.lineno}", word) for word in words if isinstance(word, str)]
    return found


def test_every_action_that_the_source_names_is_declared() -> None:
    literals = recorded_literals()
    assert len(literals) > 30
    assert [(place, action) for place, action in literals if action not in ACTIONS] == []


def test_nothing_is_declared_that_nothing_records() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "persistence").rglob("*.py")))
    assert [action for action in ACTIONS if f'"{action}"' not in source and not action.startswith("report_")] == []

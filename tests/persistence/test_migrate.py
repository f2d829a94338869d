"""Migrations: once, in order, unchanged, and nothing half done."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from persistence.bridge import Bridge, BridgeOptions
from persistence.migrate import Migration, MigrationRefused, migrate, pending, read_migrations, split

FIRST = "CREATE TABLE things (n int);\nINSERT INTO things VALUES (1);\n"
SECOND = "ALTER TABLE things ADD COLUMN name text;\n"
CONCURRENT = "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS things_n ON things (n);\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_things.sql", FIRST)
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def column(dsn: str, sql: str) -> list[object]:
    bridge = Bridge(BridgeOptions(dsn))

    async def work(connection: asyncpg.Connection) -> list[object]:
        return [row[0] for row in await connection.fetch(sql)]

    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        answer = await bridge.run(work, deadline_s=30.0)
        nursery.cancel_scope.cancel()
    return answer


async def test_what_is_missing_is_applied_in_order_and_only_once(folder: Path, empty_database: str) -> None:
    assert [m.file for m in await pending(empty_database, folder=folder)] == ["0001_things.sql"]
    assert [m.version for m in await migrate(empty_database, folder=folder)] == [1]
    write(folder, "0002_name.sql", SECOND)
    write(folder, "0003_index.sql", CONCURRENT)
    assert [m.version for m in await pending(empty_database, folder=folder)] == [2, 3]
    assert [m.version for m in await migrate(empty_database, folder=folder)] == [2, 3]
    assert await migrate(empty_database, folder=folder) == []
    assert await pending(empty_database, folder=folder) == []
    assert await column(empty_database, "SELECT n FROM things") == [1]
    assert await column(empty_database, "SELECT indexname FROM pg_indexes WHERE tablename = 'things'") == ["things_n"]


async def test_migrations_run_over_a_bridge_too_but_not_through_a_pooler(folder: Path, empty_database: str) -> None:
    bridge = Bridge(BridgeOptions(empty_database))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        assert [m.version for m in await migrate(bridge, folder=folder)] == [1]
        nursery.cancel_scope.cancel()
    with pytest.raises(AssertionError, match="PgBouncer"):
        await migrate(Bridge(BridgeOptions(empty_database, pooler=True)), folder=folder)


async def test_twelve_migrators_at_once_apply_each_file_once(folder: Path, empty_database: str) -> None:
    write(folder, "0002_slow.sql", "SELECT pg_sleep(0.05);\nINSERT INTO things VALUES (2);\n")
    # Waits for every older snapshot: a migrator that waited for the lock inside a statement would block it for ever.
    write(folder, "0003_index.sql", CONCURRENT)
    applied: list[int] = []

    async def one() -> None:
        applied.extend(m.version for m in await migrate(empty_database, folder=folder))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(one)
    assert sorted(applied) == [1, 2, 3]
    assert await column(empty_database, "SELECT n FROM things ORDER BY n") == [1, 2]
    assert await column(empty_database, "SELECT version FROM schema_migrations ORDER BY version") == [1, 2, 3]


async def test_a_changed_applied_file_is_refused_by_name(folder: Path, empty_database: str) -> None:
    await migrate(empty_database, folder=folder)
    write(folder, "0001_things.sql", FIRST + "-- an afterthought\n")
    for ask in (migrate, pending):
        with pytest.raises(MigrationRefused, match=r"0001_things\.sql:1: was changed"):
            await ask(empty_database, folder=folder)


async def test_a_failing_migration_names_file_and_line_and_leaves_nothing(folder: Path, empty_database: str) -> None:
    write(folder, "0002_bad.sql", "CREATE TABLE more (n int);\n\nINSERT INTO more\nVALUES ('x');\n")
    with pytest.raises(MigrationRefused) as caught:
        await migrate(empty_database, folder=folder)
    assert (caught.value.file, caught.value.line) == ("0002_bad.sql", 4)
    assert "invalid input syntax" in caught.value.reason
    assert await column(empty_database, "SELECT to_regclass('more') IS NULL") == [True]
    assert await column(empty_database, "SELECT version FROM schema_migrations") == [1]
    write(folder, "0002_bad.sql", "CREATE TABLE more (n int);\n")
    assert [m.version for m in await migrate(empty_database, folder=folder)] == [2]


async def test_a_failure_at_run_time_names_its_statements_first_line(folder: Path, empty_database: str) -> None:
    write(folder, "0002_bad.sql", "-- why\nSELECT 1;\n\nSELECT 1 /\n  n\n  FROM (VALUES (0)) AS v(n);\n")
    with pytest.raises(MigrationRefused, match=r"0002_bad\.sql:4: division by zero"):
        await migrate(empty_database, folder=folder)


async def test_an_older_program_starts_on_a_newer_schema(folder: Path, empty_database: str) -> None:
    write(folder, "0002_name.sql", SECOND)
    await migrate(empty_database, folder=folder)
    (folder / "0002_name.sql").unlink()
    assert await migrate(empty_database, folder=folder) == []


@pytest.mark.parametrize(
    ("name", "sql", "complaint"),
    [
        ("2_x.sql", "", "2_x.sql:1: is not named"),
        ("0003_x.sql", "", "0003_x.sql:1: number 0002 is expected"),
        ("0002_x.sql", "SELECT 1;\nCOMMIT;", "0002_x.sql:2: COMMIT"),
        ("0002_x.sql", "SELECT 1;\n/* /* */", "0002_x.sql:2: a comment is never closed"),
        ("0002_x.sql", "SELECT $a$ $b$", r"0002_x.sql:1: \$a\$ is never closed"),
        ("0002_x.sql", "SELECT 'x", "0002_x.sql:1: a quote is never closed"),
        ("0002_x.sql", "CREATE FUNCTION f() RETURNS int\nBEGIN ATOMIC; END;", "0002_x.sql:2: BEGIN ATOMIC"),
        ("0002_x.sql", "-- no transaction\nSELECT 1; SELECT 2;", "0002_x.sql:1: holds 2 statements"),
    ],
)
async def test_a_file_that_cannot_be_right_is_refused(folder: Path, empty_database: str, name: str, sql: str, complaint: str) -> None:
    write(folder, name, sql)
    with pytest.raises(MigrationRefused, match=complaint):
        await migrate(empty_database, folder=folder)


PIECES = st.sampled_from(
    ["a", "1", " ", "\n", "'it''s; '", "E'\\';'", '"x;y"', "$$ ; ' $$", "$f$ $$;$$ $f$", "/* ; /* ' */ ; */", "-- ; '\n", "a$b"]
)


@given(st.lists(st.lists(PIECES, min_size=1).map(lambda pieces: " ".join(["x", *pieces])), min_size=1))
def test_statements_end_at_their_own_semicolons_alone(statements: list[str]) -> None:
    sql = "".join(f"\n{statement}\n;" for statement in statements)
    found = list(split(Migration(1, "x", sql, "")))
    assert [text for _, text in found] == [f"{statement}\n" for statement in statements]
    lines = sql.split("\n")
    assert all(lines[line - 1].startswith("x") for line, _ in found)


def test_the_programs_own_migrations_are_in_order_and_can_be_split() -> None:
    for migration in read_migrations():
        assert list(split(migration))


def test_what_locks_tables_that_are_in_use_for_moderation_comes_after_what_takes_long() -> None:
    [migration] = [one for one in read_migrations() if one.name == "moderation"]
    statements = [text.casefold() for _, text in split(migration)]
    tables = ("references spaces", "alter table streams", "before insert on streams")
    locking = [at for at, sql in enumerate(statements) if any(table in sql for table in tables)]
    [long] = [at for at, sql in enumerate(statements) if "insert into moderation_cursors" in sql and "create" not in sql]
    assert len(locking) == 3
    assert min(locking) > long and max(locking) == len(statements) - 1
    assert all(at in locking or "comment on" in statements[at] for at in range(min(locking), len(statements)))
